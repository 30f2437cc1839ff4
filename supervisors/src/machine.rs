//! A supervisor as a pure state machine: events in, actions out.
//!
//! Knows child specs, strategies, restart intensity, back-off and the order of starting and ending; knows no runtime, clock,
//! dice or log: time and the thrown die come with the event. [`driver`](crate::driver) performs the actions.
//! `machine/messages.rs` lists both, `machine/restarts.rs` decides what an exit means, `machine/orders.rs` does what is asked from outside.

mod memory;
mod messages;
mod orders;
mod restarts;
#[cfg(test)]
mod tests;

pub(crate) use memory::{Recall, Recalled};
pub(crate) use messages::{Action, Answer, Event, Report};

use crate::{
    pid::Pid,
    reason::ExitReason,
    spec::{AutoShutdown, Backoff, BadSpec, Flags, Kind, Restart, Shutdown, Strategy},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// A process that was killed and has still not ended after this time holds its thread: it is abandoned.
pub(crate) const KILL_GRACE: Duration = Duration::from_secs(5);

/// The children's start order.
pub(crate) type Key = u64;
/// Who waits for an answer; the driver knows.
pub(crate) type Token = u64;

/// The part of a child spec that decides.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) significant: bool,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) awaits_init: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// To be started as soon as the order allows.
    Waiting,
    /// `Action::Start` is out, `Event::Spawned` not yet in.
    Launching,
    /// Runs, but has not said that it is ready.
    Starting {
        pid: Pid,
    },
    Running {
        pid: Pid,
    },
    /// Told to end. `killed`: asking took too long.
    Stopping {
        pid: Pid,
        killed: bool,
        after: After,
    },
    BackingOff {
        until: Instant,
    },
    /// Not running and not about to.
    Stopped,
}

/// What becomes of a child that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    StartAgain,
    Stay,
}

#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) rule: Rule,
    pub(crate) state: State,
    /// How often it was started, less one.
    pub(crate) restarts: u64,
    pub(crate) last_exit: Option<ExitReason>,
    /// Why the supervisor in this place gave up.
    pub(crate) cause: Option<String>,
    /// When the present incarnation was started.
    since: Instant,
    /// Environment exits in a row.
    failures: u32,
    started_before: bool,
    /// Added by `start_child` and never been up: its failure is the caller's answer.
    fresh: Option<Option<Token>>,
    timer: Option<Instant>,
    enders: Vec<Token>,
}

impl Child {
    fn new(rule: Rule, now: Instant) -> Self {
        Self {
            rule,
            state: State::Waiting,
            restarts: 0,
            last_exit: None,
            cause: None,
            since: now,
            failures: 0,
            started_before: false,
            fresh: None,
            timer: None,
            enders: Vec::new(),
        }
    }

    /// It has no process that is up, and is about to have one. A child that was just asked for is not meant.
    pub(crate) fn is_restarting(&self) -> bool {
        match self.state {
            State::Waiting | State::Launching | State::BackingOff { .. } => true,
            State::Starting { .. } => self.fresh.is_none(),
            State::Running { .. } | State::Stopping { .. } | State::Stopped => false,
        }
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Starting { pid } | State::Running { pid } | State::Stopping { pid, .. } => Some(pid),
            State::Waiting | State::Launching | State::BackingOff { .. } | State::Stopped => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// The initial start: in order, and the first failure ends it.
    Booting,
    Running,
    Ending {
        reason: ExitReason,
        cause: Option<String>,
    },
    Ended,
}

/// Invariant: a child is in at most one of `to_stop`, `stopping`, `to_start`, `starting`, `backing_off`.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    flags: Flags,
    phase: Phase,
    /// Boxed: a node of the map has room for eleven, and most supervisors have few.
    children: BTreeMap<Key, Box<Child>>,
    by_id: HashMap<Arc<str>, Key>,
    by_pid: HashMap<Pid, Key>,
    /// Running, but a sibling's restart or the end of the supervisor will end them: highest first.
    to_stop: BTreeSet<Key>,
    /// Told to end for such a reason.
    stopping: BTreeSet<Key>,
    to_start: BTreeSet<Key>,
    /// Launching or Starting.
    starting: BTreeSet<Key>,
    backing_off: BTreeSet<Key>,
    timers: BTreeSet<(Instant, Key)>,
    /// Of restarts that count.
    history: VecDeque<Instant>,
}

