//! A tree of state machines without processes: what is told to end ends, what is started is there.
//!
//! Part of [`predict`](super), and as pure. The time is one of its own; it passes only when nothing is left to do.

use super::{Dying, GivesUp, PredictError, Prediction, Restarted, Spent, Surviving};
use crate::{
    machine::{Action, Event, Key, Machine, Recall, Recalled, Report, Rule, State},
    pid::Pid,
    reason::ExitReason,
    rt,
    snapshot::{Node, Snapshot, Status},
    spec::{Flags, Kind, Restart, Shutdown, Strategy},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

/// A node's number in [`Snapshot::nodes`].
type Index = usize;

/// A supervisor that runs.
struct Sup {
    machine: Machine,
    /// Which node a child is.
    children: BTreeMap<Key, Index>,
}

/// A process that runs.
#[derive(Clone, Copy)]
struct Proc {
    at: Index,
    parent: Option<Pid>,
    /// It is in the snapshot.
    old: bool,
    /// It was being started when the snapshot was taken.
    early: bool,
    since: Instant,
}

pub(super) struct World<'a> {
    snapshot: &'a Snapshot,
    nodes: Vec<&'a Node>,
    below: Vec<Vec<Index>>,
    procs: HashMap<Pid, Proc>,
    sups: HashMap<Pid, Sup>,
    queue: VecDeque<(Pid, Event)>,
    start: Instant,
    now: Instant,
    next_pid: u64,
    early: bool,
    dies: Vec<Dying>,
    budgets: Vec<Spent>,
    gives_up: Vec<GivesUp>,
    root_ends: Option<ExitReason>,
}

