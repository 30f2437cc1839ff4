//! Torrent files that were never meant well. Each is refused with exit code 65 and one sentence, or made safe; none panics, hangs,
//! writes outside the download folder, or takes more than 64 MiB (and the file's own size) above what a good torrent takes.
//!
//! Memory is held by the kernel: each run has a limit (RLIMIT_DATA) and would be aborted beyond it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use support::bencode::{Ben, dict, list, text};
use support::bt_erl::{BtErl, Ended};
use support::content::{Content, Entry};
use support::peer::{Seed, Wire};
use support::torrent::{Forge, Torrent};

/// Any verdict on a torrent file comes within this time.
const VERDICT: Duration = Duration::from_secs(5);

/// What a hostile torrent may cost above a good one.
const ALLOWANCE_KIB: u64 = 64 << 10;

/// A download of a few hundred KiB on loopback.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// A hostile torrent: what is wrong with it, and its bytes.
struct Case {
    what: &'static str,
    bytes: Vec<u8>,
}

fn case(what: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    Case { what, bytes: bytes.into() }
}

/// `before`, then `times` x `middle`, then `after`.
fn repeated(before: &str, middle: &str, times: usize, after: &str) -> Vec<u8> {
    [before.as_bytes(), middle.repeat(times).as_bytes(), after.as_bytes()].concat()
}

/// The small torrent with `raw` standing where the value of `length` stood.
fn raw_length(raw: &str) -> Vec<u8> {
    Forge::small().with("length", Ben::Raw(raw.into())).bytes()
}

fn cut(bytes: Vec<u8>, from_the_end: usize) -> Vec<u8> {
    bytes[..bytes.len() - from_the_end].to_vec()
}

/// No bencoded dictionary at all.
fn not_bencode() -> Vec<Case> {
    let good = Forge::small().bytes();
    vec![
        case("an empty file", ""),
        case("a web page", "<!DOCTYPE html><html><body>404 Not Found</body></html>"),
        case("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0".as_slice()),
        case("64 KiB of zeros", vec![0; 65_536]),
        case("64 KiB of noise", Content::single("", 65_536, 99).bytes(0, 65_536)),
        case("a list", "li1ei2ee"),
        case("a number", "i42e"),
        case("a string", "4:spam"),
        case("an empty dictionary", "de"),
        case("cut in the middle", cut(good.clone(), good.len() / 2)),
        case("cut before the last byte", cut(good.clone(), 1)),
        case("bytes after the end", [good.as_slice(), b"garbage"].concat()),
        case("two torrents in one file", good.repeat(2)),
        case("a byte before the beginning", [b" ", good.as_slice()].concat()),
    ]
}

