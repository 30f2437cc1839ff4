//! `--part-names`: a file that is not whole is called NAME.part, whatever ends a run and whatever the next one is told; it gets its
//! name when its last piece is on disk, and never the name of another file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::collections::BTreeSet;

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Session, State, TorrentOptions};
use supervisors::faults::{Plan, Point};
use support::bt_erl::{BtErl, Ended};
use support::content::Content;
use support::peer::Seed;
use support::rig::{LIMIT, MIB, PIECE_BYTES, Rig, finish, flip};
use support::torrent::Torrent;
use support::{Dice, free_port, loopback, until};

const PARTS: [&str; 1] = ["--part-names"];

impl Rig {
    fn check(&self) -> Ended {
        let (torrent, out) = (self.torrent_file(), self.out());
        BtErl::new(
            self.home(),
            ["check".as_ref(), "--json".as_ref(), torrent.as_os_str(), "-d".as_ref(), out.as_os_str()],
        )
        .output(LIMIT)
    }

    /// The names in the torrent's folder, and in `sub` of it.
    fn names(&self) -> BTreeSet<String> {
        let list = |folder: &str| -> Vec<String> {
            let entries = std::fs::read_dir(self.file(folder)).map(|entries| entries.collect::<Vec<_>>());
            let files = entries.unwrap_or_default().into_iter().map(|entry| entry.unwrap());
            let files = files.filter(|entry| entry.file_type().unwrap().is_file());
            files.map(|entry| folder.to_owned() + entry.file_name().to_str().unwrap()).collect()
        };
        ["", "sub/"].into_iter().flat_map(list).collect()
    }

    /// Every file has one name at most, and only what is whole has its own.
    fn assert_named_right(&self) {
        let names = self.names();
        for (path, offset, length) in self.content.on_disk() {
            let own = path.strip_prefix("rig").unwrap().to_str().unwrap().to_owned();
            if names.contains(&own) {
                assert!(!names.contains(&format!("{own}.part")), "{own} is there twice: {names:?}");
                let whole = self.content.difference_at(&self.out(), &[(path, offset, length)]);
                assert_eq!(whole, None, "a file that is not whole has its own name");
            }
        }
    }

    fn assert_complete(&self, ended: &Ended) {
        self.assert_right(ended);
        let parts: Vec<_> = self.names().into_iter().filter(|name| name.ends_with(".part")).collect();
        assert!(parts.is_empty(), "{parts:?}");
    }
}

const FILES: [(&str, u64); 4] = [("first.bin", 3_000_001), ("empty", 0), ("sub/second.bin", 4_000_000), ("third", 77)];

#[test]
fn while_it_runs_no_file_that_is_not_whole_has_its_own_name() {
    let rig = Rig::new(&FILES, 24 * MIB);
    let mut run = rig.bt_erl().args(PARTS).start();
    finish(&mut run, 1);
    let (mut parts, pieces) = (BTreeSet::new(), rig.torrent.pieces);
    for _ in 1..pieces {
        parts.extend(rig.names().into_iter().filter(|name| name.ends_with(".part")));
        rig.assert_named_right();
        finish(&mut run, 1);
    }
    let expected = ["first.bin.part", "sub/second.bin.part", "third.part"].map(str::to_owned);
    assert!(parts.is_subset(&expected.into()) && parts.len() >= 2, "{parts:?}");
    rig.assert_complete(&run.end(LIMIT));
}

