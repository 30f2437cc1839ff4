//! Child specs and supervisor flags: supervision as data. Nothing here runs.

use crate::{
    blocking::BlockingProcess,
    machine::Rule,
    process::Process,
    reason::Exit,
    supervisor_ref::{SpecInfo, SupervisorRef},
};
use futures::future::BoxFuture;
use serde::Serialize;
use std::{fmt, future::Future, sync::Arc, time::Duration};

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Always.
    Permanent,
    /// Unless it ended with `normal` or `shutdown`.
    Transient,
    /// Never, not even when a sibling's crash ended it; its spec is forgotten with it.
    Temporary,
}

/// How a child is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shutdown {
    /// Dropped at once, without being asked.
    BrutalKill,
    /// Asked; killed when it has not ended after this time. For a blocking child: given up then.
    Timeout(Duration),
    /// Asked, and waited for as long as it takes. Right for supervisors.
    Infinity,
}

/// What happens to the siblings of a child that is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Nothing.
    OneForOne,
    /// All are ended, in reverse start order, and started again in start order.
    OneForAll,
    /// Those started after it are ended, in reverse start order, and started again in start order.
    RestForOne,
    /// Nothing. The supervisor starts empty, children of one kind come and go by
    /// [`start_child`](crate::SupervisorRef::start_child), the function that makes their specs being OTP's template; one that will not be
    /// restarted is forgotten, and all are ended at once, side by side. A child is known by its pid; its id says which it is to people, and is
    /// not used twice at a time, so that a path leads to one process.
    SimpleOneForOne,
}

/// When a supervisor ends by itself because [significant](ChildSpec::significant) children have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoShutdown {
    /// Never: then no child may be significant.
    #[default]
    Never,
    /// When any significant child has ended by itself and is not restarted.
    AnySignificant,
    /// When the last of the significant children that run has.
    AllSignificant,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
            Self::SimpleOneForOne => "simple_one_for_one",
        })
    }
}

/// OTP's supervisor flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flags {
    /// What a restart means for the siblings.
    pub strategy: Strategy,
    /// The supervisor gives up when **more** than this many restarts happen within `period`.
    pub intensity: u32,
    /// The sliding window for `intensity`; not zero.
    pub period: Duration,
    /// Whether it ends by itself when significant children have ended.
    pub auto_shutdown: AutoShutdown,
}

impl Flags {
    /// OTP's default: `one_for_one`, at most 1 restart in 5 s.
    pub const fn one_for_one() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: 1,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
        }
    }

    /// `rest_for_one`, at most 1 restart in 5 s.
    pub const fn rest_for_one() -> Self {
        Self { strategy: Strategy::RestForOne, ..Self::one_for_one() }
    }

    /// `one_for_all`, at most 1 restart in 5 s.
    pub const fn one_for_all() -> Self {
        Self { strategy: Strategy::OneForAll, ..Self::one_for_one() }
    }

    /// `simple_one_for_one`, at most 1 restart in 5 s.
    pub const fn simple_one_for_one() -> Self {
        Self { strategy: Strategy::SimpleOneForOne, ..Self::one_for_one() }
    }

    /// At most `restarts` within `period`; one more and the supervisor gives up.
    pub const fn intensity(self, restarts: u32, period: Duration) -> Self {
        Self { intensity: restarts, period, ..self }
    }

    /// OTP's default is to never do so.
    pub const fn auto_shutdown(self, when: AutoShutdown) -> Self {
        Self { auto_shutdown: when, ..self }
    }
}

