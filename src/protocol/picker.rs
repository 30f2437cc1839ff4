//! What to fetch next from whom: rarest first, whole pieces soon, and a bounded endgame.
//!
//! A piece is had, waiting, or open (some block of it asked for or here), and exactly one of these.
//!
//! - `rarity` holds the waiting pieces in one list sorted by how many peers have them. A change by one moves a piece
//!   to the edge of its group with one swap, so no event sorts anything, and the rarest piece of a seed is the first of the
//!   list. Peers that have everything change no order; they are only marked as such.
//! - `open` holds the open pieces block by block. They are few: the caller's memory bounds them.
//!
//! For a peer with few pieces the front of the list may hold nothing. Then a bounded number of its pieces is looked
//! at instead, 64 at a time, so a grant costs microseconds whoever asks, at 100,000 pieces and 500 peers too.
//!
//! It sends no requests and sets no timers. Who asked for what is recorded, so that a block is asked of two peers at most,
//! never twice of one, and goes back when its peer chokes, stalls or leaves. Equal seeds and calls give equal grants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Bitfield, Layout, PieceIndex, Run};

mod open;
mod rarity;

use open::{From, OpenPieces};
use rarity::{Has, Rarity};

/// So many pieces are picked at random before rarity counts: the first ones are wanted soon, to have something to give.
const RANDOM_FIRST: usize = 4;
/// While there are blocks that nobody was asked for, a block is asked of a second peer only when the first has had it
/// this long, and the second can be of no other use.
const HELP_AFTER: Duration = Duration::from_secs(2);
/// The same in the endgame. What comes at the pace of a healthy pipeline is here before that, and is not fetched twice.
const ENDGAME_AFTER: Duration = Duration::from_millis(250);

/// The caller's name for a connection; never used for two of them at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

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

/// How the pieces are divided. The first three add up to the pieces of the torrent, and `astray` is 0, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Partition {
    /// Finished.
    pub have: u32,
    /// Wanted, and no block asked for or here.
    pub want: u32,
    /// Wanted, and some block asked for or here.
    pub in_flight: u32,
    /// In none of these, or in more than one: a bug.
    pub astray: u32,
}

struct Peer {
    has: Has,
    /// Wanted pieces that it has; not kept for a peer that has everything.
    useful: u32,
    /// Pieces that it lacks.
    lacks: u32,
    /// It was asked for blocks since it held none.
    asked: bool,
}

/// Chooses runs for one torrent.
pub struct Picker {
    layout: Layout,
    have: Bitfield,
    have_count: u32,
    waiting: Rarity,
    open: OpenPieces,
    peers: BTreeMap<PeerKey, Peer>,
    /// Pieces that failed their hash: fetched from one peer alone until they are finished.
    suspects: BTreeSet<PieceIndex>,
    rng: fastrand::Rng,
}

impl Picker {
    /// A picker without peers. `have`: finished pieces. `partial`: pieces of which some blocks (ones) are here already.
    /// `seed` breaks ties between equally rare pieces.
    pub fn new(
        layout: Layout,
        have: &Bitfield,
        partial: impl Iterator<Item = (PieceIndex, Bitfield)>,
        seed: u64,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pieces = layout.pieces();
        let have = of_this_torrent(have.clone(), pieces);
        let mut wanted: Vec<u32> = (0..pieces).filter(|piece| !have.get(*piece)).collect();
        rng.shuffle(&mut wanted);
        let waiting = Rarity::new(pieces, wanted);
        let (have_count, open, peers) = (have.count(), OpenPieces::default(), BTreeMap::new());
        let suspects = BTreeSet::new();
        let mut picker = Self { layout, have, have_count, waiting, open, peers, suspects, rng };
        for (piece, blocks) in partial {
            for n in blocks.iter_ones() {
                picker.arrived(Run { piece, first: n, blocks: 1 });
            }
        }
        picker
    }

    /// A peer is there, and has these pieces. Its key must be new, or the one before has left with this.
    pub fn joined(&mut self, key: PeerKey, pieces: Bitfield) {
        self.left(key);
        let pieces = of_this_torrent(pieces, self.layout.pieces());
        let lacks = pieces.len() - pieces.count();
        let useful = self.have.count_missing(&pieces);
        let has = if lacks == 0 { Has::All } else { Has::Some(pieces) };
        self.waiting.peer_came(&has);
        self.peers.insert(key, Peer { has, useful, lacks, asked: false });
    }

