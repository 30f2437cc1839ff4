//! Who shares what, as far as a tracker knows. Pure: time and dice are parameters.
//!
//! Bounded in torrents, peers and the length of an answer. A peer is its address: nobody can speak for another one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Settings;
use super::request::{Asked, Refusal};
use crate::protocol::{Event, InfoHash, PeerId};

/// Peers in an answer when the client names no number, and at most.
const NUMWANT: (usize, usize) = (50, 200);

/// All torrents of a tracker.
#[derive(Debug)]
pub(super) struct Swarms {
    settings: Settings,
    torrents: BTreeMap<InfoHash, Swarm>,
}

#[derive(Debug, Default)]
struct Swarm {
    peers: BTreeMap<SocketAddr, Peer>,
    /// `completed` announces.
    downloads: u32,
}

#[derive(Debug)]
struct Peer {
    id: PeerId,
    seed: bool,
    seen: Duration,
}

impl Swarms {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, torrents: BTreeMap::new() }
    }

    pub(super) fn peers(&self) -> usize {
        self.torrents.values().map(|swarm| swarm.peers.len()).sum()
    }

    /// Notes the announce that came from `from`, and answers it in bencode. `dice` chooses which peers are named.
    pub(super) fn announce(
        &mut self,
        asked: &Asked,
        from: IpAddr,
        now: Duration,
        dice: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let oldest = now.saturating_sub(self.settings.interval * 2);
        let new = !self.torrents.contains_key(&asked.info_hash);
        if new && self.torrents.len() >= self.settings.torrents {
            self.torrents.values_mut().for_each(|swarm| swarm.forget(oldest));
            self.torrents.retain(|_, swarm| !swarm.peers.is_empty());
            if self.torrents.len() >= self.settings.torrents {
                return Err(Refusal::Failure("this tracker has no room for more torrents"));
            }
        }
        let swarm = self.torrents.entry(asked.info_hash).or_default();
        swarm.forget(oldest);
        let address = SocketAddr::new(from, asked.port);
        let known = swarm.peers.contains_key(&address);
        match asked.event {
            Some(Event::Stopped) => {
                swarm.peers.remove(&address);
            }
            _ if !known && swarm.peers.len() >= self.settings.peers => {
                return Err(Refusal::Failure("this tracker has no room for more peers of this torrent"));
            }
            event => {
                let finished =
                    event == Some(Event::Completed) && swarm.peers.get(&address).is_some_and(|peer| !peer.seed);
                swarm.downloads = swarm.downloads.saturating_add(u32::from(finished));
                swarm.peers.insert(address, Peer { id: asked.peer_id, seed: asked.seed, seen: now });
            }
        }
        Ok(swarm.answer(asked, address, &self.settings, dice))
    }
}

impl Swarm {
    fn forget(&mut self, oldest: Duration) {
        self.peers.retain(|_, peer| peer.seen >= oldest);
    }

    fn answer(&self, asked: &Asked, asking: SocketAddr, settings: &Settings, dice: u64) -> Vec<u8> {
        let seeds = self.peers.values().filter(|peer| peer.seed).count();
        let named = self.chosen(asked, asking, dice);
        let mut out = Bencode::default();
        out.raw(b"d");
        out.key("complete").int(seeds as u64);
        out.key("downloaded").int(u64::from(self.downloads));
        out.key("incomplete").int((self.peers.len() - seeds) as u64);
        out.key("interval").int(settings.interval.as_secs().max(1));
        out.key("min interval").int(settings.min_interval.as_secs().max(1));
        if asked.compact {
            let [v4, v6] = compact(&named);
            out.key("peers").bytes(&v4);
            out.key("peers6").bytes(&v6);
        } else {
            out.key("peers").raw(b"l");
            for (address, peer) in named {
                out.raw(b"d").key("ip").bytes(address.ip().to_string().as_bytes());
                if !asked.no_peer_id {
                    out.key("peer id").bytes(&peer.id.0);
                }
                out.key("port").int(u64::from(address.port())).raw(b"e");
            }
            out.raw(b"e");
        }
        out.raw(b"e");
        out.0
    }

    /// Peers for the one that asks: never itself, and no seeds for a seed.
    fn chosen(&self, asked: &Asked, asking: SocketAddr, dice: u64) -> Vec<(SocketAddr, &Peer)> {
        if asked.event == Some(Event::Stopped) {
            return Vec::new();
        }
        let useful = |(address, peer): &(&SocketAddr, &Peer)| **address != asking && !(asked.seed && peer.seed);
        let all: Vec<_> = self.peers.iter().filter(useful).map(|(address, peer)| (*address, peer)).collect();
        let (usual, most) = NUMWANT;
        let wanted = asked.numwant.unwrap_or(usual).min(most).min(all.len());
        let start = (dice % all.len().max(1) as u64) as usize;
        all.iter().cycle().skip(start).take(wanted).copied().collect()
    }
}

fn compact(peers: &[(SocketAddr, &Peer)]) -> [Vec<u8>; 2] {
    let mut bytes = [Vec::new(), Vec::new()];
    for (address, _) in peers {
        match address.ip() {
            IpAddr::V4(ip) => bytes[0].extend(ip.octets().iter().chain(&address.port().to_be_bytes())),
            IpAddr::V6(ip) => bytes[1].extend(ip.octets().iter().chain(&address.port().to_be_bytes())),
        }
    }
    bytes
}

/// An answer as it grows. Keys have to come in order.
#[derive(Default)]
struct Bencode(Vec<u8>);

