//! Timers: a message later, or again and again, for as long as the process that asked for it lives.
//!
//! One process of the crate waits for the earliest of all of them. A timer is an entry in its list and a number in its owner's, and
//! both are gone when it has fired, is cancelled, or its owner has ended.

use crate::{
    mailbox::{Addr, CastError},
    panics,
    pid::Pid,
    rt, slots,
    table::{self, Entry, lock},
};
use futures::{future::BoxFuture, task::AtomicWaker};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    sync::{Arc, Mutex, Once},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// A full mailbox is tried again after this.
const RETRY: Duration = Duration::from_millis(10);

/// The shortest interval.
const SHORTEST: Duration = Duration::from_millis(1);

/// Fired in a row before others on this thread get their turn.
const TURN: u32 = 64;

/// What a timer sends. No code of the message's type runs in `send`, which is called with a lock held.
trait Post: Send + Sync {
    /// Makes the message, if it is not there.
    fn prepare(&self);
    /// `false`: the mailbox is full.
    fn send(&self) -> bool;
}

struct Letter<M> {
    to: Addr<M>,
    /// A message that could not be sent stays here.
    message: Mutex<Option<M>>,
    /// Of an interval.
    copy: Option<Mutex<Box<dyn Fn() -> M + Send>>>,
}

impl<M: Send> Post for Letter<M> {
    fn prepare(&self) {
        let mut message = lock(&self.message);
        if let (None, Some(copy)) = (&*message, &self.copy) {
            *message = Some(lock(copy)());
        }
    }

    fn send(&self) -> bool {
        let mut place = lock(&self.message);
        let Some(message) = place.take() else {
            return true;
        };
        match self.to.cast(message) {
            Ok(()) => return true,
            Err(CastError::Full(message) | CastError::Closed(message)) => *place = Some(message),
        }
        // An interval has the next one soon.
        self.copy.is_some() || self.to.is_closed()
    }
}

struct Job {
    at: Instant,
    owner: Arc<Entry>,
    /// `None`: it fires once.
    every: Option<Duration>,
    post: Arc<dyn Post>,
}

#[derive(Default)]
struct Wheel {
    jobs: BTreeMap<u64, Job>,
    due: BTreeSet<(Instant, u64)>,
}

impl Wheel {
    fn insert(&mut self, id: u64, job: Job) {
        self.due.insert((job.at, id));
        self.jobs.insert(id, job);
    }

    fn remove(&mut self, id: u64) -> Option<Job> {
        let job = self.jobs.remove(&id)?;
        self.due.remove(&(job.at, id));
        Some(job)
    }

    fn first(&self) -> Option<(Instant, u64)> {
        self.due.first().copied()
    }
}

/// Held while a message is sent, so that a timer that is gone from it sends nothing more.
static WHEEL: Mutex<Wheel> = Mutex::new(Wheel { jobs: BTreeMap::new(), due: BTreeSet::new() });

/// Of the process that waits.
static WAITS: AtomicWaker = AtomicWaker::new();

/// A timer of a process. Dropping it leaves it running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    id: u64,
    owner: Pid,
}

impl Timer {
    /// After it nothing comes from this timer. Returns the time that was left; `None`: it had fired, or its process has ended.
    pub fn cancel(&self) -> Option<Duration> {
        let job = lock(&WHEEL).remove(self.id);
        let left = job.as_ref().map(|job| job.at.saturating_duration_since(rt::now()));
        if let Some(owner) = table::find(self.owner) {
            owner.drops_timer(self.id);
        }
        panics::discard(job);
        left
    }

    /// The time that is left; `None`: it has fired, was cancelled, or its process has ended.
    pub fn left(&self) -> Option<Duration> {
        let at = lock(&WHEEL).jobs.get(&self.id).map(|job| job.at)?;
        Some(at.saturating_duration_since(rt::now()))
    }
}