    /// A peer finished a piece.
    pub fn has(&mut self, key: PeerKey, piece: PieceIndex) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Has::Some(pieces) = &mut peer.has else { return };
        if !pieces.set(piece.0) {
            return;
        }
        self.waiting.one_more(piece.0);
        peer.useful += u32::from(!self.have.get(piece.0));
        peer.lacks -= 1;
        if peer.lacks == 0 {
            self.waiting.peer_went(&peer.has);
            peer.has = Has::All;
            self.waiting.peer_came(&peer.has);
        }
    }

    /// A peer is gone. What it was asked for goes back, which may close pieces.
    pub fn left(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.remove(&key) else { return };
        self.waiting.peer_went(&peer.has);
        if peer.asked {
            let closed = self.open.give_back_all(key);
            closed.into_iter().for_each(|piece| self.waiting.insert(piece.0));
        }
    }

    /// True when a peer has a piece that is wanted.
    pub fn interesting(&self, key: PeerKey) -> bool {
        match self.peers.get(&key) {
            Some(Peer { has: Has::All, .. }) => self.have_count < self.layout.pieces(),
            Some(peer) => peer.useful > 0,
            None => false,
        }
    }

    /// At most `blocks` (at least 1) consecutive blocks of one piece for a peer that has room. Open pieces go first; a
    /// waiting one is opened when `may_open` says yes to its length in bytes (asked once at most, and only then). When this
    /// peer has no block that nobody was asked for, it is given blocks that one other peer has been asked for the longest:
    /// the later half of that peer's stretch, so that the two meet in the middle.
    pub fn grant(&mut self, key: PeerKey, blocks: u32, now: Duration, mut may_open: impl FnMut(u32) -> bool) -> Grant {
        if !self.interesting(key) {
            return Grant::Nothing;
        }
        let Some(peer) = self.peers.get_mut(&key) else { return Grant::Nothing };
        let has = |piece: PieceIndex| peer.has.get(piece.0);
        let mut run = self.open.ask_free(key, blocks.max(1), now, has);
        if run.is_none() {
            let random = self.have_count as usize + self.open.len() < RANDOM_FIRST;
            if let Some(number) = self.waiting.rarest(&peer.has, random, &mut self.rng) {
                let piece = PieceIndex(number);
                // Without memory for another piece, this peer can still help with one that is open.
                if may_open(self.layout.piece_length(piece)) {
                    let from = if self.suspects.contains(&piece) { From::First } else { From::Anyone };
                    self.waiting.remove(number);
                    self.open.open(piece, &self.layout, from);
                    run = self.open.ask_free(key, blocks.max(1), now, |opened| opened == piece);
                }
            }
        }
        if run.is_none() {
            let endgame = self.waiting.is_empty() && !self.open.has_free();
            let long_before = now.checked_sub(HELP_AFTER);
            let before = if endgame { now.checked_sub(ENDGAME_AFTER) } else { long_before };
            run = before.and_then(|before| self.open.ask_second(key, blocks.max(1), now, (before, long_before), has));
        }
        peer.asked |= run.is_some();
        run.map_or(Grant::Later, Grant::Run)
    }

    /// Blocks are here, from whomever. Returns how many of them are news; the others came twice.
    pub fn received(&mut self, run: Run) -> u32 {
        self.arrived(run)
    }

    fn arrived(&mut self, run: Run) -> u32 {
        // Late blocks of a piece that was closed open it again: whoever keeps blocks keeps these too.
        let blocks = self.layout.blocks_in(run.piece);
        if self.waiting.contains(run.piece.0) && run.blocks > 0 && run.first < blocks {
            self.waiting.remove(run.piece.0);
            self.open.open(run.piece, &self.layout, From::Anyone);
        }
        self.open.arrived(run)
    }

    /// A peer will not deliver these blocks: it choked us, stalled, or the caller thought better of it.
    /// Blocks of the run that are here already stay. This may close the piece, see [`Picker::is_open`].
    pub fn give_back(&mut self, key: PeerKey, run: Run) {
        if self.open.give_back(key, run) {
            self.waiting.insert(run.piece.0);
        }
    }

    /// A piece passed its hash and is on disk. Idempotent.
    pub fn finished(&mut self, piece: PieceIndex) {
        if !self.have.set(piece.0) {
            return;
        }
        self.have_count += 1;
        self.suspects.remove(&piece);
        self.open.close(piece);
        self.waiting.remove(piece.0);
        for peer in self.peers.values_mut() {
            if let Has::Some(pieces) = &peer.has {
                peer.useful -= u32::from(pieces.get(piece.0));
            }
        }
    }

    /// A piece failed its hash (or was lost before it reached the disk): all of its blocks are wanted again, from one peer alone,
    /// so that the next failure names its author.
    pub fn failed(&mut self, piece: PieceIndex) {
        if self.open.close(piece) {
            self.suspects.insert(piece);
            self.waiting.insert(piece.0);
        }
    }

    /// True while a piece takes memory: some block of it is asked for or here. A piece whose last request is given back
    /// before anything came is open no longer.
    pub fn is_open(&self, piece: PieceIndex) -> bool {
        self.open.contains(piece)
    }

    /// True when the open pieces wait for blocks that nobody was asked for: peers that had them may be gone for good, and
    /// nothing that is under way will free the memory that they take.
    pub fn is_stuck(&self) -> bool {
        self.open.are_stuck()
    }

    /// Number of open pieces.
    pub fn open_pieces(&self) -> usize {
        self.open.len()
    }

    /// Lengths of the open pieces together, in bytes: what they take or will take of memory.
    pub fn open_bytes(&self) -> u64 {
        self.open.bytes()
    }

    /// Number of blocks that are asked for and not here, each once.
    pub fn in_flight(&self) -> u64 {
        self.open.asked()
    }

    /// Number of peers.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// How the pieces are divided right now, counted piece by piece: for tests and assertions.
    pub fn partition(&self) -> Partition {
        let mut partition = Partition::default();
        for piece in 0..self.layout.pieces() {
            match (self.have.get(piece), self.waiting.contains(piece), self.open.contains(PieceIndex(piece))) {
                (true, false, false) => partition.have += 1,
                (false, true, false) => partition.want += 1,
                (false, false, true) => partition.in_flight += 1,
                _ => partition.astray += 1,
            }
        }
        partition
    }
}

/// A bitfield of another size says nothing about this torrent.
fn of_this_torrent(field: Bitfield, pieces: u32) -> Bitfield {
    if field.len() == pieces { field } else { Bitfield::new(pieces) }
}

#[cfg(test)]
mod tests;
