//! The program by its command line: exit codes, one-sentence errors, signals, readers that go away, and the demo.
//!
//! What `docs/cli.md` promises beyond flags and JSON lines (those are compared with it inside of `src/cli`). Loopback only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use support::bt_erl::{BtErl, Ended, Running};
use support::content::Content;
use support::peer::Seed;
use support::torrent::Torrent;
use support::{free_port, loopback};

const LIMIT: Duration = Duration::from_secs(60);
/// What Ctrl-C may take, and a little for a machine that is busy with other tests.
const CLEAN_END: Duration = Duration::from_secs(7);

/// A folder with a torrent file of one MiB, announced at `announce`.
fn torrent(announce: Option<&str>) -> (tempfile::TempDir, PathBuf, Content) {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::single("content", 1 << 20, 7);
    let path = folder.path().join("x.torrent");
    std::fs::write(&path, Torrent::of(&content, 16 << 10, announce).bytes).unwrap();
    (folder, path, content)
}

/// `bt-erl ARGS` in `home`.
fn bt_erl(home: &Path, args: &[&str]) -> Ended {
    BtErl::new(home, args).output(LIMIT)
}

/// It ended with `code` and said so in one sentence, in which all of `words` stand.
#[track_caller]
fn one_sentence(ended: &Ended, code: i32, words: &[&str]) {
    ended.expect_code(code);
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    for word in words {
        assert!(errors[0].contains(word), "{word:?} is missing in: {}", errors[0]);
    }
}

#[test]
fn a_torrent_file_that_is_not_there_is_exit_code_1() {
    let home = tempfile::tempdir().unwrap();
    for command in ["run", "info"] {
        one_sentence(&bt_erl(home.path(), &[command, "/no/such.torrent"]), 1, &["/no/such.torrent", "check"]);
    }
}

