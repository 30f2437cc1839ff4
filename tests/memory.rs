//! The memory for blocks is a limit and no wish: whatever the pieces, the peers and the crashes, it is not exceeded, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::io;
use std::path::Path;
use std::time::Duration;

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, State, Torrent, TorrentOptions};
use supervisors::faults::{Plan, Point};

use support::content::Content;
use support::peer::{Seed, Wire};
use support::{torrent, until};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const BLOCK: u64 = 16 * 1024;
/// The least that may be given.
const MEMORY: u64 = 2 * MIB;
/// Twice the memory.
const PIECE: u64 = 4 * MIB;

struct Rig {
    content: Content,
    made: torrent::Torrent,
    folder: tempfile::TempDir,
    session: Session,
}

impl Rig {
    fn new(name: &str, pieces: u64, piece_bytes: u64) -> Rig {
        let content = Content::single("large.bin", pieces * piece_bytes - 12345, 9);
        let made = torrent::Torrent::of(&content, piece_bytes, None);
        let folder = tempfile::tempdir().expect("a folder");
        let name = name.to_owned();
        let config =
            Config { name, bind: BindTo::Loopback, ports: Some(0..=0), memory_bytes: MEMORY, ..Config::default() };
        let session = block_on(Session::start(config)).expect("a session");
        Rig { content, made, folder, session }
    }

    fn seed(&self, conduct: impl Fn(&mut Wire) -> io::Result<()> + Send + Sync + 'static) -> Seed {
        Seed::start(&self.made, &self.content, conduct)
    }

    fn add(&self, folder: &Path, seeds: &[Seed]) -> Torrent {
        let metainfo = Metainfo::parse(&self.made.bytes).expect("an honest torrent");
        let peers = seeds.iter().map(|seed| seed.addr).collect();
        let options = TorrentOptions { peers, upload_slots: Some(64), ..TorrentOptions::new(folder) };
        block_on(self.session.add(metainfo, options)).expect("added")
    }

    fn download(&self, seeds: &[Seed]) -> Torrent {
        self.add(self.folder.path(), seeds)
    }

    /// Waits for the end, and looks whether it is a good one.
    fn completes(self, torrent: &Torrent) {
        until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
        let memory = self.session.block_memory();
        assert!(memory.peak <= memory.limit && memory.peak > 0, "{memory:?}");
        until("all memory given back", LIMIT, || (self.session.block_memory().in_use == 0).then_some(()));
        block_on(self.session.stop());
        assert_eq!(self.content.difference(self.folder.path()), None);
    }
}

#[test]
fn pieces_larger_than_the_memory_come_from_several_peers_all_the_same() {
    let rig = Rig::new("large_sup", 4, PIECE);
    let seeds: Vec<Seed> = (0..4).map(|_| rig.seed(Wire::serve_all)).collect();
    let torrent = rig.download(&seeds);
    rig.completes(&torrent);
    assert!(seeds.iter().all(|seed| !seed.log.seen().served.is_empty()), "all of them gave something");
}

/// Serves everything and turns over a bit of each block.
fn lie(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    loop {
        let request = wire.hear_request()?;
        let mut bytes = wire.bytes_of(request);
        bytes[0] ^= 1;
        wire.block(request.piece, request.begin, &bytes)?;
        wire.log.deed();
    }
}

#[test]
fn who_sent_a_wrong_block_of_a_piece_that_never_was_in_memory_is_found_and_banned() {
    let rig = Rig::new("liar_sup", 3, PIECE);
    let seeds = [rig.seed(|wire| wire.serve_paced(8 * MIB)), rig.seed(lie), rig.seed(|wire| wire.serve_paced(8 * MIB))];
    let torrent = rig.download(&seeds);
    let events = rig.session.events();
    let banned = std::thread::spawn(move || {
        let mut banned = Vec::new();
        while let Some(event) = block_on(events.recv()) {
            let event = serde_json::to_value(&event).expect("an event");
            if event.to_string().contains("banned") {
                banned.push(event.to_string());
            }
        }
        banned
    });
    rig.completes(&torrent);
    let banned = banned.join().expect("the events");
    assert!(!banned.is_empty() && banned.iter().all(|event| event.contains(&seeds[1].addr.to_string())), "{banned:?}");
    assert!(torrent.progress().wasted.bad >= PIECE / 2, "a whole piece was fetched in vain");
}

