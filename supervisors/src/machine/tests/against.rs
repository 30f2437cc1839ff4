//! The machine and the [`model`](super::model) live the same life, and are compared after each step.

use super::{
    model::{Kid, Model},
    world::{Played, Started, Stopped, World},
    *,
};
use crate::spec::Strategy;
use proptest::{
    prelude::{Just, ProptestConfig, any, prop},
    prop_oneof, proptest,
    strategy::Strategy as Generates,
};

#[derive(Clone, Debug)]
enum Step {
    Exit { nth: usize, reason: ExitReason },
    Pass { millis: u64 },
    Start { child: Rule },
    Terminate { id: String },
    Restart { id: String },
    Delete { id: String },
    Shutdown,
}

/// Initial children are called 0 to 4, and five more can be added.
fn ids() -> impl Generates<Value = String> {
    (0..10u8).prop_map(|id| id.to_string())
}

fn child(auto: AutoShutdown, id: String) -> impl Generates<Value = Rule> {
    let restart = prop_oneof![
        3 => Just(Restart::Permanent),
        2 => Just(Restart::Transient),
        2 => Just(Restart::Temporary),
    ];
    let shutdown = prop_oneof![
        1 => Just(Shutdown::BrutalKill),
        3 => Just(Shutdown::Timeout(SECOND)),
        1 => Just(Shutdown::Infinity),
    ];
    (restart, shutdown, any::<bool>()).prop_map(move |(restart, shutdown, significant)| {
        let significant = significant && auto != AutoShutdown::Never && restart != Restart::Permanent;
        Rule { restart, shutdown, significant, awaits_init: true, ..rule(&id) }
    })
}

/// One in four does not care whether a significant child is allowed.
fn added() -> impl Generates<Value = Rule> {
    let any_auto = prop_oneof![3 => Just(AutoShutdown::Never), 1 => Just(AutoShutdown::AnySignificant)];
    (any_auto, ids()).prop_flat_map(|(auto, id)| child(auto, id))
}

fn step() -> impl Generates<Value = Step> {
    let reasons = vec![
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::ShutdownWith("done".into()),
        ExitReason::Killed,
        crash(),
    ];
    let reason = prop::sample::select(reasons);
    prop_oneof![
        12 => (any::<usize>(), reason).prop_map(|(nth, reason)| Step::Exit { nth, reason }),
        6 => (0..2500u64).prop_map(|millis| Step::Pass { millis }),
        4 => added().prop_map(|child| Step::Start { child }),
        3 => ids().prop_map(|id| Step::Terminate { id }),
        3 => ids().prop_map(|id| Step::Restart { id }),
        2 => ids().prop_map(|id| Step::Delete { id }),
        1 => Just(Step::Shutdown),
    ]
}

fn world() -> impl Generates<Value = World> {
    let start = prop_oneof![6 => Just(Started::Up), 2 => Just(Started::Fails), 1 => Just(Started::Ignores)];
    let stop = prop::sample::select(vec![Stopped::Obeys, Stopped::Late, Stopped::Normal, Stopped::Crashes]);
    // The first start mostly goes well, or few lives would be long.
    let first = prop_oneof![30 => Just(Started::Up), 1 => Just(Started::Fails), 2 => Just(Started::Ignores)];
    let starts = (first, prop::collection::vec(start, 0..6));
    let starts = starts.prop_map(|(first, later)| std::iter::once(first).chain(later).collect());
    let starts = prop::collection::btree_map(ids(), starts, 0..10);
    (starts, prop::collection::btree_map(ids(), stop, 0..10)).prop_map(|(starts, stops)| World { starts, stops })
}

fn life(strategy: Strategy) -> impl Generates<Value = (Flags, Vec<Rule>, World, Vec<Step>)> {
    let auto =
        prop::sample::select(vec![AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant]);
    let flags = (auto, 0..5u32, 1..4u64).prop_map(move |(auto_shutdown, intensity, secs)| Flags {
        strategy,
        auto_shutdown,
        intensity,
        period: Duration::from_secs(secs),
    });
    flags.prop_flat_map(move |flags| {
        let most = if strategy == Strategy::SimpleOneForOne { 0u8 } else { 5 };
        let children = (0..=most).prop_flat_map(move |count| {
            (0..count).map(|id| child(flags.auto_shutdown, id.to_string()).boxed()).collect::<Vec<_>>()
        });
        (Just(flags), children, world(), prop::collection::vec(step(), 1..40))
    })
}

