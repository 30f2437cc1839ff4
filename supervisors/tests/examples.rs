//! Every example is run, and prints what stands in `examples/output`; only pids and line numbers may differ.
//!
//! With `BLESS=1` in the environment the outputs are written anew instead: read the difference before it is committed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// In the order of the lessons.
const EXAMPLES: [&str; 14] = [
    "let_it_crash",
    "one_for_one",
    "rest_for_one",
    "one_for_all",
    "simple_one_for_one",
    "transient_and_temporary",
    "intensity_and_escalation",
    "error_kernel",
    "links_and_monitors",
    "shutdown_order",
    "backoff_and_restart",
    "poisoned_message",
    "crews",
    "bastion_strategies",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Cargo builds the examples beside the tests.
fn binary(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    target.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

fn run(name: &str) -> String {
    let binary = binary(name);
    assert!(binary.exists(), "{} is not built: cargo build -p supervisors --examples", binary.display());
    let output = Command::new(binary).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{errors}", output.status);
    assert_eq!(errors, "", "{name} complains");
    String::from_utf8(output.stdout).unwrap()
}

/// Pids and line numbers become `_`; runs of spaces, which depend on how long those are, one space.
fn normal(text: &str) -> String {
    let number = |text: &mut String, after: &str| {
        let mut rest = std::mem::take(text);
        while let Some(at) = rest.find(after) {
            let tail = rest.split_off(at + after.len());
            text.push_str(&rest);
            let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':').len();
            text.push_str(if digits > 0 { "_" } else { "" });
            rest = tail[digits..].to_string();
        }
        text.push_str(&rest);
    };
    let line = |line: &str| {
        let mut line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        number(&mut line, "<");
        number(&mut line, ".rs:");
        line
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn check(name: &str) {
    let printed = run(name);
    let path = folder().join("output").join(format!("{name}.txt"));
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    assert!(printed.lines().count() > 10, "{name} says next to nothing");
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(normal(&printed), normal(&expected), "\n{name} printed\n{printed}");
}

macro_rules! examples {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )*};
}

examples!(
    let_it_crash,
    one_for_one,
    rest_for_one,
    one_for_all,
    simple_one_for_one,
    transient_and_temporary,
    intensity_and_escalation,
    error_kernel,
    links_and_monitors,
    shutdown_order,
    backoff_and_restart,
    poisoned_message,
    crews,
    bastion_strategies,
);

#[test]
fn every_example_is_run_here_and_named_in_the_readme_in_order() {
    let names = fs::read_dir(folder()).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".rs").map(str::to_string)
    });
    let (mut found, mut listed): (Vec<_>, Vec<_>) = (names.collect(), EXAMPLES.map(str::to_string).into());
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
    let readme = fs::read_to_string(folder().join("../README.md")).unwrap();
    let places =
        EXAMPLES.map(|name| readme.find(&format!("examples/{name}.rs")).unwrap_or_else(|| panic!("no {name}")));
    assert!(places.is_sorted(), "the lessons stand in another order: {places:?}");
}

#[test]
fn normal_forgets_pids_and_line_numbers_and_nothing_else() {
    assert_eq!(normal("  a   <12> panic (x.rs:31:7), 3 of 4"), "a <_> panic (x.rs:_), 3 of 4");
}
