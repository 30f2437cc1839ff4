//! The monkey: whom it spares, that its choices can be had again, and that it can spend budgets without breaking one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy as _, any, prop, prop_oneof, proptest},
};
use std::{collections::BTreeSet, time::Duration};
use supervisors::{Strategy, faults::*, *};

/// No restart is forgotten while a test runs.
const PERIOD: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
enum Kid {
    Worker { restart: Restart, protected: bool, traps: bool, awaits: bool, significant: bool },
    Sup(Tree),
}

#[derive(Clone, Debug)]
struct Tree {
    strategy: Strategy,
    intensity: u32,
    kids: Vec<Kid>,
}

impl Tree {
    fn spec(&self, id: &str) -> ChildSpec {
        let tree = self.clone();
        ChildSpec::supervisor(id, move || SupervisorSpec {
            flags: Flags {
                strategy: tree.strategy,
                auto_shutdown: AutoShutdown::AnySignificant,
                ..Flags::one_for_one().intensity(tree.intensity, PERIOD)
            },
            children: tree.kids.iter().enumerate().map(|(n, kid)| kid.spec(n)).collect(),
        })
    }

    /// With other intensities, all the same.
    fn with_intensity(mut self, intensity: u32) -> Self {
        let kids = self.kids.into_iter().map(|kid| match kid {
            Kid::Sup(tree) => Kid::Sup(tree.with_intensity(intensity)),
            worker => worker,
        });
        self.kids = kids.collect();
        Self { intensity, ..self }
    }
}

impl Kid {
    fn spec(&self, n: usize) -> ChildSpec {
        match *self {
            Self::Sup(ref tree) => tree.spec(&format!("{n}_sup")),
            Self::Worker { restart, protected, traps, awaits, significant } => {
                let spec = ChildSpec::worker(format!("{n}{}", if protected { " protected" } else { "" }), |process| {
                    process.ready();
                    async move {
                        process.shutdown_requested().await;
                        Ok(())
                    }
                });
                let spec = if protected { spec.protected() } else { spec };
                let spec = if traps { spec.trap_exit() } else { spec };
                let spec = if awaits { spec.awaits_init() } else { spec };
                let spec = if significant { spec.significant() } else { spec };
                spec.restart(restart)
            }
        }
    }
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)]
}

