//! What a machine remembers, to be shown; and a machine made again from what was shown.
//!
//! Part of [`machine`](super), and as pure. A prediction runs on a machine made here: the same code decides.

use super::{After, Child, Key, Machine, Phase, Rule, State};
use crate::{
    pid::Pid,
    reason::ExitReason,
    spec::{BadSpec, Flags},
};
use std::time::{Duration, Instant};

/// A child that is to be remembered.
pub(crate) struct Recalled {
    pub(crate) rule: Rule,
    pub(crate) state: Recall,
    pub(crate) restarts: u64,
    pub(crate) last_exit: Option<ExitReason>,
    /// Environment exits in a row.
    pub(crate) failures: u32,
    /// When the present incarnation was started.
    pub(crate) since: Instant,
}

/// What it does.
pub(crate) enum Recall {
    Waiting,
    Starting(Pid),
    Running(Pid),
    /// It stays down afterwards unless `again`.
    Stopping {
        pid: Pid,
        again: bool,
    },
    BackingOff(Instant),
    Stopped,
}

impl Child {
    /// Environment exits in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

impl Machine {
    /// It gives up, or was told to end.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::Ended)
    }

    /// Of the child with this id.
    pub(crate) fn rule(&self, id: &str) -> Option<&Rule> {
        self.child(*self.by_id.get(id)?).map(|child| &child.rule)
    }

    pub(crate) fn child(&self, key: Key) -> Option<&Child> {
        self.children.get(&key).map(|child| &**child)
    }

    /// How long ago each restart was that counts now, oldest first.
    pub(crate) fn ages(&self, now: Instant) -> Vec<Duration> {
        let age = |at: &Instant| now.saturating_duration_since(*at);
        self.history.iter().map(age).filter(|age| *age <= self.flags.period).collect()
    }

    /// A machine in the middle of its life. Children in start order, they get the keys `0..`; `history`: restarts that count,
    /// oldest first.
    pub(crate) fn recall(
        flags: Flags,
        booting: bool,
        history: Vec<Instant>,
        children: Vec<Recalled>,
        now: Instant,
    ) -> Result<Self, BadSpec> {
        let rules = children.iter().map(|child| child.rule.clone()).collect();
        let mut machine = Self::new(flags, rules, now)?;
        machine.phase = if booting { Phase::Booting } else { Phase::Running };
        machine.history = history.into();
        for (key, recalled) in (0..).zip(children) {
            machine.recall_child(key, recalled);
        }
        Ok(machine)
    }

    fn recall_child(&mut self, key: Key, recalled: Recalled) {
        let Recalled { state, restarts, last_exit, failures, since, .. } = recalled;
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        (child.restarts, child.last_exit, child.failures, child.since) = (restarts, last_exit, failures, since);
        child.started_before = !matches!(state, Recall::Waiting) || restarts > 0;
        let (state, pid) = match state {
            Recall::Waiting => return,
            Recall::Starting(pid) => (State::Starting { pid }, Some(pid)),
            Recall::Running(pid) => (State::Running { pid }, Some(pid)),
            Recall::Stopping { pid, again } => {
                let after = if again { After::StartAgain } else { After::Stay };
                (State::Stopping { pid, killed: false, after }, Some(pid))
            }
            Recall::BackingOff(until) => (State::BackingOff { until }, None),
            Recall::Stopped => (State::Stopped, None),
        };
        self.to_start.remove(&key);
        match state {
            State::Starting { .. } => drop(self.starting.insert(key)),
            State::Stopping { .. } => drop(self.stopping.insert(key)),
            State::BackingOff { until } => {
                child.timer = Some(until);
                self.timers.insert((until, key));
                self.backing_off.insert(key);
            }
            _ => {}
        }
        child.state = state;
        self.by_pid.extend(pid.map(|pid| (pid, key)));
    }
}
