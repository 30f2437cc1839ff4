//! Somebody else takes away or changes what was downloaded, while the download goes on.

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Session, State, TorrentOptions};
use support::until;

use super::*;

const SLOW: u64 = 4 * MIB;

#[test]
fn a_folder_that_was_deleted_is_waited_for_and_not_made_again() {
    let rig = Rig::new(&[("file.bin", 4 * MIB)], SLOW);
    let mut run = rig.bt_erl().start();
    finish(&mut run, 10);
    let copy = rig.folder.path().join("copy");
    copy_folder(&rig.out(), &copy);
    let saved: BTreeSet<u32> = (0..rig.torrent.pieces)
        .filter(|piece| {
            let (offset, length) = (u64::from(*piece) * PIECE_BYTES, rig.torrent.piece_length(*piece));
            rig.content.read_back(&copy, offset, length) == rig.content.bytes(offset, length)
        })
        .collect();
    std::fs::remove_dir_all(rig.out()).unwrap();
    let sentence = disk(&mut run, "refuses");
    assert!(sentence.contains("out: the folder is not there any more; put it back"), "{sentence}");
    stays_paused(&mut run, 2);
    assert!(!rig.out().exists(), "it is not made again");
    // An empty folder is not what was there: a mount point, when the disk is out.
    std::fs::create_dir(rig.out()).unwrap();
    let before = stays_paused(&mut run, 3);
    assert_eq!(std::fs::read_dir(rig.out()).unwrap().count(), 0);
    assert!(before["finished"].as_u64() >= Some(10), "what was finished is not forgotten: {before}");
    std::fs::remove_dir(rig.out()).unwrap();
    let from = rig.requests().len();
    std::fs::rename(&copy, rig.out()).unwrap();
    assert!(disk(&mut run, "lost").contains("another folder is in its place"));
    let ended = run.end(LIMIT);
    rig.assert_right(&ended);
    let again: BTreeSet<u32> = rig.requests()[from..].iter().map(|request| request.piece).collect();
    assert!(saved.len() >= 10 && again.is_disjoint(&saved), "{again:?} were in the copy: {saved:?}");
}

#[test]
fn a_folder_that_is_renamed_takes_its_download_along() {
    let rig = Rig::new(&[("file.bin", 2 * MIB)], SLOW);
    let mut run = rig.bt_erl().start();
    finish(&mut run, 3);
    let other = rig.folder.path().join("other");
    std::fs::rename(rig.out(), &other).unwrap();
    let ended = run.end(LIMIT);
    ended.expect_code(0);
    assert_eq!(rig.content.difference(&other), None);
}

/// Two files, one of which suffers `damage`: it is whole again in the end, and nothing of the other is fetched again.
fn damaged(words: &str, damage: impl FnOnce(&Rig)) {
    let rig = Rig::new(&[("good.bin", 2 * MIB), ("bad.bin", 2 * MIB)], SLOW);
    let mut run = rig.bt_erl().start();
    finish(&mut run, 40);
    damage(&rig);
    let sentence = disk(&mut run, "lost");
    assert!(sentence.contains("bad.bin") && sentence.contains(words), "{sentence}");
    let ended = run.end(LIMIT);
    rig.assert_right(&ended);
    let events = ended.events();
    let at = events.iter().position(|event| event["event"] == "disk").unwrap();
    let finished: BTreeSet<u32> = events[..at].iter().filter_map(finished_piece).collect();
    let again: BTreeSet<u32> = rig.asked_again("good.bin").intersection(&finished).copied().collect();
    assert_eq!(again, BTreeSet::new(), "of the other file");
    assert!(!ended.stderr.contains("REPORT"), "this is nobody's crash: {}", ended.stderr);
}

#[test]
fn a_file_that_was_deleted_is_made_again() {
    damaged("deleted or replaced", |rig| std::fs::remove_file(rig.file("bad.bin")).unwrap());
}

