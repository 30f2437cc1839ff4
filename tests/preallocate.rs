//! `--preallocate`: room for what is wanted is there before the first byte comes, a full disk is found out at the start, and what was only
//! reserved is never taken for content.
//!
//! Some need root, who may mount small file systems; a test without that right says `SKIPPED` loudly, and `BT_ERL_NO_SKIP=1` makes that a
//! failure.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Session, State, TorrentOptions};
use supervisors::faults::{Plan, Point};
use support::bt_erl::BtErl;
use support::mount::Mount;
use support::rig::{LIMIT, MIB, Rig, finish};
use support::until;

impl Rig {
    fn run(&self) -> BtErl {
        self.bt_erl().args(["--preallocate"])
    }

    /// Bytes that a file takes on the disk, and its length; `None`: it is not there.
    fn taken(&self, name: &str) -> Option<(u64, u64)> {
        let facts = std::fs::metadata(self.file(name)).ok()?;
        Some((facts.blocks() * 512, facts.len()))
    }

    /// As [`Rig::run`], as a torrent of a session in this process.
    fn add(&self, session: &Session) -> bt_erl::Torrent {
        let options =
            TorrentOptions { peers: vec![self.seed.addr], preallocate: true, ..TorrentOptions::new(self.out()) };
        block_on(session.add(Metainfo::parse(&self.torrent.bytes).unwrap(), options)).unwrap()
    }
}

fn session() -> Session {
    let config = Config { bind: BindTo::Loopback, ports: None, ..Config::default() };
    block_on(Session::start(config)).unwrap()
}

/// A fault in every file of this name.
fn reserving(file: &str, tasks: &str) -> supervisors::faults::Armed {
    Plan::new([Point::new("disk.reserve", tasks).unwrap().when("path", &format!("**/{file}"))]).arm()
}

#[test]
fn wanted_files_have_their_room_before_anything_comes_and_skipped_ones_get_it_when_they_are_wanted() {
    let rig = Rig::new(&[("skipped.bin", 8 * MIB), ("wanted.bin", 16 * MIB), ("empty", 0)], MIB);
    let Some(_mount) = Mount::at("room before content", &rig.out(), 64 * MIB) else { return };
    let wanted = ["--only", "2,3"];
    let mut run = rig.run().args(wanted).start();
    run.until_event("checked", LIMIT);
    let (allocated, length) = rig.taken("wanted.bin").unwrap();
    assert!(allocated >= 16 * MIB && length < 16 * MIB, "{allocated} bytes for a file of {length}");
    assert_eq!((rig.taken("skipped.bin"), rig.taken("empty")), (None, Some((0, 0))));
    run.kill_9();
    let mut run = rig.run().start();
    run.until_event("checked", LIMIT);
    assert!(rig.taken("skipped.bin").unwrap().0 >= 8 * MIB);
}

#[test]
fn a_full_disk_is_found_out_at_the_start_with_what_is_missing_and_waited_for() {
    let rig = Rig::new(&[("file.bin", 6 * MIB)], 64 * MIB);
    let Some(mount) = Mount::at("a disk without room", &rig.out(), 2 * MIB) else { return };
    let mut run = rig.run().start();
    let refused = run.until_event("disk", LIMIT);
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("cannot reserve room in {}: ", rig.out().join("rig").display())), "{message}");
    assert!(message.contains("no space left; free 4 MiB more or choose another folder"), "{message}");
    run.until_event("checked", LIMIT);
    let paused = run.until_event("progress", LIMIT);
    assert_eq!((&paused["state"], &paused["downloaded"]), (&"paused".into(), &0.into()), "{paused}");
    assert_eq!(rig.taken("file.bin"), None, "nothing is taken before there is enough");
    mount.again(&format!("size={}", 20 * MIB));
    assert_eq!(run.until_event("disk", LIMIT)["state"], "works");
    let ended = run.end(LIMIT);
    ended.expect_code(0);
    assert_eq!(rig.content.difference(&rig.out()), None);
    assert_eq!(ended.stderr.lines().filter(|line| line.contains("no space left")).count(), 1, "{}", ended.stderr);
    let requests = rig.requests();
    assert_eq!(requests.len(), requests.iter().collect::<BTreeSet<_>>().len(), "asked for twice");
}

