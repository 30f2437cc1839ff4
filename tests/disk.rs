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
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::bt_erl::{BtErl, Ended, Running, finished_piece};
use support::content::Content;
use support::peer::Seed;
use support::torrent::Torrent;

const LIMIT: Duration = Duration::from_secs(90);
const PIECE_BYTES: u64 = 1 << 16;
const MIB: u64 = 1 << 20;

/// A torrent, a seed of it that gives `rate` bytes a second, and a folder to download into.
struct Rig {
    folder: tempfile::TempDir,
    content: Content,
    torrent: Torrent,
    seed: Seed,
}

impl Rig {
    fn new(files: &[(&str, u64)], rate: u64) -> Rig {
        Rig::of_pieces(PIECE_BYTES, files, rate)
    }

    fn of_pieces(piece_bytes: u64, files: &[(&str, u64)], rate: u64) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let content = Content::tree("disk", files, 17);
        let torrent = Torrent::of(&content, piece_bytes, None);
        std::fs::write(folder.path().join("disk.torrent"), &torrent.bytes).unwrap();
        let seed = Seed::start(&torrent, &content, move |wire| wire.serve_paced(rate));
        std::fs::create_dir(folder.path().join("out")).unwrap();
        Rig { folder, content, torrent, seed }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.out().join("disk").join(name)
    }

    fn bt_erl(&self) -> BtErl {
        let home: &Path = self.folder.path();
        BtErl::run(home, &home.join("disk.torrent"), &self.out()).peers([self.seed.addr])
    }

    fn requests(&self) -> Vec<support::peer::Request> {
        self.seed.log.seen().requests
    }

    /// It ended well, the content is right, and no block was asked for twice.
    fn assert_nothing_was_lost(&self, ended: &Ended) {
        self.assert_right(ended);
        let requests = self.requests();
        let once: BTreeSet<_> = requests.iter().collect();
        assert_eq!(requests.len(), once.len(), "blocks were asked for again");
    }

    fn assert_right(&self, ended: &Ended) {
        ended.expect_code(0);
        assert_eq!(self.content.difference(&self.out()), None);
    }

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

/// Waits until so many more pieces are finished.
fn finish(run: &mut Running, count: u32) {
    let deadline = Instant::now() + LIMIT;
    for _ in 0..count {
        while finished_piece(&run.event(deadline).expect("an event before the end")).is_none() {}
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
