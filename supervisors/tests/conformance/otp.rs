//! Erlang itself: runs otp.erl, or reads what it said when it was last there.

use crate::{
    script::Script,
    trace::{self, Trace},
};
use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The version that is recorded. Another one may answer the test too: what it does is what is compared with.
const RECORDED: &str = "otp-25.trace";

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn erlang_is_here() -> bool {
    Command::new("erl").args(["-noshell", "-eval", "halt()."]).status().is_ok_and(|status| status.success())
}

/// What OTP does with these scripts, by script name.
///
/// Without `erl` it is what OTP did when [`RECORDED`] was written; in CI that is a failure. With `CONFORMANCE_RECORD` set, the
/// file is written anew.
pub(crate) fn play(scripts: &[Script], label: &str) -> HashMap<String, Trace> {
    let recorded = here().join(RECORDED);
    if !erlang_is_here() {
        assert!(env::var_os("CI").is_none(), "CI has to compare with Erlang itself: install erlang-base");
        eprintln!("\n*** {label}: `erl` IS NOT INSTALLED; compared with the recorded traces in {RECORDED} ***\n");
        let text = fs::read_to_string(&recorded).expect("the recorded traces");
        return trace::parse(&text);
    }
    let text = run(scripts, label);
    if env::var_os("CONFORMANCE_RECORD").is_some() {
        record(&recorded, &text);
    }
    trace::parse(&text)
}

/// One scheduler: a process that ends is heard of by all before any of them goes on.
fn run(scripts: &[Script], label: &str) -> String {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (dir.join(format!("{label}.scripts")), dir.join(format!("{label}.trace")));
    let text: String = scripts.iter().map(|script| format!("{script}\n")).collect();
    fs::write(&input, text).expect("a writable directory");
    let program = format!(
        "{{ok, otp, Code}} = compile:file({:?}, [binary, report]), {{module, otp}} = code:load_binary(otp, \"otp\", Code), \
         otp:main({input:?}, {output:?}), halt().",
        here().join("otp.erl"),
    );
    let status = Command::new("erl").args(["+S", "1:1", "-noshell", "-eval", &program]).status();
    assert!(status.is_ok_and(|status| status.success()), "otp.erl failed");
    fs::read_to_string(output).expect("what otp.erl wrote")
}

/// Replaces what is recorded of these scripts.
fn record(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap_or_default();
    let name = |block: &str| block.lines().next().unwrap_or_default().to_string();
    let new: HashMap<String, &str> = blocks(text).map(|block| (name(block), block)).collect();
    let mut all: Vec<&str> = blocks(&old).filter(|block| !new.contains_key(&name(block))).collect();
    all.extend(new.values());
    all.sort_unstable();
    fs::write(path, all.concat()).expect("a writable directory");
}

fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> =
        text.match_indices("@ ").map(|(at, _)| at).filter(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n').collect();
    let ends: Vec<usize> = starts.iter().copied().skip(1).chain([text.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &text[start..end])
}
