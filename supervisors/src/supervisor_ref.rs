//! The address of a supervisor, and what can be asked of it at run time.
//!
//! Made before the supervisor, and right across its restarts. Never waits for anything but the answer.

use crate::{
    pid::Pid,
    reason::ExitReason,
    snapshot::Status,
    spec::{ChildSpec, Kind},
    table::lock,
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
    /// No child has this id (`restart_child`).
    NotFound,
    /// The supervisor has ended, or is about to.
    NoSupervisor,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted(pid) => write!(f, "already started as {pid}"),
            Self::AlreadyPresent => f.write_str("already present"),
            Self::Failed(reason) => write!(f, "did not start: {reason}"),
            Self::NotFound => f.write_str("no such child"),
            Self::NoSupervisor => f.write_str("the supervisor does not run"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a child was not terminated or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildError {
    /// No child has this id.
    NotFound,
    /// It runs (`delete_child`).
    Running,
    /// It is about to be started again (`delete_child`).
    Restarting,
    /// The supervisor has ended, or is about to.
    NoSupervisor,
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such child",
            Self::Running => "the child runs",
            Self::Restarting => "the child is being restarted",
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

pub(crate) type StartAnswer = oneshot::Sender<Result<Pid, StartError>>;
pub(crate) type ChildAnswer = oneshot::Sender<Result<(), ChildError>>;

pub(crate) enum Request {
    Start(ChildSpec, Option<StartAnswer>),
    Restart(String, StartAnswer),
    Terminate(String, Option<ChildAnswer>),
    Delete(String, ChildAnswer),
    Which(oneshot::Sender<Vec<ChildInfo>>),
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

    /// Of the present incarnation, or of the last one while none runs; `None` before the first.
    pub fn pid(&self) -> Option<Pid> {
        *lock(&self.0.pid)
    }

    /// Starts a child, as the last one. Answered when it is up: at once, or when it is `ready` if its spec awaits init.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<Pid, StartError> {
        let ask = |answer| Request::Start(spec, Some(answer));
        self.ask(ask).await.unwrap_or(Err(StartError::NoSupervisor))
    }

    /// As [`start_child`](Self::start_child) without an answer: for a process that must not wait on its own supervisor.
    pub fn cast_start_child(&self, spec: ChildSpec) {
        self.cast(Request::Start(spec, None));
    }

    /// Ends a child and waits until it, and everything below it, is gone. Its spec stays, unless it is temporary or the
    /// supervisor dynamic.
    pub async fn terminate_child(&self, id: &str) -> Result<(), ChildError> {
        let ask = |answer| Request::Terminate(id.to_string(), Some(answer));
        self.ask(ask).await.unwrap_or(Err(ChildError::NoSupervisor))
    }

    /// As [`terminate_child`](Self::terminate_child) without an answer.
    pub fn cast_terminate_child(&self, id: &str) {
        self.cast(Request::Terminate(id.to_string(), None));
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
