//! Whether it came as it was predicted.

use std::collections::{HashMap, HashSet};
use supervisors::*;

macro_rules! same {
    ($predicted:expr, $seen:expr, $($what:tt)*) => {
        let (predicted, seen) = ($predicted, $seen);
        if predicted != seen {
            return Err(format!("{}: predicted {predicted:?}, seen {seen:?}", format!($($what)*)));
        }
    };
}

/// What became of a child.
#[derive(Debug, PartialEq)]
enum Fate {
    Same,
    New,
    Later,
    Down,
    Gone,
}

pub(super) fn compare(
    before: &Snapshot,
    prediction: &Prediction,
    after: &Snapshot,
    events: &[Event],
) -> Result<(), String> {
    let now: HashMap<&str, &Node> = after.nodes().map(|node| (node.path.as_str(), node)).collect();
    let ended = after.root.pid.is_none();
    same!(prediction.root_ends.is_some(), ended, "the root ends");
    for node in before.nodes().skip(1) {
        let path = node.path.as_str();
        let predicted = match prediction.restarted.iter().find(|restarted| restarted.path == path) {
            Some(restarted) if restarted.after.is_zero() => Fate::New,
            Some(_) => Fate::Later,
            None if prediction.forgotten.iter().any(|gone| gone == path) => Fate::Gone,
            None if prediction.stopped.iter().any(|down| down == path) => Fate::Down,
            None if node.pid.is_some() => Fate::Same,
            // It was down before and has nothing to do with it.
            None if matches!(node.status, Status::BackingOff { .. } | Status::Starting) => Fate::Later,
            None => Fate::Down,
        };
        let seen = match now.get(path) {
            Some(node_now) if node_now.pid.is_some() && node_now.pid == node.pid => Fate::Same,
            Some(node_now) if node_now.pid.is_some() => Fate::New,
            // Started again only when the back-off of a supervisor above is over.
            None if predicted == Fate::Later => Fate::Later,
            None => Fate::Gone,
            Some(node_now) if node_now.status == Status::Stopped => Fate::Down,
            Some(_) => Fate::Later,
        };
        same!(predicted, seen, "{path}");
    }
    let old: HashSet<Pid> = before.nodes().filter_map(|node| node.pid).collect();
    let exited = events.iter().filter(|event| old.contains(&event.pid)).filter_map(|event| match &event.kind {
        EventKind::Exited { reason } => Some((event.pid, reason.clone())),
        _ => None,
    });
    let mut exited: Vec<(Pid, ExitReason)> = exited.collect();
    let mut dies: Vec<(Pid, ExitReason)> =
        prediction.dies.iter().map(|dying| (dying.pid, dying.reason.clone())).collect();
    // The children of such a supervisor end side by side, and so do linked processes.
    let at_once = |node: &Node| node.strategy == Some(Strategy::SimpleOneForOne) || !node.links.is_empty();
    if before.nodes().any(at_once) {
        exited.sort_by_key(|(pid, _)| *pid);
        dies.sort_by_key(|(pid, _)| *pid);
    }
    same!(dies, exited, "who dies, why, in which order");
    let survivors: HashSet<Pid> = prediction.survives.iter().map(|surviving| surviving.pid).collect();
    same!(survivors.len() + prediction.dies.len(), old.len(), "everyone dies or survives");
    let gave_up = events.iter().filter(|event| matches!(event.kind, EventKind::GaveUp { .. }));
    let gives_up: Vec<Pid> = prediction.gives_up.iter().map(|gives_up| gives_up.pid).collect();
    same!(gives_up, gave_up.map(|event| event.pid).collect::<Vec<_>>(), "who gives up");
    for node in after.nodes().filter(|node| node.pid.is_some_and(|pid| survivors.contains(&pid))) {
        let spent = prediction.budgets.iter().find(|spent| Some(spent.pid) == node.pid);
        let budget = before.nodes().find(|old| old.pid == node.pid).and_then(|old| old.budget.as_ref());
        let predicted = spent.map(|spent| spent.used).or(budget.map(|budget| budget.used));
        same!(predicted, node.budget.as_ref().map(|budget| budget.used), "budget of {}", node.path);
    }
    Ok(())
}
