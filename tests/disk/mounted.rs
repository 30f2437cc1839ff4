//! On small file systems of the test's own: full ones, read-only ones.

use support::mount::Mount;

use super::*;

#[test]
fn a_full_disk_is_waited_for_and_room_is_noticed_soon() {
    let rig = Rig::new(&[("file.bin", 6 * MIB)], 64 * MIB);
    let Some(mount) = Mount::at("a full disk", &rig.out(), 2 * MIB) else { return };
    let mut run = rig.bt_erl().start();
    assert!(disk(&mut run, "refuses").contains("file.bin: no space left; free some space"));
    // By now the next try is seconds away; room is noticed all the same.
    let paused = stays_paused(&mut run, 4);
    assert!(paused["finished"].as_u64() > Some(0));
    mount.again(&format!("size={}", 20 * MIB));
    let grown = Instant::now();
    assert!(disk(&mut run, "works").contains("going on"));
    assert!(grown.elapsed() < Duration::from_secs(3), "{:?}", grown.elapsed());
    let ended = run.end(LIMIT);
    rig.assert_nothing_was_lost(&ended);
    assert_eq!(said(&ended, "no space left"), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("REPORT"), "no process crashed: {}", ended.stderr);
}

#[test]
fn a_full_disk_is_waited_for_with_pieces_that_are_larger_than_the_memory() {
    let rig = Rig::of_pieces(4 * MIB, &[("file.bin", 14 * MIB)], 64 * MIB);
    let Some(mount) = Mount::at("a full disk and large pieces", &rig.out(), 6 * MIB) else { return };
    let mut run = rig.bt_erl().args(["--memory", "2MiB"]).start();
    assert!(disk(&mut run, "refuses").contains("file.bin: no space left; free some space"));
    stays_paused(&mut run, 2);
    mount.again(&format!("size={}", 40 * MIB));
    assert!(disk(&mut run, "works").contains("going on"));
    let ended = run.end(LIMIT);
    rig.assert_nothing_was_lost(&ended);
    assert!(!ended.stderr.contains("REPORT"), "no process crashed: {}", ended.stderr);
}

#[test]
fn a_full_disk_ends_a_run_that_was_told_not_to_wait_with_the_reason() {
    let rig = Rig::new(&[("file.bin", 6 * MIB)], 64 * MIB);
    let Some(_mount) = Mount::at("a full disk and --exit-when-stalled", &rig.out(), 2 * MIB) else { return };
    let ended = rig.bt_erl().args(["--exit-when-stalled", "2s"]).output(LIMIT);
    ended.expect_code(1);
    assert!(ended.last("error")["message"].as_str().unwrap().contains("no space left"), "{ended:?}");
}

#[test]
fn what_was_finished_before_a_full_disk_and_kill_9_is_not_fetched_again() {
    let rig = Rig::new(&[("file.bin", 6 * MIB)], 64 * MIB);
    let Some(mount) = Mount::at("a full disk and kill -9", &rig.out(), 2 * MIB) else { return };
    let mut run = rig.bt_erl().start();
    disk(&mut run, "refuses");
    stays_paused(&mut run, 1);
    let finished = run.kill_9().finished();
    mount.again(&format!("size={}", 20 * MIB));
    let before = rig.requests().len();
    rig.assert_right(&rig.bt_erl().output(LIMIT));
    let again: BTreeSet<u32> = rig.requests()[before..].iter().map(|request| request.piece).collect();
    assert!(!finished.is_empty() && again.is_disjoint(&finished), "{again:?}, {finished:?}");
}

#[test]
fn a_file_system_that_became_read_only_is_waited_for() {
    let rig = Rig::new(&[("first.bin", 2 * MIB), ("sub/second.bin", MIB)], 4 * MIB);
    let Some(mount) = Mount::at("a read-only file system", &rig.file("sub"), 20 * MIB) else { return };
    let mut run = rig.bt_erl().args(["--sequential"]).start();
    finish(&mut run, 1);
    mount.again("ro");
    let sentence = disk(&mut run, "refuses");
    assert!(sentence.contains("second.bin: the file system is read-only; choose"), "{sentence}");
    stays_paused(&mut run, 2);
    mount.again("rw");
    disk(&mut run, "works");
    let ended = run.end(LIMIT);
    rig.assert_nothing_was_lost(&ended);
    assert_eq!(said(&ended, "read-only"), 1, "{}", ended.stderr);
}

#[test]
fn a_file_that_cannot_be_cut_is_not_called_complete_before_it_is() {
    let rig = Rig::new(&[("file.bin", MIB)], 64 * MIB);
    let Some(mount) = Mount::at("a file that cannot be cut", &rig.out(), 20 * MIB) else { return };
    rig.content.write_below(&rig.out());
    let file = std::fs::OpenOptions::new().append(true).open(rig.file("file.bin")).unwrap();
    file.set_len(MIB + 10).unwrap();
    drop(file);
    mount.again("ro");
    let mut run = rig.bt_erl().start();
    assert!(disk(&mut run, "refuses").contains("read-only"));
    assert_eq!(std::fs::metadata(rig.file("file.bin")).unwrap().len(), MIB + 10);
    mount.again("rw");
    disk(&mut run, "works");
    rig.assert_nothing_was_lost(&run.end(LIMIT));
    assert!(rig.requests().is_empty());
}

#[test]
fn a_record_that_cannot_be_written_is_said_once_and_stops_nothing() {
    let rig = Rig::new(&[("file.bin", MIB)], 64 * MIB);
    let state = rig.folder.path().join("state");
    let Some(mount) = Mount::at("a record that cannot be written", &state, MIB) else { return };
    mount.again("ro");
    let ended = rig.bt_erl().args(["--state-dir".as_ref(), state.as_os_str()]).output(LIMIT);
    rig.assert_nothing_was_lost(&ended);
    assert_eq!(said(&ended, "the next run will have to check what is finished"), 1, "{}", ended.stderr);
    assert_eq!(said(&ended, "read-only"), 1, "{}", ended.stderr);
}