impl Machine {
    /// The children get the keys `0..` in start order.
    pub(crate) fn new(flags: Flags, rules: Vec<Rule>, now: Instant) -> Result<Self, BadSpec> {
        let mut machine = Self {
            flags,
            phase: Phase::Booting,
            children: BTreeMap::new(),
            by_id: HashMap::new(),
            by_pid: HashMap::new(),
            to_stop: BTreeSet::new(),
            stopping: BTreeSet::new(),
            to_start: BTreeSet::new(),
            starting: BTreeSet::new(),
            backing_off: BTreeSet::new(),
            timers: BTreeSet::new(),
            history: VecDeque::new(),
        };
        if flags.period.is_zero() {
            return Err(BadSpec::ZeroPeriod);
        }
        for (key, rule) in (0..).zip(rules) {
            machine.check(&rule)?;
            if machine.by_id.insert(rule.id.clone(), key).is_some() {
                return Err(BadSpec::DuplicateChild { id: rule.id.to_string() });
            }
            machine.children.insert(key, Box::new(Child::new(rule, now)));
            machine.to_start.insert(key);
        }
        Ok(machine)
    }

    /// What a supervisor with these flags has against this child.
    pub(crate) fn check(&self, rule: &Rule) -> Result<(), BadSpec> {
        let id = || rule.id.to_string();
        match rule.restart {
            _ if !rule.significant => Ok(()),
            _ if self.flags.auto_shutdown == AutoShutdown::Never => {
                Err(BadSpec::SignificantWithoutAutoShutdown { id: id() })
            }
            Restart::Permanent => Err(BadSpec::SignificantPermanent { id: id() }),
            Restart::Transient | Restart::Temporary => Ok(()),
        }
    }

    /// Children come and go, and are ended side by side.
    pub(crate) fn is_simple(&self) -> bool {
        self.flags.strategy == Strategy::SimpleOneForOne
    }

    /// One child's end and start mean nothing to the others.
    fn is_one_for_one(&self) -> bool {
        matches!(self.flags.strategy, Strategy::OneForOne | Strategy::SimpleOneForOne)
    }

