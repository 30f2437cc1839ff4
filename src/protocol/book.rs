//! The address book of one torrent: where peers may be, how often they failed, who is banned, who is to be called next.
//!
//! Pure; time is a parameter. It outlives the client process. It opens no connection and keeps at most
//! [`MAX_ADDRESSES`] addresses, so that no tracker can make it grow.

mod strikes;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use strikes::Fault;
use strikes::Strikes;

/// Most addresses kept for one torrent.
pub const MAX_ADDRESSES: usize = 2000;
/// Failed calls in a row after which an address is left alone until a source names it again.
pub const MAX_FAILURES: u32 = 8;

/// Who named an address. The first is believed most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The user: it is never given up.
    User,
    /// What an earlier run found good.
    Resume,
    /// A tracker.
    Tracker,
    /// The peer itself, which called us.
    Incoming,
    /// Another peer (BEP 11).
    PeerExchange,
}

/// How one address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Known, not called.
    Idle,
    /// A peer process for it exists (calling, connected, or backing off).
    Held,
}

#[derive(Debug, Clone)]
struct Entry {
    standing: Standing,
    failures: u32,
    /// Held, but waiting for its back-off: it does not call now.
    resting: bool,
    /// Who named it; the best of them when several did. The user's are never given up.
    source: Source,
    /// Finished pieces that it had a part in.
    useful: u32,
    not_before: Duration,
}

impl Entry {
    /// It has not been given up.
    fn may_be_called(&self) -> bool {
        self.source == Source::User || self.failures < MAX_FAILURES
    }
}

/// What to do after a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The supervisor may call it again after its back-off.
    Retry,
    /// Failed too often: forget the child; the address may be called again when a source names it anew.
    GiveUp,
}

/// Addresses of one torrent.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<SocketAddr, Entry>,
    strikes: Strikes,
}

