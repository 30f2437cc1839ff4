//! Looking into a generic server or state machine while it runs, from its [`Pid`] alone: OTP's module `sys`.
//!
//! Each has a port beside its mailbox, which is answered before any message and also while it is suspended. Processes that are
//! neither have no port: [`SysError::NotGeneric`].

use crate::{
    pid::Pid,
    rt,
    table::{self, Entry},
};
use flume::r#async::RecvStream;
use futures::channel::oneshot;
use serde::Serialize;
use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
    time::{Duration, Instant},
};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SysError {
    /// There is no such process.
    NoProc,
    /// It is neither a generic server nor a generic state machine.
    NotGeneric,
    /// It ended before it answered.
    Down,
    /// It is busy with a message for longer than that.
    Timeout,
    /// Its state is of another type (`replace_state`).
    OtherType,
    /// It does not say what it is as JSON (`get_state_json`).
    NoJson,
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProc => "no such process",
            Self::NotGeneric => "neither a generic server nor a generic state machine",
            Self::Down => "the process ended",
            Self::Timeout => "no answer in time",
            Self::OtherType => "the state is of another type",
            Self::NoJson => "the state has no JSON form",
        })
    }
}

impl std::error::Error for SysError {}

/// What a process has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Since this incarnation was up. JSON: `uptime_ms`.
    #[serde(rename = "uptime_ms", serialize_with = "crate::json::ms")]
    pub uptime: Duration,
    /// Messages that it has taken: calls, casts and infos.
    pub messages_in: u64,
}

/// The state, as its `Debug` shows it.
pub async fn get_state(pid: Pid, timeout: Duration) -> Result<String, SysError> {
    ask(pid, timeout, Order::State).await
}

/// The state as JSON, if it has such a form.
pub async fn get_state_json(pid: Pid, timeout: Duration) -> Result<serde_json::Value, SysError> {
    ask(pid, timeout, Order::Json).await?.ok_or(SysError::NoJson)
}

/// Lets `change` change the state, between two messages. `S` is the type that implements [`Server`](crate::Server) or
/// `StateMachine`.
pub async fn replace_state<S: 'static>(
    pid: Pid,
    timeout: Duration,
    change: impl FnOnce(&mut S) + Send + 'static,
) -> Result<(), SysError> {
    let change = Box::new(move |state: &mut dyn Any| match state.downcast_mut() {
        Some(state) => {
            change(state);
            true
        }
        None => false,
    });
    let changed = ask(pid, timeout, |answer| Order::Replace(change, answer)).await?;
    changed.then_some(()).ok_or(SysError::OtherType)
}

/// From now on no message is handled; they wait. Snapshots say `suspended`. It still ends when it is told to.
pub async fn suspend(pid: Pid, timeout: Duration) -> Result<(), SysError> {
    ask(pid, timeout, |answer| Order::Suspend(true, answer)).await
}

/// Goes on where [`suspend`] stopped it.
pub async fn resume(pid: Pid, timeout: Duration) -> Result<(), SysError> {
    ask(pid, timeout, |answer| Order::Suspend(false, answer)).await
}

/// Every message, before it is handled, goes to `log`: target `sys`, level info.
pub async fn trace(pid: Pid, timeout: Duration, on: bool) -> Result<(), SysError> {
    ask(pid, timeout, |answer| Order::Trace(on, answer)).await
}

/// Keeps the last `keep` messages from now on, for [`get_log`]; 0 stops it.
pub async fn log(pid: Pid, timeout: Duration, keep: usize) -> Result<(), SysError> {
    ask(pid, timeout, |answer| Order::Keep(keep, answer)).await
}

/// What [`log()`] has kept, oldest first.
pub async fn get_log(pid: Pid, timeout: Duration) -> Result<Vec<String>, SysError> {
    ask(pid, timeout, Order::Kept).await
}

/// Figures.
pub async fn statistics(pid: Pid, timeout: Duration) -> Result<Statistics, SysError> {
    ask(pid, timeout, Order::Statistics).await
}

type Answer<T> = oneshot::Sender<T>;

/// `false`: the state is of another type.
type Change = Box<dyn FnOnce(&mut dyn Any) -> bool + Send>;

