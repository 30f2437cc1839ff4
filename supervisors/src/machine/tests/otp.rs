//! OTP's own documented cases, one test each: what the manual's pages on `supervisor` and design principles say, and what
//! OTP 25 does where they are silent.

use super::{ends::start_child, *};

fn reports(actions: Vec<Action>) -> Vec<Report> {
    let report = |action| match action {
        Action::Report(report) if !matches!(report, Report::Restarting { .. }) => Some(report),
        _ => None,
    };
    actions.into_iter().filter_map(report).collect()
}

fn exited(pid: Pid, reason: ExitReason) -> Event {
    Event::Exited { pid, reason, cause: None, dice: 0.0 }
}

fn significant(id: &str) -> Rule {
    Rule { restart: Restart::Transient, significant: true, ..rule(id) }
}

fn auto(when: AutoShutdown) -> Flags {
    many(Flags::one_for_one()).auto_shutdown(when)
}

fn terminate(sim: &mut Sim, id: &str, token: Token) {
    sim.event(Event::TerminateChild { child: id.into(), token: Some(token) });
}

#[test]
fn specs_and_flags_are_checked_as_otp_checks_them() {
    let id = || "a".to_string();
    let permanent = Rule { restart: Restart::Permanent, ..significant("a") };
    let (never, any) = (auto(AutoShutdown::Never), auto(AutoShutdown::AnySignificant));
    let no_period = Flags { period: Duration::ZERO, ..never };
    let cases = [
        (never, vec![rule("a"), rule("a")], Some(BadSpec::DuplicateChild { id: id() })),
        (never, vec![significant("a")], Some(BadSpec::SignificantWithoutAutoShutdown { id: id() })),
        (any, vec![permanent], Some(BadSpec::SignificantPermanent { id: id() })),
        (no_period, vec![], Some(BadSpec::ZeroPeriod)),
        (never.intensity(0, SECOND), vec![rule("a")], None),
        (any, vec![significant("a")], None),
    ];
    for (flags, rules, expected) in cases {
        assert_eq!(Machine::new(flags, rules, Instant::now()).err(), expected, "{flags:?}");
    }
}

#[test]
fn any_significant_child_that_ends_by_itself_ends_the_supervisor() {
    let mut sim = Sim::new(auto(AutoShutdown::AnySignificant), vec![significant("a"), rule("b"), significant("c")]);
    sim.log();
    sim.exits("a", crash());
    assert_eq!(sim.log(), "+a", "it was restarted, so it has not ended for good");
    sim.exits("a", ExitReason::Normal);
    assert_eq!(sim.log(), "-c");
}

#[test]
fn a_significant_child_that_was_terminated_ends_nobody() {
    for when in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let mut sim = Sim::new(auto(when), vec![significant("a"), rule("b")]);
        terminate(&mut sim, "a", 1);
        sim.exits("a", ExitReason::Shutdown);
        sim.log();
        sim.exits("b", crash());
        assert_eq!(sim.log(), "+b");
    }
}

