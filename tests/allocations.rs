//! A block that comes or goes costs no allocation: counted over a download and over an upload, one of them twice as long as the other.
//!
//! The other side is a `bt-erl` of its own, in another OS process, so nothing of it is counted. What is spent per piece, per run, at the start and
//! on timers is counted; it has to be little for each block.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, TorrentOptions};
use support::bt_erl::BtErl;
use support::content::Content;
use support::loopback;
use support::torrent::Torrent;

#[global_allocator]
static COUNTING: dhat::Alloc = dhat::Alloc;

const LIMIT: Duration = Duration::from_secs(60);
const PIECE_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: u64 = 1 << 14;
/// Few enough that all block buffers there will ever be are made before anything is counted.
const MEMORY_BYTES: u64 = 8 << 20;
/// Allocations for each additional block, at most: with a single one per block it would be more than this, because runs, reads and pieces
/// cost a few each. What was measured is in docs/performance.md.
const MOST_PER_BLOCK: f64 = 0.75;

/// Content of `blocks`, below `folder` as content and as a torrent file.
struct Rig {
    blocks: u64,
    content: Content,
    torrent: Torrent,
    folder: tempfile::TempDir,
}

impl Rig {
    fn new(blocks: u64) -> Rig {
        let content = Content::single("all", blocks * BLOCK_BYTES, blocks);
        let torrent = Torrent::of(&content, PIECE_BYTES, None);
        let folder = tempfile::tempdir().unwrap();
        content.write_below(&folder.path().join("seed"));
        std::fs::write(folder.path().join("t.torrent"), &torrent.bytes).unwrap();
        Rig { blocks, content, torrent, folder }
    }

    fn dir(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn other(&self, dir: &str) -> BtErl {
        BtErl::run(self.folder.path(), &self.dir("t.torrent"), &self.dir(dir)).args(["--no-resume"])
    }

    async fn add(&self, session: &Session, dir: &Path, peer: Option<u16>) -> bt_erl::Torrent {
        let options = TorrentOptions { peers: peer.map(loopback).into_iter().collect(), ..TorrentOptions::new(dir) };
        let torrent = session.add(Metainfo::parse(&self.torrent.bytes).unwrap(), options).await.unwrap();
        assert_eq!(torrent.wait().await, Outcome::Complete);
        torrent
    }

    /// Allocations of a session that downloads everything from another process.
    fn download(&self, session: &Session) -> u64 {
        let mut seed = self.other("seed").args(["--seed", "--no-tracker"]).start();
        let port = seed.until_event("started", LIMIT)["port"].as_u64().unwrap() as u16;
        seed.until_event("complete", LIMIT);
        let before = allocations();
        block_on(self.add(session, &self.dir("leech"), Some(port)));
        let spent = allocations() - before;
        assert_eq!(self.content.difference(&self.dir("leech")), None);
        spent
    }

    /// Allocations of a session that seeds everything to another process.
    fn upload(&self, session: &Session) -> u64 {
        let torrent = block_on(self.add(session, &self.dir("seed"), None));
        let before = allocations();
        let leech = self.other("other leech").peers([loopback(session.local_port().unwrap())]);
        leech.output(LIMIT).expect_code(0);
        assert!(torrent.progress().uploaded >= self.blocks * BLOCK_BYTES);
        allocations() - before
    }
}

/// Blocks of memory that were ever asked for.
fn allocations() -> u64 {
    dhat::HeapStats::get().total_blocks
}

/// A session, three transfers through it, and what one more block of the last costs in allocations. The first makes all buffers.
fn per_block(way: &str, transfer: fn(&Rig, &Session) -> u64) -> f64 {
    let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), memory_bytes: MEMORY_BYTES, ..Config::default() };
    let session = block_on(Session::start(config)).unwrap();
    let [_, (blocks, few), (more_blocks, many)] =
        [2048, 2049, 4096].map(Rig::new).map(|rig| (rig.blocks, transfer(&rig, &session)));
    block_on(session.stop());
    let each = (many as f64 - few as f64) / (more_blocks - blocks) as f64;
    println!("{way}: {few} allocations for {blocks} blocks, {many} for {more_blocks}, {each:.3} for each more block");
    each
}

#[test]
fn a_block_costs_no_allocation_whichever_way_it_goes() {
    let _counting = dhat::Profiler::builder().testing().build();
    let (down, up) = (per_block("down", Rig::download), per_block("up", Rig::upload));
    assert!(down < MOST_PER_BLOCK && up < MOST_PER_BLOCK, "down {down:.2}, up {up:.2}");
}
