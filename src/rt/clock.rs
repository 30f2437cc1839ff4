//! Time: the clock, sleeping, ticking, and limits on how long something may take.
//!
//! Sits in `rt/` because pure code takes time as a parameter and processes ask here. Never reads the wall clock: every
//! time is monotonic, so a clock that is set back or a suspended machine cannot make a timer fire twice.

use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::spawn::block_on;

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
