//! The crate's own door to the outside: the clock, timers, dice and threads.
//!
//! Sits below everything else. Nothing but this file reads the clock, sleeps, draws a random number or starts an OS thread,
//! so that another world (virtual time, one seed) can be put under the same processes.

mod cores;

pub(crate) use cores::{note as note_cores, unpin};

use std::{
    env::{self, VarError},
    ffi::OsString,
    future::Future,
    io,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant, SystemTime},
};

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    started();
    Instant::now()
}

/// Since 1970; for people and files only, it may jump.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Resolves after `wait`.
pub(crate) async fn sleep(wait: Duration) {
    async_std::task::sleep(wait).await;
}

/// `None`: `work` took longer than `limit` and was dropped.
pub(crate) async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    async_std::future::timeout(limit, work).await.ok()
}

/// Uniform in `0.0..1.0`; good enough to spread restarts, for nothing else.
pub(crate) fn dice() -> f32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    let mut hasher = KEYS.get_or_init(RandomState::new).build_hasher();
    hasher.write_u128(started().elapsed().as_nanos());
    (hasher.finish() >> 40) as f32 / (1u64 << 24) as f32
}

/// Different each time: where a seeded choice begins when nobody gave a seed.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u128(started().elapsed().as_nanos());
    hasher.finish()
}

/// An environment variable; `Ok(None)`: it is not set. `Err`: what it holds is not Unicode.
pub(crate) fn env(name: &str) -> Result<Option<String>, OsString> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(value)) => Err(value),
    }
}

/// This thread unwinds: another panic would end the OS process.
pub(crate) fn is_unwinding() -> bool {
    thread::panicking()
}

/// Holds this thread for `wait`, asleep.
pub(crate) fn block(wait: Duration) {
    thread::sleep(wait);
}

/// Holds this thread, and a core, for `wait`.
pub(crate) fn spin(wait: Duration) {
    let begin = now();
    while begin.elapsed() < wait {
        std::hint::spin_loop();
    }
}

/// Other threads may go first.
pub(crate) fn yield_thread() {
    thread::yield_now();
}

/// From the first use of this crate to `at`.
pub(crate) fn since_start(at: Instant) -> Duration {
    at.saturating_duration_since(started())
}

fn started() -> Instant {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    *STARTED.get_or_init(Instant::now)
}

/// How many threads this OS process may run at once; at least 1.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A thread of its own for a blocking process. `name` is cut to what the system shows.
pub(crate) fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let name: String = name.chars().filter(|c| *c != '\0').collect();
    let free = move || {
        unpin();
        body();
    };
    thread::Builder::new().name(name).spawn(free).map(drop)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Parks this thread until `work` is done or `deadline` has come (`None`).
pub(crate) fn block_on<T>(work: impl Future<Output = T>, deadline: Option<Instant>) -> Option<T> {
    thread_local!(static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current()))));
    let mut work = pin!(work);
    WAKER.with(|waker| {
        let mut cx = Context::from_waker(waker);
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(&mut cx) {
                return Some(done);
            }
            match deadline.map(|at| at.saturating_duration_since(now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return None,
                Some(left) => thread::park_timeout(left),
            }
        }
    })
}