/// A dictionary that breaks the rules of bencode somewhere.
fn bad_bencode() -> Vec<Case> {
    let twice = |key: &str| {
        let mut forge = Forge::small();
        let place = forge.info.iter().position(|(k, _)| k == key.as_bytes()).unwrap();
        let again = forge.info[place].clone();
        forge.info.insert(place, again);
        forge.bytes()
    };
    vec![
        case("1,000 lists in each other", repeated("", "l", 1_000, &"e".repeat(1_000))),
        case("101 lists in each other inside a good torrent", {
            Forge::small().outer("a", Ben::Raw(repeated("", "l", 101, &"e".repeat(101)))).bytes()
        }),
        case("101 lists in each other inside the info dictionary", {
            Forge::small().with("a", Ben::Raw(repeated("", "l", 101, &"e".repeat(101)))).bytes()
        }),
        case("100,000 lists in each other", repeated("", "l", 100_000, &"e".repeat(100_000))),
        case("a million lists that never end", "l".repeat(1_000_000)),
        case(
            "200,000 dictionaries in each other",
            repeated("", "d1:a", 200_000, &format!("i1e{}", "e".repeat(200_000))),
        ),
        case("200,000 dictionaries that never end", "d1:a".repeat(200_000)),
        case("four million numbers", repeated("d1:al", "i0e", 4_000_000, "ee")),
        case("four million empty strings", repeated("d1:al", "0:", 4_000_000, "ee")),
        case("four million empty lists", repeated("d1:al", "le", 4_000_000, "ee")),
        case("a string longer than the file", "d4:infod4:name99999999999:small.bin"),
        case("a string of 2^64 bytes", "d4:infod4:name18446744073709551616:small.bin"),
        case("a string of 2^63 - 1 bytes", "d4:infod4:name9223372036854775807:small.bin"),
        case("a string whose length has 40 digits", format!("d4:infod4:name{}:small.bin", "9".repeat(40))),
        case("a string length of a million digits", repeated("d", "9", 1_000_000, ":")),
        case("a string length with a leading zero", "d04:infodee"),
        case("a negative string length", "d-1:xi1ee"),
        case("a number as a key", "di1ei2ee"),
        case("a key without a value", "d4:infoe"),
        case("-0", raw_length("i-0e")),
        case("a number with leading zeros", raw_length("i0040000e")),
        case("a number without digits", raw_length("ie")),
        case("a minus without digits", raw_length("i-e")),
        case("a plus", raw_length("i+40000e")),
        case("a fraction", raw_length("i40000.0e")),
        case("a blank in a number", raw_length("i 40000e")),
        case("two minus signs", raw_length("i--40000e")),
        case("a number of 34 digits", raw_length(&format!("i{}e", "9".repeat(34)))),
        case("a number of a million digits", raw_length(&format!("i{}e", "1".repeat(1_000_000)))),
        case("a number that never ends", cut(raw_length("i40000"), 0)),
        case("the same key twice: length", twice("length")),
        case("the same key twice: pieces", twice("pieces")),
        case("two info dictionaries", {
            let info = Ben::Dict(Forge::small().info);
            dict([("info", info.clone()), ("info", info)]).encode()
        }),
    ]
}

/// Well-formed, but no torrent that could be.
fn bad_metainfo() -> Vec<Case> {
    let small = Forge::small;
    let folder = Forge::small_folder;
    let files = |files: Ben| folder().with("files", files).bytes();
    let file = |length: i128, name: &str| dict([("length", Ben::Int(length)), ("path", list([text(name)]))]);
    let piece_length = |length: i128| small().with("piece length", Ben::Int(length)).bytes();
    let length = |length: i128| small().with("length", Ben::Int(length)).bytes();
    let pieces = |bytes: usize| small().with("pieces", text(vec![7; bytes])).bytes();
    vec![
        case("no info", "d8:announce22:http://127.0.0.1:1/anne"),
        case("info is a string", "d4:info4:spame"),
        case("info is a list", "d4:infolee"),
        case("info is empty", "d4:infodee"),
        case("name is a number", small().with("name", Ben::Int(5)).bytes()),
        case("no piece length", small().without("piece length").bytes()),
        case("piece length is a string", small().with("piece length", text("16384")).bytes()),
        case("piece length 0", piece_length(0)),
        case("piece length -1", piece_length(-1)),
        case("piece length -16384", piece_length(-16_384)),
        case("piece length 1 GiB and 1", piece_length((1 << 30) + 1)),
        case("piece length 2^32 - 1", piece_length((1 << 32) - 1)),
        case("piece length 2^32 + 16384", piece_length((1 << 32) + 16_384)),
        case("piece length 2^63 - 1", piece_length(i64::MAX.into())),
        case("piece length 2^64", piece_length(1 << 64)),
        case("no pieces", small().without("pieces").bytes()),
        case("pieces is a list", small().with("pieces", list([])).bytes()),
        case("pieces is a number", small().with("pieces", Ben::Int(60)).bytes()),
        case("pieces is empty", pieces(0)),
        case("pieces is one byte short", pieces(59)),
        case("pieces is one byte long", pieces(61)),
        case("one hash too few", pieces(40)),
        case("one hash too many", pieces(80)),
        case("neither length nor files", small().without("length").bytes()),
        case("both length and files", small().with("files", list([file(40_000, "a")])).bytes()),
        case("length is a string", small().with("length", text("40000")).bytes()),
        case("length -1", length(-1)),
        case("length 2^62", length(1 << 62)),
        case("length 2^63 - 1", length(i64::MAX.into())),
        case("length 2^63", length(1 << 63)),
        case("length 2^64 - 1", length(u64::MAX.into())),
        case("length 2^64 + 40000", length((1 << 64) + 40_000)),
        case("files is empty", files(list([]))),
        case("files is a string", files(text("ab"))),
        case("files is a dictionary", files(dict([("a", Ben::Int(1))]))),
        case("a file is a number", files(list([Ben::Int(40_000)]))),
        case("a file without a length", files(list([dict([("path", list([text("a")]))])]))),
        case("a file without a path", files(list([dict([("length", Ben::Int(40_000))])]))),
        case("a path is a string", files(list([dict([("length", Ben::Int(40_000)), ("path", text("a"))])]))),
        case("a path of numbers", files(list([dict([("length", Ben::Int(40_000)), ("path", list([Ben::Int(1)]))])]))),
        case("a file of -1 bytes", files(list([file(40_001, "a"), file(-1, "b")]))),
        case(
            "lengths whose sum is 2^64 + 40000",
            files(list([file(1 << 63, "a"), file(1 << 63, "b"), file(40_000, "c")])),
        ),
        case("lengths whose sum is 2^63", files(list([file(1 << 62, "a"), file(1 << 62, "b")]))),
        case("two million pieces and one", {
            let content = small().with("length", Ben::Int(2_000_001)).with("piece length", Ben::Int(1));
            content.with("pieces", text(vec![7; 2_000_001 * 20])).bytes()
        }),
        case("a million files", {
            let one = file(0, "x").encode();
            folder().with("files", Ben::Raw([b"l".as_slice(), &one.repeat(1_000_000), b"e"].concat())).bytes()
        }),
    ]
}

