//! The address of a supervisor, and what can be asked of it at run time.
//!
//! Made before the supervisor, and right across its restarts. Never waits for anything but the answer.

use crate::{
    json,
    pid::Pid,
    reason::ExitReason,
    snapshot::Status,
    spec::{Backoff, BadSpec, ChildSpec, Kind, Restart, Shutdown},
    table::{self, lock},
};
use futures::channel::oneshot;
use serde::Serialize;
use std::{
    fmt,
    sync::{Arc, Mutex},
};

/// Requests kept for a supervisor that is down: its next incarnation does them.
const KEPT_WHILE_DOWN: usize = 1024;

/// Why a child was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// A child with this id runs.
    AlreadyStarted(Pid),
    /// A child with this id is known, and does not run.
    AlreadyPresent,
    /// It ended before it was up. A spec that was new is forgotten.
    Failed(ExitReason),
    /// Its init had nothing to do, which OTP answers with `{ok, undefined}`: the child is known and has no process. A temporary one, or
    /// one of a simple supervisor, is forgotten.
    Ignored,
    /// The supervisor does not take such a child.
    BadSpec(BadSpec),
    /// No child has this id (`restart_child`).
    NotFound,
    /// It runs (`restart_child`).
    Running,
    /// It is about to be started again (`restart_child`).
    Restarting,
    /// A simple_one_for_one supervisor knows no ids to restart by (`restart_child`).
    SimpleOneForOne,
    /// The supervisor has ended, or is about to.
    NoSupervisor,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted(pid) => write!(f, "already started as {pid}"),
            Self::AlreadyPresent => f.write_str("already present"),
            Self::Failed(reason) => write!(f, "did not start: {reason}"),
            Self::Ignored => f.write_str("had nothing to do"),
            Self::BadSpec(bad) => bad.fmt(f),
            Self::NotFound => f.write_str("no such child"),
            Self::Running => f.write_str("the child runs"),
            Self::Restarting => f.write_str("the child is being restarted"),
            Self::SimpleOneForOne => f.write_str("a simple_one_for_one supervisor restarts no child by its id"),
            Self::NoSupervisor => f.write_str("the supervisor does not run"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a child was not terminated, deleted, replaced or described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildError {
    /// No child has this id.
    NotFound,
    /// It runs (`delete_child`).
    Running,
    /// It is about to be started again (`delete_child`).
    Restarting,
    /// A simple_one_for_one supervisor has one spec, for all of its children (`delete_child`, `replace_child`).
    SimpleOneForOne,
    /// The supervisor does not take such a child (`replace_child`).
    BadSpec(BadSpec),
    /// The supervisor has ended, or is about to.
    NoSupervisor,
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such child",
            Self::Running => "the child runs",
            Self::Restarting => "the child is being restarted",
            Self::SimpleOneForOne => "a simple_one_for_one supervisor has one spec for all of its children",
            Self::BadSpec(bad) => return bad.fmt(f),
            Self::NoSupervisor => "the supervisor does not run",
        })
    }
}

impl std::error::Error for ChildError {}

/// One line of `which_children`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChildInfo {
    /// Unique among its siblings.
    pub id: String,
    /// What kind of process it is; the id when nothing else was said.
    pub role: String,
    /// Worker, supervisor or blocking.
    pub kind: Kind,
    /// `None` while it does not run.
    pub pid: Option<Pid>,
    /// What it does now.
    pub status: Status,
    /// Times it was started after the first.
    pub restarts: u64,
    /// Of the incarnation before this one.
    pub last_exit: Option<ExitReason>,
}

/// A child, by its id or by the pid of its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildKey {
    /// Unique among its siblings.
    Id(String),
    /// Of its present incarnation.
    Pid(Pid),
}

impl From<&str> for ChildKey {
    fn from(id: &str) -> Self {
        Self::Id(id.to_string())
    }
}

impl From<String> for ChildKey {
    fn from(id: String) -> Self {
        Self::Id(id)
    }
}

impl From<&String> for ChildKey {
    fn from(id: &String) -> Self {
        Self::Id(id.clone())
    }
}

impl From<Pid> for ChildKey {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

/// What `count_children` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChildCount {
    /// Child specs; one for all children of a simple_one_for_one supervisor.
    pub specs: usize,
    /// Children that have a process.
    pub active: usize,
    /// Children that are supervisors, with or without a process.
    pub supervisors: usize,
    /// All others.
    pub workers: usize,
}

/// A child spec as data: all of it but the function that starts the child.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpecInfo {
    /// Unique among its siblings.
    pub id: String,
    /// What kind of process it is; the id when nothing else was said.
    pub role: String,
    /// Worker, supervisor or blocking. JSON: `type`, as OTP calls it.
    #[serde(rename = "type")]
    pub kind: Kind,
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
    /// It is asked to shut down instead of being dropped at once.
    pub trap_exit: bool,
}

pub(crate) type StartAnswer = oneshot::Sender<Result<Pid, StartError>>;
pub(crate) type ChildAnswer = oneshot::Sender<Result<(), ChildError>>;

pub(crate) enum Request {
    Start(ChildSpec, Option<StartAnswer>),
    Restart(String, StartAnswer),
    Terminate(ChildKey, Option<ChildAnswer>),
    Delete(String, ChildAnswer),
    Replace(ChildSpec, ChildAnswer),
    Which(oneshot::Sender<Vec<ChildInfo>>),
    Count(oneshot::Sender<ChildCount>),
    Spec(ChildKey, oneshot::Sender<Result<SpecInfo, ChildError>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    NotYet,
    Up,
    Down,
}

struct Shared {
    tx: flume::Sender<Request>,
    rx: flume::Receiver<Request>,
    presence: Mutex<Presence>,
    /// Of the present incarnation, or the last one.
    pid: Mutex<Option<Pid>>,
}

/// Leads to the supervisor made by [`ChildSpec::supervisor_at`].
#[derive(Clone)]
pub struct SupervisorRef(Arc<Shared>);

impl Default for SupervisorRef {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SupervisorRef")
    }
}