/// Why a child spec is refused. A supervisor whose init gives one ends with an error that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadSpec {
    /// OTP's `duplicate_child_name`: two children have this id.
    DuplicateChild {
        /// The id.
        id: String,
    },
    /// OTP's `bad_combination`: the child is significant and the supervisor's [`AutoShutdown`] is `Never`.
    SignificantWithoutAutoShutdown {
        /// The child's id.
        id: String,
    },
    /// OTP's `bad_combination`: the child is significant and permanent, and so never ends for good.
    SignificantPermanent {
        /// The child's id.
        id: String,
    },
    /// A simple_one_for_one supervisor starts without children.
    NotEmpty,
    /// OTP's `invalid_period`: it must be longer than nothing.
    ZeroPeriod,
}

impl fmt::Display for BadSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateChild { id } => write!(f, "two children are called {id}"),
            Self::SignificantWithoutAutoShutdown { id } => {
                write!(f, "{id} is significant, and its supervisor never shuts itself down")
            }
            Self::SignificantPermanent { id } => write!(f, "{id} is significant and permanent"),
            Self::NotEmpty => f.write_str("a simple_one_for_one supervisor starts without children"),
            Self::ZeroPeriod => f.write_str("the period is zero"),
        }
    }
}

impl std::error::Error for BadSpec {}

/// How long a child waits before it is started again after an [`Environment`](crate::ExitReason::Environment) exit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Backoff {
    /// After the first failure; doubles with each further one.
    pub first: Duration,
    /// Never longer than this.
    pub cap: Duration,
    /// `0.0..=1.0`: the part of the wait that is left to chance, so that many children do not come back together.
    pub jitter: f32,
    /// A run of at least this long makes the next failure a first one again.
    pub reset_after: Duration,
}

impl Default for Backoff {
    /// 500 ms, doubling up to 30 s, half of it left to chance, reset after a run of one minute.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            jitter: 0.5,
            reset_after: Duration::from_secs(60),
        }
    }
}

/// What a supervisor's `init` returns, anew for every incarnation.
#[derive(Clone, Debug)]
pub struct SupervisorSpec {
    /// Strategy and restart intensity.
    pub flags: Flags,
    /// In start order.
    pub children: Vec<ChildSpec>,
}

pub(crate) type WorkerStart = Arc<dyn Fn(Process) -> BoxFuture<'static, Exit> + Send + Sync>;
pub(crate) type BlockingStart = Arc<dyn Fn(BlockingProcess) -> Exit + Send + Sync>;
pub(crate) type SupervisorInit = Arc<dyn Fn() -> Option<SupervisorSpec> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Start {
    Worker(WorkerStart),
    Blocking(BlockingStart),
    Supervisor { init: SupervisorInit, at: Option<SupervisorRef> },
}

/// How to start, restart and end one child. Defaults are OTP's: permanent, ended within 5 s (a supervisor: without limit).
#[derive(Clone)]
pub struct ChildSpec {
    pub(crate) rule: Rule,
    pub(crate) role: Option<&'static str>,
    pub(crate) traps: bool,
    pub(crate) protected: bool,
    pub(crate) start: Start,
}

/// What kind of thing a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A future on the executor.
    Worker,
    /// A process that starts, watches and ends others.
    Supervisor,
    /// A closure on an OS thread of its own.
    Blocking,
}

impl ChildSpec {
    fn new(id: String, kind: Kind, start: Start) -> Self {
        let supervisor = kind == Kind::Supervisor;
        let shutdown = match kind {
            Kind::Supervisor => Shutdown::Infinity,
            Kind::Worker | Kind::Blocking => Shutdown::Timeout(Duration::from_secs(5)),
        };
        let rule = Rule {
            id: id.into(),
            kind,
            restart: Restart::Permanent,
            shutdown,
            significant: false,
            backoff: None,
            awaits_init: supervisor,
        };
        Self { rule, role: None, traps: supervisor, protected: false, start }
    }

    /// A lightweight process. `start` is called for every incarnation; a panic in it is that incarnation's exit.
    pub fn worker<F, Fut>(id: impl Into<String>, start: F) -> Self
    where
        F: Fn(Process) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Exit> + Send + 'static,
    {
        let start: WorkerStart = Arc::new(move |process| Box::pin(start(process)));
        Self::new(id.into(), Kind::Worker, Start::Worker(start))
    }