fn refused() -> Vec<Case> {
    [not_bencode(), bad_bencode(), bad_metainfo()].into_iter().flatten().collect()
}

/// The smallest RLIMIT_DATA, to 4 MiB, with which `bt-erl ARGS` gets through: what the program itself takes.
fn base_kib(args: &[&str], folder: &Path) -> u64 {
    let works = |mib: u64| {
        let mut run = BtErl::new(folder, args).data_limit(mib << 10).start();
        run.guard.wait(VERDICT).is_some_and(|status| status.success())
    };
    let (mut low, mut high) = (0, 1024);
    assert!(works(high), "bt-erl {args:?} does not work with 1 GiB");
    while high - low > 4 {
        let middle = (low + high) / 2;
        if works(middle) { high = middle } else { low = middle }
    }
    high << 10
}

/// What a good torrent needs, for `info` and for `run`, KiB.
fn bases() -> (u64, u64) {
    static BASES: OnceLock<(u64, u64)> = OnceLock::new();
    *BASES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let torrent = folder.path().join("good.torrent");
        std::fs::write(&torrent, Forge::small().bytes()).unwrap();
        Content::single("small.bin", 40_000, 1).write_below(folder.path());
        let (torrent, dir) = (torrent.to_str().unwrap(), folder.path().to_str().unwrap());
        let info = base_kib(&["info", torrent], folder.path());
        let run = base_kib(&["run", torrent, "-d", dir, "--no-tracker", "--json", "-p", "0"], folder.path());
        println!("a good torrent takes {info} KiB (info) and {run} KiB (run)");
        (info, run)
    })
}

/// What is wrong with this answer to a torrent that has to be refused; `None` when nothing is.
fn fault_of_refusal(ended: &Ended, torrent: &str) -> Option<String> {
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let said = || format!("{:?}", ended.stderr.chars().take(600).collect::<String>());
    if ended.overdue {
        return Some(format!("no answer in {VERDICT:?}: {}", said()));
    }
    if ended.code != Some(65) {
        return Some(format!("exit code {:?}, signal {:?}: {}", ended.code, ended.signal, said()));
    }
    if lines.len() != 1 {
        return Some(format!("{} lines on stderr instead of one: {}", lines.len(), said()));
    }
    let line = lines[0];
    let checks = [
        (line.contains("panicked") || line.contains("RUST_BACKTRACE"), "a panic"),
        (line.chars().count() > 500, "more than 500 characters"),
        (line.chars().any(char::is_control), "control characters"),
        (!line.contains(torrent), "the sentence does not say which file"),
        (line.split_whitespace().count() < 5, "not a sentence"),
    ];
    checks.iter().find(|(wrong, _)| *wrong).map(|(_, why)| format!("{why}: {}", said()))
}