impl Bencode {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.raw(bytes.len().to_string().as_bytes()).raw(b":").raw(bytes)
    }

    fn key(&mut self, key: &str) -> &mut Self {
        self.bytes(key.as_bytes())
    }

    fn int(&mut self, number: u64) -> &mut Self {
        self.raw(format!("i{number}e").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::AnnounceReply;

    const SETTINGS: Settings = Settings {
        interval: Duration::from_secs(100),
        min_interval: Duration::from_secs(60),
        torrents: 2,
        peers: 3,
        connections: 1,
    };

    fn asked(torrent: u8, port: u16, left: bool) -> Asked {
        Asked {
            info_hash: InfoHash([torrent; 20]),
            peer_id: PeerId([port as u8; 20]),
            port,
            seed: !left,
            event: None,
            numwant: None,
            compact: true,
            no_peer_id: false,
        }
    }

    fn with(event: Event, asked: Asked) -> Asked {
        Asked { event: Some(event), ..asked }
    }

    fn at(swarms: &mut Swarms, secs: u64, ip: &str, asked: &Asked) -> AnnounceReply {
        let body = swarms.announce(asked, ip.parse().unwrap(), Duration::from_secs(secs), secs).unwrap();
        AnnounceReply::parse(&body).unwrap()
    }

    fn ports(reply: &AnnounceReply) -> Vec<u16> {
        let mut ports: Vec<u16> = reply.peers.iter().map(SocketAddr::port).collect();
        ports.sort();
        ports
    }

    #[test]
    fn a_leech_hears_of_all_others_and_a_seed_of_no_seed() {
        for compact in [true, false] {
            let mut swarms = Swarms::new(SETTINGS);
            let ask = |port, left| Asked { compact, ..asked(1, port, left) };
            assert!(at(&mut swarms, 0, "10.0.0.1", &ask(1, false)).peers.is_empty());
            assert_eq!(ports(&at(&mut swarms, 0, "10.0.0.2", &ask(2, false))), [0; 0]);
            let reply = at(&mut swarms, 0, "2001:db8::3", &ask(3, true));
            assert_eq!((ports(&reply), reply.seeders, reply.leechers), (vec![1, 2], Some(2), Some(1)));
            let reply = at(&mut swarms, 0, "10.0.0.1", &ask(1, false));
            assert_eq!(reply.peers, ["[2001:db8::3]:3".parse().unwrap()]);
            assert_eq!((reply.interval.as_secs(), reply.min_interval.unwrap().as_secs()), (100, 60));
        }
    }

    #[test]
    fn stopped_and_silent_peers_are_forgotten() {
        let mut swarms = Swarms::new(SETTINGS);
        at(&mut swarms, 0, "10.0.0.1", &asked(1, 1, true));
        at(&mut swarms, 150, "10.0.0.2", &asked(1, 2, true));
        assert_eq!(ports(&at(&mut swarms, 200, "10.0.0.3", &asked(1, 3, true))), [1, 2]);
        assert_eq!(ports(&at(&mut swarms, 201, "10.0.0.3", &asked(1, 3, true))), [2]);
        assert!(at(&mut swarms, 202, "10.0.0.2", &with(Event::Stopped, asked(1, 2, true))).peers.is_empty());
        assert_eq!(ports(&at(&mut swarms, 203, "10.0.0.3", &asked(1, 3, true))), [0; 0]);
        assert_eq!(swarms.peers(), 1);
    }

    #[test]
    fn there_is_room_for_so_many_torrents_and_peers_and_no_more() {
        let mut swarms = Swarms::new(SETTINGS);
        let mut ask = |secs, torrent, port| {
            swarms.announce(&asked(torrent, port, true), [10, 0, 0, 1].into(), Duration::from_secs(secs), 0).is_ok()
        };
        assert!(ask(0, 1, 1) && ask(0, 1, 2) && ask(0, 1, 3));
        assert!(!ask(0, 1, 4) && ask(0, 1, 3));
        assert!(ask(0, 2, 1) && !ask(0, 3, 1));
        assert!(ask(201, 3, 1), "the others have been silent for too long");
    }

    #[test]
    fn a_download_is_counted_once_and_only_of_one_who_was_there() {
        let mut swarms = Swarms::new(SETTINGS);
        let done = with(Event::Completed, asked(1, 1, false));
        at(&mut swarms, 0, "10.0.0.1", &done);
        at(&mut swarms, 0, "10.0.0.2", &asked(1, 2, true));
        at(&mut swarms, 1, "10.0.0.2", &with(Event::Completed, asked(1, 2, false)));
        at(&mut swarms, 2, "10.0.0.2", &with(Event::Completed, asked(1, 2, false)));
        assert_eq!(swarms.torrents[&InfoHash([1; 20])].downloads, 1);
    }

    #[test]
    fn an_answer_names_as_many_as_were_asked_for_up_to_its_limit() {
        let mut swarms = Swarms::new(Settings { peers: 1000, ..SETTINGS });
        for port in 1..=500 {
            at(&mut swarms, 0, "10.0.0.1", &asked(1, port, true));
        }
        let ask = |numwant| Asked { numwant, ..asked(1, 999, true) };
        for (numwant, named) in [(None, 50), (Some(0), 0), (Some(7), 7), (Some(100_000), 200)] {
            assert_eq!(at(&mut swarms, 1, "10.0.0.1", &ask(numwant)).peers.len(), named);
        }
        let (a, b) = (at(&mut swarms, 1, "10.0.0.1", &ask(None)), at(&mut swarms, 9, "10.0.0.1", &ask(None)));
        assert_ne!(a.peers, b.peers);
    }
}