    /// A process on an OS thread of its own, for what blocks. It cannot be killed: it is told to stop through
    /// [`BlockingProcess::recv`] and [`BlockingProcess::check`].
    pub fn blocking<F>(id: impl Into<String>, start: F) -> Self
    where
        F: Fn(BlockingProcess) -> Exit + Send + Sync + 'static,
    {
        Self::new(id.into(), Kind::Blocking, Start::Blocking(Arc::new(start)))
    }

    /// A supervisor. `init` is called for every incarnation and returns a [`SupervisorSpec`], or an `Option` of one: `None` is OTP's
    /// `ignore`, nothing is to be supervised, and the child stays known without a process.
    pub fn supervisor<F, S>(id: impl Into<String>, init: F) -> Self
    where
        F: Fn() -> S + Send + Sync + 'static,
        S: Into<Option<SupervisorSpec>>,
    {
        let init: SupervisorInit = Arc::new(move || init().into());
        Self::new(id.into(), Kind::Supervisor, Start::Supervisor { init, at: None })
    }

    /// A supervisor that can be reached through `at`, across its restarts.
    pub fn supervisor_at<F, S>(id: impl Into<String>, at: SupervisorRef, init: F) -> Self
    where
        F: Fn() -> S + Send + Sync + 'static,
        S: Into<Option<SupervisorSpec>>,
    {
        let (init, at): (SupervisorInit, _) = (Arc::new(move || init().into()), Some(at));
        Self::new(id.into(), Kind::Supervisor, Start::Supervisor { init, at })
    }

    /// What kind of process it is, in reports and fault injection ("peer"). Without it: the id.
    pub fn role(mut self, role: &'static str) -> Self {
        self.role = Some(role);
        self
    }

    /// Permanent without it.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.rule.restart = restart;
        self
    }

    /// 5 s without it; [`Shutdown::Infinity`] for a supervisor.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.rule.shutdown = shutdown;
        self
    }

    /// For exits that the environment caused ([`Backoff::default`] without it). A supervisor child with a back-off is also
    /// *parked* for it, uncounted, when it gave up.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rule.backoff = Some(backoff);
        self
    }

    /// It traps exits from its start on: the exit signal of its supervisor does not drop it where it waits, but is heard by
    /// [`Process::shutdown_requested`]; all others are ignored, or are messages from [`Process::trap_exits`] on.
    pub fn trap_exit(mut self) -> Self {
        self.traps = true;
        self
    }

    /// The next sibling is started only when this one has called [`Process::ready`]. Supervisors always do. One that returns `Ok(())`
    /// before it is ready had nothing to do (OTP's `ignore`): it stays known without a process, or is forgotten if it is temporary.
    pub fn awaits_init(mut self) -> Self {
        self.rule.awaits_init = true;
        self
    }

    /// Its own end may end its supervisor: see [`AutoShutdown`]. Only for transient and temporary children.
    pub fn significant(mut self) -> Self {
        self.rule.significant = true;
        self
    }

    /// [`inject_panic`](crate::inject_panic) passes it by.
    pub fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    /// Unique among its siblings.
    pub fn id(&self) -> &str {
        &self.rule.id
    }
}

impl From<&ChildSpec> for SpecInfo {
    fn from(spec: &ChildSpec) -> Self {
        let rule = &spec.rule;
        Self {
            id: rule.id.to_string(),
            role: spec.role.unwrap_or(&rule.id).to_string(),
            kind: rule.kind,
            restart: rule.restart,
            shutdown: rule.shutdown,
            significant: rule.significant,
            backoff: rule.backoff,
            awaits_init: rule.awaits_init,
            trap_exit: spec.traps,
        }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("rule", &self.rule).field("role", &self.role).finish_non_exhaustive()
    }
}
