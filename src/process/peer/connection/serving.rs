//! The other way round: what the other side asks of us.
//!
//! Part of `peer`. What is read together and how much is kept is `protocol::Upload`'s decision.

use super::*;

impl Connection<'_> {
    pub(super) fn requested(&mut self, range: BlockRange) -> Result<(), End> {
        if !self.have.get(range.piece.0) {
            return Err(End::Misbehaved(format!("asked for piece {}, which was never announced to it", range.piece)));
        }
        match self.upload.request(range) {
            Asked::Queued | Asked::Choked => Ok(()),
            Asked::Flood => Err(End::Misbehaved("floods us with requests".to_owned())),
        }
    }

    /// Whoever is interested is served.
    pub(super) fn unchoke(&mut self) {
        if !self.upload.is_unchoked() {
            self.upload.set_unchoked(true);
            self.out.message(&Message::Unchoke);
        }
    }

    pub(super) fn read_for_them(&mut self) {
        while self.out.waiting() < ENOUGH_WAITING
            && let Some(ranges) = self.upload.next_read()
        {
            let read = file_worker::Read { torrent: self.torrent.clone(), ranges, to: self.me.clone() };
            self.torrent.session.file_jobs.cast(file_worker::Msg::Read(read));
        }
    }

    pub(super) fn send_blocks(&mut self, ranges: &[BlockRange], blocks: Vec<Block>) {
        self.upload.read_ended();
        let mut blocks = blocks.into_iter();
        for range in ranges {
            self.out.bytes(&wire::block_header(*range));
            let mut left = range.length;
            while left > 0
                && let Some(block) = blocks.next()
            {
                left -= block.len() as u32;
                self.out.block(block);
            }
            self.counts.uploaded.fetch_add(u64::from(range.length), Ordering::Relaxed);
            self.torrent.counts.uploaded.fetch_add(u64::from(range.length), Ordering::Relaxed);
        }
        self.read_for_them();
    }
}
