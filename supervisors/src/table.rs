//! The process table: everything that is known about a live process, by [`Pid`].
//!
//! An entry lives from the start of a process until its exit has been reported; reading it never stops a process.
//! What signals do to an entry is in `signals`, what ties it to others in `ties`.

mod signals;
mod ties;

use crate::{
    crew::Crew,
    events,
    mailbox::Gauge,
    monitor::Down,
    panics,
    pid::Pid,
    reason::ExitReason,
    rt,
    spec::{ChildSpec, Kind},
};
use futures::task::AtomicWaker;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use ties::Ties;

pub(crate) use ties::{Claim, next_id};

/// What a child tells its supervisor.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Its init is done.
    Ready { pid: Pid },
    /// It has ended; nothing of it is left. `cause`: why it gave up, when it is a supervisor that did.
    Exited { pid: Pid, reason: ExitReason, cause: Option<String> },
}

/// A mutex of this crate is only held for a few lines that leave it whole, so poison says nothing.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHUTDOWN: u8 = 1;
const KILL: u8 = 2;
const PANIC: u8 = 4;
const READY: u8 = 8;
const ENDED: u8 = 16;
/// A signal that it did not trap: it is dropped where it waits.
const DIES: u8 = 32;

pub(crate) type OnExit = Box<dyn FnOnce(Down) + Send>;

#[derive(Default)]
struct Life {
    /// The reason that came with an exit signal.
    exit_with: Option<ExitReason>,
    /// The text of an injected panic.
    panic_with: Option<String>,
    ended: Option<ExitReason>,
    cause: Option<String>,
    /// Set: exit signals are given to it.
    trap: Option<signals::Trap>,
    ties: Ties,
    gauges: Vec<Arc<dyn Gauge>>,
}

/// One process.
pub(crate) struct Entry {
    pub(crate) pid: Pid,
    pub(crate) name: Arc<str>,
    pub(crate) role: Option<&'static str>,
    pub(crate) path: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) incarnation: u64,
    pub(crate) parent: Option<Arc<Entry>>,
    /// Restarts in the whole tree since its root was started.
    pub(crate) tree_restarts: Arc<AtomicU64>,
    /// Of a supervisor.
    pub(crate) crew: Option<Arc<Crew>>,
    /// From its child spec.
    traps: bool,
    protected: bool,
    awaits_init: bool,
    to_parent: Option<flume::Sender<Notice>>,
    flags: AtomicU8,
    /// Of the task or thread that runs it.
    pub(crate) waker: AtomicWaker,
    /// Opened when a shutdown is requested.
    gate: OnceLock<signals::Gate>,
    /// Times that it was polled, and for how many nanoseconds.
    polls: AtomicU64,
    busy: AtomicU64,
    life: Mutex<Life>,
    /// When it was started.
    pub(crate) born: Instant,
}

