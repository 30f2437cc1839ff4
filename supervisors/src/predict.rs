//! What happens when a process exits: who dies, who survives, who is restarted, whose budget breaks, and who hears of it.
//!
//! Pure: [`predict`] makes the supervisors' state machines again from a [`Snapshot`] and lets them run against processes that do what
//! they are told at once. It is the machine that runs the real tree, so a prediction cannot drift from it; a property test
//! compares the two over random trees (`tests/prediction.rs`).
//!
//! Links are followed as far as the snapshot shows them: who does not trap exits ends with the same reason, unless that is `normal`; what
//! a process does that traps exits, or hears of it through a monitor, is its own business and not predicted. A supervisor is taken to hear of
//! an exit before it hears of those that came of it by links; where both are its children and it is not one_for_one, the runtime may do
//! it the other way round, and one restart may count as two.
//!
//! What is assumed, since a snapshot cannot know it: whatever is started again comes up; whoever is told to end does so in time, with the
//! reason it was given; a supervisor's init gives the same children as last time, those that are gone by now excepted; nothing else happens
//! meanwhile.

mod text;
mod world;

use crate::{
    json,
    pid::Pid,
    reason::ExitReason,
    snapshot::{Budget, Snapshot, Status},
};
use serde::Serialize;
use std::{fmt, time::Duration};
use world::World;

/// The process whose exit is predicted, by pid or by path.
#[derive(Clone, Debug)]
pub enum Target {
    /// One that runs.
    Pid(Pid),
    /// The names from the root down, joined by `/`.
    Path(String),
}

impl From<Pid> for Target {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<&str> for Target {
    fn from(path: &str) -> Self {
        Self::Path(path.to_string())
    }
}

/// Why nothing can be predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PredictError {
    /// The snapshot has no such process.
    NotFound,
    /// It does not run, so it cannot exit.
    NotRunning,
    /// Two children of this supervisor have one id: the snapshot was not taken of a tree.
    NotATree(String),
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such process in the snapshot"),
            Self::NotRunning => f.write_str("the process does not run"),
            Self::NotATree(path) => write!(f, "two children of {path} have one id"),
        }
    }
}

impl std::error::Error for PredictError {}

/// A process that ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dying {
    /// Of the incarnation that ends.
    pub pid: Pid,
    /// The names from the root down, joined by `/`.
    pub path: String,
    /// `shutdown` for those that are told to.
    pub reason: ExitReason,
}

/// A process that is not touched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Surviving {
    /// Stays the same.
    pub pid: Pid,
    /// The names from the root down, joined by `/`.
    pub path: String,
}

/// A child that is started again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Restarted {
    /// The names from the root down, joined by `/`.
    pub path: String,
    /// How long it is down at most: a back-off, its own or an elder sibling's. Zero: at once. JSON: `after_ms`.
    #[serde(rename = "after_ms", serialize_with = "json::ms")]
    pub after: Duration,
}

/// A supervisor that loses some of its budget, and stays or gives up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spent {
    /// Of the supervisor.
    pub path: String,
    /// Of the supervisor.
    pub pid: Pid,
    /// In the snapshot.
    pub before: Budget,
    /// Restarts within the period, afterwards; more than allowed: it gives up.
    pub used: usize,
}

/// A supervisor that reaches its restart intensity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GivesUp {
    /// Of the supervisor.
    pub path: String,
    /// Of the supervisor.
    pub pid: Pid,
    /// The child whose exit was one too many.
    pub over: String,
    /// The supervisor that hears of it and has to decide; `None`: it was the root.
    pub escalates_to: Option<String>,
}

