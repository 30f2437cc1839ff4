//! The same crash scripts through Erlang's own `supervisor` and through this crate: who is started, who ends and why, what is
//! reported, what calls answer, and all of it in the same order.
//!
//! Needs `erl` (Debian: `erlang-base`). `CONFORMANCE_ONLY=WORD` plays only scripts with that word in their name, `CONFORMANCE_SHOW=1` prints
//! OTP's traces, `CONFORMANCE_RECORD=1` writes `otp-25.trace`.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod differences;
mod generate;
mod otp;
mod ours;
mod script;
mod stage;
mod trace;

use differences::DIFFERENCES;
use script::Script;
use std::{collections::HashSet, env, sync::Mutex};

const SCRIPTS: [&str; 9] = [
    include_str!("scripts/restarts.txt"),
    include_str!("scripts/intensity.txt"),
    include_str!("scripts/inits.txt"),
    include_str!("scripts/shutdown.txt"),
    include_str!("scripts/children.txt"),
    include_str!("scripts/significant.txt"),
    include_str!("scripts/simple.txt"),
    include_str!("scripts/signals.txt"),
    include_str!("scripts/differences.txt"),
];

/// Scripts whose trace is not OTP's yet, one name a line.
const OPEN: &str = include_str!("open.txt");

/// Plays all of them on both sides. Returns what differs otherwise than [`DIFFERENCES`] says.
fn compare(scripts: &[Script], label: &str, recorded: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let otp = otp::play(scripts, label, recorded);
    let mut surprises = Vec::new();
    for script in scripts {
        let theirs =
            otp.get(&script.name).unwrap_or_else(|| panic!("OTP's trace of {:?} is not recorded", script.name));
        let theirs = differences::ended_in_order(theirs.clone().canonical(script), script);
        if env::var_os("CONFORMANCE_SHOW").is_some() {
            eprintln!("{script}{theirs}");
        }
        let ours = differences::counted(ours::play(script).canonical(script), script);
        let explained = DIFFERENCES.iter().find(|difference| difference.script == script.name);
        let expected = explained.map_or([[].as_slice(); 2], |difference| [difference.otp, difference.ours]);
        if theirs.only(&ours) != expected {
            let both = theirs.difference(&ours).unwrap_or_else(|| "    no difference\n".into());
            let reason =
                explained.map_or(String::new(), |difference| format!("    said to differ: {}\n", difference.reason));
            surprises.push((script.name.clone(), format!("{script}\n{reason}{both}")));
        }
    }
    surprises
}

#[test]
fn every_script_has_one_trace_in_otp_and_here() {
    let mut scripts: Vec<Script> = SCRIPTS.into_iter().flat_map(script::parse).collect();
    let names: HashSet<&str> = scripts.iter().map(|script| script.name.as_str()).collect();
    assert_eq!(names.len(), scripts.len(), "two scripts have one name");
    let unknown: Vec<&str> = DIFFERENCES.iter().map(|it| it.script).filter(|name| !names.contains(name)).collect();
    assert!(unknown.is_empty(), "no script is called {unknown:?}");
    if let Ok(word) = env::var("CONFORMANCE_ONLY") {
        scripts.retain(|script| script.name.contains(&word));
    }
    let differences = compare(&scripts, "scripts", |_| true);
    let open: HashSet<&str> = OPEN.lines().collect();
    let new: Vec<&str> =
        differences.iter().filter(|(name, _)| !open.contains(name.as_str())).map(|(_, how)| how.as_str()).collect();
    assert!(new.is_empty(), "{} of {} scripts differ\n\n{}", new.len(), scripts.len(), new.join("\n"));
    let differ: HashSet<&str> = differences.iter().map(|(name, _)| name.as_str()).collect();
    let played = |name: &&str| scripts.iter().any(|script| script.name == *name);
    let closed: Vec<&str> = open.into_iter().filter(played).filter(|name| !differ.contains(name)).collect();
    assert!(closed.is_empty(), "these are as in OTP now: {closed:?}");
}

/// Of the scripts made by dice, those up to this number are recorded.
const RECORDED: u64 = 50;

/// As many as `CONFORMANCE_SCRIPTS` says, from the number `CONFORMANCE_FROM` on.
#[test]
fn scripts_made_by_dice_have_one_trace_too() {
    let number = |name, default| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (from, len) = match otp::is_here() {
        true => (number("CONFORMANCE_FROM", 0), number("CONFORMANCE_SCRIPTS", 200)),
        false => (0, RECORDED),
    };
    let scripts: Vec<Script> = (from..from + len).map(generate::script).collect();
    let recorded: HashSet<String> = (0..RECORDED).map(|number| generate::script(number).name).collect();
    let differences = compare(&scripts, "dice", |name| recorded.contains(name));
    let how: Vec<String> = differences.into_iter().map(|(_, how)| how).collect();
    assert!(how.is_empty(), "{} of {len} scripts differ\n\n{}", how.len(), how.join("\n"));
}
