//! The open pieces, block by block: free, asked for, or here; and how much is asked of whom.
//!
//! A piece of which no block is asked for or here does not stay open: [`OpenPieces::give_back`] tells that it was closed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PeerKey, Received};
use crate::protocol::{BLOCK_BYTES, Layout, PieceIndex, Run};

mod piece;

use piece::{Block, OpenPiece};

/// A peer that would fetch a whole piece in less than this is left alone with the pieces that it began.
const WHOLE_PIECE: u64 = 20;
/// Most blocks taken over at once: they are here soon, and then the one that had them is told.
const HELP_BLOCKS: u32 = 4;

/// Most blocks that may be asked for at once.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pub(super) kept: u32,
    /// Of pieces that are spilled.
    pub(super) spilled: u32,
}

impl Most {
    pub(super) fn of(self, spilled: bool) -> u32 {
        if spilled { self.spilled } else { self.kept }
    }
}

/// What is asked of a peer.
#[derive(Clone, Copy, Default)]
struct Load {
    /// Bytes per second that it gives; 0: not known.
    rate: u64,
    /// Blocks asked of it and not here.
    out: u32,
}

impl Load {
    /// How long it takes to deliver what is out and `more` blocks besides, as far as that is known.
    fn takes(self, more: u32) -> Option<Duration> {
        let bytes = u64::from(self.out + more) * u64::from(BLOCK_BYTES);
        (bytes * 1000).checked_div(self.rate).map(Duration::from_millis)
    }
}

/// Whose blocks a peer without any of its own takes over.
#[derive(Clone, Copy)]
pub(super) struct Help {
    /// Blocks that were asked for later than so long ago are left alone.
    pub(super) after: Duration,
    /// So many times faster than whoever was asked the helper has to be.
    pub(super) faster: u32,
    /// The same as `after`, for pieces that are to come from one peer.
    pub(super) alone_after: Duration,
}

/// The pieces that are being fetched.
pub(super) struct OpenPieces {
    pieces: BTreeMap<PieceIndex, OpenPiece>,
    /// Those with a free block. Before others goes what was opened first, or what comes first in the content (`in_order`).
    loose: Vec<PieceIndex>,
    in_order: bool,
    loads: BTreeMap<PeerKey, Load>,
    bytes: u64,
    asked: u64,
    /// How many are spilled, and what is asked for of these.
    spilled: usize,
    spilled_asked: u64,
}

