//! The architecture, held by a machine. Every rule here has its reason beside it; a failure names the file, the line, the rule and
//! the reason. It checks architecture, not taste: how code is written is clippy's and the reader's business.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a file that cannot be read is a failed test")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A word of code that may stand in some places only.
struct Rule {
    name: &'static str,
    /// Where the rule holds: paths from the top of the repository begin with one of these.
    within: &'static [&'static str],
    /// Where it does not, although inside of `within`.
    except: &'static [&'static str],
    /// What may not be named. Each begins at the beginning of a word.
    words: &'static [&'static str],
    /// What is fine although it begins with one of `words`.
    fine: &'static [&'static str],
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "protocol is pure",
        within: &["src/protocol/"],
        except: &[],
        words: &[
            "async ",
            "async_std",
            "bastion",
            "crate::process",
            "crate::rt",
            "crate::session",
            "crate::tables",
            "crate::tree",
            "fastrand::",
            "flume",
            "futures",
            "Instant",
            "log::",
            "rustix",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::process",
            "std::thread",
            "supervisors",
            "surf",
            "SystemTime",
            "ureq",
        ],
        fine: &[
            "fastrand::Rng",
            "std::net::IpAddr",
            "std::net::Ipv",
            "std::net::SocketAddr",
            "std::net::{IpAddr",
            "std::net::{Ipv",
            "std::net::{SocketAddr",
        ],
        reason: "what decides gets time, luck and bytes as parameters, so that every decision is a unit test and a simulated world is possible",
    },
    Rule {
        name: "rt is the only door to the clock",
        within: &["src/"],
        except: &["src/rt/"],
        words: &["Instant::now", "SystemTime::now", "thread::sleep", "task::sleep", "park_timeout"],
        fine: &[],
        reason: "a second, simulated world is put behind rt; a clock read past it would not be simulated",
    },
    Rule {
        name: "rt is the only door to the network",
        within: &["src/"],
        except: &["src/rt/"],
        words: &["TcpListener", "TcpStream", "ToSocketAddrs", "UdpSocket", "socket2", "UnixListener", "UnixStream"],
        fine: &[],
        reason: "a second, simulated world is put behind rt; a socket opened past it would reach the real network",
    },
    Rule {
        name: "rt is the only door to the disk",
        within: &["src/"],
        except: &["src/rt/"],
        words: &["std::fs", "fs::", "File::", "OpenOptions", "canonicalize(", "read_dir(", "symlink_metadata("],
        fine: &[],
        reason: "no path outside of the download folder may be opened for writing; only rt knows how, and tests replace it to make disks fail",
    },
    Rule {
        name: "rt is the only door to the dice",
        within: &["src/"],
        except: &["src/rt/"],
        words: &["fastrand::", "getrandom", "rand::"],
        fine: &["fastrand::Rng::with_seed", "fastrand::Rng>", "fastrand::Rng,", "fastrand::Rng)", "fastrand::Rng;"],
        reason: "one seed has to give one run",
    },
    Rule {
        name: "threads are started in rt and supervisors",
        within: &["src/"],
        except: &["src/rt/"],
        words: &["thread::spawn", "thread::Builder", "thread::scope", "task::spawn", "spawn_blocking"],
        fine: &[],
        reason: "what nobody supervises, nobody restarts and nobody stops",
    },
    Rule {
        name: "only rt names async-std",
        within: &["src/", "supervisors/src/"],
        except: &["src/rt/", "supervisors/src/rt.rs"],
        words: &["async_std::", "use async_std"],
        fine: &[],
        reason: "any of the three old crates below us can be replaced by editing one folder",
    },
    Rule {
        name: "only rt/http names surf and ureq",
        within: &["src/"],
        except: &["src/rt/http"],
        words: &["surf::", "use surf", "ureq::", "use ureq"],
        fine: &[],
        reason: "any of the three old crates below us can be replaced by editing one folder",
    },
    Rule {
        name: "one file names bastion",
        within: &["src/", "supervisors/src/"],
        except: &["supervisors/src/slots.rs"],
        words: &["bastion::", "use bastion", "bastion_executor::", "lightproc::"],
        fine: &[],
        reason: "bastion's hazards are dealt with in one place; past it nobody can fall into one",
    },
    Rule {
        name: "rt is the only door of supervisors to time and threads",
        within: &["supervisors/src/"],
        except: &["supervisors/src/rt.rs"],
        words: &["Instant::now", "SystemTime::now", "thread::spawn", "thread::Builder", "thread::sleep"],
        fine: &[],
        reason: "a supervisor's intensity and back-off have to be tested without waiting",
    },
    Rule {
        name: "supervisors knows nothing of BitTorrent",
        within: &["supervisors/src/"],
        except: &[],
        words: &["bt_erl", "info_hash", "InfoHash", "PieceIndex", "torrent"],
        fine: &[],
        reason: "it is a crate of its own, for whoever wants OTP supervision",
    },
    Rule {
        name: "only cli prints",
        within: &["src/", "supervisors/src/"],
        except: &["src/cli/", "src/main.rs"],
        words: &["println!", "eprintln!", "print!", "eprint!", "dbg!", "stdout()", "stderr()"],
        fine: &[],
        reason: "the library is used by other programs, and stdout carries the JSON lines; what has to be said is an event or a log record",
    },
    Rule {
        name: "no unsafe but in slots.rs and lanes/x86.rs",
        within: &["src/", "supervisors/", "tests/", "benches/"],
        except: &["supervisors/src/slots.rs", "src/protocol/lanes/x86.rs"],
        words: &["unsafe "],
        fine: &[],
        reason: "a proven exception is one line with its proof: a variable of the environment set before any thread, and calls of functions that only some processors can run",
    },
    Rule {
        name: "unwrap and expect are not allowed back in",
        within: &["src/", "supervisors/src/"],
        except: &[],
        words: &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::all", "warnings)"],
        fine: &[],
        reason: "whatever a file, a peer or a disk can cause is a value; a panic is for bugs",
    },
    Rule {
        name: "tests do not sleep",
        within: &["tests/", "supervisors/tests/"],
        // The one that polls, and a tracker that is slow on purpose.
        except: &["tests/support/mod.rs", "tests/trackers"],
        words: &["thread::sleep"],
        fine: &[],
        reason: "a test waits for the event it is about: a sleep is too long on a fast machine and too short on a slow one",
    },
];