#[test]
fn room_that_only_the_call_itself_finds_missing_is_waited_for_just_so() {
    let rig = Rig::new(&[("first.bin", MIB), ("second.bin", MIB)], 64 * MIB);
    let armed = reserving("second.bin", "error(storage_full)");
    let session = session();
    let torrent = rig.add(&session);
    let paused = until("the pause", LIMIT, || torrent.progress().paused);
    assert!(paused.message.contains("cannot reserve room for") && paused.reason == "no space left", "{paused:?}");
    assert_eq!(torrent.progress().downloaded, 0);
    drop(armed);
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    block_on(session.stop());
    assert_eq!(rig.content.difference(&rig.out()), None);
}

#[test]
fn a_store_that_crashes_while_it_waits_for_room_goes_on_waiting() {
    let rig = Rig::new(&[("file.bin", 4 * MIB)], MIB / 4);
    let armed = reserving("file.bin", "error(storage_full)");
    let session = session();
    let torrent = rig.add(&session);
    until("the pause", LIMIT, || torrent.progress().paused);
    let store = || {
        let tree = session.snapshot()?;
        tree.nodes().find(|node| node.role == "store").and_then(|node| node.pid)
    };
    let before = until("the store", LIMIT, store);
    supervisors::inject_panic(before, "crashed by the test");
    until("the next store", LIMIT, || store().filter(|now| *now != before));
    let paused = until("the next pause", LIMIT, || torrent.progress().paused);
    assert!(paused.message.contains("cannot reserve room"), "{paused:?}");
    drop(armed);
    until("room", LIMIT, || (torrent.progress().paused.is_none() && rig.taken("file.bin")?.0 >= 4 * MIB).then_some(()));
    block_on(session.stop());
}

#[test]
fn a_file_system_that_cannot_reserve_gets_files_that_grow() {
    let rig = Rig::new(&[("first.bin", MIB), ("second.bin", MIB)], 64 * MIB);
    let _armed = reserving("*.bin", "error(unsupported)");
    let session = session();
    let torrent = rig.add(&session);
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    block_on(session.stop());
    assert_eq!(rig.content.difference(&rig.out()), None);
}

/// With a record and without one, and with other options than the last time.
#[test]
fn what_was_reserved_is_no_content_to_the_next_run_and_what_was_finished_is() {
    let rig = Rig::new(&[("first.bin", 5_000_001), ("sub/second.bin", 6 * MIB)], 12 * MIB);
    let mut finished = BTreeSet::new();
    let lives: [(&[&str], bool); 5] = [
        (&[], true),
        (&["--no-resume"], true),
        (&["--part-names"], false),
        (&["--part-names", "--no-resume"], true),
        (&["--no-resume"], false),
    ];
    for (flags, killed) in lives {
        let before = rig.requests().len();
        let mut run = rig.run().args(flags).start();
        finish(&mut run, 9);
        let ended = if killed {
            run.kill_9()
        } else {
            run.signal(rustix::process::Signal::INT);
            run.end(LIMIT)
        };
        let again: BTreeSet<_> = rig.requests()[before..].iter().map(|request| request.piece).collect();
        assert!(again.is_disjoint(&finished), "{flags:?}: {again:?} and {finished:?}");
        finished.extend(ended.finished());
    }
    rig.run().output(LIMIT).expect_code(0);
    assert_eq!(rig.content.difference(&rig.out()), None);
}

/// What is whole is not touched: its time of change stays, and with it the record is believed.
#[test]
fn a_file_that_is_whole_is_left_alone() {
    let rig = Rig::new(&[("file.bin", 3 * MIB)], 64 * MIB);
    rig.run().output(LIMIT).expect_code(0);
    let modified = || std::fs::metadata(rig.file("file.bin")).unwrap().modified().unwrap();
    let before = modified();
    rig.run().output(LIMIT).expect_code(0);
    assert_eq!(modified(), before);
}
