//! One far peer: a line that takes a while there and back is filled, and what a slow peer is asked for can be counted on one hand.
//!
//! Requests are counted, not seconds: that holds on a busy machine, too. `figures` (ignored) measures and asserts nothing;
//! docs/performance.md says how to run it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::time::Duration;

use support::bt_erl::BtErl;
use support::content::Content;
use support::peer::{BLOCK_BYTES, Seed};
use support::relay::{Line, Relay};
use support::torrent::Torrent;
use support::{free_port, loopback};

const MIB: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(60);

struct Rig {
    folder: tempfile::TempDir,
    content: Content,
    torrent: Torrent,
    relay: Relay,
    _seed: Seed,
}

impl Rig {
    /// A seed at the far end of `line`.
    fn new(bytes: u64, line: Line) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let content = Content::single("far.bin", bytes, 5);
        let torrent = Torrent::of(&content, MIB, None);
        std::fs::write(folder.path().join("far.torrent"), &torrent.bytes).unwrap();
        let seed = Seed::start(&torrent, &content, |wire| wire.serve_all());
        let relay = Relay::start(seed.addr, line).unwrap();
        Rig { folder, content, torrent, relay, _seed: seed }
    }

    fn run(&self) -> BtErl {
        let (file, out) = (self.folder.path().join("far.torrent"), self.folder.path().join("out"));
        BtErl::run(self.folder.path(), &file, &out).peers([self.relay.addr])
    }
}

#[test]
fn a_long_line_is_filled_and_not_overfilled() {
    let line = Line { round_trip: Duration::from_millis(300), rate: 8_000_000 };
    let holds = line.holds() / u64::from(BLOCK_BYTES);
    let rig = Rig::new(32 * MIB, line);
    let ended = rig.run().output(LIMIT);
    ended.expect_code(0);
    assert_eq!(rig.content.difference(&rig.folder.path().join("out")), None);
    let passed = rig.relay.passed();
    assert_eq!(passed.blocks, u64::from(rig.torrent.pieces) * MIB / u64::from(BLOCK_BYTES), "each block once");
    assert!(passed.most_out >= holds, "{} requests out on a line that holds {holds}", passed.most_out);
    assert!(passed.most_out <= 4 * holds, "{} requests out on a line that holds {holds}", passed.most_out);
}

#[test]
fn a_slow_peer_is_asked_for_a_few_blocks() {
    let rig = Rig::new(4 * MIB, Line { round_trip: Duration::from_millis(100), rate: 40_000 });
    let run = rig.run().start();
    assert!(rig.relay.wait(LIMIT, |passed| passed.blocks >= 8), "eight blocks come");
    let passed = rig.relay.passed();
    assert!((1..=8).contains(&passed.most_out), "{} requests were out", passed.most_out);
    assert_eq!(passed.cancels, 0, "a slow peer is not a silent one");
    drop(run);
}

/// A seed and a leech, both the program itself, on lines of all kinds.
#[test]
#[ignore = "measures and asserts nothing"]
fn figures() {
    println!(
        "round trip, rate: nine tenths of it after | share of it from then on | of all | most requests out | blocks"
    );
    let lines = [(100, 125_000_000, 512), (10, 125_000_000, 512), (300, 12_500_000, 128), (100, 12_500, 1)];
    for (millis, rate, mib) in lines {
        let line = Line { round_trip: Duration::from_millis(millis), rate };
        let folder = tempfile::tempdir().unwrap();
        let [home, file, there, here] = ["home", "far.torrent", "there", "here"].map(|name| folder.path().join(name));
        let content = Content::single("far.bin", mib * MIB, 5);
        content.write_below(&there);
        std::fs::write(&file, Torrent::of(&content, MIB.min(mib * MIB / 4), None).bytes).unwrap();
        let port = free_port();
        let seed = BtErl::run(&home, &file, &there).args(["--no-tracker", "--seed", "-p", &port.to_string()]);
        let mut seed = seed.start();
        seed.until_event("complete", LIMIT);
        let relay = Relay::start(loopback(port), line).unwrap();
        BtErl::run(&folder.path().join("home of the leech"), &file, &here)
            .peers([relay.addr])
            .output(2 * LIMIT)
            .expect_code(0);
        let passed = relay.passed();
        let (ramp, after) = passed.ramp(rate).unwrap_or_default();
        let (all, out, blocks) = (passed.share(rate), passed.most_out, passed.blocks);
        println!("{millis} ms, {rate} B/s: {ramp:.2?} | {after:.3} | {all:.3} | {out} | {blocks}");
    }
}
