//! To whom a seed with little to give is giving which piece: as long as nobody else has a piece, one peer at a time gets it.
//!
//! When two ask for the same piece that only we have, giving it to both takes twice as long as giving it to one, from whom the other can
//! have it. So the second waits a moment. Pure; it outlives the peer processes that ask it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bitfield, PeerKey, PieceIndex};

/// Whoever takes no block of its piece for so long has it no longer to itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who gets what, in one torrent.
#[derive(Debug)]
pub struct Giving {
    /// Pieces that somebody else has.
    spread: Bitfield,
    /// Who gets a piece that is not spread, and when it last took some of it.
    to: BTreeMap<PieceIndex, (PeerKey, Duration)>,
}

impl Giving {
    /// For a torrent of `pieces` pieces of which nobody else has any.
    pub fn new(pieces: u32) -> Self {
        Self { spread: Bitfield::new(pieces), to: BTreeMap::new() }
    }

    /// Somebody else has `piece`: from here on anybody gets it.
    pub fn has(&mut self, piece: PieceIndex) {
        self.spread.set(piece.0);
        self.to.remove(&piece);
    }

    /// True when somebody else has `piece`.
    pub fn is_spread(&self, piece: PieceIndex) -> bool {
        self.spread.get(piece.0)
    }

    /// May blocks of `piece` go to this peer now? If so it counts as taking some.
    pub fn may_give(&mut self, piece: PieceIndex, key: PeerKey, now: Duration) -> bool {
        if self.is_spread(piece) {
            return true;
        }
        let (to, since) = self.to.entry(piece).or_insert((key, now));
        let may = *to == key || now.saturating_sub(*since) >= PATIENCE;
        if may {
            (*to, *since) = (key, now);
        }
        may
    }

    /// A peer is gone: what it was getting is for others.
    pub fn left(&mut self, key: PeerKey) {
        self.to.retain(|_, (to, _)| *to != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PieceIndex = PieceIndex(3);
    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_piece_that_nobody_has_goes_to_one_peer_until_it_has_it() {
        let mut giving = Giving::new(9);
        assert!(giving.may_give(P, A, at(0)) && !giving.may_give(P, B, at(1)) && giving.may_give(P, A, at(1)));
        assert!(giving.may_give(PieceIndex(4), B, at(1)), "another piece is another matter");
        giving.has(P);
        assert!(giving.may_give(P, B, at(1)) && giving.may_give(P, A, at(1)));
    }

    #[test]
    fn who_takes_nothing_more_or_goes_keeps_nobody_waiting() {
        let mut giving = Giving::new(9);
        giving.may_give(P, A, at(0));
        assert!(!giving.may_give(P, B, at(1)) && giving.may_give(P, B, at(2)) && !giving.may_give(P, A, at(3)));
        giving.left(B);
        assert!(giving.may_give(P, A, at(3)));
    }
}