/// Lives that end with kill -9, with and without names of parts, with and without the memory of the last one.
#[test]
fn whatever_ends_a_run_and_whatever_the_next_is_told_no_finished_piece_is_lost() {
    let rig = Rig::new(&FILES, 12 * MIB);
    let mut dice = Dice(support::env_number("BT_ERL_SEED", 5));
    let mut finished = BTreeSet::new();
    for life in 0..10 {
        let parts = dice.between(0, 2) > 0;
        let before = rig.requests().len();
        let forgets = (dice.between(0, 1) > 0).then_some("--no-resume");
        let mut run = rig.bt_erl().args(PARTS.into_iter().filter(|_| parts)).args(forgets).start();
        finish(&mut run, dice.between(0, 9) as u32 + u32::from(parts));
        let ended = run.kill_9();
        if parts {
            rig.assert_named_right();
        }
        let again: Vec<_> =
            rig.requests()[before..].iter().filter(|request| finished.contains(&request.piece)).cloned().collect();
        assert!(again.is_empty(), "life {life} fetched finished pieces again: {again:?}");
        finished.extend(ended.finished());
    }
    let last = rig.bt_erl().args(PARTS).output(LIMIT);
    rig.assert_complete(&last);
}

/// The same names, and the same record, with the other option.
#[test]
fn a_record_is_believed_under_either_name() {
    for (first, second) in [(true, false), (false, true)] {
        let rig = Rig::new(&[("file.bin", 4 * MIB)], 8 * MIB);
        let run = |parts: bool| rig.bt_erl().args(PARTS.into_iter().filter(|_| parts));
        let mut running = run(first).start();
        finish(&mut running, 20);
        running.signal(rustix::process::Signal::INT);
        let finished = running.end(LIMIT).finished();
        let name = |parts: bool| if parts { "file.bin.part" } else { "file.bin" }.to_owned();
        assert_eq!(rig.names(), [name(first)].into());
        // Not hashed: a byte that was changed behind everybody's back stays unnoticed.
        let path = rig.file(&name(first));
        let modified = path.metadata().unwrap().modified().unwrap();
        let at = u64::from(*finished.first().unwrap()) * PIECE_BYTES;
        flip(&path, at);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        let mut running = run(second).start();
        finish(&mut running, 1);
        assert_eq!(rig.names(), [name(second)].into());
        running.end(LIMIT).expect_code(0);
        assert_eq!(rig.names(), ["file.bin".to_owned()].into());
        flip(&rig.file("file.bin"), at);
        assert_eq!(rig.content.difference(&rig.out()), None);
    }
}

#[test]
fn check_finds_parts_and_says_what_still_has_such_a_name() {
    let rig = Rig::new(&[("first.bin", MIB), ("second.bin", 2 * MIB), ("third.bin", MIB)], 64 * MIB);
    rig.content.write_below(&rig.out());
    std::fs::rename(rig.file("first.bin"), rig.file("first.bin.part")).unwrap();
    std::fs::rename(rig.file("second.bin"), rig.file("second.bin.part")).unwrap();
    flip(&rig.file("second.bin.part"), 5);
    let checked = rig.check();
    checked.expect_code(1);
    let report = checked.json();
    let states: Vec<_> = report["files"].as_array().unwrap().iter().map(|file| file["state"].clone()).collect();
    assert_eq!(states, ["part name", "partial", "whole"]);
    assert_eq!(report["right"], rig.torrent.pieces - 1);
    // Whatever names it wants: the next run gives them their own.
    rig.assert_complete(&rig.bt_erl().output(LIMIT));
    assert_eq!(rig.requests().iter().map(|request| request.piece).collect::<BTreeSet<_>>(), [16].into());
    rig.check().expect_code(0);
}

#[test]
fn a_name_that_somebody_took_meanwhile_is_not_taken_back() {
    let rig = Rig::new(&[("first.bin", MIB), ("second.bin", MIB)], 8 * MIB);
    let mut run = rig.bt_erl().args(PARTS).start();
    finish(&mut run, 1);
    std::fs::write(rig.file("second.bin"), b"mine").unwrap();
    let event = run.until_event("disk", LIMIT);
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("cannot rename") && message.contains("second.bin.part"), "{message}");
    assert!(message.contains("something else has the name that it should get; move that away"), "{message}");
    assert_eq!(std::fs::read(rig.file("second.bin")).unwrap(), b"mine");
    assert_eq!(rig.names(), ["first.bin", "second.bin", "second.bin.part"].map(str::to_owned).into());
    std::fs::remove_file(rig.file("second.bin")).unwrap();
    assert_eq!(run.until_event("disk", LIMIT)["state"], "works");
    rig.assert_complete(&run.end(LIMIT));
}

