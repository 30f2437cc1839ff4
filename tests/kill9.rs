//! kill -9 and other sudden ends: a piece that was reported as finished is on disk, stays finished, and is never fetched again.
//!
//! The moments are counted in `finished` events, not in seconds, so they fall in the middle of the work on any machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::Dice;
use support::bt_erl::{BtErl, Ended, finished_piece};
use support::content::Content;
use support::peer::Seed;
use support::torrent::Torrent;

const PIECE_BYTES: u64 = 1 << 16;

/// Slow enough that a kill meets a download that is far from its end.
const RATE: u64 = 12 << 20;

const LIMIT: Duration = Duration::from_secs(90);

/// A torrent, a slow seed of it, and a folder to download into.
struct Rig {
    folder: tempfile::TempDir,
    content: Content,
    torrent: Torrent,
    seed: Seed,
}

impl Rig {
    fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let content = Content::tree(
            "kill9",
            &[("first.bin", 7_000_001), ("empty", 0), ("sub/second.bin", 9_000_000), ("third", 77)],
            41,
        );
        let torrent = Torrent::of(&content, PIECE_BYTES, None);
        std::fs::write(folder.path().join("kill9.torrent"), &torrent.bytes).unwrap();
        let seed = Seed::start(&torrent, &content, |wire| wire.serve_paced(RATE));
        Rig { folder, content, torrent, seed }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn bt_erl(&self) -> BtErl {
        let home: &Path = self.folder.path();
        BtErl::run(home, &home.join("kill9.torrent"), &self.out()).peers([self.seed.addr])
    }

    /// Runs until `count` more pieces are reported as finished, then does `end` to it. Everything it reported up to its end counts.
    fn run_until(&self, count: u64, end: impl FnOnce(support::bt_erl::Running) -> Ended) -> Ended {
        let mut run = self.bt_erl().start();
        let deadline = Instant::now() + LIMIT;
        for _ in 0..count {
            while finished_piece(&run.event(deadline).expect("an event before the end")).is_none() {}
        }
        end(run)
    }

    /// A piece that was reported as finished has its bytes on disk.
    fn assert_on_disk(&self, pieces: &BTreeSet<u32>) {
        for piece in pieces {
            let (offset, length) = (u64::from(*piece) * PIECE_BYTES, self.torrent.piece_length(*piece));
            let there = self.content.read_back(&self.out(), offset, length);
            assert!(
                there == self.content.bytes(offset, length),
                "piece {piece} was reported as finished and is not on disk"
            );
        }
    }

    /// The pieces that were asked for since the `from`th request.
    fn requested_since(&self, from: usize) -> BTreeSet<u32> {
        self.seed.log.seen().requests[from..].iter().map(|request| request.piece).collect()
    }

    fn requests(&self) -> usize {
        self.seed.log.seen().requests.len()
    }

    /// Runs to the end; `finished` is not fetched again.
    fn complete(&self, finished: &BTreeSet<u32>) {
        let before = self.requests();
        let ended = self.bt_erl().output(LIMIT);
        ended.expect_code(0);
        let again: Vec<u32> = self.requested_since(before).intersection(finished).copied().collect();
        assert!(again.is_empty(), "finished pieces were fetched again: {again:?}");
        assert_eq!(self.content.difference(&self.out()), None);
    }
}

#[test]
fn a_download_killed_ten_times_completes_and_fetches_no_finished_piece_twice() {
    let rig = Rig::new();
    let mut dice = Dice(support::env_number("BT_ERL_SEED", 9));
    let mut finished = BTreeSet::new();
    for life in 0..10 {
        let before = rig.requests();
        // From right after the start to well into the work; ten lives together leave pieces for an eleventh.
        let ended = rig.run_until(dice.between(0, 20), support::bt_erl::Running::kill_9);
        assert_eq!(ended.signal, Some(9), "it was killed: {}", ended.stderr);
        let again: Vec<u32> = rig.requested_since(before).intersection(&finished).copied().collect();
        assert!(again.is_empty(), "life {life} fetched finished pieces again: {again:?}");
        finished.extend(ended.finished());
        rig.assert_on_disk(&finished);
    }
    assert!(finished.len() < rig.torrent.pieces as usize, "the last life has something left to do");
    rig.complete(&finished);
    let served: u64 = rig.seed.log.seen().served.iter().map(|block| u64::from(block.length)).sum();
    println!("{} of {} bytes were served more than once in ten lives", served - rig.torrent.total, rig.torrent.total);
}

