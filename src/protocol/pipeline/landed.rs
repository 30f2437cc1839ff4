//! What came of a granted run.

use super::Run;

/// Blocks that came for a run: all of them, or what was there when the run ended early.
pub struct Landed<B> {
    /// The run that was granted.
    pub run: Run,
    /// Block number within the piece, and the block.
    pub blocks: Vec<(u32, B)>,
}

impl<B> Landed<B> {
    /// The blocks of the run that did not come, as stretches.
    pub fn missing(&self) -> Vec<Run> {
        let mut missing: Vec<Run> = Vec::new();
        let mut here = self.blocks.iter().map(|(n, _)| *n).peekable();
        for n in self.run.numbers() {
            if here.next_if_eq(&n).is_some() {
                continue;
            }
            match missing.last_mut() {
                Some(stretch) if stretch.first + stretch.blocks == n => stretch.blocks += 1,
                _ => missing.push(Run { piece: self.run.piece, first: n, blocks: 1 }),
            }
        }
        missing
    }
}