impl<'a> World<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Result<Self, PredictError> {
        let nodes: Vec<&Node> = snapshot.nodes().collect();
        let longest =
            nodes.iter().flat_map(|node| node.budget.iter().flat_map(|budget| &budget.ages).chain(&node.uptime));
        // Far enough from the beginning of the clock for every age to be a moment; which moment it is makes no difference.
        let start = rt::now() + longest.max().copied().unwrap_or_default();
        let mut below = vec![Vec::new(); nodes.len()];
        let mut next = 0;
        number(&snapshot.root, &mut next, &mut below);
        let mut world = Self {
            snapshot,
            nodes,
            below,
            procs: HashMap::new(),
            sups: HashMap::new(),
            queue: VecDeque::new(),
            start,
            now: start,
            next_pid: u64::MAX / 2,
            early: true,
            dies: Vec::new(),
            budgets: Vec::new(),
            gives_up: Vec::new(),
            root_ends: None,
        };
        world.recall(0, None)?;
        Ok(world)
    }

    pub(super) fn node(&self, at: Index) -> &'a Node {
        self.nodes[at]
    }

    /// What is in the snapshot, as it is.
    fn recall(&mut self, at: Index, parent: Option<Pid>) -> Result<(), PredictError> {
        let node = self.nodes[at];
        let Some(pid) = node.pid else {
            return Ok(());
        };
        let since = self.start.checked_sub(node.uptime.unwrap_or_default()).unwrap_or(self.start);
        self.procs.insert(pid, Proc { at, parent, old: true, early: false, since });
        for below in self.below[at].clone() {
            self.recall(below, Some(pid))?;
        }
        if let Some(flags) = flags(node) {
            let ages = node.budget.iter().flat_map(|budget| &budget.ages);
            let history = ages.filter_map(|age| self.start.checked_sub(*age)).collect();
            let children = self.below[at].iter().map(|at| self.recalled(*at)).collect();
            let booting = node.status == Status::Starting;
            let machine = Machine::recall(flags, booting, history, children, self.now)
                .map_err(|_| PredictError::NotATree(node.path.clone()))?;
            let children = (0..).zip(self.below[at].iter().copied()).collect();
            self.sups.insert(pid, Sup { machine, children });
        }
        match node.status {
            Status::Stopping => self.order(pid),
            Status::Starting => self.queue.extend(parent.map(|parent| (parent, Event::Ready { pid }))),
            _ => {}
        }
        Ok(())
    }

    fn recalled(&self, at: Index) -> Recalled {
        let node = self.nodes[at];
        let state = match (&node.status, node.pid) {
            (Status::Starting, Some(pid)) => Recall::Starting(pid),
            (Status::Starting, None) => Recall::Waiting,
            (Status::Stopping, Some(pid)) => Recall::Stopping { pid, again: false },
            (_, Some(pid)) => Recall::Running(pid),
            (Status::BackingOff { millis }, None) => Recall::BackingOff(self.start + Duration::from_millis(*millis)),
            (_, None) => Recall::Stopped,
        };
        let since = node.pid.and_then(|pid| self.procs.get(&pid)).map_or(self.start, |process| process.since);
        let failures = node.rules.as_ref().map_or(0, |rules| rules.failures);
        let (restarts, last_exit) = (node.restarts, node.last_exit.clone());
        Recalled { rule: rule(node), state, restarts, last_exit, failures, since }
    }

    /// Lets it happen, and everything that follows from it.
    pub(super) fn exits(&mut self, pid: Pid, reason: ExitReason) {
        // What was on its way comes first.
        self.run();
        self.early = false;
        if self.sups.contains_key(&pid) && reason != ExitReason::Killed {
            self.queue.push_back((pid, Event::Shutdown { reason }));
        } else {
            self.ended(pid, reason, None);
        }
        self.run();
        while let Some(at) = self.sups.values().filter_map(|sup| sup.machine.deadline()).min() {
            self.now = at.max(self.now);
            let due: Vec<Pid> =
                self.sups.iter().filter(|(_, sup)| sup.machine.deadline() == Some(at)).map(|(pid, _)| *pid).collect();
            self.queue.extend(due.into_iter().map(|pid| (pid, Event::Tick)));
            self.run();
        }
    }

    fn run(&mut self) {
        while let Some((to, event)) = self.queue.pop_front() {
            self.decide(to, event);
        }
    }

    fn decide(&mut self, pid: Pid, event: Event) {
        let now = self.now;
        let Some(sup) = self.sups.get_mut(&pid) else {
            return;
        };
        let before = sup.machine.used(now);
        let mut todo = VecDeque::from(sup.machine.on_event(event, now));
        let used = sup.machine.used(now);
        if used != before {
            self.spent(pid, used);
        }
        while let Some(action) = todo.pop_front() {
            todo.extend(self.perform(pid, action));
        }
    }

    fn perform(&mut self, sup: Pid, action: Action) -> Vec<Action> {
        match action {
            Action::Start { key, .. } => return self.start(sup, key),
            Action::Stop { pid } => self.order(pid),
            Action::Kill { pid } => self.ended(pid, ExitReason::Killed, None),
            Action::Ready => {
                let parent = self.procs.get(&sup).and_then(|process| process.parent);
                self.queue.extend(parent.map(|parent| (parent, Event::Ready { pid: sup })));
            }
            Action::Report(Report::GaveUp { id, .. }) => self.gave_up(sup, &id),
            Action::Exit { reason, cause } => self.ended(sup, reason, cause),
            Action::Progress { .. }
            | Action::Abandon { .. }
            | Action::Forget { .. }
            | Action::Answer { .. }
            | Action::Report(_) => {}
        }
        Vec::new()
    }

    fn start(&mut self, sup: Pid, key: Key) -> Vec<Action> {
        self.next_pid += 1;
        let (pid, now) = (Pid(self.next_pid), self.now);
        let Some(parent) = self.sups.get_mut(&sup) else {
            return Vec::new();
        };
        let Some(&at) = parent.children.get(&key) else {
            return Vec::new();
        };
        let more = parent.machine.on_event(Event::Spawned { key, pid }, now);
        self.procs.insert(pid, Proc { at, parent: Some(sup), old: false, early: self.early, since: now });
        let node = self.nodes[at];
        if let Some(flags) = flags(node) {
            // A supervisor's init gives what it gave; what was added to the last incarnation is gone.
            let given = |at: &Index| self.nodes[*at].rules.as_ref().is_none_or(|rules| rules.given);
            let children: BTreeMap<Key, Index> = (0..).zip(self.below[at].iter().copied().filter(given)).collect();
            let rules = children.values().map(|at| rule(self.nodes[*at])).collect();
            // The ids are those that the snapshot had.
            if let Ok(machine) = Machine::new(flags, rules, now) {
                self.sups.insert(pid, Sup { machine, children });
                self.queue.push_back((pid, Event::Begin));
                return more;
            }
        }
        self.queue.push_back((sup, Event::Ready { pid }));
        more
    }

    /// It is told to end.
    fn order(&mut self, pid: Pid) {
        if self.sups.contains_key(&pid) {
            let reason = ExitReason::Shutdown;
            self.queue.push_back((pid, Event::Shutdown { reason }));
        } else {
            self.ended(pid, ExitReason::Shutdown, None);
        }
    }

    /// It is gone, and everything below it.
    fn ended(&mut self, pid: Pid, reason: ExitReason, cause: Option<String>) {
        if let Some(sup) = self.sups.remove(&pid) {
            // Killed, it still ends its children in order.
            let left: Vec<Pid> = sup.machine.children().filter_map(|(_, child)| child.pid()).collect();
            for child in left.into_iter().rev() {
                let at = self.procs.get(&child).map(|process| process.at);
                let brutal = at.is_some_and(|at| rule(self.nodes[at]).shutdown == Shutdown::BrutalKill);
                self.ended(child, if brutal { ExitReason::Killed } else { ExitReason::Shutdown }, None);
            }
        }
        let Some(process) = self.procs.remove(&pid) else {
            return;
        };
        let linked = if process.old { self.nodes[process.at].links.clone() } else { Vec::new() };
        if process.old {
            let path = self.nodes[process.at].path.clone();
            self.dies.push(Dying { pid, path, reason: reason.clone() });
        }
        let told = Event::Exited { pid, reason: reason.clone(), cause, dice: 0.0 };
        match process.parent {
            Some(parent) => self.queue.push_back((parent, told)),
            None => self.root_ends = Some(reason.clone()),
        }
        if reason != ExitReason::Normal {
            linked.into_iter().for_each(|other| self.signal(other, &reason));
        }
    }

    /// The exit signal that comes along a link.
    fn signal(&mut self, pid: Pid, reason: &ExitReason) {
        let at = self.procs.get(&pid).map(|process| process.at);
        if at.is_some_and(|at| !self.nodes[at].traps_exit) && !self.sups.contains_key(&pid) {
            self.ended(pid, reason.clone(), None);
        }
    }

    fn spent(&mut self, pid: Pid, used: usize) {
        if let Some(known) = self.budgets.iter_mut().find(|spent| spent.pid == pid) {
            known.used = used;
            return;
        }
        let Some(process) = self.procs.get(&pid) else {
            return;
        };
        let node = self.nodes[process.at];
        let before = node.budget.clone().unwrap_or_default();
        self.budgets.push(Spent { path: node.path.clone(), pid, before, used });
    }

    fn gave_up(&mut self, pid: Pid, over: &str) {
        let Some(process) = self.procs.get(&pid) else {
            return;
        };
        let path = self.nodes[process.at].path.clone();
        let parent = process.parent.and_then(|parent| self.procs.get(&parent));
        let escalates_to = parent.map(|parent| self.nodes[parent.at].path.clone());
        self.gives_up.push(GivesUp { over: format!("{path}/{over}"), path, pid, escalates_to });
    }

    pub(super) fn outcome(self, target: Surviving, reason: ExitReason) -> Prediction {
        let mut state: Vec<Option<&State>> = vec![None; self.nodes.len()];
        for sup in self.sups.values() {
            for (key, child) in sup.machine.children() {
                if let Some(at) = sup.children.get(&key) {
                    state[*at] = Some(&child.state);
                }
            }
        }
        let survives = |at: &Index| {
            let node = self.nodes[*at];
            let pid = node.pid.filter(|pid| self.procs.contains_key(pid))?;
            Some(Surviving { pid, path: node.path.clone() })
        };
        // What was down, and comes back when its own back-off is over, has nothing to do with it.
        let anyway = |process: &Proc| {
            let node = self.nodes[process.at];
            let waited = matches!(node.status, Status::BackingOff { .. } | Status::Starting) && node.pid.is_none();
            let parent = process.parent.and_then(|parent| self.procs.get(&parent));
            waited && process.since > self.start && parent.is_some_and(|parent| parent.old)
        };
        let new = self.procs.values().filter(|process| !process.old && !process.early && !anyway(process));
        let mut again: Vec<(Index, Instant)> = new.map(|process| (process.at, process.since)).collect();
        again.sort_unstable();
        let restarted = again.iter().map(|(at, since)| Restarted {
            path: self.nodes[*at].path.clone(),
            after: since.saturating_duration_since(self.start),
        });
        let died = |at: &Index| self.nodes[*at].pid.is_some_and(|pid| !self.procs.contains_key(&pid));
        let all = 0..self.nodes.len();
        let path = |at: Index| self.nodes[at].path.clone();
        let down = |at: &Index| died(at) && matches!(state[*at], Some(State::Stopped));
        let gone = |at: &Index| *at > 0 && state[*at].is_none();
        let last = self.gives_up.last().and_then(|last| last.escalates_to.clone());
        Prediction {
            target,
            reason,
            survives: all.clone().filter_map(|at| survives(&at)).collect(),
            restarted: restarted.collect(),
            stopped: all.clone().filter(down).map(path).collect(),
            forgotten: all.filter(gone).map(path).collect(),
            budgets: self.budgets,
            gives_up: self.gives_up,
            escalates_to: last.filter(|_| self.root_ends.is_none()),
            root_ends: self.root_ends,
            dies: self.dies,
            unknown: super::unknown(self.snapshot),
        }
    }
}