/// Browsers have such names, too.
#[test]
fn a_part_of_somebody_else_is_left_alone() {
    let rig = Rig::new(&[("first.bin", MIB), ("second.bin", MIB)], 8 * MIB);
    std::fs::create_dir(rig.file("")).unwrap();
    let theirs = vec![7; 300_000];
    std::fs::write(rig.file("first.bin.part"), &theirs).unwrap();
    // In two runs: the second finds what the first has made of it.
    let mut run = rig.bt_erl().args(PARTS).start();
    finish(&mut run, 20);
    let killed = run.kill_9();
    let before = rig.requests().len();
    let ended = rig.bt_erl().args(PARTS).output(LIMIT);
    rig.assert_right(&ended);
    assert!(killed.stderr.contains("first.bin.part holds no piece of this torrent and is left alone"));
    assert_eq!(rig.names(), ["first.bin", "first.bin.part", "second.bin"].map(str::to_owned).into());
    assert_eq!(std::fs::read(rig.file("first.bin.part")).unwrap(), theirs);
    assert!(rig.requested_since(before).is_disjoint(&killed.finished()));
}

/// Blocks of incomplete pieces are all that it holds: the pieces are larger than the memory.
#[test]
fn a_part_that_the_last_run_began_is_ours_even_if_no_piece_of_it_is_right() {
    let rig = Rig::of_pieces(4 * MIB, &[("file.bin", 10 * MIB)], 2 * MIB);
    let flags = ["--part-names", "--memory", "2MiB"];
    let run = rig.bt_erl().args(flags).start();
    let blocks = || std::fs::metadata(rig.file("file.bin.part")).is_ok_and(|file| file.len() > 0).then_some(());
    until("blocks on disk", LIMIT, blocks);
    run.signal(rustix::process::Signal::INT);
    assert_eq!(run.end(LIMIT).finished(), BTreeSet::new());
    let mut run = rig.bt_erl().args(flags).start();
    finish(&mut run, 1);
    assert_eq!(rig.names(), ["file.bin.part".to_owned()].into());
    rig.assert_complete(&run.end(LIMIT));
}

#[test]
fn a_disk_that_refuses_to_rename_holds_up_completion_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::tree("named", &[("refused.bin", MIB), ("other.bin", MIB)], 6);
    let torrent = Torrent::of(&content, PIECE_BYTES, None);
    let seed = Seed::start(&torrent, &content, |wire| wire.serve_paced(64 * MIB));
    let point = Point::new("disk.rename", "error(permission_denied)").unwrap().when("path", "**/refused.bin*");
    let armed = Plan::new([point]).arm();
    let config = Config { bind: BindTo::Loopback, ports: None, ..Config::default() };
    let session = block_on(Session::start(config)).unwrap();
    let options = TorrentOptions { peers: vec![seed.addr], part_names: true, ..TorrentOptions::new(folder.path()) };
    let added = block_on(session.add(Metainfo::parse(&torrent.bytes).unwrap(), options)).unwrap();
    let paused = until("the pause", LIMIT, || added.progress().paused);
    assert!(paused.message.contains("cannot rename") && paused.reason == "permission denied", "{paused:?}");
    let progress = added.progress();
    assert_eq!((progress.pieces_finished, progress.state), (torrent.pieces, State::Downloading));
    assert!(folder.path().join("named/other.bin").exists(), "the other has its name");
    drop(armed);
    until("completion", LIMIT, || (added.progress().state == State::Complete).then_some(()));
    block_on(session.stop());
    assert_eq!(content.difference(folder.path()), None);
}