#[test]
fn what_came_of_a_piece_that_nobody_can_complete_takes_no_memory_and_is_not_fetched_again() {
    // Small enough to be kept in memory, and so many of them that there is no room for another.
    const SMALL: u64 = 16 * BLOCK;
    let rig = Rig::new("stuck_sup", 32, SMALL);
    let halves: Vec<Seed> = (0u32..12)
        .map(|n| {
            rig.seed(move |wire| {
                let mut only = vec![0; 4];
                only[n as usize / 8] = 0x80 >> (n % 8);
                wire.greet_with(&only)?;
                wire.unchoke()?;
                for _ in 0..8 {
                    let request = wire.hear_request()?;
                    wire.serve(request)?;
                }
                Ok(())
            })
        })
        .collect();
    let torrent = rig.download(&halves);
    let came = |seeds: &[Seed]| seeds.iter().map(|seed| seed.log.seen().served.len() as u64).sum::<u64>();
    until("half of twelve pieces", LIMIT, || (came(&halves) >= 12 * 8).then_some(()));
    drop(halves);
    until("no block in memory", LIMIT, || (rig.session.block_memory().in_use == 0).then_some(()));
    let seed = rig.seed(Wire::serve_all);
    torrent.add_peer(seed.addr);
    rig.completes(&torrent);
    let progress = torrent.progress();
    assert_eq!((progress.downloaded, progress.wasted.total()), (progress.bytes_total, 0));
}

#[test]
fn a_worker_that_panics_while_it_spills_loses_nothing() {
    for phase in ["file_worker.spill", "file_worker.spilled", "piece_worker.hash", "piece_worker.hashed"] {
        let rig = Rig::new("panic_sup", 2, PIECE);
        let armed = Plan::new([Point::new(phase, "2*panic").expect("good grammar").under("panic_sup/**")]).arm();
        let seeds = [rig.seed(Wire::serve_all), rig.seed(Wire::serve_all)];
        let torrent = rig.download(&seeds);
        rig.completes(&torrent);
        assert_eq!(armed.points()[0].fired, 2, "{phase}");
        let progress = torrent.progress();
        assert_eq!(
            (progress.downloaded - progress.wasted.total(), progress.wasted.bad),
            (progress.bytes_total, 0),
            "{phase}"
        );
    }
}

#[test]
fn a_store_or_a_client_that_panics_while_it_spills_loses_little_and_completes() {
    for role in ["store", "client"] {
        let rig = Rig::new("crash_sup", 4, PIECE);
        let seeds = [rig.seed(|wire| wire.serve_paced(8 * MIB)), rig.seed(|wire| wire.serve_paced(8 * MIB))];
        let torrent = rig.download(&seeds);
        for after in [1, 3, 6] {
            until("some blocks", LIMIT, || (torrent.progress().downloaded > after * MIB).then_some(()));
            let tree = rig.session.snapshot().expect("it runs");
            let pid = tree.nodes().find(|node| node.role == role).and_then(|node| node.pid);
            pid.into_iter().for_each(|pid| supervisors::inject_panic(pid, "crashed by the test"));
        }
        rig.completes(&torrent);
        let progress = torrent.progress();
        assert!(progress.downloaded < progress.bytes_total + PIECE, "{role}: {} came", progress.downloaded);
    }
}

#[test]
fn many_who_take_slowly_share_what_there_is_for_reading() {
    let rig = Rig::new("giver_sup", 8, MIB);
    let whole = tempfile::tempdir().expect("a folder");
    rig.content.write_below(whole.path());
    let seeding = rig.add(whole.path(), &[]);
    assert_eq!(block_on(seeding.wait()), Outcome::Complete);
    let address = ([127, 0, 0, 1], rig.session.local_port().expect("it listens")).into();
    let takers: Vec<_> = (0..40)
        .map(|_| {
            let config =
                Config { name: "taker_sup".to_owned(), bind: BindTo::Loopback, ports: None, ..Config::default() };
            let session = block_on(Session::start(config)).expect("a session");
            let folder = tempfile::tempdir().expect("a folder");
            let metainfo = Metainfo::parse(&rig.made.bytes).expect("an honest torrent");
            let options = TorrentOptions {
                peers: vec![address],
                download_limit: Some(2 * MIB),
                ..TorrentOptions::new(folder.path())
            };
            let torrent = block_on(session.add(metainfo, options)).expect("added");
            (session, folder, torrent)
        })
        .collect();
    for (session, folder, torrent) in takers {
        until("a copy", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
        block_on(session.stop());
        assert_eq!(rig.content.difference(folder.path()), None);
    }
    let memory = rig.session.block_memory();
    assert!(memory.peak <= memory.limit && memory.peak > 0, "{memory:?}");
    block_on(rig.session.stop());
}
