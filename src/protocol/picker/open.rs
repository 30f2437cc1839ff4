//! The open pieces, block by block: free, asked for, or here.
//!
//! A piece of which no block is asked for or here does not stay open: [`OpenPieces::give_back`] tells that it was closed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::PeerKey;
use crate::protocol::{Layout, PieceIndex, Run};

#[derive(Clone, Copy, PartialEq)]
enum Block {
    /// Nobody was asked for it.
    Free,
    /// One or two peers were.
    Asked { of: PeerKey, also: Option<PeerKey>, since: Duration },
    /// It arrived.
    Here,
}

/// Who may be asked for blocks of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum From {
    Anyone,
    /// Whoever is asked first, and then nobody else while that one has something to deliver: the piece failed its hash, and the
    /// next failure is to name its author.
    First,
    Only(PeerKey),
}

impl From {
    fn admits(self, key: PeerKey, asked: u32) -> bool {
        matches!(self, Self::Anyone | Self::First) || self == Self::Only(key) || asked == 0
    }
}

struct OpenPiece {
    from: From,
    blocks: Vec<Block>,
    free: u32,
    here: u32,
    /// No block before this one is free.
    free_from: u32,
    bytes: u32,
}

/// The pieces that are being fetched.
#[derive(Default)]
pub(super) struct OpenPieces {
    pieces: BTreeMap<PieceIndex, OpenPiece>,
    /// Those with a free block, in the order in which they were opened: the oldest is completed first.
    loose: Vec<PieceIndex>,
    bytes: u64,
    asked: u64,
}

impl OpenPieces {
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    pub(super) fn contains(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    /// True when some block of an open piece is free.
    pub(super) fn has_free(&self) -> bool {
        !self.loose.is_empty()
    }

    /// True when nothing is asked for and no open piece is complete: no event that is on its way will free one.
    pub(super) fn are_stuck(&self) -> bool {
        self.asked == 0 && self.loose.len() == self.pieces.len()
    }

    /// Opens a piece with all blocks free.
    pub(super) fn open(&mut self, piece: PieceIndex, layout: &Layout, from: From) {
        let (count, bytes) = (layout.blocks_in(piece), layout.piece_length(piece));
        let blocks = vec![Block::Free; count as usize];
        let opened = OpenPiece { from, blocks, free: count, here: 0, free_from: 0, bytes };
        if self.pieces.insert(piece, opened).is_none() {
            self.bytes += u64::from(bytes);
            self.loose.push(piece);
        }
    }

    /// Forgets a piece. True when it was open.
    pub(super) fn close(&mut self, piece: PieceIndex) -> bool {
        let Some(closed) = self.pieces.remove(&piece) else { return false };
        self.bytes -= u64::from(closed.bytes);
        self.asked -= u64::from(closed.asked());
        self.loose.retain(|loose| *loose != piece);
        true
    }

    /// Free blocks of the oldest piece that has some and passes `has`, at most `most` that follow each other.
    pub(super) fn ask_free(
        &mut self,
        of: PeerKey,
        most: u32,
        now: Duration,
        has: impl Fn(PieceIndex) -> bool,
    ) -> Option<Run> {
        let admits = |piece: &PieceIndex| self.pieces.get(piece).is_some_and(|open| open.from.admits(of, open.asked()));
        let at = self.loose.iter().position(|piece| has(*piece) && admits(piece))?;
        let piece = self.loose[at];
        let open = self.pieces.get_mut(&piece)?;
        let run = open.ask_free(piece, most, Block::Asked { of, also: None, since: now })?;
        if open.from != From::Anyone {
            open.from = From::Only(of);
        }
        self.asked += u64::from(run.blocks);
        if open.free == 0 {
            self.loose.remove(at);
        }
        Some(run)
    }

    /// Blocks that one other peer was asked for no later than `before`, those asked for longest: the later half of them,
    /// at most `most`. Of a piece that is fetched from one peer alone, only when that one has had them since `long_before`.
    pub(super) fn ask_second(
        &mut self,
        key: PeerKey,
        most: u32,
        now: Duration,
        (before, long_before): (Duration, Option<Duration>),
        has: impl Fn(PieceIndex) -> bool,
    ) -> Option<Run> {
        let mut oldest: Option<(Duration, Run)> = None;
        for (piece, open) in self.pieces.iter().filter(|(piece, open)| open.asked() > 0 && has(**piece)) {
            let before = if open.from == From::Anyone { Some(before) } else { long_before };
            let Some(before) = before else { continue };
            for (since, first, blocks) in open.single_stretches(key) {
                if since <= before && oldest.is_none_or(|(best, _)| since < best) {
                    oldest = Some((since, Run { piece: *piece, first, blocks }));
                }
            }
        }
        let (_, stretch) = oldest?;
        let blocks = stretch.blocks.div_ceil(2).min(most);
        let run = Run { first: stretch.first + stretch.blocks - blocks, blocks, ..stretch };
        let open = self.pieces.get_mut(&run.piece)?;
        for block in open.blocks.iter_mut().skip(run.first as usize).take(blocks as usize) {
            if let Block::Asked { also, since, .. } = block {
                (*also, *since) = (Some(key), now);
            }
        }
        Some(run)
    }

    /// Blocks of a run are here. Returns how many were not before.
    pub(super) fn arrived(&mut self, run: Run) -> u32 {
        let Some(open) = self.pieces.get_mut(&run.piece) else { return 0 };
        let (asked, mut news) = (open.asked(), 0);
        for block in open.blocks.iter_mut().skip(run.first as usize).take(run.blocks as usize) {
            if *block == Block::Here {
                continue;
            }
            open.free -= u32::from(*block == Block::Free);
            *block = Block::Here;
            news += 1;
        }
        open.here += news;
        self.asked -= u64::from(asked - open.asked());
        if open.free == 0 {
            self.loose.retain(|loose| *loose != run.piece);
        }
        news
    }

    /// A peer was asked for blocks of this run in vain. True when that closed the piece.
    pub(super) fn give_back(&mut self, of: PeerKey, run: Run) -> bool {
        let Some(open) = self.pieces.get_mut(&run.piece) else { return false };
        let was_loose = open.free > 0;
        if open.from == From::Only(of) {
            open.from = From::First;
        }
        self.asked -= u64::from(open.give_back(of, run));
        if open.free > 0 && !was_loose {
            self.loose.push(run.piece);
        }
        open.is_untouched() && self.close(run.piece)
    }

    /// A peer delivers nothing any more. Returns the pieces that this closed.
    pub(super) fn give_back_all(&mut self, of: PeerKey) -> Vec<PieceIndex> {
        let held = self.pieces.iter().filter(|(_, open)| open.asked() > 0 && open.is_asked_of(of));
        let held: Vec<Run> =
            held.map(|(piece, open)| Run { piece: *piece, first: 0, blocks: open.blocks.len() as u32 }).collect();
        held.into_iter().filter(|run| self.give_back(of, *run)).map(|run| run.piece).collect()
    }
}

impl OpenPiece {
    /// Blocks that are asked for and not here.
    fn asked(&self) -> u32 {
        self.blocks.len() as u32 - self.free - self.here
    }

