//! Links and exit signals: how processes share one fate, or hear of each other's.
//!
//! The rules are Erlang's. A link goes both ways, and there is at most one between two processes. When one of them ends, the link
//! is gone and the other receives an exit signal with its exit reason:
//!
//! | the receiver | `normal` | any other reason |
//! |---|---|---|
//! | a process that does not trap exits | nothing | ends with the same reason |
//! | one that does ([`Process::trap_exits`](crate::Process::trap_exits)) | a message | a message |
//! | a supervisor | nothing: who trusts it is its child | nothing |
//!
//! A killed process ends with `killed`, and that can be trapped; only [`kill`] itself cannot.

use crate::{
    current,
    mailbox::Addr,
    monitor,
    pid::Pid,
    reason::ExitReason,
    table::{self, Entry},
};
use std::sync::Arc;

/// What a process that traps exits is told: `{'EXIT', From, Reason}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitSignal {
    /// The linked process that has ended, who called [`exit`], or the supervisor that wants this process to end.
    /// [`Pid::OUTSIDE`]: code that runs in no process.
    pub from: Pid,
    /// [`ExitReason::NoProc`]: it had ended before it was linked to.
    pub reason: ExitReason,
}

/// Links `one` and `other`, for as long as both live. Nothing happens when they are linked already, or the same. If one has
/// ended, the other receives an exit signal with [`ExitReason::NoProc`].
pub fn link(one: Pid, other: Pid) {
    if one == other {
        return;
    }
    let gone = match (table::find(one), table::find(other)) {
        (Some(first), Some(second)) => first.link(&second).err(),
        (None, _) => Some(one),
        (_, None) => Some(other),
    };
    if let Some(gone) = gone {
        let left = if gone == one { other } else { one };
        if let Some(left) = table::find(left) {
            left.signal(gone, ExitReason::NoProc);
        }
    }
}

/// Takes the link back. After it no exit signal comes through it; the message of one that came before may still be in
/// the mailbox.
pub fn unlink(one: Pid, other: Pid) {
    match (table::find(one), table::find(other)) {
        (Some(first), Some(second)) if one != other => first.unlink(&second),
        (Some(_), Some(_)) | (None, None) => {}
        (Some(left), None) => left.unlink_ended(other),
        (None, Some(left)) => left.unlink_ended(one),
    }
}

/// Sends `pid` an exit signal, as Erlang's `exit/2`; the sender is the process that runs this code. A process that has ended does not mind.
///
/// - One that does not trap exits ends with `reason`, where it waits; `normal` does nothing, unless it comes from itself.
/// - One that traps exits by [`Process::trap_exits`](crate::Process::trap_exits) gets a message. With
///   [`ChildSpec::trap_exit`](crate::ChildSpec::trap_exit) alone it only listens to its supervisor, and ignores all others.
/// - A supervisor traps exits, and ends for its own supervisor only: what a stranger sends is ignored. The supervisor of a root is
///   [`Pid::OUTSIDE`].
/// - A blocking process ends when it next looks.
/// - [`ExitReason::Killed`] stands for Erlang's `kill`: see [`kill`].
pub fn exit(pid: Pid, reason: ExitReason) {
    if reason == ExitReason::Killed {
        return kill(pid);
    }
    if let Some(entry) = table::find(pid) {
        let from = current::current().unwrap_or(Pid::OUTSIDE);
        entry.signal(from, reason);
    }
}

/// Ends `pid` without asking, whether it traps exits or not; its exit reason is `killed`. A supervisor's children are still ended
/// in order before its exit is reported; a blocking process ends only when it next looks.
pub fn kill(pid: Pid) {
    if let Some(entry) = table::find(pid) {
        entry.kill();
    }
}

/// `Process::trap_exits`, of every kind of process.
pub(crate) fn trap_exits<M: Send + 'static>(
    entry: &Entry,
    to: &Addr<M>,
    wrap: impl Fn(ExitSignal) -> M + Send + Sync + 'static,
) {
    let to = to.clone();
    entry.trap_exits(Arc::new(move |signal| monitor::deliver(to.clone(), wrap(signal))));
}
