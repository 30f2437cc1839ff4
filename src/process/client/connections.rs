//! Who is connected: coming, going, and what each of them has.
//!
//! Part of `client`. Picks nothing and calls nobody.

use super::*;

/// After a peer that had called us is gone, wait so long before calling it: it may come back by itself.
const CALL_BACK: Duration = Duration::from_secs(5);

impl Client {
    pub(super) fn joined(&mut self, joined: Joined) {
        let Joined { key, pid, addr, counts } = joined;
        let (address, peer_id, outgoing) = (counts.address, counts.peer_id, counts.outgoing);
        let same = |c: &PeerCounts| c.address == address || (c.peer_id == peer_id && c.address.ip() == address.ip());
        if let Some(other) = self.peers.values().find(|c| same(&c.counts)) {
            let old_loses = match (other.counts.outgoing, outgoing) {
                // Who calls again has lost the first call, and knows it before we do.
                (false, false) => true,
                (true, true) => false,
                // Both sides called at the same time: both keep the call of the larger peer id.
                _ => outgoing == (self.torrent.session.peer_id.0 > peer_id.0),
            };
            let loser = if old_loses { &other.addr } else { &addr };
            let _ = loser.cast(peer::Msg::Close { reason: "connected already" });
            if loser.same(&addr) {
                return;
            }
        }
        let (all, incoming) = self.crowd();
        let max = self.torrent.options.max_peers;
        // A quarter of the room stays for peers of our own choice.
        let full = all >= max || (!outgoing && incoming >= max - max / 4);
        if full && !self.make_room_for(address.ip()) {
            let _ = addr.cast(peer::Msg::Close { reason: "enough peers are connected" });
            return;
        }
        supervisors::monitor(pid, &self.torrent.client.addr, move |down| Msg::Down { key, down });
        let _ = addr.cast(peer::Msg::Welcome { have: self.have.clone() });
        self.picker.joined(key, Bitfield::new(self.layout.pieces()));
        lock(&self.torrent.peers).insert(key, counts.clone());
        self.peers.insert(
            key,
            Connection {
                addr,
                rates: Rates::new(),
                listens: outgoing.then_some(address),
                holds: false,
                closing: false,
                counts,
                interested: false,
                wanted: false,
                unchoked: false,
                wants: 0,
                fast: false,
                useful: 0,
                leaving: None,
            },
        );
        self.torrent.has_peers(self.peers.len());
        self.swarm_changed();
        let change = PeerChange::Connected { peer_id: peer_id.to_string(), outgoing };
        self.torrent.tell(Event::Peer { address, change });
    }

    pub(super) fn left(&mut self, key: PeerKey, down: &Down) {
        self.picker.left(key);
        self.suggestions.ended(key);
        lock(&self.torrent.giving).left(key);
        self.settle_leases();
        self.waiting.remove(&key);
        lock(&self.torrent.peers).remove(&key);
        if let Some(connection) = self.peers.remove(&key) {
            if let Some(address) = connection.listens.filter(|_| connection.holds) {
                lock(&self.torrent.book).released(address, clock::since_start() + CALL_BACK);
            }
            let served = connection.counts.uploaded.load(Ordering::Relaxed) > 0;
            self.torrent.counts.served.fetch_add(u32::from(served), Ordering::Relaxed);
            self.torrent.has_peers(self.peers.len());
            self.swarm_changed();
            let reason = connection.leaving.unwrap_or_else(|| down.reason.to_string());
            let change = PeerChange::Disconnected { reason };
            self.torrent.tell(Event::Peer { address: connection.counts.address, change });
        }
        self.freed = true;
        self.choking.soon = true;
        self.call();
    }

    pub(super) fn ban(&mut self, address: SocketAddr, fault: Fault, reason: String) {
        log::warn!("peer {address} is banned: it {reason}");
        lock(&self.torrent.book).strike(address, fault, clock::since_start());
        self.torrent.tell(Event::Peer { address, change: PeerChange::Banned { reason } });
        for connection in self.peers.values().filter(|c| c.counts.address == address) {
            let _ = connection.addr.cast(peer::Msg::Close { reason: "banned" });
        }
    }

    pub(super) fn bitfield(&mut self, key: PeerKey, pieces: Bitfield) {
        if self.peers.contains_key(&key) {
            let mut giving = lock(&self.torrent.giving);
            pieces.iter_ones().for_each(|piece| giving.has(PieceIndex(piece)));
            drop(giving);
            self.picker.joined(key, pieces);
            self.interest(key);
        }
    }

    pub(super) fn has(&mut self, key: PeerKey, pieces: &[PieceIndex]) {
        if !self.peers.contains_key(&key) {
            return;
        }
        let mut giving = lock(&self.torrent.giving);
        for piece in pieces {
            self.picker.has(key, *piece);
            self.suggestions.has(key, *piece);
            giving.has(*piece);
        }
        drop(giving);
        if self.pieces.is_complete() {
            self.suggest(key);
        }
        self.interest(key);
        if self.waiting.contains(&key) {
            self.grant(key);
        }
    }

    pub(super) fn lost(&mut self, key: PeerKey, piece: PieceIndex) {
        self.picker.lost(key, piece);
        self.settle_leases();
        self.interest(key);
        self.freed = true;
    }

    /// Tells a peer when it becomes interesting or ceases to be.
    pub(super) fn interest(&mut self, key: PeerKey) {
        let interesting = self.picker.interesting(key);
        if let Some(connection) = self.peers.get_mut(&key)
            && connection.interested != interesting
        {
            connection.interested = interesting;
            connection.wanted |= interesting;
            let _ = connection.addr.cast(peer::Msg::Interest { interested: interesting });
        }
    }

    pub(super) fn update_interest(&mut self) {
        let interested: Vec<PeerKey> = self.peers.iter().filter(|(_, c)| c.interested).map(|(key, _)| *key).collect();
        for key in interested {
            self.interest(key);
        }
    }
}