#[test]
fn a_file_that_is_no_torrent_is_exit_code_65() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("x.torrent");
    std::fs::write(&path, "d4:infod6:lengthi-1eee").unwrap();
    for command in ["run", "info"] {
        one_sentence(&bt_erl(home.path(), &[command, path.to_str().unwrap()]), 65, &["x.torrent", "get it again"]);
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_code_2_and_help_is_not() {
    let home = tempfile::tempdir().unwrap();
    one_sentence(&bt_erl(home.path(), &["run"]), 2, &["required"]);
    one_sentence(&bt_erl(home.path(), &["run", "x", "--exit-when-stalled", "soon"]), 2, &["30s or 5m"]);
    one_sentence(&bt_erl(home.path(), &["run", "x", "-a", "host"]), 2, &["HOST:PORT"]);
    one_sentence(&bt_erl(home.path(), &["run", "x", "--upload-limit", "0"]), 2, &["--upload-limit", "--no-upload"]);
    one_sentence(&bt_erl(home.path(), &["run", "x", "--seed-ratio", "1:2"]), 2, &["--seed-ratio", "as in 1.5"]);
    one_sentence(&bt_erl(home.path(), &["run", "x", "--no-upload", "--seed"]), 2, &["cannot be used with"]);
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let ended = bt_erl(home.path(), args);
        ended.expect_code(0);
        assert!(ended.stdout.join("\n").contains("bt-erl"), "{args:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_exit_code_1_and_names_the_way_out() {
    let (home, torrent, _) = torrent(None);
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    one_sentence(&bt_erl(home.path(), &["run", torrent.to_str().unwrap(), "-p", &port]), 1, &[&port, "--port"]);
}

#[test]
fn a_download_that_gets_nothing_is_exit_code_69_when_asked_to_give_up() {
    let (home, torrent, _) = torrent(None);
    let nobody = loopback(free_port());
    let ended = BtErl::run(home.path(), &torrent, &home.path().join("out"))
        .peers([nobody])
        .args(["--exit-when-stalled", "1"])
        .output(LIMIT);
    one_sentence(&ended, 69, &["nothing arrived for 1 s", "-a"]);
    let last = ended.events().pop().unwrap();
    assert_eq!((&last["event"], &last["exit"]), (&"error".into(), &69.into()));
}

#[test]
fn content_that_is_there_already_is_said_so_and_ends_at_once() {
    let (home, torrent, content) = torrent(None);
    content.write_below(home.path());
    let ended =
        bt_erl(home.path(), &["run", torrent.to_str().unwrap(), "-d", home.path().to_str().unwrap(), "-p", "0"]);
    ended.expect_code(0);
    assert!(ended.stderr.contains("already complete"), "{}", ended.stderr);
    let quiet = bt_erl(home.path(), &["run", torrent.to_str().unwrap(), "-qp0", "-d", home.path().to_str().unwrap()]);
    quiet.expect_code(0);
    assert_eq!((quiet.stderr.as_str(), quiet.stdout.len()), ("", 0));
}

#[test]
fn a_signal_ends_a_run_in_time_although_its_tracker_never_answers() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        // Accepts, because of its backlog, and says nothing.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/announce", silent.local_addr().unwrap());
        let (home, torrent, _) = torrent(Some(&url));
        let mut run = BtErl::run(home.path(), &torrent, &home.path().join("out")).start();
        run.until_event("started", LIMIT);
        // The announce is under way.
        let _call = silent.accept().unwrap();
        let asked = std::time::Instant::now();
        run.signal(signal);
        let ended = run.end(LIMIT);
        ended.expect_code(code);
        assert!(asked.elapsed() < CLEAN_END, "it took {:?}", asked.elapsed());
        let last = ended.events().pop().unwrap();
        assert_eq!((&last["event"], &last["exit"]), (&"stopped".into(), &code.into()));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (home, torrent, _) = torrent(None);
    let program = env!("CARGO_BIN_EXE_bt-erl");
    for args in [&["info"][..], &["info", "--json"], &["run", "--json", "-p0", "--exit-when-stalled", "1"]] {
        let mut command = Command::new(program);
        command.args(args).arg(&torrent).current_dir(home.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked") && !stderr.contains("pipe"), "{args:?}: {stderr}");
        assert_eq!(output.status.code(), Some(if args[0] == "run" { 69 } else { 0 }), "{args:?}: {stderr}");
    }
}

#[test]
fn a_log_file_gets_every_line_with_its_time() {
    let (home, torrent, content) = torrent(None);
    content.write_below(home.path());
    let log = home.path().join("log");
    let args = [
        "run",
        torrent.to_str().unwrap(),
        "-d",
        home.path().to_str().unwrap(),
        "-qp0",
        "--log-file",
        log.to_str().unwrap(),
    ];
    bt_erl(home.path(), &args).expect_code(0);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.lines().count() > 3, "{log}");
    for line in log.lines() {
        let (time, level) = (line.get(..24).unwrap_or(line), line.get(25..30).unwrap_or(""));
        assert!(time.ends_with('Z') && time.contains('T'), "{line}");
        assert!(["ERROR", "WARN ", "INFO ", "DEBUG"].contains(&level), "{line}");
    }
}

/// `bt-erl run` on content that is there, with `flags`; returns when it can be called, with the address.
fn seed(home: &Path, torrent: &Path, flags: &[&str]) -> (Running, SocketAddr) {
    let mut seed = BtErl::run(home, torrent, home).peers([]).args(flags).start();
    let port = seed.until_event("started", LIMIT)["port"].as_u64().unwrap();
    seed.until_event("complete", LIMIT);
    (seed, loopback(u16::try_from(port).unwrap()))
}

#[test]
fn a_seed_ends_when_it_has_given_as_much_as_was_asked_for() {
    let (home, torrent, content) = torrent(None);
    content.write_below(home.path());
    let (seed, address) = seed(home.path(), &torrent, &["--seed-ratio", "2"]);
    for leech in ["first", "second"] {
        let dir = home.path().join(leech);
        BtErl::run(&dir, &torrent, &dir).peers([address]).output(LIMIT).expect_code(0);
        assert_eq!(content.difference(&dir), None);
    }
    let ended = seed.end(LIMIT);
    ended.expect_code(0);
    let last = ended.events().pop().unwrap();
    assert_eq!((&last["event"], &last["uploaded"]), (&"seeded".into(), &(2 << 20).into()), "{last}");
    assert_eq!((&last["ratio"], &last["peers"]), (&2.0.into(), &2.into()), "{last}");

    let again = BtErl::run(home.path(), &torrent, home.path()).peers([]).args(["--seed-ratio", "2"]).output(LIMIT);
    again.expect_code(0);
    let last = again.events().pop().unwrap();
    assert_eq!((&last["uploaded"], &last["ratio"]), (&0.into(), &2.0.into()), "what was given before counts: {last}");
}

#[test]
fn a_seed_ends_after_the_time_that_was_asked_for_although_nobody_came() {
    let (home, torrent, content) = torrent(None);
    content.write_below(home.path());
    let flags = ["--seed-time", "1s", "--seed-ratio", "9"];
    let ended = seed(home.path(), &torrent, &flags).0.end(LIMIT);
    ended.expect_code(0);
    let last = ended.events().pop().unwrap();
    assert_eq!((&last["event"], &last["uploaded"]), (&"seeded".into(), &0.into()), "{last}");
    assert!(last["secs"].as_f64().unwrap() >= 1.0, "{last}");
}

#[test]
fn a_seed_that_is_interrupted_says_what_it_gave() {
    let (home, torrent, content) = torrent(None);
    content.write_below(home.path());
    let (seed, _) = seed(home.path(), &torrent, &["--seed"]);
    seed.signal(Signal::INT);
    let ended = seed.end(LIMIT);
    ended.expect_code(130);
    let events = ended.events();
    let last: Vec<&serde_json::Value> = events[events.len() - 2..].iter().map(|event| &event["event"]).collect();
    assert_eq!(last, ["seeded", "stopped"]);
}

#[test]
fn the_figures_of_every_peer_are_in_the_json_lines_and_in_a_table_on_demand() {
    let (home, path, content) = torrent(None);
    let made = Torrent::of(&content, 16 << 10, None);
    let silent = Seed::start(&made, &content, |wire| wire.greet().and_then(|()| wire.stay_silent()));
    let mut run = BtErl::run(home.path(), &path, &home.path().join("out")).peers([silent.addr]).start();
    let peer = loop {
        let event = run.until_event("peers", LIMIT);
        if let Some(peer) = event["peers"].as_array().unwrap().first() {
            break peer.clone();
        }
    };
    assert_eq!((&peer["address"], &peer["outgoing"]), (&silent.addr.to_string().into(), &true.into()), "{peer}");
    assert_eq!((&peer["downloaded"], &peer["peer_choked"]), (&0.into(), &true.into()), "{peer}");
    run.signal(Signal::USR1);
    support::until("the table of peers", LIMIT, || {
        run.guard.stderr().lines().any(|line| line.starts_with(&silent.addr.to_string())).then_some(())
    });
    run.signal(Signal::INT);
    run.end(LIMIT).expect_code(130);
}

#[test]
fn only_the_chosen_files_come_and_the_rest_when_it_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let files = [("disc 1/a.flac", 300_000), ("disc 1/b.flac", 200_000), ("notes.txt", 70_000), ("video.mkv", 400_000)];
    let content = Content::tree("album", &files, 5);
    content.write_below(home.path());
    let path = home.path().join("x.torrent");
    std::fs::write(&path, Torrent::of(&content, 16 << 10, None).bytes).unwrap();
    let (_seed, address) = seed(home.path(), &path, &["--seed"]);
    let info = bt_erl(home.path(), &["info", "--json", path.to_str().unwrap()]).json();
    let listed = info["files"].as_array().unwrap();
    let notes = listed.iter().find(|file| file["path"] == "album/notes.txt").unwrap()["number"].to_string();

    let out = home.path().join("out");
    let leech = || BtErl::run(home.path(), &path, &out).peers([address]);
    let ended = leech().args(["--files", "b.FLAC", "--only", &notes]).output(LIMIT);
    ended.expect_code(0);
    let same = |file: &str| std::fs::read(out.join(file)).ok() == std::fs::read(home.path().join(file)).ok();
    assert!(same("album/disc 1/b.flac") && same("album/notes.txt"));
    assert!(!same("album/disc 1/a.flac") && !same("album/video.mkv"));
    let complete = ended.events().pop().unwrap();
    let (got, all) = (complete["bytes"].as_u64().unwrap(), content.total());
    assert!((270_000..270_000 + 2 * (16 << 10)).contains(&got), "{got} of {all}");

    leech().output(LIMIT).expect_code(0);
    assert_eq!(content.difference(&out), None);
}