    /// Takes `event`; the actions are to be performed in order, before the next event.
    pub(crate) fn on_event(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Begin => {}
            Event::Spawned { key, pid } => self.spawned(key, pid, now, &mut out),
            Event::Ready { pid } => self.ready(pid, &mut out),
            Event::Exited { pid, reason, cause, dice } => {
                self.exited(pid, reason, cause, dice, now, &mut out);
            }
            Event::Tick => self.tick(now, &mut out),
            Event::Shutdown { reason } => self.begin_ending(reason, None, &mut out),
            Event::StartChild { key, rule, token } => self.start_child(key, rule, token, now, &mut out),
            Event::TerminateChild { child, token } => self.terminate_child(&child, token, now, &mut out),
            Event::RestartChild { id, token } => self.restart_child(&id, token, &mut out),
            Event::DeleteChild { id, token } => self.delete_child(&id, token, &mut out),
        }
        self.settle(now, &mut out);
        out
    }

    /// When [`Event::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) fn flags(&self) -> Flags {
        self.flags
    }

    /// In start order.
    pub(crate) fn children(&self) -> impl Iterator<Item = (Key, &Child)> {
        self.children.iter().map(|(key, child)| (*key, &**child))
    }

    /// Restarts that count now.
    pub(crate) fn used(&self, now: Instant) -> usize {
        let counts = |at: &&Instant| now.saturating_duration_since(**at) <= self.flags.period;
        self.history.iter().filter(counts).count()
    }

    fn spawned(&mut self, key: Key, pid: Pid, now: Instant, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.since = now;
        child.state = State::Starting { pid };
        self.by_pid.insert(pid, key);
        if !child.rule.awaits_init {
            self.up(key, pid, out);
        }
    }

    fn ready(&mut self, pid: Pid, out: &mut Vec<Action>) {
        let Some(&key) = self.by_pid.get(&pid) else {
            return;
        };
        let starting = State::Starting { pid };
        if self.children.get(&key).is_some_and(|child| child.state == starting) {
            self.up(key, pid, out);
        }
    }

    fn up(&mut self, key: Key, pid: Pid, out: &mut Vec<Action>) {
        self.starting.remove(&key);
        let simple = self.is_simple();
        if let Some(child) = self.children.get_mut(&key) {
            child.state = State::Running { pid };
            // OTP reports none of these: they come and go by the thousand.
            if !simple {
                out.push(Action::Progress { key, pid });
            }
            if let Some(Some(token)) = child.fresh.take() {
                let answer = Answer::Started(pid);
                out.push(Action::Answer { token, answer });
            }
        }
    }

    /// Does what the sets call for, as far as the order allows.
    fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.stop_marked(now, out);
        if let Phase::Ending { reason, cause } = &self.phase {
            if self.by_pid.is_empty() {
                let (reason, cause) = (reason.clone(), cause.clone());
                out.push(Action::Exit { reason, cause });
                self.phase = Phase::Ended;
            }
            return;
        }
        if self.phase == Phase::Ended {
            return;
        }
        self.start_marked(out);
        if self.phase == Phase::Booting && self.to_start.is_empty() && self.starting.is_empty() {
            self.phase = Phase::Running;
            out.push(Action::Ready);
        }
    }

    /// One at a time and the youngest first; the children of a simple supervisor do not depend on each other: all at once.
    fn stop_marked(&mut self, now: Instant, out: &mut Vec<Action>) {
        while self.is_simple() || self.stopping.is_empty() {
            let Some(key) = self.to_stop.pop_last() else {
                return;
            };
            self.stopping.insert(key);
            self.stop(key, After::StartAgain, now, out);
        }
    }

    /// Tells a child to end, unless that has been done.
    fn stop(&mut self, key: Key, after: After, now: Instant, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let (State::Starting { pid } | State::Running { pid }) = child.state else {
            return;
        };
        self.starting.remove(&key);
        let brutal = child.rule.shutdown == Shutdown::BrutalKill;
        child.state = State::Stopping { pid, killed: brutal, after };
        out.push(if brutal { Action::Kill { pid } } else { Action::Stop { pid } });
        let limit = match child.rule.shutdown {
            Shutdown::BrutalKill if child.rule.kind == Kind::Supervisor => None,
            Shutdown::BrutalKill => Some(KILL_GRACE),
            Shutdown::Timeout(limit) => Some(limit),
            Shutdown::Infinity => None,
        };
        self.set_timer(key, limit.map(|limit| now + limit));
    }

    fn start_marked(&mut self, out: &mut Vec<Action>) {
        let free = self.is_one_for_one() && self.phase != Phase::Booting;
        if free {
            for key in std::mem::take(&mut self.to_start) {
                self.start(key, out);
            }
            return;
        }
        if !self.to_stop.is_empty() || !self.stopping.is_empty() {
            return;
        }
        let Some(&key) = self.to_start.first() else {
            return;
        };
        let before = |set: &BTreeSet<Key>| set.first().is_some_and(|first| *first < key);
        let depends = !self.is_one_for_one();
        if !(before(&self.starting) || depends && before(&self.backing_off)) {
            self.to_start.remove(&key);
            self.start(key, out);
        }
    }

    fn start(&mut self, key: Key, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.restarts += u64::from(child.started_before);
        child.started_before = true;
        child.state = State::Launching;
        self.starting.insert(key);
        let incarnation = child.restarts;
        out.push(Action::Start { key, incarnation });
    }

    fn set_timer(&mut self, key: Key, at: Option<Instant>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut child.timer, at) {
            self.timers.remove(&(old, key));
        }
        if let Some(at) = at {
            self.timers.insert((at, key));
        }
    }
}
