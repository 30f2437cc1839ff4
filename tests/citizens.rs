//! A zoo of bad citizens against a seeding bt-erl: each calls it, does its deed, and gets its due (ignored, or hung up on with a
//! reason with a name), while an honest leech beside it downloads everything and memory stays bounded.
//!
//! `hostile_peers` has the bad seeds, against a leeching bt-erl; those of `mixed` need several peers at once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

/// One test for each citizen of a kind: the test's name is the vice.
macro_rules! zoo {
    ($($vice:ident => $outcome:expr),* $(,)?) => {
        mod a_seed_survives_one_who {
            $(
                #[test]
                fn $vice() {
                    crate::gets_its_due(super::$vice, { use crate::Outcome::*; $outcome });
                }
            )*
        }
    };
}

#[path = "citizens/door.rs"]
mod door;
#[path = "citizens/mixed.rs"]
mod mixed;
#[path = "citizens/strangers.rs"]
mod strangers;
#[path = "citizens/takers.rs"]
mod takers;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::bt_erl::{BtErl, Running};
use support::caller::Caller;
use support::content::Content;
use support::peer::Wire;
use support::torrent::{Forge, Torrent};
use support::{free_port, loopback};

const PIECE_BYTES: u64 = 1 << 16;

/// For anything that has to happen; what is measured has limits of its own.
const LIMIT: Duration = Duration::from_secs(60);

/// Kernel limit of private memory: far above what a seed takes, far below a frame of 4 GiB.
const DATA_KIB: u64 = 1 << 20;

/// Largest resident size that any of this may lead to.
const RESIDENT_KIB: u64 = 96 << 10;

/// The same deed is done by so many at once, each from an address of its own.
const OF_A_KIND: u8 = 3;

/// The first address of bad citizens is 127.0.0.66.
const BAD: u8 = 66;

/// Does its deed. An error: the other side has hung up meanwhile.
type Vice = fn(&Caller) -> io::Result<Wire>;

/// How the program takes it.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The connection goes on and the other side still answers.
    Ignored,
    /// It hangs up, and the reason in the `peer` event has these words.
    Parted(&'static str),
    /// It hangs up without an event: there was no handshake yet.
    Unheard,
}

/// A bt-erl that seeds, and what is needed to call it.
struct Ground {
    _folder: tempfile::TempDir,
    torrent: Torrent,
    run: Running,
    caller: Caller,
    /// Every `peer` event so far.
    peers: Vec<Value>,
}

impl Ground {
    fn seeding(args: &[&str]) -> Ground {
        let files = [("first", 900_001), ("empty", 0), ("sub/second", 1_200_003), ("third", 100_000)];
        Ground::seeding_what(Content::tree("citizens", &files, 51), |forge| forge, args)
    }

    fn seeding_what(content: Content, bend: impl FnOnce(Forge) -> Forge, args: &[&str]) -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let torrent = bend(Forge::of(&content, PIECE_BYTES)).torrent(content.total());
        let file = folder.path().join("citizens.torrent");
        std::fs::write(&file, &torrent.bytes).unwrap();
        let out = folder.path().join("out");
        content.write_below(&out);
        let port = free_port();
        let mut run = BtErl::new(folder.path(), ["run".as_ref(), file.as_os_str(), "-d".as_ref(), out.as_os_str()])
            .args(["--json", "--no-tracker", "--seed", "-p", &port.to_string()])
            .args(args)
            .data_limit(DATA_KIB)
            .start();
        run.until_event("complete", LIMIT);
        let caller = Caller::new(loopback(port), &torrent, &content);
        Ground { _folder: folder, torrent, run, caller, peers: Vec::new() }
    }

    /// Blocks until a `peer` event about `ip` has one of `states`; its reason.
    fn reason(&mut self, ip: IpAddr, states: &[&str]) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut seen = 0;
        loop {
            while let Some(event) = self.peers.get(seen) {
                seen += 1;
                let about = event["address"].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
                if about.is_some_and(|address| address.ip() == ip)
                    && states.iter().any(|state| event["state"] == *state)
                {
                    return event["reason"].as_str().unwrap_or_default().to_owned();
                }
            }
            let event = self.run.event(deadline).expect("it still runs");
            if event["event"] == "peer" {
                self.peers.push(event);
            }
        }
    }

    /// It has not grown too much, has not panicked, and ends in order.
    fn ends_well(self) -> u64 {
        let peak_kib = self.run.guard.peak_kib();
        self.run.signal(rustix::process::Signal::TERM);
        let ended = self.run.end(LIMIT * 10);
        ended.expect_code(143);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        let events = ended.events();
        let restarts: Vec<&Value> = events.iter().filter(|event| event["event"] == "restart").collect();
        assert!(restarts.is_empty(), "{restarts:?}");
        assert!(peak_kib < RESIDENT_KIB, "{peak_kib} KiB resident");
        peak_kib
    }
}

fn ip(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

/// Some of a kind misbehave, an honest leech comes after the first deed and gets everything, and each of the kind gets its due.
fn gets_its_due(vice: Vice, outcome: Outcome) {
    in_the_end(Ground::seeding(&[]), vice, outcome);
}

fn in_the_end(mut ground: Ground, vice: Vice, outcome: Outcome) {
    let callers: Vec<Caller> = (0..OF_A_KIND).map(|n| ground.caller.from(BAD + n)).collect();
    let deeds: Vec<_> = callers
        .iter()
        .map(|caller| {
            let caller = caller.clone();
            std::thread::spawn(move || {
                let done = vice(&caller);
                caller.log.deed();
                match (outcome, done) {
                    (Outcome::Ignored, done) => done?.ping(),
                    (_, Ok(mut wire)) => wire.until_closed(),
                    (_, Err(error)) if is_hang_up(&error) => Ok(()),
                    (_, Err(error)) => Err(error),
                }
            })
        })
        .collect();
    assert!(callers[0].log.wait(LIMIT, |seen| seen.deeds > 0), "no deed was done");
    let took = ground.caller.leech().expect("an honest leech gets everything");
    assert!(took < LIMIT / 2, "{took:?} for an honest leech");
    for (n, deed) in (0..).zip(deeds) {
        let address = ip(BAD + n);
        let done = deed.join().expect("the deed's thread");
        assert!(done.is_ok(), "{outcome:?}: {:?}", done.err());
        if let Outcome::Parted(words) = outcome {
            let reason = ground.reason(address, &["banned", "disconnected"]);
            assert!(reason.contains(words), "the reason is {reason:?}");
        }
    }
    assert!(
        !matches!(outcome, Outcome::Ignored) || ground.peers.iter().all(|event| event["state"] != "banned"),
        "{:?}",
        ground.peers
    );
    ground.ends_well();
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
