//! The machine against what OTP's `supervisor` does, without a runtime: time moves by assignment.

use super::*;
use std::collections::HashSet;

mod against;
mod ends;
mod limits;
mod model;
mod otp;
mod random;
mod world;

/// Plays the driver: starts what is to be started, keeps count of what runs, writes down what happens.
pub(super) struct Sim {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    pub(super) running: BTreeMap<Pid, Key>,
    next: u64,
    pub(super) log: Vec<String>,
    pub(super) exit: Option<(ExitReason, Option<String>)>,
    pub(super) answers: Vec<(Token, Answer)>,
    pub(super) ready: bool,
}

impl Sim {
    pub(super) fn new(flags: Flags, rules: Vec<Rule>) -> Self {
        let now = Instant::now();
        let mut sim = Self {
            machine: Machine::new(flags, rules, now).unwrap(),
            now,
            running: BTreeMap::new(),
            next: 0,
            log: Vec::new(),
            exit: None,
            answers: Vec::new(),
            ready: false,
        };
        sim.event(Event::Begin);
        sim
    }

    pub(super) fn event(&mut self, event: Event) {
        let mut todo = VecDeque::from(self.machine.on_event(event, self.now));
        while let Some(action) = todo.pop_front() {
            assert!(self.exit.is_none(), "{action:?} after the exit");
            let name = |sim: &Self, pid: &Pid| sim.name(*pid);
            match action {
                Action::Start { key, .. } => {
                    self.next += 1;
                    let pid = Pid(self.next);
                    assert!(!self.running.values().any(|other| *other == key), "two copies of {key}");
                    self.running.insert(pid, key);
                    self.log.push(format!("+{}", self.machine.children[&key].rule.id));
                    todo.extend(self.machine.on_event(Event::Spawned { key, pid }, self.now));
                }
                Action::Stop { pid } => self.log.push(format!("-{}", name(self, &pid))),
                Action::Kill { pid } => self.log.push(format!("!{}", name(self, &pid))),
                Action::Abandon { pid } => {
                    self.running.remove(&pid);
                    self.log.push("abandoned".into());
                }
                Action::Forget { .. } => self.log.push("forget".into()),
                Action::Answer { token, answer } => self.answers.push((token, answer)),
                Action::Progress { .. } => {}
                Action::Ready => self.ready = true,
                Action::Report(_) => {}
                Action::Exit { reason, cause } => {
                    assert!(self.running.is_empty(), "children outlive the supervisor");
                    self.exit = Some((reason, cause));
                }
            }
        }
    }

    fn name(&self, pid: Pid) -> String {
        let child = self.running.get(&pid).and_then(|key| self.machine.children.get(key));
        child.map_or("?".into(), |child| child.rule.id.to_string())
    }

    pub(super) fn pid(&self, id: &str) -> Pid {
        let key = self.machine.by_id[id];
        *self.running.iter().find(|(_, k)| **k == key).expect("it runs").0
    }

    pub(super) fn exits(&mut self, id: &str, reason: ExitReason) {
        let pid = self.pid(id);
        self.running.remove(&pid);
        self.event(Event::Exited { pid, reason, cause: None, dice: 0.0 });
    }

    pub(super) fn gives_up(&mut self, id: &str) {
        let pid = self.pid(id);
        self.running.remove(&pid);
        let (reason, cause) = (ExitReason::Shutdown, Some("a child, once too often".to_string()));
        self.event(Event::Exited { pid, reason, cause, dice: 0.0 });
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.event(Event::Tick);
    }

    fn ready(&mut self, id: &str) {
        let pid = self.pid(id);
        self.event(Event::Ready { pid });
    }

    /// What happened since the last call.
    fn log(&mut self) -> String {
        std::mem::take(&mut self.log).join(" ")
    }

    fn state(&self, id: &str) -> &State {
        &self.machine.children[&self.machine.by_id[id]].state
    }
}

pub(super) fn rule(id: &str) -> Rule {
    Rule {
        id: id.into(),
        kind: Kind::Worker,
        restart: Restart::Permanent,
        shutdown: Shutdown::Timeout(SECOND),
        significant: false,
        backoff: None,
        awaits_init: false,
    }
}

fn abc() -> Vec<Rule> {
    ["a", "b", "c"].map(rule).into()
}

fn crash() -> ExitReason {
    ExitReason::Panic { message: "x".into(), location: String::new() }
}

fn reset() -> ExitReason {
    ExitReason::environment("reset")
}

const SECOND: Duration = Duration::from_secs(1);

fn many(flags: Flags) -> Flags {
    flags.intensity(100, SECOND)
}

#[test]
fn children_start_in_order() {
    let mut sim = Sim::new(Flags::one_for_one(), abc());
    assert_eq!(sim.log(), "+a +b +c");
    assert!(sim.ready);
}

#[test]
fn the_start_waits_for_a_child_that_awaits_init() {
    let mut rules = abc();
    rules[0].awaits_init = true;
    rules[2].awaits_init = true;
    let mut sim = Sim::new(Flags::one_for_one(), rules);
    assert_eq!(sim.log(), "+a");
    sim.ready("a");
    assert_eq!(sim.log(), "+b +c");
    assert!(!sim.ready);
    sim.ready("c");
    assert!(sim.ready);
}