/// What [`predict`] says; [`Display`](fmt::Display) puts it into words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Who exits.
    pub target: Surviving,
    /// Why.
    pub reason: ExitReason,
    /// Everyone who ends, the target included, in this order.
    pub dies: Vec<Dying>,
    /// Everyone else who runs.
    pub survives: Vec<Surviving>,
    /// Paths at which there is a new process afterwards.
    pub restarted: Vec<Restarted>,
    /// Paths of children that end, and stay known but down.
    pub stopped: Vec<String>,
    /// Paths of children that are no longer in the tree: temporary ones, ones that had been added to a supervisor that ended,
    /// and everything below a supervisor that stays down.
    pub forgotten: Vec<String>,
    /// Supervisors whose budget is touched, in this order.
    pub budgets: Vec<Spent>,
    /// Supervisors that give up, in this order.
    pub gives_up: Vec<GivesUp>,
    /// The last supervisor that hears of another's end and stays; `None`: nobody gives up, or nobody is left.
    pub escalates_to: Option<String>,
    /// The whole tree ends, for this reason.
    pub root_ends: Option<ExitReason>,
    /// What this snapshot leaves open, in words.
    pub unknown: Vec<String>,
}

impl Prediction {
    /// The process at `path` ends.
    pub fn kills(&self, path: &str) -> bool {
        self.dies.iter().any(|dying| dying.path == path)
    }

    /// The process at `path` is started again, at once or later.
    pub fn restarts(&self, path: &str) -> bool {
        self.restarted.iter().any(|restarted| restarted.path == path)
    }

    /// One JSON object in one line; the fields are those of this type.
    pub fn to_json(&self) -> String {
        json::text(self)
    }
}

/// What happens when `target` exits with `reason` now, that is, when `snapshot` was taken.
///
/// ```
/// use std::time::Duration;
/// use supervisors::{ChildSpec, ExitReason, Flags, SupervisorSpec, predict, start};
///
/// let waits = |id: &str| ChildSpec::worker(id, |_| std::future::pending());
/// let system = start(ChildSpec::supervisor("top_sup", move || SupervisorSpec {
///     flags: Flags::rest_for_one().intensity(1, Duration::from_secs(5)),
///     children: vec![waits("store"), waits("client"), waits("peers")],
/// }));
/// # async_std::task::block_on(async {
/// # while system.snapshot().nodes().filter(|node| node.pid.is_some()).count() < 4 { async_std::task::yield_now().await; }
/// let prediction = predict(&system.snapshot(), "top_sup/client", ExitReason::error("a bug"))?;
/// assert!(prediction.kills("top_sup/peers") && !prediction.kills("top_sup/store"));
/// assert_eq!(prediction.gives_up, []);
/// println!("{prediction}");
/// # system.stop(Duration::from_secs(5)).await;
/// # Ok::<(), supervisors::PredictError>(()) }).unwrap();
/// # Ok::<(), supervisors::PredictError>(())
/// ```
///
/// # Errors
/// When the target does not run in `snapshot`.
pub fn predict(snapshot: &Snapshot, target: impl Into<Target>, reason: ExitReason) -> Result<Prediction, PredictError> {
    let target = target.into();
    let found = snapshot.nodes().position(|node| match &target {
        Target::Pid(pid) => node.pid == Some(*pid),
        Target::Path(path) => node.path == *path,
    });
    let at = found.ok_or(PredictError::NotFound)?;
    let mut world = World::new(snapshot)?;
    let node = world.node(at);
    let pid = node.pid.ok_or(PredictError::NotRunning)?;
    let target = Surviving { pid, path: node.path.clone() };
    world.exits(pid, reason.clone());
    Ok(world.outcome(target, reason))
}

/// What in `snapshot` was on its way when it was taken.
fn unknown(snapshot: &Snapshot) -> Vec<String> {
    let mut unknown = Vec::new();
    for node in snapshot.nodes() {
        let path = &node.path;
        match node.status {
            Status::Stopping => {
                unknown.push(format!("{path} is being ended; whether it is started again is not known"))
            }
            Status::Starting => unknown.push(format!("{path} is being started; that it comes up is assumed")),
            Status::BackingOff { .. } if node.gave_up.is_some() => {
                unknown.push(format!("{path} is down, and what it will start is not known"));
            }
            _ => {}
        }
    }
    unknown
}
