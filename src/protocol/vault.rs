//! What a torrent holds: finished pieces, and the blocks of pieces that are not complete yet.
//!
//! The store's pure half. It outlives the store process (as an ETS table outlives its owner under an heir), so that a
//! crash costs no block that has arrived. It reads and writes no file: it says what must be hashed and believes what
//! it is told. Invariant: a piece is finished, or partial, or in the workers' hands, or untouched; never two of these.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::{Bitfield, Layout, PieceIndex};

/// Blocks of a piece that is not complete, and who sent them.
struct Partial<B, S> {
    blocks: Vec<Option<B>>,
    missing: u32,
    sources: Vec<S>,
}

/// What became of blocks that were put in.
pub enum Put<B, S> {
    /// Kept; the piece lacks others still.
    Kept,
    /// The piece is whole: hash it. It counts as in hand until [`Vault::settle`].
    Whole(Whole<B, S>),
    /// The piece was finished or in hand already; nothing was kept.
    Late,
}

/// A whole piece on its way through the workers. While one lives, the vault knows that its piece is in hand.
pub struct Whole<B, S> {
    /// Which piece.
    pub piece: PieceIndex,
    /// Its blocks, in order.
    pub blocks: Vec<B>,
    /// Who sent them; each once.
    pub sources: Vec<S>,
    /// Dropped with the job: tells a restarted store that the piece is in nobody's hands any more.
    pub token: Arc<()>,
}

/// The store's memory. `B`: a block; `S`: who sent it.
pub struct Vault<B, S> {
    layout: Layout,
    have: Bitfield,
    partials: BTreeMap<PieceIndex, Partial<B, S>>,
    in_hand: BTreeMap<PieceIndex, Weak<()>>,
}

impl<B, S: PartialEq + Clone> Vault<B, S> {
    /// A vault that holds nothing.
    pub fn new(layout: Layout) -> Self {
        let have = Bitfield::new(layout.pieces());
        Self { layout, have, partials: BTreeMap::new(), in_hand: BTreeMap::new() }
    }