/// The children of each node, by number.
fn number(node: &Node, next: &mut Index, below: &mut [Vec<Index>]) {
    let at = *next;
    *next += 1;
    for child in &node.children {
        below[at].push(*next);
        number(child, next, below);
    }
}

/// `None`: it is no supervisor, or what it supervises is not known.
fn flags(node: &Node) -> Option<Flags> {
    let strategy: Strategy = node.strategy?;
    let budget = node.budget.as_ref()?;
    let auto_shutdown = node.auto_shutdown.unwrap_or_default();
    Some(Flags { strategy, intensity: budget.allowed, period: budget.period, auto_shutdown })
}

fn rule(node: &Node) -> Rule {
    let rules = node.rules.as_ref();
    let shutdown =
        if node.kind == Kind::Supervisor { Shutdown::Infinity } else { Shutdown::Timeout(Duration::from_secs(5)) };
    Rule {
        id: node.name.as_str().into(),
        kind: node.kind,
        restart: rules.map_or(Restart::Permanent, |rules| rules.restart),
        shutdown: rules.map_or(shutdown, |rules| rules.shutdown),
        significant: rules.is_some_and(|rules| rules.significant),
        backoff: rules.and_then(|rules| rules.backoff),
        awaits_init: rules.is_some_and(|rules| rules.awaits_init) || node.kind == Kind::Supervisor,
    }
}
