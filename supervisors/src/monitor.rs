//! Monitors and signals: what one process may do to another that it is not the supervisor of.

use crate::{
    mailbox::{Addr, CastError},
    pid::Pid,
    reason::ExitReason,
    slots, table,
};
use std::sync::atomic::{AtomicU64, Ordering};

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
}

/// When `pid` ends, once, `to` gets what `wrap` makes of it; at once when it has ended already. The message is there before
/// a supervisor starts the next incarnation. A full mailbox delays it, a closed one loses it.
pub fn monitor<M: Send + 'static>(pid: Pid, to: &Addr<M>, wrap: impl FnOnce(Down) -> M + Send + 'static) -> Monitor {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let to = to.clone();
    let tell = Box::new(move |down| deliver(to, wrap(down)));
    let refused = match table::find(pid) {
        Some(entry) => entry.on_exit(id, tell).err().map(|(tell, _)| tell),
        None => Some(tell as Box<dyn FnOnce(Down) + Send>),
    };
    if let Some(tell) = refused {
        let reason = ExitReason::NoProc;
        tell(Down { pid, reason });
    }
    Monitor { pid, id }
}

fn deliver<M: Send + 'static>(to: Addr<M>, message: M) {
    if let Err(CastError::Full(message)) = to.cast(message) {
        slots::run(Box::pin(async move { drop(to.cast_wait(message).await) }));
    }
}

/// After it no message comes from this monitor; one that was sent before may still be in the mailbox.
pub fn demonitor(monitor: Monitor) {
    if let Some(entry) = table::find(monitor.pid) {
        entry.forget_monitor(monitor.id);
    }
}

/// The exit signal: a process that traps exits is asked to shut down, a supervisor ends its children and then itself,
/// any other is dropped where it waits.
pub fn exit(pid: Pid, reason: ExitReason) {
    if let Some(entry) = table::find(pid) {
        entry.exit(reason);
    }
}

/// Ends `pid` without asking. A supervisor's children are still ended in order before its exit is reported; a blocking
/// process ends only when it next looks.
pub fn kill(pid: Pid) {
    if let Some(entry) = table::find(pid) {
        entry.kill();
    }
}

/// Fault injection: `pid` really panics, with `message`, at its next poll or `recv`. A protected process does not.
pub fn inject_panic(pid: Pid, message: &str) {
    if let Some(entry) = table::find(pid) {
        entry.inject_panic(message);
    }
}
