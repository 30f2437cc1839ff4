//! Who is banned, for what, and until when.
//!
//! Part of `book`. Each fault is worth points; they halve every ten minutes, and whoever has one point or more is banned. So a peer that
//! broke the protocol once is let in again after a while, one that does it again and again is not, and one that
//! sent false data never is. Away from loopback points belong to the host, because a port is changed easily; a host of IPv6 is a whole
//! network of 2^64 addresses, because that is what one user has.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Points halve in this time.
const HALVING: Duration = Duration::from_secs(600);
/// From so many points on somebody is banned.
const BANNED: f64 = 1.0;
/// Most hosts remembered; then those with the fewest points are forgotten.
const MAX_HOSTS: usize = 2000;

/// What a peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It alone sent data that failed its hash: banned as long as the session lasts.
    FalseData,
    /// It broke the protocol, or flooded us: banned for ten minutes, for longer when it does so again.
    Protocol,
}

impl Fault {
    fn points(self) -> f64 {
        match self {
            Self::FalseData => f64::INFINITY,
            Self::Protocol => 2.0 * BANNED,
        }
    }
}

/// The points of everybody who has any.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    /// Points, and when they were counted.
    hosts: BTreeMap<Host, (f64, Duration)>,
}

/// Who answers for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    /// On loopback: one of many peers on this machine.
    Address(SocketAddr),
    Host(IpAddr),
}

impl Host {
    fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            ip if ip.is_loopback() => Self::Address(SocketAddr::new(ip, address.port())),
            IpAddr::V6(ip) => Self::Host(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into()),
            ip => Self::Host(ip),
        }
    }
}

impl Strikes {
    /// A fault of the peer at `address`.
    pub(super) fn strike(&mut self, address: SocketAddr, fault: Fault, now: Duration) {
        let host = Host::of(address);
        let points = self.points(host, now) + fault.points();
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            let least = self.hosts.keys().copied().min_by(|a, b| self.points(*a, now).total_cmp(&self.points(*b, now)));
            least.and_then(|least| self.hosts.remove(&least));
        }
        self.hosts.insert(host, (points, now));
    }

    /// True when `address` is neither called nor let in at `now`.
    pub(super) fn is_banned(&self, address: SocketAddr, now: Duration) -> bool {
        !self.hosts.is_empty() && self.points(Host::of(address), now) >= BANNED
    }

    fn points(&self, host: Host, now: Duration) -> f64 {
        let Some((points, counted)) = self.hosts.get(&host) else { return 0.0 };
        // Not 0, which would end a ban that has no end.
        points * (-now.saturating_sub(*counted).div_duration_f64(HALVING)).exp2().max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address")
    }

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    /// One character for each five minutes: `x` banned.
    fn drawn(strikes: &Strikes, address: &str) -> String {
        (0..12).map(|n| if strikes.is_banned(at(address), minutes(5 * n)) { 'x' } else { '.' }).collect()
    }

    #[test]
    fn a_ban_ends_when_the_points_are_halved_and_lasts_longer_each_time() {
        let mut strikes = Strikes::default();
        strikes.strike(at("1.2.3.4:5"), Fault::Protocol, minutes(0));
        assert_eq!(drawn(&strikes, "1.2.3.4:5"), "xxx.........");
        strikes.strike(at("1.2.3.4:5"), Fault::Protocol, minutes(0));
        strikes.strike(at("1.2.3.4:6"), Fault::Protocol, minutes(0));
        assert_eq!(drawn(&strikes, "1.2.3.4:7"), "xxxxxx......", "another port is no other host");
        assert_eq!(drawn(&strikes, "1.2.3.5:5"), "............");
    }

    #[test]
    fn false_data_is_never_forgiven() {
        let mut strikes = Strikes::default();
        strikes.strike(at("1.2.3.4:5"), Fault::FalseData, minutes(0));
        assert!(strikes.is_banned(at("1.2.3.4:5"), minutes(100_000)));
    }

    #[test]
    fn on_loopback_every_port_is_another_peer_and_a_network_of_ipv6_is_one() {
        let mut strikes = Strikes::default();
        for address in ["127.0.0.1:5", "[::1]:5", "[2001:db8:1:2::3]:5", "[::ffff:9.9.9.9]:1"] {
            strikes.strike(at(address), Fault::Protocol, minutes(0));
        }
        let banned = |address: &str| strikes.is_banned(at(address), minutes(1));
        assert!(banned("127.0.0.1:5") && !banned("127.0.0.1:6") && banned("[::1]:5") && !banned("[::1]:6"));
        assert!(banned("[2001:db8:1:2:9:9:9:9]:7") && !banned("[2001:db8:1:3::3]:5") && banned("9.9.9.9:2"));
    }

    #[test]
    fn no_number_of_hosts_makes_it_grow_and_the_worst_are_remembered() {
        let mut strikes = Strikes::default();
        strikes.strike(at("1.2.3.4:5"), Fault::FalseData, minutes(0));
        for n in 0..3000u32 {
            let host = SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + n), 1));
            strikes.strike(host, Fault::Protocol, Duration::from_secs(u64::from(n)));
        }
        assert_eq!(strikes.hosts.len(), MAX_HOSTS);
        assert!(strikes.is_banned(at("1.2.3.4:5"), minutes(50)));
    }
}