/// Lines of code (inline tests not counted) that a file may have.
const LONGEST_FILE: usize = 400;

/// Files that may be longer: up to how many lines, and why.
const LONG_FILES: &[(&str, usize, &str)] = &[];

/// All that may lie at the top of the repository.
const TOP: &[&str] = &[
    ".ci",
    ".git",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "clippy.toml",
    "docs",
    "examples",
    "fuzz",
    "rustfmt.toml",
    "src",
    "supervisors",
    "target",
    "tests",
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`, as paths from the top of the repository, sorted.
fn rust_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![top().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

fn all_rust_files() -> Vec<String> {
    [
        "src",
        "supervisors/src",
        "supervisors/tests",
        "supervisors/examples",
        "tests",
        "benches",
        "examples",
        "fuzz/src",
        "fuzz/fuzz_targets",
    ]
    .into_iter()
    .flat_map(rust_files)
    .collect()
}

/// One file right in `src/process` is one kind of process; what lies deeper is a part of one.
fn process_files() -> Vec<String> {
    let files = rust_files("src/process").into_iter();
    files.filter(|path| path.matches('/').count() == 2 && !path.ends_with("/mod.rs")).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A file that holds nothing but tests of the module above it.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") && path.starts_with("src/")
}

/// The lines of code, numbered from 1, without comments, and without the items that are compiled for tests only.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut for_tests_only = false;
    let mut closing = None;
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if let Some(end) = &closing {
            // rustfmt puts the closing brace of an item under its first letter.
            if line == end {
                closing = None;
            }
            continue;
        }
        if bare.starts_with("#[cfg(test)]") {
            for_tests_only = true;
            continue;
        }
        if for_tests_only && !bare.starts_with("#[") && !bare.starts_with("//") {
            for_tests_only = false;
            if !bare.ends_with(';') && !bare.ends_with('}') {
                closing = Some(format!("{}}}", " ".repeat(indent)));
            }
            continue;
        }
        lines.push((number, without_comment(line).to_owned()));
    }
    lines
}

/// The line up to its `//`, unless that is inside of a string.
fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' if before != '\\' && before != '\'' => in_string = !in_string,
            '/' if before == '/' && !in_string => return &line[..at - 1],
            _ => {}
        }
        before = c;
    }
    line
}

