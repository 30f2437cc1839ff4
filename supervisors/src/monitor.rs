//! Monitors: to be told, once, that a process has ended. They go one way, and never end anybody.

use crate::{
    mailbox::{Addr, CastError},
    panics,
    pid::Pid,
    reason::ExitReason,
    slots,
    table::{self, Entry, OnExit},
};
use std::sync::Arc;

/// The monitored process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Who.
    pub pid: Pid,
    /// Why; [`ExitReason::NoProc`] when it had ended before it was monitored.
    pub reason: ExitReason,
}

/// Takes a monitor back, by [`demonitor`]. Dropping it leaves the monitor in place.
#[derive(Debug)]
pub struct Monitor {
    pid: Pid,
    id: u64,
    owner: Option<Pid>,
}

/// When `pid` ends, once, `to` gets what `wrap` makes of it; at once when it has ended already. The message is there before
/// a supervisor starts the next incarnation. A full mailbox delays it, a closed one loses it.
///
/// Nobody owns this monitor, and it stays until `pid` ends: within a process, [`Process::monitor`](crate::Process::monitor) is Erlang's.
pub fn monitor<M: Send + 'static>(pid: Pid, to: &Addr<M>, wrap: impl FnOnce(Down) -> M + Send + 'static) -> Monitor {
    watch(None, pid, to, wrap)
}

/// The monitor of `owner`, with which it ends.
pub(crate) fn watch<M: Send + 'static>(
    owner: Option<&Arc<Entry>>,
    pid: Pid,
    to: &Addr<M>,
    wrap: impl FnOnce(Down) -> M + Send + 'static,
) -> Monitor {
    let id = table::next_id();
    let (to, by) = (to.clone(), owner.cloned());
    let tell = Box::new(move |down| {
        if let Some(by) = by {
            by.watches_no_more(id);
        }
        deliver(to, wrap(down));
    });
    let monitor = Monitor { pid, id, owner: owner.map(|owner| owner.pid) };
    if owner.is_some_and(|owner| !owner.watches(id, pid)) {
        return monitor;
    }
    let refused = match table::find(pid) {
        Some(entry) => entry.on_exit(id, tell).err().map(|(tell, _)| tell),
        None => Some(tell as OnExit),
    };
    if let Some(tell) = refused {
        let reason = ExitReason::NoProc;
        tell(Down { pid, reason });
    }
    if owner.is_some_and(|owner| owner.has_ended()) {
        // It may have looked for its monitors before this one was there.
        take_back(&monitor);
    }
    monitor
}

pub(crate) fn deliver<M: Send + 'static>(to: Addr<M>, message: M) {
    if let Err(CastError::Full(message)) = to.cast(message) {
        slots::run(Box::pin(async move { drop(to.cast_wait(message).await) }));
    }
}

/// After it no message comes from this monitor. `false`: its one message was sent before, and is in the mailbox unless it
/// has been read.
pub fn demonitor(monitor: Monitor) -> bool {
    if let Some(owner) = monitor.owner.and_then(table::find) {
        owner.watches_no_more(monitor.id);
    }
    take_back(&monitor)
}

fn take_back(monitor: &Monitor) -> bool {
    let tell = table::find(monitor.pid).and_then(|entry| entry.forget_monitor(monitor.id));
    let there = tell.is_some();
    panics::discard(tell);
    there
}

/// Fault injection: `pid` really panics, with `message`, at its next poll or `recv`. A protected process does not.
pub fn inject_panic(pid: Pid, message: &str) {
    if let Some(entry) = table::find(pid) {
        entry.inject_panic(message);
    }
}
