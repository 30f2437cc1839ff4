//! What peers are granted, and what became of it.
//!
//! Part of `client`. Which run is granted is the picker's decision; here it is told what happened, and the memory is counted.

use std::cmp::Reverse;

use super::*;
use crate::protocol::BLOCK_BYTES;

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
        // Blocks that come late open their piece again; they are in memory, whether the budget likes it or not.
        if self.picker.is_open(piece) && !self.leases.contains_key(&piece) {
            let bytes = memory_of(self.layout.piece_length(piece));
            self.leases.insert(piece, self.torrent.session.budget.reserve_anyway(bytes));
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
        self.settle_leases();
        self.freed = true;
    }

    /// A piece of which nothing had arrived is open no longer when its last request came back.
    pub(super) fn settle_leases(&mut self) {
        self.leases.retain(|piece, _| self.picker.is_open(*piece));
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
        let Some(connection) = self.peers.get_mut(&key) else { return };
        let budget = &self.torrent.session.budget;
        // Incomplete pieces that only departed peers had may fill the budget; then one more is the only way on.
        let stuck = self.picker.is_stuck();
        let mut lease = None;
        let may_open = |bytes: u32| {
            let bytes = memory_of(bytes);
            lease = budget.try_reserve(bytes).or_else(|| stuck.then(|| budget.reserve_anyway(bytes)));
            lease.is_some()
        };
        let rate = connection.counts.download_rate.load(Ordering::Relaxed);
        let ask = Ask { key, blocks: connection.wants, rate, fast: connection.fast };
        match self.picker.grant(ask, clock::since_start(), may_open) {
            Grant::Run(run) => {
                self.waiting.remove(&key);
                connection.wants = 0;
                if let Some(lease) = lease {
                    self.leases.insert(run.piece, lease);
                }
                let _ = connection.addr.cast(peer::Msg::Grant { run });
            }
            later => {
                self.hopeful |= later == Grant::Later;
                self.waiting.insert(key);
            }
        }
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
