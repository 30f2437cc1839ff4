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
        crowding_out(&standings, host).map(|key| self.close(key)).is_some()
    }

    fn standings(&self, now: Duration) -> impl Iterator<Item = (IpAddr, Standing)> {
        self.peers.iter().filter(|(key, _)| self.crowd.stays(**key)).map(move |(key, c)| {
            let rate = c.counts.download_rate.load(Ordering::Relaxed) + c.counts.upload_rate.load(Ordering::Relaxed);
            let age = now.saturating_sub(c.counts.since);
            (c.counts.address.ip(), Standing { key: *key, wanted: c.interested, rate, age })
        })
    }

    fn close(&mut self, key: PeerKey) {
        self.crowd.goes(key);
        self.tell(key, peer::Msg::Close { reason: "it makes room for others" });
    }
}
