//! Fault points as they stand in code: what happens when one is reached while something is armed.
//!
//! The macros come here, and only then. Panics and exits happen in the code's own frame; waiting is left to the macro, which
//! knows whether it may await.

use super::{
    grammar::{Task, parse_reason},
    plan::{Campaign, plans},
};
use crate::{current, reason::ExitReason, rt, spec::Kind, table::lock};
use futures::future::BoxFuture;
use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};

/// One use of a macro. Made by the macros only.
#[derive(Debug)]
pub struct Site {
    name: &'static str,
    place: (&'static str, u32),
    seen: AtomicBool,
    hits: AtomicU64,
}

/// A fault point in code that has been reached while something was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteInfo {
    /// As in the macro.
    pub name: &'static str,
    /// Where it stands.
    pub file: &'static str,
    /// Where it stands; the first is 1.
    pub line: u32,
    /// How often it was reached while something was armed.
    pub hits: u64,
}

static SITES: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());

/// Every fault point that has been reached while something was armed, by name. Arm `off` at `**` to get to know them all.
pub fn sites() -> Vec<SiteInfo> {
    let info = |site: &&'static Site| SiteInfo {
        name: site.name,
        file: site.place.0,
        line: site.place.1,
        hits: site.hits.load(Ordering::Relaxed),
    };
    let mut sites: Vec<_> = lock(&SITES).iter().map(info).collect();
    sites.sort();
    sites
}

/// What the code at a fault point gets: an error to return, or a value to take for the real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the fault point.
    pub site: &'static str,
    /// What.
    pub given: Given,
}

/// What is handed to the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// By the task `error(text)`.
    Error(Option<String>),
    /// By the task `return(value)`.
    Value(Option<String>),
}

impl Fault {
    /// Of `return(value)`, and the text of `error(text)`.
    pub fn value(&self) -> Option<&str> {
        match &self.given {
            Given::Error(text) | Given::Value(text) => text.as_deref(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Given::Error(Some(text)) => write!(f, "{text} (injected at {})", self.site),
            Given::Error(None) => write!(f, "injected at {}", self.site),
            Given::Value(value) => write!(f, "{} was handed {value:?}", self.site),
        }
    }
}

impl std::error::Error for Fault {}

/// `error(environment: refused)` is the environment's; any other is this program's.
impl From<Fault> for ExitReason {
    fn from(fault: Fault) -> Self {
        match fault.value().map(parse_reason) {
            Some(ExitReason::Environment(_)) => {
                let text = fault.to_string();
                Self::Environment(text.trim_start_matches("environment:").trim().to_string())
            }
            _ => Self::error(fault),
        }
    }
}

/// The kind is that which the text names, as `not_found` or `storage_full`; otherwise `other`.
impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        use io::ErrorKind::*;
        let kind = match fault.value().unwrap_or_default() {
            "addr_in_use" => AddrInUse,
            "broken_pipe" => BrokenPipe,
            "connection_aborted" => ConnectionAborted,
            "connection_refused" => ConnectionRefused,
            "connection_reset" => ConnectionReset,
            "host_unreachable" => HostUnreachable,
            "interrupted" => Interrupted,
            "invalid_data" => InvalidData,
            "network_unreachable" => NetworkUnreachable,
            "not_found" => NotFound,
            "out_of_memory" => OutOfMemory,
            "permission_denied" => PermissionDenied,
            "storage_full" => StorageFull,
            "timed_out" => TimedOut,
            "unexpected_eof" => UnexpectedEof,
            "unsupported" => Unsupported,
            "write_zero" => WriteZero,
            _ => Other,
        };
        Self::new(kind, fault)
    }
}

/// What is left to do at a fault point.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub enum Outcome {
    Give(Fault),
    Wait(Wait),
}

#[doc(hidden)]
pub struct Wait {
    site: &'static Site,
    task: Task,
    campaign: Arc<Campaign>,
}

impl Site {
    #[doc(hidden)]
    pub const fn new(name: &'static str, file: &'static str, line: u32) -> Self {
        Self { name, place: (file, line), seen: AtomicBool::new(false), hits: AtomicU64::new(0) }
    }