/// Every case goes through `bt-erl COMMAND`; all faults are told together.
fn all_are_refused_by(command: &str, base_kib: u64) {
    let folder = tempfile::tempdir().unwrap();
    let torrent = folder.path().join("hostile.torrent");
    let out = folder.path().join("out");
    let mut faults = Vec::new();
    let cases = refused();
    for case in &cases {
        std::fs::write(&torrent, &case.bytes).unwrap();
        let limit = base_kib + ALLOWANCE_KIB + case.bytes.len() as u64 / 1024;
        let mut bt_erl = BtErl::new(folder.path(), [command, torrent.to_str().unwrap()]).data_limit(limit);
        if command == "run" {
            bt_erl = bt_erl.args(["-d", out.to_str().unwrap(), "--no-tracker", "-p", "0"]);
        }
        if let Some(fault) = fault_of_refusal(&bt_erl.output(VERDICT), "hostile.torrent") {
            faults.push(format!("{}: {fault}", case.what));
        }
        if out.exists() && std::fs::read_dir(&out).unwrap().next().is_some() {
            faults.push(format!("{}: it has written something", case.what));
            std::fs::remove_dir_all(&out).unwrap();
        }
    }
    assert!(faults.is_empty(), "{} of {} hostile torrents:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[test]
fn info_refuses_every_malformed_torrent_with_one_sentence() {
    all_are_refused_by("info", bases().0);
}

#[test]
fn run_refuses_every_malformed_torrent_with_one_sentence() {
    all_are_refused_by("run", bases().1);
}

#[test]
fn the_cases_are_many_and_no_two_have_the_same_name() {
    let (refused, odd) = (refused(), odd_names());
    let mut words: Vec<&str> = refused.iter().map(|case| case.what).chain(odd.iter().map(|odd| odd.what)).collect();
    assert!(words.len() >= 45 + 30, "{} cases", words.len());
    words.sort_unstable();
    assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "two cases of the same name");
}

#[test]
fn a_torrent_file_above_64_mib_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = folder.path().join("huge.torrent");
    // Sparse: 8 GiB in the folder listing, nothing on disk.
    File::create(&torrent).unwrap().set_len(8 << 30).unwrap();
    let ended = BtErl::new(folder.path(), ["info", torrent.to_str().unwrap()])
        .data_limit(bases().0 + ALLOWANCE_KIB)
        .output(VERDICT);
    assert_eq!(fault_of_refusal(&ended, "huge.torrent"), None);
}

#[test]
fn a_torrent_file_that_never_ends_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // At most 64 MiB of it are read, into a buffer that may have doubled on the way.
    let limit = bases().0 + ALLOWANCE_KIB + 2 * (64 << 10);
    let ended = BtErl::new(folder.path(), ["info", "/dev/zero"]).data_limit(limit).output(VERDICT);
    assert_eq!(fault_of_refusal(&ended, "/dev/zero"), None);
}

// ---- odd, but it can be made to work -------------------------------------------------------------------------------------------

