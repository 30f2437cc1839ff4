//! What goes into the [`machine`](super) and what comes out: two closed lists, and what a person is told.

use super::{Key, Rule, Token};
use crate::{
    pid::Pid,
    reason::ExitReason,
    spec::{BadSpec, Restart},
    supervisor_ref::ChildKey,
};
use std::{sync::Arc, time::Duration};

#[derive(Debug)]
pub(crate) enum Event {
    /// Once, first.
    Begin,
    /// The answer to `Action::Start`, at once.
    Spawned {
        key: Key,
        pid: Pid,
    },
    /// The child's `init` is done.
    Ready {
        pid: Pid,
    },
    /// `cause`: why a supervisor gave up. `dice`: in `0.0..1.0`.
    Exited {
        pid: Pid,
        reason: ExitReason,
        cause: Option<String>,
        dice: f32,
    },
    /// The time is at or past [`Machine::deadline`].
    Tick,
    /// This supervisor is to end.
    Shutdown {
        reason: ExitReason,
    },
    StartChild {
        key: Key,
        rule: Rule,
        token: Option<Token>,
    },
    TerminateChild {
        child: ChildKey,
        token: Option<Token>,
    },
    RestartChild {
        id: String,
        token: Option<Token>,
    },
    DeleteChild {
        id: String,
        token: Option<Token>,
    },
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// `incarnation` 0 is the first.
    Start {
        key: Key,
        incarnation: u64,
    },
    Stop {
        pid: Pid,
    },
    Kill {
        pid: Pid,
    },
    /// It will never be waited for again.
    Abandon {
        pid: Pid,
    },
    /// The spec is no longer needed.
    Forget {
        key: Key,
    },
    Answer {
        token: Token,
        answer: Answer,
    },
    /// This child is up: OTP's progress report.
    Progress {
        key: Key,
        pid: Pid,
    },
    /// All children of the initial start are up.
    Ready,
    Report(Report),
    /// This supervisor ends now; no child is left. `cause`: why it gave up.
    Exit {
        reason: ExitReason,
        cause: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Started(Pid),
    /// Its init had nothing to do.
    Ignored,
    AlreadyStarted(Pid),
    AlreadyPresent,
    Failed(ExitReason),
    Done,
    NotFound,
    Running,
    Restarting,
    SimpleOneForOne,
    BadSpec(BadSpec),
    Ending,
}

/// What a person should be able to read afterwards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Report {
    /// OTP's `child_terminated`: unexpected.
    ChildTerminated { id: Arc<str>, pid: Pid, reason: ExitReason, restart: Restart },
    /// OTP's `start_error`.
    StartError { id: Arc<str>, reason: ExitReason },
    /// OTP's `shutdown_error`: ended otherwise than it was told.
    ShutdownError { id: Arc<str>, pid: Pid, reason: ExitReason },
    /// It was asked, and took longer than `limit`.
    ShutdownTimeout { id: Arc<str>, pid: Pid, limit: Duration },
    /// It could not be ended: whatever it still holds is lost to this program.
    Abandoned { id: Arc<str>, pid: Pid },
    /// `after`: how long it backs off; zero: at once. `used`: restarts within the period, this one included.
    Restarting { key: Key, pid: Pid, after: Duration, used: usize },
    /// OTP's `reached_max_restart_intensity`.
    GaveUp { id: Arc<str>, reason: ExitReason },
}
