//! Who is there, what each of them has, and what it would like to be asked for.
//!
//! Part of the picker. Grants nothing.

use std::collections::BTreeSet;

use super::rarity::Has;
use super::{PeerKey, Picker, of_this_torrent};
use crate::protocol::{Bitfield, PieceIndex, Run};

/// Most pieces that are noted as suggested, or as allowed while choked, for one peer.
const MAX_HINTS: usize = 64;

/// A connection.
pub(super) struct Peer {
    pub(super) has: Has,
    /// Needed pieces that it has; not kept for a peer that has everything.
    pub(super) useful: u32,
    /// Pieces that it lacks.
    lacks: u32,
    /// It lost a piece once. Then it is never marked as having everything again: it could make us count all pieces at will.
    lost: bool,
    pub(super) suggested: Vec<u32>,
    pub(super) allowed: BTreeSet<u32>,
}

impl Picker {
    /// A peer is there, and has these pieces. Its key must be new, or the one before has left with this.
    pub fn joined(&mut self, key: PeerKey, pieces: Bitfield) {
        self.left(key);
        let pieces = of_this_torrent(pieces, self.layout.pieces());
        let lacks = pieces.len() - pieces.count();
        let useful = self.needed_count - pieces.count_missing(&self.needed);
        let has = if lacks == 0 { Has::All } else { Has::Some(pieces) };
        self.waiting.peer_came(&has);
        let (suggested, allowed) = (Vec::new(), BTreeSet::new());
        self.peers.insert(key, Peer { has, useful, lacks, lost: false, suggested, allowed });
    }

    /// A peer finished a piece.
    pub fn has(&mut self, key: PeerKey, piece: PieceIndex) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Has::Some(pieces) = &mut peer.has else { return };
        if !pieces.set(piece.0) {
            return;
        }
        self.waiting.one_more(piece.0);
        peer.useful += u32::from(self.needed.get(piece.0));
        peer.lacks -= 1;
        if peer.lacks == 0 && !peer.lost {
            self.waiting.peer_went(&peer.has);
            peer.has = Has::All;
            self.waiting.peer_came(&peer.has);
        }
    }

    /// A peer has a piece no longer (`lt_donthave`). What it was asked for of it goes back, which may close the piece.
    pub fn lost(&mut self, key: PeerKey, piece: PieceIndex) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if let Has::All = peer.has {
            peer.has = Has::Some(Bitfield::full(self.layout.pieces()));
            peer.useful = self.needed_count;
            self.waiting.peer_came(&peer.has);
        }
        let Has::Some(pieces) = &mut peer.has else { return };
        if !pieces.clear(piece.0) {
            return;
        }
        (peer.lacks, peer.lost) = (peer.lacks + 1, true);
        peer.useful -= u32::from(self.needed.get(piece.0));
        self.waiting.one_fewer(piece.0);
        self.give_back(key, Run { piece, first: 0, blocks: self.layout.blocks_in(piece) });
    }

    /// A peer would like to be asked for this piece (BEP 6). It goes before others that are just as rare.
    pub fn suggested(&mut self, key: PeerKey, piece: PieceIndex) {
        if let Some(peer) = self.peers.get_mut(&key)
            && self.needed.get(piece.0)
            && !peer.suggested.contains(&piece.0)
        {
            if peer.suggested.len() == MAX_HINTS {
                peer.suggested.remove(0);
            }
            peer.suggested.push(piece.0);
        }
    }

    /// A peer answers for this piece even while it chokes us (BEP 6).
    pub fn allowed(&mut self, key: PeerKey, piece: PieceIndex) {
        if let Some(peer) = self.peers.get_mut(&key)
            && peer.allowed.len() < MAX_HINTS
            && piece.0 < self.layout.pieces()
        {
            peer.allowed.insert(piece.0);
        }
    }

    /// A peer is gone. What it was asked for goes back, which may close pieces. False when it was asked for nothing.
    pub fn left(&mut self, key: PeerKey) -> bool {
        let Some(peer) = self.peers.remove(&key) else { return false };
        self.waiting.peer_went(&peer.has);
        let was_asked = self.open.asked_of(key) > 0;
        let closed = self.open.left(key);
        closed.into_iter().for_each(|piece| self.waiting.insert(piece.0));
        was_asked
    }
}
