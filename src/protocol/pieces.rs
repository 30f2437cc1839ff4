//! The two ordsets at the heart of the client process: have and want.
//!
//! A piece is in exactly one of them from the first moment to the last. What of want is being fetched is the picker's.

use std::fmt;

use super::{Bitfield, Layout, OrdSet, PieceIndex};

/// Which pieces a torrent has and wants. Invariant: no piece is in both sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    have: OrdSet<PieceIndex>,
    want: OrdSet<PieceIndex>,
}

/// Not a piece of this torrent, so whoever named it has a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownPiece(pub PieceIndex);

impl fmt::Display for UnknownPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "piece {} is no piece of this torrent", self.0)
    }
}

impl std::error::Error for UnknownPiece {}

impl Pieces {
    /// Wants all of `pieces` pieces.
    pub fn wanting(pieces: u32) -> Self {
        Self { have: OrdSet::new(), want: (0..pieces).map(PieceIndex).collect() }
    }

    /// Has what the store found finished, wants the rest.
    pub fn having(layout: &Layout, finished: &Bitfield) -> Self {
        let all = Self::wanting(layout.pieces()).want;
        let have = finished.iter_ones().map(PieceIndex).collect::<OrdSet<_>>().intersection(&all);
        Self { want: all.subtract(&have), have }
    }

    /// Moves `piece` from want to have. `Ok(false)`: we had it already (endgame).
    /// `Err`: not a piece of this torrent, so the sender has a bug.
    pub fn finish(&mut self, piece: PieceIndex) -> Result<bool, UnknownPiece> {
        let new = self.want.del_element(piece) && self.have.add_element(piece);
        self.have.is_element(piece).then_some(new).ok_or(UnknownPiece(piece))
    }

    /// The finished pieces.
    pub fn have(&self) -> &OrdSet<PieceIndex> {
        &self.have
    }

    /// The pieces that are not finished.
    pub fn want(&self) -> &OrdSet<PieceIndex> {
        &self.want
    }

    /// True when nothing is wanted any more.
    pub fn is_complete(&self) -> bool {
        self.want.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_finished_once() {
        let mut pieces = Pieces::wanting(1);
        assert_eq!([0, 0].map(|i| pieces.finish(PieceIndex(i))), [Ok(true), Ok(false)]);
    }

    #[test]
    fn a_piece_of_another_torrent_is_a_bug() {
        let mut pieces = Pieces::wanting(2);
        assert_eq!(pieces.finish(PieceIndex(2)), Err(UnknownPiece(PieceIndex(2))));
        assert_eq!(pieces, Pieces::wanting(2));
    }

    #[test]
    fn have_and_want_partition_the_pieces_after_every_step() {
        let layout = Layout::new(1, [200]).expect("a valid layout");
        let mut finished = Bitfield::new(200);
        finished.set(3);
        let mut pieces = Pieces::having(&layout, &finished);
        for step in 0..200 {
            let partition = pieces.have().is_disjoint(pieces.want());
            assert!(partition && pieces.have().union(pieces.want()) == *Pieces::wanting(200).want());
            let new = pieces.finish(PieceIndex(step * 77 % 200));
            assert_eq!(new, Ok(step * 77 % 200 != 3));
        }
        assert!(pieces.is_complete());
    }
}
