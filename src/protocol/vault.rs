//! What a torrent holds: finished pieces, the blocks of pieces that are not complete yet, and what is known of pieces that failed.
//!
//! The store's pure half. It outlives the store process (as an ETS table outlives its owner under an heir), so that a
//! crash costs no block that has arrived. It reads and writes no file and hashes nothing: it says what must be hashed and believes what
//! it is told. Invariant: a piece is finished, or partial, or in the workers' hands, or untouched; never two of these.
//!
//! The blocks of a *spilled* piece are not kept: they go to their place in the files as they come, and the piece is whole when the last
//! one is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Weak};

use super::{Bitfield, Layout, PieceIndex};

/// Most failures that are remembered, and most blocks of them together; the oldest are forgotten first.
const MAX_EVIDENCE: usize = 64;
const MAX_EVIDENCE_BLOCKS: usize = 1 << 17;

/// Where a block is.
enum Place<B> {
    Here(B),
    /// With a worker, on its way to the disk; a token that is gone says that it got lost.
    Leaving(Weak<()>),
    OnDisk,
}

/// A block that has come, and who sent it: its place among the sources of its piece.
type Sent<B> = (Place<B>, u32);

/// Blocks of a piece that is not complete, and who sent them.
struct Partial<B, S> {
    blocks: Vec<Option<Sent<B>>>,
    /// Blocks that are neither here nor on the disk.
    missing: u32,
    sources: Vec<S>,
}

impl<B, S> Partial<B, S> {
    fn of(blocks: u32) -> Self {
        Self { blocks: (0..blocks).map(|_| None).collect(), missing: blocks, sources: Vec::new() }
    }

    /// Takes out the blocks that are here: they leave for the disk.
    fn leave(&mut self, piece: PieceIndex) -> Spill<B> {
        let (token, mut leaving) = (Arc::new(()), Vec::new());
        for (n, sent) in (0..).zip(&mut self.blocks) {
            if let Some((place @ Place::Here(_), _)) = sent
                && let Place::Here(block) = std::mem::replace(place, Place::Leaving(Arc::downgrade(&token)))
            {
                leaving.push((n, block));
            }
        }
        self.missing += leaving.len() as u32;
        Spill { piece, blocks: leaving, token }
    }
}

/// What became of blocks that were put in.
pub enum Put<B, S> {
    /// Kept; the piece lacks others still.
    Kept,
    /// The piece is whole: hash it. It counts as in hand until [`Vault::finished`] or [`Vault::failed`].
    Whole(Whole<B, S>),
    /// These have to be written; the piece is spilled.
    Spill(Spill<B>),
    /// The piece was finished or in hand already; nothing was kept.
    Late,
}

/// Blocks of an incomplete piece on their way to the disk.
pub struct Spill<B> {
    /// Of which piece.
    pub piece: PieceIndex,
    /// Number within the piece, block; in the order of the numbers.
    pub blocks: Vec<(u32, B)>,
    /// To be handed to [`Vault::spilled`] when they are on the disk. Without it they count as lost after a restart.
    pub token: Arc<()>,
}

/// A whole piece on its way through the workers. While one lives, the vault knows that its piece is in hand.
pub struct Whole<B, S> {
    /// Which piece.
    pub piece: PieceIndex,
    /// Its blocks, in order; none when they are on the disk.
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
    /// `hashes`: the SHA-1 of each block, when that can be told.
    pub fn evidence(&self, hashes: impl FnOnce(&Self) -> Option<Vec<[u8; 20]>>) -> Option<Evidence<S>> {
        if self.sources.len() < 2 {
            return None;
        }
        let blocks = hashes(self)?.into_iter().zip(self.sent_by.iter().copied()).collect();
        Some(Evidence { sources: self.sources.clone(), blocks })
    }

