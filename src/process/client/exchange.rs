//! Who is connected, told to those who are (BEP 11).
//!
//! Part of `client`. What a peer has been told already is remembered by its process.

use super::*;
use crate::protocol::extension::pex::{MAX_ADDED, SwarmPeer};

/// Nobody is told of more peers than this at a time: each remembers what it was told.
const MOST_TOLD: usize = 100;

impl Client {
    /// The other side accepts connections there: it may be called again, and others may be told.
    pub(super) fn listens(&mut self, key: PeerKey, address: SocketAddr) {
        let Some(connection) = self.peers.get_mut(&key).filter(|connection| connection.listens.is_none()) else {
            return;
        };
        connection.listens = Some(address);
        connection.holds = lock(&self.torrent.book).hold(address, clock::since_start());
        self.swarm_changed();
    }

    /// Somebody came or went: everybody is told soon, and again until all has been said. A peer may not want to hear of it yet the first
    /// time, or have heard of others a moment before; and no message names more than [`MAX_ADDED`].
    pub(super) fn swarm_changed(&mut self) {
        if self.torrent.exchanges_peers() {
            self.due.tell_times(3 + self.peers.len().min(MOST_TOLD) / MAX_ADDED, clock::since_start());
        }
    }

    /// Tells every peer who is there, those who have been there longest first.
    pub(super) fn tell_of_swarm(&self) {
        let peer = |connection: &Connection| {
            let seed = connection.counts.pieces.load(Ordering::Relaxed) == self.layout.pieces();
            Some(SwarmPeer { address: connection.listens?, seed, reachable: connection.counts.outgoing })
        };
        let peers: Arc<[SwarmPeer]> = self.peers.values().filter_map(peer).take(MOST_TOLD).collect();
        for connection in self.peers.values() {
            let _ = connection.addr.cast(peer::Msg::Swarm { peers: peers.clone() });
        }
    }
}