/// A torrent with strange file names. It may be refused; if it is not, it is downloaded, safely and whole.
struct Odd {
    what: &'static str,
    content: Content,
    piece_bytes: u64,
    /// More that is put into the first file's dictionary.
    extra: Vec<(&'static str, Ben)>,
    /// Refusing it is no answer.
    must_work: bool,
}

fn odd(what: &'static str, name: &[u8], paths: &[&[&[u8]]]) -> Odd {
    let files = paths.iter().enumerate().map(|(i, path)| {
        let path = path.iter().map(|part| part.to_vec()).collect();
        (path, 20_000 + 1_000 * i as u64)
    });
    Odd {
        what,
        content: Content::folder(name, files.collect(), 7),
        piece_bytes: 16_384,
        extra: vec![],
        must_work: false,
    }
}

fn odd_names() -> Vec<Odd> {
    let long = "x".repeat(300);
    let wide = "ü".repeat(200);
    let very_long = "y".repeat(5_000);
    let deep: Vec<&[u8]> = vec![b"d"; 150];
    let deeper: Vec<&[u8]> = vec![b"d"; 5_000];
    let symlink = Odd {
        extra: vec![("attr", text("l")), ("symlink path", list([text(".."), text(".."), text("etc"), text("passwd")]))],
        ..odd("a symlink to outside", b"links", &[&[b"passwd"], &[b"b"]])
    };
    vec![
        odd("a path with two dots", b"t", &[&[b"..", b"out.bin"], &[b"b"]]),
        odd("a path of many dots", b"t", &[&[b"..", b"..", b"..", b"..", b"..", b"tmp", b"bt-erl-was-here"], &[b"b"]]),
        odd("two dots and a slash in one component", b"t", &[&[b"../../out.bin"], &[b"b"]]),
        odd("an absolute component", b"t", &[&[b"/tmp/bt-erl-was-here"], &[b"b"]]),
        odd("a slash in a component", b"t", &[&[b"a/b"], &[b"c"]]),
        odd("a backslash in a component", b"t", &[&[b"a\\..\\..\\b"], &[b"c"]]),
        odd("an empty component", b"t", &[&[b"", b"a"], &[b"b"]]),
        odd("only an empty component", b"t", &[&[b""], &[b"b"]]),
        odd("a path without components", b"t", &[&[], &[b"b"]]),
        odd("one dot", b"t", &[&[b"."], &[b"b"]]),
        odd("one dot before the same name", b"t", &[&[b".", b"a"], &[b"a"]]),
        odd("NUL in a component", b"t", &[&[b"a\0b"], &[b"c"]]),
        odd("control characters", b"t", &[&[b"a\x1b[31m\r\n\x07b"], &[b"c"]]),
        odd("writing direction turned round", b"t", &[&["harmless\u{202e}gpj.exe".as_bytes()], &[b"c"]]),
        odd("a device name", b"t", &[&[b"CON"], &[b"nul.txt"], &[b"com1"], &[b"LPT9.tar.gz"]]),
        odd("a drive letter", b"t", &[&[b"C:", b"windows"], &[b"b:stream"]]),
        odd("a dot or a blank at the end", b"t", &[&[b"a."], &[b"b "], &[b"c. . "]]),
        odd("a blank at the beginning", b"t", &[&[b" a"], &[b"-rf"], &[b"~"]]),
        odd("300 bytes in one component", b"t", &[&[long.as_bytes()], &[long.as_bytes(), b"b"]]),
        odd("400 bytes in 200 characters", b"t", &[&[wide.as_bytes()], &[b"b"]]),
        odd("5,000 bytes in one component", b"t", &[&[very_long.as_bytes()], &[b"b"]]),
        odd("150 folders in each other", b"t", &[&deep, &[b"b"]]),
        odd("5,000 folders in each other", b"t", &[&deeper, &[b"b"]]),
        odd("a name that is no UTF-8", b"t\xff\xfe", &[&[b"\x80\x81.bin"], &[b"caf\xe9"], &[b"caf\xe8"]]),
        odd("the same file twice", b"t", &[&[b"a"], &[b"a"], &[b"a"]]),
        odd("names that differ in case only", b"t", &[&[b"readme"], &[b"README"], &[b"ReadMe"]]),
        odd("names that differ in composition only", b"t", &[&["é".as_bytes()], &["e\u{301}".as_bytes()]]),
        odd("a file and a folder of the same name", b"t", &[&[b"a"], &[b"a", b"b"]]),
        odd("a folder and a file of the same name", b"t", &[&[b"a", b"b"], &[b"a"]]),
        odd("folders that differ in case only, one a file", b"t", &[&[b"A", b"b"], &[b"a"]]),
        odd("the torrent is called two dots", b"..", &[&[b"a"], &[b"b"]]),
        odd("the torrent is called one dot", b".", &[&[b"a"], &[b"b"]]),
        odd("the torrent is called a slash", b"/", &[&[b"a"], &[b"b"]]),
        odd("the torrent is called an absolute path", b"/tmp/bt-erl-was-here", &[&[b"a"], &[b"b"]]),
        odd("the torrent has an empty name", b"", &[&[b"a"], &[b"b"]]),
        odd("the torrent's name begins with a NUL", b"\0", &[&[b"a"], &[b"b"]]),
        symlink,
    ]
}

fn honest_oddities() -> Vec<Odd> {
    let work = |what, content: Content, piece_bytes| Odd { what, content, piece_bytes, extra: vec![], must_work: true };
    let one = |length| Content::single("odd.bin", length, 8);
    let mut padded = Content::tree("padded", &[("a.bin", 10_000), (".pad/6384", 6_384), ("b.bin", 30_000)], 8);
    padded.files[1].pad = true;
    let empty = [("empty first", 0), ("a", 20_000), ("b/empty between", 0), ("b/c", 1), ("empty last", 0)];
    vec![
        work("pieces of 10,000 bytes", one(123_457), 10_000),
        work("pieces of 16,385 bytes", one(123_457), 16_385),
        work("pieces of 40,000 bytes", one(123_457), 40_000),
        work("pieces of one byte", one(100), 1),
        work("pieces of three bytes", one(100), 3),
        work("a content of one byte", one(1), 16_384),
        work("a piece longer than everything", one(100_000), 1 << 30),
        work("exactly one block", one(16_384), 16_384),
        work("empty files between", Content::tree("t", &empty, 8), 16_384),
        work("one file in a folder", Content::tree("t", &[("only", 50_000)], 8), 16_384),
        work("1,000 files in a piece", Content::many("tiny", 1_000, 9_000, 8), 1 << 20),
        work("a pad file", padded, 16_384),
    ]
}

impl Odd {
    fn torrent(&self) -> Torrent {
        let mut forge = Forge::of(&self.content, self.piece_bytes);
        if let Some((_, Ben::List(files))) = forge.info.iter_mut().find(|(key, _)| key == b"files")
            && let Some(Ben::Dict(file)) = files.first_mut()
        {
            file.extend(self.extra.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.clone())));
            file.sort_by(|a, b| a.0.cmp(&b.0));
        }
        forge.torrent(self.content.total())
    }

    /// Goes through `info` and, when that takes it, through `run`. The first fault, in words.
    fn fault(&self) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("odd.torrent");
        let torrent = self.torrent();
        std::fs::write(&file, &torrent.bytes).unwrap();
        let info = BtErl::new(folder.path(), ["info", file.to_str().unwrap(), "--json"]).output(VERDICT);
        let out = folder.path().join("a/b/c/out");
        std::fs::create_dir_all(&out).unwrap();
        if info.code != Some(0) {
            if self.must_work {
                return Some(format!("info refuses it: {}", info.stderr));
            }
            let run = BtErl::run(folder.path(), &file, &out).args(["--no-tracker"]).output(VERDICT);
            return fault_of_refusal(&info, "odd.torrent").or_else(|| fault_of_refusal(&run, "odd.torrent"));
        }
        let info = info.json();
        let paths: Vec<(PathBuf, u64)> = info["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| (file["path"].as_str().unwrap().into(), file["length"].as_u64().unwrap()))
            .collect();
        if let Some(fault) = unsafe_paths(&paths) {
            return Some(fault);
        }
        let files: Vec<&Entry> = self.content.files.iter().filter(|file| !file.pad).collect();
        let paths: Vec<(PathBuf, u64)> = if paths.len() == self.content.files.len() {
            // Padding is listed too: leave it out.
            paths.into_iter().zip(&self.content.files).filter(|(_, file)| !file.pad).map(|(path, _)| path).collect()
        } else {
            paths
        };
        let lengths = |mismatch: bool| mismatch.then(|| format!("info lists {paths:?} for {files:?}"));
        if let Some(fault) = lengths(
            paths.len() != files.len() || paths.iter().zip(&files).any(|((_, length), file)| *length != file.length),
        ) {
            return Some(fault);
        }
        let honest = self.must_work || self.content.single;
        if !honest
            && info["mended"].as_array().is_none_or(Vec::is_empty)
            && paths.iter().zip(&files).any(|((path, _), file)| !same_name(path, &self.content, file))
        {
            return Some("a name was mended and info does not say so".into());
        }

        let seed = Seed::start(&torrent, &self.content, Wire::serve_all);
        let run = BtErl::run(folder.path(), &file, &out).peers([seed.addr]).output(DOWNLOAD);
        if run.code != Some(0) {
            let how = if run.overdue { "it never ends".into() } else { format!("exit code {:?}", run.code) };
            return Some(format!("run: {how}: {}", run.stderr));
        }
        let places: Vec<(PathBuf, u64, u64)> =
            paths.iter().zip(&files).map(|((path, length), file)| (path.clone(), file.offset, *length)).collect();
        self.content.difference_at(&out, &places).or_else(|| stray(folder.path(), &out, &["odd.torrent", "a"]))
    }
}

