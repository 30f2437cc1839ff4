//! Workers that panic in every phase of their work lose nothing, and a disk that is slow fills no queue.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::io;
use std::time::Duration;

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, State, TorrentOptions};
use supervisors::faults::{Armed, Plan, Point};
use supervisors::{EventKind, ExitReason, Snapshot};

use support::content::Content;
use support::peer::{Seed, Wire};
use support::{torrent, until};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const PIECE: u64 = 64 * 1024;
const BLOCK: u64 = 16 * 1024;

/// Where a worker can be while it holds something: before and after each step.
const PHASES: [&str; 10] = [
    "piece_worker.check",
    "piece_worker.hash",
    "piece_worker.hashed",
    "file_worker.write",
    "file_worker.written",
    "file_worker.read",
    "file_worker.survey",
    "file_worker.prepare",
    "file_worker.name",
    "file_worker.trim",
];

fn config(name: &str) -> Config {
    Config { name: name.to_owned(), bind: BindTo::Loopback, ports: Some(0..=0), ..Config::default() }
}

/// Every write of a session of this name takes so many milliseconds more.
fn slow_disk(name: &str, millis: u32) -> Armed {
    let point = Point::new("file_worker.write", &format!("delay({millis})")).expect("good grammar");
    Plan::new([point.under(&format!("{name}/**"))]).arm()
}

/// Jobs that waited for workers of this role: now, and at most so far.
fn jobs(tree: &Snapshot, role: &str) -> (usize, usize) {
    let mailbox = tree.nodes().filter(|node| node.role == role).find_map(|node| node.mailbox.as_ref());
    mailbox.map_or((0, 0), |mailbox| (mailbox.len, mailbox.high_water))
}

#[test]
fn a_worker_that_panics_in_any_phase_loses_nothing() {
    let content = Content::single("held.bin", 2 * MIB + 4321, 5);
    let made = torrent::Torrent::of(&content, PIECE, None);
    let metainfo = Metainfo::parse(&made.bytes).expect("an honest torrent");
    for phase in PHASES {
        let point = Point::new(phase, "2*panic").expect("good grammar").under("first_sup/**");
        let armed = Plan::new([point]).arm();
        let seed = Seed::start(&made, &content, |wire| wire.serve_all());
        let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let file = folder.path().join("held.bin");
        std::fs::write(&file, content.bytes(0, MIB as usize)).expect("half of it");
        // And then zeros, more than there should be.
        let longer = std::fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(3 * MIB));
        longer.expect("a longer file");
        let first = block_on(Session::start(config("first_sup"))).expect("a session");
        let new = TorrentOptions::new(folder.path());
        let options = TorrentOptions { peers: vec![seed.addr], preallocate: true, part_names: true, ..new };
        let download = block_on(first.add(metainfo.clone(), options)).expect("added");
        assert_eq!(block_on(download.wait()), Outcome::Complete, "{phase}");
        // Nothing that was on disk or had come was fetched again.
        assert_eq!(download.progress().downloaded, content.total() - MIB, "{phase}");
        let second = block_on(Session::start(config("second_sup"))).expect("a session");
        let from = ([127, 0, 0, 1], first.local_port().expect("it listens")).into();
        let options = TorrentOptions { peers: vec![from], ..TorrentOptions::new(other.path()) };
        let copy = block_on(second.add(metainfo.clone(), options)).expect("added");
        assert_eq!(block_on(copy.wait()), Outcome::Complete, "{phase}");
        assert_eq!(armed.points()[0].fired, 2, "{phase}");
        block_on(async { futures::join!(second.stop(), first.stop()) });
        assert_eq!([folder.path(), other.path()].map(|folder| content.difference(folder)), [None, None], "{phase}");
    }
}

#[test]
fn large_pieces_are_checked_in_turns_and_a_crash_in_the_middle_of_one_loses_nothing() {
    const LARGE: u64 = 4 * MIB;
    let content = Content::single("large.bin", 10 * LARGE + 77, 8);
    let made = torrent::Torrent::of(&content, LARGE, None);
    let folder = tempfile::tempdir().expect("a folder");
    content.write_below(folder.path());
    let file = std::fs::OpenOptions::new().write(true).open(folder.path().join("large.bin")).expect("it is there");
    std::os::unix::fs::FileExt::write_all_at(&file, &[1, 2, 3], 2 * LARGE + 5).expect("one wrong piece");
    // A turn is 16 MiB, and of each piece 96 KiB are read at once. So this read is in the second turn.
    let point = Point::new("disk.read", "250*off->1*panic->off").expect("good grammar").under("turns_sup/**");
    let armed = Plan::new([point]).arm();
    let config = Config { workers: 1, memory_bytes: 16 * MIB, ..config("turns_sup") };
    let session = block_on(Session::start(config)).expect("a session");
    let metainfo = Metainfo::parse(&made.bytes).expect("an honest torrent");
    let torrent = block_on(session.add(metainfo, TorrentOptions::new(folder.path()))).expect("added");
    until("the check", LIMIT, || (torrent.progress().state == State::Downloading).then_some(()));
    assert_eq!(armed.log().to_string().matches("panic").count(), 1);
    assert_eq!(torrent.progress().pieces_finished, 10, "all but the wrong one");
    block_on(session.stop());
}