    /// The finished pieces.
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Pieces with some blocks here, and which blocks.
    pub fn partials(&self) -> impl Iterator<Item = (PieceIndex, Bitfield)> + '_ {
        self.partials.iter().map(|(piece, partial)| {
            let mut present = Bitfield::new(partial.blocks.len() as u32);
            for (n, block) in (0..).zip(&partial.blocks) {
                if block.is_some() {
                    present.set(n);
                }
            }
            (*piece, present)
        })
    }

    /// Pieces that are whole and with the workers.
    pub fn in_hand(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.in_hand.keys().copied()
    }

    /// Puts in blocks of `piece` (number within the piece, block) that `source` sent. Returns also how many were
    /// there already (and were dropped).
    pub fn put(&mut self, piece: PieceIndex, blocks: Vec<(u32, B)>, source: S) -> (Put<B, S>, u32) {
        let count = blocks.len() as u32;
        if self.have.get(piece.0) || self.in_hand.contains_key(&piece) {
            return (Put::Late, count);
        }
        let total = self.layout.blocks_in(piece);
        let partial = self.partials.entry(piece).or_insert_with(|| Partial {
            blocks: (0..total).map(|_| None).collect(),
            missing: total,
            sources: Vec::new(),
        });
        let mut doubles = 0;
        for (n, block) in blocks {
            match partial.blocks.get_mut(n as usize) {
                Some(place @ None) => {
                    *place = Some(block);
                    partial.missing -= 1;
                }
                _ => doubles += 1,
            }
        }
        if doubles < count && !partial.sources.contains(&source) {
            partial.sources.push(source);
        }
        if partial.missing > 0 {
            return (Put::Kept, doubles);
        }
        let Some(partial) = self.partials.remove(&piece) else { return (Put::Kept, doubles) };
        let token = Arc::new(());
        self.in_hand.insert(piece, Arc::downgrade(&token));
        let blocks = partial.blocks.into_iter().flatten().collect();
        (Put::Whole(Whole { piece, blocks, sources: partial.sources, token }), doubles)
    }

    /// The workers are done with `piece`: `finished` when it passed its hash and is on disk, otherwise it is untouched again.
    /// True when it was not finished before.
    pub fn settle(&mut self, piece: PieceIndex, finished: bool) -> bool {
        self.in_hand.remove(&piece);
        if finished {
            self.partials.remove(&piece);
            return self.have.set(piece.0);
        }
        false
    }

    /// The content is not what was written any more: nothing is finished until it has been checked again.
    pub fn forget(&mut self) {
        self.have = Bitfield::new(self.layout.pieces());
    }

    /// After a restart: forgets pieces in hand whose job no longer exists (its result was lost with the crash).
    pub fn reclaim(&mut self) {
        self.in_hand.retain(|_, token| token.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pieces of three blocks each, the second one short.
    fn vault() -> Vault<char, u8> {
        let layout = Layout::new(3 * 16384, [5 * 16384 + 1]).expect("a valid layout");
        Vault::new(layout)
    }

    const P: PieceIndex = PieceIndex(0);

    #[test]
    fn a_piece_is_whole_when_its_last_block_is_put_in_whoever_sent_it() {
        let mut v = vault();
        assert!(matches!(v.put(P, vec![(2, 'c'), (0, 'a')], 1), (Put::Kept, 0)));
        assert_eq!(v.partials().map(|(p, b)| (p, b.count())).collect::<Vec<_>>(), [(P, 2)]);
        let (Put::Whole(whole), 0) = v.put(P, vec![(1, 'b')], 2) else { panic!("not whole") };
        assert_eq!((whole.blocks, whole.sources), (vec!['a', 'b', 'c'], vec![1, 2]));
        assert_eq!(v.partials().count(), 0);
        assert!(!v.have().get(0), "whole is not finished");
    }

    #[test]
    fn a_block_counts_once_and_its_double_names_no_source() {
        let mut v = vault();
        v.put(P, vec![(0, 'a')], 1);
        assert!(matches!(v.put(P, vec![(0, 'z')], 2), (Put::Kept, 1)));
        let (Put::Whole(whole), _) = v.put(P, vec![(1, 'b'), (2, 'c')], 1) else { panic!("not whole") };
        assert_eq!((whole.blocks, whole.sources), (vec!['a', 'b', 'c'], vec![1]));
    }

    #[test]
    fn blocks_of_a_finished_piece_are_late() {
        let mut v = vault();
        let (Put::Whole(_whole), _) = v.put(P, vec![(0, 'a'), (1, 'b'), (2, 'c')], 1) else { panic!("not whole") };
        assert!(matches!(v.put(P, vec![(0, 'a')], 1), (Put::Late, 1)), "in hand");
        v.settle(P, true);
        assert!(v.have().get(0));
        assert!(matches!(v.put(P, vec![(0, 'a')], 1), (Put::Late, 1)), "finished");
    }

    #[test]
    fn after_a_failed_hash_the_piece_is_untouched() {
        let mut v = vault();
        v.put(P, vec![(0, 'a'), (1, 'b'), (2, 'c')], 1);
        v.settle(P, false);
        assert!(!v.have().get(0));
        assert!(matches!(v.put(P, vec![(0, 'a')], 1), (Put::Kept, 0)));
    }

    #[test]
    fn a_restart_keeps_what_the_workers_hold_and_forgets_what_is_lost() {
        let mut v = vault();
        let (Put::Whole(held), _) = v.put(P, vec![(0, 'a'), (1, 'b'), (2, 'c')], 1) else { panic!("not whole") };
        let (Put::Whole(lost), _) = v.put(PieceIndex(1), vec![(0, 'a'), (1, 'b'), (2, 'c')], 1) else {
            panic!("not whole")
        };
        drop(lost);
        v.reclaim();
        assert_eq!(v.in_hand().collect::<Vec<_>>(), [P]);
        drop(held);
    }
}
