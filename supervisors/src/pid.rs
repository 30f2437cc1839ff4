//! Process identifiers. Never reused within one OS process.

use serde::Serialize;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Names one incarnation of one process; a restarted child has a new one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Pid(pub(crate) u64);

impl Pid {
    /// Stands for code that runs in no process, where a sender is named: that which started a tree, a test, a thread of its own.
    pub const OUTSIDE: Self = Self(0);

    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("<{}>", self.0))
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}
