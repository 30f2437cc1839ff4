//! A torrent, one seed of it that gives so many bytes a second, and the program that downloads it into a folder.
//!
//! What a test needs beyond that it adds in an `impl Rig` of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::bt_erl::{BtErl, Ended, Running, finished_piece};
use super::content::Content;
use super::peer::{Request, Seed};
use super::torrent::Torrent;

pub(crate) const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const PIECE_BYTES: u64 = 1 << 16;
pub(crate) const MIB: u64 = 1 << 20;

/// Name of the torrent, and of the folder that it makes.
const NAME: &str = "rig";

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) content: Content,
    pub(crate) torrent: Torrent,
    pub(crate) seed: Seed,
}

impl Rig {
    pub(crate) fn new(files: &[(&str, u64)], rate: u64) -> Rig {
        Rig::of_pieces(PIECE_BYTES, files, rate)
    }

    pub(crate) fn of_pieces(piece_bytes: u64, files: &[(&str, u64)], rate: u64) -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::tree(NAME, files, 17);
        let torrent = Torrent::of(&content, piece_bytes, None);
        let seed = Seed::start(&torrent, &content, move |wire| wire.serve_paced(rate));
        let rig = Rig { folder, content, torrent, seed };
        std::fs::write(rig.torrent_file(), &rig.torrent.bytes).expect("a torrent file");
        std::fs::create_dir(rig.out()).expect("a folder");
        rig
    }

    /// Home of the program that runs.
    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn torrent_file(&self) -> PathBuf {
        self.home().join("rig.torrent")
    }

    /// The download folder.
    pub(crate) fn out(&self) -> PathBuf {
        self.home().join("out")
    }

    /// A file of the torrent.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.out().join(NAME).join(name)
    }

    pub(crate) fn bt_erl(&self) -> BtErl {
        BtErl::run(self.home(), &self.torrent_file(), &self.out()).peers([self.seed.addr])
    }

    /// What was asked for, doubles included.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seed.log.seen().requests
    }

    /// The pieces that were asked for since the `from`th request.
    pub(crate) fn requested_since(&self, from: usize) -> BTreeSet<u32> {
        self.requests()[from..].iter().map(|request| request.piece).collect()
    }

    pub(crate) fn assert_right(&self, ended: &Ended) {
        ended.expect_code(0);
        assert_eq!(self.content.difference(&self.out()), None);
    }

    /// It ended well, the content is right, and no block was asked for twice.
    pub(crate) fn assert_nothing_was_lost(&self, ended: &Ended) {
        self.assert_right(ended);
        let requests = self.requests();
        let once: BTreeSet<_> = requests.iter().collect();
        assert_eq!(requests.len(), once.len(), "blocks were asked for again");
    }
}

/// Waits until so many more pieces are finished.
pub(crate) fn finish(run: &mut Running, count: u32) {
    let deadline = Instant::now() + LIMIT;
    for _ in 0..count {
        while finished_piece(&run.event(deadline).expect("an event before the end")).is_none() {}
    }
}

/// Turns over a bit of the byte at `at`.
pub(crate) fn flip(path: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], at).expect("a byte");
}
