//! Peers that are of no use make room when there is none.
//!
//! Part of `client`. Who they are is `protocol::turnover`'s decision.

use std::net::IpAddr;

use super::*;
use crate::protocol::turnover::{Standing, crowding_out, is_full, least_useful};

impl Client {
    /// Every five minutes.
    pub(super) fn turn_over(&mut self, now: Duration) {
        let standings: Vec<Standing> = self.standings(now).map(|(_, standing)| standing).collect();
        for key in least_useful(&standings, self.torrent.options.max_peers) {
            self.close(key);
        }
    }

    /// There is hardly room for more.
    pub(super) fn may_be_full(&self) -> bool {
        is_full(self.peers.len(), self.torrent.options.max_peers)
    }

    /// When there is no room for somebody from `host`: somebody from a host with more connections goes. False when all are as modest.
    pub(super) fn make_room_for(&mut self, host: IpAddr) -> bool {
        let standings: Vec<_> = self.standings(clock::since_start()).collect();
        crowding_out(&standings, host).is_some_and(|key| self.close(key))
    }

    fn standings(&self, now: Duration) -> impl Iterator<Item = (IpAddr, Standing)> {
        self.peers.iter().filter(|(_, connection)| !connection.closing).map(move |(key, c)| {
            let rate = c.counts.download_rate.load(Ordering::Relaxed) + c.counts.upload_rate.load(Ordering::Relaxed);
            let age = now.saturating_sub(c.counts.since);
            (c.counts.address.ip(), Standing { key: *key, wanted: c.interested, rate, age })
        })
    }

    fn close(&mut self, key: PeerKey) -> bool {
        self.peers.get_mut(&key).is_some_and(|connection| {
            connection.closing = true;
            let _ = connection.addr.cast(peer::Msg::Close { reason: "it makes room for others" });
            true
        })
    }

    /// Connections that stay, and those of them that came in.
    pub(super) fn crowd(&self) -> (usize, usize) {
        let staying = self.peers.values().filter(|connection| !connection.closing);
        (staying.clone().count(), staying.filter(|connection| !connection.counts.outgoing).count())
    }
}
