//! Intensity, back-off and parking.

use super::*;

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
        let mut sim = Sim::new(Flags::one_for_one().intensity(0, SECOND), vec![sub]);
        sim.log();
        sim.gives_up("sub");
        assert!(matches!(sim.state("sub"), State::BackingOff { .. }));
        sim.pass(60 * SECOND);
        assert_eq!(sim.log(), "+sub");
        assert_eq!(sim.exit, None);
    }
    let sub = Rule { kind: Kind::Supervisor, ..rule("sub") };
    let mut sim = Sim::new(Flags::one_for_one().intensity(0, SECOND), vec![sub]);
    sim.gives_up("sub");
    assert!(sim.exit.is_some(), "without a back-off it counts, as in OTP");
}