impl OpenPieces {
    pub(super) fn new(in_order: bool) -> Self {
        let (pieces, loads) = (BTreeMap::new(), BTreeMap::new());
        Self { pieces, loose: Vec::new(), in_order, loads, bytes: 0, asked: 0, spilled: 0, spilled_asked: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    pub(super) fn spilled(&self) -> usize {
        self.spilled
    }

    pub(super) fn spilled_asked(&self) -> u64 {
        self.spilled_asked
    }

    /// Blocks that this peer was asked for and that are not here.
    pub(super) fn asked_of(&self, key: PeerKey) -> u32 {
        self.loads.get(&key).map_or(0, |load| load.out)
    }

    pub(super) fn contains(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    pub(super) fn is_spilled(&self, piece: PieceIndex) -> bool {
        self.pieces.get(&piece).is_some_and(|open| open.spilled)
    }

    pub(super) fn spill(&mut self, piece: PieceIndex) {
        if let Some(open) = self.pieces.get_mut(&piece)
            && !std::mem::replace(&mut open.spilled, true)
        {
            self.spilled_asked += u64::from(open.asked());
            self.spilled += 1;
        }
    }

    /// True when some block of an open piece is free.
    pub(super) fn has_free(&self) -> bool {
        !self.loose.is_empty()
    }

    /// True when nothing is asked for and no open piece is complete: no event that is on its way will free one.
    pub(super) fn are_stuck(&self) -> bool {
        self.asked == 0 && self.loose.len() == self.pieces.len()
    }

    /// Notes how fast a peer is, in bytes per second; 0: not known.
    pub(super) fn is_at(&mut self, key: PeerKey, rate: u64) {
        self.loads.entry(key).or_default().rate = rate;
    }

    /// True for a peer that fetches a piece of so many bytes so soon that it is best left alone with it.
    pub(super) fn fetches_whole(&self, key: PeerKey, bytes: u32) -> bool {
        self.loads.get(&key).is_some_and(|load| load.rate.saturating_mul(WHOLE_PIECE) >= u64::from(bytes.max(1)))
    }

    /// Opens a piece with all blocks free.
    pub(super) fn open(&mut self, piece: PieceIndex, layout: &Layout, alone: bool) {
        let (count, bytes) = (layout.blocks_in(piece), layout.piece_length(piece));
        let opened = OpenPiece::new(count, bytes, alone);
        if self.pieces.insert(piece, opened).is_none() {
            self.bytes += u64::from(bytes);
            self.loosen(piece);
        }
    }

    /// Forgets a piece. True when it was open.
    pub(super) fn close(&mut self, piece: PieceIndex) -> bool {
        let Some(closed) = self.pieces.remove(&piece) else { return false };
        self.bytes -= u64::from(closed.bytes);
        self.no_more_asked(closed.spilled, closed.asked());
        self.spilled -= usize::from(closed.spilled);
        for block in closed.blocks {
            if let Block::Asked { of, also, .. } = block {
                less(&mut self.loads, of);
                also.into_iter().for_each(|also| less(&mut self.loads, also));
            }
        }
        self.loose.retain(|loose| *loose != piece);
        true
    }

    fn no_more_asked(&mut self, spilled: bool, blocks: u32) {
        self.asked -= u64::from(blocks);
        if spilled {
            self.spilled_asked -= u64::from(blocks);
        }
    }

    fn loosen(&mut self, piece: PieceIndex) {
        let at = if self.in_order { self.loose.partition_point(|loose| *loose < piece) } else { self.loose.len() };
        self.loose.insert(at, piece);
    }

    /// At most `most` free blocks that follow each other, of a piece that passes `has`: one that this peer began, or else the first.
    /// What another peer is soon done with is left to that one, unless `share`.
    pub(super) fn ask_free(
        &mut self,
        key: PeerKey,
        most: Most,
        now: Duration,
        share: bool,
        has: impl Fn(PieceIndex) -> bool,
    ) -> Option<Run> {
        let mut first = None;
        for (at, piece) in self.loose.iter().enumerate().filter(|(_, piece)| has(**piece)) {
            let Some(open) = self.pieces.get(piece) else { continue };
            if most.of(open.spilled) == 0 {
                continue;
            }
            if open.keeper == Some(key) && !self.in_order {
                first = Some(at);
                break;
            }
            let kept = open.keeper.filter(|keeper| *keeper != key && open.asked() > 0);
            let fine = kept.is_none_or(|keeper| !open.alone && (share || !self.fetches_whole(keeper, open.bytes)));
            if first.is_none() && fine {
                first = Some(at);
            }
        }
        let at = first?;
        let piece = *self.loose.get(at)?;
        let open = self.pieces.get_mut(&piece)?;
        let run = open.ask_free(piece, most.of(open.spilled), Block::Asked { of: key, also: None, since: now })?;
        open.keeper = Some(key);
        self.asked += u64::from(run.blocks);
        if open.spilled {
            self.spilled_asked += u64::from(run.blocks);
        }
        self.loads.entry(key).or_default().out += run.blocks;
        if open.free == 0 {
            self.loose.remove(at);
        }
        Some(run)
    }

    /// Blocks that one other peer was asked for the longest, who is late with them or slower than this peer: the later half of them,
    /// so that the two meet in the middle, at most `most`.
    pub(super) fn ask_second(
        &mut self,
        key: PeerKey,
        most: Most,
        now: Duration,
        help: Help,
        has: impl Fn(PieceIndex) -> bool,
    ) -> Option<Run> {
        let mut oldest: Option<(Duration, Run)> = None;
        for (piece, open) in
            self.pieces.iter().filter(|(piece, open)| open.asked() > 0 && most.of(open.spilled) > 0 && has(**piece))
        {
            for (of, since, first, blocks) in open.single_stretches(key) {
                if oldest.is_none_or(|(best, _)| since < best)
                    && self.may_help(key, of, now.saturating_sub(since), help, open.alone)
                {
                    oldest = Some((since, Run { piece: *piece, first, blocks }));
                }
            }
        }
        let (_, stretch) = oldest?;
        let open = self.pieces.get_mut(&stretch.piece)?;
        let blocks = stretch.blocks.div_ceil(2).min(most.of(open.spilled)).min(HELP_BLOCKS);
        let run = Run { first: stretch.first + stretch.blocks - blocks, blocks, ..stretch };
        for block in open.blocks.iter_mut().skip(run.first as usize).take(blocks as usize) {
            if let Block::Asked { also, since, .. } = block {
                (*also, *since) = (Some(key), now);
            }
        }
        self.loads.entry(key).or_default().out += blocks;
        Some(run)
    }

    /// Whether `helper` may be asked for what `of` was asked for `age` ago.
    fn may_help(&self, helper: PeerKey, of: PeerKey, age: Duration, help: Help, alone: bool) -> bool {
        let load = |key| self.loads.get(&key).copied().unwrap_or_default();
        if age < if alone { help.alone_after } else { help.after } {
            return false;
        }
        let (Some(theirs), ours) = (load(of).takes(0), load(helper).takes(1)) else { return true };
        // What it has out takes that long, so whatever of it is out for twice as long is late.
        age >= help.after + 2 * theirs || (!alone && ours.is_some_and(|ours| help.faster * ours < theirs))
    }

    /// Blocks of a run are here.
    pub(super) fn arrived(&mut self, run: Run) -> Received {
        let mut received = Received::default();
        let Some(open) = self.pieces.get_mut(&run.piece) else { return received };
        let asked = open.asked();
        for (n, block) in run.numbers().zip(open.blocks.iter_mut().skip(run.first as usize)) {
            match *block {
                Block::Here => continue,
                Block::Free => open.free -= 1,
                Block::Asked { of, also, .. } => {
                    less(&mut self.loads, of);
                    if let Some(also) = also {
                        less(&mut self.loads, also);
                        let block = Run { piece: run.piece, first: n, blocks: 1 };
                        received.doubled.extend([(of, block), (also, block)]);
                    }
                }
            }
            *block = Block::Here;
            received.news += 1;
        }
        open.here += received.news;
        let (spilled, less) = (open.spilled, asked - open.asked());
        if open.free == 0 {
            self.loose.retain(|loose| *loose != run.piece);
        }
        self.no_more_asked(spilled, less);
        received
    }

    /// A peer was asked for blocks of this run in vain. True when that closed the piece.
    pub(super) fn give_back(&mut self, of: PeerKey, run: Run) -> bool {
        let Some(open) = self.pieces.get_mut(&run.piece) else { return false };
        let was_loose = open.free > 0;
        let (given, freed) = open.give_back(of, run);
        if let Some(load) = self.loads.get_mut(&of) {
            load.out -= given;
        }
        if given > 0 && open.keeper == Some(of) {
            open.keeper = None;
        }
        let (spilled, loose, untouched) = (open.spilled, open.free > 0 && !was_loose, open.is_untouched());
        self.no_more_asked(spilled, freed);
        if loose {
            self.loosen(run.piece);
        }
        untouched && self.close(run.piece)
    }

    /// A peer delivers nothing any more. Returns the pieces that this closed.
    pub(super) fn give_back_all(&mut self, of: PeerKey) -> Vec<PieceIndex> {
        let held = self.pieces.iter().filter(|(_, open)| open.asked() > 0 && open.is_asked_of(of));
        let held: Vec<Run> =
            held.map(|(piece, open)| Run { piece: *piece, first: 0, blocks: open.blocks.len() as u32 }).collect();
        held.into_iter().filter(|run| self.give_back(of, *run)).map(|run| run.piece).collect()
    }

    /// A peer is gone, and what it was asked for with it. Returns the pieces that this closed.
    pub(super) fn left(&mut self, key: PeerKey) -> Vec<PieceIndex> {
        let closed = if self.asked_of(key) > 0 { self.give_back_all(key) } else { Vec::new() };
        self.loads.remove(&key);
        closed
    }
}

fn less(loads: &mut BTreeMap<PeerKey, Load>, key: PeerKey) {
    if let Some(load) = loads.get_mut(&key) {
        load.out -= 1;
    }
}
