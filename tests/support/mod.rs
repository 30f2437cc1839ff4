//! What the outer tests share: content made from a seed, torrents made by hand, a tiny peer, foreign clients, the program itself.
//!
//! Everything stays on the loopback interface and in a temporary folder. Every child is owned by a guard that ends it, also when
//! the test panics. Nothing sleeps for an event: [`until`] polls for a condition with a deadline, everything else blocks on the event.

// Every test binary compiles all of this and uses a part of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod bencode;
pub(crate) mod bt_erl;
pub(crate) mod caller;
pub(crate) mod child;
pub(crate) mod content;
pub(crate) mod foreign;
pub(crate) mod mount;
pub(crate) mod peer;
pub(crate) mod relay;
pub(crate) mod rig;
pub(crate) mod torrent;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Polls `condition` until it gives a value; panics with `what` when `limit` has passed.
pub(crate) fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says loudly that a test is skipped; with `BT_ERL_NO_SKIP=1` that is a failure.
pub(crate) fn skipped(test: &str, why: &str) {
    let words = format!("SKIPPED: {test}: {why}");
    let forbidden = std::env::var_os("BT_ERL_NO_SKIP").is_some_and(|value| value == "1");
    assert!(!forbidden, "{words}, and BT_ERL_NO_SKIP=1 forbids to skip");
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "\n{words}");
}

/// A loopback port that is free now. Below the ephemeral range, so that no outgoing connection takes it before its user does;
/// each test process begins somewhere else and never gives one out twice.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let base = (std::process::id() % 160) as u16 * 64;
    for _ in 0..10_000 {
        let port = 20_000 + (base + GIVEN.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}

/// `127.0.0.1:port`.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A small generator of test numbers (SplitMix64): the same seed gives the same numbers everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `from..to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }
}

/// The output function of SplitMix64: any counter in, even bits out.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number from the environment, or `default`.
pub(crate) fn env_number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => default,
    }
}