#[test]
fn two_children_cannot_have_one_id() {
    let rules = vec![rule("a"), rule("a")];
    let machine = Machine::new(Flags::one_for_one(), rules, Instant::now());
    assert_eq!(machine.err(), Some(BadSpec::DuplicateChild { id: "a".into() }));
}

#[test]
fn one_for_one_restarts_only_what_crashed() {
    let mut sim = Sim::new(Flags::one_for_one(), abc());
    sim.log();
    sim.exits("b", crash());
    assert_eq!(sim.log(), "+b");
    assert_eq!(sim.machine.children[&1].restarts, 1);
}

#[test]
fn rest_for_one_ends_the_later_ones_youngest_first_and_starts_them_again_in_order() {
    let mut rules = abc();
    rules.push(rule("d"));
    let mut sim = Sim::new(many(Flags::rest_for_one()), rules);
    sim.log();
    sim.exits("b", crash());
    assert_eq!(sim.log(), "-d");
    sim.exits("d", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-c");
    sim.exits("c", ExitReason::Shutdown);
    assert_eq!(sim.log(), "+b +c +d");
}

#[test]
fn one_for_all_ends_and_starts_everyone() {
    let mut sim = Sim::new(many(Flags::one_for_all()), abc());
    sim.log();
    sim.exits("b", crash());
    assert_eq!(sim.log(), "-c");
    sim.exits("c", ExitReason::Shutdown);
    sim.exits("a", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-a +a +b +c");
}

#[test]
fn a_second_crash_while_the_rest_is_being_ended_is_part_of_the_same_restart() {
    let mut sim = Sim::new(Flags::rest_for_one(), abc());
    sim.log();
    sim.exits("a", crash());
    assert_eq!(sim.log(), "-c");
    sim.exits("b", crash());
    sim.exits("c", ExitReason::Shutdown);
    assert_eq!(sim.log(), "+a +b +c");
    assert_eq!(sim.exit, None, "the intensity of 1 counts one restart");
}

#[test]
fn an_earlier_crash_during_a_restart_widens_it() {
    let mut sim = Sim::new(many(Flags::rest_for_one()), abc());
    sim.log();
    sim.exits("b", crash());
    sim.exits("a", crash());
    sim.exits("c", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-c +a +b +c");
}

#[test]
fn in_a_restart_the_later_ones_wait_for_the_init_of_the_earlier() {
    let mut rules = abc();
    rules[0].awaits_init = true;
    let mut sim = Sim::new(many(Flags::rest_for_one()), rules);
    sim.ready("a");
    sim.exits("a", crash());
    sim.exits("c", ExitReason::Shutdown);
    sim.exits("b", ExitReason::Shutdown);
    sim.log();
    assert_eq!(sim.state("b"), &State::Waiting);
    sim.exits("a", crash());
    assert_eq!(sim.log(), "+a", "a failed restart is tried again");
    sim.ready("a");
    assert_eq!(sim.log(), "+b +c");
}

#[test]
fn one_for_one_does_not_let_a_slow_init_hold_up_another_restart() {
    let mut rules = abc();
    rules[0].awaits_init = true;
    let mut sim = Sim::new(many(Flags::one_for_one()), rules);
    sim.ready("a");
    sim.log();
    sim.exits("a", crash());
    sim.exits("b", crash());
    assert_eq!(sim.log(), "+a +b");
}

#[test]
fn restart_types_are_those_of_otp() {
    let cases = [
        (Restart::Permanent, ExitReason::Normal, true),
        (Restart::Permanent, ExitReason::Shutdown, true),
        (Restart::Permanent, crash(), true),
        (Restart::Transient, ExitReason::Normal, false),
        (Restart::Transient, ExitReason::Shutdown, false),
        (Restart::Transient, ExitReason::Killed, true),
        (Restart::Transient, crash(), true),
        (Restart::Temporary, ExitReason::Normal, false),
        (Restart::Temporary, crash(), false),
    ];
    for (restart, reason, again) in cases {
        let mut sim = Sim::new(Flags::one_for_one(), vec![Rule { restart, ..rule("a") }]);
        sim.log();
        sim.exits("a", reason.clone());
        let expected = match (again, restart) {
            (true, _) => "+a",
            (false, Restart::Temporary) => "forget",
            (false, _) => "",
        };
        assert_eq!(sim.log(), expected, "{restart:?} {reason}");
    }
}

#[test]
fn a_simple_supervisor_forgets_what_will_not_come_back() {
    let transient = Rule { restart: Restart::Transient, ..rule("a") };
    let mut sim = Sim::new(Flags::simple_one_for_one(), vec![transient]);
    sim.log();
    sim.exits("a", ExitReason::Normal);
    assert_eq!(sim.log(), "forget");
    assert!(sim.machine.children.is_empty() && sim.machine.by_id.is_empty());
}

#[test]
fn rest_for_one_forgets_temporary_ones_and_starts_again_what_had_ended() {
    let mut rules = abc();
    rules[1].restart = Restart::Transient;
    rules[2].restart = Restart::Temporary;
    let mut sim = Sim::new(Flags::rest_for_one(), rules);
    sim.exits("b", ExitReason::Normal);
    sim.log();
    sim.exits("a", crash());
    sim.exits("c", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-c forget +a +b");
}