/// Does `line` name `word`, beginning at the beginning of a word, in a way that is not `fine`?
fn names(line: &str, word: &str, fine: &[&str]) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let begins = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        begins && !fine.iter().any(|fine| line[at..].starts_with(fine))
    })
}

/// Panics with all faults, if there are any.
fn no_faults(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_module_names_only_what_it_may() {
    let mut faults = Vec::new();
    for path in all_rust_files() {
        let rules: Vec<&Rule> = RULES.iter().filter(|rule| holds(rule, &path)).collect();
        if path == "tests/tidy.rs" || is_test_file(&path) || rules.is_empty() {
            continue;
        }
        for (number, line) in code(&read(&path)) {
            for rule in &rules {
                for word in rule.words.iter().filter(|word| names(&line, word, rule.fine)) {
                    faults.push(format!(
                        "{path}:{number}: {}, but this names `{}`: {}",
                        rule.name,
                        word.trim(),
                        rule.reason
                    ));
                }
            }
        }
    }
    no_faults(faults);
}

fn holds(rule: &Rule, path: &str) -> bool {
    let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    below(rule.within) && !below(rule.except)
}

#[test]
fn every_place_that_a_rule_names_exists() {
    let files = all_rust_files();
    let mut faults = Vec::new();
    for rule in RULES {
        for place in rule.within.iter().chain(rule.except) {
            if *place != "benches/" && !files.iter().any(|file| file.starts_with(place)) {
                faults.push(format!("tests/tidy.rs: the rule {:?} speaks of {place}, which is not there", rule.name));
            }
        }
    }
    for (file, ..) in LONG_FILES.iter().filter(|(file, ..)| !files.iter().any(|f| f == file)) {
        faults.push(format!("tests/tidy.rs: {file} may be long, but is not there"));
    }
    no_faults(faults);
}

#[test]
fn every_file_begins_with_what_it_is() {
    let mut faults = Vec::new();
    for path in all_rust_files() {
        if !read(&path).starts_with("//! ") {
            faults.push(format!("{path}:1: a file begins with `//!`: what it is, where it sits, what it never does; a reader starts there"));
        }
    }
    no_faults(faults);
}

#[test]
fn every_process_says_who_its_parent_is_how_it_restarts_and_what_is_lost() {
    let mut faults = Vec::new();
    for path in process_files() {
        let text = read(&path);
        let header: String =
            text.lines().take_while(|line| line.starts_with("//!")).fold(String::new(), |mut all, line| {
                let _ = write!(all, "{} ", line.trim_start_matches("//!").trim());
                all
            });
        for word in ["Parent:", "Restart:", "Lost on restart:"].iter().filter(|word| !header.contains(*word)) {
            faults.push(format!("{path}:1: the header of a process file says `{word}`: supervision is read from here"));
        }
    }
    no_faults(faults);
}

#[test]
fn every_message_says_who_sends_it() {
    let mut faults = Vec::new();
    for path in process_files() {
        let text = read(&path);
        let mut doc = String::new();
        let begin = text.lines().position(|line| line.contains("enum Msg"));
        for (number, line) in (1..).zip(text.lines()).skip(begin.map_or(usize::MAX, |at| at + 1)) {
            if line == "}" {
                break;
            }
            // A variant stands one step in; its fields stand two.
            match line.strip_prefix("    ").filter(|line| !line.starts_with([' ', '}'])) {
                Some(line) if line.starts_with("///") => doc.push_str(line),
                Some(line) if line.starts_with(|c: char| c.is_uppercase()) => {
                    if !doc.starts_with("/// From ") {
                        faults.push(format!(
                            "{path}:{number}: a message's doc begins with `From` and its sender: {}",
                            line.trim_end_matches([',', ' ', '{'])
                        ));
                    }
                    doc.clear();
                }
                _ => {}
            }
        }
    }
    no_faults(faults);
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let mut faults = Vec::new();
    for path in ["src", "supervisors/src"].into_iter().flat_map(rust_files).filter(|path| !is_test_file(path)) {
        let lines = code(&read(&path)).len();
        match LONG_FILES.iter().find(|(file, ..)| *file == path) {
            Some((_, most, reason)) if lines > *most => {
                faults.push(format!("{path}:{most}: {lines} lines; it may have {most} ({reason}), no more"));
            }
            Some(_) if lines <= LONGEST_FILE => {
                faults.push(format!("{path}:1: {lines} lines: it needs its exception in tests/tidy.rs no more"));
            }
            None if lines > LONGEST_FILE => {
                faults.push(format!("{path}:{LONGEST_FILE}: {lines} lines without tests, more than {LONGEST_FILE}: where should its second responsibility live?"));
            }
            _ => {}
        }
    }
    no_faults(faults);
}

#[test]
fn every_dependency_has_its_reason_in_the_architecture() {
    let architecture = read("docs/architecture.md");
    // A table with the names in its first column and the reason in its second.
    let first_cells = architecture.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named: BTreeSet<&str> = first_cells.flat_map(|cell| cell.split([',', ' ', '`'])).collect();
    let mut faults = Vec::new();
    for manifest in ["Cargo.toml", "supervisors/Cargo.toml"] {
        let mut section = String::new();
        for (number, line) in (1..).zip(read(manifest).lines()) {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            }
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            let is_dependency = section.ends_with("dependencies") && line.starts_with(|c: char| c.is_alphabetic());
            if is_dependency && name != "supervisors" && !named.contains(name) {
                faults.push(format!("{manifest}:{number}: `{name}` is not in the table of docs/architecture.md: a dependency carries its reason"));
            }
        }
    }
    no_faults(faults);
}