/// `to` gets `message` after `wait`, if `owner` lives.
pub(crate) fn send_after<M: Send + 'static>(owner: &Arc<Entry>, wait: Duration, to: &Addr<M>, message: M) -> Timer {
    let letter = Letter { to: to.clone(), message: Mutex::new(Some(message)), copy: None };
    start(owner, wait, None, Arc::new(letter))
}

/// `to` gets a clone of `message` after each `every`, while `owner` lives.
pub(crate) fn send_interval<M: Clone + Send + 'static>(
    owner: &Arc<Entry>,
    every: Duration,
    to: &Addr<M>,
    message: M,
) -> Timer {
    let every = every.max(SHORTEST);
    let copy: Box<dyn Fn() -> M + Send> = Box::new(move || message.clone());
    let letter = Letter { to: to.clone(), message: Mutex::new(None), copy: Some(Mutex::new(copy)) };
    start(owner, every, Some(every), Arc::new(letter))
}

fn start(owner: &Arc<Entry>, wait: Duration, every: Option<Duration>, post: Arc<dyn Post>) -> Timer {
    static RUNS: Once = Once::new();
    RUNS.call_once(|| slots::run(Box::pin(run())));
    let timer = Timer { id: table::next_id(), owner: owner.pid };
    let now = rt::now();
    /// A hundred years: further than any clock here goes.
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let at = now.checked_add(wait.min(NEVER)).unwrap_or(now);
    let job = Job { at, owner: owner.clone(), every, post };
    if !owner.keeps_timer(timer.id) {
        panics::discard(job);
        return timer;
    }
    let first = {
        let mut wheel = lock(&WHEEL);
        wheel.insert(timer.id, job);
        wheel.first() == Some((at, timer.id))
    };
    if owner.has_ended() {
        // It may have looked for its timers before this one was there.
        forget(timer.id);
    } else if first {
        WAITS.wake();
    }
    timer
}

/// Its owner has ended.
pub(crate) fn forget(id: u64) {
    let job = lock(&WHEEL).remove(id);
    panics::discard(job);
}

/// Fires what is due, for ever.
async fn run() {
    let (mut sleep, mut turn) = (None, 0);
    poll_fn(|cx| poll(cx, &mut sleep, &mut turn)).await
}

type Sleep = (Instant, BoxFuture<'static, ()>);

fn poll(cx: &mut Context<'_>, sleep: &mut Option<Sleep>, turn: &mut u32) -> Poll<()> {
    WAITS.register(cx.waker());
    loop {
        let Some((at, id)) = lock(&WHEEL).first() else {
            *sleep = None;
            return Poll::Pending;
        };
        let now = rt::now();
        if at <= now {
            *turn += 1;
            if *turn >= TURN {
                *turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            fire(id, now);
            continue;
        }
        let (due, timer) = sleep.get_or_insert_with(|| (at, Box::pin(rt::sleep(at - now))));
        if *due != at {
            *sleep = None;
        } else if timer.as_mut().poll(cx).is_pending() {
            *turn = 0;
            return Poll::Pending;
        } else {
            *sleep = None;
        }
    }
}

fn fire(id: u64, now: Instant) {
    let Some(post) = lock(&WHEEL).jobs.get(&id).map(|job| job.post.clone()) else {
        return;
    };
    let prepared = panics::catch(|| post.prepare());
    let over = {
        let mut wheel = lock(&WHEEL);
        // `None`: cancelled in between.
        let Some(mut job) = wheel.remove(id) else {
            return panics::discard(post);
        };
        let next = match job.every {
            _ if job.owner.has_ended() || prepared.is_err() => None,
            every => match post.send() {
                false => Some(now + RETRY),
                // No burst after a pause: what was missed is missed.
                true => every.map(|every| (job.at + every).max(now)),
            },
        };
        match next {
            Some(at) => {
                job.at = at;
                wheel.insert(id, job);
                None
            }
            None => Some(job),
        }
    };
    if let Err(fault) = prepared {
        log::error!(target: "sasl", "the message of an interval {fault}");
    }
    if let Some(job) = &over {
        job.owner.drops_timer(id);
    }
    panics::discard((over, post));
}
