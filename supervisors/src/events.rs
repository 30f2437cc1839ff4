//! What happens in a tree, as a stream and as a history: for live views, tests and logs.
//!
//! Every subscriber has a ring of its own. A slow one loses the oldest events and can see how many; no process ever waits. The last
//! events of all trees are kept, so that a view which is opened after a crash can look back.

mod history;
mod kinds;

pub use history::history;
pub(crate) use history::last;
pub use kinds::{Event, EventKind};

use crate::{
    pid::Pid,
    reason::ExitReason,
    ring::{self, Reader, Ring},
    rt,
    spec::{ChildSpec, Kind},
    table::{self, Entry},
};
use history::Kept;
use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

struct Subscriber {
    root: Pid,
    path: Arc<str>,
    ring: Arc<Ring<Event>>,
}

/// One subscription. Dropping it ends it.
pub struct Events {
    subscriber: Arc<Subscriber>,
    reader: Reader<Event>,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);
static SUBSCRIBERS: RwLock<Vec<Weak<Subscriber>>> = RwLock::new(Vec::new());

/// Everything that happens from now on to `under` and all below it, also to its later incarnations.
pub fn subscribe(under: Pid) -> Events {
    let found = table::find(under);
    let at = found.map(|entry| (root(&entry), entry.path.clone()));
    open(under, at.clone(), at.is_none())
}

/// As [`subscribe`], and before it what is still known of the past, see [`history`]: without a gap, and nothing twice.
pub fn subscribe_with_history(under: Pid) -> Events {
    let live = table::find(under).map(|entry| (root(&entry), entry.path.clone()));
    let closed = live.is_none();
    let at = live.or_else(|| history::place(under));
    let events = open(under, at, closed);
    let Subscriber { root, path, ring } = &*events.subscriber;
    let (past, last) = history::below(*root, path);
    ring.prepend(past, |event| event.seq > last);
    events
}

fn open(under: Pid, at: Option<(Pid, Arc<str>)>, closed: bool) -> Events {
    let (root, path) = at.unwrap_or((under, "".into()));
    let (ring, reader) = ring::ring(closed);
    let subscriber = Arc::new(Subscriber { root, path, ring });
    let mut all = SUBSCRIBERS.write().unwrap_or_else(PoisonError::into_inner);
    all.push(Arc::downgrade(&subscriber));
    COUNT.store(all.len(), Ordering::Release);
    Events { subscriber, reader }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut all = SUBSCRIBERS.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(&self.subscriber)));
        COUNT.store(all.len(), Ordering::Release);
    }
}

impl Events {
    /// The next event; `None` when the root of the tree has ended and all has been read.
    pub async fn recv(&self) -> Option<Event> {
        self.reader.recv().await
    }

    /// An event that is there already.
    pub fn try_recv(&self) -> Option<Event> {
        self.reader.try_recv()
    }

    /// Events lost because nobody read them in time: more than 4096 waited.
    pub fn missed(&self) -> u64 {
        self.reader.missed()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events(under {})", self.subscriber.path)
    }
}

/// `path` is `under`, or below it.
fn covers(under: &str, path: &str) -> bool {
    let below = path.strip_prefix(under);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn root(entry: &Entry) -> Pid {
    let mut entry = entry;
    while let Some(parent) = &entry.parent {
        entry = parent;
    }
    entry.pid
}

fn emit(kept: Kept) {
    history::keep(kept, tell);
}

/// While the history is locked, so that everyone hears everything in one order.
fn tell(kept: &Kept) {
    if COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let all = SUBSCRIBERS.read().unwrap_or_else(PoisonError::into_inner);
    let last = kept.pid == kept.root && matches!(kept.kind, EventKind::Exited { .. });
    for subscriber in all.iter().filter_map(Weak::upgrade) {
        if subscriber.root == kept.root && (last || covers(&subscriber.path, &kept.path)) {
            subscriber.ring.push(kept.event(), last);
        }
    }
}

fn of(entry: &Entry, kind: EventKind) -> Kept {
    Kept {
        seq: 0,
        at: rt::now(),
        kind,
        pid: entry.pid,
        incarnation: entry.incarnation,
        path: entry.path.clone(),
        role: entry.role.ok_or_else(|| entry.name.clone()),
        root: root(entry),
    }
}

pub(crate) fn started(entry: &Entry) {
    emit(of(entry, EventKind::Started));
}

pub(crate) fn exited(entry: &Entry, reason: &ExitReason) {
    let reason = reason.clone();
    emit(of(entry, EventKind::Exited { reason }));
}

/// `after`: its back-off. `reason`: why the child, `pid`, ended.
pub(crate) fn restarting(supervisor: &Entry, spec: &ChildSpec, pid: Pid, incarnation: u64, after: Duration) {
    let path: Arc<str> = format!("{}/{}", supervisor.path, spec.rule.id).into();
    let kind = match spec.rule.kind {
        Kind::Supervisor if !after.is_zero() => EventKind::Parked { after },
        _ => EventKind::Restarting { after },
    };
    if spec.rule.kind == Kind::Supervisor && after.is_zero() {
        emit(of(supervisor, EventKind::Escalated { from: path.clone() }));
    }
    emit(Kept {
        kind,
        pid,
        incarnation,
        path,
        role: spec.role.ok_or_else(|| spec.rule.id.clone()),
        ..of(supervisor, EventKind::Started)
    });
}

/// `over`: what kind of child its last exit was of, when that is known.
pub(crate) fn gave_up(supervisor: &Entry, child: &str, over: Option<Kind>, reason: &ExitReason) {
    if over == Some(Kind::Supervisor) {
        let from = format!("{}/{child}", supervisor.path).into();
        emit(of(supervisor, EventKind::Escalated { from }));
    }
    let cause = format!("{child} {reason}");
    emit(of(supervisor, EventKind::GaveUp { cause }));
}
