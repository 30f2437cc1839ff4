//! What one run tells the next: finished pieces are believed where the files are as they were, and hashed again where they are not.
//!
//! That a piece was not hashed is seen by changing it behind everybody's back, its file's length and time of change left as they were.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Progress, Session, State, TorrentOptions};
use support::content::Content;
use support::peer::Seed;
use support::until;

const LIMIT: Duration = Duration::from_secs(60);
const PIECE_BYTES: u64 = 1 << 16;

/// A torrent of two files, its seed, and the folders of whoever downloads it.
struct Rig {
    folder: tempfile::TempDir,
    content: Content,
    torrent: support::torrent::Torrent,
}

impl Rig {
    fn new() -> Rig {
        // The first file ends with a piece.
        let content = Content::tree("two", &[("first", 16 * PIECE_BYTES), ("second", 2_000_000)], 11);
        let torrent = support::torrent::Torrent::of(&content, PIECE_BYTES, None);
        Rig { folder: tempfile::tempdir().unwrap(), content, torrent }
    }

    fn seed(&self, rate: u64) -> Seed {
        Seed::start(&self.torrent, &self.content, move |wire| wire.serve_paced(rate))
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.out().join("two").join(name)
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("state").join(format!("{}.resume", support::torrent::hex(&self.torrent.info_hash)))
    }

    /// Runs the torrent until `enough`, stops, and tells how it stood before it was stopped and what it received.
    fn run(&self, peers: Vec<SocketAddr>, enough: impl Fn(&Progress) -> bool) -> Progress {
        let state_dir = Some(self.folder.path().join("state"));
        let config = Config { bind: BindTo::Loopback, ports: None, state_dir, ..Config::default() };
        let session = block_on(Session::start(config)).unwrap();
        let options = TorrentOptions { peers, ..TorrentOptions::new(self.out()) };
        let torrent = block_on(session.add(Metainfo::parse(&self.torrent.bytes).unwrap(), options)).unwrap();
        let progress = until("progress", LIMIT, || Some(torrent.progress()).filter(&enough));
        block_on(session.stop());
        progress
    }

    /// Downloads everything and stops.
    fn complete(&self) {
        let seed = self.seed(1 << 30);
        self.run(vec![seed.addr], |progress| progress.state == State::Complete);
        assert_eq!(self.content.difference(&self.out()), None);
    }

    /// The pieces that a new run takes for finished, without anybody to fetch from.
    fn finished_at_start(&self) -> u32 {
        self.run(Vec::new(), |progress| progress.state != State::Checking).pieces_finished
    }
}

/// Changes a byte of a file; as if nothing had happened, or not.
fn change(path: &Path, at: u64, unseen: bool) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    set_time(&file, if unseen { before } else { before + Duration::from_secs(1) });
}

fn set_time(file: &File, time: SystemTime) {
    file.set_modified(time).unwrap();
}

fn pieces(rig: &Rig) -> u32 {
    rig.content.total().div_ceil(PIECE_BYTES) as u32
}

#[test]
fn files_that_are_as_they_were_are_not_hashed_again() {
    let rig = Rig::new();
    rig.complete();
    change(&rig.file("first"), 5, true);
    assert_eq!(rig.finished_at_start(), pieces(&rig), "it was hashed");
    std::fs::remove_file(rig.record()).unwrap();
    assert_eq!(rig.finished_at_start(), pieces(&rig) - 1, "without a record it has to be");
}

#[test]
fn a_file_that_was_changed_is_hashed_again_and_no_other() {
    let rig = Rig::new();
    rig.complete();
    change(&rig.file("second"), 5, false);
    change(&rig.file("first"), 5, true);
    assert_eq!(rig.finished_at_start(), pieces(&rig) - 1);
    let seed = rig.seed(1 << 30);
    let progress = rig.run(vec![seed.addr], |progress| progress.state == State::Complete);
    assert!(progress.downloaded >= PIECE_BYTES && progress.downloaded < 2 * PIECE_BYTES, "{progress:?}");
}

