//! Which process runs on this thread: Erlang's `self()`.
//!
//! Set around every poll of a process and for the life of a blocking one's thread, at a cost of about 2 ns. A thread that a
//! process starts by itself, or a task on another executor, is in no process.

use crate::{
    pid::Pid,
    spec::Kind,
    table::{self, Entry},
};
use std::{cell::Cell, sync::Arc};

thread_local! {
    static CURRENT: Cell<Option<Pid>> = const { Cell::new(None) };
}

/// The process whose code calls this; `None`: it is none.
pub fn current() -> Option<Pid> {
    CURRENT.get()
}

/// As [`current`], and all that is known of it. Costs a table look-up.
pub(crate) fn entry() -> Option<Arc<Entry>> {
    current().and_then(table::find)
}

/// The process whose code calls this is dropped as soon as it waits. Almost always one load.
pub(crate) fn is_ending() -> bool {
    table::some_are_ending() && entry().is_some_and(|entry| entry.kind == Kind::Worker && entry.is_ending())
}

/// Until it is dropped, a process is the current one of this thread.
pub(crate) struct Current {
    outer: Option<Pid>,
}

pub(crate) fn enter(pid: Pid) -> Current {
    Current { outer: CURRENT.replace(Some(pid)) }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}
