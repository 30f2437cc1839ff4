//! What the other side has asked of us: requests in order, which of them are being read from disk, and when to stop listening.
//!
//! Pure. It bounds what one peer can make us hold: at most [`MAX_REQUESTS`] requests (12 bytes each) and [`MAX_READS`] reads
//! of at most [`READ_BLOCKS`] blocks. While the peer is choked only pieces of its fast set are served (BEP 6). It reads
//! no file and sends nothing.

use std::collections::{BTreeSet, VecDeque};

use super::{BlockRange, PieceIndex};

/// Requests kept per peer: the `reqq` that we announce (BEP 10).
pub const MAX_REQUESTS: usize = 2000;
/// Pieces that one peer may have while it is choked.
const MAX_FAST: usize = 64;
/// Reads from disk under way at once.
pub const MAX_READS: u32 = 2;
/// Requests answered with one read, at most; and their bytes together, when there are several.
pub const READ_BLOCKS: usize = 16;
/// See [`READ_BLOCKS`].
pub const READ_BYTES: u32 = 256 * 1024;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It will be answered in its turn; or it is asked for twice, and answered once.
    Queued,
    /// It will not be answered: the peer is choked, or asks for more than we keep.
    Refused,
}

/// Requests of one peer.
#[derive(Debug, Default)]
pub struct Upload {
    unchoked: bool,
    /// Pieces that are served even while the peer is choked.
    fast: BTreeSet<PieceIndex>,
    queue: VecDeque<BlockRange>,
    /// Requests with the file workers; those that are wanted no longer are struck out.
    reading: Vec<BlockRange>,
    reads: u32,
}

impl Upload {
    /// The peer is served from now on.
    pub fn unchoke(&mut self) {
        self.unchoked = true;
    }

    /// The peer is served no longer, but for its fast set. Returns the requests that will not be answered.
    pub fn choke(&mut self) -> Vec<BlockRange> {
        self.unchoked = false;
        let fast = &self.fast;
        let served = |range: &BlockRange| fast.contains(&range.piece);
        let dropped = self.queue.iter().chain(&self.reading).filter(|range| !served(range)).copied().collect();
        self.queue.retain(served);
        self.reading.retain(served);
        dropped
    }

    /// Pieces of which the peer has asked for a block that it has not got; oldest first, each once.
    pub fn begun(&self) -> Vec<PieceIndex> {
        let mut begun: Vec<PieceIndex> = Vec::new();
        for range in self.reading.iter().chain(&self.queue) {
            if !begun.contains(&range.piece) {
                begun.push(range.piece);
            }
        }
        begun
    }

    /// `piece` is served even while the peer is choked (BEP 6).
    /// False when it was already, or when that would be too many.
    pub fn allow(&mut self, piece: PieceIndex) -> bool {
        self.fast.len() < MAX_FAST && self.fast.insert(piece)
    }

    /// True while we serve the peer.
    pub fn is_unchoked(&self) -> bool {
        self.unchoked
    }

    /// True when `piece` is served even while the peer is choked.
    pub fn is_fast(&self, piece: PieceIndex) -> bool {
        self.fast.contains(&piece)
    }

