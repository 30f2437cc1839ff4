//! What a supervisor reports about a crash, with a line for each fact.
//!
//! The same facts that stand in the log (target `sasl`) in two long lines; here they fit 80 columns. Pure.

use std::time::Instant;

use supervisors::{Event, Node, Snapshot};

use crate::cli::duration::short;
use crate::cli::progress::count;
use crate::cli::terminal::Paint;

/// A process that panicked.
pub(crate) struct Crash {
    /// As it was before.
    pub(crate) victim: Node,
    /// When it had ended.
    pub(crate) at: Instant,
    /// The panic's text.
    pub(crate) message: String,
    /// `src/x.rs:12:5`, or empty when it is not known.
    pub(crate) location: String,
}

/// The report, once `restarted` has happened and the tree looks like `now`.
pub(crate) fn lines(crash: &Crash, restarted: &Event, now: &Snapshot, paint: Paint) -> Vec<String> {
    let path = &crash.victim.path;
    let supervisor = path.rsplit_once('/').map_or("", |(supervisor, _)| supervisor);
    let took = restarted.at.saturating_duration_since(crash.at);
    let pid = |pid: Option<supervisors::Pid>| pid.map_or(String::new(), |pid| pid.to_string());
    let mut facts = vec![
        ("supervisor", supervisor.to_owned()),
        ("event", "child_terminated".to_owned()),
        ("child", format!("{} {}", crash.victim.name, pid(crash.victim.pid))),
        ("reason", paint.red(format!("panic: {}", crash.message))),
        ("decision", format!("start it again, {} later, as {}", short(took), restarted.pid)),
    ];
    if !crash.location.is_empty() {
        facts.insert(4, ("where", shorter_place(&crash.location)));
    }
    if let Some(budget) = now.nodes().find(|node| node.path == supervisor).and_then(|node| node.budget.as_ref()) {
        let (used, period) = (count(budget.used as u64, "restart"), short(budget.period));
        facts.push(("budget", format!("{used} used, more than {} in {period} would be too many", budget.allowed)));
    }
    let head = std::iter::once(paint.bold("=SUPERVISOR REPORT===="));
    let facts = facts.into_iter().map(|(name, value)| format!("  {} {value}", paint.dim(format!("{name:<11}"))));
    head.chain(facts).collect()
}

/// Only what stands after the last `/src/`'s crate: a path into the registry is of no use to a reader.
fn shorter_place(location: &str) -> String {
    const WIDEST: usize = 60;
    if location.len() <= WIDEST {
        return location.to_owned();
    }
    let tail: Vec<&str> = location.rsplit('/').take(3).collect();
    format!("…/{}", tail.into_iter().rev().collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::shorter_place;

    #[test]
    fn a_place_deep_in_some_folder_is_cut_to_its_end() {
        assert_eq!(shorter_place("src/process/peer.rs:12:5"), "src/process/peer.rs:12:5");
        let deep = "/a/very/long/path/to/somewhere/else/altogether/with/more/crate/src/lib.rs:1:2";
        assert_eq!(shorter_place(deep), "…/crate/src/lib.rs:1:2");
    }
}
