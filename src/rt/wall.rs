//! The wall clock, for people to read: the time that stands before a line of the log.
//!
//! Decides nothing but whether a file's time of change is long ago: it may be wrong and may be set back ([`clock`](super::clock) cannot).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970-01-01T00:00:00Z without leap seconds; zero on a machine whose clock is before that.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