fn kid(rule: &Rule) -> Kid {
    let Rule { restart, shutdown, significant, .. } = *rule;
    Kid { id: rule.id.to_string(), restart, shutdown, significant, up: false }
}

fn both(flags: Flags, rules: Vec<Rule>, world: World) -> (Model, Played) {
    let mut model = Model {
        strategy: flags.strategy,
        intensity: flags.intensity as usize,
        period_millis: u64::try_from(flags.period.as_millis()).unwrap(),
        auto_shutdown: flags.auto_shutdown,
        kids: rules.iter().map(kid).collect(),
        restarts: Vec::new(),
        now_millis: 0,
        world: world.clone(),
        trace: Vec::new(),
        ended: false,
    };
    model.boot();
    (model, Played::new(flags, rules, world))
}

fn perform(model: &mut Model, played: &mut Played, step: Step) {
    let token = 1;
    match step {
        Step::Exit { nth, reason } => {
            let up: Vec<&Kid> = model.kids.iter().filter(|kid| kid.up).collect();
            let Some(id) = nth.checked_rem(up.len()).map(|at| up[at].id.clone()) else {
                return;
            };
            model.exits(&id, &reason);
            let pid = played.pid(&id).expect("it is up in both");
            played.event(Event::Exited { pid, reason, cause: None, dice: 0.0 });
        }
        Step::Pass { millis } => {
            model.now_millis += millis;
            played.now += Duration::from_millis(millis);
        }
        Step::Start { child } => {
            let answer = model.start_child(kid(&child));
            model.trace.push(format!("answer {answer}"));
            // The driver gives each new spec a key of its own.
            let key = played.machine.children.keys().last().map_or(100, |last| last + 100);
            played.event(Event::StartChild { key, rule: child, token: Some(token) });
        }
        Step::Terminate { id } => {
            let answer = model.terminate_child(&id);
            model.trace.push(format!("answer {answer}"));
            played.event(Event::TerminateChild { child: id.into(), token: Some(token) });
        }
        Step::Restart { id } => {
            let answer = model.restart_child(&id);
            model.trace.push(format!("answer {answer}"));
            played.event(Event::RestartChild { id, token: Some(token) });
        }
        Step::Delete { id } => {
            let answer = model.delete_child(&id);
            model.trace.push(format!("answer {answer}"));
            played.event(Event::DeleteChild { id, token: Some(token) });
        }
        Step::Shutdown => {
            model.shutdown();
            played.event(Event::Shutdown { reason: ExitReason::Shutdown });
        }
    }
}

/// What has happened since the last comparison, and what there is now.
fn compare(model: &mut Model, played: &mut Played, after: &str) {
    let mut expected = std::mem::take(&mut model.trace);
    let mut observed = std::mem::take(&mut played.trace);
    assert_eq!(model.ended, played.ended, "{after}: {expected:?} {observed:?}");
    if model.ended && model.strategy == Strategy::SimpleOneForOne {
        // Side by side: in no order.
        expected.sort();
        observed.sort();
    }
    assert_eq!(expected, observed, "{after}");
    if !model.ended {
        let known: Vec<(String, bool)> = model.kids.iter().map(|kid| (kid.id.clone(), kid.up)).collect();
        let children = played.machine.children();
        let seen: Vec<(String, bool)> = children.map(|(_, c)| (c.rule.id.to_string(), c.pid().is_some())).collect();
        assert_eq!(known, seen, "{after}");
    }
}

fn live((flags, rules, world, steps): (Flags, Vec<Rule>, World, Vec<Step>)) {
    let (mut model, mut played) = both(flags, rules, world);
    compare(&mut model, &mut played, "boot");
    for step in steps {
        if model.ended {
            return;
        }
        let after = format!("{step:?}");
        perform(&mut model, &mut played, step);
        compare(&mut model, &mut played, &after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_for_one_lives_as_the_manual_says(life in life(Strategy::OneForOne)) {
        live(life);
    }

    #[test]
    fn one_for_all_lives_as_the_manual_says(life in life(Strategy::OneForAll)) {
        live(life);
    }

    #[test]
    fn rest_for_one_lives_as_the_manual_says(life in life(Strategy::RestForOne)) {
        live(life);
    }

    #[test]
    fn simple_one_for_one_lives_as_the_manual_says(life in life(Strategy::SimpleOneForOne)) {
        live(life);
    }
}
