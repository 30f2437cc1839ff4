//! One open piece: what became of each of its blocks.
//!
//! It knows who was asked for a block, and decides nothing: whom to ask for what is the matter of all open pieces together.

use std::time::Duration;

use crate::protocol::{PeerKey, PieceIndex, Run};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Block {
    /// Nobody was asked for it.
    Free,
    /// One or two peers were.
    Asked { of: PeerKey, also: Option<PeerKey>, since: Duration },
    /// It arrived.
    Here,
}

pub(super) struct OpenPiece {
    /// Its blocks go to the disk as they come.
    pub(super) spilled: bool,
    /// To be fetched from one peer and no other while that one has something to deliver: the piece failed its hash, and the next
    /// failure is to name its author.
    pub(super) alone: bool,
    /// Who was last asked for free blocks and gave none of them back.
    pub(super) keeper: Option<PeerKey>,
    pub(super) blocks: Vec<Block>,
    pub(super) free: u32,
    pub(super) here: u32,
    /// No block before this one is free.
    pub(super) free_from: u32,
    pub(super) bytes: u32,
}

impl OpenPiece {
    /// All blocks are free.
    pub(super) fn new(blocks: u32, bytes: u32, alone: bool) -> Self {
        let free = vec![Block::Free; blocks as usize];
        Self { spilled: false, alone, keeper: None, blocks: free, free: blocks, here: 0, free_from: 0, bytes }
    }

    /// Blocks that are asked for and not here.
    pub(super) fn asked(&self) -> u32 {
        self.blocks.len() as u32 - self.free - self.here
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.free as usize == self.blocks.len()
    }

    pub(super) fn is_asked_of(&self, key: PeerKey) -> bool {
        self.blocks
            .iter()
            .any(|block| matches!(block, Block::Asked { of, also, .. } if *of == key || *also == Some(key)))
    }

    /// Makes the first free blocks `asked`.
    pub(super) fn ask_free(&mut self, piece: PieceIndex, most: u32, asked: Block) -> Option<Run> {
        let from = self.free_from as usize;
        let first = from + self.blocks.get(from..)?.iter().position(|block| *block == Block::Free)?;
        let free = self.blocks[first..].iter_mut().take(most as usize).take_while(|block| **block == Block::Free);
        let blocks = free.map(|block| *block = asked).count() as u32;
        self.free -= blocks;
        self.free_from = first as u32 + blocks;
        Some(Run { piece, first: first as u32, blocks })
    }

    /// Stretches of blocks that one and the same peer, not `key`, was asked for at one time: who, since when, first, how many.
    pub(super) fn single_stretches(&self, key: PeerKey) -> impl Iterator<Item = (PeerKey, Duration, u32, u32)> + '_ {
        let stretches = self.blocks.chunk_by(|a, b| a == b).scan(0, |next, stretch| {
            let first = *next;
            *next += stretch.len() as u32;
            Some((first, stretch))
        });
        stretches.filter_map(move |(first, stretch)| match stretch {
            [Block::Asked { of, also: None, since }, ..] if *of != key => {
                Some((*of, *since, first, stretch.len() as u32))
            }
            _ => None,
        })
    }

    /// Returns how many blocks the peer was asked for, and how many of them became free.
    pub(super) fn give_back(&mut self, key: PeerKey, run: Run) -> (u32, u32) {
        let (mut given, mut freed) = (0, 0);
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
            given += 1;
        }
        self.free += freed;
        (given, freed)
    }
}