/// Serves everything; of the first blocks of these pieces a bit is turned over, once.
fn lie_about(wire: &mut Wire, pieces: &[u32]) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    loop {
        let request = wire.hear_request()?;
        if request.begin == 0 && pieces.contains(&request.piece) {
            let mut bytes = wire.bytes_of(request);
            bytes[0] ^= 1;
            wire.block(request.piece, 0, &bytes)?;
            wire.log.deed();
        } else {
            wire.serve(request)?;
        }
    }
}

#[test]
fn of_pieces_that_are_hashed_side_by_side_each_is_judged_by_itself() {
    const BAD: [u32; 3] = [3, 17, 18];
    let content = Content::single("many.bin", 8 * MIB - 1, 8);
    let made = torrent::Torrent::of(&content, PIECE, None);
    // The only worker sleeps over its first piece, and finds a queue behind it.
    let point = Point::new("piece_worker.hash", "1*delay(700)").expect("good grammar").under("many_sup/**");
    let armed = Plan::new([point]).arm();
    let liar = Seed::start(&made, &content, |wire| lie_about(wire, &BAD));
    let folder = tempfile::tempdir().expect("a folder");
    let session = block_on(Session::start(Config { workers: 1, ..config("many_sup") })).expect("a session");
    let metainfo = Metainfo::parse(&made.bytes).expect("an honest torrent");
    let options = TorrentOptions { peers: vec![liar.addr], ..TorrentOptions::new(folder.path()) };
    let torrent = block_on(session.add(metainfo, options)).expect("added");
    // It sent all of a bad piece, and is banned; what was good of it stays.
    until("a bad piece", LIMIT, || (torrent.progress().wasted.bad > 0).then_some(()));
    let honest = Seed::start(&made, &content, |wire| wire.serve_all());
    torrent.add_peer(honest.addr);
    assert_eq!(block_on(torrent.wait()), Outcome::Complete);
    let progress = torrent.progress();
    assert_eq!((progress.wasted.bad, progress.wasted.twice), (BAD.len() as u64 * PIECE, 0));
    assert!(liar.log.seen().served.len() as u64 > 16 * PIECE / BLOCK, "many pieces came before the first was judged");
    let tree = session.snapshot().expect("it runs");
    assert!(jobs(&tree, "piece_worker").1 >= 16, "enough waited to be hashed side by side");
    drop(armed);
    block_on(session.stop());
    assert_eq!(content.difference(folder.path()), None);
}

#[test]
fn behind_a_slow_disk_no_queue_holds_more_than_the_memory_that_blocks_may_take() {
    const MEMORY: u64 = 1 << 20;
    let content = Content::single("slow.bin", 8 * MIB, 6);
    let made = torrent::Torrent::of(&content, PIECE, None);
    let armed = slow_disk("slow_sup", 20);
    let seed = Seed::start(&made, &content, |wire| wire.serve_all());
    let folder = tempfile::tempdir().expect("a folder");
    let session = block_on(Session::start(Config { memory_bytes: MEMORY, workers: 1, ..config("slow_sup") }));
    let session = session.expect("a session");
    let options = TorrentOptions { peers: vec![seed.addr], ..TorrentOptions::new(folder.path()) };
    let metainfo = Metainfo::parse(&made.bytes).expect("an honest torrent");
    let torrent = block_on(session.add(metainfo, options)).expect("added");
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    let tree = session.snapshot().expect("it runs");
    let most = |role| jobs(&tree, role).1 as u64;
    // Each waiting job of a piece worker, which also writes what it has hashed, is a piece that has its memory reserved; a file worker
    // has a survey and a trim, and may take each before it has waited.
    assert!(most("file_worker") <= 2, "{} jobs", most("file_worker"));
    assert!((1..=MEMORY / PIECE).contains(&most("piece_worker")), "{} jobs", most("piece_worker"));
    drop(armed);
    block_on(session.stop());
    assert_eq!(content.difference(folder.path()), None);
}

#[test]
fn a_store_does_not_wait_for_workers_that_are_gone() {
    let content = Content::single("gone.bin", 4 * MIB, 7);
    let made = torrent::Torrent::of(&content, PIECE, None);
    let armed = slow_disk("gone_sup", 50);
    let seed = Seed::start(&made, &content, |wire| wire.serve_all());
    let folder = tempfile::tempdir().expect("a folder");
    let session = block_on(Session::start(config("gone_sup"))).expect("a session");
    let options = TorrentOptions { peers: vec![seed.addr], ..TorrentOptions::new(folder.path()) };
    let metainfo = Metainfo::parse(&made.bytes).expect("an honest torrent");
    let torrent = block_on(session.add(metainfo, options)).expect("added");
    let waits = |tree: &Snapshot| jobs(tree, "piece_worker").0 > 8;
    let tree = until("pieces that wait for the disk", LIMIT, || session.snapshot().filter(waits));
    let events = supervisors::subscribe(tree.root.pid.expect("it runs"));
    let storage = tree.nodes().find(|node| node.role == "storage_sup").and_then(|node| node.pid);
    supervisors::inject_panic(storage.expect("it runs"), "crashed by the test");
    let end = block_on(async {
        loop {
            let event = events.recv().await.expect("the session goes on");
            match event.kind {
                EventKind::Exited { reason } if &*event.role == "store" => break reason,
                _ => {}
            }
        }
    });
    // Had it waited, its time would have run out, and it would have been killed.
    assert_eq!(end, ExitReason::Shutdown);
    drop(armed);
    assert_eq!(block_on(torrent.wait()), Outcome::Complete);
    assert_eq!(torrent.progress().wasted.twice, 0);
    block_on(session.stop());
    assert_eq!(content.difference(folder.path()), None);
}
