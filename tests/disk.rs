//! Disks that refuse: full, read-only, taken away, changed by others, out of descriptors. The program says one sentence, waits, and
//! goes on by itself when the cause is gone; what was finished stays finished.
//!
//! Needs root, who may mount small file systems; a test without that right says `SKIPPED` loudly, and `BT_ERL_NO_SKIP=1` makes that a
//! failure.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

#[path = "disk/injected.rs"]
mod injected;
#[path = "disk/mounted.rs"]
mod mounted;
#[path = "disk/rights.rs"]
mod rights;
#[path = "disk/strangers.rs"]
mod strangers;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::bt_erl::{Ended, Running, finished_piece};
use support::content::Content;
use support::peer::Seed;
use support::rig::{LIMIT, MIB, PIECE_BYTES, Rig, finish};
use support::torrent::Torrent;

impl Rig {
    /// Pieces that lie in no other file than this one, and were asked for twice.
    fn asked_again(&self, name: &str) -> BTreeSet<u32> {
        let file = self.content.files.iter().find(|file| file.path == [name.as_bytes().to_vec()]).expect("a file");
        let (start, end) = (file.offset, file.offset + file.length);
        let inside = |piece: u32| {
            let from = u64::from(piece) * PIECE_BYTES;
            from >= start && from + self.torrent.piece_length(piece) as u64 <= end
        };
        let mut seen = BTreeSet::new();
        let doubles = self.requests().into_iter().filter(|request| !seen.insert(*request));
        doubles.map(|request| request.piece).filter(|piece| inside(*piece)).collect()
    }
}

/// Waits for the next word about the disk.
fn disk(run: &mut Running, state: &str) -> String {
    let event = run.until_event("disk", LIMIT);
    assert_eq!(event["state"], state, "{event}");
    event["message"].as_str().expect("a sentence").to_owned()
}

/// Waits for `count` figures, which say that it pauses; nothing arrives meanwhile. Returns the last.
fn stays_paused(run: &mut Running, count: u32) -> Value {
    // What had been asked for may come still.
    let first = until_progress(run, |progress| progress["state"] == "paused");
    assert!(first["reason"].as_str().is_some_and(|reason| reason.contains(':')), "{first}");
    let mut last = run.until_event("progress", LIMIT);
    for _ in 0..count {
        let next = run.until_event("progress", LIMIT);
        assert_eq!((&next["state"], &next["downloaded"]), (&Value::from("paused"), &last["downloaded"]), "{next}");
        last = next;
    }
    last
}

fn until_progress(run: &mut Running, condition: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let progress = run.until_event("progress", LIMIT);
        if condition(&progress) {
            return progress;
        }
    }
    panic!("it does not come to that")
}

/// How often stderr says this.
fn said(ended: &Ended, words: &str) -> usize {
    ended.stderr.lines().filter(|line| line.contains(words)).count()
}
