//! Who is connected: coming, going, and what each of them has.
//!
//! Part of `client`. Picks nothing and calls nobody.

use super::*;
use crate::protocol::crowd::{Meeting, Member};

/// After a peer that had called us is gone, wait so long before calling it: it may come back by itself.
const CALL_BACK: Duration = Duration::from_secs(5);

impl Client {
    pub(super) fn joined(&mut self, joined: Joined) {
        let Joined { key, pid, addr, counts } = joined;
        let (address, peer_id, outgoing) = (counts.address, counts.peer_id, counts.outgoing);
        let member = Member { address, peer_id, outgoing };
        match self.crowd.meet(&member, self.torrent.session.peer_id) {
            Meeting::New => {}
            Meeting::Replaces(other) => self.tell(other, peer::Msg::Close { reason: "connected already" }),
            Meeting::Doubles => {
                let _ = addr.cast(peer::Msg::Close { reason: "connected already" });
                return;
            }
        }
        let max = self.torrent.options.max_peers;
        // A quarter of the room stays for peers of our own choice.
        let full = self.crowd.staying() >= max || (!outgoing && self.crowd.incoming() >= max - max / 4);
        if full && !self.make_room_for(address.ip()) {
            let _ = addr.cast(peer::Msg::Close { reason: "enough peers are connected" });
            return;
        }
        self.crowd.joined(key, member);
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
        if self.picker.left(key) {
            self.settle_memory();
            self.freed = true;
        }
        self.suggestions.ended(key);
        lock(&self.torrent.giving).left(key);
        self.waiting.remove(&key);
        self.crowd.left(key);
        lock(&self.torrent.peers).remove(&key);
        if let Some(connection) = self.peers.remove(&key) {
            self.choking.soon = true;
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
        self.due.ask_to_call();
    }

    pub(super) fn ban(&mut self, address: SocketAddr, fault: Fault, reason: String) {
        log::warn!("peer {address} is banned: it {reason}");
        lock(&self.torrent.book).strike(address, fault, clock::since_start());
        self.torrent.tell(Event::Peer { address, change: PeerChange::Banned { reason } });
        if let Some(key) = self.crowd.at(address) {
            self.tell(key, peer::Msg::Close { reason: "banned" });
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
        self.settle_memory();
        self.interest(key);
        self.freed = true;
    }

    pub(super) fn tell(&self, key: PeerKey, message: peer::Msg) {
        if let Some(connection) = self.peers.get(&key) {
            let _ = connection.addr.cast(message);
        }
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