fn trees() -> impl proptest::strategy::Strategy<Value = Tree> {
    let restart =
        prop_oneof![3 => Just(Restart::Permanent), 1 => Just(Restart::Transient), 1 => Just(Restart::Temporary)];
    let worker = (restart, prop::bool::weighted(0.15), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(restart, protected, traps, awaits, significant)| {
            let significant = significant && restart != Restart::Permanent;
            Kid::Worker { restart, protected, traps, awaits, significant }
        });
    let tree = |kid| {
        let tree = (strategies(), 0u32..4, vec(kid, 1..4));
        tree.prop_map(|(strategy, intensity, kids)| Tree { strategy, intensity, kids })
    };
    let kid = worker.prop_recursive(3, 16, 3, move |kid| tree(kid).prop_map(Kid::Sup));
    let tree = (strategies(), 0u32..4, vec(kid, 1..4));
    tree.prop_map(|(strategy, intensity, kids)| Tree { strategy, intensity, kids })
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

async fn calm(system: &System) {
    let calm = |node: &Node| matches!(node.status, Status::Running | Status::Stopped);
    until(|| system.snapshot().nodes().all(calm)).await;
}

async fn up(tree: &Tree, id: &str) -> System {
    let system = start(tree.spec(id));
    calm(&system).await;
    system
}

fn path(action: &Action) -> &str {
    match action {
        Action::Monkey { path, .. } | Action::Point { path, .. } => path,
    }
}

/// Reads on until so many processes have ended. The paths of all that ended, and of supervisors that gave up.
async fn endings(events: &Events, least: usize) -> (Vec<String>, BTreeSet<String>) {
    let (mut ended, mut gave_up) = (Vec::new(), BTreeSet::new());
    loop {
        let event = match events.try_recv() {
            Some(event) => event,
            None if ended.len() >= least => return (ended, gave_up),
            None => events.recv().await.expect("the root runs"),
        };
        match event.kind {
            EventKind::Exited { .. } => ended.push(event.path.to_string()),
            EventKind::GaveUp { .. } => drop(gave_up.insert(event.path.to_string())),
            _ => {}
        }
    }
}

fn monkey(seed: u64, supervisors: bool) -> Monkey {
    let monkey = Monkey::new().seed(seed).way(Way::Panic, 2).way(Way::Kill, 1);
    let monkey = monkey.way(Way::Exit(ExitReason::error("bad")), 1).way(Way::Exit(ExitReason::Shutdown), 1);
    if supervisors { monkey.supervisors() } else { monkey }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn budgets_are_spent_to_the_last_restart_and_no_supervisor_gives_up(
        tree in trees(), seed: u64, supervisors: bool,
    ) {
        wait(async {
            let system = up(&tree, "almost").await;
            let events = subscribe(system.root());
            let monkey = monkey(seed, supervisors);
            let done = monkey.almost_kill(system.root()).await;
            assert!(monkey.is_calm(system.root()));
            let (_, gave_up) = endings(&events, done.len()).await;
            assert_eq!(gave_up, BTreeSet::new(), "{done:?}");
            // One more is one too many, wherever it was spent last.
            if let Some(last) = done.last() {
                let (parent, _) = path(last).rsplit_once('/').unwrap();
                kill(pid_of(&system, path(last)));
                loop {
                    let event = events.recv().await.unwrap();
                    if let EventKind::GaveUp { .. } = event.kind {
                        assert_eq!(&*event.path, parent);
                        break;
                    }
                }
            }
            system.stop(LONG).await;
        });
    }

    #[test]
    fn a_monkey_that_keeps_budgets_breaks_none_however_long_it_goes_on(tree in trees(), seed: u64, supervisors: bool) {
        wait(async {
            let system = up(&tree, "keeps").await;
            let events = subscribe(system.root());
            let monkey = monkey(seed, supervisors).keeps_budgets();
            // Some steps find the tree in the midst of restarts.
            (0..30).for_each(|_| drop(monkey.step(system.root())));
            run(&monkey, &system, 30).await;
            until(|| monkey.is_calm(system.root())).await;
            let (_, gave_up) = endings(&events, monkey.log().actions.len()).await;
            assert_eq!(gave_up, BTreeSet::new(), "{}", monkey.log());
            system.stop(LONG).await;
        });
    }

    #[test]
    fn the_protected_are_never_ended_not_even_by_the_strategy_of_their_supervisor(tree in trees(), seed: u64, supervisors: bool) {
        wait(async {
            let system = up(&tree.with_intensity(1000), "spares").await;
            let events = subscribe(system.root());
            let monkey = monkey(seed, supervisors);
            (0..15).for_each(|_| drop(monkey.step(system.root())));
            run(&monkey, &system, 15).await;
            until(|| monkey.is_calm(system.root())).await;
            let (ended, _) = endings(&events, monkey.log().actions.len()).await;
            let touched: Vec<_> = ended.iter().filter(|path| path.contains("protected")).collect();
            assert!(touched.is_empty(), "{touched:?} after {}", monkey.log());
            let sups = monkey.log().actions.iter().filter(|action| path(action).ends_with("_sup")).count();
            assert!(supervisors || sups == 0);
            system.stop(LONG).await;
        });
    }

    #[test]
    fn the_same_seed_chooses_the_same_and_a_log_is_done_again(tree in trees(), seed: u64, supervisors: bool) {
        wait(async {
            let tree = tree.with_intensity(1000);
            let mut logs = Vec::new();
            for _ in 0..2 {
                let system = up(&tree, "seeded").await;
                let monkey = monkey(seed, supervisors);
                run(&monkey, &system, 8).await;
                logs.push(monkey.log());
                system.stop(LONG).await;
            }
            assert_eq!(logs[0], logs[1]);
            let again = Monkey::replay(&logs[0].to_string().parse().unwrap()).unwrap();
            let system = up(&tree, "seeded").await;
            run(&again, &system, 9).await;
            assert_eq!(again.log(), logs[0]);
            system.stop(LONG).await;
        });
    }
}

/// So many steps, each in a tree that is up again; fewer when nobody is left.
async fn run(monkey: &Monkey, system: &System, steps: usize) {
    for _ in 0..steps {
        if monkey.step(system.root()).is_none() {
            return;
        }
        until(|| monkey.is_calm(system.root())).await;
    }
}

#[test]
fn a_monkey_lives_in_the_tree_and_is_not_its_own_victim() {
    let monkey = Monkey::new().seed(1).every(Duration::from_millis(1)).under("jungle/*").supervisors();
    let own = monkey.clone();
    let system = start(ChildSpec::supervisor("jungle", move || SupervisorSpec {
        flags: Flags::one_for_one().intensity(1_000_000, PERIOD),
        children: vec![sleeper("a"), sleeper("b"), own.child("monkey")],
    }));
    wait(async {
        until(|| pid_exists(&system, "jungle/monkey")).await;
        let before = pid_of(&system, "jungle/monkey");
        until(|| monkey.log().actions.len() >= 20).await;
        assert_eq!(pid_of(&system, "jungle/monkey"), before);
        let victims: BTreeSet<_> = monkey.log().actions.iter().map(|action| path(action).to_string()).collect();
        assert_eq!(victims, BTreeSet::from(["jungle/a".to_string(), "jungle/b".to_string()]));
        system.stop(LONG).await;
    });
}

fn pid_exists(system: &System, path: &str) -> bool {
    system.snapshot().find(path).iter().any(|node| node.pid.is_some())
}

#[test]
fn a_monkey_kills_only_below_its_path_and_in_its_ways() {
    let system = start(ChildSpec::supervisor("zoo", || SupervisorSpec {
        flags: Flags::one_for_one().intensity(1000, PERIOD),
        children: vec![sleeper("keeper"), sleeper("peer 1"), sleeper("peer 2")],
    }));
    wait(async {
        calm(&system).await;
        let events = subscribe(system.root());
        let monkey =
            Monkey::new().seed(5).under("zoo/peer *").way(Way::Kill, 1).way(Way::Exit(ExitReason::Shutdown), 3);
        let mut reasons = Vec::new();
        while reasons.len() < 40 {
            monkey.step(system.root()).expect("somebody to kill");
            loop {
                let event = events.recv().await.unwrap();
                if let EventKind::Exited { reason } = event.kind {
                    assert!(event.path.starts_with("zoo/peer "), "{}", event.path);
                    reasons.push(reason);
                    break;
                }
            }
            until(|| monkey.is_calm(system.root())).await;
        }
        let killed = reasons.iter().filter(|reason| **reason == ExitReason::Killed).count();
        assert!((3..=18).contains(&killed), "1 in 4 of 40: {killed}");
        assert!(reasons.iter().all(|reason| matches!(reason, ExitReason::Killed | ExitReason::Shutdown)));
        system.stop(LONG).await;
    });
}

#[test]
fn children_of_a_simple_one_for_one_supervisor_are_spent_too() {
    let at = SupervisorRef::new();
    let sup = empty("dynamic", &at);
    let system = start(ChildSpec::supervisor("top", move || one_for_one(vec![sup.clone()])));
    wait(async {
        calm(&system).await;
        for id in ["a", "b", "c"] {
            at.start_child(sleeper(id)).await.unwrap();
        }
        let monkey = Monkey::new().seed(3).under("top/dynamic/*");
        let done = monkey.almost_kill(system.root()).await;
        assert_eq!(done.len(), 3, "its intensity");
        assert!(monkey.is_calm(system.root()) && monkey.clone().keeps_budgets().step(system.root()).is_none());
        let events = subscribe(system.root());
        kill(pid_of(&system, "top/dynamic/b"));
        let (_, gave_up) = endings(&events, 4).await;
        assert_eq!(gave_up, BTreeSet::from(["top/dynamic".to_string()]));
        system.stop(LONG).await;
    });
}

#[test]
fn whoever_would_not_notice_a_signal_is_killed() {
    let stubborn =
        || ChildSpec::worker("stubborn", |_| std::future::pending()).trap_exit().shutdown(Shutdown::BrutalKill);
    for (child, reason, way) in [
        (stubborn(), ExitReason::error("bad"), "kill"),
        (sleeper("sleeper"), ExitReason::Normal, "kill"),
        (sleeper("sleeper"), ExitReason::error("bad"), "exit(error: bad)"),
    ] {
        let system = start(ChildSpec::supervisor("deaf", move || one_for_one(vec![child.clone()])));
        wait(async {
            calm(&system).await;
            let monkey = Monkey::new().way(Way::Exit(reason), 1);
            let Some(Action::Monkey { way: done, .. }) = monkey.step(system.root()) else { panic!("nobody") };
            assert_eq!(done, way);
            until(|| monkey.is_calm(system.root())).await;
            system.stop(LONG).await;
        });
    }
}

#[test]
fn a_tree_of_the_protected_and_a_tree_that_has_ended_are_left_alone() {
    let system = start(ChildSpec::supervisor("empty zoo", || one_for_one(vec![sleeper("keeper").protected()])));
    wait(async {
        calm(&system).await;
        let monkey = Monkey::new().supervisors();
        assert_eq!(monkey.step(system.root()), None);
        assert_eq!(monkey.almost_kill(system.root()).await, []);
        system.stop(LONG).await;
        assert_eq!(monkey.step(system.root()), None);
        assert_eq!(monkey.almost_kill(system.root()).await, []);
    });
}

#[test]
fn a_log_whose_beginning_is_forgotten_is_done_again_from_where_it_begins() {
    let two = || ChildSpec::supervisor("late", || one_for_one(vec![sleeper("a"), sleeper("b")]));
    wait(async {
        let monkey = Monkey::new().seed(4).keeps(1);
        let first = start(two());
        calm(&first).await;
        run(&monkey, &first, 3).await;
        first.stop(LONG).await;
        let log = monkey.log();
        assert_eq!((log.actions.len(), log.forgotten), (1, 2));
        let second = start(two());
        calm(&second).await;
        let again = Monkey::replay(&log).unwrap();
        run(&again, &second, 3).await;
        assert_eq!(again.log().actions, log.actions);
        second.stop(LONG).await;
    });
}

#[test]
fn ways_are_read_as_they_are_written() {
    for way in ["panic", "kill", "exit(shutdown)", "exit(error: bad)", "exit(environment: reset)"] {
        assert_eq!(way.parse::<Way>().unwrap().to_string(), way);
    }
    for wrong in ["", "off", "panic(x)", "5%panic", "exit"] {
        assert!(wrong.parse::<Way>().is_err(), "{wrong}");
    }
}