#[test]
fn a_file_that_was_shortened_or_taken_away_is_fetched_again() {
    let rig = Rig::new();
    rig.complete();
    OpenOptions::new().write(true).open(rig.file("second")).unwrap().set_len(100).unwrap();
    assert_eq!(rig.finished_at_start(), 16);
    std::fs::remove_file(rig.file("first")).unwrap();
    assert_eq!(rig.finished_at_start(), 0);
    rig.complete();
}

#[test]
fn a_download_that_was_stopped_goes_on_with_every_finished_piece_and_the_totals() {
    let rig = Rig::new();
    let seed = rig.seed(4 << 20);
    let before = rig.run(vec![seed.addr], |progress| progress.pieces_finished >= 10);
    assert!(rig.finished_at_start() >= before.pieces_finished, "a finished piece was lost");
    let after = rig.run(vec![seed.addr], |progress| progress.state == State::Complete);
    assert_eq!(rig.content.difference(&rig.out()), None);
    assert!(after.downloaded_before >= before.downloaded, "{after:?}");
    // At most the blocks of pieces that were not complete are received twice, a run of each.
    let all = after.downloaded + after.downloaded_before;
    assert!(all >= rig.content.total() && all < rig.content.total() + (2 << 20), "{after:?}");
}

#[test]
fn a_record_that_is_damaged_or_foreign_costs_a_full_check_and_is_kept_aside() {
    let rig = Rig::new();
    rig.complete();
    let good = std::fs::read(rig.record()).unwrap();
    let bad: [&[u8]; 4] = [b"", &good[..good.len() / 2], b"d4:spam4:eggse", &vec![b'x'; 1 << 20]];
    change(&rig.file("first"), 5, true);
    for bytes in bad {
        std::fs::write(rig.record(), bytes).unwrap();
        assert_eq!(rig.finished_at_start(), pieces(&rig) - 1, "all was to be hashed");
        assert!(rig.record().with_extension("resume.bad").exists());
    }
}

#[test]
fn nothing_is_written_when_nothing_has_changed() {
    let rig = Rig::new();
    rig.complete();
    let written = || std::fs::metadata(rig.record()).unwrap().modified().unwrap();
    let before = written();
    assert_eq!(rig.finished_at_start(), pieces(&rig));
    assert_eq!(written(), before);
}

/// While the torrent was seeded; and the totals make another record.
#[test]
fn a_file_that_somebody_changed_during_the_run_is_not_on_record_as_it_is_now() {
    let rig = Rig::new();
    rig.content.write_below(&rig.out());
    for name in ["first", "second"] {
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        set_time(&OpenOptions::new().write(true).open(rig.file(name)).unwrap(), long_ago);
    }
    let state_dir = Some(rig.folder.path().join("state"));
    let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), state_dir, ..Config::default() };
    let session = block_on(Session::start(config)).unwrap();
    let metainfo = Metainfo::parse(&rig.torrent.bytes).unwrap();
    let torrent = block_on(session.add(metainfo, TorrentOptions::new(rig.out()))).unwrap();
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    change(&rig.file("second"), 5, false);
    let port = session.local_port().expect("it listens");
    let caller = support::caller::Caller::new(support::loopback(port), &rig.torrent, &rig.content);
    let mut wire = caller.call_with_nothing().unwrap();
    wire.message(2, &[]).unwrap();
    wire.fetch(0..3).unwrap();
    block_on(session.stop());
    assert_eq!(rig.finished_at_start(), pieces(&rig) - 1, "it was believed");
}

#[test]
fn what_is_complete_is_on_record_while_the_session_runs_on() {
    let rig = Rig::new();
    let seed = rig.seed(1 << 30);
    rig.run(vec![seed.addr], |progress| {
        // A copy of the record, as it would be left if the program were killed now.
        progress.state == State::Complete && std::fs::copy(rig.record(), rig.folder.path().join("copy")).is_ok()
    });
    std::fs::copy(rig.folder.path().join("copy"), rig.record()).unwrap();
    change(&rig.file("first"), 5, true);
    assert_eq!(rig.finished_at_start(), pieces(&rig));
}
