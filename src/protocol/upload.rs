//! What the other side has asked of us: requests in order, which of them are being read from disk, and when to stop listening.
//!
//! Pure. It bounds what one peer can make us hold: at most [`MAX_REQUESTS`] requests (12 bytes each) and [`MAX_READS`] reads
//! of at most [`READ_BLOCKS`] blocks. It reads no file and sends nothing.

use std::collections::VecDeque;

use super::BlockRange;

/// Requests kept per peer (what clients call `reqq`).
pub const MAX_REQUESTS: usize = 512;
/// Reads from disk under way at once.
pub const MAX_READS: u32 = 2;
/// Requests answered with one read, at most; and their bytes together, when there are several.
pub const READ_BLOCKS: usize = 16;
/// See [`READ_BLOCKS`].
pub const READ_BYTES: u32 = 256 * 1024;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It will be answered in its turn.
    Queued,
    /// We choke the peer: dropped, as BEP 3 says.
    Choked,
    /// More requests than we keep: the peer floods.
    Flood,
}

/// Requests of one peer.
#[derive(Debug, Default)]
pub struct Upload {
    unchoked: bool,
    queue: VecDeque<BlockRange>,
    reads: u32,
}

impl Upload {
    /// Sets whether we serve the peer. Choking drops everything that it asked for.
    pub fn set_unchoked(&mut self, unchoked: bool) {
        self.unchoked = unchoked;
        if !unchoked {
            self.queue.clear();
        }
    }

    /// True while we serve the peer.
    pub fn is_unchoked(&self) -> bool {
        self.unchoked
    }

    /// The peer asks for `range`, which is known to lie inside the torrent.
    pub fn request(&mut self, range: BlockRange) -> Asked {
        if !self.unchoked {
            return Asked::Choked;
        }
        if self.queue.len() >= MAX_REQUESTS {
            return Asked::Flood;
        }
        self.queue.push_back(range);
        Asked::Queued
    }

    /// The peer no longer wants `range`.
    pub fn cancel(&mut self, range: BlockRange) {
        self.queue.retain(|r| *r != range);
    }

    /// The next requests to read together: of one piece, each beginning where the one before it ends.
    pub fn next_read(&mut self) -> Option<Vec<BlockRange>> {
        if self.reads >= MAX_READS {
            return None;
        }
        let first = self.queue.pop_front()?;
        let mut group = vec![first];
        let mut end = (first.piece, first.begin + first.length);
        while group.len() < READ_BLOCKS
            && let Some(next) = self.queue.front().copied()
            && (next.piece, next.begin) == end
            && end.1 - first.begin + next.length <= READ_BYTES
        {
            self.queue.pop_front();
            end.1 += next.length;
            group.push(next);
        }
        self.reads += 1;
        Some(group)
    }

    /// A read ended, well or not.
    pub fn read_ended(&mut self) {
        self.reads = self.reads.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::PieceIndex;
    use super::*;

    fn block(piece: u32, n: u32) -> BlockRange {
        BlockRange { piece: PieceIndex(piece), begin: n * 16384, length: 16384 }
    }

    fn serving(blocks: &[(u32, u32)]) -> Upload {
        let mut upload = Upload::default();
        upload.set_unchoked(true);
        for (piece, n) in blocks {
            assert_eq!(upload.request(block(*piece, *n)), Asked::Queued);
        }
        upload
    }

    #[test]
    fn requests_that_follow_each_other_are_read_together() {
        let mut upload = serving(&[(0, 0), (0, 1), (0, 3), (1, 4), (1, 5)]);
        assert_eq!(upload.next_read(), Some(vec![block(0, 0), block(0, 1)]));
        assert_eq!(upload.next_read(), Some(vec![block(0, 3)]));
        assert_eq!(upload.next_read(), None, "two reads are under way");
        upload.read_ended();
        assert_eq!(upload.next_read(), Some(vec![block(1, 4), block(1, 5)]));
    }

    #[test]
    fn a_choked_peer_gets_nothing_and_what_it_asked_for_is_forgotten() {
        let mut upload = serving(&[(0, 0)]);
        upload.set_unchoked(false);
        assert_eq!(upload.request(block(0, 1)), Asked::Choked);
        assert_eq!(upload.next_read(), None);
    }

    #[test]
    fn a_cancelled_request_is_not_read() {
        let mut upload = serving(&[(0, 0), (0, 1)]);
        upload.cancel(block(0, 0));
        assert_eq!(upload.next_read(), Some(vec![block(0, 1)]));
    }

    #[test]
    fn a_flood_is_told_from_a_deep_pipeline() {
        let mut upload = serving(&[]);
        let answers: Vec<_> = (0..=MAX_REQUESTS as u32).map(|n| upload.request(block(n, 0))).collect();
        assert!(answers[..MAX_REQUESTS].iter().all(|a| *a == Asked::Queued));
        assert_eq!(answers[MAX_REQUESTS], Asked::Flood);
    }
}
