//! kill -9 and other sudden ends: a piece that was reported as finished is on disk, stays finished, and is never fetched again.
//!
//! The moments are counted in `finished` events, not in seconds, so they fall in the middle of the work on any machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::Dice;
use support::bt_erl::Ended;
use support::rig::{LIMIT, PIECE_BYTES, Rig, finish, flip};

/// Slow enough that a kill meets a download that is far from its end.
const RATE: u64 = 12 << 20;

fn rig() -> Rig {
    Rig::new(&[("first.bin", 7_000_001), ("empty", 0), ("sub/second.bin", 9_000_000), ("third", 77)], RATE)
}

impl Rig {
    /// Runs until `count` more pieces are reported as finished, then does `end` to it. Everything it reported up to its end counts.
    fn run_until(&self, count: u32, end: impl FnOnce(support::bt_erl::Running) -> Ended) -> Ended {
        let mut run = self.bt_erl().start();
        finish(&mut run, count);
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

    /// Runs to the end; `finished` is not fetched again.
    fn complete(&self, finished: &BTreeSet<u32>) {
        let before = self.requests().len();
        let ended = self.bt_erl().output(LIMIT);
        self.assert_right(&ended);
        let again: Vec<u32> = self.requested_since(before).intersection(finished).copied().collect();
        assert!(again.is_empty(), "finished pieces were fetched again: {again:?}");
    }
}

#[test]
fn a_download_killed_ten_times_completes_and_fetches_no_finished_piece_twice() {
    let rig = rig();
    let mut dice = Dice(support::env_number("BT_ERL_SEED", 9));
    let mut finished = BTreeSet::new();
    for life in 0..10 {
        let before = rig.requests().len();
        // From right after the start to well into the work; ten lives together leave pieces for an eleventh.
        let ended = rig.run_until(dice.between(0, 20) as u32, support::bt_erl::Running::kill_9);
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
    let rig = rig();
    let ended = rig.run_until(20, support::bt_erl::Running::kill_9);
    let mut finished = ended.finished();
    // A piece that lies in the first file alone, so that one write damages it.
    let victim = *finished
        .iter()
        .find(|piece| u64::from(**piece + 1) * PIECE_BYTES < 7_000_000)
        .expect("a piece of the first file");
    flip(&rig.file("first.bin"), u64::from(victim) * PIECE_BYTES + 777);
    finished.remove(&victim);
    let before = rig.requests().len();
    rig.complete(&finished);
    assert!(rig.requested_since(before).contains(&victim), "the damaged piece {victim} is fetched again");
}

#[test]
fn a_file_that_was_removed_or_cut_between_two_runs_is_made_whole() {
    let rig = rig();
    rig.bt_erl().output(LIMIT).expect_code(0);
    std::fs::remove_file(rig.file("sub/second.bin")).unwrap();
    std::fs::remove_file(rig.file("empty")).unwrap();
    let first = std::fs::OpenOptions::new().write(true).open(rig.file("first.bin")).unwrap();
    first.set_len(3_000_000).unwrap();
    let whole: BTreeSet<u32> = (0..u32::try_from(3_000_000 / PIECE_BYTES).unwrap()).collect();
    rig.complete(&whole);
}

#[test]
fn a_file_that_is_longer_than_the_torrent_says_is_made_right() {
    let rig = rig();
    rig.bt_erl().output(LIMIT).expect_code(0);
    let third = rig.file("third");
    let longer = [std::fs::read(&third).unwrap(), vec![1; 1_000]].concat();
    std::fs::write(&third, longer).unwrap();
    rig.complete(&BTreeSet::from([0]));
}

#[test]
fn a_second_run_of_a_complete_download_ends_at_once_without_any_peer() {
    let rig = rig();
    rig.content.write_below(&rig.out());
    let ended = rig.bt_erl().output(LIMIT);
    ended.expect_code(0);
    assert_eq!(rig.requests().len(), 0, "nothing is fetched");
    let events = ended.events();
    assert!(events.iter().any(|event| event["event"] == "complete"), "a complete event");
}

/// Ctrl-C and SIGTERM: out within five seconds, the right exit code, nothing finished lost.
fn interrupted_by(signal: Signal, code: i32) {
    let rig = rig();
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