impl SupervisorRef {
    /// For a supervisor that is started later; what is asked of it until then waits.
    pub fn new() -> Self {
        let (tx, rx) = flume::unbounded();
        let presence = Mutex::new(Presence::NotYet);
        Self(Arc::new(Shared { tx, rx, presence, pid: Mutex::default() }))
    }

    /// Of the supervisor that runs as `pid`, and of its later incarnations if it was made by [`ChildSpec::supervisor_at`]. `None`: there is no
    /// such supervisor.
    pub fn of(pid: Pid) -> Option<Self> {
        table::find(pid)?.crew.as_ref()?.at()
    }

    /// Of the present incarnation, or of the last one while none runs; `None` before the first.
    pub fn pid(&self) -> Option<Pid> {
        *lock(&self.0.pid)
    }

    /// An incarnation of it runs now. `false` from when its end was reported until it is started again.
    pub fn is_running(&self) -> bool {
        self.pid().and_then(table::find).is_some()
    }

    /// Starts a child, as the last one. Answered when it is up: at once, or when it is `ready` if its spec awaits init. In a
    /// rest_for_one or one_for_all supervisor it waits until older siblings are up, also through their back-off.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<Pid, StartError> {
        let ask = |answer| Request::Start(spec, Some(answer));
        self.ask(ask).await.unwrap_or(Err(StartError::NoSupervisor))
    }

    /// As [`start_child`](Self::start_child) without an answer: for a process that must not wait on its own supervisor. While the supervisor is not
    /// up, at most 1024 such requests are kept for its next incarnation; what is asked beyond is dropped, with a warning in the log.
    pub fn cast_start_child(&self, spec: ChildSpec) {
        self.cast(Request::Start(spec, None));
    }

    /// Ends a child and waits until it, and everything below it, is gone. Its spec stays, unless it is temporary or the
    /// supervisor a simple_one_for_one.
    pub async fn terminate_child(&self, child: impl Into<ChildKey>) -> Result<(), ChildError> {
        let child = child.into();
        let ask = |answer| Request::Terminate(child, Some(answer));
        self.ask(ask).await.unwrap_or(Err(ChildError::NoSupervisor))
    }

    /// As [`terminate_child`](Self::terminate_child) without an answer.
    pub fn cast_terminate_child(&self, child: impl Into<ChildKey>) {
        self.cast(Request::Terminate(child.into(), None));
    }

    /// Starts a child again that is known and does not run.
    pub async fn restart_child(&self, id: &str) -> Result<Pid, StartError> {
        let ask = |answer| Request::Restart(id.to_string(), answer);
        self.ask(ask).await.unwrap_or(Err(StartError::NoSupervisor))
    }

    /// Forgets the spec of a child that does not run.
    pub async fn delete_child(&self, id: &str) -> Result<(), ChildError> {
        let ask = |answer| Request::Delete(id.to_string(), answer);
        self.ask(ask).await.unwrap_or(Err(ChildError::NoSupervisor))
    }

    /// The child with the id of `spec` follows `spec` from its next start on; until then it is ended as `spec` says. What OTP does in a
    /// code change.
    pub async fn replace_child(&self, spec: ChildSpec) -> Result<(), ChildError> {
        let ask = |answer| Request::Replace(spec, answer);
        self.ask(ask).await.unwrap_or(Err(ChildError::NoSupervisor))
    }

    /// The spec of a child.
    pub async fn get_childspec(&self, child: impl Into<ChildKey>) -> Result<SpecInfo, ChildError> {
        let child = child.into();
        let ask = |answer| Request::Spec(child, answer);
        self.ask(ask).await.unwrap_or(Err(ChildError::NoSupervisor))
    }

    /// How many of what; all zero when the supervisor does not run.
    pub async fn count_children(&self) -> ChildCount {
        self.ask(Request::Count).await.unwrap_or_default()
    }

    /// In start order; empty when the supervisor does not run.
    pub async fn which_children(&self) -> Vec<ChildInfo> {
        self.ask(Request::Which).await.unwrap_or_default()
    }

    /// `None`: the supervisor is down, or ended before it answered.
    async fn ask<R>(&self, make: impl FnOnce(oneshot::Sender<R>) -> Request) -> Option<R> {
        let (tell, told) = oneshot::channel();
        {
            let presence = lock(&self.0.presence);
            if *presence == Presence::Down {
                return None;
            }
            self.0.tx.send(make(tell)).ok()?;
        }
        told.await.ok()
    }

    fn cast(&self, request: Request) {
        let presence = lock(&self.0.presence);
        if *presence == Presence::Up || self.0.tx.len() < KEPT_WHILE_DOWN {
            // We hold a receiver: it is not closed.
            self.0.tx.send(request).ok();
        } else {
            drop(presence);
            log::warn!(target: "sasl", "a request to a supervisor that is down was dropped: too many wait");
        }
    }

    /// A new incarnation takes over what waits.
    pub(crate) fn open(&self, pid: Pid) -> flume::Receiver<Request> {
        *lock(&self.0.pid) = Some(pid);
        *lock(&self.0.presence) = Presence::Up;
        self.0.rx.clone()
    }

    /// What waits was meant for the incarnation that ended: it is refused.
    pub(crate) fn close(&self) {
        let refused: Vec<Request> = {
            let mut presence = lock(&self.0.presence);
            *presence = Presence::Down;
            self.0.rx.drain().collect()
        };
        crate::panics::discard(refused);
    }
}
