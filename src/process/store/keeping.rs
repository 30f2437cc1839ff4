//! When it is written down how the torrent stands, and what is made of that at the next start.
//!
//! Part of `store`. The writing and reading is `file_worker`'s. Nothing is written when nothing has changed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::process::file_worker::Keep;
use crate::protocol::book::Source;
use crate::protocol::resume::{Resume, Trust};

/// Between two records at least, and so long after a piece was finished at most.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// The same for totals alone.
const TOTALS_EVERY: Duration = Duration::from_secs(300);
/// After the last piece: the files may be cut to their lengths just now.
const SOON: Duration = Duration::from_secs(1);

/// What is to be kept, and when.
pub(super) struct Keeping {
    /// Pieces were finished or lost since the last record.
    changed: bool,
    /// Totals of the last record.
    totals: [u64; 2],
    next: Duration,
    next_totals: Duration,
    /// The record that is being written.
    under_way: Option<u64>,
    /// The last one was asked for.
    ended: bool,
    /// It was said that no record can be written.
    complained: bool,
}

impl Keeping {
    pub(super) fn new(now: Duration) -> Self {
        let (next, next_totals) = (now + KEEP_EVERY, now + TOTALS_EVERY);
        Self { changed: false, totals: [0; 2], next, next_totals, under_way: None, ended: false, complained: false }
    }

    /// When [`Store::keep_if_due`] has something to do, as far as it is known now.
    pub(super) fn due(&self) -> Option<Duration> {
        let next = if self.changed { self.next.min(self.next_totals) } else { self.next_totals };
        self.under_way.is_none().then_some(next)
    }
}

impl Store {
    fn keeps(&self) -> bool {
        // Before the check is over nobody knows what is finished; a record of that would be worse than the old one.
        self.torrent.session.config.state_dir.is_some() && self.torrent.checked.load(Ordering::Acquire)
    }

    /// A piece was finished, or all were lost.
    pub(super) fn changed(&mut self) {
        self.keeping.changed = true;
        if self.torrent.counts.pieces_finished.load(Ordering::Relaxed) == self.torrent.selection.count() {
            self.keeping.next = self.keeping.next.min(clock::since_start() + SOON);
        }
    }

    pub(super) fn keep_if_due(&mut self) {
        let now = clock::since_start();
        if self.keeping.due().is_none_or(|due| due > now) {
            return;
        }
        if self.keeps() && (self.keeping.changed || self.keeping.totals != self.torrent.counts.totals()) {
            self.keep(false);
        }
        self.keeping.next = now + KEEP_EVERY;
        self.keeping.next_totals = now + TOTALS_EVERY;
    }

    fn keep(&mut self, last: bool) {
        let keep = Keep::new(self.torrent.clone(), last);
        self.keeping.under_way = Some(self.torrent.counts.records.load(Ordering::Acquire));
        self.keeping.changed = false;
        self.keeping.totals = self.torrent.counts.totals();
        self.torrent.session.file_jobs.cast(file_worker::Msg::Keep(keep));
    }

    /// A record is written, or is not: that is said once, and not with each try.
    pub(super) fn kept(&mut self, number: u64, kept: Result<(), Option<DiskError>>) {
        if self.keeping.under_way == Some(number) {
            self.keeping.under_way = None;
            self.keeping.changed |= kept.is_err();
        }
        match kept {
            Ok(()) => self.keeping.complained = false,
            Err(Some(error)) if !std::mem::replace(&mut self.keeping.complained, true) => {
                log::warn!("the next run will have to check what is finished: {error}");
            }
            Err(_) => {}
        }
    }

    /// Asked to stop, and nothing is on its way to the disk any more: true when the last record is written, if one is needed.
    pub(super) fn has_kept_the_last(&mut self) -> bool {
        if !std::mem::replace(&mut self.keeping.ended, true) {
            let is_new = self.keeping.changed || self.keeping.totals != self.torrent.counts.totals();
            // One that is being written waits for the disk; this one does not, and overtakes it.
            if self.keeps() && (is_new || self.keeping.under_way.is_some()) {
                self.keep(true);
            }
        }
        self.keeping.under_way.is_none()
    }

    /// What the last run left. Returns the pieces of `maybe` that have to be hashed all the same.
    pub(super) fn resume(&mut self, (record, trust): (Resume, Trust), maybe: &Bitfield) -> Bitfield {
        let counts = &self.torrent.counts;
        // Once: a later record of this session has this session's bytes in it.
        if !counts.resumed.swap(true, Ordering::AcqRel) {
            counts.uploaded_before.store(record.uploaded, Ordering::Relaxed);
            counts.downloaded_before.store(record.downloaded, Ordering::Relaxed);
            let mut book = lock(&self.torrent.book);
            for peer in &record.peers {
                book.add(*peer, Source::Resume, clock::since_start());
            }
        }
        trust.finished.iter_ones().filter(|piece| maybe.get(*piece)).for_each(|piece| self.finish(PieceIndex(piece)));
        // What has to be hashed, or is not where it was, makes another record.
        self.keeping.changed = !trust.check.none();
        self.keeping.totals = self.torrent.counts.totals();
        let mut check = Bitfield::new(maybe.len());
        for piece in trust.check.iter_ones().filter(|piece| maybe.get(*piece)) {
            check.set(piece);
        }
        check
    }
}
