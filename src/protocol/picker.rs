//! What to fetch next from whom: rarest first or in order, whole pieces soon, and a bounded endgame.
//!
//! A piece is had, waiting, open (some block of it asked for or here), or skipped (neither had nor wanted), and exactly one of these.
//!
//! - `waiting` holds the waiting pieces in one list sorted by how many peers have them. A change by one moves a piece
//!   to the edge of its group with one swap, so no event sorts anything, and the rarest piece of a seed is the first of the
//!   list. Peers that have everything change no order; they are only marked as such.
//! - `open` holds the open pieces block by block. They are few: the caller's memory bounds them.
//!
//! A fast peer is given whole pieces, so that a bad one names its author; a slow one joins in on what others began, so that it holds
//! up no piece for long. What a peer is late or slow with is taken over by others from its far end, by one at a time.
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
mod peers;
mod rarity;
mod terms;

use open::{Help, Most, OpenPieces};
use peers::Peer;
use rarity::{Has, Rarity};
pub use terms::{Ask, Grant, Opening, Partition, PeerKey, Picking, Received};

/// So many pieces are picked at random before rarity counts: the first ones are wanted soon, to have something to give.
const RANDOM_FIRST: usize = 4;
/// While there are blocks that nobody was asked for, a block is asked of a second peer only when the first has had it this long, and
/// is late or slow, and the second can be of no other use.
const HELP: Help = Help { after: Duration::from_secs(2), faster: 4, alone_after: Duration::from_secs(2) };
/// The same in the endgame. What comes at the pace of a healthy pipeline is here before that, and is not fetched twice.
const ENDGAME: Help = Help { after: Duration::from_millis(250), faster: 1, ..HELP };
/// The same for pieces in order, before another one is opened: what a slow peer has at the front keeps whoever reads there waiting.
const IN_ORDER: Help = Help { after: Duration::from_secs(1), ..HELP };

/// Chooses runs for one torrent.
pub struct Picker {
    layout: Layout,
    picking: Picking,
    have: Bitfield,
    /// Wanted and not finished, as bits and as a number; and how many are wanted, finished or not.
    needed: Bitfield,
    needed_count: u32,
    wanted_count: u32,
    waiting: Rarity,
    open: OpenPieces,
    peers: BTreeMap<PeerKey, Peer>,
    /// Pieces that failed their hash: fetched from one peer alone until they are finished.
    suspects: BTreeSet<PieceIndex>,
    rng: fastrand::Rng,
}

impl Picker {
    /// A picker without peers. `have`: finished pieces. `wanted`: pieces to be fetched, those that are finished included.
    /// `partial`: pieces of which some blocks (ones) are here already.
    pub fn new(
        layout: Layout,
        have: &Bitfield,
        wanted: &Bitfield,
        partial: impl Iterator<Item = (PieceIndex, Bitfield)>,
        picking: Picking,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(picking.seed);
        let pieces = layout.pieces();
        let have = of_this_torrent(have.clone(), pieces);
        let mut needed = of_this_torrent(wanted.clone(), pieces);
        let wanted_count = needed.count();
        for piece in have.iter_ones() {
            needed.clear(piece);
        }
        let needed_count = needed.count();
        let mut waiting: Vec<u32> = needed.iter_ones().collect();
        rng.shuffle(&mut waiting);
        let mut picker = Self {
            waiting: Rarity::new(pieces, waiting),
            open: OpenPieces::new(picking.sequential),
            peers: BTreeMap::new(),
            suspects: BTreeSet::new(),
            layout,
            picking,
            have,
            needed,
            needed_count,
            wanted_count,
            rng,
        };
        for (piece, blocks) in partial {
            for n in blocks.iter_ones() {
                picker.received(Run { piece, first: n, blocks: 1 });
            }
        }
        picker
    }

    /// True when a peer has a piece that is wanted.
    pub fn interesting(&self, key: PeerKey) -> bool {
        match self.peers.get(&key) {
            Some(Peer { has: Has::All, .. }) => self.needed_count > 0,
            Some(peer) => peer.useful > 0,
            None => false,
        }
    }

    /// Consecutive blocks of one piece for a peer that has room, at most as many as it asks for. Open pieces go first, its own
    /// before others; a waiting one is opened as `may_open` answers to its length in bytes (asked once at most, and only then).
    /// Of spilled pieces no more than there is room for.
    /// A peer that is fast enough for whole pieces joins in on another's piece only when it cannot have one of its own.
    /// When it has no block that nobody was asked for, it takes over some that one other peer has been asked for the longest.
    pub fn grant(&mut self, ask: Ask, now: Duration, mut may_open: impl FnMut(u32) -> Opening) -> Grant {
        if !self.interesting(ask.key) {
            return Grant::Nothing;
        }
        let Some(peer) = self.peers.get(&ask.key) else { return Grant::Nothing };
        let (key, most, mut rng) =
            (ask.key, Most { kept: ask.blocks.max(1), spilled: ask.blocks.max(1).min(ask.room) }, self.rng.fork());
        let allows = |piece: u32| peer.has.get(piece) && (!ask.fast || peer.allowed.contains(&piece));
        let has = |piece: PieceIndex| allows(piece.0);
        self.open.is_at(key, ask.rate);
        let whole = !self.picking.sequential && self.open.fetches_whole(key, self.layout.piece_bytes());
        let mut run = self.open.ask_free(key, most, now, !whole, has);
        let early = self.is_nearly_done();
        if run.is_none() && early {
            run = self.open.ask_second(key, most, now, ENDGAME, has);
        }
        if run.is_none() && self.picking.sequential {
            run = self.open.ask_second(key, most, now, IN_ORDER, has);
        }
        if run.is_none()
            && let Some(number) = self.next(peer, ask.fast, &mut rng)
        {
            let piece = PieceIndex(number);
            // Without memory for another piece, this peer can still help with one that is open.
            let opening = may_open(self.layout.piece_length(piece));
            if opening != Opening::Not && most.of(opening == Opening::Spilled) > 0 {
                self.waiting.remove(number);
                self.open.open(piece, &self.layout, self.suspects.contains(&piece));
                if opening == Opening::Spilled {
                    self.open.spill(piece);
                }
                run = self.open.ask_free(key, most, now, true, |opened| opened == piece);
            }
        }
        if run.is_none() && whole {
            run = self.open.ask_free(key, most, now, true, has);
        }
        if run.is_none() && !early {
            let endgame = self.waiting.is_empty() && !self.open.has_free();
            run = self.open.ask_second(key, most, now, if endgame { ENDGAME } else { HELP }, has);
        }
        run.map_or(Grant::Later, Grant::Run)
    }