impl Book {
    /// Notes an address that a source named at `now`. True when it was not known. Port 0, multicast, unspecified and
    /// broadcast addresses are dropped, and so is everything beyond [`MAX_ADDRESSES`].
    pub fn add(&mut self, address: SocketAddr, source: Source, now: Duration) -> bool {
        if address.port() == 0 || !is_callable(address.ip()) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.source = entry.source.min(source);
            if entry.standing == Standing::Idle && entry.failures >= MAX_FAILURES {
                entry.failures = MAX_FAILURES / 2;
                entry.not_before = now;
            }
            return false;
        }
        if self.entries.len() >= MAX_ADDRESSES && !self.evict(source) && source != Source::User {
            return false;
        }
        self.entries.insert(
            address,
            Entry { standing: Standing::Idle, failures: 0, resting: false, source, useful: 0, not_before: now },
        );
        true
    }

    /// Makes room for an address from `source`: forgets one that nobody holds and that a worse source named, or the same one and calls to
    /// it failed. So no flood of addresses from peers drives out what trackers named. One that was given up goes in any case.
    fn evict(&mut self, source: Source) -> bool {
        let given_up = |e: &Entry| e.failures >= MAX_FAILURES;
        let may_go = |e: &Entry| {
            let worse = e.source > source || (e.source == source && e.failures > 0) || given_up(e);
            e.standing == Standing::Idle && e.source != Source::User && worse
        };
        let candidates = self.entries.iter().filter(|(_, e)| may_go(e));
        let worst = candidates.max_by_key(|(_, e)| (given_up(e), e.source, e.failures)).map(|(address, _)| *address);
        worst.is_some_and(|address| self.entries.remove(&address).is_some())
    }

    /// Addresses known.
    pub fn known(&self) -> usize {
        self.entries.len()
    }

    /// Addresses that are being called or connected. Those that rest until they are called again do not count: a hundred dead
    /// addresses must not keep a good one waiting.
    pub fn active(&self) -> usize {
        self.entries.values().filter(|e| e.standing == Standing::Held && !e.resting).count()
    }

    /// A process calls the address now.
    pub fn calling(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.resting = false;
        }
    }

    /// The best address to call at `now`: the user's first, then those with the fewest failures, then those of the best source. It counts
    /// as held from here on.
    pub fn call_next(&mut self, now: Duration) -> Option<SocketAddr> {
        let strikes = &self.strikes;
        let (address, entry) = self
            .entries
            .iter_mut()
            .filter(|(address, e)| {
                let free = e.standing == Standing::Idle && e.not_before <= now && !strikes.is_banned(**address, now);
                free && e.may_be_called()
            })
            .min_by_key(|(_, e)| (e.source != Source::User, e.failures, e.source))?;
        entry.standing = Standing::Held;
        entry.resting = false;
        Some(*address)
    }

    /// When there may be another address to call, after [`Book::call_next`] had none; `None`: not before one is added or released. Later
    /// than `now`. Whether a banned one is banned no longer is looked at once a minute.
    pub fn next_call(&self, now: Duration) -> Option<Duration> {
        const A_MINUTE: Duration = Duration::from_secs(60);
        let idle = self.entries.iter().filter(|(_, e)| e.standing == Standing::Idle && e.may_be_called());
        let at = idle.map(|(address, e)| match self.strikes.is_banned(*address, now) {
            true => e.not_before.max(now + A_MINUTE),
            false => e.not_before,
        });
        at.min()
    }

    /// A peer that called us accepts connections at `address`, and is connected already: it need not be called as long as that lasts.
    /// False when the address is not to be noted, or in use otherwise.
    pub fn hold(&mut self, address: SocketAddr, now: Duration) -> bool {
        self.add(address, Source::Incoming, now);
        let entry = self.entries.get_mut(&address).filter(|entry| entry.standing == Standing::Idle);
        entry.is_some_and(|entry| {
            (entry.standing, entry.resting) = (Standing::Held, true);
            true
        })
    }

    /// It sent blocks of a piece that passed its hash: its failures are forgiven.
    pub fn was_useful(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.failures = 0;
            entry.useful = entry.useful.saturating_add(1);
        }
    }

    /// Peers that were of use, the best first: worth calling first when the torrent is run again.
    pub fn good_peers(&self) -> Vec<SocketAddr> {
        let good = |(_, e): &(&SocketAddr, &Entry)| e.useful > 0;
        let mut good: Vec<(u32, SocketAddr)> =
            self.entries.iter().filter(good).map(|(address, e)| (e.useful, *address)).collect();
        good.sort_by_key(|(useful, _)| std::cmp::Reverse(*useful));
        good.into_iter().map(|(_, address)| address).take(super::resume::MAX_PEERS).collect()
    }

    /// A call failed or a connection broke before it was of use.
    pub fn failed(&mut self, address: SocketAddr) -> Verdict {
        let Some(entry) = self.entries.get_mut(&address) else { return Verdict::GiveUp };
        entry.failures = entry.failures.saturating_add(1);
        entry.resting = true;
        if entry.failures >= MAX_FAILURES && entry.source != Source::User { Verdict::GiveUp } else { Verdict::Retry }
    }

    /// No process holds the address any more; it may be called again from `not_before` on.
    pub fn released(&mut self, address: SocketAddr, not_before: Duration) {
        if let Some(entry) = self.entries.get_mut(&address)
            && entry.standing == Standing::Held
        {
            entry.standing = Standing::Idle;
            entry.not_before = not_before;
        }
    }

    /// We want pieces again: whoever was left because nobody had anything for the other may be called at once.
    pub fn wake(&mut self, now: Duration) {
        for entry in self.entries.values_mut().filter(|e| e.standing == Standing::Idle) {
            entry.not_before = entry.not_before.min(now);
        }
    }

    /// After a crash of whoever held them: every held address is idle again.
    pub fn release_all(&mut self) {
        for entry in self.entries.values_mut().filter(|e| e.standing == Standing::Held) {
            entry.standing = Standing::Idle;
        }
    }

    /// A fault of the peer at `address`: until its strikes have decayed it is neither called nor let in.
    pub fn strike(&mut self, address: SocketAddr, fault: Fault, now: Duration) {
        self.strikes.strike(address, fault, now);
    }

    /// True when the peer at `address`, or away from loopback its host, is banned at `now`.
    pub fn is_banned(&self, address: SocketAddr, now: Duration) -> bool {
        self.strikes.is_banned(address, now)
    }
}