#[test]
fn a_file_that_was_shortened_is_fetched_again_from_there() {
    damaged("shortened", |rig| {
        let file = std::fs::OpenOptions::new().write(true).open(rig.file("bad.bin")).unwrap();
        file.set_len(PIECE_BYTES).unwrap();
    });
}

#[test]
fn a_file_that_was_replaced_by_another_is_checked_and_mended() {
    damaged("deleted or replaced", |rig| {
        let other = rig.file("other");
        std::fs::write(&other, vec![1; 2 << 20]).unwrap();
        std::fs::rename(other, rig.file("bad.bin")).unwrap();
    });
}

/// The record of an earlier run says how it stands, and nothing has had to look into it yet.
#[test]
fn a_file_that_nobody_has_opened_yet_is_missed_when_it_is_taken_away() {
    let rig = Rig::new(&[("file.bin", 2 * MIB)], SLOW);
    let state_dir = Some(rig.home().join("state"));
    let config = Config { bind: BindTo::Loopback, ports: None, state_dir, ..Config::default() };
    let options = TorrentOptions::new(rig.out());
    let start = || {
        let session = block_on(Session::start(config.clone())).unwrap();
        let metainfo = Metainfo::parse(&rig.torrent.bytes).unwrap();
        let torrent = block_on(session.add(metainfo, options.clone())).unwrap();
        until("the check", LIMIT, || (torrent.progress().state == State::Downloading).then_some(()));
        assert_eq!(torrent.progress().pieces_finished, 8);
        (session, torrent)
    };
    std::fs::create_dir(rig.file("")).unwrap();
    std::fs::write(rig.file("file.bin"), rig.content.bytes(0, 8 * PIECE_BYTES as usize)).unwrap();
    let (session, _) = start();
    block_on(session.stop());
    let (session, torrent) = start();
    std::fs::remove_file(rig.file("file.bin")).unwrap();
    torrent.add_peer(rig.seed.addr);
    until("completion", LIMIT, || (torrent.progress().state == State::Complete).then_some(()));
    block_on(session.stop());
    assert_eq!(rig.content.difference(&rig.out()), None);
}

#[test]
fn a_seed_whose_file_was_shortened_tells_nobody_wrong_and_fetches_what_is_missing() {
    let rig = Rig::new(&[("file.bin", MIB)], 64 * MIB);
    rig.content.write_below(&rig.out());
    let mut run = rig.bt_erl().args(["--seed"]).start();
    let started = run.until_event("started", LIMIT);
    run.until_event("complete", LIMIT);
    let file = std::fs::OpenOptions::new().write(true).open(rig.file("file.bin")).unwrap();
    file.set_len(MIB / 2).unwrap();
    let port = started["port"].as_u64().unwrap() as u16;
    let caller = support::caller::Caller::new(support::loopback(port), &rig.torrent, &rig.content);
    let mut wire = caller.call_with_nothing().unwrap();
    wire.message(2, &[]).unwrap();
    // The last piece is not there any more: the connection ends, because what was said to be here is not.
    assert!(wire.fetch(rig.torrent.pieces - 1..rig.torrent.pieces).is_err());
    assert!(disk(&mut run, "lost").contains("shortened"));
    until_progress(&mut run, |progress| progress["state"] == "complete");
    assert_eq!(rig.content.difference(&rig.out()), None);
    caller.leech().unwrap();
    drop(run);
}

#[test]
fn many_files_that_are_taken_away_at_once_are_one_loss() {
    let files: Vec<(String, u64)> = (0..60).map(|n| (format!("{n:02}"), PIECE_BYTES)).collect();
    let files: Vec<(&str, u64)> = files.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    let rig = Rig::new(&files, SLOW);
    let mut run = rig.bt_erl().start();
    finish(&mut run, 40);
    std::fs::remove_dir_all(rig.file("")).unwrap();
    let ended = run.end(LIMIT);
    rig.assert_right(&ended);
    let losses = ended.events().iter().filter(|event| event["event"] == "disk" && event["state"] == "lost").count();
    assert!((1..=3).contains(&losses), "{losses} losses");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
