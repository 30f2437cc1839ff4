//! A supervision tree at one moment, as data.
//!
//! Taken without stopping anyone: each supervisor's children are of one moment, the levels may be a few microseconds apart. A
//! supervisor is held up for as long as it takes to copy what it knows of its children, well under a microsecond each.

mod budget;
mod gather;

pub use budget::Budget;
pub(crate) use budget::Span;

use crate::{
    glob::glob,
    json,
    machine::State,
    pid::Pid,
    reason::ExitReason,
    spec::{AutoShutdown, Backoff, Kind, Restart, Shutdown, Strategy},
    table::{self, Entry},
};
use serde::Serialize;
use std::{
    sync::{Arc, atomic::Ordering},
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
    /// It is up, and holds still until it is resumed.
    Suspended,
    /// It does not run: the environment failed it, or it is a supervisor that gave up and is parked
    /// ([`Node::gave_up`] is set then).
    BackingOff {
        /// Until it is started again.
        millis: u64,
    },
    /// It was told to end, or ends by itself, or has ended and its supervisor is about to hear of it.
    Stopping,
    /// It does not run and will not be started by itself.
    Stopped,
}

impl Status {
    /// Of a child in `state`.
    pub(crate) fn of(state: &State, now: Instant) -> Self {
        match state {
            State::Waiting | State::Launching | State::Starting { .. } => Self::Starting,
            State::Running { .. } => Self::Running,
            State::Stopping { .. } => Self::Stopping,
            State::BackingOff { until } => {
                let left = until.saturating_duration_since(now);
                Self::BackingOff { millis: u64::try_from(left.as_millis()).unwrap_or(u64::MAX) }
            }
            State::Stopped => Self::Stopped,
        }
    }
}

/// Messages of a process, over all mailboxes that it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// That wait now.
    pub len: usize,
    /// The most that ever waited.
    pub high_water: usize,
}

/// The part of a [`ChildSpec`](crate::ChildSpec) that decides what becomes of a child.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// When it is started again.
    pub restart: Restart,
    /// How it is ended. JSON: `"brutal_kill"`, `"infinity"` or milliseconds.
    #[serde(serialize_with = "json::shutdown")]
    pub shutdown: Shutdown,
    /// Its own end may end its supervisor.
    pub significant: bool,
    /// The wait after an exit that the environment caused; `None`: [`Backoff::default`].
    #[serde(serialize_with = "json::backoff")]
    pub backoff: Option<Backoff>,
    /// The next sibling is started only when this one is ready.
    pub awaits_init: bool,
    /// Given by its supervisor's init. Others were added later, and are gone when their supervisor is started again.
    pub given: bool,
    /// Environment exits in a row, which make the next wait longer.
    pub failures: u32,
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
    /// Worker, supervisor or blocking. JSON: `type`, as OTP calls it.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The names from the root down, joined by `/`.
    pub path: String,
    /// Its supervisor; `None`: the snapshot begins here.
    pub parent: Option<Pid>,
    /// What it does now.
    pub status: Status,
    /// Times it was started after the first, by the present incarnation of its supervisor.
    pub restarts: u64,
    /// Of the incarnation before this one.
    pub last_exit: Option<ExitReason>,
    /// Of a supervisor whose last incarnation gave up: over which child, and why that ended.
    pub gave_up: Option<String>,
    /// Of the mailboxes that it shows; `None`: it shows none.
    pub mailbox: Option<Waiting>,
    /// Times that it was polled.
    pub polls: u64,
    /// How long those polls took together. JSON: `busy_ms`.
    #[serde(rename = "busy_ms", serialize_with = "json::ms")]
    pub busy: Duration,
    /// Since this incarnation was started. JSON: `uptime_ms`.
    #[serde(rename = "uptime_ms", serialize_with = "json::some_ms")]
    pub uptime: Option<Duration>,
    /// Processes that it is linked to.
    pub links: Vec<Pid>,
    /// Processes that it monitors by [`Process::monitor`](crate::Process::monitor), one for each monitor.
    pub monitors: Vec<Pid>,
    /// It hears exit signals instead of ending by them.
    pub traps_exit: bool,
    /// From its child spec; `None`: the snapshot begins here.
    pub rules: Option<Rules>,
    /// Of a supervisor that runs.
    pub strategy: Option<Strategy>,
    /// Of a supervisor that runs.
    pub auto_shutdown: Option<AutoShutdown>,
    /// Of a supervisor that runs: how many restarts it has had lately, and how many it may have.
    pub budget: Option<Budget>,
    /// In start order.
    pub children: Vec<Node>,
}

