//! How things end, and what is asked at run time.

use super::*;

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
fn a_simple_supervisor_ends_its_children_all_at_once() {
    let mut sim = Sim::new(Flags::simple_one_for_one(), abc());
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
    for reason in [crash(), reset()] {
        let expected = ExitReason::FailedToStartChild { id: "b".into(), reason: Box::new(reason.clone()) };
        assert_eq!(expected.is_environment(), reason == reset());
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

pub(super) fn start_child(sim: &mut Sim, rule: Rule, token: Token) {
    let key = 1000 + token;
    sim.event(Event::StartChild { key, rule, token: Some(token) });
}

#[test]
fn start_child_answers_when_the_child_is_up() {
    let mut sim = Sim::new(Flags::one_for_one(), vec![]);
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
    let ask = |id: &str, token| Event::TerminateChild { child: id.into(), token: Some(token) };
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
    let mut sim = Sim::new(Flags::simple_one_for_one(), vec![rule("a")]);
    sim.exits("a", reset());
    sim.log();
    sim.event(Event::TerminateChild { child: "a".into(), token: Some(1) });
    assert_eq!(sim.answers, [(1, Answer::Done)]);
    assert_eq!((sim.log().as_str(), sim.machine.deadline()), ("forget", None));
}

#[test]
fn a_child_that_is_slow_to_end_does_not_make_the_supervisor_deaf() {
    let mut sim = Sim::new(Flags::one_for_one(), abc());
    sim.event(Event::TerminateChild { child: "a".into(), token: Some(1) });
    sim.log();
    sim.exits("b", crash());
    assert_eq!(sim.log(), "+b");
    start_child(&mut sim, rule("d"), 2);
    assert_eq!(sim.log(), "+d");
}