    /// Does what is to be done at once. `None`: the code goes on.
    #[doc(hidden)]
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub fn hit(&'static self, keys: &[(&'static str, &dyn fmt::Display)]) -> Option<Outcome> {
        if !self.seen.swap(true, Ordering::Relaxed) {
            lock(&SITES).push(self);
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        let mut plans = plans();
        plans.retain(|campaign| campaign.names(self.name));
        if plans.is_empty() {
            return None;
        }
        let keys: Vec<(&str, String)> = keys.iter().map(|(key, value)| (*key, value.to_string())).collect();
        let entry = current::entry();
        let path: Arc<str> = entry.as_ref().map_or_else(|| "".into(), |entry| entry.path.clone());
        let mut fired = None;
        for campaign in plans {
            if let Some(task) = campaign.hit(self.name, &path, &keys, fired.is_some()) {
                fired = Some((task, campaign));
            }
        }
        let (task, campaign) = fired?;
        self.act(task, campaign, entry.is_some())
    }

    #[track_caller]
    fn act(&'static self, task: Task, campaign: Arc<Campaign>, in_process: bool) -> Option<Outcome> {
        let name = self.name;
        match task {
            Task::Off => None,
            Task::Return(value) => Some(Outcome::Give(Fault { site: name, given: Given::Value(value) })),
            Task::Error(text) => Some(Outcome::Give(Fault { site: name, given: Given::Error(text) })),
            Task::Panic(_) | Task::Exit(_) if rt::is_unwinding() => {
                self.refuse(&task, "a second panic would end the OS process")
            }
            Task::Panic(text) => match text {
                Some(text) => panic!("{text}"),
                None => panic!("fault point {name}"),
            },
            Task::Exit(reason) if in_process => crate::panics::unwind_with(reason),
            Task::Exit(_) => self.refuse(&task, "no process runs here"),
            Task::Busy(wait) => {
                rt::spin(wait);
                None
            }
            Task::Print(text) => {
                let text = text.unwrap_or_else(|| format!("fault point {name}"));
                log::info!(target: "faults", "{text}");
                None
            }
            Task::Delay(_) | Task::Hang | Task::Yield => Some(Outcome::Wait(Wait { site: self, task, campaign })),
        }
    }

    fn refuse<T>(&self, task: &Task, why: &str) -> Option<T> {
        let (file, line) = self.place;
        log::warn!(target: "faults", "{task} was not done at {} ({file}:{line}): {why}", self.name);
        None
    }
}

impl Outcome {
    /// Waits here, in a form that may hold the thread.
    #[doc(hidden)]
    pub fn block(self) -> Result<(), Fault> {
        match self {
            Self::Give(fault) => Err(fault),
            Self::Wait(wait) => {
                wait.block();
                Ok(())
            }
        }
    }

    /// Waits without holding the thread.
    #[doc(hidden)]
    pub fn wait(self) -> BoxFuture<'static, Result<(), Fault>> {
        Box::pin(async {
            match self {
                Self::Give(fault) => Err(fault),
                Self::Wait(wait) => {
                    wait.wait().await;
                    Ok(())
                }
            }
        })
    }
}

impl Wait {
    fn block(self) {
        let on_executor = current::entry().is_some_and(|entry| entry.kind != Kind::Blocking);
        match self.task {
            Task::Yield => rt::yield_thread(),
            _ if on_executor => {
                let why = "it would hold a thread of the executor: write fault_point!(async ...), or arm busy(millis)";
                self.site.refuse::<()>(&self.task, why);
            }
            Task::Delay(wait) => rt::block(wait),
            // Nothing is ever sent: this ends by disconnection.
            _ => drop(rt::block_on(self.campaign.released.recv_async(), None)),
        }
    }

    async fn wait(self) {
        let released = self.campaign.released.clone();
        drop(self.campaign);
        match self.task {
            Task::Delay(wait) => rt::sleep(wait).await,
            Task::Yield => yield_now().await,
            _ => drop(released.recv_async().await),
        }
    }
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