impl Entry {
    /// Puts a new process into the table. It does not run yet.
    pub(crate) fn new(
        spec: &ChildSpec,
        incarnation: u64,
        parent: Option<Arc<Entry>>,
        to_parent: Option<flume::Sender<Notice>>,
    ) -> Arc<Self> {
        let name = spec.rule.id.clone();
        let path = match &parent {
            Some(parent) => format!("{}/{name}", parent.path).into(),
            None => name.clone(),
        };
        let kind = spec.rule.kind;
        let counter = parent.as_ref().map(|parent| parent.tree_restarts.clone());
        let entry = Arc::new(Self {
            pid: Pid::next(),
            name,
            role: spec.role,
            path,
            kind,
            incarnation,
            parent,
            tree_restarts: counter.unwrap_or_default(),
            crew: (kind == Kind::Supervisor).then(Arc::default),
            traps: spec.traps,
            protected: spec.protected,
            awaits_init: spec.rule.awaits_init,
            to_parent,
            flags: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            gate: OnceLock::new(),
            polls: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            life: Mutex::default(),
            born: rt::now(),
        });
        if spec.traps && kind == Kind::Worker {
            entry.gate();
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(entry.pid, entry.clone());
        entry
    }

    pub(crate) fn role(&self) -> &str {
        self.role.unwrap_or(&self.name)
    }

    fn raise(&self, flag: u8) {
        let before = self.flags.fetch_or(flag, Ordering::AcqRel);
        if flag & (DIES | KILL) != 0 && before & (DIES | KILL | ENDED) == 0 {
            ENDING.fetch_add(1, Ordering::AcqRel);
        }
        self.waker.wake();
        // For measuring only: nobody looks at the flag, so it counts as ended, and its task goes on for as long as the program.
        if cfg!(unsupervised)
            && flag & (DIES | KILL) != 0
            && let Some(entry) = find(self.pid)
        {
            entry.finish(ExitReason::Shutdown);
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    pub(crate) fn inject_panic(&self, message: &str) {
        if !self.protected {
            lock(&self.life).panic_with = Some(message.to_string());
            self.raise(PANIC);
        }
    }

    /// Fault injection passes it by.
    pub(crate) fn is_protected(&self) -> bool {
        self.protected
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.awaits_init || self.has(READY)
    }

    /// `Some`: a panic was injected since the last call.
    pub(crate) fn take_panic(&self) -> Option<String> {
        if !self.has(PANIC) {
            return None;
        }
        self.flags.fetch_and(!PANIC, Ordering::AcqRel);
        lock(&self.life).panic_with.take()
    }

    pub(crate) fn ready(&self) {
        let before = self.flags.fetch_or(READY, Ordering::AcqRel);
        if before & READY == 0 && self.awaits_init {
            self.tell_parent(Notice::Ready { pid: self.pid });
        }
    }

    fn tell_parent(&self, notice: Notice) {
        if let Some(parent) = &self.to_parent {
            // A supervisor that is gone has ended its children; it needs no notice.
            parent.send(notice).ok();
        }
    }

    /// Why this supervisor gives up; comes with its exit.
    pub(crate) fn set_cause(&self, cause: Option<String>) {
        lock(&self.life).cause = cause;
    }

    pub(crate) fn shows(&self, gauge: Arc<dyn Gauge>) {
        lock(&self.life).gauges.push(gauge);
    }

    /// Messages waiting now and at most so far, over all mailboxes that it shows.
    pub(crate) fn mailbox(&self) -> Option<(usize, usize)> {
        let life = lock(&self.life);
        let sum = |(len, high), gauge: &Arc<dyn Gauge>| (len + gauge.len(), high + gauge.high_water());
        (!life.gauges.is_empty()).then(|| life.gauges.iter().fold((0, 0), sum))
    }

    /// One more poll, which took `busy`. Only the thread that polls it calls this. With the two looks at the clock it costs a poll
    /// about 60 ns.
    pub(crate) fn polled(&self, busy: Duration) {
        let nanos = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.polls.store(self.polls() + 1, Ordering::Relaxed);
        self.busy.store(self.busy.load(Ordering::Relaxed).saturating_add(nanos), Ordering::Relaxed);
    }

    /// Times that it was polled.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// How long those polls took together.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }

    /// The last act of a process, after its body has been dropped: out of the table, then monitors, links, the supervisor.
    pub(crate) fn finish(self: &Arc<Self>, reason: ExitReason) {
        let (ties, trap, cause) = {
            let mut life = lock(&self.life);
            if life.ended.is_some() {
                return;
            }
            life.ended = Some(reason.clone());
            life.gauges.clear();
            (std::mem::take(&mut life.ties), life.trap.take(), life.cause.take())
        };
        if self.flags.fetch_or(ENDED, Ordering::AcqRel) & (DIES | KILL) != 0 {
            ENDING.fetch_sub(1, Ordering::AcqRel);
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        drop(table.remove(&self.pid));
        drop(table);
        // It would keep the slot's memory for as long as anyone keeps this entry.
        self.waker.take();
        panics::discard(trap);
        let pid = self.pid;
        events::exited(self, &reason);
        ties.cut(self, &reason);
        self.tell_parent(Notice::Exited { pid, reason, cause });
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has(ENDED)
    }
}

/// Processes that were killed, or did not trap a signal, and have not ended yet.
static ENDING: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn some_are_ending() -> bool {
    ENDING.load(Ordering::Acquire) != 0
}

static TABLE: RwLock<BTreeMap<Pid, Arc<Entry>>> = RwLock::new(BTreeMap::new());

/// `None`: no such process, any more.
pub(crate) fn find(pid: Pid) -> Option<Arc<Entry>> {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    table.get(&pid).cloned()
}
