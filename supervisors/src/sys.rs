//! Looking into generic servers and state machines while they run: OTP's `sys`.
//!
//! Works on any [`Server`](crate::Server) and [`StateMachine`](crate::StateMachine), from its [`Pid`] alone. A request is answered
//! between two messages, after those that were sent before it, so `get_state` after a `cast` shows what the cast did; one that is
//! suspended answers at once. It never opens a door into plain workers: they are [`SysError::NotAServer`].

pub(crate) mod port;

use crate::{pid::Pid, rt, table};
use futures::channel::oneshot;
use port::{Answer, Ask};
use serde::Serialize;
use std::{any::Any, fmt, time::Duration};

/// Why `sys` has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SysError {
    /// It has ended, or did before it answered.
    NoProc,
    /// It is neither a generic server nor a generic state machine.
    NotAServer,
    /// None within the time: it is busy with one message.
    Timeout,
    /// Its `state_json` gives nothing.
    NoJson,
    /// Its state is of another type.
    OtherState,
    /// What was to be done with the state panicked, with this text. The state is as that left it.
    CallbackFailed(String),
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc => f.write_str("no such process"),
            Self::NotAServer => f.write_str("neither a generic server nor a state machine"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::NoJson => f.write_str("its state has no JSON"),
            Self::OtherState => f.write_str("its state is of another type"),
            Self::CallbackFailed(text) => write!(f, "the callback {text}"),
        }
    }
}

impl std::error::Error for SysError {}

/// A message that was about to be handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Saw {
    /// `call`, `cast`, `info`, `timeout`, `internal`.
    pub kind: &'static str,
    /// Its `Debug`.
    pub text: String,
    /// Since the server was started.
    pub at: Duration,
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.text)
    }
}

/// Counts of one incarnation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Since it was started.
    pub since: Duration,
    /// Calls handled.
    pub calls: u64,
    /// Casts handled.
    pub casts: u64,
    /// Other messages handled.
    pub infos: u64,
    /// Timeouts handled.
    pub timeouts: u64,
    /// `continue`s of a server, inner events of a state machine.
    pub internals: u64,
    /// Answers that its handlers sent.
    pub replies: u64,
}

impl Statistics {
    /// Messages that came from outside.
    pub fn messages_in(&self) -> u64 {
        self.calls + self.casts + self.infos
    }
}

async fn ask<T>(pid: Pid, timeout: Duration, make: impl FnOnce(Answer<T>) -> Ask) -> Result<T, SysError> {
    let Some(desk) = port::desk(pid) else {
        return Err(if table::find(pid).is_some() { SysError::NotAServer } else { SysError::NoProc });
    };
    let (answer, answered) = oneshot::channel();
    desk.ask(make(answer));
    drop(desk);
    match rt::timeout(timeout, answered).await {
        Some(Ok(answer)) => answer,
        Some(Err(oneshot::Canceled)) => Err(SysError::NoProc),
        None => Err(SysError::Timeout),
    }
}

/// The state's `Debug`; of a state machine: the state and the data.
///
/// ```
/// # use supervisors::{sys::{self, SysError}, ChildSpec, start};
/// # use std::time::Duration;
/// let system = start(ChildSpec::worker("plain", |_| std::future::pending()));
/// # async_std::task::block_on(async {
/// let plain = system.root();
/// assert_eq!(sys::get_state(plain, Duration::from_secs(1)).await, Err(SysError::NotAServer));
/// # });
/// ```
pub async fn get_state(pid: Pid, timeout: Duration) -> Result<String, SysError> {
    ask(pid, timeout, Ask::State).await
}

/// The state as JSON, if its `state_json` gives it.
pub async fn get_state_json(pid: Pid, timeout: Duration) -> Result<String, SysError> {
    ask(pid, timeout, Ask::Json).await
}

/// For `state_json` of a state that is `Serialize`. `None`: it can't be JSON (a map whose keys are no strings).
pub fn json(state: &impl Serialize) -> Option<String> {
    serde_json::to_string(state).ok()
}

/// Reads or changes the state inside the server: OTP's `replace_state`. `S` is the server or state machine itself. A panic of `change` is
/// the caller's error; the server lives.
pub async fn replace_state<S, R>(
    pid: Pid,
    timeout: Duration,
    change: impl FnOnce(&mut S) -> R + Send + 'static,
) -> Result<R, SysError>
where
    S: 'static,
    R: Send + 'static,
{
    let make = |answer: Answer<R>| {
        Ask::Change(Box::new(move |state: &mut dyn Any| {
            let changed = match state.downcast_mut::<S>() {
                Some(state) => port::caught(|| change(state)),
                None => Err(SysError::OtherState),
            };
            drop(answer.send(changed));
        }))
    };
    ask(pid, timeout, make).await
}

/// It handles nothing but `sys` and shutdown from now on; its status is [`Suspended`](crate::Status::Suspended). Messages wait.
pub async fn suspend(pid: Pid, timeout: Duration) -> Result<(), SysError> {
    ask(pid, timeout, Ask::Suspend).await
}

/// After [`suspend`]. Not suspended: nothing happens.
pub async fn resume(pid: Pid, timeout: Duration) -> Result<(), SysError> {
    ask(pid, timeout, Ask::Resume).await
}

/// Every message is written to the log (target `sys`, level info) before it is handled.
pub async fn trace(pid: Pid, on: bool, timeout: Duration) -> Result<(), SysError> {
    ask(pid, timeout, |answer| Ask::Trace(on, answer)).await
}

/// The last `keep` messages are remembered for [`log()`]; 0 (as it begins): none.
pub async fn keep_log(pid: Pid, keep: usize, timeout: Duration) -> Result<(), SysError> {
    ask(pid, timeout, |answer| Ask::Log(keep, answer)).await
}

/// The messages that [`keep_log`] made it remember, oldest first.
pub async fn log(pid: Pid, timeout: Duration) -> Result<Vec<Saw>, SysError> {
    ask(pid, timeout, Ask::Logged).await
}

/// What it has done so far. Always counted.
pub async fn statistics(pid: Pid, timeout: Duration) -> Result<Statistics, SysError> {
    ask(pid, timeout, Ask::Statistics).await
}
