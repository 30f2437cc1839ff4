//! The wall clock, for people to read: the time that stands before a line of the log.
//!
//! Decides nothing but what the time of change of a file says: it may be wrong and may be set back ([`clock`](super::clock) cannot).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970-01-01T00:00:00Z without leap seconds; zero on a machine whose clock is before that.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in nanoseconds, as files tell their times.
pub fn unix_nanos() -> u64 {
    u64::try_from(unix_time().as_nanos()).unwrap_or(u64::MAX)
}
