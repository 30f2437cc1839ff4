//! Faults that no disk here can be made to have: put in at the door, `rt::files`.

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, DiskChange, Event, Metainfo, Session, State, TorrentOptions};
use supervisors::faults::{Plan, Point};
use support::until;

use super::*;

/// `tasks` at the point `name`, for files of this name.
fn at(name: &str, file: &str, tasks: &str) -> Plan {
    Plan::new([Point::new(name, tasks).expect("good grammar").when("path", &format!("**/{file}"))])
}

fn add(session: &Session, torrent: &Torrent, dir: &Path, seed: &Seed) -> bt_erl::Torrent {
    let options = TorrentOptions { peers: vec![seed.addr], ..TorrentOptions::new(dir) };
    block_on(session.add(Metainfo::parse(&torrent.bytes).unwrap(), options)).unwrap()
}

fn session(memory_bytes: u64) -> Session {
    let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), memory_bytes, ..Config::default() };
    block_on(Session::start(config)).unwrap()
}

#[test]
fn a_failing_disk_holds_up_its_own_torrent_and_no_other() {
    failing_beside_working(PIECE_BYTES);
}

/// Pieces that are written block by block, because they are large beside the memory.
#[test]
fn a_failing_disk_holds_up_its_own_torrent_of_large_pieces_and_no_other() {
    failing_beside_working(MIB);
}

fn failing_beside_working(piece_bytes: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (bad, good) = (Content::single("failing.bin", 8 * MIB, 3), Content::single("working.bin", 8 * MIB, 4));
    let torrents = [&bad, &good].map(|content| Torrent::of(content, piece_bytes, None));
    let seeds = [
        Seed::start(&torrents[0], &bad, |wire| wire.serve_paced(64 * MIB)),
        Seed::start(&torrents[1], &good, |wire| wire.serve_paced(64 * MIB)),
    ];
    let armed = at("disk.write", "failing.bin", "error(input/output error)").arm();
    // Less than either torrent: who waits for the disk must leave some of it to the other.
    let session = session(2 * MIB);
    let failing = add(&session, &torrents[0], folder.path(), &seeds[0]);
    let paused = until("the pause", LIMIT, || failing.progress().paused);
    assert!(paused.message.contains("failing.bin") && paused.reason.contains("input/output error"), "{paused:?}");
    let working = add(&session, &torrents[1], folder.path(), &seeds[1]);
    until("the other torrent", LIMIT, || (working.progress().state == State::Complete).then_some(()));
    assert_eq!(failing.progress().pieces_finished, 0);
    assert!(failing.progress().paused.is_some());
    drop(armed);
    until("both", LIMIT, || (failing.progress().state == State::Complete).then_some(()));
    assert_eq!(failing.progress().paused, None);
    block_on(session.stop());
    assert_eq!([bad.difference(folder.path()), good.difference(folder.path())], [None, None]);
}

#[test]
fn a_disk_that_fails_now_and_then_costs_time_and_no_piece() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::single("trembling.bin", 4 * MIB, 5);
    let torrent = Torrent::of(&content, PIECE_BYTES, None);
    let seed = Seed::start(&torrent, &content, |wire| wire.serve_paced(64 * MIB));
    let _armed =
        at("disk.write", "trembling.bin", "9*off->1*error(input/output error)->9*off->2*error(storage_full)").arm();
    let session = session(64 * MIB);
    let events = session.events();
    let torrent = add(&session, &torrent, folder.path(), &seed);
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    block_on(session.stop());
    let mut changes = Vec::new();
    while let Some(event) = block_on(events.recv()) {
        if let Event::Disk { change, .. } = event {
            changes.push(change);
        }
    }
    // Twice, if another reason came before it had recovered from the first.
    assert_eq!(changes.first(), Some(&DiskChange::Refuses), "{changes:?}");
    assert_eq!(changes.last(), Some(&DiskChange::Works), "{changes:?}");
    let requests = seed.log.seen().requests;
    assert_eq!(requests.len(), requests.iter().collect::<BTreeSet<_>>().len(), "blocks were asked for again");
    assert_eq!(content.difference(folder.path()), None);
}

