//! A supervision tree at one moment, as data.
//!
//! Taken without stopping anyone: each supervisor's children are of one moment, the levels may be a few microseconds apart.

use crate::{
    crew::View,
    pid::Pid,
    reason::ExitReason,
    rt,
    spec::{Flags, Kind, Strategy},
    table::{self, Entry},
};
use serde::Serialize;
use std::{
    sync::Arc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// What a child does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its init is not done, or it waits for its turn to be started.
    Starting,
    /// It is up.
    Running,
    /// It does not run: the environment failed it, or it is a supervisor that gave up and is parked.
    BackingOff {
        /// Until it is started again.
        millis: u64,
    },
    /// It was told to end.
    Stopping,
    /// It does not run and will not be started by itself.
    Stopped,
}

/// One child, and everything below it.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// `None` while it does not run.
    pub pid: Option<Pid>,
    /// Its id, unique among its siblings.
    pub name: String,
    /// What kind of process it is; the name when nothing else was said.
    pub role: String,
    /// Worker, supervisor or blocking.
    pub kind: Kind,
    /// The names from the root down, joined by `/`.
    pub path: String,
    /// What it does now.
    pub status: Status,
    /// Times it was started after the first, by the present incarnation of its supervisor.
    pub restarts: u64,
    /// Of the incarnation before this one.
    pub last_exit: Option<ExitReason>,
    /// Of a supervisor whose last incarnation gave up: over which child, and why that ended.
    pub gave_up: Option<String>,
    /// Messages that wait, and the most that ever waited, in the mailboxes that it shows.
    pub mailbox: Option<(usize, usize)>,
    /// Of a supervisor that runs.
    pub strategy: Option<Strategy>,
    /// Of a supervisor that runs: restarts used, allowed, and the period in which.
    pub budget: Option<(usize, u32, Duration)>,
    /// In start order.
    pub children: Vec<Node>,
}

/// A whole tree; [`Display`](std::fmt::Display) draws it.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Where it begins.
    pub root: Node,
    /// Restarts in the whole tree since its root was started, also those of children that are gone.
    pub total_restarts: u64,
}

impl Snapshot {
    pub(crate) fn of(entry: &Arc<Entry>) -> Self {
        let status = match entry.has_ended() {
            true => Status::Stopped,
            false if entry.is_told_to_end() => Status::Stopping,
            false if entry.is_ready() => Status::Running,
            false => Status::Starting,
        };
        let root = Node {
            pid: (!entry.has_ended()).then_some(entry.pid),
            name: entry.name.to_string(),
            role: entry.role().to_string(),
            kind: entry.kind,
            path: entry.path.to_string(),
            status,
            restarts: entry.incarnation,
            last_exit: None,
            gave_up: None,
            mailbox: entry.mailbox(),
            strategy: None,
            budget: None,
            children: Vec::new(),
        };
        let total_restarts = entry.tree_restarts.load(Ordering::Relaxed);
        Self { root: below(root, entry, rt::now()), total_restarts }
    }

    /// Parents before children, siblings in start order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let mut rest = vec![&self.root];
        std::iter::from_fn(move || {
            let node = rest.pop()?;
            rest.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// Those whose path fits: `*` stands for any part of one name, `**` for any number of names.
    pub fn find(&self, path_glob: &str) -> Vec<&Node> {
        let fits = |node: &&Node| glob(path_glob.as_bytes(), node.path.as_bytes());
        self.nodes().filter(fits).collect()
    }

    /// In the whole tree since its root was started.
    pub fn restarts(&self) -> u64 {
        self.total_restarts
    }
}

/// Restarts so far in the whole tree that the process `pid` belongs to; `None`: it has ended. Costs a table look-up.
pub fn restarts_in_tree(pid: Pid) -> Option<u64> {
    table::find(pid).map(|entry| entry.tree_restarts.load(Ordering::Relaxed))
}

/// The tree below `root` now; `None`: it has ended.
pub fn snapshot(root: Pid) -> Option<Snapshot> {
    table::find(root).map(|entry| Snapshot::of(&entry))
}

fn below(mut node: Node, entry: &Entry, now: Instant) -> Node {
    let Some(crew) = &entry.crew else {
        return node;
    };
    if let Some((flags, used)) = crew.budget(now) {
        let Flags { strategy, intensity, period, .. } = flags;
        node.strategy = Some(strategy);
        node.budget = Some((used, intensity, period));
    }
    let child = |view: View| {
        let View { info, cause, entry } = view;
        let child = Node {
            pid: info.pid,
            path: format!("{}/{}", node.path, info.id),
            name: info.id,
            role: info.role,
            kind: info.kind,
            status: info.status,
            restarts: info.restarts,
            last_exit: info.last_exit,
            gave_up: cause,
            mailbox: entry.as_ref().and_then(|entry| entry.mailbox()),
            strategy: None,
            budget: None,
            children: Vec::new(),
        };
        match entry {
            Some(entry) => below(child, &entry, now),
            None => child,
        }
    };
    node.children = crew.views(now).into_iter().map(child).collect();
    node
}

fn glob(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|at| glob(rest, &path[at..])),
        [b'*', rest @ ..] => {
            let name = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
            (0..=name).any(|at| glob(rest, &path[at..]))
        }
        [first, rest @ ..] => path.split_first().is_some_and(|(b, path)| b == first && glob(rest, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_stays_within_one_name_and_two_cross() {
        let fits = |pattern: &str, path: &str| glob(pattern.as_bytes(), path.as_bytes());
        assert!(fits("a/*/peer *", "a/b/peer 1.2.3.4:5"));
        assert!(!fits("a/*", "a/b/c"));
        assert!(fits("a/**", "a/b/c"));
        assert!(fits("**/store", "a/b/store"));
        assert!(!fits("**/store", "a/b/stored"));
    }
}