#[test]
fn the_top_folder_holds_what_it_has_to_and_no_more() {
    let allowed: BTreeSet<&str> = TOP.iter().copied().collect();
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(top()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !allowed.contains(name.as_str()) {
            faults.push(format!("{name}:1: is not one of those that may lie at the top: a newcomer's first view is the listing of this folder"));
        }
    }
    for needed in [
        "Cargo.lock",
        "README.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "docs/architecture.md",
        "docs/supervision.md",
        ".ci/run",
    ] {
        if !top().join(needed).exists() {
            faults.push(format!("{needed}:1: is not there"));
        }
    }
    no_faults(faults);
}

#[test]
fn the_release_unwinds_and_checks_overflow() {
    let manifest = read("Cargo.toml");
    let release =
        manifest.split("[profile.release]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    for line in ["panic = \"unwind\"", "overflow-checks = true"] {
        assert!(release.contains(line), "Cargo.toml: the release profile says `{line}`: supervision rests on it");
    }
    assert!(
        !manifest.contains("panic = \"abort\""),
        "Cargo.toml: no profile aborts: a panic ends one process, not all of them"
    );
}

#[test]
fn the_rules_can_fail() {
    let planted = "//! A file.\nuse std::fs;\nfn f() { let t = Instant::now(); } // Instant::now\n// std::fs\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\nconst S: &str = \"a // b\"; use surf;\n";
    let code = code(planted);
    let found = |word: &str| {
        code.iter().filter(|(_, line)| names(line, word, &[])).map(|(number, _)| *number).collect::<Vec<_>>()
    };
    assert_eq!(found("std::fs"), [2]);
    assert_eq!(found("Instant::now"), [3]);
    assert_eq!(found("surf"), [9], "behind a string that holds two slashes");
    assert!(!names("catalog::x()", "log::", &[]), "a word begins at its beginning");
    assert!(
        names("fastrand::u32(..)", "fastrand::", &["fastrand::Rng"])
            && !names("fastrand::Rng", "fastrand::", &["fastrand::Rng"])
    );
    assert!(RULES.iter().all(|rule| !rule.words.is_empty() && !rule.reason.is_empty()));
}
