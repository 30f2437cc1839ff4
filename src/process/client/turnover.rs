//! Peers that are of no use make room when there is none.
//!
//! Part of `client`. Who they are is `protocol::turnover`'s decision.

use super::*;
use crate::protocol::turnover::{Standing, least_useful};

impl Client {
    /// Every five minutes.
    pub(super) fn turn_over(&mut self, now: Duration) {
        let standing = |(key, c): (&PeerKey, &Connection)| Standing {
            key: *key,
            wanted: c.interested,
            rate: c.counts.download_rate.load(Ordering::Relaxed) + c.counts.upload_rate.load(Ordering::Relaxed),
            age: now.saturating_sub(c.counts.since),
        };
        let standings: Vec<Standing> = self.peers.iter().map(standing).collect();
        for key in least_useful(&standings, self.torrent.options.max_peers) {
            if let Some(connection) = self.peers.get(&key) {
                let _ = connection.addr.cast(peer::Msg::Close { reason: "it makes room for others" });
            }
        }
    }
}
