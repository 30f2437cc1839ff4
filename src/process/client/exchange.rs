//! Who is connected, told to those who are (BEP 11).
//!
//! Part of `client`. What a peer has been told already is remembered by its process.

use super::*;
use crate::protocol::extension::pex::SwarmPeer;

impl Client {
    /// The other side accepts connections there: it may be called again, and others may be told.
    pub(super) fn listens(&mut self, key: PeerKey, address: SocketAddr) {
        let Some(connection) = self.peers.get_mut(&key).filter(|connection| connection.listens.is_none()) else {
            return;
        };
        connection.listens = Some(address);
        connection.holds = lock(&self.torrent.book).hold(address, clock::since_start());
    }

    /// Tells every peer who is there.
    pub(super) fn tell_of_swarm(&self) {
        if !self.torrent.exchanges_peers() {
            return;
        }
        let peer = |connection: &Connection| {
            let seed = connection.counts.pieces.load(Ordering::Relaxed) == self.layout.pieces();
            Some(SwarmPeer { address: connection.listens?, seed, reachable: connection.counts.outgoing })
        };
        let peers: Arc<[SwarmPeer]> = self.peers.values().filter_map(peer).collect();
        for connection in self.peers.values() {
            let _ = connection.addr.cast(peer::Msg::Swarm { peers: peers.clone() });
        }
    }
}
