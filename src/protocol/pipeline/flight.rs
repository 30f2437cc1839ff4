//! A granted run on its way.
//!
//! Part of the pipeline.

use std::time::Duration;

use super::Landed;
use crate::protocol::Run;

/// A granted run on its way.
pub(super) struct Flight<B> {
    pub(super) run: Run,
    /// Blocks of the run for which a request went out, counted from its first.
    pub(super) requested: u32,
    /// One place for each block of the run.
    pub(super) blocks: Vec<Option<B>>,
    pub(super) missing: u32,
    /// When a request last went out or a block last came.
    pub(super) touched: Duration,
}

impl<B> Flight<B> {
    pub(super) fn new(run: Run, now: Duration) -> Self {
        let blocks = (0..run.blocks).map(|_| None).collect();
        Self { run, requested: 0, blocks, missing: run.blocks, touched: now }
    }

    /// Requests out and unanswered.
    pub(super) fn out(&self) -> u32 {
        // What is here was asked for.
        self.requested - (self.run.blocks - self.missing)
    }

    /// Cuts the run in two: its first `at` blocks stay, the others are returned.
    pub(super) fn split_off(&mut self, at: u32) -> Self {
        let at = at.min(self.run.blocks);
        let blocks = self.blocks.split_off(at as usize);
        let missing = blocks.iter().filter(|block| block.is_none()).count() as u32;
        let run = Run { piece: self.run.piece, first: self.run.first + at, blocks: self.run.blocks - at };
        let requested = self.requested.saturating_sub(at);
        self.run.blocks = at;
        self.requested -= requested;
        self.missing -= missing;
        Self { run, requested, blocks, missing, touched: self.touched }
    }

    /// Cuts the run wherever a block that is here meets one that is not; the parts in order.
    pub(super) fn cut(mut self) -> Vec<Self> {
        let mut parts = Vec::new();
        while let Some(edge) = self.blocks.windows(2).rposition(|pair| pair[0].is_some() != pair[1].is_some()) {
            parts.push(self.split_off(edge as u32 + 1));
        }
        parts.push(self);
        parts.reverse();
        parts
    }

    pub(super) fn land(self) -> Landed<B> {
        let mut blocks = Vec::with_capacity((self.run.blocks - self.missing) as usize);
        blocks.extend((self.run.first..).zip(self.blocks).filter_map(|(n, block)| Some((n, block?))));
        Landed { run: self.run, blocks }
    }
}
