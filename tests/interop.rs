//! The program among clients and tools that are not ours: torrents from mktorrent and libtorrent, tracked by opentracker, seeded
//! and downloaded by libtorrent, aria2 and Transmission, all on loopback; content compared byte for byte.
//!
//! Needs Debian's `mktorrent opentracker python3-libtorrent aria2 transmission-daemon`. A test that lacks one says `SKIPPED` loudly;
//! `BT_ERL_NO_SKIP=1` makes that a failure. `BT_ERL_INTEROP_MIB` is the size of each download (default 64).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::bt_erl::BtErl;
use support::content::Content;
use support::foreign::{self, Foreign, Opentracker, Version};
use support::peer::Seed;
use support::torrent::{self, Torrent};
use support::{env_number, free_port};

/// Far above what any of these downloads needs, below what makes CI time out.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone, Copy)]
enum Maker {
    Mktorrent,
    Libtorrent,
    /// libtorrent, version 1 and 2 in one torrent, with pad files.
    LibtorrentHybrid,
}

#[derive(Clone, Copy)]
enum Shape {
    OneFile,
    /// 1,200 files: nested folders, empty files, names in several scripts.
    ManyFiles,
}

/// A torrent, its content on disk, and the tracker that knows it.
struct Swarm {
    folder: tempfile::TempDir,
    content: Content,
    torrent: PathBuf,
    tracker: Opentracker,
}