    /// True from the per cent of the endgame on, if it is less than 100.
    fn is_nearly_done(&self) -> bool {
        let finished = u64::from(self.wanted_count - self.needed_count);
        self.picking.endgame_from < 100
            && 100 * finished >= u64::from(self.picking.endgame_from) * u64::from(self.wanted_count)
    }

    /// The waiting piece that is to be opened next for this peer.
    fn next(&self, peer: &Peer, fast: bool, rng: &mut fastrand::Rng) -> Option<u32> {
        let waits = |piece: &u32| self.waiting.contains(*piece) && peer.has.get(*piece);
        if fast {
            return peer.allowed.iter().copied().filter(waits).min_by_key(|piece| self.waiting.count(*piece));
        }
        if self.picking.sequential {
            let next = self.waiting.lowest(&peer.has)?;
            return Some(self.end_of_file(next).filter(waits).unwrap_or(next));
        }
        let random = (self.wanted_count - self.needed_count) as usize + self.open.len() < RANDOM_FIRST;
        let rarest = self.waiting.rarest(&peer.has, random, rng)?;
        let as_rare = |piece: &u32| waits(piece) && self.waiting.count(*piece) <= self.waiting.count(rarest);
        Some(peer.suggested.iter().copied().find(as_rare).unwrap_or(rarest))
    }

    /// The last piece of the file that goes on behind this piece, when the file began with an earlier one: whoever plays a file while it
    /// comes looks for its index at its beginning or at its end.
    fn end_of_file(&self, piece: u32) -> Option<u32> {
        let offset = self.layout.piece_offset(PieceIndex(piece));
        let last = offset + u64::from(self.layout.piece_length(PieceIndex(piece))) - 1;
        let file = self.layout.file_ranges(last, 1).next()?.file;
        let pieces = self.layout.pieces_of_file(file);
        (pieces.start < piece).then(|| pieces.end - 1)
    }

    /// Blocks are here, from whomever. Those of a piece that was closed open it again: whoever keeps blocks keeps these too.
    pub fn received(&mut self, run: Run) -> Received {
        let blocks = self.layout.blocks_in(run.piece);
        if self.waiting.contains(run.piece.0) && run.blocks > 0 && run.first < blocks {
            self.waiting.remove(run.piece.0);
            self.open.open(run.piece, &self.layout, self.suspects.contains(&run.piece));
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
        self.suspects.remove(&piece);
        self.open.close(piece);
        self.waiting.remove(piece.0);
        if !self.needed.clear(piece.0) {
            return;
        }
        self.needed_count -= 1;
        for peer in self.peers.values_mut() {
            if let Has::Some(pieces) = &peer.has {
                peer.useful -= u32::from(pieces.get(piece.0));
            }
        }
    }

    /// A piece was lost before it reached the disk: all of its blocks are wanted again.
    pub fn dropped(&mut self, piece: PieceIndex) {
        if self.open.close(piece) {
            self.waiting.insert(piece.0);
        }
    }

    /// A piece failed its hash: all of its blocks are wanted again, from one peer alone,
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

    /// From now on the blocks of an open piece go to the disk as they come, and those that are here do.
    pub fn spill(&mut self, piece: PieceIndex) {
        self.open.spill(piece);
    }

    /// True for an open piece whose blocks go to the disk as they come.
    pub fn is_spilled(&self, piece: PieceIndex) -> bool {
        self.open.is_spilled(piece)
    }

    /// Number of open pieces that are spilled.
    pub fn spilled_pieces(&self) -> usize {
        self.open.spilled()
    }

    /// Number of blocks of spilled pieces that are asked for and not here, each once.
    pub fn spilled_in_flight(&self) -> u64 {
        self.open.spilled_asked()
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

    /// Number of blocks that a peer was asked for and that are not here.
    pub fn asked_of(&self, key: PeerKey) -> u32 {
        self.open.asked_of(key)
    }

    /// Number of peers.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// How the pieces are divided right now, counted piece by piece: for tests and assertions.
    pub fn partition(&self) -> Partition {
        let mut partition = Partition::default();
        for piece in 0..self.layout.pieces() {
            let (have, needed) = (self.have.get(piece), self.needed.get(piece));
            match (have, needed, self.waiting.contains(piece), self.open.contains(PieceIndex(piece))) {
                (true, false, false, false) => partition.have += 1,
                (false, true, true, false) => partition.want += 1,
                (false, true, false, true) => partition.in_flight += 1,
                (false, false, false, false) => partition.skipped += 1,
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
