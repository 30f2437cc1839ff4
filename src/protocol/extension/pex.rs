//! Peer exchange (BEP 11): each side tells the other, at most once a minute, who came and who went.
//!
//! Pure. What a message names is handed on as it is; which addresses can be called at all is the address book's matter. At most
//! [`MAX_ADDED`] and as many dropped ones are read of a message, and sent in one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bip_bencode::BencodeMut;

use super::put;
use crate::protocol::bencode::{self, BencodeError, Dict};

/// Most addresses that come or go with one message.
pub const MAX_ADDED: usize = 50;
/// Between two of our messages.
const EVERY: Duration = Duration::from_secs(60);
/// Messages that may come closer together than a minute before it is a flood; one is forgiven each minute.
const MAX_EARLY: u32 = 5;

/// `added.f`: the peer is a seed, or wants no more.
const SEED: u8 = 0x02;
/// `added.f`: the peer was called by whoever tells of it, so it can be called.
const REACHABLE: u8 = 0x10;

/// A peer that is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SwarmPeer {
    /// Where it accepts connections.
    pub address: SocketAddr,
    /// It has everything.
    pub seed: bool,
    /// We called it, so it can be called.
    pub reachable: bool,
}

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pex {
    /// Who came; at most [`MAX_ADDED`] of each of the two lists of the wire.
    pub added: Vec<SwarmPeer>,
    /// Who went; at most [`MAX_ADDED`] of each of the two lists of the wire.
    pub dropped: Vec<SocketAddr>,
}

impl Pex {
    /// Reads a payload. What is too much is left out.
    pub fn decode(payload: &[u8]) -> Result<Self, BencodeError> {
        let root = bencode::read(payload)?.dict()?;
        let mut added = with_flags::<6>(&root, "added", "added.f");
        added.extend(with_flags::<18>(&root, "added6", "added6.f"));
        let mut dropped = addresses::<6>(&root, "dropped");
        dropped.extend(addresses::<18>(&root, "dropped6"));
        Ok(Self { added, dropped })
    }

    /// As the wire has it.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = BencodeMut::new_dict();
        for (v6, suffix) in [(false, ""), (true, "6")] {
            let added: Vec<&SwarmPeer> = self.added.iter().filter(|peer| peer.address.is_ipv6() == v6).collect();
            let dropped = self.dropped.iter().filter(|address| address.is_ipv6() == v6);
            let flags = added.iter().map(|peer| {
                let seed = if peer.seed { SEED } else { 0 };
                seed | if peer.reachable { REACHABLE } else { 0 }
            });
            let mut bytes = |key: String, bytes: Vec<u8>| put(&mut root, &key, BencodeMut::new_bytes(bytes.into()));
            bytes(format!("added{suffix}"), added.iter().flat_map(|peer| compact(peer.address)).collect());
            bytes(format!("added{suffix}.f"), flags.collect());
            bytes(format!("dropped{suffix}"), dropped.flat_map(|address| compact(*address)).collect());
        }
        root.encode()
    }
}

fn compact(address: SocketAddr) -> Vec<u8> {
    let mut bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend(address.port().to_be_bytes());
    bytes
}

fn addresses<const N: usize>(root: &Dict<'_>, key: &str) -> Vec<SocketAddr> {
    let bytes = root.get(key).and_then(|value| value.bytes()).unwrap_or_default();
    let (entries, _) = bytes.as_chunks::<N>();
    entries.iter().take(MAX_ADDED).filter_map(|entry| one(entry)).collect()
}

fn with_flags<const N: usize>(root: &Dict<'_>, key: &str, flags: &str) -> Vec<SwarmPeer> {
    let flags = root.get(flags).and_then(|value| value.bytes()).unwrap_or_default();
    let flag = |place: usize, bit: u8| flags.get(place).is_some_and(|flags| flags & bit != 0);
    let peer = |(place, address)| SwarmPeer { address, seed: flag(place, SEED), reachable: flag(place, REACHABLE) };
    addresses::<N>(root, key).into_iter().enumerate().map(peer).collect()
}