    /// True when its blocks are on the disk and not in memory.
    pub fn is_on_disk(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Now that the piece has passed its hash: who sent a block that differs from the right one, each once. Whoever sent none but
    /// right ones is not among them.
    pub fn liars(&self, hashes: impl FnOnce(&Self) -> Option<Vec<[u8; 20]>>) -> Vec<S> {
        let mut liars = Vec::new();
        if self.failures.is_empty() {
            return liars;
        }
        let right = hashes(self).unwrap_or_default();
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
    /// Pieces that are not finished and whose blocks go to the disk as they come.
    spilled: BTreeSet<PieceIndex>,
    /// Failures of pieces that have not been finished since, the oldest first.
    failures: VecDeque<(PieceIndex, Arc<Evidence<S>>)>,
}

impl<B, S: PartialEq + Clone> Vault<B, S> {
    /// A vault that holds nothing.
    pub fn new(layout: Layout) -> Self {
        let have = Bitfield::new(layout.pieces());
        let (partials, in_hand) = (BTreeMap::new(), BTreeMap::new());
        Self { layout, have, partials, in_hand, spilled: BTreeSet::new(), failures: VecDeque::new() }
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
        let partial = self.partials.entry(piece).or_insert_with(|| Partial::of(total));
        let known = partial.sources.iter().position(|known| *known == source);
        let by = known.unwrap_or(partial.sources.len()) as u32;
        let mut doubles = 0;
        for (n, block) in blocks {
            match partial.blocks.get_mut(n as usize) {
                Some(place @ None) => {
                    *place = Some((Place::Here(block), by));
                    partial.missing -= 1;
                }
                _ => doubles += 1,
            }
        }
        if doubles < count && known.is_none() {
            partial.sources.push(source);
        }
        if doubles < count && self.spilled.contains(&piece) {
            return (Put::Spill(partial.leave(piece)), doubles);
        }
        (self.whole(piece).map_or(Put::Kept, Put::Whole), doubles)
    }

    /// From now on the blocks of `piece` go to the disk as they come; those that are here go now.
    pub fn spill(&mut self, piece: PieceIndex) -> Option<Spill<B>> {
        if self.have.get(piece.0) || self.in_hand.contains_key(&piece) || !self.spilled.insert(piece) {
            return None;
        }
        let spill = self.partials.get_mut(&piece)?.leave(piece);
        (!spill.blocks.is_empty()).then_some(spill)
    }

    /// Blocks of a spilled piece are on the disk. Those that are not waited for any more change nothing. The piece, when these were the
    /// last ones.
    pub fn spilled(&mut self, piece: PieceIndex, blocks: &[u32], token: &Arc<()>) -> Option<Whole<B, S>> {
        let partial = self.partials.get_mut(&piece)?;
        for n in blocks {
            if let Some(Some((place, _))) = partial.blocks.get_mut(*n as usize)
                && matches!(place, Place::Leaving(with) if with.as_ptr() == Arc::as_ptr(token))
            {
                *place = Place::OnDisk;
                partial.missing -= 1;
            }
        }
        self.whole(piece)
    }

    /// Takes out a piece of which nothing is missing any more: it is in hand.
    fn whole(&mut self, piece: PieceIndex) -> Option<Whole<B, S>> {
        let partial = self.partials.get(&piece).filter(|partial| partial.missing == 0)?;
        let total = partial.blocks.len();
        let partial = self.partials.remove(&piece)?;
        let token = Arc::new(());
        self.in_hand.insert(piece, Arc::downgrade(&token));
        let kept = if self.spilled.contains(&piece) { 0 } else { total };
        let (mut blocks, mut sent_by) = (Vec::with_capacity(kept), Vec::with_capacity(total));
        for (place, by) in partial.blocks.into_iter().flatten() {
            if let Place::Here(block) = place {
                blocks.push(block);
            }
            sent_by.push(by);
        }
        let failures = self.failures.iter().filter(|(failed, _)| *failed == piece);
        let failures = failures.map(|(_, evidence)| evidence.clone()).collect();
        Some(Whole { piece, blocks, sources: partial.sources, sent_by, failures, token })
    }

    /// Blocks of the incomplete pieces that are kept until they are whole, those that are still missing too: all have their memory.
    pub fn blocks_kept(&self) -> u64 {
        self.kept().map(|(blocks, _)| u64::from(blocks)).sum()
    }

    fn kept(&self) -> impl Iterator<Item = (u32, PieceIndex)> + '_ {
        let kept = self.partials.iter().filter(|(piece, _)| !self.spilled.contains(piece));
        kept.map(|(piece, partial)| (partial.blocks.len() as u32, *piece))
    }

    /// The largest incomplete piece that is kept until it is whole, and how many blocks it has; untouched from now on.
    pub fn drop_largest(&mut self) -> Option<(PieceIndex, u32)> {
        let (blocks, piece) = self.kept().max()?;
        self.partials.remove(&piece);
        Some((piece, blocks))
    }

    /// The workers are done with `piece`: it passed its hash and is on disk. True when it was not finished before.
    pub fn finished(&mut self, piece: PieceIndex) -> bool {
        self.in_hand.remove(&piece);
        self.partials.remove(&piece);
        self.spilled.remove(&piece);
        self.failures.retain(|(failed, _)| *failed != piece);
        self.have.set(piece.0)
    }

    /// The workers are done with `piece`: it is untouched again. `evidence`: what is to be remembered if it failed its hash.
    pub fn failed(&mut self, piece: PieceIndex, evidence: Option<Evidence<S>>) {
        self.in_hand.remove(&piece);
        self.partials.remove(&piece);
        self.spilled.remove(&piece);
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

    /// The files are not what was written to them any more: of a spilled piece that is not finished nothing has come. True when it was
    /// one.
    pub fn forget_spilled(&mut self, piece: PieceIndex) -> bool {
        let spilled = self.spilled.remove(&piece);
        if spilled {
            self.partials.remove(&piece);
            self.in_hand.remove(&piece);
        }
        spilled
    }

    /// True while blocks that left with this token are waited for: what was given up meanwhile must not be written any more.
    pub fn awaits(&self, piece: PieceIndex, token: &Arc<()>) -> bool {
        let leaves = |place: &Place<B>| matches!(place, Place::Leaving(with) if with.as_ptr() == Arc::as_ptr(token));
        let partial = self.partials.get(&piece);
        partial.is_some_and(|partial| partial.blocks.iter().flatten().any(|(place, _)| leaves(place)))
    }

    /// After a restart: forgets pieces in hand, and blocks on their way to the disk, whose job no longer exists (its result was lost
    /// with the crash).
    pub fn reclaim(&mut self) {
        self.in_hand.retain(|_, token| token.strong_count() > 0);
        for sent in self.partials.values_mut().flat_map(|partial| &mut partial.blocks) {
            if matches!(sent, Some((Place::Leaving(token), _)) if token.strong_count() == 0) {
                *sent = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
