//! Every kind of process is crashed while a download runs: it completes, the content is right, nobody is orphaned.
//!
//! The seeds are slow on purpose, so that there is time for crashes; what paces the crashes is the program's own progress.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, Torrent, TorrentOptions};
use supervisors::Snapshot;
use support::content::Content;
use support::peer::Seed;
use support::{Dice, until};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// A session that downloads from slow seeds, and one tracker that does not answer, so that every kind of process is there.
struct Rig {
    session: Session,
    torrent: Torrent,
    content: Content,
    folder: tempfile::TempDir,
    _seeds: Vec<Seed>,
}

impl Rig {
    fn start(mib: u64, piece: u64, seeds: usize, rate: u64) -> Rig {
        let content = Content::single("crash.bin", mib * MIB + 4321, 7);
        // Nothing listens on port 1: the tracker process lives on back-offs.
        let torrent = support::torrent::Torrent::of(&content, piece, Some("http://127.0.0.1:1/announce"));
        let seeds: Vec<Seed> =
            (0..seeds).map(|_| Seed::start(&torrent, &content, move |wire| wire.serve_paced(rate))).collect();
        let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), ..Config::default() };
        let session = block_on(Session::start(config)).expect("a session");
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = TorrentOptions::new(folder.path());
        options.peers = seeds.iter().map(|seed| seed.addr).collect();
        let metainfo = Metainfo::parse(&torrent.bytes).expect("an honest torrent");
        let torrent = block_on(session.add(metainfo, options)).expect("added");
        Rig { session, torrent, content, folder, _seeds: seeds }
    }

    fn tree(&self) -> Snapshot {
        self.session.snapshot().expect("the session runs")
    }

    fn pids(&self, role: &str) -> Vec<supervisors::Pid> {
        self.tree().nodes().filter(|node| node.role == role).filter_map(|node| node.pid).collect()
    }

    fn finished(&self) -> u32 {
        self.torrent.progress().pieces_finished
    }

    /// Waits until one more piece is finished than now.
    fn one_more_piece(&self, after: &str) {
        let before = self.finished();
        until(&format!("a piece after {after}"), LIMIT, || {
            (self.finished() > before || block_on_complete(&self.torrent)).then_some(())
        });
    }

    fn completes(self) -> u64 {
        let progress = self.torrent.progress();
        let outcome = until("completion", LIMIT, || match self.torrent.progress().state {
            bt_erl::State::Complete => Some(Outcome::Complete),
            bt_erl::State::Failed { message } => Some(Outcome::Failed(message)),
            _ => None,
        });
        assert_eq!(outcome, Outcome::Complete, "{progress:?}");
        let restarts = self.torrent.progress().restarts;
        block_on(self.session.stop());
        assert_eq!(self.content.difference(self.folder.path()), None);
        restarts
    }
}

fn block_on_complete(torrent: &Torrent) -> bool {
    torrent.progress().state == bt_erl::State::Complete
}

/// Each kind of process, supervisors too, from the leaves to just below the root.
const ROLES: [&str; 11] = [
    "peer",
    "tracker",
    "piece_worker",
    "file_worker",
    "client",
    "store",
    "listener",
    "peers_sup",
    "trackers_sup",
    "torrent_sup",
    "storage_sup",
];

#[test]
fn each_kind_of_process_is_crashed_in_turn_and_the_download_completes() {
    let rig = Rig::start(24, 256 * 1024, 2, 3 * MIB);
    rig.one_more_piece("the start");
    for role in ROLES {
        let victims = until(role, LIMIT, || Some(rig.pids(role)).filter(|pids| !pids.is_empty()));
        supervisors::inject_panic(victims[0], "crashed by the test");
        until(&format!("{role} to be back"), LIMIT, || {
            let now = rig.pids(role);
            (!now.is_empty() && !now.contains(&victims[0])).then_some(())
        });
        rig.one_more_piece(role);
    }
    assert!(rig.completes() >= ROLES.len() as u64);
}