#[test]
fn a_skipped_file_that_shares_a_piece_looks_like_the_part_that_it_is() {
    let rig =
        Rig::new(&[("left.bin", MIB + 5), ("middle.bin", MIB), ("right.bin", MIB + 5), ("far.bin", MIB)], 64 * MIB);
    let ended = rig.bt_erl().args(PARTS).args(["--only", "2"]).output(LIMIT);
    ended.expect_code(0);
    assert_eq!(rig.names(), ["left.bin.part", "middle.bin", "right.bin.part"].map(str::to_owned).into());
    let before = rig.requests().len();
    // The edges are not fetched again when the rest is wanted.
    rig.assert_complete(&rig.bt_erl().args(PARTS).output(LIMIT));
    let again = &rig.requests()[before..];
    assert!(again.iter().all(|request| !ended.finished().contains(&request.piece)), "{again:?}");
}

#[test]
fn names_that_are_taken_or_at_the_limit_get_other_parts() {
    let long = "ü".repeat(127) + "x";
    let rig = Rig::new(&[("x", MIB), ("x.part", MIB), (&long, MIB), ("y.part/z", MIB), ("y", MIB)], 24 * MIB);
    let mut run = rig.bt_erl().args(PARTS).args(["--sequential"]).start();
    let mut seen = BTreeSet::new();
    for _ in 0..rig.torrent.pieces {
        finish(&mut run, 1);
        seen.extend(rig.names());
    }
    run.end(LIMIT).expect_code(0);
    assert_eq!(rig.content.difference(&rig.out()), None);
    assert_eq!(rig.names(), ["x", "x.part", &long, "y"].map(str::to_owned).into());
    assert!(seen.contains("x (2).part") && seen.contains("x.part.part"), "{seen:?}");
}

/// Whoever has changed it: as soon as a check says that a file is not whole, its name says so, too.
#[test]
fn a_file_that_is_found_to_be_bad_later_is_called_a_part_until_it_is_mended() {
    let rig = Rig::new(&[("first.bin", 2 * MIB), ("second.bin", MIB)], MIB / 4);
    rig.content.write_below(&rig.out());
    flip(&rig.file("first.bin"), 5);
    let mut run = rig.bt_erl().args(PARTS).start();
    run.until_event("checked", LIMIT);
    assert_eq!(rig.names(), ["first.bin.part", "second.bin"].map(str::to_owned).into());
    rig.assert_complete(&run.end(LIMIT));
    assert!(rig.requests().iter().all(|request| request.piece == 0));
}

/// What is served while other files are not whole, and renamed meanwhile.
#[test]
fn files_are_served_before_and_after_they_get_their_names() {
    let files: Vec<(String, u64)> = (0..24).map(|n| (format!("file {n}.bin"), 3 * PIECE_BYTES + 11)).collect();
    let files: Vec<(&str, u64)> = files.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    let rig = Rig::new(&files, 6 * MIB);
    let port = free_port();
    let (home, torrent) = (rig.home(), rig.torrent_file());
    let second = home.join("second");
    // Few descriptors: files are closed and opened again all the time.
    let flags = ["--json", "--seed", "-p"].map(str::to_owned);
    let first = BtErl::new(home, ["run".as_ref(), torrent.as_os_str(), "-d".as_ref(), rig.out().as_os_str()]);
    let first = first.args(flags).args([port.to_string()]).args(PARTS).peers([rig.seed.addr]).open_files(120).start();
    let leech = BtErl::run(home, &torrent, &second).args(["--no-resume"]).args(PARTS).peers([loopback(port)]);
    leech.output(LIMIT).expect_code(0);
    assert_eq!(rig.content.difference(&second), None);
    first.signal(rustix::process::Signal::INT);
    first.end(LIMIT).expect_code(130);
    assert_eq!(rig.content.difference(&rig.out()), None);
}
