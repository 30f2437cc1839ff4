//! The machine against what OTP's `supervisor` does, without a runtime: time moves by assignment.

use super::*;
use std::collections::HashSet;

mod random;

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
    assert_eq!(machine.err().as_deref(), Some("a"));
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
fn a_dynamic_supervisor_forgets_what_will_not_come_back() {
    let transient = Rule { restart: Restart::Transient, ..rule("a") };
    let mut sim = Sim::new(Flags::one_for_one().dynamic(), vec![transient]);
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

#[test]
fn more_than_intensity_within_the_period_ends_everyone_with_shutdown() {
    let mut sim = Sim::new(Flags::one_for_one().intensity(2, SECOND), abc());
    sim.exits("b", crash());
    sim.exits("b", crash());
    assert_eq!(sim.machine.used(sim.now), 2);
    sim.log();
    sim.exits("b", crash());
    assert_eq!(sim.log(), "-c");
    sim.exits("c", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-a");
    sim.exits("a", ExitReason::Shutdown);
    let (reason, cause) = sim.exit.unwrap();
    assert_eq!(reason, ExitReason::Shutdown);
    assert_eq!(cause.as_deref(), Some("b panicked: x, more than 2 restarts in 1s"));
}

#[test]
fn restarts_spread_over_more_than_the_period_are_forgiven() {
    let mut sim = Sim::new(Flags::one_for_one().intensity(1, SECOND), abc());
    for _ in 0..100 {
        sim.exits("b", crash());
        sim.pass(SECOND + Duration::from_millis(1));
    }
    assert_eq!(sim.exit, None);
    assert_eq!(sim.machine.used(sim.now), 0);
}

#[test]
fn an_intensity_of_zero_forgives_nothing() {
    let mut sim = Sim::new(Flags::one_for_one().intensity(0, SECOND), vec![rule("a")]);
    sim.exits("a", crash());
    assert!(sim.exit.is_some());
}

#[test]
fn the_environment_is_backed_off_from_and_never_counted() {
    let backoff = Backoff { first: SECOND, cap: 5 * SECOND, jitter: 0.0, reset_after: 60 * SECOND };
    let child = Rule { backoff: Some(backoff), ..rule("a") };
    let mut sim = Sim::new(Flags::one_for_one().intensity(0, SECOND), vec![child, rule("b")]);
    for wait in [1, 2, 4, 5, 5] {
        sim.log();
        sim.exits("a", reset());
        sim.pass(wait * SECOND - Duration::from_millis(1));
        assert_eq!(sim.log(), "", "still waits");
        sim.pass(Duration::from_millis(1));
        assert_eq!(sim.log(), "+a");
    }
    sim.pass(60 * SECOND);
    sim.exits("a", reset());
    sim.pass(SECOND);
    assert_eq!(sim.log(), "+a", "a stable run makes it a first failure again");
    assert_eq!(sim.exit, None);
}

#[test]
fn jitter_shortens_the_wait_by_the_die() {
    let backoff = Backoff { first: 8 * SECOND, cap: 60 * SECOND, jitter: 0.5, reset_after: SECOND };
    for (dice, wait) in [(0.0, 8), (0.5, 6), (1.0, 4)] {
        let child = Rule { backoff: Some(backoff), ..rule("a") };
        let mut sim = Sim::new(Flags::one_for_one(), vec![child]);
        let pid = sim.pid("a");
        sim.running.clear();
        sim.event(Event::Exited { pid, reason: reset(), cause: None, dice });
        assert_eq!(sim.machine.deadline(), Some(sim.now + wait * SECOND));
    }
}

#[test]
fn in_rest_for_one_the_later_ones_wait_out_a_back_off() {
    let mut sim = Sim::new(Flags::rest_for_one(), abc());
    sim.log();
    sim.exits("a", reset());
    sim.exits("c", ExitReason::Shutdown);
    sim.exits("b", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-c -b");
    sim.pass(SECOND);
    assert_eq!(sim.log(), "+a +b +c");
}

#[test]
fn a_supervisor_child_with_a_back_off_is_parked_when_it_gave_up() {
    let backoff = Some(Backoff { first: 60 * SECOND, jitter: 0.0, cap: 600 * SECOND, reset_after: 600 * SECOND });
    for restart in [Restart::Permanent, Restart::Transient] {
        let sub = Rule { kind: Kind::Supervisor, backoff, restart, ..rule("sub") };
        let mut sim = Sim::new(Flags::one_for_one().intensity(0, SECOND).dynamic(), vec![sub]);
        sim.log();
        sim.exits("sub", ExitReason::Shutdown);
        assert!(matches!(sim.state("sub"), State::BackingOff { .. }));
        sim.pass(60 * SECOND);
        assert_eq!(sim.log(), "+sub");
        assert_eq!(sim.exit, None);
    }
    let sub = Rule { kind: Kind::Supervisor, ..rule("sub") };
    let mut sim = Sim::new(Flags::one_for_one().intensity(0, SECOND), vec![sub]);
    sim.exits("sub", ExitReason::Shutdown);
    assert!(sim.exit.is_some(), "without a back-off it counts, as in OTP");
}

#[test]
fn a_shutdown_is_in_reverse_order_and_kills_who_takes_too_long() {
    let mut rules = abc();
    rules[0].shutdown = Shutdown::BrutalKill;
    let mut sim = Sim::new(Flags::one_for_one(), rules);
    sim.log();
    sim.event(Event::Shutdown { reason: ExitReason::Shutdown });
    assert_eq!(sim.log(), "-c");
    sim.exits("c", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-b");
    sim.pass(SECOND);
    assert_eq!(sim.log(), "!b");
    sim.exits("b", ExitReason::Killed);
    assert_eq!(sim.log(), "!a");
    sim.exits("a", ExitReason::Killed);
    assert_eq!(sim.exit, Some((ExitReason::Shutdown, None)));
}

#[test]
fn a_dynamic_supervisor_ends_its_children_all_at_once() {
    let mut sim = Sim::new(Flags::one_for_one().dynamic(), abc());
    sim.log();
    sim.event(Event::Shutdown { reason: ExitReason::Shutdown });
    assert_eq!(sim.log(), "-c -b -a");
}

#[test]
fn infinity_is_waited_for() {
    let child = Rule { shutdown: Shutdown::Infinity, ..rule("a") };
    let mut sim = Sim::new(Flags::one_for_one(), vec![child]);
    sim.event(Event::Shutdown { reason: ExitReason::Shutdown });
    assert_eq!(sim.machine.deadline(), None);
    sim.exits("a", ExitReason::Shutdown);
    assert!(sim.exit.is_some());
}

#[test]
fn a_blocking_child_that_does_not_end_is_abandoned_and_a_worker_after_a_grace() {
    for (kind, grace) in [(Kind::Blocking, Duration::ZERO), (Kind::Worker, KILL_GRACE)] {
        let mut sim = Sim::new(Flags::one_for_one(), vec![Rule { kind, ..rule("a") }]);
        sim.event(Event::Shutdown { reason: ExitReason::Shutdown });
        sim.pass(SECOND);
        assert_eq!(sim.exit.is_some(), grace.is_zero());
        sim.pass(grace);
        assert!(sim.exit.is_some());
    }
}

#[test]
fn a_crash_during_the_shutdown_is_not_restarted() {
    let mut sim = Sim::new(Flags::one_for_one(), abc());
    sim.event(Event::Shutdown { reason: ExitReason::Shutdown });
    sim.log();
    sim.exits("a", crash());
    sim.exits("c", crash());
    sim.exits("b", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-b");
    assert!(sim.exit.is_some());
}

#[test]
fn a_failed_init_fails_the_supervisor_and_keeps_the_blame() {
    for (reason, expected) in
        [(crash(), ExitReason::error("b did not start: panicked: x")), (reset(), ExitReason::environment("b: reset"))]
    {
        let mut rules = abc();
        rules[1].awaits_init = true;
        let mut sim = Sim::new(many(Flags::one_for_one()), rules);
        sim.log();
        sim.exits("b", reason);
        assert_eq!(sim.log(), "-a");
        sim.exits("a", ExitReason::Shutdown);
        assert_eq!(sim.exit, Some((expected, None)));
    }
}

fn start_child(sim: &mut Sim, rule: Rule, token: Token) {
    let key = 1000 + token;
    sim.event(Event::StartChild { key, rule, token: Some(token) });
}

#[test]
fn start_child_answers_when_the_child_is_up() {
    let mut sim = Sim::new(Flags::one_for_one().dynamic(), vec![]);
    start_child(&mut sim, rule("a"), 1);
    assert_eq!(sim.answers, [(1, Answer::Started(Pid(1)))]);
    start_child(&mut sim, rule("a"), 2);
    assert_eq!(sim.answers[1], (2, Answer::AlreadyStarted(Pid(1))));
    start_child(&mut sim, Rule { awaits_init: true, ..rule("b") }, 3);
    assert_eq!(sim.answers.len(), 2);
    sim.ready("b");
    assert_eq!(sim.answers[2], (3, Answer::Started(Pid(2))));
}

#[test]
fn start_child_answers_a_failed_init_and_forgets_the_child() {
    let mut sim = Sim::new(Flags::one_for_one().intensity(0, SECOND), vec![]);
    start_child(&mut sim, Rule { awaits_init: true, ..rule("a") }, 1);
    sim.exits("a", crash());
    assert_eq!(sim.answers, [(1, Answer::Failed(crash()))]);
    assert!(sim.machine.children.is_empty());
    assert_eq!(sim.exit, None, "and counts nothing");
}

#[test]
fn terminate_child_answers_when_it_is_gone_and_its_spec_stays() {
    let mut sim = Sim::new(Flags::one_for_one(), abc());
    sim.log();
    let ask = |id: &str, token| Event::TerminateChild { id: id.into(), token: Some(token) };
    sim.event(ask("b", 1));
    sim.event(ask("b", 2));
    assert!(sim.answers.is_empty());
    sim.exits("b", ExitReason::Shutdown);
    assert_eq!(sim.answers, [(1, Answer::Done), (2, Answer::Done)]);
    assert_eq!(sim.log(), "-b");
    assert_eq!(sim.state("b"), &State::Stopped);
    start_child(&mut sim, rule("b"), 3);
    assert_eq!(sim.answers[2], (3, Answer::AlreadyPresent));
    sim.event(Event::RestartChild { id: "b".into(), token: Some(4) });
    assert!(matches!(sim.answers[3], (4, Answer::Started(_))));
    sim.event(Event::DeleteChild { id: "b".into(), token: Some(5) });
    assert_eq!(sim.answers[4], (5, Answer::Running));
    sim.event(ask("nobody", 6));
    assert_eq!(sim.answers[5], (6, Answer::NotFound));
}

#[test]
fn terminate_child_ends_a_back_off() {
    let mut sim = Sim::new(Flags::one_for_one().dynamic(), vec![rule("a")]);
    sim.exits("a", reset());
    sim.log();
    sim.event(Event::TerminateChild { id: "a".into(), token: Some(1) });
    assert_eq!(sim.answers, [(1, Answer::Done)]);
    assert_eq!((sim.log().as_str(), sim.machine.deadline()), ("forget", None));
}

#[test]
fn a_child_that_is_slow_to_end_does_not_make_the_supervisor_deaf() {
    let mut sim = Sim::new(Flags::one_for_one(), abc());
    sim.event(Event::TerminateChild { id: "a".into(), token: Some(1) });
    sim.log();
    sim.exits("b", crash());
    assert_eq!(sim.log(), "+b");
    start_child(&mut sim, rule("d"), 2);
    assert_eq!(sim.log(), "+d");
}
