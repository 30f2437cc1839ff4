//! Fault points from the environment: each case in an OS process of its own, which is this test binary again.

#![allow(clippy::unwrap_used)]

use std::{cell::Cell, process::Command};
use supervisors::{fault_result, faults};

/// What the child prints behind this is what it found.
const MARK: &str = "found: ";

fn child(points: Option<&str>, seed: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "in_the_child", "--ignored", "--nocapture"]);
    for (name, value) in [(faults::VARIABLE, points), (faults::SEED_VARIABLE, seed)] {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.lines().find_map(|line| line.split_once(MARK));
    found.unwrap_or_else(|| panic!("{text}")).1.to_string()
}

#[test]
#[ignore = "run by the others, with variables set"]
fn in_the_child() {
    let looked = Cell::new(0);
    let look = || looked.replace(looked.get() + 1);
    assert_eq!(fault_result!("env.point", n = look()), Ok(()), "nothing is read before it is asked for");
    assert_eq!(looked.get(), 0, "nothing is armed, so no value is looked at");
    let found = match faults::from_env() {
        Ok(Some(armed)) => {
            let met = fault_result!("env.point").map_err(|fault| fault.to_string());
            format!("{met:?} seed {}", armed.seed() == 42)
        }
        Ok(None) => "nothing".to_string(),
        Err(error) => error.to_string(),
    };
    println!("{MARK}{found}");
}

#[test]
fn what_the_variables_say_is_armed() {
    let met = child(Some("other=panic; env.*=error(from outside)"), Some("42"));
    assert_eq!(met, "Err(\"from outside (injected at env.point)\") seed true");
}

#[test]
fn nothing_is_armed_without_the_variable() {
    assert_eq!(child(None, Some("42")), "nothing");
    assert_eq!(child(Some(""), None), "nothing");
}

#[test]
fn what_is_wrong_in_the_variables_is_returned() {
    let error = child(Some("env.point=off;env.point=5%panik"), None);
    assert!(error.starts_with("SUPERVISORS_FAULTS: character 27 of"), "{error}");
    assert!(error.contains("no task is called \"panik\""), "{error}");
    let error = child(Some("env.point=off"), Some("many"));
    assert_eq!(error, "SUPERVISORS_FAULTS_SEED: \"many\" is not a whole number");
}
