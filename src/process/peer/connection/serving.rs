//! The other way round: what the other side asks of us.
//!
//! Part of `peer`. Whom to choke is the client's decision; what is read together and how much is kept is `protocol::Upload`'s.

use super::*;
use crate::protocol::BLOCK_BYTES;
use crate::protocol::upload::READ_BYTES;
use crate::tables::lock;

/// With more bytes than this waiting to be written, no more blocks are read for the other side.
const ENOUGH_WAITING: usize = 512 * 1024;
/// The same when our upload is limited: what was read for one peer too early cannot go to another.
const ENOUGH_WHEN_SCARCE: usize = 64 * 1024;
/// The same for a peer that is choked, and gets nothing but a few fast pieces.
const ENOUGH_FOR_CHOKED: usize = 32 * 1024;
/// Pieces that a peer may finish after it was choked.
const MAX_UNFINISHED: usize = 2;

impl Connection<'_> {
    /// The client has decided anew.
    pub(super) fn choke(&mut self, choked: bool) {
        if self.upload.is_unchoked() != choked {
            return;
        }
        self.counts.peer_choked.store(choked, Ordering::Relaxed);
        self.shares_reading = (!choked).then(|| self.torrent.session.reading.join());
        if !choked {
            self.upload.unchoke();
            return self.out.message(&Message::Unchoke);
        }
        self.let_finish();
        self.out.message(&Message::Choke);
        let upload = &mut self.upload;
        let mut dropped = upload.choke();
        dropped.extend(self.out.take_back(|range| !upload.is_fast(range.piece)));
        self.reject(dropped);
    }

    /// A piece that has begun may be finished, or what was sent of it was sent for nothing: the peer may go on asking for it (BEP 6).
    fn let_finish(&mut self) {
        if self.side.fast {
            for piece in self.upload.begun().into_iter().take(MAX_UNFINISHED) {
                if self.upload.allow(piece) {
                    self.out.message(&Message::AllowedFast { piece });
                }
            }
        }
    }

    pub(super) fn requested(&mut self, range: BlockRange) -> Result<(), End> {
        let have = self.have.get(range.piece.0);
        let asked = if have { self.upload.request(range) } else { Asked::Refused };
        self.counts.requests_in.store(self.upload.waiting() as u32, Ordering::Relaxed);
        match asked {
            Asked::Queued => Ok(()),
            Asked::Refused => {
                self.floods.vain_request()?;
                if !have && !self.side.fast {
                    let piece = range.piece;
                    return Err(End::Misbehaved(format!("asked for piece {piece}, which was never announced to it")));
                }
                self.reject(vec![range]);
                Ok(())
            }
        }
    }

    pub(super) fn cancelled(&mut self, range: BlockRange) {
        let waiting = self.upload.cancel(range) || !self.out.take_back(|answer| answer == range).is_empty();
        if waiting {
            self.reject(vec![range]);
        }
    }

    /// Says which requests will not be answered; without the fast extension nobody wants to know.
    fn reject(&mut self, ranges: Vec<BlockRange>) {
        if self.side.fast {
            ranges.into_iter().for_each(|range| self.out.message(&Message::Reject(range)));
        }
    }

    pub(super) fn read_for_them(&mut self) {
        let scarce = self.torrent.upload_is_scarce();
        let enough = match (self.upload.is_unchoked(), scarce) {
            (false, _) => ENOUGH_FOR_CHOKED,
            (true, true) => ENOUGH_WHEN_SCARCE,
            (true, false) => ENOUGH_WAITING,
        };
        // Half of its share waits to be written, a quarter each may be in two reads.
        let share = usize::try_from(self.torrent.session.reading.share()).unwrap_or(usize::MAX);
        let (enough, most) = (enough.min(share / 2), u32::try_from(share / 4).unwrap_or(u32::MAX));
        let (giving, key, now) = (&self.torrent.giving, self.key, self.now);
        let may_give = |piece| !scarce || lock(giving).may_give(piece, key, now);
        // When others have all of it, the timer tries again.
        while self.out.answers_waiting() < enough
            && self.reading.try_grow(u64::from(most.min(READ_BYTES)))
            && let Some(ranges) = self.upload.next_read(most, may_give)
        {
            self.being_read += memory_of(&ranges);
            let read = file_worker::Read { torrent: self.torrent.clone(), ranges, to: self.me.clone() };
            self.torrent.session.file_jobs.cast(file_worker::Msg::Read(read));
        }
        self.reading.resize(self.being_read + self.out.block_memory());
        self.counts.requests_in.store(self.upload.waiting() as u32, Ordering::Relaxed);
    }

    /// `blocks` hold the bytes of `ranges`, one after the other; nothing when they could not be read.
    pub(super) fn send_blocks(&mut self, ranges: Vec<BlockRange>, blocks: Vec<Block>) {
        self.upload.read_ended();
        self.being_read -= memory_of(&ranges);
        if blocks.is_empty() {
            for range in &ranges {
                self.upload.was_read(*range);
            }
            self.reject(ranges);
            return self.read_for_them();
        }
        let mut blocks = blocks.into_iter();
        for range in ranges {
            let wanted = self.upload.was_read(range);
            let parts = range.length.div_ceil(crate::protocol::BLOCK_BYTES) as usize;
            let Some(first) = blocks.next() else { continue };
            let others = blocks.by_ref().take(parts - 1).collect();
            if wanted {
                self.out.answer(range, first, others);
            }
        }
        self.read_for_them();
    }
}

/// What the blocks that answer these requests take of memory.
fn memory_of(ranges: &[BlockRange]) -> u64 {
    let blocks: u32 = ranges.iter().map(|range| range.length.div_ceil(BLOCK_BYTES)).sum();
    u64::from(blocks) * u64::from(BLOCK_BYTES)
}
