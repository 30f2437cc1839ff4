//! The two ordsets at the heart of the client process, have and want, and a third for what nobody wants.
//!
//! A piece is in exactly one of them from the first moment to the last. What of want is being fetched is the picker's.

use std::fmt;

use super::{Bitfield, Layout, OrdSet, PieceIndex};

/// Which pieces a torrent has, wants and skips. Invariant: no piece is in two of the sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    have: OrdSet<PieceIndex>,
    want: OrdSet<PieceIndex>,
    skipped: OrdSet<PieceIndex>,
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
        Self { have: OrdSet::new(), want: (0..pieces).map(PieceIndex).collect(), skipped: OrdSet::new() }
    }

    /// Has what the store found finished, wants what else is `wanted`, skips the rest.
    pub fn having(layout: &Layout, finished: &Bitfield, wanted: &Bitfield) -> Self {
        let all = Self::wanting(layout.pieces()).want;
        let among = |pieces: &Bitfield| pieces.iter_ones().map(PieceIndex).collect::<OrdSet<_>>().intersection(&all);
        let (have, wanted) = (among(finished), among(wanted));
        Self { want: wanted.subtract(&have), skipped: all.subtract(&wanted).subtract(&have), have }
    }

    /// Moves `piece` to have. `Ok(false)`: we had it already (endgame).
    /// `Err`: not a piece of this torrent, so the sender has a bug.
    pub fn finish(&mut self, piece: PieceIndex) -> Result<bool, UnknownPiece> {
        let new = (self.want.del_element(piece) || self.skipped.del_element(piece)) && self.have.add_element(piece);
        self.have.is_element(piece).then_some(new).ok_or(UnknownPiece(piece))
    }

    /// The finished pieces.
    pub fn have(&self) -> &OrdSet<PieceIndex> {
        &self.have
    }

    /// The pieces that are still to be finished.
    pub fn want(&self) -> &OrdSet<PieceIndex> {
        &self.want
    }

    /// The pieces that are neither finished nor wanted.
    pub fn skipped(&self) -> &OrdSet<PieceIndex> {
        &self.skipped
    }

    /// True when nothing is wanted any more. Pieces may be skipped all the same.
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

    /// Drawn, one character a piece: `x` had, `?` wanted, `-` skipped; `!` for a piece in two sets or in none.
    fn drawn(pieces: &Pieces, count: u32) -> String {
        let piece = |n| match [&pieces.have, &pieces.want, &pieces.skipped].map(|set| set.is_element(PieceIndex(n))) {
            [true, false, false] => 'x',
            [false, true, false] => '?',
            [false, false, true] => '-',
            _ => '!',
        };
        (0..count).map(piece).collect()
    }

    fn field(drawn: &str) -> Bitfield {
        let mut field = Bitfield::new(drawn.len() as u32);
        for (n, _) in (0u32..).zip(drawn.chars()).filter(|(_, c)| *c != '.') {
            field.set(n);
        }
        field
    }

    #[test]
    fn what_is_neither_had_nor_wanted_is_skipped() {
        let layout = Layout::new(1, [8]).expect("a valid layout");
        let mut pieces = Pieces::having(&layout, &field("xx......"), &field(".?.??..."));
        assert_eq!(drawn(&pieces, 8), "xx-??---");
        assert_eq!([3, 6, 6].map(|n| pieces.finish(PieceIndex(n))), [Ok(true), Ok(true), Ok(false)]);
        assert_eq!((drawn(&pieces, 8).as_str(), pieces.is_complete()), ("xx-x?-x-", false));
        assert_eq!(pieces.finish(PieceIndex(4)), Ok(true));
        assert!(pieces.is_complete(), "although pieces are skipped");
        let foreign = Pieces::having(&layout, &field("x..........x"), &field("..........???"));
        assert_eq!((drawn(&foreign, 8).as_str(), foreign.have().size()), ("x-------", 1));
    }

    #[test]
    fn have_want_and_skipped_partition_the_pieces_after_every_step() {
        let layout = Layout::new(1, [200]).expect("a valid layout");
        let mut finished = Bitfield::new(200);
        finished.set(3);
        let mut wanted = Bitfield::full(200);
        wanted.clear(7);
        let mut pieces = Pieces::having(&layout, &finished, &wanted);
        for step in 0..200 {
            assert!(!drawn(&pieces, 200).contains('!'));
            let new = pieces.finish(PieceIndex(step * 77 % 200));
            assert_eq!(new, Ok(step * 77 % 200 != 3));
        }
        assert_eq!(drawn(&pieces, 200), "x".repeat(200));
        assert!(pieces.is_complete());
    }
}
