//! What a signal does to a process: Erlang's rules for exit signals, and the order of a supervisor to its child.

use super::{DIES, Entry, KILL, PANIC, SHUTDOWN, lock};
use crate::{link::ExitSignal, panics, pid::Pid, reason::ExitReason, spec::Kind};
use std::sync::{Arc, Mutex};

pub(crate) type Trap = Arc<dyn Fn(ExitSignal) + Send + Sync>;

/// Opens by disconnection: any number may wait at it, in whatever future.
pub(super) struct Gate {
    shut: Mutex<Option<flume::Sender<()>>>,
    opened: flume::Receiver<()>,
}

impl Gate {
    fn new() -> Self {
        let (shut, opened) = flume::bounded(0);
        Self { shut: Mutex::new(Some(shut)), opened }
    }
}

impl Entry {
    pub(super) fn gate(&self) -> &Gate {
        self.gate.get_or_init(Gate::new)
    }

    /// The order of its supervisor. Who traps hears of it; a supervisor ends its children first; any other worker is dropped
    /// where it waits.
    pub(crate) fn exit(&self, reason: ExitReason) {
        if reason == ExitReason::Killed {
            return self.kill();
        }
        let trap = {
            let mut life = lock(&self.life);
            if life.ended.is_some() {
                return;
            }
            life.exit_with.get_or_insert_with(|| reason.clone());
            life.trap.clone()
        };
        let hears = self.traps || trap.is_some() || self.kind == Kind::Supervisor;
        self.raise(if hears { SHUTDOWN } else { SHUTDOWN | DIES });
        if let Some(gate) = self.gate.get() {
            drop(lock(&gate.shut).take());
        }
        if let Some(trap) = trap {
            let from = self.parent.as_ref().map_or(Pid::OUTSIDE, |parent| parent.pid);
            self.give(&trap, ExitSignal { from, reason });
        }
    }

    /// The signal that cannot be trapped.
    pub(crate) fn kill(&self) {
        self.raise(KILL | SHUTDOWN);
    }

    /// An exit signal from `from`, by a link or by [`exit`](crate::exit).
    pub(crate) fn signal(&self, from: Pid, reason: ExitReason) {
        let parent = self.parent.as_ref().map_or(Pid::OUTSIDE, |parent| parent.pid);
        if self.kind == Kind::Supervisor {
            if from == parent {
                return self.exit(reason);
            }
            return self.ignored(from, &reason);
        }
        let trap = {
            let mut life = lock(&self.life);
            if life.ended.is_some() {
                return;
            }
            let dies = life.trap.is_none() && !self.traps && (reason != ExitReason::Normal || from == self.pid);
            if dies {
                life.exit_with.get_or_insert_with(|| reason.clone());
                drop(life);
                return self.raise(SHUTDOWN | DIES);
            }
            life.trap.clone()
        };
        match trap {
            Some(trap) => self.give(&trap, ExitSignal { from, reason }),
            None if self.traps && from == parent => self.exit(reason),
            None => self.ignored(from, &reason),
        }
    }

    fn ignored(&self, from: Pid, reason: &ExitReason) {
        log::debug!(target: "sasl", "{} {} ignores the exit signal of {from}: {reason}", self.path, self.pid);
    }

    fn give(&self, trap: &Trap, signal: ExitSignal) {
        if let Err(fault) = panics::catch(|| trap(signal)) {
            log::error!(target: "sasl", "what {} {} makes of exit signals {fault}", self.path, self.pid);
        }
    }

    /// From now on exit signals are given to `trap`. `false`: the process has ended.
    pub(crate) fn trap_exits(&self, trap: Trap) -> bool {
        if self.kind == Kind::Worker {
            self.gate();
        }
        let mut life = lock(&self.life);
        if life.ended.is_some() {
            return false;
        }
        let before = life.trap.replace(trap);
        drop(life);
        panics::discard(before);
        true
    }

    /// It traps exits, by its spec or because it said so.
    pub(crate) fn traps(&self) -> bool {
        self.traps || self.kind == Kind::Supervisor || lock(&self.life).trap.is_some()
    }

    /// It was killed, or a signal came that it did not trap.
    pub(crate) fn is_ending(&self) -> bool {
        self.has(DIES | KILL)
    }

    /// An exit signal came that it did not trap.
    pub(crate) fn dies(&self) -> bool {
        self.has(DIES)
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.has(KILL)
    }

    /// A shutdown was requested, or more.
    pub(crate) fn is_told_to_end(&self) -> bool {
        self.has(SHUTDOWN)
    }

    /// Something other than work is to be done at the next poll.
    pub(crate) fn is_signalled(&self) -> bool {
        self.has(SHUTDOWN | KILL | PANIC)
    }

    /// Why it was told to end.
    pub(crate) fn exit_reason(&self) -> ExitReason {
        let life = lock(&self.life);
        life.exit_with.clone().unwrap_or(ExitReason::Shutdown)
    }

    /// Resolves when its supervisor wants it to end; never for a process that does not trap exits.
    pub(crate) async fn shutdown_requested(&self) {
        match self.gate.get() {
            // Nothing is ever sent: this ends by disconnection.
            Some(gate) => drop(gate.opened.recv_async().await),
            None => futures::future::pending().await,
        }
    }
}
