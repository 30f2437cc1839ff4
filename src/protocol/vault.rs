//! What a torrent holds: finished pieces, the blocks of pieces that are not complete yet, and what is known of pieces that failed.
//!
//! The store's pure half. It outlives the store process (as an ETS table outlives its owner under an heir), so that a
//! crash costs no block that has arrived. It reads and writes no file and hashes nothing: it says what must be hashed and believes what
//! it is told. Invariant: a piece is finished, or partial, or in the workers' hands, or untouched; never two of these.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use super::{Bitfield, Layout, PieceIndex};

/// Most failures that are remembered, and most blocks of them together; the oldest are forgotten first.
const MAX_EVIDENCE: usize = 64;
const MAX_EVIDENCE_BLOCKS: usize = 1 << 17;

/// A block that is here, and who sent it: its place among the sources of its piece.
type Sent<B> = (B, u32);

/// Blocks of a piece that is not complete, and who sent them.
struct Partial<B, S> {
    blocks: Vec<Option<Sent<B>>>,
    missing: u32,
    sources: Vec<S>,
}

/// What became of blocks that were put in.
pub enum Put<B, S> {
    /// Kept; the piece lacks others still.
    Kept,
    /// The piece is whole: hash it. It counts as in hand until [`Vault::finished`] or [`Vault::failed`].
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
    /// Who sent each block: a place in `sources`.
    sent_by: Vec<u32>,
    /// What is known of earlier failures of the piece.
    failures: Vec<Arc<Evidence<S>>>,
    /// Dropped with the job: tells a restarted store that the piece is in nobody's hands any more.
    pub token: Arc<()>,
}

/// What each of several peers sent of a piece that failed its hash: the SHA-1 of every block, and whose it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Evidence<S> {
    sources: Vec<S>,
    blocks: Vec<([u8; 20], u32)>,
}

impl<B, S: PartialEq + Clone> Whole<B, S> {
    /// What is to be remembered of a piece that failed its hash; nothing when it came from one peer, for then that one lied.
    /// `hash`: the SHA-1 of a block.
    pub fn evidence(&self, hash: impl Fn(&B) -> [u8; 20]) -> Option<Evidence<S>> {
        let blocks = || self.blocks.iter().map(hash).zip(self.sent_by.iter().copied()).collect();
        (self.sources.len() > 1).then(|| Evidence { sources: self.sources.clone(), blocks: blocks() })
    }

    /// Now that the piece has passed its hash: who sent a block that differs from the right one, each once. Whoever sent none but
    /// right ones is not among them.
    pub fn liars(&self, hash: impl Fn(&B) -> [u8; 20]) -> Vec<S> {
        let mut liars = Vec::new();
        if self.failures.is_empty() {
            return liars;
        }
        let right: Vec<[u8; 20]> = self.blocks.iter().map(hash).collect();
        for evidence in &self.failures {
            for (_, (_, by)) in right.iter().zip(&evidence.blocks).filter(|(right, (sent, _))| *right != sent) {
                let liar = evidence.sources.get(*by as usize);
                liars.extend(liar.filter(|liar| !liars.contains(liar)).cloned());
            }
        }
        liars
    }
}

/// The store's memory. `B`: a block; `S`: who sent it.
pub struct Vault<B, S> {
    layout: Layout,
    have: Bitfield,
    partials: BTreeMap<PieceIndex, Partial<B, S>>,
    in_hand: BTreeMap<PieceIndex, Weak<()>>,
    /// Failures of pieces that have not been finished since, the oldest first.
    failures: VecDeque<(PieceIndex, Arc<Evidence<S>>)>,
}

impl<B, S: PartialEq + Clone> Vault<B, S> {
    /// A vault that holds nothing.
    pub fn new(layout: Layout) -> Self {
        let have = Bitfield::new(layout.pieces());
        Self { layout, have, partials: BTreeMap::new(), in_hand: BTreeMap::new(), failures: VecDeque::new() }
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
    /// there already (and were dropped: whoever sent a block first answers for it).
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
        let known = partial.sources.iter().position(|known| *known == source);
        let by = known.unwrap_or(partial.sources.len()) as u32;
        let mut doubles = 0;
        for (n, block) in blocks {
            match partial.blocks.get_mut(n as usize) {
                Some(place @ None) => {
                    *place = Some((block, by));
                    partial.missing -= 1;
                }
                _ => doubles += 1,
            }
        }
        if doubles < count && known.is_none() {
            partial.sources.push(source);
        }
        if partial.missing > 0 {
            return (Put::Kept, doubles);
        }
        let Some(partial) = self.partials.remove(&piece) else { return (Put::Kept, doubles) };
        let token = Arc::new(());
        self.in_hand.insert(piece, Arc::downgrade(&token));
        let (mut blocks, mut sent_by) = (Vec::with_capacity(total as usize), Vec::with_capacity(total as usize));
        for (block, by) in partial.blocks.into_iter().flatten() {
            blocks.push(block);
            sent_by.push(by);
        }
        let failures = self.failures.iter().filter(|(failed, _)| *failed == piece);
        let failures = failures.map(|(_, evidence)| evidence.clone()).collect();
        (Put::Whole(Whole { piece, blocks, sources: partial.sources, sent_by, failures, token }), doubles)
    }

    /// The workers are done with `piece`: it passed its hash and is on disk. True when it was not finished before.
    pub fn finished(&mut self, piece: PieceIndex) -> bool {
        self.in_hand.remove(&piece);
        self.partials.remove(&piece);
        self.failures.retain(|(failed, _)| *failed != piece);
        self.have.set(piece.0)
    }

    /// The workers are done with `piece`: it is untouched again. `evidence`: what is to be remembered if it failed its hash.
    pub fn failed(&mut self, piece: PieceIndex, evidence: Option<Evidence<S>>) {
        self.in_hand.remove(&piece);
        self.failures.extend(evidence.map(|evidence| (piece, Arc::new(evidence))));
        let blocks = |failures: &VecDeque<(_, Arc<Evidence<S>>)>| failures.iter().map(|(_, e)| e.blocks.len()).sum();
        let too_many = |sum: usize, count: usize| count > MAX_EVIDENCE || (sum > MAX_EVIDENCE_BLOCKS && count > 1);
        while too_many(blocks(&self.failures), self.failures.len()) {
            self.failures.pop_front();
        }
    }

    /// The content of `piece` is not what was written any more: it is finished no longer. True when it was.
    pub fn forget(&mut self, piece: PieceIndex) -> bool {
        self.have.clear(piece.0)
    }

    /// After a restart: forgets pieces in hand whose job no longer exists (its result was lost with the crash).
    pub fn reclaim(&mut self) {
        self.in_hand.retain(|_, token| token.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests;
