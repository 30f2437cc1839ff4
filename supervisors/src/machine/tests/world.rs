//! What is around a supervisor in a test: how each start goes, and how each child takes it when it is told to end.

use super::*;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    Up,
    Fails,
    Ignores,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    Obeys,
    /// Ends only when it is killed.
    Late,
    Normal,
    Crashes,
}

/// Starts beyond the list go well.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) starts: BTreeMap<String, VecDeque<Started>>,
    pub(super) stops: BTreeMap<String, Stopped>,
}

impl World {
    pub(super) fn start(&mut self, id: &str) -> Started {
        self.starts.get_mut(id).and_then(VecDeque::pop_front).unwrap_or(Started::Up)
    }

    pub(super) fn stop(&self, id: &str) -> Stopped {
        self.stops.get(id).copied().unwrap_or(Stopped::Obeys)
    }
}

/// A machine in a world that reacts at once; time passes only where a child is late.
pub(super) struct Played {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    world: World,
    next_pid: u64,
    ids: HashMap<Pid, Rule>,
    todo: VecDeque<Action>,
    reactions: VecDeque<Event>,
    pub(super) trace: Vec<String>,
    pub(super) ended: bool,
}

impl Played {
    pub(super) fn new(flags: Flags, rules: Vec<Rule>, world: World) -> Self {
        let now = Instant::now();
        let mut played = Self {
            machine: Machine::new(flags, rules, now).unwrap(),
            now,
            world,
            next_pid: 0,
            ids: HashMap::new(),
            todo: VecDeque::new(),
            reactions: VecDeque::new(),
            trace: Vec::new(),
            ended: false,
        };
        played.event(Event::Begin);
        played
    }

    /// Until nothing more happens by itself.
    pub(super) fn event(&mut self, event: Event) {
        self.reactions.push_back(event);
        loop {
            if let Some(action) = self.todo.pop_front() {
                self.perform(action);
            } else if let Some(event) = self.reactions.pop_front() {
                self.todo.extend(self.machine.on_event(event, self.now));
            } else if let Some(at) = self.machine.deadline() {
                self.now = self.now.max(at);
                self.reactions.push_back(Event::Tick);
            } else {
                return;
            }
        }
    }

    pub(super) fn pid(&self, id: &str) -> Option<Pid> {
        let key = self.machine.by_id.get(id)?;
        match self.machine.children[key].state {
            State::Running { pid } => Some(pid),
            _ => None,
        }
    }

    fn exited(&mut self, pid: Pid, reason: ExitReason) {
        self.reactions.push_back(Event::Exited { pid, reason, cause: None, dice: 0.0 });
    }

    fn perform(&mut self, action: Action) {
        assert!(!self.ended, "{action:?} after the exit");
        match action {
            Action::Start { key, .. } => {
                self.next_pid += 1;
                let (pid, rule) = (Pid(self.next_pid), self.machine.children[&key].rule.clone());
                self.trace.push(format!("+{}", rule.id));
                self.todo.extend(self.machine.on_event(Event::Spawned { key, pid }, self.now));
                match self.world.start(&rule.id) {
                    Started::Up => self.reactions.push_back(Event::Ready { pid }),
                    Started::Fails => self.exited(pid, ExitReason::error("bad start")),
                    Started::Ignores => self.exited(pid, ExitReason::Normal),
                }
                self.ids.insert(pid, rule);
            }
            Action::Stop { pid } => {
                let rule = self.ids[&pid].clone();
                self.trace.push(format!("-{}", rule.id));
                match self.world.stop(&rule.id) {
                    Stopped::Late if rule.shutdown != Shutdown::Infinity => {}
                    Stopped::Late | Stopped::Obeys => self.exited(pid, ExitReason::Shutdown),
                    Stopped::Normal => self.exited(pid, ExitReason::Normal),
                    Stopped::Crashes => self.exited(pid, ExitReason::error("bad end")),
                }
            }
            Action::Kill { pid } => {
                self.trace.push(format!("!{}", self.ids[&pid].id));
                self.exited(pid, ExitReason::Killed);
            }
            Action::Progress { pid, .. } => self.trace.push(format!("up {}", self.ids[&pid].id)),
            Action::Answer { answer, .. } => self.trace.push(format!("answer {}", said(&answer))),
            Action::Report(report) => self.trace.extend(line(&report)),
            Action::Exit { reason: ExitReason::FailedToStartChild { id, .. }, .. } => {
                self.end(&format!("failed to start {id}"))
            }
            Action::Exit { reason, .. } => self.end(&reason.to_string()),
            Action::Abandon { pid } => panic!("{pid} was abandoned"),
            Action::Forget { .. } | Action::Ready => {}
        }
    }

    fn end(&mut self, reason: &str) {
        self.trace.push(format!("exit {reason}"));
        self.ended = true;
    }
}

fn said(answer: &Answer) -> &'static str {
    match answer {
        Answer::Started(_) => "started",
        Answer::Ignored => "ignored",
        Answer::AlreadyStarted(_) => "already_started",
        Answer::AlreadyPresent => "already_present",
        Answer::Failed(_) => "failed",
        Answer::Done => "ok",
        Answer::NotFound => "not_found",
        Answer::Running => "running",
        Answer::Restarting => "restarting",
        Answer::SimpleOneForOne => "simple_one_for_one",
        Answer::BadSpec(_) => "bad_combination",
        Answer::Ending => "ending",
    }
}

fn line(report: &Report) -> Option<String> {
    Some(match report {
        Report::ChildTerminated { id, reason, .. } => format!("child_terminated {id} {reason}"),
        Report::StartError { id, .. } => format!("start_error {id}"),
        Report::ShutdownError { id, reason, .. } => format!("shutdown_error {id} {reason}"),
        Report::ShutdownTimeout { id, .. } => format!("shutdown_error {id} killed"),
        Report::GaveUp { id, .. } => format!("shutdown {id}"),
        Report::Abandoned { .. } | Report::Restarting { .. } => return None,
    })
}
