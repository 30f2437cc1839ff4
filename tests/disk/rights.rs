//! Limits and rights that the operating system holds against us.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::*;

fn set_limit(run: &Running, resource: Resource, current: Option<u64>) {
    // A child has the hard limits that we have.
    let maximum = getrlimit(resource).maximum;
    let pid = Pid::from_raw(run.guard.pid() as i32);
    prlimit(pid, resource, Rlimit { current: current.or(maximum), maximum }).expect("a limit of a child");
}

#[test]
fn a_file_that_grows_beyond_the_limit_waits_until_the_limit_is_raised() {
    let rig = Rig::new(&[("file.bin", 4 * MIB)], SLOW);
    let mut run = rig.bt_erl().args(["--sequential"]).start();
    run.until_event("started", LIMIT);
    set_limit(&run, Resource::Fsize, Some(MIB));
    let sentence = disk(&mut run, "refuses");
    assert!(sentence.contains("larger than it may be") && sentence.contains("ulimit -f"), "{sentence}");
    let paused = stays_paused(&mut run, 2);
    assert!((1..=16).contains(&paused["finished"].as_u64().unwrap()), "a MiB of pieces of 64 KiB fits: {paused}");
    set_limit(&run, Resource::Fsize, None);
    disk(&mut run, "works");
    rig.assert_nothing_was_lost(&run.end(LIMIT));
}

const SLOW: u64 = 4 * MIB;

#[test]
fn when_no_descriptor_is_left_it_waits_and_goes_on() {
    let files: Vec<(String, u64)> = (0..200).map(|n| (format!("{n:03}"), 30_000)).collect();
    let files: Vec<(&str, u64)> = files.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    let rig = Rig::new(&files, SLOW);
    let mut run = rig.bt_erl().start();
    finish(&mut run, 2);
    // Fewer than are open now: every file that is opened from here on is one too many.
    set_limit(&run, Resource::Nofile, Some(8));
    let sentence = disk(&mut run, "refuses");
    assert!(sentence.contains("too many open files; raise the limit (ulimit -n)"), "{sentence}");
    stays_paused(&mut run, 2);
    set_limit(&run, Resource::Nofile, None);
    disk(&mut run, "works");
    rig.assert_nothing_was_lost(&run.end(LIMIT));
}

#[test]
fn forty_descriptors_are_enough_for_many_peers_and_files() {
    let files: Vec<(String, u64)> = (0..300).map(|n| (format!("{n:03}"), 20_000)).collect();
    let files: Vec<(&str, u64)> = files.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    let rig = Rig::new(&files, 64 * MIB);
    let seeds: Vec<Seed> =
        (0..40).map(|_| Seed::start(&rig.torrent, &rig.content, |wire| wire.serve_paced(MIB))).collect();
    let more = seeds.iter().flat_map(|seed| ["-a".to_owned(), seed.addr.to_string()]);
    let bt_erl = rig.bt_erl().args(["--exit-when-stalled", "20s"]).args(more);
    rig.assert_right(&bt_erl.open_files(40).output(LIMIT));
}

#[test]
fn a_right_that_was_taken_away_is_waited_for() {
    const NOBODY: u32 = 65_534;
    let rig = Rig::new(&[("first.bin", 2 * MIB), ("sub/second.bin", MIB)], SLOW);
    std::fs::create_dir_all(rig.file("sub")).unwrap();
    // Root may write everywhere, so as root the program runs as somebody else.
    let root = std::fs::metadata(rig.folder.path()).unwrap().uid() == 0;
    let mut bt_erl = rig.bt_erl().args(["--sequential", "--no-resume"]);
    if root {
        std::fs::set_permissions(rig.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for path in [rig.out(), rig.file(""), rig.file("sub")] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        bt_erl = bt_erl.run_as(NOBODY, rig.folder.path());
    }
    let mut run = bt_erl.start();
    finish(&mut run, 1);
    std::fs::set_permissions(rig.file("sub"), PermissionsExt::from_mode(0o555)).unwrap();
    let sentence = disk(&mut run, "refuses");
    assert!(sentence.contains("second.bin: permission denied; choose another folder"), "{sentence}");
    stays_paused(&mut run, 2);
    std::fs::set_permissions(rig.file("sub"), PermissionsExt::from_mode(0o755)).unwrap();
    disk(&mut run, "works");
    rig.assert_nothing_was_lost(&run.end(LIMIT));
}