    fn is_untouched(&self) -> bool {
        self.free as usize == self.blocks.len()
    }

    fn is_asked_of(&self, key: PeerKey) -> bool {
        self.blocks
            .iter()
            .any(|block| matches!(block, Block::Asked { of, also, .. } if *of == key || *also == Some(key)))
    }

    /// Makes the first free blocks `asked`.
    fn ask_free(&mut self, piece: PieceIndex, most: u32, asked: Block) -> Option<Run> {
        let from = self.free_from as usize;
        let first = from + self.blocks.get(from..)?.iter().position(|block| *block == Block::Free)?;
        let free = self.blocks[first..].iter_mut().take(most as usize).take_while(|block| **block == Block::Free);
        let blocks = free.map(|block| *block = asked).count() as u32;
        self.free -= blocks;
        self.free_from = first as u32 + blocks;
        Some(Run { piece, first: first as u32, blocks })
    }

    /// Stretches of blocks that one and the same peer, not `key`, was asked for at one time: since when, first, how many.
    fn single_stretches(&self, key: PeerKey) -> impl Iterator<Item = (Duration, u32, u32)> + '_ {
        let stretches = self.blocks.chunk_by(|a, b| a == b).scan(0, |next, stretch| {
            let first = *next;
            *next += stretch.len() as u32;
            Some((first, stretch))
        });
        stretches.filter_map(move |(first, stretch)| match stretch {
            [Block::Asked { of, also: None, since }, ..] if *of != key => Some((*since, first, stretch.len() as u32)),
            _ => None,
        })
    }

    /// Returns how many blocks became free.
    fn give_back(&mut self, key: PeerKey, run: Run) -> u32 {
        let mut freed = 0;
        for (n, block) in run.numbers().zip(self.blocks.iter_mut().skip(run.first as usize)) {
            let Block::Asked { of, also, since } = *block else { continue };
            *block = match also {
                None if of == key => {
                    freed += 1;
                    self.free_from = self.free_from.min(n);
                    Block::Free
                }
                Some(other) if of == key => Block::Asked { of: other, also: None, since },
                Some(other) if other == key => Block::Asked { of, also: None, since },
                _ => continue,
            };
        }
        self.free += freed;
        freed
    }
}