#[test]
fn what_cannot_be_read_is_not_served_and_said_once_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::tree("some", &[("readable.bin", MIB), ("unreadable.bin", MIB)], 6);
    let torrent = Torrent::of(&content, PIECE_BYTES, None);
    content.write_below(folder.path());
    let session = session(64 * MIB);
    let events = session.events();
    let nobody = Seed::start(&torrent, &content, |_| Ok(()));
    let seeding = add(&session, &torrent, folder.path(), &nobody);
    until("the check", LIMIT, || (seeding.progress().state == State::Complete).then_some(()));
    let armed = at("disk.read", "unreadable.bin", "error(input/output error)").arm();
    let address = support::loopback(session.local_port().unwrap());
    let caller = support::caller::Caller::new(address, &torrent, &content);
    for _ in 0..3 {
        let mut wire = caller.call_with_nothing().unwrap();
        wire.message(2, &[]).unwrap();
        wire.fetch(0..16).unwrap();
        wire.message(6, &support::peer::Request { piece: 20, begin: 0, length: 16_384 }.bytes()).unwrap();
        wire.until_message(16).expect("a reject");
    }
    drop(armed);
    caller.leech().unwrap();
    block_on(session.stop());
    let mut unreadable = 0;
    while let Some(event) = block_on(events.recv()) {
        unreadable += u32::from(matches!(event, Event::Disk { change: DiskChange::Unreadable, .. }));
    }
    assert_eq!(unreadable, 1);
}

/// While the check goes on, and after a good part of the file was found right.
#[test]
fn a_file_that_is_shortened_while_it_is_checked_is_not_believed_where_it_was_right() {
    let rig = Rig::of_pieces(MIB, &[("good.bin", 8 * MIB), ("bad.bin", 40 * MIB)], 64 * MIB);
    rig.content.write_below(&rig.out());
    let armed = Plan::new([Point::new("piece_worker.check", "hang").expect("good grammar").when("piece", "32")]).arm();
    let session = session(64 * MIB);
    let torrent = add(&session, &rig.torrent, &rig.out(), &rig.seed);
    until("the first 32 pieces", LIMIT, || (torrent.progress().pieces_finished == 32).then_some(()));
    let file = std::fs::OpenOptions::new().write(true).open(rig.file("bad.bin")).unwrap();
    file.set_len(2 * MIB).unwrap();
    drop(armed);
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    block_on(session.stop());
    assert_eq!(rig.content.difference(&rig.out()), None);
    assert_eq!(rig.requested_since(0), (10..48).collect(), "what was there is not fetched");
}

/// After the check, before room is reserved for it.
#[test]
fn a_file_that_is_taken_away_before_it_gets_its_room_is_not_believed() {
    let rig = Rig::new(&[("file.bin", 2 * MIB)], 64 * MIB);
    std::fs::create_dir(rig.file("")).unwrap();
    std::fs::write(rig.file("file.bin"), rig.content.bytes(0, 8 * PIECE_BYTES as usize)).unwrap();
    let armed = Plan::new([Point::new("file_worker.prepare", "hang").expect("good grammar")]).arm();
    let session = session(64 * MIB);
    let options = TorrentOptions { peers: vec![rig.seed.addr], preallocate: true, ..TorrentOptions::new(rig.out()) };
    let torrent = block_on(session.add(Metainfo::parse(&rig.torrent.bytes).unwrap(), options)).unwrap();
    until("the check", LIMIT, || (torrent.progress().pieces_finished == 8).then_some(()));
    std::fs::remove_file(rig.file("file.bin")).unwrap();
    drop(armed);
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    block_on(session.stop());
    assert_eq!(rig.content.difference(&rig.out()), None);
}