#[test]
fn a_random_process_every_100_ms_does_not_stop_the_download_and_leaves_no_orphan() {
    let rig = Rig::start(40, 256 * 1024, 3, 3 * MIB);
    rig.one_more_piece("the start");
    let declared = shape(&rig.tree());
    let memory = resident_kib();
    let mut dice = Dice(11);
    let mut crashes = 0;
    let mut due = Instant::now();
    while !block_on_complete(&rig.torrent) && crashes < 200 {
        let tree = rig.tree();
        let below_root: Vec<_> = tree.nodes().skip(1).filter_map(|node| node.pid).collect();
        if let Some(victim) = below_root.get(dice.next() as usize % below_root.len().max(1)) {
            supervisors::inject_panic(*victim, "crashed by the test");
            crashes += 1;
        }
        due += Duration::from_millis(100);
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
    }
    assert!(crashes >= 10, "the download was over after {crashes} crashes: it tells nothing");
    until("the same tree as before", LIMIT, || (shape(&rig.tree()) == declared).then_some(()));
    let grown = resident_kib().saturating_sub(memory);
    assert!(grown < 64 * 1024, "{grown} KiB more than before {crashes} crashes");
    assert!(rig.completes() > 0);
}

/// The paths of all processes but peers, which come and go.
fn shape(tree: &Snapshot) -> BTreeSet<String> {
    tree.nodes().filter(|node| node.role != "peer").map(|node| node.path.to_string()).collect()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn stopping_leaves_no_process_behind_and_takes_less_than_five_seconds() {
    let rig = Rig::start(8, 256 * 1024, 2, 2 * MIB);
    rig.one_more_piece("the start");
    let root = rig.session.pid().expect("it runs");
    let began = Instant::now();
    block_on(rig.session.stop());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(supervisors::snapshot(root).is_none(), "the root is still there");
    let kept = rig.torrent.progress();
    let again = Metainfo::parse(&support::torrent::Torrent::of(&rig.content, 256 * 1024, None).bytes).expect("honest");
    let config = Config { ports: None, ..Config::default() };
    let session = block_on(Session::start(config)).expect("a session");
    let torrent = block_on(session.add(again, TorrentOptions::new(rig.folder.path()))).expect("added");
    until("the check", LIMIT, || (torrent.progress().state == bt_erl::State::Downloading).then_some(()));
    assert_eq!(torrent.progress().pieces_finished, kept.pieces_finished, "what was finished is found again");
    block_on(session.stop());
}

#[test]
fn a_file_that_is_deleted_under_a_download_is_noticed_and_made_again() {
    let rig = Rig::start(12, 256 * 1024, 2, 3 * MIB);
    rig.one_more_piece("the start");
    std::fs::remove_file(rig.folder.path().join("crash.bin")).expect("it is there");
    rig.completes();
}

#[test]
fn a_crash_of_the_root_itself_ends_the_session_and_whoever_waits_hears_it() {
    let rig = Rig::start(8, 256 * 1024, 1, MIB);
    rig.one_more_piece("the start");
    let root = rig.session.pid().expect("it runs");
    let torrent = rig.torrent.clone();
    let waiting = std::thread::spawn(move || block_on(torrent.wait()));
    supervisors::inject_panic(root, "crashed by the test");
    assert_eq!(waiting.join().expect("it returns"), Outcome::Stopped);
    assert!(supervisors::snapshot(root).is_none(), "the root is still there");
}

#[test]
fn a_peer_that_crashed_and_calls_again_replaces_the_call_that_it_lost() {
    use std::io::{Read, Write};
    let rig = Rig::start(4, 64 * 1024, 1, 2 * MIB);
    let port = rig.session.local_port().expect("it listens");
    let torrent = Metainfo::parse(&support::torrent::Torrent::of(&rig.content, 64 * 1024, None).bytes).unwrap();
    let hello =
        [b"\x13BitTorrent protocol".as_slice(), &[0; 8], &torrent.info_hash.0, b"-TS0001-abcdefghijkl"].concat();
    let call = || {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.write_all(&hello).expect("said hello");
        let mut answer = [0; 68 + 5];
        socket.read_exact(&mut answer).expect("its handshake and the first bytes after it");
        socket
    };
    let mut first = call();
    // The crash: nothing is said on the first connection, it just stays open.
    let mut second = call();
    let gone = std::io::copy(&mut first, &mut std::io::sink());
    assert!(gone.is_ok() || gone.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    second.write_all(&[0, 0, 0, 1, 2]).expect("interested");
    // A connection that is up is told of finished pieces.
    let mut have = [0; 9];
    second.read_exact(&mut have).expect("news");
    rig.completes();
}
