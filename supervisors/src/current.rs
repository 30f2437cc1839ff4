//! Which process runs on this thread: Erlang's `self()`.
//!
//! Set around every poll of a process and for the life of a blocking one's thread. It costs two counts on the process's table
//! entry per poll (about 10 ns). A thread that a process starts by itself, or a task on another executor, is in no process.

use crate::{pid::Pid, spec::Kind, table::Entry};
use std::{cell::RefCell, sync::Arc};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Entry>>> = const { RefCell::new(None) };
}

/// The process whose code calls this; `None`: it is none.
pub fn current() -> Option<Pid> {
    CURRENT.try_with(|current| current.borrow().as_ref().map(|entry| entry.pid)).ok().flatten()
}

/// As [`current`], and all that is known of it.
pub(crate) fn entry() -> Option<Arc<Entry>> {
    // `Err`: the thread ends, and runs the destructors of other thread-locals.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The process whose code calls this is dropped as soon as it waits.
pub(crate) fn is_ending() -> bool {
    let ending = |entry: &Arc<Entry>| entry.kind == Kind::Worker && (entry.dies() || entry.is_killed());
    CURRENT.try_with(|current| current.borrow().as_ref().is_some_and(ending)).unwrap_or(false)
}

/// Until it is dropped, `entry` is the current process of this thread.
pub(crate) struct Current {
    outer: Option<Arc<Entry>>,
}

pub(crate) fn enter(entry: &Arc<Entry>) -> Current {
    let entry = Some(entry.clone());
    Current { outer: CURRENT.with(|current| current.replace(entry)) }
}

impl Drop for Current {
    fn drop(&mut self) {
        let outer = self.outer.take();
        drop(CURRENT.try_with(|current| current.replace(outer)));
    }
}
