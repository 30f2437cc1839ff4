//! Which process runs on this thread: Erlang's `self()`.
//!
//! Set around every poll of a process and for the life of a blocking one's thread, at a cost of about 2 ns. A thread that a
//! process starts by itself, or a task on another executor, is in no process.

<<<<<<< HEAD
use crate::{pid::Pid, spec::Kind, table::Entry};
use std::{cell::RefCell, sync::Arc};
=======
use crate::{
    pid::Pid,
    table::{self, Entry},
};
use std::{cell::Cell, sync::Arc};
>>>>>>> 2a34edc1da2425f203f725a2a72f3ee00a5ac58f

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

<<<<<<< HEAD
/// The process whose code calls this is dropped as soon as it waits.
pub(crate) fn is_ending() -> bool {
    let ending = |entry: &Arc<Entry>| entry.kind == Kind::Worker && (entry.dies() || entry.is_killed());
    CURRENT.try_with(|current| current.borrow().as_ref().is_some_and(ending)).unwrap_or(false)
}

/// Until it is dropped, `entry` is the current process of this thread.
=======
/// Until it is dropped, a process is the current one of this thread.
>>>>>>> 2a34edc1da2425f203f725a2a72f3ee00a5ac58f
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