/// What is asked.
pub(crate) enum Order {
    State(Answer<String>),
    Json(Answer<Option<serde_json::Value>>),
    Replace(Change, Answer<bool>),
    Suspend(bool, Answer<()>),
    Trace(bool, Answer<()>),
    Keep(usize, Answer<()>),
    Kept(Answer<Vec<String>>),
    Statistics(Answer<Statistics>),
}

/// What can be looked into.
pub(crate) trait Inspect {
    fn text(&self) -> String;
    fn json(&self) -> Option<serde_json::Value>;
    fn as_any(&mut self) -> &mut dyn Any;
}

static PORTS: RwLock<Option<HashMap<Pid, flume::Sender<Order>>>> = RwLock::new(None);

async fn ask<T>(pid: Pid, timeout: Duration, make: impl FnOnce(Answer<T>) -> Order) -> Result<T, SysError> {
    let port = {
        let ports = PORTS.read().unwrap_or_else(PoisonError::into_inner);
        ports.as_ref().and_then(|ports| ports.get(&pid)).cloned()
    };
    let Some(port) = port else {
        return Err(if table::find(pid).is_some() { SysError::NotGeneric } else { SysError::NoProc });
    };
    let (answer, answered) = oneshot::channel();
    port.send(make(answer)).map_err(|_| SysError::Down)?;
    match rt::timeout(timeout, answered).await {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(oneshot::Canceled)) => Err(SysError::Down),
        None => Err(SysError::Timeout),
    }
}

/// The process's side. Dropped with the process.
pub(crate) struct Port {
    entry: Arc<Entry>,
    orders: RecvStream<'static, Order>,
    since: Instant,
    messages_in: u64,
    traced: bool,
    keep: usize,
    kept: VecDeque<String>,
}

impl Port {
    /// One for the process of `entry`.
    pub(crate) fn open(entry: Arc<Entry>) -> Self {
        let (tx, rx) = flume::unbounded();
        let mut ports = PORTS.write().unwrap_or_else(PoisonError::into_inner);
        ports.get_or_insert_default().insert(entry.pid, tx);
        let (orders, since) = (rx.into_stream(), rt::now());
        Self { entry, orders, since, messages_in: 0, traced: false, keep: 0, kept: VecDeque::new() }
    }

    pub(crate) fn orders(&mut self) -> &mut RecvStream<'static, Order> {
        &mut self.orders
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.entry.suspended.load(Ordering::Relaxed)
    }

    /// A message is about to be handled. Its text is put together only if somebody wants it.
    pub(crate) fn on_message(&mut self, message: &dyn fmt::Debug) {
        self.messages_in += 1;
        if self.traced {
            log::info!(target: "sys", "{} {} got {message:?}", self.entry.path, self.entry.pid);
        }
        if self.keep > 0 {
            while self.kept.len() >= self.keep {
                self.kept.pop_front();
            }
            self.kept.push_back(format!("{message:?}"));
        }
    }

    pub(crate) fn obey(&mut self, order: Order, state: &mut dyn Inspect) {
        match order {
            Order::State(answer) => tell(answer, state.text()),
            Order::Json(answer) => tell(answer, state.json()),
            Order::Replace(change, answer) => tell(answer, change(state.as_any())),
            Order::Suspend(on, answer) => {
                self.entry.suspended.store(on, Ordering::Relaxed);
                tell(answer, ());
            }
            Order::Trace(on, answer) => {
                self.traced = on;
                tell(answer, ());
            }
            Order::Keep(keep, answer) => {
                self.keep = keep;
                self.kept.drain(..self.kept.len().saturating_sub(keep));
                tell(answer, ());
            }
            Order::Kept(answer) => tell(answer, self.kept.iter().cloned().collect()),
            Order::Statistics(answer) => {
                let uptime = rt::now().saturating_duration_since(self.since);
                tell(answer, Statistics { uptime, messages_in: self.messages_in });
            }
        }
    }
}

/// Whoever no longer waits is nobody's loss.
fn tell<T>(answer: Answer<T>, what: T) {
    let _ = answer.send(what);
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut ports = PORTS.write().unwrap_or_else(PoisonError::into_inner);
        ports.as_mut().and_then(|ports| ports.remove(&self.entry.pid));
    }
}