fn same_name(path: &Path, content: &Content, file: &Entry) -> bool {
    let words: Vec<&[u8]> = path.components().map(|word| word.as_os_str().as_encoded_bytes()).collect();
    let given: Vec<&[u8]> = std::iter::once(&content.name).chain(&file.path).map(Vec::as_slice).collect();
    words == given
}

/// A path that could leave its folder, hit another file, or surprise a terminal or another system.
fn unsafe_paths(paths: &[(PathBuf, u64)]) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    for (path, _) in paths {
        let text = path.to_str().unwrap_or_default();
        let parts: Vec<Component<'_>> = path.components().collect();
        let normal = parts.iter().all(|part| matches!(part, Component::Normal(_)));
        if parts.is_empty() || !normal || text.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Some(format!("the path {text:?} could leave the folder"));
        }
        if text.chars().any(|c| c.is_control() || c == '\\')
            || text.split('/').any(|part| part.len() > 255 || is_trouble_elsewhere(part))
        {
            return Some(format!("the path {text:?} has a component that no disk should see"));
        }
        if !seen.insert(text.to_lowercase().replace("e\u{301}", "é")) {
            return Some(format!("two files at {text:?}"));
        }
    }
    let inside = seen.iter().find(|path| {
        seen.iter().any(|other| other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/')))
    });
    inside.map(|path| format!("{path:?} is a file and a folder"))
}