impl Swarm {
    fn new(maker: Maker, shape: Shape) -> Swarm {
        let folder = tempfile::tempdir().unwrap();
        let bytes = env_number("BT_ERL_INTEROP_MIB", 64) << 20;
        let content = match shape {
            // Not a whole number of pieces, nor of blocks.
            Shape::OneFile => Content::single("one file.bin", bytes - 12_345, 11),
            Shape::ManyFiles => Content::many("many files ☃", 1_200, bytes, 12),
        };
        let root = folder.path().join("seed");
        content.write_below(&root);
        let source = root.join(std::str::from_utf8(&content.name).unwrap());
        let torrent = folder.path().join("a.torrent");
        let port = free_port();
        let announce = Opentracker::url(port);
        match maker {
            Maker::Mktorrent => foreign::mktorrent(&source, &torrent, 18, &announce),
            Maker::Libtorrent => foreign::libtorrent_make(&source, &torrent, 1 << 18, &announce, Version::One),
            Maker::LibtorrentHybrid => foreign::libtorrent_make(&source, &torrent, 1 << 18, &announce, Version::Hybrid),
        }
        let info_hash = torrent::hex(&torrent::info_hash_of(&std::fs::read(&torrent).unwrap()));
        let tracker = Opentracker::start(&folder.path().join("tracker"), port, &info_hash);
        Swarm { folder, content, torrent, tracker }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Every file below `folder`.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// `bt-erl run` downloads what `seeder` has, finding it through the tracker.
fn download(test: &str, maker: Maker, shape: Shape, seeder: Foreign) {
    let made_by = if matches!(maker, Maker::Mktorrent) { Foreign::Mktorrent } else { Foreign::Libtorrent };
    if !foreign::all_installed(test, &[made_by, Foreign::Opentracker, seeder]) {
        return;
    }
    let swarm = Swarm::new(maker, shape);
    let seed = foreign::seed(seeder, &swarm.torrent, &swarm.path("seed"), &swarm.path("scratch"));
    swarm.tracker.until_seeds(1);

    let out = swarm.path("out");
    let ended = BtErl::run(&swarm.path("home"), &swarm.torrent, &out).output(LIMIT);
    ended.expect_code(0);
    assert_eq!(swarm.content.difference(&out), None);
    if !swarm.content.single {
        let name = std::str::from_utf8(&swarm.content.name).unwrap();
        assert_eq!(files_below(&out.join(name)).len(), swarm.content.on_disk().len(), "files in the torrent's folder");
    }
    let events = ended.events();
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!(count("complete"), 1, "complete events");
    assert!(count("tracker") > 0, "the tracker's answer is an event");
    assert!(ended.finished().len() > 1, "finished events");

    drop(seed);
    let again = BtErl::run(&swarm.path("home"), &swarm.torrent, &out).args(["--no-tracker"]).output(LIMIT);
    again.expect_code(0);
    assert!(again.finished().is_empty(), "a second run has nothing left to fetch");
}

#[test]
fn one_file_made_by_mktorrent_comes_from_libtorrent() {
    download("one file from libtorrent", Maker::Mktorrent, Shape::OneFile, Foreign::Libtorrent);
}

#[test]
fn one_file_made_by_mktorrent_comes_from_aria2() {
    download("one file from aria2", Maker::Mktorrent, Shape::OneFile, Foreign::Aria2);
}

#[test]
fn one_file_made_by_libtorrent_comes_from_transmission() {
    download("one file from Transmission", Maker::Libtorrent, Shape::OneFile, Foreign::Transmission);
}

#[test]
fn many_files_made_by_libtorrent_come_from_libtorrent() {
    download("many files from libtorrent", Maker::Libtorrent, Shape::ManyFiles, Foreign::Libtorrent);
}

#[test]
fn many_files_made_by_libtorrent_come_from_aria2() {
    download("many files from aria2", Maker::Libtorrent, Shape::ManyFiles, Foreign::Aria2);
}

#[test]
fn many_files_made_by_mktorrent_come_from_transmission() {
    download("many files from Transmission", Maker::Mktorrent, Shape::ManyFiles, Foreign::Transmission);
}

#[test]
fn a_hybrid_torrent_with_pad_files_is_downloaded_as_version_1() {
    download("a hybrid torrent", Maker::LibtorrentHybrid, Shape::ManyFiles, Foreign::Libtorrent);
}

/// `bt-erl run 'magnet:…'` knows nothing but the info hash and the tracker; what the torrent is, `seeder` says.
fn download_by_magnet(test: &str, maker: Maker, seeder: Foreign) {
    let made_by = if matches!(maker, Maker::Mktorrent) { Foreign::Mktorrent } else { Foreign::Libtorrent };
    if !foreign::all_installed(test, &[made_by, Foreign::Opentracker, seeder]) {
        return;
    }
    // Enough files for an info dictionary of several pieces.
    let swarm = Swarm::new(maker, Shape::ManyFiles);
    let _seed = foreign::seed(seeder, &swarm.torrent, &swarm.path("seed"), &swarm.path("scratch"));
    swarm.tracker.until_seeds(1);
    let metainfo = bt_erl::Metainfo::parse(&std::fs::read(&swarm.torrent).unwrap()).unwrap();
    // Transmission 3 reads the info dictionary of a torrent file of this name; at its start, that name would mean that the content has
    // been checked before.
    let torrents = swarm.path("scratch").join("transmission/torrents");
    if torrents.exists() {
        std::fs::copy(&swarm.torrent, torrents.join(format!("{}.torrent", metainfo.info_hash))).unwrap();
    }
    let link = format!("magnet:?xt=urn:btih:{}&tr={}", metainfo.info_hash, metainfo.trackers[0][0]);
    let out = swarm.path("out");
    let ended = BtErl::run(&swarm.path("home"), Path::new(&link), &out).output(LIMIT);
    ended.expect_code(0);
    assert_eq!(swarm.content.difference(&out), None);
}

#[test]
fn the_torrent_of_a_magnet_link_comes_from_libtorrent() {
    download_by_magnet("a magnet link, libtorrent", Maker::Mktorrent, Foreign::Libtorrent);
}

#[test]
fn the_torrent_of_a_magnet_link_comes_from_transmission() {
    download_by_magnet("a magnet link, Transmission", Maker::Mktorrent, Foreign::Transmission);
}

#[test]
fn the_torrent_of_a_magnet_link_comes_from_aria2() {
    download_by_magnet("a magnet link, aria2", Maker::Mktorrent, Foreign::Aria2);
}

/// `leech` downloads from `bt-erl run --seed`; then SIGTERM ends the seed and the tracker hears it.
fn upload(test: &str, leech: Foreign) {
    if !foreign::all_installed(test, &[Foreign::Mktorrent, Foreign::Opentracker, leech]) {
        return;
    }
    let swarm = Swarm::new(Maker::Mktorrent, Shape::ManyFiles);
    let seed = BtErl::run(&swarm.path("home"), &swarm.torrent, &swarm.path("seed")).args(["--seed"]).start();
    swarm.tracker.until_seeds(1);
    let out = swarm.path("out");
    foreign::download(leech, &swarm.torrent, &out);
    assert_eq!(swarm.content.difference(&out), None);

    seed.signal(rustix::process::Signal::TERM);
    let ended = seed.end(LIMIT);
    ended.expect_code(143);
    support::until("the tracker to forget every seed", LIMIT, || (swarm.tracker.scrape() == (0, 0)).then_some(()));
}

#[test]
fn libtorrent_downloads_from_a_seeding_bt_erl() {
    upload("libtorrent downloads", Foreign::Libtorrent);
}

#[test]
fn aria2_downloads_from_a_seeding_bt_erl() {
    upload("aria2 downloads", Foreign::Aria2);
}

#[test]
fn transmission_downloads_from_a_seeding_bt_erl_that_calls_it() {
    // Transmission calls nobody on loopback: a seed that only waits to be called would never serve it.
    if !foreign::all_installed(
        "Transmission downloads",
        &[Foreign::Mktorrent, Foreign::Opentracker, Foreign::Transmission],
    ) {
        return;
    }
    let swarm = Swarm::new(Maker::Mktorrent, Shape::OneFile);
    let out = swarm.path("out");
    let _leech = foreign::member(
        Foreign::Transmission,
        &swarm.torrent,
        &out,
        &swarm.path("scratch"),
        foreign::Habits::default(),
    );
    support::until("Transmission to announce itself", LIMIT, || (swarm.tracker.scrape() == (0, 1)).then_some(()));
    let _seed = BtErl::run(&swarm.path("home"), &swarm.torrent, &swarm.path("seed")).args(["--seed"]).start();
    swarm.tracker.until_seeds(2);
    support::until("everything to be written", LIMIT, || swarm.content.difference(&out).is_none().then_some(()));
}

#[test]
fn bt_erl_downloads_from_a_seeding_bt_erl() {
    if !foreign::all_installed("bt-erl downloads from bt-erl", &[Foreign::Mktorrent, Foreign::Opentracker]) {
        return;
    }
    let swarm = Swarm::new(Maker::Mktorrent, Shape::ManyFiles);
    let _seed = BtErl::run(&swarm.path("home"), &swarm.torrent, &swarm.path("seed")).args(["--seed"]).start();
    swarm.tracker.until_seeds(1);
    let out = swarm.path("out");
    BtErl::run(&swarm.path("home of the leech"), &swarm.torrent, &out).output(LIMIT).expect_code(0);
    assert_eq!(swarm.content.difference(&out), None);
}

/// The tests' own seed, called directly: needs nothing that is not in this repository.
fn download_from_our_own_seed(content: &Content, piece_bytes: u64) {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::of(content, piece_bytes, None);
    let file = folder.path().join("own.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let seeds = [(); 2].map(|()| Seed::start(&torrent, content, support::peer::Wire::serve_all));
    let out = folder.path().join("out");
    let run = BtErl::run(folder.path(), &file, &out).peers(seeds.each_ref().map(|seed| seed.addr));
    let ended = run.output(LIMIT);
    ended.expect_code(0);
    assert_eq!(content.difference(&out), None);
    assert_eq!(ended.finished().len(), torrent.pieces as usize, "each piece is reported as finished");
}

#[test]
fn one_file_comes_from_our_own_seeds() {
    download_from_our_own_seed(&Content::single("own.bin", (24 << 20) + 1, 21), 1 << 20);
}

#[test]
fn many_files_come_from_our_own_seeds() {
    download_from_our_own_seed(&Content::many("own", 1_200, 16 << 20, 22), 1 << 16);
}

#[test]
fn the_info_hash_of_what_we_create_is_the_one_that_mktorrent_makes() {
    if !foreign::all_installed("the_info_hash_of_what_we_create_is_the_one_that_mktorrent_makes", &[Foreign::Mktorrent])
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["z", "a/x", "a.b/y", "b.d/q", "A", "a-b", ".dot", ".hidden/f", "é", "a/é z", "ab"];
    let files: Vec<(&str, u64)> = names.iter().zip(1..).map(|(name, n)| (*name, 7_919 * n)).collect();
    for content in [Content::tree("odd", &files, 3), Content::single("one.bin", 5_000_001, 4)] {
        content.write_below(folder.path());
        let source = folder.path().join(String::from_utf8(content.name.clone()).unwrap());
        let (theirs, ours) = (folder.path().join("theirs.torrent"), folder.path().join("ours.torrent"));
        for made in [&theirs, &ours] {
            let _ = std::fs::remove_file(made);
        }
        foreign::mktorrent(&source, &theirs, 15, "http://t.example/announce");
        let (path, out) = (source.to_str().unwrap(), ours.to_str().unwrap());
        let args = ["create", path, "-o", out, "-l", "32KiB", "-a", "http://t.example/announce"];
        let made = std::process::Command::new(env!("CARGO_BIN_EXE_bt-erl")).args(args).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let hash = |file: &Path| bt_erl::Metainfo::parse(&std::fs::read(file).unwrap()).unwrap().info_hash;
        assert_eq!(hash(&ours), hash(&theirs), "{:?}", content.name);
    }
}