    /// Requests that wait or are being read.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.reading.len()
    }

    /// The peer asks for `range`, which is known to lie inside a finished piece.
    pub fn request(&mut self, range: BlockRange) -> Asked {
        let served = self.unchoked || self.is_fast(range.piece);
        if !served || self.waiting() >= MAX_REQUESTS {
            return Asked::Refused;
        }
        // Asked for twice in a row is asked for once; whoever goes through the queue for more than that is doing it for nothing.
        if self.queue.back() != Some(&range) {
            self.queue.push_back(range);
        }
        Asked::Queued
    }

    /// The peer no longer wants `range`. True when it has not been answered yet, and will not be.
    pub fn cancel(&mut self, range: BlockRange) -> bool {
        let before = self.waiting();
        self.queue.retain(|r| *r != range);
        self.reading.retain(|r| *r != range);
        self.waiting() < before
    }

    /// The next requests to read together: of one piece, each beginning where the one before it ends, several only if they have no more
    /// than `most` bytes together. Of the pieces for which `may_give` says no, none is read now.
    pub fn next_read(&mut self, most: u32, mut may_give: impl FnMut(PieceIndex) -> bool) -> Option<Vec<BlockRange>> {
        if self.reads >= MAX_READS {
            return None;
        }
        let mut judged = None;
        let mut may = |piece: PieceIndex| match judged {
            Some((of, may)) if of == piece => may,
            _ => judged.insert((piece, may_give(piece))).1,
        };
        let at = self.queue.iter().position(|range| may(range.piece))?;
        let first = self.queue.remove(at)?;
        let mut group = Vec::with_capacity(READ_BLOCKS);
        group.push(first);
        let mut end = (first.piece, first.begin + first.length);
        while group.len() < READ_BLOCKS
            && let Some(next) = self.queue.get(at).copied()
            && (next.piece, next.begin) == end
            && end.1 - first.begin + next.length <= most.min(READ_BYTES)
        {
            self.queue.remove(at);
            end.1 += next.length;
            group.push(next);
        }
        self.reads += 1;
        self.reading.extend(&group);
        Some(group)
    }

    /// A read ended, well or not. [`was_read`](Self::was_read) follows for each of its ranges.
    pub fn read_ended(&mut self) {
        self.reads = self.reads.saturating_sub(1);
    }

    /// The read of `range` ended. True when it is still wanted.
    pub fn was_read(&mut self, range: BlockRange) -> bool {
        let place = self.reading.iter().position(|r| *r == range);
        place.map(|place| self.reading.remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(piece: u32, n: u32) -> BlockRange {
        BlockRange { piece: PieceIndex(piece), begin: n * 16384, length: 16384 }
    }

    /// The read of `ranges` ended; which of them are still wanted.
    fn ended(upload: &mut Upload, ranges: &[BlockRange]) -> Vec<bool> {
        upload.read_ended();
        ranges.iter().map(|range| upload.was_read(*range)).collect()
    }

    fn serving(blocks: &[(u32, u32)]) -> Upload {
        let mut upload = Upload::default();
        upload.unchoke();
        for (piece, n) in blocks {
            assert_eq!(upload.request(block(*piece, *n)), Asked::Queued);
        }
        upload
    }

    #[test]
    fn requests_that_follow_each_other_are_read_together() {
        let mut upload = serving(&[(0, 0), (0, 1), (0, 3), (1, 4), (1, 5)]);
        assert_eq!(upload.next_read(READ_BYTES, |_| true), Some(vec![block(0, 0), block(0, 1)]));
        assert_eq!(upload.next_read(READ_BYTES, |_| true), Some(vec![block(0, 3)]));
        assert_eq!(upload.next_read(READ_BYTES, |_| true), None, "two reads are under way");
        assert_eq!(ended(&mut upload, &[block(0, 3)]), [true]);
        assert_eq!(upload.next_read(READ_BYTES, |_| true), Some(vec![block(1, 4), block(1, 5)]));
    }

    #[test]
    fn a_choked_peer_gets_nothing_but_its_fast_pieces() {
        let mut upload = serving(&[(0, 0), (7, 0), (0, 1)]);
        assert_eq!(upload.next_read(READ_BYTES, |_| true), Some(vec![block(0, 0)]));
        upload.allow(PieceIndex(7));
        assert_eq!(upload.choke(), [block(0, 1), block(0, 0)]);
        assert_eq!([(0, 1), (7, 1)].map(|(p, n)| upload.request(block(p, n))), [Asked::Refused, Asked::Queued]);
        assert_eq!(ended(&mut upload, &[block(0, 0)]), [false], "it was read for nothing");
        assert_eq!(upload.next_read(READ_BYTES, |_| true), Some(vec![block(7, 0), block(7, 1)]));
    }

    #[test]
    fn a_cancelled_request_is_not_answered() {
        let mut upload = serving(&[(0, 0), (0, 1), (5, 5)]);
        assert!(upload.cancel(block(5, 5)) && !upload.cancel(block(5, 5)));
        let read = upload.next_read(READ_BYTES, |_| true).unwrap();
        assert!(upload.cancel(block(0, 0)), "it is being read");
        assert_eq!(ended(&mut upload, &read), [false, true]);
        assert!(!upload.cancel(block(0, 1)), "it is answered");
        assert_eq!(upload.waiting(), 0);
    }

    #[test]
    fn more_than_we_keep_is_refused() {
        let mut upload = serving(&[]);
        let answers: Vec<_> = (0..=MAX_REQUESTS as u32).map(|n| upload.request(block(n, 0))).collect();
        assert!(answers[..MAX_REQUESTS].iter().all(|a| *a == Asked::Queued));
        assert_eq!(answers[MAX_REQUESTS], Asked::Refused);
    }
}