#[test]
fn a_file_that_the_torrent_does_not_have_is_exit_code_2() {
    let (home, torrent, _) = torrent(None);
    let torrent = torrent.to_str().unwrap();
    one_sentence(&bt_erl(home.path(), &["run", torrent, "--only", "2"]), 2, &["no file 2", "bt-erl info"]);
    one_sentence(&bt_erl(home.path(), &["run", torrent, "--files", "*.mkv"]), 2, &["`*.mkv`", "bt-erl info"]);
    one_sentence(&bt_erl(home.path(), &["run", torrent, "--only", "3-1"]), 2, &["--only", "3-1"]);
}

/// The demo with a folder of its own for temporary files.
fn demo(folder: &Path) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_bt-erl"));
    demo.args(["demo", "--size", "32MiB"]).env_clear().env("TMPDIR", folder).stdin(Stdio::null());
    demo
}

#[test]
fn the_demo_shows_a_crash_and_a_recovery_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path()).output().unwrap();
    let (story, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{story}\n{stderr}");
    let words =
        ["demo_sup", "tracker_server", "└── leech", "=SUPERVISOR REPORT", "restarted once", "are the same", "removed "];
    for word in words {
        assert!(story.contains(word), "{word:?} is missing in:\n{story}");
    }
    assert!(!story.contains('\u{1b}'), "colours without a terminal");
    assert!(story.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns:\n{story}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = demo(folder.path()).stdout(Stdio::null()).spawn().unwrap();
    support::until("the demo to make its folder", LIMIT, || {
        let made = std::fs::read_dir(folder.path()).unwrap().count() > 0;
        made.then_some(())
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
}

#[test]
fn a_torrent_that_was_created_describes_its_content_and_nothing_is_overwritten_unasked() {
    let home = tempfile::tempdir().unwrap();
    let content = Content::tree("album", &[("b/song", 300_000), ("a", 0), ("c", 50_000)], 5);
    content.write_below(home.path());
    let (album, out) = (home.path().join("album"), home.path().join("new/folder/album.torrent"));
    let (album, out) = (album.to_str().unwrap(), out.to_str().unwrap());
    let create = ["create", album, "-o", out, "-l", "32KiB", "-a", "http://t.example/announce", "--no-date"];
    let made = bt_erl(home.path(), &create);
    made.expect_code(0);
    assert!(made.stdout.join("\n").contains("3 files, 342 KiB in 11 pieces of 32 KiB"), "{:?}", made.stdout);
    let bytes = std::fs::read(out).unwrap();
    bt_erl(home.path(), &["run", out, "-d", home.path().to_str().unwrap(), "-p0", "--no-tracker"]).expect_code(0);

    one_sentence(&bt_erl(home.path(), &create), 1, &["album.torrent exists already", "--force"]);
    bt_erl(home.path(), &[&create[..], &["--force"]].concat()).expect_code(0);
    assert!(std::fs::read(out).unwrap() == bytes, "the same content and no date, but another torrent file");
    one_sentence(&bt_erl(home.path(), &["create", "nowhere"]), 1, &["nowhere", "check the name"]);
    let empty = home.path().join("album/a");
    one_sentence(&bt_erl(home.path(), &["create", empty.to_str().unwrap()]), 1, &["no bytes"]);
}

#[test]
fn a_check_says_what_is_whole_and_changes_nothing() {
    let (home, torrent, content) = torrent(None);
    let dir = home.path().join("dl");
    let check = ["check", torrent.to_str().unwrap(), "-d", dir.to_str().unwrap()];
    one_sentence(&bt_erl(home.path(), &check), 1, &["dl", "not there"]);
    assert!(!dir.exists());
    content.write_below(&dir);
    let whole = bt_erl(home.path(), &check);
    whole.expect_code(0);
    assert!(whole.stdout.join("").starts_with("whole: "), "{:?}", whole.stdout);
    let spoilt =
        support::until("a file", LIMIT, || walk(&dir).into_iter().find(|path| path.metadata().unwrap().len() > 1));
    let mut bytes = std::fs::read(&spoilt).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&spoilt, &bytes).unwrap();
    let ended = bt_erl(home.path(), &[&check[..], &["--json"]].concat());
    ended.expect_code(1);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout.join("")).unwrap();
    assert_eq!((&report["whole"], report["pieces"].as_u64()), (&false.into(), report["right"].as_u64().map(|n| n + 1)));
    assert_eq!(report["files"].as_array().unwrap().iter().filter(|file| file["state"] == "partial").count(), 1);
    assert_eq!(std::fs::read(&spoilt).unwrap(), bytes);
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
