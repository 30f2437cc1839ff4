//! Eight leeches of four kinds and one seed, which leaves when it has given 1.2 copies: what it gave has to be enough for all.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::MIB;
use crate::support::bt_erl::{BtErl, Running};
use crate::support::child::Guard;
use crate::support::content::Content;
use crate::support::foreign::{self, Foreign, Habits, Opentracker};
use crate::support::torrent::{self, Torrent};
use crate::support::{free_port, until};

/// Far above what any of it takes.
const LIMIT: Duration = Duration::from_secs(150);

const SIZE: u64 = 28 * MIB + 12_345;
const PIECE_BYTES: u64 = 64 << 10;
/// What the seed sends a second. It has to be slow: what leeches have asked of it and not got yet (seconds' worth, with some clients)
/// is what two of them may both have asked for, and what it sends twice is lost to the others.
const SEED_RATE: u64 = 3 * MIB / 4;
/// Copies after which the seed leaves.
const COPIES: f64 = 1.2;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    BtErl,
    Foreign(Foreign),
}

/// Those that nobody calls on loopback come first, so that everybody else hears of them from the tracker.
const KINDS: [Kind; 4] = [
    Kind::Foreign(Foreign::Transmission),
    Kind::BtErl,
    Kind::Foreign(Foreign::Libtorrent),
    Kind::Foreign(Foreign::Aria2),
];

/// A running member of either sort.
enum Member {
    BtErl(Running),
    Foreign(Guard),
}

impl Member {
    fn has_ended(&mut self) -> Option<std::process::ExitStatus> {
        match self {
            Member::BtErl(run) => run.guard.ended(),
            Member::Foreign(guard) => guard.ended(),
        }
    }
}

struct Swarm {
    folder: tempfile::TempDir,
    content: Content,
    torrent: PathBuf,
    tracker: Opentracker,
}

impl Swarm {
    fn new() -> Swarm {
        let folder = tempfile::tempdir().unwrap();
        let content = Content::single("mixed.bin", SIZE, 81);
        let port = free_port();
        let made = Torrent::of(&content, PIECE_BYTES, Some(&Opentracker::url(port)));
        let torrent = folder.path().join("mixed.torrent");
        std::fs::write(&torrent, &made.bytes).unwrap();
        content.write_below(&folder.path().join("seed"));
        let tracker = Opentracker::start(&folder.path().join("tracker"), port, &torrent::hex(&made.info_hash));
        Swarm { folder, content, torrent, tracker }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, kind: Kind, folder: &Path, name: &str, habits: Habits) -> Member {
        let home = self.path(&format!("home of {name}"));
        match kind {
            Kind::Foreign(foreign) => Member::Foreign(foreign::member(foreign, &self.torrent, folder, &home, habits)),
            Kind::BtErl => {
                let ratio = habits.leaves_at.map(|ratio| ["--seed-ratio".to_owned(), ratio.to_string()]);
                let limit =
                    habits.upload_limit.map(|limit| ["--upload-limit".to_owned(), format!("{}KiB", limit >> 10)]);
                let run = BtErl::run(&home, &self.torrent, folder).args(["--seed"]);
                Member::BtErl(run.args(ratio.into_iter().chain(limit).flatten()).start())
            }
        }
    }
}

/// The whole story, with this kind as the seed.
fn all_complete_after_the_seed_has_left(test: &str, seeding: Kind) {
    if !foreign::all_installed(
        test,
        &[Foreign::Opentracker, Foreign::Libtorrent, Foreign::Aria2, Foreign::Transmission],
    ) {
        return;
    }
    let swarm = Swarm::new();
    let habits = Habits { upload_limit: Some(SEED_RATE), leaves_at: Some(COPIES) };
    let seed = swarm.start(seeding, &swarm.path("seed"), "the seed", habits);
    swarm.tracker.until_seeds(1);
    let began = Instant::now();
    let mut leeches = Vec::new();
    for kind in KINDS {
        for n in 0..2 {
            let name = format!("{kind:?} {n}");
            let out = swarm.path(&name);
            leeches.push((swarm.start(kind, &out, &name, Habits::default()), name, out));
        }
        let there = leeches.len() as u64;
        until(&format!("{kind:?} to announce itself"), LIMIT, || {
            let (complete, incomplete) = swarm.tracker.scrape();
            (complete + incomplete > there || incomplete >= there).then_some(())
        });
    }
    println!("all are there after {:?}", began.elapsed());
    // A swarm that wastes little may be complete before the seed has given so much: then it is done with here all the same.
    let everybody = leeches.len() as u64;
    let mut seed = seed;
    let why = until("the seed to leave", LIMIT, || {
        let (complete, _) = swarm.tracker.scrape();
        match seed.has_ended() {
            None if complete > everybody => Some("all are complete before it has given its copies"),
            None => None,
            Some(status) if status.success() => Some("it has given its copies"),
            Some(status) => panic!("the seed fails: {status}"),
        }
    });
    drop(seed);
    println!("{why}");
    println!("the seed has left after {:?}", began.elapsed());
    let began_alone = Instant::now();
    // The tracker forgets the seed only when it said goodbye.
    let mut last = (0, 1);
    while last.0 < everybody || last.1 > 0 {
        last = swarm.tracker.scrape();
        if began_alone.elapsed() > Duration::from_secs(60) {
            for (_, name, out) in &leeches {
                println!("{name} lacks {:?}", missing(&swarm.content, out));
            }
            for (member, name, _) in leeches {
                let Member::BtErl(run) = member else { continue };
                let ended = run.kill_9();
                println!("{name}: {}", ended.last("peers"));
            }
            panic!("only {last:?} are complete");
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    println!("all are complete after {:?}", began.elapsed());
    for (_, name, out) in &leeches {
        // Who says that it is complete may still be writing.
        until(&format!("the content of {name}"), LIMIT, || swarm.content.difference(out).is_none().then_some(()));
    }
    for (member, name, _) in leeches {
        let Member::BtErl(run) = member else { continue };
        run.signal(rustix::process::Signal::TERM);
        let ended = run.end(LIMIT);
        ended.expect_code(143);
        println!("{name}: {}", ended.last("progress"));
        let banned: Vec<_> = ended.events().into_iter().filter(|event| event["state"] == "banned").collect();
        assert!(banned.is_empty(), "an honest client is banned: {banned:?}");
    }
}

/// The pieces that are not there.
fn missing(content: &Content, folder: &Path) -> Vec<u64> {
    let pieces = content.total().div_ceil(PIECE_BYTES);
    let wrong = |piece: &u64| {
        let (offset, length) = (piece * PIECE_BYTES, PIECE_BYTES.min(content.total() - piece * PIECE_BYTES) as usize);
        content.read_back(folder, offset, length) != content.bytes(offset, length)
    };
    (0..pieces).filter(wrong).collect()
}

#[test]
fn eight_of_four_kinds_complete_after_bt_erl_gave_1_2_copies() {
    all_complete_after_the_seed_has_left("a mixed swarm seeded by bt-erl", Kind::BtErl);
}

#[test]
#[ignore = "takes most of a minute; the one above is what CI has time for"]
fn eight_of_four_kinds_complete_after_libtorrent_gave_1_2_copies() {
    all_complete_after_the_seed_has_left("a mixed swarm seeded by libtorrent", Kind::Foreign(Foreign::Libtorrent));
}

#[test]
#[ignore = "takes most of a minute; the one above is what CI has time for"]
fn eight_of_four_kinds_complete_after_aria2_gave_1_2_copies() {
    all_complete_after_the_seed_has_left("a mixed swarm seeded by aria2", Kind::Foreign(Foreign::Aria2));
}