impl Default for Node {
    /// A nameless worker without a pid, to be filled in.
    fn default() -> Self {
        Self {
            pid: None,
            name: String::new(),
            role: String::new(),
            kind: Kind::Worker,
            path: String::new(),
            parent: None,
            status: Status::Running,
            restarts: 0,
            last_exit: None,
            gave_up: None,
            mailbox: None,
            polls: 0,
            busy: Duration::ZERO,
            uptime: None,
            links: Vec::new(),
            monitors: Vec::new(),
            traps_exit: false,
            rules: None,
            strategy: None,
            auto_shutdown: None,
            budget: None,
            children: Vec::new(),
        }
    }
}

/// A whole tree; [`Display`](std::fmt::Display) draws it for a terminal, [`to_json`](Self::to_json),
/// [`to_mermaid`](Self::to_mermaid) and [`to_dot`](Self::to_dot) for machines.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Where it begins.
    pub root: Node,
    /// Restarts in the whole tree since its root was started, also those of children that are gone.
    pub total_restarts: u64,
}

impl Snapshot {
    pub(crate) fn of(entry: &Arc<Entry>) -> Self {
        let total_restarts = entry.tree_restarts.load(Ordering::Relaxed);
        Self { root: gather::tree(entry), total_restarts }
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
        let fits = |node: &&Node| glob(path_glob, &node.path);
        self.nodes().filter(fits).collect()
    }

    /// In the whole tree since its root was started.
    pub fn restarts(&self) -> u64 {
        self.total_restarts
    }

    /// One JSON object in one line: `{"root": NODE, "total_restarts": 3}`. All fields are always there; `null` says that there is no
    /// value.
    ///
    /// ```json
    /// {
    ///   "pid": 7, "name": "peer 1", "role": "peer", "type": "worker", "path": "top/peers_sup/peer 1", "parent": 4,
    ///   "status": "running", "restarts": 2, "last_exit": {"panic": {"message": "boom", "location": "src/peer.rs:12:5"}},
    ///   "gave_up": null, "mailbox": {"len": 0, "high_water": 17}, "polls": 120, "busy_ms": 3.25, "uptime_ms": 5012.5,
    ///   "links": [8], "monitors": [], "traps_exit": false,
    ///   "rules": {
    ///     "restart": "permanent", "shutdown": 5000.0, "significant": false, "backoff": null, "awaits_init": false, "given": true,
    ///     "failures": 0
    ///   },
    ///   "strategy": null, "auto_shutdown": null, "budget": null, "children": []
    /// }
    /// ```
    ///
    /// `status` is `"starting"`, `"running"`, `"suspended"`, `"stopping"`, `"stopped"` or `{"backing_off": {"millis": 250}}`.
    /// `type` is `"worker"`, `"supervisor"` or `"blocking"`; `restart`, `shutdown` and `strategy` have OTP's words.
    /// Of a supervisor `budget` is
    /// `{"used": 2, "allowed": 3, "period_ms": 5000.0, "ages_ms": [4100.2, 12.5], "text": "2 of 3 in 5 s"}`, ages oldest first.
    /// An exit reason is `"normal"`, `"shutdown"`, `"killed"`, `"no_proc"`, `{"error": TEXT}`, `{"environment": TEXT}`,
    /// `{"shutdown_with": TEXT}`, `{"failed_to_start_child": {"id": ID, "reason": REASON}}` or a panic as above. A `backoff` is
    /// `{"first_ms": 500.0, "cap_ms": 30000.0, "jitter": 0.5, "reset_after_ms": 60000.0}`.
    pub fn to_json(&self) -> String {
        json::text(self)
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
