//! Which connections make room for others when a torrent has as many as it may have.
//!
//! Pure. A full torrent would never meet a better peer; so now and then the least useful go.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::PeerKey;

/// A connection younger than this has not had its chance yet.
const CHANCE: Duration = Duration::from_secs(300);
/// From so many per cent of the limit on, a torrent counts as full.
const FULL_PERCENT: usize = 90;
/// So many per cent of the connections go, one at least.
const GO_PERCENT: usize = 4;

/// How useful a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub key: PeerKey,
    /// It has something that we want.
    pub wanted: bool,
    /// Bytes per second, both ways together.
    pub rate: u64,
    /// How long it has been connected.
    pub age: Duration,
}

/// True when a torrent with so many connections counts as full.
pub fn is_full(peers: usize, limit: usize) -> bool {
    peers * 100 >= limit * FULL_PERCENT
}

/// The connections that should go, of a torrent that may have `limit`: the slowest of those that have had their chance, and first those that
/// have nothing for us. None as long as there is room.
pub fn least_useful(peers: &[Standing], limit: usize) -> Vec<PeerKey> {
    if !is_full(peers.len(), limit) {
        return Vec::new();
    }
    let mut old: Vec<&Standing> = peers.iter().filter(|peer| peer.age >= CHANCE).collect();
    old.sort_by_key(|peer| (peer.rate, peer.wanted, Reverse(peer.age)));
    old.into_iter().take((peers.len() * GO_PERCENT / 100).max(1)).map(|peer| peer.key).collect()
}

/// The connection that makes room for a newcomer from `host` when a torrent is full: the least useful one of the host that has the most, if
/// that host has at least two more than the newcomer's. So nobody keeps others out by calling often.
pub fn crowding_out(peers: &[(IpAddr, Standing)], host: IpAddr) -> Option<PeerKey> {
    let mut hosts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    peers.iter().for_each(|(host, _)| *hosts.entry(*host).or_default() += 1);
    let newcomers = hosts.get(&host).copied().unwrap_or(0);
    let (greediest, most) = hosts.into_iter().max_by_key(|(_, connections)| *connections)?;
    let of_it = peers.iter().filter(|(host, _)| *host == greediest && most >= newcomers + 2);
    of_it.map(|(_, peer)| peer).min_by_key(|peer| (peer.rate, peer.wanted, peer.age)).map(|peer| peer.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_crowds_out_whoever_called_most_often() {
        let at = |n: u8| IpAddr::from([10, 0, 0, n]);
        let full: Vec<_> = (0..).zip(peers(4)).map(|(n, peer)| (at(if n < 3 { 1 } else { 2 }), peer)).collect();
        assert_eq!(crowding_out(&full, at(3)), Some(PeerKey(1)), "no rate, and it has nothing for us");
        assert_eq!(crowding_out(&full, at(2)), Some(PeerKey(1)));
        assert_eq!(crowding_out(&full, at(1)), None);
        assert_eq!(crowding_out(&full[2..], at(3)), None, "one each");
    }

    fn peers(count: u64) -> Vec<Standing> {
        let peer = |n| Standing { key: PeerKey(n), wanted: n % 2 == 0, rate: n / 2, age: CHANCE };
        (0..count).map(peer).collect()
    }

    #[test]
    fn with_room_nobody_goes() {
        assert_eq!(least_useful(&peers(44), 50), []);
    }

    #[test]
    fn of_a_full_torrent_the_least_useful_twentyfifth_goes() {
        assert_eq!(least_useful(&peers(50), 50), [PeerKey(1), PeerKey(0)]);
        assert_eq!(least_useful(&peers(2), 2), [PeerKey(1)]);
    }

    #[test]
    fn who_came_lately_stays() {
        let young: Vec<Standing> = peers(50).into_iter().map(|p| Standing { age: CHANCE / 2, ..p }).collect();
        assert_eq!(least_useful(&young, 50), []);
    }
}