fn one(entry: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = entry.split_last_chunk::<2>()?;
    let ip = match ip.len() {
        4 => IpAddr::from(*ip.first_chunk::<4>()?),
        _ => IpAddr::from(*ip.first_chunk::<16>()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

/// What one peer has been told.
#[derive(Debug, Default)]
pub struct Told {
    peers: BTreeSet<SocketAddr>,
    at: Option<Duration>,
}

impl Told {
    /// What to tell the peer at `to`, when the swarm is `now` like this; `None`: nothing new, or it is too early.
    pub fn news(&mut self, swarm: &[SwarmPeer], to: SocketAddr, now: Duration) -> Option<Pex> {
        if self.at.is_some_and(|at| now.saturating_sub(at) < EVERY) {
            return None;
        }
        let there: BTreeMap<SocketAddr, SwarmPeer> =
            swarm.iter().filter(|peer| peer.address != to).map(|peer| (peer.address, *peer)).collect();
        let came = there.values().filter(|peer| !self.peers.contains(&peer.address)).copied();
        let went = self.peers.iter().filter(|address| !there.contains_key(address)).copied();
        let pex = Pex { added: came.take(MAX_ADDED).collect(), dropped: went.take(MAX_ADDED).collect() };
        if pex == Pex::default() {
            return None;
        }
        self.at = Some(now);
        self.peers.extend(pex.added.iter().map(|peer| peer.address));
        self.peers.retain(|address| !pex.dropped.contains(address));
        Some(pex)
    }
}

/// How often one peer tells us.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Duration>,
    early: u32,
}

/// What to do with a message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Read it.
    Read,
    /// Too soon after the last one: leave it.
    TooSoon,
    /// Too soon again and again.
    Flood,
}

impl Pace {
    /// A message came at `now`.
    pub fn heard(&mut self, now: Duration) -> Verdict {
        // Clocks of two machines do not beat alike.
        let early = self.last.is_some_and(|last| now.saturating_sub(last) < EVERY.mul_f64(0.75));
        if early {
            self.early += 1;
            return if self.early > MAX_EARLY { Verdict::Flood } else { Verdict::TooSoon };
        }
        self.early = self.early.saturating_sub(1);
        self.last = Some(now);
        Verdict::Read
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Duration = Duration::ZERO;

    fn peer(n: u16) -> SwarmPeer {
        SwarmPeer {
            address: SocketAddr::from(([10, 0, 0, 1], n)),
            seed: n.is_multiple_of(2),
            reachable: n.is_multiple_of(3),
        }
    }

    #[test]
    fn what_we_tell_is_what_is_heard() {
        let v6 = SwarmPeer { address: "[2001:db8::1]:6881".parse().unwrap(), seed: true, reachable: false };
        let pex = Pex { added: vec![peer(1), peer(6), v6], dropped: vec![peer(2).address, v6.address] };
        assert_eq!(Pex::decode(&pex.encode()), Ok(pex));
    }

    #[test]
    fn a_peer_is_told_once_a_minute_what_is_new_and_never_of_itself() {
        let (mut told, me) = (Told::default(), peer(9).address);
        let news = told.news(&[peer(1), peer(9)], me, T0);
        assert_eq!(news, Some(Pex { added: vec![peer(1)], dropped: vec![] }));
        assert_eq!(told.news(&[peer(2)], me, Duration::from_secs(59)), None);
        let news = told.news(&[peer(2)], me, Duration::from_secs(60));
        assert_eq!(news, Some(Pex { added: vec![peer(2)], dropped: vec![peer(1).address] }));
        assert_eq!(told.news(&[peer(2)], me, Duration::from_secs(500)), None, "nothing is new");
    }

    #[test]
    fn a_large_swarm_is_told_in_portions() {
        let swarm: Vec<SwarmPeer> = (1..=120).map(peer).collect();
        let (mut told, me) = (Told::default(), peer(999).address);
        let counts = [0, 60, 120, 180].map(|at| told.news(&swarm, me, Duration::from_secs(at)).map(|p| p.added.len()));
        assert_eq!(counts, [Some(50), Some(50), Some(20), None]);
    }

    #[test]
    fn more_than_fifty_are_not_read() {
        let many = Pex { added: (1..=500).map(peer).collect(), dropped: (1..=500).map(|n| peer(n).address).collect() };
        let read = Pex::decode(&many.encode()).unwrap();
        assert_eq!((read.added.len(), read.dropped.len()), (MAX_ADDED, MAX_ADDED));
    }

    #[test]
    fn who_tells_too_often_is_not_heard_and_who_goes_on_floods() {
        let mut pace = Pace::default();
        let verdicts: Vec<Verdict> = (0..7).map(|n| pace.heard(Duration::from_secs(n))).collect();
        let (read, soon) = (Verdict::Read, Verdict::TooSoon);
        assert_eq!(verdicts, [read, soon, soon, soon, soon, soon, Verdict::Flood]);
        let mut regular = Pace::default();
        assert!((0..100).all(|n| regular.heard(Duration::from_secs(n * 55)) == read));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Pex::decode(&bytes);
        }
    }
}
