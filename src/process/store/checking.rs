//! What is on disk when an incarnation begins: found out piece by piece, with the help of the workers.
//!
//! Part of `store`. An answer that is older than a loss does not count, and what it was about is asked again. When everything is known
//! the files are prepared for what is to come; then `client` hears of it.

use super::*;

/// Jobs of the first check that are with the workers at once, for each of them: one in hand and one that waits.
const CHECKS_PER_WORKER: usize = 2;
/// Whether names and room of the files have been seen to, after the check.
#[derive(PartialEq, Eq)]
pub(super) enum Preparing {
    NotYet,
    Asked,
    Done,
}

impl Store {
    pub(super) fn surveyed(
        &mut self,
        found: Result<Bitfield, DiskError>,
        resumed: Option<Box<(Resume, Trust)>>,
        lost: &[Loss],
        losses: u64,
    ) {
        let is_old = self.is_old(losses);
        self.lose_files(lost);
        match found {
            // It was an incarnation before this one that asked.
            _ if self.surveyed => {}
            _ if is_old => self.torrent.session.file_jobs.cast(file_worker::Msg::Survey(self.torrent.clone())),
            Ok(maybe) => self.look_through(maybe, resumed),
            Err(error) => self.refused(Work::Survey, &error),
        }
    }

    /// What may be on disk: part of it is known to be right, the rest is hashed.
    fn look_through(&mut self, maybe: Bitfield, resumed: Option<Box<(Resume, Trust)>>) {
        self.surveyed = true;
        self.went_well(&Trial::Survey);
        let gone: Vec<u32> = lock(&self.torrent.vault).have().iter_ones().filter(|n| !maybe.get(*n)).collect();
        self.forget(gone.into_iter().map(PieceIndex));
        let maybe = match resumed {
            Some(resumed) => self.resume(*resumed, &maybe),
            None => maybe,
        };
        self.to_check = maybe.iter_ones().map(PieceIndex).collect();
        let layout = &self.torrent.metainfo.layout;
        let skipped = layout.total_bytes() - layout.bytes_of(&maybe);
        self.torrent.counts.checked.store(skipped, Ordering::Relaxed);
        self.check_more();
    }

    pub(super) fn checked(&mut self, good: Vec<PieceIndex>, bad: &[PieceIndex]) {
        for piece in good.iter().chain(bad) {
            self.checking.remove(piece);
            self.went_well(&Trial::Check(*piece));
        }
        good.into_iter().for_each(|piece| self.finish(piece));
        self.check_more();
    }

    pub(super) fn prepared(&mut self, prepared: Result<(), DiskError>) {
        match prepared {
            Ok(()) => self.went_well(&Trial::Prepare),
            Err(error) => self.refused(Work::Prepare, &error),
        }
        if self.preparing == Preparing::Asked {
            self.preparing = Preparing::Done;
            self.check_more();
        }
    }

    /// Files were lost since this was asked.
    pub(super) fn is_old(&self, losses: u64) -> bool {
        losses != self.torrent.counts.losses.load(Ordering::Acquire)
    }

    pub(super) fn check_again(&mut self, pieces: impl IntoIterator<Item = PieceIndex>) {
        for piece in pieces {
            // The others are those of an incarnation before this one, which looks at everything.
            if self.checking.remove(&piece) {
                self.to_check.push_back(piece);
            }
            self.went_well(&Trial::Check(piece));
        }
        self.check_more();
    }

    fn check_more(&mut self) {
        let some = Check::pieces_at_once(&self.torrent);
        let limit = CHECKS_PER_WORKER * self.torrent.session.config.workers * some;
        // A whole job, or the last one.
        while self.checking.len() + some.min(self.to_check.len()) <= limit && !self.to_check.is_empty() {
            let pieces = self.to_check.drain(..some.min(self.to_check.len()));
            let vault = lock(&self.torrent.vault);
            let pieces: Vec<PieceIndex> = pieces.filter(|piece| !vault.have().get(piece.0)).collect();
            drop(vault);
            self.checking.extend(&pieces);
            let check = Check::new(self.torrent.clone(), pieces);
            self.torrent.session.piece_jobs.cast(piece_worker::Msg::Check(check));
        }
        let over = self.lost.is_none() && self.surveyed && self.checking.is_empty() && self.to_check.is_empty();
        if over && self.is_prepared() && !self.torrent.checked.swap(true, Ordering::AcqRel) {
            let finished = self.torrent.counts.pieces_finished.load(Ordering::Relaxed);
            *lock(&self.torrent.state) = State::Downloading;
            // Those that were left while nothing was missing may be needed now.
            lock(&self.torrent.book).wake(clock::since_start());
            self.torrent.tell(Event::Checked { finished, pieces: self.torrent.selection.count() });
            self.answer_client();
        }
    }

    /// The check is over: the files are prepared before anything is written to them, if there is anything to prepare.
    fn is_prepared(&mut self) -> bool {
        if self.preparing == Preparing::NotYet {
            let torrent = &self.torrent;
            let needed = torrent.options.preallocate || torrent.content.may_rename();
            self.preparing = if needed { Preparing::Asked } else { Preparing::Done };
            if needed {
                torrent.session.file_jobs.cast(file_worker::Msg::Prepare(torrent.clone()));
            }
        }
        self.preparing == Preparing::Done
    }
}