/// Windows would open a device, or another file than the one named.
fn is_trouble_elsewhere(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |name: &str| {
        stem.strip_prefix(name).is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    part.ends_with(['.', ' '])
        || part.contains(':')
        || ["con", "nul", "prn", "aux"].contains(&stem.as_str())
        || numbered("com")
        || numbered("lpt")
}

/// Anything below `folder` that is neither in `out` nor on the way to it nor expected.
fn stray(folder: &Path, out: &Path, expected: &[&str]) -> Option<String> {
    let mut at = out.to_path_buf();
    while at != folder {
        let parent = at.parent()?.to_path_buf();
        for entry in std::fs::read_dir(&parent).ok()?.flatten() {
            let name = entry.file_name();
            let known = entry.path() == at
                || (parent == folder
                    && (expected.iter().any(|e| name == *e) || name.to_string_lossy().starts_with('.')));
            if !known {
                return Some(format!("{} was written outside of the download folder", entry.path().display()));
            }
        }
        at = parent;
    }
    Path::new("/tmp/bt-erl-was-here").exists().then(|| "/tmp/bt-erl-was-here was written".to_owned())
}

fn all_work(odds: Vec<Odd>) {
    let count = odds.len();
    let faults: Vec<String> =
        odds.iter().filter_map(|odd| odd.fault().map(|fault| format!("{}: {fault}", odd.what))).collect();
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn strange_names_are_refused_or_mended_and_never_leave_the_folder() {
    all_work(odd_names());
}

#[test]
fn unusual_but_valid_torrents_work() {
    all_work(honest_oddities());
}

/// Downloads `forge` (a bent form of the torrent of `content`) and compares.
fn downloads(forge: &Forge, content: &Content) {
    let folder = tempfile::tempdir().unwrap();
    let torrent = forge.torrent(content.total());
    let file = folder.path().join("bent.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let info = BtErl::new(folder.path(), ["info", file.to_str().unwrap(), "--json"]).output(VERDICT);
    info.expect_code(0);
    assert_eq!(
        info.json()["info_hash"],
        support::torrent::hex(&torrent.info_hash),
        "the info hash is over the raw bytes"
    );
    let seed = Seed::start(&torrent, content, Wire::serve_all);
    let out = folder.path().join("out");
    BtErl::run(folder.path(), &file, &out).peers([seed.addr]).output(DOWNLOAD).expect_code(0);
    assert_eq!(content.difference(&out), None);
}

#[test]
fn keys_in_the_wrong_order_are_accepted_and_hashed_as_they_stand() {
    let mut forge = Forge::small();
    forge.info.reverse();
    downloads(&forge, &Content::single("small.bin", 40_000, 1));
}

#[test]
fn unknown_keys_and_wrong_types_where_nothing_depends_on_them_are_accepted() {
    let forge = Forge::small()
        .with("zzz", list([Ben::Int(-5), dict([("a", text([0xff; 9]))])]))
        .with("private", Ben::Int(1))
        .outer("announce-list", text("not a list"))
        .outer("comment", text("\x1b[2J\0 \u{202e}"))
        .outer("creation date", Ben::Int(-1))
        .outer("nodes", Ben::Int(3));
    downloads(&forge, &Content::single("small.bin", 40_000, 1));
}

#[test]
fn ten_thousand_empty_files_need_few_descriptors_and_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<(String, u64)> =
        (0..10_000).map(|i| (format!("d{}/{i}", i % 100), u64::from(i == 5_000) * 30_000)).collect();
    let names: Vec<(&str, u64)> = names.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    let content = Content::tree("crowd", &names, 9);
    let torrent = Torrent::of(&content, 16_384, None);
    let file = folder.path().join("crowd.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let seed = Seed::start(&torrent, &content, Wire::serve_all);
    let out = folder.path().join("out");
    BtErl::run(folder.path(), &file, &out).peers([seed.addr]).open_files(128).output(DOWNLOAD).expect_code(0);
    assert_eq!(content.difference(&out), None);
}

#[test]
fn a_torrent_of_nothing_is_refused_or_done_at_once() {
    for content in [Content::single("nothing.bin", 0, 1), Content::tree("nothing", &[("a", 0), ("b/c", 0)], 1)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nothing.torrent");
        std::fs::write(&file, Torrent::of(&content, 16_384, None).bytes).unwrap();
        let ended = BtErl::run(folder.path(), &file, &folder.path().join("out")).args(["--no-tracker"]).output(VERDICT);
        match ended.code {
            Some(0) => assert_eq!(content.difference(&folder.path().join("out")), None),
            _ => assert_eq!(fault_of_refusal(&ended, "nothing.torrent"), None),
        }
    }
}

/// The download folder holds a symlink where the torrent wants to write. Nothing behind it may change.
fn symlink_is_not_followed(content: &Content, link: &str, dangling: bool, to_folder: bool) {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::of(content, 16_384, None);
    let file = folder.path().join("link.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let (out, outside) = (folder.path().join("out"), folder.path().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    let canary = outside.join("canary");
    std::fs::write(&canary, "untouched").unwrap();
    let target = match (dangling, to_folder) {
        (true, _) => outside.join("new"),
        (false, true) => outside.clone(),
        (false, false) => canary.clone(),
    };
    let link = out.join(link);
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(target, &link).unwrap();

    let seed = Seed::start(&torrent, content, Wire::serve_all);
    let flags = ["--exit-when-stalled", "2"];
    let ended = BtErl::run(folder.path(), &file, &out).peers([seed.addr]).args(flags).output(DOWNLOAD);
    assert!(std::fs::read(&canary).unwrap() == b"untouched", "written through a symlink");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "something new behind a symlink");
    if ended.code == Some(0) {
        assert!(!link.is_symlink(), "it says complete while a symlink stands where the content should be");
        assert_eq!(content.difference(&out), None);
    } else {
        assert!(matches!(ended.code, Some(1 | 69)), "exit code {:?}: {}", ended.code, ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[test]
fn a_symlink_where_the_file_should_be_is_not_followed() {
    let content = Content::single("small.bin", 40_000, 1);
    symlink_is_not_followed(&content, "small.bin", false, false);
    symlink_is_not_followed(&content, "small.bin", true, false);
}

#[test]
fn a_symlink_where_a_folder_should_be_is_not_followed() {
    let content = Content::tree("folder", &[("sub/canary", 20_000), ("b.bin", 20_000)], 1);
    symlink_is_not_followed(&content, "folder", false, true);
    symlink_is_not_followed(&content, "folder/sub", false, true);
    symlink_is_not_followed(&content, "folder/sub/canary", false, false);
}
