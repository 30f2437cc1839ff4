//! Time: the clock, sleeping, ticking, and limits on how long something may take.
//!
//! Sits in `rt/` because pure code takes time as a parameter and processes ask here. Never reads the wall clock: every
//! time is monotonic, so a clock that is set back or a suspended machine cannot make a timer fire twice.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Time since this function was first called in this OS process: the `now: Duration` that pure code takes.
pub fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Waits at least `length`.
pub async fn sleep(length: Duration) {
    async_std::task::sleep(length).await;
}

/// Waits until `at`; returns at once when that has passed.
pub async fn sleep_until(at: Instant) {
    let left = at.saturating_duration_since(now());
    if !left.is_zero() {
        sleep(left).await;
    }
}

/// A future was dropped because its time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for TimedOut {}

/// Runs `future` for at most `limit`, then drops it.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, TimedOut> {
    async_std::future::timeout(limit, future).await.map_err(|_| TimedOut)
}

/// Beats at a fixed rate. A beat that nobody waited for is dropped, not made up for.
#[derive(Debug)]
pub struct Ticker {
    every: Duration,
    next: Instant,
}

impl Ticker {
    /// The first beat is one period from now. A period of zero is taken as one millisecond.
    pub fn new(every: Duration) -> Self {
        Self::starting_in(every, every)
    }

    /// The first beat is `first` from now; spreads the beats of many processes over a period.
    pub fn starting_in(first: Duration, every: Duration) -> Self {
        let every = every.max(Duration::from_millis(1));
        Self { every, next: now() + first }
    }

    /// Waits for the next beat. Dropping the future loses nothing, so it may sit in a `select!`.
    pub async fn tick(&mut self) {
        sleep_until(self.next).await;
        self.next += self.every;
        let now = now();
        if self.next <= now {
            self.next = now + self.every;
        }
    }
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Rings at a time that may be put forward. Who is late for nothing leaves it to ring early, and looks then what is due: that is
/// cheaper than a timer for every change of plans. Times are [`since_start`].
#[derive(Default)]
pub struct Alarm {
    set: Option<(Duration, Sleep)>,
}

impl Alarm {
    /// It rings at `at`, or earlier if it was set to that.
    pub fn by(&mut self, at: Duration) {
        if self.set.as_ref().is_none_or(|(before, _)| at < *before) {
            self.set = Some((at, Box::pin(sleep(at.saturating_sub(since_start())))));
        }
    }

    /// Ready when it rings, once; pending for as long as it is not set.
    pub fn poll_ring(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((_, rings)) = &mut self.set else { return Poll::Pending };
        std::task::ready!(rings.as_mut().poll(cx));
        self.set = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alarm({:?})", self.set.as_ref().map(|(at, _)| at))
    }
}

/// `at`, rounded up to a whole second: many that wait for about the same time then wake together, which costs much less than one by one.
pub fn whole_second(at: Duration) -> Duration {
    Duration::from_secs(at.as_secs() + u64::from(at.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::spawn::block_on;

    #[test]
    fn an_alarm_is_put_forward_and_never_back_and_rings_once() {
        let mut alarm = Alarm::default();
        let begun = since_start();
        let (soon, later) = (begun + Duration::from_millis(10), begun + Duration::from_secs(3600));
        [later, soon, later].into_iter().for_each(|at| alarm.by(at));
        block_on(std::future::poll_fn(|cx| alarm.poll_ring(cx)));
        assert!((soon..later).contains(&since_start()));
        let again = std::future::poll_fn(|cx| alarm.poll_ring(cx));
        assert_eq!(block_on(timeout(Duration::from_millis(5), again)), Err(TimedOut), "nobody has set it again");
    }

    #[test]
    fn a_whole_second_is_never_earlier() {
        let rounded = [0, 1, 999, 1000, 1001].map(|ms| whole_second(Duration::from_millis(ms)).as_millis());
        assert_eq!(rounded, [0, 1000, 1000, 1000, 2000]);
    }

    #[test]
    fn a_future_that_never_ends_is_dropped_at_its_limit() {
        let limited = timeout(Duration::from_millis(10), std::future::pending::<()>());
        assert_eq!(block_on(limited), Err(TimedOut));
        assert_eq!(block_on(timeout(Duration::from_secs(60), async { 7 })), Ok(7));
    }

    #[test]
    fn a_ticker_keeps_its_beat_when_its_future_is_dropped() {
        block_on(async {
            let mut ticker = Ticker::new(Duration::from_millis(40));
            let started = now();
            while timeout(Duration::from_millis(3), ticker.tick()).await.is_err() {}
            let took = started.elapsed();
            assert!(took >= Duration::from_millis(37), "beat came early, after {took:?}");
        });
    }

    #[test]
    fn a_ticker_that_was_not_waited_for_does_not_catch_up() {
        block_on(async {
            let mut ticker = Ticker::starting_in(Duration::ZERO, Duration::from_millis(20));
            sleep(Duration::from_millis(100)).await;
            ticker.tick().await;
            let started = now();
            ticker.tick().await;
            assert!(started.elapsed() >= Duration::from_millis(15));
        });
    }
}
