//! Whole swarms on loopback: one seed that leaves, among clients of four kinds; and twenty of our own behind a slow seed, where
//! nobody may wait long and nobody may live on others.
//!
//! Needs Debian's `opentracker python3-libtorrent aria2 transmission-daemon` for the mixed ones; a test that lacks one says `SKIPPED`
//! loudly, and `BT_ERL_NO_SKIP=1` makes that a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

#[path = "swarm/crashes.rs"]
mod crashes;
#[path = "swarm/mixed.rs"]
mod mixed;
#[path = "swarm/twenty.rs"]
mod twenty;

const MIB: u64 = 1 << 20;
