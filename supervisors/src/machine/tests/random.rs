//! Whatever happens in whatever order, some things stay true.

use super::{ends::start_child, *};
use proptest::prelude::{Strategy as _, *};

#[derive(Clone, Debug)]
enum Step {
    Exit { nth: usize, reason: ExitReason },
    Ready { nth: usize },
    Pass { millis: u64 },
    Start { id: u8, awaits_init: bool },
    Terminate { id: u8 },
    Restart { id: u8 },
    Delete { id: u8 },
    Shutdown,
}

fn reasons() -> impl proptest::strategy::Strategy<Value = ExitReason> {
    prop_oneof![
        Just(ExitReason::Normal),
        Just(ExitReason::Shutdown),
        Just(ExitReason::Killed),
        Just(crash()),
        Just(reset()),
    ]
}

fn steps() -> impl proptest::strategy::Strategy<Value = Step> {
    let id = 0..6u8;
    prop_oneof![
        6 => (any::<usize>(), reasons()).prop_map(|(nth, reason)| Step::Exit { nth, reason }),
        3 => any::<usize>().prop_map(|nth| Step::Ready { nth }),
        3 => (0..3000u64).prop_map(|millis| Step::Pass { millis }),
        2 => (id.clone(), any::<bool>()).prop_map(|(id, awaits_init)| Step::Start { id, awaits_init }),
        2 => id.clone().prop_map(|id| Step::Terminate { id }),
        1 => id.clone().prop_map(|id| Step::Restart { id }),
        1 => id.prop_map(|id| Step::Delete { id }),
        1 => Just(Step::Shutdown),
    ]
}

fn rules() -> impl proptest::strategy::Strategy<Value = Vec<Rule>> {
    let restart = prop_oneof![Just(Restart::Permanent), Just(Restart::Transient), Just(Restart::Temporary)];
    let shutdown = prop_oneof![Just(Shutdown::BrutalKill), Just(Shutdown::Timeout(SECOND)), Just(Shutdown::Infinity)];
    let kind = prop_oneof![Just(Kind::Worker), Just(Kind::Supervisor), Just(Kind::Blocking)];
    let one = (restart, shutdown, kind, any::<bool>());
    prop::collection::vec(one, 0..5).prop_map(|rules| {
        let rule = |(id, (restart, shutdown, kind, awaits_init)): (u8, _)| Rule {
            restart,
            shutdown,
            kind,
            awaits_init,
            ..rule(&id.to_string())
        };
        (0..).zip(rules).map(rule).collect()
    })
}

fn flags() -> impl proptest::strategy::Strategy<Value = Flags> {
    let kinds = [Flags::one_for_one(), Flags::one_for_all(), Flags::rest_for_one(), Flags::simple_one_for_one()];
    (prop::sample::select(kinds.to_vec()), 0..4u32).prop_map(|(flags, intensity)| Flags { intensity, ..flags })
}

fn nth(sim: &Sim, nth: usize) -> Option<Pid> {
    let at = nth.checked_rem(sim.running.len())?;
    sim.running.keys().nth(at).copied()
}

fn perform(sim: &mut Sim, step: Step, token: Token) {
    match step {
        Step::Exit { nth: at, reason } => {
            if let Some(pid) = nth(sim, at) {
                sim.running.remove(&pid);
                sim.event(Event::Exited { pid, reason, cause: None, dice: 0.5 });
            }
        }
        Step::Ready { nth: at } => {
            if let Some(pid) = nth(sim, at) {
                sim.event(Event::Ready { pid });
            }
        }
        Step::Pass { millis } => sim.pass(Duration::from_millis(millis)),
        Step::Start { id, awaits_init } => {
            start_child(sim, Rule { awaits_init, ..rule(&id.to_string()) }, token);
        }
        Step::Terminate { id } => {
            let (id, token) = (id.to_string(), Some(token));
            sim.event(Event::TerminateChild { child: id.into(), token });
        }
        Step::Restart { id } => {
            let (id, token) = (id.to_string(), Some(token));
            sim.event(Event::RestartChild { id, token });
        }
        Step::Delete { id } => {
            let (id, token) = (id.to_string(), Some(token));
            sim.event(Event::DeleteChild { id, token });
        }
        Step::Shutdown => sim.event(Event::Shutdown { reason: ExitReason::Shutdown }),
    }
}

fn check(machine: &Machine) {
    let sets = [&machine.to_stop, &machine.stopping, &machine.to_start, &machine.starting, &machine.backing_off];
    for (&key, child) in &machine.children {
        let named = sets.iter().filter(|set| set.contains(&key)).count();
        assert!(named <= 1, "{key} is in {named} sets: {machine:?}");
        let waits = machine.to_start.contains(&key);
        assert_eq!(waits, child.state == State::Waiting, "{machine:?}");
        if let Some(pid) = child.pid() {
            assert_eq!(machine.by_pid.get(&pid), Some(&key));
        }
        assert_eq!(machine.by_id.get(&child.rule.id), Some(&key));
    }
    assert_eq!(machine.by_id.len(), machine.children.len());
    assert!(sets.iter().all(|set| set.iter().all(|key| machine.children.contains_key(key))));
    assert!(machine.timers.iter().all(|(_, key)| machine.children.contains_key(key)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_the_machine(flags in flags(), rules in rules(), steps in prop::collection::vec(steps(), 0..60)) {
        let mut sim = Sim::new(flags, rules);
        let mut asked = HashSet::new();
        for (token, step) in (0..).zip(steps) {
            if sim.exit.is_some() {
                break;
            }
            if matches!(step, Step::Start { .. } | Step::Terminate { .. } | Step::Restart { .. } | Step::Delete { .. }) {
                asked.insert(token);
            }
            perform(&mut sim, step, token);
            check(&sim.machine);
        }
        // Told to end, and everyone obeying, it ends; nobody is left without an answer.
        if sim.exit.is_none() {
            sim.event(Event::Shutdown { reason: ExitReason::Shutdown });
        }
        while let Some((&pid, _)) = sim.running.iter().next_back() {
            sim.running.remove(&pid);
            sim.event(Event::Exited { pid, reason: ExitReason::Shutdown, cause: None, dice: 0.0 });
        }
        prop_assert!(sim.exit.is_some());
        let answered: Vec<Token> = sim.answers.iter().map(|(token, _)| *token).collect();
        let unique: HashSet<Token> = answered.iter().copied().collect();
        prop_assert_eq!(answered.len(), unique.len());
        prop_assert_eq!(unique, asked);
    }
}
