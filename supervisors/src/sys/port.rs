//! The side of `sys` that a generic server or state machine has: requests are answered between two messages.

use super::{Saw, Statistics, SysError};
use crate::{
    link::ExitSignal,
    mailbox::Gauge,
    panics,
    pid::Pid,
    process::Process,
    reason::ExitReason,
    rt,
    table::{self, Entry, lock},
};
use futures::{FutureExt, Stream, StreamExt, channel::oneshot, future::BoxFuture};
use std::{
    any::Any,
    cell::Cell,
    collections::{HashMap, VecDeque},
    fmt::Debug,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Cast,
    Info,
    Timeout,
    Internal,
}

/// A state as `sys` sees it.
pub(crate) trait Subject {
    fn text(&self) -> String;
    fn json(&self) -> Option<String>;
    fn state(&mut self) -> &mut dyn Any;
}

/// What ends a wait.
pub(crate) enum Woken<M> {
    Message(M),
    Timeout,
    /// Of a link, or of a stranger.
    Exit(ExitSignal),
    Shutdown,
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, SysError>>;
pub(super) type Change = Box<dyn FnOnce(&mut dyn Any) + Send>;

pub(super) enum Ask {
    State(Answer<String>),
    Json(Answer<String>),
    Change(Change),
    Suspend(Answer<()>),
    Resume(Answer<()>),
    Trace(bool, Answer<()>),
    Log(usize, Answer<()>),
    Logged(Answer<Vec<Saw>>),
    Statistics(Answer<Statistics>),
}

/// What others hold of a port.
pub(super) struct Desk {
    entry: Arc<Entry>,
    gauge: Arc<dyn Gauge>,
    /// There is something in `asked` or `exits`.
    waits: AtomicBool,
    suspended: AtomicBool,
    /// `None`: nobody will answer any more.
    asked: Mutex<Option<VecDeque<(usize, Ask)>>>,
    exits: Mutex<VecDeque<(usize, ExitSignal)>>,
}

impl Desk {
    /// Answered when the messages that were sent before have been handled, at once by one that is suspended.
    pub(super) fn ask(&self, ask: Ask) {
        if let Some(asked) = &mut *lock(&self.asked) {
            asked.push_back((self.gauge.sent(), ask));
        }
        self.waits.store(true, Ordering::Release);
        self.entry.waker.wake();
    }

    fn exit(&self, signal: ExitSignal) {
        lock(&self.exits).push_back((self.gauge.sent(), signal));
        self.waits.store(true, Ordering::Release);
        self.entry.waker.wake();
    }

    /// The messages that were sent before `mark` have been taken.
    fn reached(&self, mark: usize) -> bool {
        self.gauge.taken().wrapping_sub(mark) as isize >= 0
    }
}

static DESKS: RwLock<Option<HashMap<Pid, Arc<Desk>>>> = RwLock::new(None);
static SUSPENDED: AtomicUsize = AtomicUsize::new(0);

pub(super) fn desk(pid: Pid) -> Option<Arc<Desk>> {
    let desks = DESKS.read().unwrap_or_else(PoisonError::into_inner);
    desks.as_ref()?.get(&pid).cloned()
}

fn forget(pid: Pid) {
    let mut desks = DESKS.write().unwrap_or_else(PoisonError::into_inner);
    let desk = desks.as_mut().and_then(|desks| desks.remove(&pid));
    drop(desks);
    drop(desk);
}

/// It holds still until it is resumed. One relaxed load when nothing is suspended.
pub(crate) fn is_suspended(pid: Pid) -> bool {
    SUSPENDED.load(Ordering::Relaxed) > 0 && desk(pid).is_some_and(|desk| desk.suspended.load(Ordering::Relaxed))
}

thread_local! {
    static REPLIES: Cell<u64> = const { Cell::new(0) };
}

/// An answer was sent by whoever runs on this thread.
pub(crate) fn replied() {
    // `Err`: the thread ends.
    REPLIES.try_with(|count| count.set(count.get().wrapping_add(1))).ok();
}

/// Open for as long as the process has it.
pub(crate) struct Port {
    desk: Arc<Desk>,
    statistics: Statistics,
    since: Instant,
    traces: bool,
    keeps: usize,
    log: VecDeque<Saw>,
}

impl Port {
    pub(crate) fn open(process: &Process, gauge: Arc<dyn Gauge>) -> Self {
        let entry = process.entry.clone();
        let pid = entry.pid;
        let desk = Arc::new(Desk {
            entry,
            gauge,
            waits: AtomicBool::new(false),
            suspended: AtomicBool::new(false),
            asked: Mutex::new(Some(VecDeque::new())),
            exits: Mutex::default(),
        });
        let trap = Arc::downgrade(&desk);
        desk.entry.trap_exits(Arc::new(move |signal| {
            if let Some(desk) = trap.upgrade() {
                desk.exit(signal);
            }
        }));
        let mut desks = DESKS.write().unwrap_or_else(PoisonError::into_inner);
        desks.get_or_insert_default().insert(pid, desk.clone());
        drop(desks);
        // It has not ended: this is its body.
        desk.entry.on_exit(table::next_id(), Box::new(move |_| forget(pid))).ok();
        let (since, statistics, log) = (rt::now(), Statistics::default(), VecDeque::new());
        Self { desk, statistics, since, traces: false, keeps: 0, log }
    }

    /// Counts what is about to be handled.
    pub(crate) fn saw(&mut self, kind: Kind, message: &dyn Debug) {
        let count = match kind {
            Kind::Call => &mut self.statistics.calls,
            Kind::Cast => &mut self.statistics.casts,
            Kind::Info => &mut self.statistics.infos,
            Kind::Timeout => &mut self.statistics.timeouts,
            Kind::Internal => &mut self.statistics.internals,
        };
        *count += 1;
        if self.traces || self.keeps > 0 {
            self.note(kind, message);
        }
    }