#[test]
fn all_significant_does_not_wait_for_one_that_is_being_terminated() {
    let mut sim = Sim::new(auto(AutoShutdown::AllSignificant), vec![rule("x"), significant("a"), significant("b")]);
    sim.log();
    terminate(&mut sim, "b", 1);
    sim.exits("a", ExitReason::Normal);
    assert_eq!(sim.log(), "-b", "x is older than b, and waits for its end");
    sim.exits("b", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-x");
    sim.exits("x", ExitReason::Shutdown);
    assert_eq!(sim.exit, Some((ExitReason::Shutdown, None)));
}

#[test]
fn all_significant_does_not_wait_for_temporary_ones_that_a_siblings_restart_ends() {
    let temporary = |id| Rule { restart: Restart::Temporary, ..significant(id) };
    let flags = many(Flags::rest_for_one()).auto_shutdown(AutoShutdown::AllSignificant);
    let mut sim = Sim::new(flags, vec![significant("a"), rule("x"), temporary("b"), temporary("c")]);
    sim.log();
    sim.exits("x", crash());
    sim.exits("a", ExitReason::Normal);
    for id in ["c", "b"] {
        sim.exits(id, ExitReason::Shutdown);
    }
    assert_eq!(sim.log(), "-c forget -b forget");
    assert_eq!(sim.exit, Some((ExitReason::Shutdown, None)));
}

#[test]
fn all_significant_counts_those_that_a_siblings_restart_will_start_again() {
    let flags = many(Flags::one_for_all()).auto_shutdown(AutoShutdown::AllSignificant);
    let mut sim = Sim::new(flags, vec![significant("a"), rule("b"), significant("c")]);
    sim.log();
    sim.exits("b", crash());
    sim.exits("c", ExitReason::Shutdown);
    sim.exits("a", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-c -a +a +b +c");
    sim.exits("a", ExitReason::Normal);
    assert_eq!(sim.log(), "");
    sim.exits("c", ExitReason::Normal);
    assert_eq!(sim.log(), "-b");
}

#[test]
fn a_transient_child_that_a_siblings_restart_ended_is_started_again() {
    let mut rules = abc();
    rules[2].restart = Restart::Transient;
    let mut sim = Sim::new(Flags::rest_for_one(), rules);
    sim.log();
    sim.exits("b", crash());
    sim.exits("c", ExitReason::Shutdown);
    assert_eq!(sim.log(), "-c +b +c");
}

#[test]
fn a_child_that_crashed_before_it_could_be_told_to_end_is_reported() {
    let mut rules = abc();
    rules[0].restart = Restart::Transient;
    let mut sim = Sim::new(many(Flags::one_for_all()), rules);
    let (a, b) = (sim.pid("a"), sim.pid("b"));
    for (reason, expected) in [
        (crash(), Some(crash())),
        (ExitReason::Killed, Some(ExitReason::Killed)),
        (ExitReason::Normal, None),
        (ExitReason::ShutdownWith("x".into()), None),
        (ExitReason::Shutdown, None),
    ] {
        let mut machine = sim.machine.clone();
        // `c` has been told to end, `a` waits for it.
        machine.on_event(exited(b, crash()), sim.now);
        let error = |reason| Report::ShutdownError { id: "a".into(), pid: a, reason };
        let seen = reports(machine.on_event(exited(a, reason.clone()), sim.now));
        assert_eq!(seen, expected.into_iter().map(error).collect::<Vec<_>>(), "{reason}");
    }
    sim.log();
}

#[test]
fn what_a_child_says_when_it_is_ended_is_reported_by_its_restart_type() {
    let timeout = Shutdown::Timeout(SECOND);
    let with = || ExitReason::ShutdownWith("x".into());
    let cases = [
        (Restart::Permanent, timeout, ExitReason::Shutdown, false),
        (Restart::Permanent, timeout, ExitReason::Normal, true),
        (Restart::Permanent, timeout, with(), true),
        (Restart::Transient, timeout, ExitReason::Normal, false),
        (Restart::Temporary, timeout, with(), false),
        (Restart::Temporary, timeout, crash(), true),
        (Restart::Temporary, timeout, ExitReason::Killed, true),
        (Restart::Permanent, Shutdown::BrutalKill, ExitReason::Killed, false),
        (Restart::Permanent, Shutdown::BrutalKill, ExitReason::Shutdown, true),
        (Restart::Permanent, Shutdown::BrutalKill, with(), true),
        (Restart::Transient, Shutdown::BrutalKill, ExitReason::Normal, false),
        (Restart::Transient, Shutdown::BrutalKill, ExitReason::Shutdown, false),
        (Restart::Permanent, Shutdown::BrutalKill, crash(), true),
    ];
    for (restart, shutdown, reason, reported) in cases {
        let mut sim = Sim::new(Flags::one_for_one(), vec![Rule { restart, shutdown, ..rule("a") }]);
        let pid = sim.pid("a");
        sim.event(Event::Shutdown { reason: ExitReason::Shutdown });
        let seen = reports(sim.machine.on_event(exited(pid, reason.clone()), sim.now));
        assert_eq!(!seen.is_empty(), reported, "{restart:?} {shutdown:?} {reason}: {seen:?}");
    }
}

#[test]
fn a_supervisor_hears_and_answers_while_a_child_is_being_restarted() {
    let child = Rule { awaits_init: true, ..rule("a") };
    let mut sim = Sim::new(many(Flags::one_for_one()), vec![child, rule("b")]);
    sim.ready("a");
    sim.exits("a", crash());
    sim.event(Event::DeleteChild { id: "a".into(), token: Some(1) });
    sim.event(Event::RestartChild { id: "a".into(), token: Some(2) });
    start_child(&mut sim, rule("a"), 3);
    sim.event(Event::RestartChild { id: "b".into(), token: Some(4) });
    terminate(&mut sim, "a", 5);
    sim.exits("a", ExitReason::Shutdown);
    let expected = [Answer::Restarting, Answer::Restarting, Answer::AlreadyPresent, Answer::Running, Answer::Done];
    assert_eq!(sim.answers, (1..).zip(expected).collect::<Vec<_>>());
    assert_eq!(sim.state("a"), &State::Stopped);
}

#[test]
fn each_failed_try_to_restart_counts() {
    let flags = Flags::one_for_one().intensity(3, SECOND);
    let mut sim = Sim::new(flags, vec![rule("x"), Rule { awaits_init: true, ..rule("a") }]);
    sim.ready("a");
    sim.log();
    for _ in 0..4 {
        sim.exits("a", crash());
    }
    assert_eq!(sim.log(), "+a +a +a -x");
}

#[test]
fn a_child_with_nothing_to_do_stays_known_unless_it_is_temporary() {
    let child = |id, restart| Rule { awaits_init: true, restart, ..rule(id) };
    let rules = vec![child("a", Restart::Permanent), child("b", Restart::Temporary)];
    let mut sim = Sim::new(Flags::one_for_one(), rules);
    sim.exits("a", ExitReason::Normal);
    sim.exits("b", ExitReason::Normal);
    assert!(sim.ready);
    assert_eq!(sim.state("a"), &State::Stopped);
    assert!(!sim.machine.by_id.contains_key("b"));
}
