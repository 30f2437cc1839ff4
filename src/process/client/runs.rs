//! What peers are granted, and what became of it.
//!
//! Part of `client`. Which run is granted is the picker's decision; here it is told what happened, and the memory is counted.

use super::*;

impl Client {
    pub(super) fn landed(&mut self, piece: PieceIndex, blocks: &[u32]) {
        for block in blocks {
            self.picker.received(Run { piece, first: *block, blocks: 1 });
        }
        // Blocks that come late open their piece again; they are in memory, whether the budget likes it or not.
        if self.picker.is_open(piece) && !self.leases.contains_key(&piece) {
            let bytes = u64::from(self.layout.piece_length(piece));
            self.leases.insert(piece, self.torrent.session.budget.reserve_anyway(bytes));
        }
    }

    pub(super) fn ask(&mut self, key: PeerKey, blocks: u32) {
        if let Some(connection) = self.peers.get_mut(&key) {
            connection.wants = blocks;
            self.grant(key);
        }
    }

    pub(super) fn give_back(&mut self, key: PeerKey, runs: &[Run]) {
        for run in runs {
            self.picker.give_back(key, *run);
        }
        self.settle_leases();
        self.wake();
    }

    /// A piece of which nothing had arrived is open no longer when its last request came back.
    pub(super) fn settle_leases(&mut self) {
        self.leases.retain(|piece, _| self.picker.is_open(*piece));
    }

    pub(super) fn grant(&mut self, key: PeerKey) {
        let Some(connection) = self.peers.get_mut(&key) else { return };
        let budget = &self.torrent.session.budget;
        // Incomplete pieces that only departed peers had may fill the budget; then one more is the only way on.
        let stuck = self.picker.is_stuck();
        let mut lease = None;
        let may_open = |bytes: u32| {
            let bytes = u64::from(bytes);
            lease = budget.try_reserve(bytes).or_else(|| stuck.then(|| budget.reserve_anyway(bytes)));
            lease.is_some()
        };
        match self.picker.grant(key, connection.wants, clock::since_start(), may_open) {
            Grant::Run(run) => {
                self.waiting.remove(&key);
                connection.wants = 0;
                if let Some(lease) = lease {
                    self.leases.insert(run.piece, lease);
                }
                let _ = connection.addr.cast(peer::Msg::Grant { run });
            }
            Grant::Later | Grant::Nothing => {
                self.waiting.insert(key);
            }
        }
    }

    /// Something came free: those who wait may have it.
    pub(super) fn wake(&mut self) {
        for key in self.waiting.clone() {
            self.grant(key);
        }
    }
}