    #[cold]
    fn note(&mut self, kind: Kind, message: &dyn Debug) {
        let text = panics::catch(|| format!("{message:?}"));
        let kind = match kind {
            Kind::Call => "call",
            Kind::Cast => "cast",
            Kind::Info => "info",
            Kind::Timeout => "timeout",
            Kind::Internal => "internal",
        };
        let saw =
            Saw { kind, text: text.unwrap_or_else(|reason| format!("its Debug {reason}")), at: self.since.elapsed() };
        if self.traces {
            let entry = &self.desk.entry;
            log::info!(target: "sys", "{} {} got {saw}", entry.path, entry.pid);
        }
        if self.keeps > 0 {
            if self.log.len() == self.keeps {
                self.log.pop_front();
            }
            self.log.push_back(saw);
        }
    }

    /// Runs a handler. A panic is the reason, after everything of `work` has been dropped.
    pub(crate) async fn run<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ExitReason> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let before = REPLIES.with(Cell::get);
            let polled = panics::catch(|| work.as_mut().poll(cx));
            self.statistics.replies += REPLIES.with(Cell::get).wrapping_sub(before);
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
                Err(reason) => Poll::Ready(Err(reason)),
            }
        })
        .await
    }

    /// The next thing to do: an order to shut down first, then what `sys` asks (done here), messages, and the deadline.
    pub(crate) async fn next<M>(
        &mut self,
        process: &Process,
        messages: &mut (impl Stream<Item = M> + Unpin),
        deadline: Option<Instant>,
        subject: &mut (dyn Subject + Send),
    ) -> Woken<M> {
        let mut timer: Option<BoxFuture<'static, ()>> = None;
        poll_fn(|cx| {
            // The process's own waker is woken by its signals, and by `ask`. One that was killed meanwhile is dropped at the next poll.
            if process.entry.is_killed() {
                return Poll::Pending;
            }
            if process.entry.is_told_to_end() {
                return Poll::Ready(Woken::Shutdown);
            }
            let waits = self.desk.waits.swap(false, Ordering::Acquire);
            if waits {
                self.answer(subject);
            }
            if self.desk.suspended.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            if waits
                && let Some((_, signal)) = lock(&self.desk.exits).pop_front_if(|(mark, _)| self.desk.reached(*mark))
            {
                self.desk.waits.store(true, Ordering::Release);
                return Poll::Ready(Woken::Exit(signal));
            }
            if let Poll::Ready(Some(message)) = messages.poll_next_unpin(cx) {
                return Poll::Ready(Woken::Message(message));
            }
            expired(&mut timer, deadline, cx).map(|()| Woken::Timeout)
        })
        .await
    }

    /// Answers what may be answered now.
    fn answer(&mut self, subject: &mut dyn Subject) {
        loop {
            let suspended = self.desk.suspended.load(Ordering::Relaxed);
            let mut asked = lock(&self.desk.asked);
            let due = |(mark, _): &mut (usize, Ask)| suspended || self.desk.reached(*mark);
            let Some((_, ask)) = asked.as_mut().and_then(|asked| asked.pop_front_if(due)) else {
                let later = asked.as_ref().is_some_and(|asked| !asked.is_empty()) || !lock(&self.desk.exits).is_empty();
                self.desk.waits.fetch_or(later, Ordering::Release);
                return;
            };
            drop(asked);
            self.do_ask(ask, subject);
        }
    }

    fn do_ask(&mut self, ask: Ask, subject: &mut dyn Subject) {
        // Who asked may have given up: nobody hears the answer then.
        match ask {
            Ask::State(answer) => drop(answer.send(caught(|| subject.text()))),
            Ask::Json(answer) => {
                let json = caught(|| subject.json()).and_then(|json| json.ok_or(SysError::NoJson));
                drop(answer.send(json));
            }
            Ask::Change(change) => change(subject.state()),
            Ask::Suspend(answer) => {
                self.suspend(true);
                drop(answer.send(Ok(())));
            }
            Ask::Resume(answer) => {
                self.suspend(false);
                drop(answer.send(Ok(())));
            }
            Ask::Trace(on, answer) => {
                self.traces = on;
                drop(answer.send(Ok(())));
            }
            Ask::Log(keep, answer) => {
                self.keeps = keep;
                let excess = self.log.len().saturating_sub(keep);
                drop(self.log.drain(..excess));
                drop(answer.send(Ok(())));
            }
            Ask::Logged(answer) => drop(answer.send(Ok(self.log.iter().cloned().collect()))),
            Ask::Statistics(answer) => {
                let statistics = Statistics { since: self.since.elapsed(), ..self.statistics.clone() };
                drop(answer.send(Ok(statistics)));
            }
        }
    }

    fn suspend(&self, on: bool) {
        let before = self.desk.suspended.swap(on, Ordering::Relaxed);
        match (before, on) {
            (false, true) => _ = SUSPENDED.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = SUSPENDED.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.suspend(false);
        // Who still waits hears that it has ended.
        let asked = lock(&self.desk.asked).take();
        panics::discard(asked);
    }
}

pub(super) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, SysError> {
    panics::catch(f).map_err(|reason| SysError::CallbackFailed(reason.to_string()))
}

/// Ready when `deadline` has come; `None` never does. The timer is made at the first wait.
fn expired(timer: &mut Option<BoxFuture<'static, ()>>, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(deadline) = deadline else {
        return Poll::Pending;
    };
    let left = deadline.saturating_duration_since(rt::now());
    if left == Duration::ZERO {
        return Poll::Ready(());
    }
    timer.get_or_insert_with(|| rt::sleep(left).boxed()).as_mut().poll(cx)
}