fn is_callable(ip: IpAddr) -> bool {
    let bad_v4 = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    !(ip.is_unspecified() || ip.is_multicast() || bad_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::ZERO;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn an_address_is_called_once_until_it_is_released() {
        let mut book = Book::default();
        assert!(book.add(at(1), Source::Tracker, T0));
        assert!(!book.add(at(1), Source::Tracker, T0));
        assert_eq!([book.call_next(T0), book.call_next(T0)], [Some(at(1)), None]);
        book.released(at(1), Duration::from_secs(5));
        assert_eq!(book.call_next(Duration::from_secs(4)), None);
        assert_eq!(book.next_call(Duration::from_secs(4)), Some(Duration::from_secs(5)));
        assert_eq!(book.call_next(Duration::from_secs(5)), Some(at(1)));
    }

    #[test]
    fn addresses_that_nobody_can_have_are_not_noted() {
        let mut book = Book::default();
        for bad in ["0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "1.2.3.4:0", "[ff02::1]:1", "[::]:1"] {
            assert!(!book.add(bad.parse().expect("an address"), Source::Tracker, T0), "{bad}");
        }
        assert_eq!(book.known(), 0);
    }

    #[test]
    fn direct_addresses_go_first_and_are_never_given_up() {
        let mut book = Book::default();
        book.add(at(1), Source::Tracker, T0);
        book.add(at(2), Source::User, T0);
        assert_eq!(book.call_next(T0), Some(at(2)));
        let verdicts: Vec<_> = (0..MAX_FAILURES + 1).map(|_| book.failed(at(2))).collect();
        assert!(verdicts.iter().all(|v| *v == Verdict::Retry));
    }

    #[test]
    fn an_address_that_keeps_failing_is_given_up_until_it_is_named_again() {
        let mut book = Book::default();
        book.add(at(1), Source::Tracker, T0);
        book.call_next(T0);
        let last = (0..MAX_FAILURES).map(|_| book.failed(at(1))).last();
        assert_eq!(last, Some(Verdict::GiveUp));
        book.released(at(1), T0);
        assert_eq!((book.call_next(T0), book.next_call(T0)), (None, None));
        book.add(at(1), Source::Tracker, T0);
        assert_eq!(book.call_next(T0), Some(at(1)));
    }

    #[test]
    fn a_banned_address_is_neither_called_nor_let_in() {
        let mut book = Book::default();
        book.add(at(1), Source::Tracker, T0);
        book.strike(at(1), Fault::Protocol, T0);
        assert!(book.is_banned(at(1), T0) && book.call_next(T0).is_none());
        assert!(book.next_call(T0).is_some_and(|at| at > T0), "it is looked at again");
        assert!(!book.is_banned(at(2), T0), "on loopback another port is another peer");
        let later = Duration::from_secs(3600);
        assert!(!book.is_banned(at(1), later) && book.call_next(later) == Some(at(1)));
    }

    #[test]
    fn better_sources_are_called_first() {
        let mut book = Book::default();
        let sources = [Source::PeerExchange, Source::Tracker, Source::User, Source::Resume];
        for (port, source) in (1..).zip(sources) {
            book.add(at(port), source, T0);
        }
        book.add(at(1), Source::Resume, T0);
        let order: Vec<_> = std::iter::from_fn(|| book.call_next(T0)).map(|address| address.port()).collect();
        assert_eq!(order, [3, 1, 4, 2]);
    }

    #[test]
    fn addresses_from_peers_drive_out_nothing_better() {
        let mut book = Book::default();
        let address = |n: u32| SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + n), 6881));
        (0..1000).for_each(|n| assert!(book.add(address(n), Source::Tracker, T0)));
        (1000..9000).for_each(|n| assert_eq!(book.add(address(n), Source::PeerExchange, T0), n < 2000));
        assert!((0..1000).all(|n| book.entries.contains_key(&address(n))));
        (9000..9500).for_each(|n| assert!(book.add(address(n), Source::Tracker, T0), "those of peers make room"));
        assert!(book.add(at(1), Source::User, T0));
        assert_eq!(book.known(), MAX_ADDRESSES);
    }

    #[test]
    fn peers_that_were_of_use_are_remembered_the_best_first() {
        let mut book = Book::default();
        (1..=3).for_each(|port| assert!(book.add(at(port), Source::Tracker, T0)));
        [3, 2, 3].into_iter().for_each(|port| book.was_useful(at(port)));
        assert_eq!(book.good_peers(), [at(3), at(2)]);
    }

    #[test]
    fn an_address_that_rests_after_a_failure_keeps_no_other_waiting() {
        let mut book = Book::default();
        book.add(at(1), Source::Tracker, T0);
        book.call_next(T0);
        assert_eq!(book.active(), 1);
        book.failed(at(1));
        assert_eq!((book.active(), book.call_next(T0)), (0, None));
        book.calling(at(1));
        assert_eq!(book.active(), 1);
        book.was_useful(at(1));
        let again = (1..MAX_FAILURES).map(|_| book.failed(at(1)));
        assert!(again.into_iter().all(|verdict| verdict == Verdict::Retry), "it begins to count anew");
    }

    #[test]
    fn who_called_us_is_not_called_before_that_connection_is_over() {
        let mut book = Book::default();
        assert!(book.hold(at(1), T0) && !book.hold(at(1), T0));
        assert_eq!((book.call_next(T0), book.active()), (None, 0));
        book.released(at(1), T0);
        assert_eq!(book.call_next(T0), Some(at(1)));
        assert!(!book.hold(at(1), T0), "it is being called");
    }

    #[test]
    fn the_book_does_not_grow_without_end() {
        let mut book = Book::default();
        for n in 0..3000u32 {
            let ip = std::net::Ipv4Addr::from(0x0a00_0000 + n);
            book.add(SocketAddr::from((ip, 6881)), Source::Tracker, T0);
        }
        assert_eq!(book.known(), MAX_ADDRESSES);
        let first = book.call_next(T0).expect("an address");
        book.failed(first);
        book.released(first, T0);
        assert!(book.add(at(9), Source::Tracker, T0), "one that failed makes room");
        assert_eq!(book.known(), MAX_ADDRESSES);
    }
}
