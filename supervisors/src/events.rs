//! What happens in a tree, as a stream: for live views, tests and logs.
//!
//! Every subscriber has a ring of its own. A slow one loses the oldest events and can see how many; no process ever waits.

use crate::{
    pid::Pid,
    reason::ExitReason,
    rt,
    spec::ChildSpec,
    table::{self, Entry, lock},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Events that wait for a subscriber, at most.
const RING: usize = 4096;

/// Something that happened to a process.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
    /// Of the incarnation that it happened to.
    pub pid: Pid,
    /// The ids from the root down, joined by `/`.
    pub path: Arc<str>,
    /// What kind of process it is.
    pub role: Arc<str>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// It was started, for the first time or again.
    Started,
    /// It ended; everything of it, and below it, is gone.
    Exited {
        /// Why.
        reason: ExitReason,
    },
    /// Its supervisor will start it again.
    Restarting {
        /// Its back-off; zero: at once.
        after: Duration,
    },
    /// A supervisor reached its restart intensity and ends.
    GaveUp {
        /// The child whose exit was one too many, and why it ended.
        cause: String,
    },
}

struct Queue {
    events: VecDeque<Event>,
    missed: u64,
    closed: bool,
}

struct Ring {
    root: Pid,
    path: Arc<str>,
    queue: Mutex<Queue>,
    signal: flume::Sender<()>,
}

/// One subscription. Dropping it ends it.
pub struct Events {
    ring: Arc<Ring>,
    signal: flume::Receiver<()>,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);
static RINGS: RwLock<Vec<Weak<Ring>>> = RwLock::new(Vec::new());

/// Everything that happens from now on to `under` and all below it, also to its later incarnations.
pub fn subscribe(under: Pid) -> Events {
    let (signal, heard) = flume::bounded(1);
    let found = table::find(under);
    let queue = Queue { events: VecDeque::new(), missed: 0, closed: found.is_none() };
    let ring = Arc::new(Ring {
        root: found.as_ref().map_or(under, |entry| root(entry)),
        path: found.map_or("".into(), |entry| entry.path.clone()),
        queue: Mutex::new(queue),
        signal,
    });
    let mut rings = RINGS.write().unwrap_or_else(PoisonError::into_inner);
    rings.retain(|ring| ring.strong_count() > 0);
    rings.push(Arc::downgrade(&ring));
    COUNT.store(rings.len(), Ordering::Release);
    Events { ring, signal: heard }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut rings = RINGS.write().unwrap_or_else(PoisonError::into_inner);
        rings.retain(|ring| !std::ptr::eq(ring.as_ptr(), Arc::as_ptr(&self.ring)));
        COUNT.store(rings.len(), Ordering::Release);
    }
}

impl Events {
    /// The next event; `None` when the root of the tree has ended and all has been read.
    pub async fn recv(&self) -> Option<Event> {
        loop {
            let closed = {
                let mut queue = lock(&self.ring.queue);
                if let Some(event) = queue.events.pop_front() {
                    return Some(event);
                }
                queue.closed
            };
            if closed {
                return None;
            }
            self.signal.recv_async().await.ok()?;
        }
    }

    /// An event that is there already.
    pub fn try_recv(&self) -> Option<Event> {
        lock(&self.ring.queue).events.pop_front()
    }

    /// Events lost because nobody read them in time.
    pub fn missed(&self) -> u64 {
        lock(&self.ring.queue).missed
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Events(under {})", self.ring.path)
    }
}

impl Ring {
    fn covers(&self, path: &str) -> bool {
        let below = path.strip_prefix(&*self.path);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn push(&self, event: Event, last: bool) {
        let mut queue = lock(&self.queue);
        if queue.events.len() == RING {
            queue.events.pop_front();
            queue.missed += 1;
        }
        queue.events.push_back(event);
        queue.closed |= last;
        drop(queue);
        // Full: the subscriber has been told already.
        self.signal.try_send(()).ok();
    }
}

fn root(entry: &Entry) -> Pid {
    let mut entry = entry;
    while let Some(parent) = &entry.parent {
        entry = parent;
    }
    entry.pid
}

fn emit(tree: &Entry, make: impl Fn() -> Event) {
    if COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let root = root(tree);
    let rings = RINGS.read().unwrap_or_else(PoisonError::into_inner);
    let mut event = None;
    for ring in rings.iter().filter_map(Weak::upgrade) {
        let event = event.get_or_insert_with(&make);
        let last = event.pid == root && matches!(event.kind, EventKind::Exited { .. });
        if ring.root == root && (last || ring.covers(&event.path)) {
            ring.push(event.clone(), last);
        }
    }
}

fn of(entry: &Entry, kind: EventKind) -> Event {
    Event { at: rt::now(), kind, pid: entry.pid, path: entry.path.clone(), role: entry.role().into() }
}

pub(crate) fn started(entry: &Entry) {
    emit(entry, || of(entry, EventKind::Started));
}

pub(crate) fn exited(entry: &Entry, reason: &ExitReason) {
    emit(entry, || {
        let reason = reason.clone();
        of(entry, EventKind::Exited { reason })
    });
}

pub(crate) fn restarting(supervisor: &Entry, spec: &ChildSpec, pid: Pid, after: Duration) {
    emit(supervisor, || Event {
        at: rt::now(),
        kind: EventKind::Restarting { after },
        pid,
        path: format!("{}/{}", supervisor.path, spec.rule.id).into(),
        role: spec.role.unwrap_or(&spec.rule.id).into(),
    });
}

pub(crate) fn gave_up(supervisor: &Entry, child: &str, reason: &ExitReason) {
    emit(supervisor, || {
        let cause = format!("{child} {reason}");
        of(supervisor, EventKind::GaveUp { cause })
    });
}
