//! What the picker is told and what it answers.
//!
//! Plain values without rules of their own.

use crate::protocol::Run;

/// The caller's name for a connection; never used for two of them at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

/// How pieces are chosen.
#[derive(Debug, Clone, Copy)]
pub struct Picking {
    /// In the order of the content instead of the rarest first; of each file the first piece and the last one before the others.
    pub sequential: bool,
    /// Per cent of the wanted pieces, 1 to 100. When so many are finished, late blocks are asked of a second peer before another
    /// piece is opened. 100: only when no unrequested block is left.
    pub endgame_from: u8,
    /// Breaks ties between equally rare pieces.
    pub seed: u64,
}

/// A peer that has room.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Who.
    pub key: PeerKey,
    /// Blocks that it has room for; 0 counts as 1.
    pub blocks: u32,
    /// Bytes per second that it gives; 0: not known.
    pub rate: u64,
    /// It chokes us: only pieces that it allowed will do (BEP 6).
    pub fast: bool,
    /// Blocks of spilled pieces that there is memory for.
    pub room: u32,
}

/// Whether another piece may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Not now: there is no memory.
    Not,
    /// There is memory for all of its blocks.
    Kept,
    /// Its blocks go to the disk as they come (it is *spilled*): memory is needed for those that are on their way, and no others.
    Spilled,
}

/// The answer to a peer that has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Ask for these blocks.
    Run(Run),
    /// The peer has nothing that is wanted.
    Nothing,
    /// The peer has something wanted, but all of it is asked for, or there is no memory for another piece.
    Later,
}

/// What became of blocks that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// How many of them were not here before.
    pub news: u32,
    /// Blocks that two peers were asked for, and both of them: one has delivered, the other need not.
    pub doubled: Vec<(PeerKey, Run)>,
}

/// How the pieces are divided. The first four add up to the pieces of the torrent, and `astray` is 0, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Partition {
    /// Finished.
    pub have: u32,
    /// Wanted, and no block asked for or here.
    pub want: u32,
    /// Wanted, and some block asked for or here.
    pub in_flight: u32,
    /// Neither finished nor wanted.
    pub skipped: u32,
    /// In none of these, or in more than one: a bug.
    pub astray: u32,
}