#[test]
fn a_finished_piece_that_was_damaged_between_two_runs_is_fetched_again_and_no_other() {
    let rig = Rig::new();
    let ended = rig.run_until(20, support::bt_erl::Running::kill_9);
    let mut finished = ended.finished();
    // A piece that lies in the first file alone, so that one write damages it.
    let victim = *finished
        .iter()
        .find(|piece| u64::from(**piece + 1) * PIECE_BYTES < 7_000_000)
        .expect("a piece of the first file");
    flip_a_byte(&rig.out().join("kill9/first.bin"), u64::from(victim) * PIECE_BYTES + 777);
    finished.remove(&victim);
    let before = rig.requests();
    rig.complete(&finished);
    assert!(rig.requested_since(before).contains(&victim), "the damaged piece {victim} is fetched again");
}

#[test]
fn a_file_that_was_removed_or_cut_between_two_runs_is_made_whole() {
    let rig = Rig::new();
    rig.bt_erl().output(LIMIT).expect_code(0);
    std::fs::remove_file(rig.out().join("kill9/sub/second.bin")).unwrap();
    std::fs::remove_file(rig.out().join("kill9/empty")).unwrap();
    let first = std::fs::OpenOptions::new().write(true).open(rig.out().join("kill9/first.bin")).unwrap();
    first.set_len(3_000_000).unwrap();
    let whole: BTreeSet<u32> = (0..u32::try_from(3_000_000 / PIECE_BYTES).unwrap()).collect();
    rig.complete(&whole);
}

#[test]
fn a_file_that_is_longer_than_the_torrent_says_is_made_right() {
    let rig = Rig::new();
    rig.bt_erl().output(LIMIT).expect_code(0);
    let third = rig.out().join("kill9/third");
    let longer = [std::fs::read(&third).unwrap(), vec![1; 1_000]].concat();
    std::fs::write(&third, longer).unwrap();
    rig.complete(&BTreeSet::from([0]));
}

#[test]
fn a_second_run_of_a_complete_download_ends_at_once_without_any_peer() {
    let rig = Rig::new();
    rig.content.write_below(&rig.out());
    let ended = rig.bt_erl().output(LIMIT);
    ended.expect_code(0);
    assert_eq!(rig.requests(), 0, "nothing is fetched");
    let events = ended.events();
    assert!(events.iter().any(|event| event["event"] == "complete"), "a complete event");
}

/// Ctrl-C and SIGTERM: out within five seconds, the right exit code, nothing finished lost.
fn interrupted_by(signal: Signal, code: i32) {
    let rig = Rig::new();
    let mut ended_after = Duration::ZERO;
    let ended = rig.run_until(15, |run| {
        run.signal(signal);
        let sent = Instant::now();
        let ended = run.end(LIMIT);
        ended_after = sent.elapsed();
        ended
    });
    ended.expect_code(code);
    assert!(ended_after < Duration::from_secs(5), "{ended_after:?} from the signal to the end");
    let finished = ended.finished();
    rig.assert_on_disk(&finished);
    rig.complete(&finished);
}

#[test]
fn ctrl_c_ends_in_five_seconds_with_code_130_and_loses_no_finished_piece() {
    interrupted_by(Signal::INT, 130);
}

#[test]
fn sigterm_ends_in_five_seconds_with_code_143_and_loses_no_finished_piece() {
    interrupted_by(Signal::TERM, 143);
}

fn flip_a_byte(file: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
