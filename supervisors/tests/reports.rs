//! What is written to the log. Alone in its OS process, because there is one logger.

mod common;
use common::*;
use std::sync::Mutex;
use supervisors::*;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "sasl"
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata())
            && let Ok(mut lines) = LINES.lock()
        {
            lines.push(format!("{} {}", record.level(), record.args()));
        }
    }
    fn flush(&self) {}
}

#[test]
fn a_crash_is_told_by_the_process_and_by_its_supervisor_and_a_give_up_once() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let system = start(ChildSpec::supervisor("top", || one_for_one(vec![crasher("peer 1")])));
    wait(system.wait());
    let lines = LINES.lock().unwrap().clone();
    let count = |start: &str, part: &str| lines.iter().filter(|l| l.starts_with(start) && l.contains(part)).count();
    println!("{}", lines.join("\n"));
    assert_eq!(count("ERROR CRASH REPORT  top/peer 1 <", "panicked at supervisors/tests/common/mod.rs:"), 4);
    assert_eq!(count("ERROR SUPERVISOR REPORT  top  child_terminated  peer 1 <", "at once"), 4);
    assert_eq!(count("ERROR SUPERVISOR REPORT  top  shutdown  reached_max_restart_intensity", "peer 1"), 1);
    assert_eq!(count("DEBUG PROGRESS  top  started peer 1 <", ">"), 4);
    assert!(lines.iter().all(|line| !line.contains('\n')));
}
