//! Erlang itself: runs otp.erl, or reads what it said when it was last there.

use crate::{
    script::Script,
    trace::{self, Trace},
};
use std::{
    collections::HashMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// What OTP of [`VERSION`] did, for where there is no Erlang.
const RECORDED: &str = "otp-25.trace";
const VERSION: &str = "# OTP 25";

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// `false`, and loud about it: without `erl` the recorded traces have to do. In CI that is a failure.
pub(crate) fn is_here() -> bool {
    let erl = Command::new("erl").args(["-noshell", "-eval", "halt()."]).status();
    let here = erl.is_ok_and(|status| status.success());
    if !here {
        assert!(env::var_os("CI").is_none(), "CI has to compare with Erlang itself: install erlang-base");
        // Not `eprintln`: the test passes, and then what that prints is not shown.
        let warning = format!("\n*** `erl` IS NOT INSTALLED: compared with the traces recorded in {RECORDED} ***\n\n");
        std::io::stderr().write_all(warning.as_bytes()).expect("stderr");
    }
    here
}

/// What OTP does with these scripts, by script name. The recorded traces are of those that `recorded` says; they must be what
/// the same version of OTP does today. With `CONFORMANCE_RECORD` set they are written anew.
pub(crate) fn play(scripts: &[Script], label: &str, recorded: impl Fn(&str) -> bool) -> HashMap<String, Trace> {
    let file = here().join(RECORDED);
    let old = trace::parse(&fs::read_to_string(&file).unwrap_or_default());
    if !is_here() {
        return old;
    }
    let text = run(scripts, label);
    let new = trace::parse(&text);
    if !text.starts_with(VERSION) {
        return new;
    }
    if env::var_os("CONFORMANCE_RECORD").is_some() {
        record(&file, new.iter().filter(|(name, _)| recorded(name)));
        return new;
    }
    for script in scripts.iter().filter(|script| recorded(&script.name)) {
        let [old, new] = [&old, &new].map(|traces| traces.get(&script.name).cloned().map(|it| it.canonical(script)));
        assert!(
            old == new,
            "{RECORDED} has another trace of {:?}: write it anew with CONFORMANCE_RECORD=1",
            script.name
        );
    }
    new
}

/// One scheduler: what happens has one order.
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

/// Replaces what is recorded of these scripts; sorted by name.
fn record<'a>(file: &Path, new: impl Iterator<Item = (&'a String, &'a Trace)>) {
    let mut all = trace::parse(&fs::read_to_string(file).unwrap_or_default());
    all.extend(new.map(|(name, trace)| (name.clone(), trace.clone())));
    let mut blocks: Vec<String> = all.iter().map(|(name, trace)| format!("\n@ {name}\n{trace}")).collect();
    blocks.sort_unstable();
    fs::write(file, format!("{VERSION}\n{}", blocks.concat())).expect("a writable directory");
}
