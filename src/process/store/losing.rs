//! What is done when the files are not what was written to them any more: it is forgotten what was finished of them, and this incarnation
//! ends; the next one looks what is left.
//!
//! Part of `store`. Whatever was asked of workers before that does not count any more.

use std::ops::Range;

use super::*;
use crate::events::DiskChange;

impl Store {
    /// Somebody took away, replaced or shortened a file under us: what was finished of it has to be hashed again.
    pub(super) fn lose(&mut self, error: &DiskError) {
        if self.lost.is_some() {
            return;
        }
        log::warn!("{error}; what is left of it is checked again");
        self.torrent.tell(Event::Disk { change: DiskChange::Lost, message: error.to_string() });
        self.files_of(error).for_each(|file| _ = self.forget_file(file));
        *lock(&self.torrent.state) = State::Checking;
        self.torrent.checked.store(false, Ordering::Release);
        self.lost = Some(error.clone());
    }

    /// These files are not as we left them.
    pub(super) fn lose_files(&mut self, lost: &[Loss]) {
        let taken: Vec<&Loss> = lost.iter().filter(|loss| self.forget_file(loss.file)).collect();
        // Of the others nothing had come.
        if let Some(first) = taken.first()
            && self.has_looked()
        {
            self.lose(&first.error);
        }
    }

    /// True when it did: then this incarnation ends.
    pub(super) fn lose_if_content_lost(&mut self, error: &DiskError) -> bool {
        if error.content_lost() && self.has_looked() {
            self.lose(error);
        } else if error.content_lost() {
            // It is looked just now what is left.
            self.files_of(error).for_each(|file| _ = self.forget_file(file));
        }
        self.lost.is_some()
    }

    fn has_looked(&self) -> bool {
        self.surveyed || self.torrent.checked.load(Ordering::Acquire)
    }

    /// The file that an error is about, or all.
    fn files_of(&self, error: &DiskError) -> Range<usize> {
        match self.torrent.content.file_at(&error.path) {
            Some(file) => file..file + 1,
            None => 0..self.torrent.metainfo.files.len(),
        }
    }

    /// What is asked about it from here on is asked anew; older answers do not count. True when something had come of it.
    fn forget_file(&mut self, file: usize) -> bool {
        let pieces = self.torrent.metainfo.layout.pieces_of_file(file);
        if !pieces.is_empty() {
            self.torrent.counts.losses.fetch_add(1, Ordering::AcqRel);
        }
        self.forget(pieces.map(PieceIndex))
    }

    /// What was finished of `pieces` is not on disk any more, as far as anybody knows.
    /// Neither is what has come of those that are not complete and not kept in memory.
    /// True when there was something.
    pub(super) fn forget(&mut self, pieces: impl Iterator<Item = PieceIndex>) -> bool {
        let (counts, layout) = (&self.torrent.counts, &self.torrent.metainfo.layout);
        let (mut vault, mut some) = (lock(&self.torrent.vault), false);
        for piece in pieces {
            some |= vault.forget_spilled(piece);
            let finished = vault.forget(piece);
            some |= finished;
            if finished && self.torrent.selection.pieces().get(piece.0) {
                counts.pieces_finished.fetch_sub(1, Ordering::Relaxed);
                counts.finished.fetch_sub(u64::from(layout.piece_length(piece)), Ordering::Relaxed);
            }
        }
        drop(vault);
        if some {
            self.changed();
        }
        some
    }
}
