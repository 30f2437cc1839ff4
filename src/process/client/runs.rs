//! What peers are granted, and what became of it.
//!
//! Part of `client`. Which run is granted is the picker's decision; here it is told what happened, and the memory is counted.

use std::cmp::Reverse;

use super::*;
use crate::protocol::{BLOCK_BYTES, Opening};

/// Fewer blocks of a spilled piece are granted to nobody who wants more.
const LEAST_ROOM: u32 = 16;

impl Client {
    pub(super) fn landed(&mut self, piece: PieceIndex, blocks: &[u32]) {
        for block in blocks {
            // One of the two that were asked has delivered it and knows; the other learns it here.
            for (key, run) in self.picker.received(Run { piece, first: *block, blocks: 1 }).doubled {
                if let Some(connection) = self.peers.get(&key) {
                    let _ = connection.addr.cast(peer::Msg::Cancel { run });
                }
            }
        }
        // Blocks that come late open their piece again.
        self.provide(piece);
    }

    /// Memory for an open piece that has none yet. When there is none for all of it, its blocks go to the disk as they come.
    pub(super) fn provide(&mut self, piece: PieceIndex) {
        if !self.picker.is_open(piece) || self.leases.contains_key(&piece) || self.picker.is_spilled(piece) {
            return;
        }
        let bytes = memory_of(self.layout.piece_length(piece));
        let budget = &self.torrent.session.budget;
        match (!budget.is_large(bytes)).then(|| budget.try_reserve(bytes)).flatten() {
            Some(lease) => drop(self.leases.insert(piece, lease)),
            None => self.spill(piece),
        }
    }

    fn is_large(&self, bytes: u64) -> bool {
        self.torrent.session.budget.is_large(bytes)
    }

    fn spill(&mut self, piece: PieceIndex) {
        self.picker.spill(piece);
        let lease = self.leases.remove(&piece);
        self.torrent.store.cast(store::Msg::Spill { piece, lease });
    }

    /// Incomplete pieces of which nobody can deliver anything now keep no memory: others need it.
    pub(super) fn spill_if_stuck(&mut self) {
        if !self.leases.is_empty() && self.picker.is_stuck() && lock(&self.torrent.paused).is_none() {
            let kept: Vec<PieceIndex> = self.leases.keys().copied().collect();
            kept.into_iter().for_each(|piece| self.spill(piece));
        }
    }

    pub(super) fn ask(&mut self, key: PeerKey, blocks: u32, fast: bool) {
        if let Some(connection) = self.peers.get_mut(&key) {
            connection.wants = blocks;
            connection.fast = fast;
            self.grant(key);
        }
    }

    pub(super) fn give_back(&mut self, key: PeerKey, runs: &[Run]) {
        for run in runs {
            self.picker.give_back(key, *run);
        }
        self.settle_memory();
        self.freed = true;
    }

    /// A piece that is open no longer needs no memory, and a block that is not on its way any more needs none of this.
    pub(super) fn settle_memory(&mut self) {
        self.leases.retain(|piece, _| self.picker.is_open(*piece));
        self.settle_flight();
    }

    fn settle_flight(&mut self) {
        self.flight.resize(self.picker.spilled_in_flight() * u64::from(BLOCK_BYTES));
    }

    /// Its blocks are not in memory any more, through nobody's fault.
    pub(super) fn dropped(&mut self, piece: PieceIndex) {
        self.leases.remove(&piece);
        self.picker.dropped(piece);
        self.freed = true;
    }

    pub(super) fn grant(&mut self, key: PeerKey) {
        if lock(&self.torrent.paused).is_some() {
            self.waiting.insert(key);
            return;
        }
        let Some(connection) = self.peers.get(&key) else { return };
        let (blocks, fast) = (connection.wants, connection.fast);
        let rate = connection.counts.download_rate.load(Ordering::Relaxed);
        let room = self.room_for_spilled(blocks.max(1));
        let budget = &self.torrent.session.budget;
        let (mut lease, mut spilled) = (None, false);
        let may_open = |bytes: u32| {
            let bytes = memory_of(bytes);
            if budget.is_large(bytes) {
                spilled = true;
                return Opening::Spilled;
            }
            lease = budget.try_reserve(bytes);
            if lease.is_some() { Opening::Kept } else { Opening::Not }
        };
        let granted = self.picker.grant(Ask { key, blocks, rate, fast, room }, clock::since_start(), may_open);
        match granted {
            Grant::Run(run) => {
                self.waiting.remove(&key);
                if let Some(lease) = lease {
                    self.leases.insert(run.piece, lease);
                }
                if spilled && self.picker.is_spilled(run.piece) {
                    self.spill(run.piece);
                }
                if let Some(connection) = self.peers.get_mut(&key) {
                    connection.wants = 0;
                    let _ = connection.addr.cast(peer::Msg::Grant { run });
                }
            }
            later => {
                self.hopeful |= later == Grant::Later;
                self.waiting.insert(key);
            }
        }
        self.settle_flight();
    }

    /// Blocks of spilled pieces that there is memory for, at most as many as a peer asks for; held until [`Self::settle_flight`]. A few
    /// are not worth a request, and none are needed where no piece is spilled.
    fn room_for_spilled(&mut self, asked: u32) -> u32 {
        let large = self.is_large(memory_of(self.layout.piece_bytes()));
        let (mut room, least) = (asked, asked.min(LEAST_ROOM));
        while large || self.picker.spilled_pieces() > 0 {
            if self.flight.try_grow(u64::from(room) * u64::from(BLOCK_BYTES)) {
                return room;
            }
            if room == least {
                break;
            }
            room = (room / 2).max(least);
        }
        0
    }

    /// Those who wait may have what came free; those first that were of most use, so that silent peers do not get it in turn.
    pub(super) fn grant_freed(&mut self) {
        if std::mem::take(&mut self.freed) {
            self.hopeful = false;
            let mut waiting: Vec<PeerKey> = self.waiting.iter().copied().collect();
            waiting.sort_by_key(|key| Reverse(self.peers.get(key).map_or(0, |c| c.useful)));
            waiting.into_iter().for_each(|key| self.grant(key));
        }
    }
}

/// What a piece takes in memory: whole blocks, however short the piece.
pub(super) fn memory_of(piece_bytes: u32) -> u64 {
    u64::from(piece_bytes.div_ceil(BLOCK_BYTES)) * u64::from(BLOCK_BYTES)
}
