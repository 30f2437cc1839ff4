//! Random trees, random exits, and the comparison of what was predicted with what happens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::{
    prelude::{Just, any, prop, prop_oneof},
    strategy::{BoxedStrategy, Strategy as _},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use supervisors::*;

/// Nothing here takes so long: what waits for it is not seen again.
const HOUR: Duration = Duration::from_secs(3600);

/// A child, and below it a tree.
#[derive(Clone)]
pub(crate) struct Plan {
    restart: Restart,
    brutal: bool,
    /// A supervisor with it is parked when it gives up.
    backs_off: bool,
    awaits_init: bool,
    significant: bool,
    below: Option<(Strategy, AutoShutdown, u32, Vec<Plan>)>,
}

impl std::fmt::Debug for Plan {
    /// A line, so that what proptest shows can be read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let marks = [
            (self.brutal, " brutal"),
            (self.backs_off, " backs_off"),
            (self.awaits_init, " awaits_init"),
            (self.significant, " significant"),
        ];
        let marks: String = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
        match &self.below {
            None => write!(f, "{:?}{marks}", self.restart),
            Some((strategy, auto_shutdown, intensity, children)) => {
                write!(f, "{:?}{marks} {strategy} {auto_shutdown:?} {intensity} ", self.restart)?;
                let mut list = f.debug_list();
                list.entries(children).finish()
            }
        }
    }
}

/// One exit: of the process at this place among those that run, counted round and round.
#[derive(Clone, Debug)]
pub(crate) struct Exits {
    at: usize,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Normal,
    Shutdown,
    Error,
    Environment,
    Panic,
    Kill,
    /// No exit: it gets another child, when it is a supervisor.
    Add,
    /// No exit either: its supervisor is asked to terminate it.
    Terminate,
}

fn worker() -> BoxedStrategy<Plan> {
    let restart =
        prop_oneof![4 => Just(Restart::Permanent), 2 => Just(Restart::Transient), 1 => Just(Restart::Temporary)];
    let parts = (restart, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    parts
        .prop_map(|(restart, brutal, backs_off, awaits_init)| Plan {
            restart,
            brutal,
            backs_off,
            awaits_init,
            significant: false,
            below: None,
        })
        .boxed()
}

fn sup(intensity: u32, children: BoxedStrategy<Plan>, most: usize) -> BoxedStrategy<Plan> {
    let strategy = prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)];
    let auto = prop_oneof![3 => Just(AutoShutdown::Never), 1 => Just(AutoShutdown::AnySignificant), 1 => Just(AutoShutdown::AllSignificant)];
    let below = (strategy, auto, 0..=intensity, prop::collection::vec((children, any::<bool>()), 1..=most));
    (worker(), below)
        .prop_map(|(plan, (strategy, auto_shutdown, intensity, children))| {
            let fits = |child: &Plan| auto_shutdown != AutoShutdown::Never && child.restart != Restart::Permanent;
            let children = children
                .into_iter()
                .map(|(child, significant)| Plan { significant: significant && fits(&child), ..child })
                .collect();
            Plan { below: Some((strategy, auto_shutdown, intensity, children)), brutal: false, ..plan }
        })
        .boxed()
}

/// One supervisor.
pub(crate) fn flat() -> BoxedStrategy<Plan> {
    sup(3, worker(), 6)
}

fn levels(intensity: u32) -> BoxedStrategy<Plan> {
    let children = prop_oneof![2 => worker(), 1 => sup(intensity, worker(), 3)].boxed();
    let children = prop_oneof![2 => worker(), 2 => sup(intensity, children, 3)].boxed();
    sup(intensity, children, 4)
}

/// Up to three levels.
pub(crate) fn nested() -> BoxedStrategy<Plan> {
    levels(3)
}

/// Up to three levels, and soon nobody has a budget left.
pub(crate) fn unforgiving() -> BoxedStrategy<Plan> {
    levels(1)
}

pub(crate) fn exits() -> BoxedStrategy<Vec<Exits>> {
    let how = prop_oneof![
        Just(How::Normal),
        Just(How::Shutdown),
        Just(How::Error),
        Just(How::Environment),
        Just(How::Panic),
        Just(How::Kill),
        Just(How::Add),
        Just(How::Terminate)
    ];
    let one = (any::<usize>(), how).prop_map(|(at, how)| Exits { at, how });
    prop::collection::vec(one, 1..=8).boxed()
}

type Way = (Addr<ExitReason>, Mailbox<ExitReason>);

/// How everyone is reached, by path.
#[derive(Default)]
struct Ways {
    workers: Mutex<HashMap<String, Way>>,
    sups: Mutex<HashMap<String, SupervisorRef>>,
}

impl Ways {
    fn worker(&self, path: &str) -> Way {
        self.workers.lock().unwrap().entry(path.to_string()).or_insert_with(mailbox).clone()
    }

    fn sup(&self, path: &str) -> SupervisorRef {
        self.sups.lock().unwrap().entry(path.to_string()).or_default().clone()
    }
}

fn spec(plan: &Plan, id: &str, path: String, ways: &Arc<Ways>) -> ChildSpec {
    let spec = match &plan.below {
        None => {
            let (_, mailbox) = ways.worker(&path);
            ChildSpec::worker(id, move |process| {
                let mailbox = mailbox.clone();
                async move {
                    process.ready();
                    match mailbox.recv().await {
                        ExitReason::Normal => Ok(()),
                        reason => Err(reason),
                    }
                }
            })
        }
        Some((strategy, auto_shutdown, intensity, children)) => {
            let flags = Flags {
                strategy: *strategy,
                auto_shutdown: *auto_shutdown,
                ..Flags::one_for_one().intensity(*intensity, HOUR)
            };
            let (children, at, ways) = (children.clone(), ways.sup(&path), ways.clone());
            ChildSpec::supervisor_at(id, at, move || {
                let child = |(at, child): (usize, &Plan)| spec(child, &at.to_string(), format!("{path}/{at}"), &ways);
                SupervisorSpec { flags, children: children.iter().enumerate().map(child).collect() }
            })
        }
    };
    let spec = if plan.significant { spec.significant() } else { spec };
    let spec = if plan.brutal { spec.shutdown(Shutdown::BrutalKill) } else { spec };
    let spec = if plan.awaits_init { spec.awaits_init() } else { spec };
    let backoff = Backoff { first: HOUR, cap: HOUR, jitter: 0.5, reset_after: HOUR };
    let worker = plan.below.is_none();
    // An exit that the environment caused is waited out for an hour or so, however the worker has it.
    if plan.backs_off || worker { spec.backoff(backoff) } else { spec }.restart(plan.restart)
}

/// Nothing is on its way: nobody starts or ends, and who waits is behind a back-off.
fn quiet(node: &Node) -> bool {
    let mut blocked = false;
    let children = node.children.iter().all(|child| {
        blocked |= matches!(child.status, Status::BackingOff { .. }) && node.strategy != Some(Strategy::OneForOne);
        match child.status {
            Status::Starting => child.pid.is_none() && blocked,
            Status::Stopping => false,
            _ => quiet(child),
        }
    });
    children && !matches!(node.status, Status::Starting | Status::Stopping)
}

fn pids(snapshot: &Snapshot) -> Vec<(&str, Option<Pid>)> {
    snapshot.nodes().map(|node| (node.path.as_str(), node.pid)).collect()
}

/// Seen twice, because the levels of a snapshot are not of one moment.
async fn rest(system: &System, gone: Option<Pid>) -> Snapshot {
    let mut last: Option<Snapshot> = None;
    loop {
        let snapshot = system.snapshot();
        let still = gone.is_some() && snapshot.nodes().any(|node| node.pid == gone);
        if still || !quiet(&snapshot.root) {
            last = None;
        } else if last.as_ref().is_some_and(|last| pids(last) == pids(&snapshot)) {
            return snapshot;
        } else {
            last = Some(snapshot);
        }
        async_std::task::yield_now().await;
    }
}

fn reason(how: How, node: &Node) -> ExitReason {
    match how {
        // A supervisor hears signals only, and obeys those of its own supervisor: the root's is this test.
        _ if node.kind == Kind::Supervisor => match how {
            How::Normal | How::Shutdown if node.parent.is_none() => ExitReason::Shutdown,
            How::Normal | How::Shutdown | How::Panic | How::Error => panic_reason(),
            How::Kill | How::Environment | How::Add | How::Terminate => ExitReason::Killed,
        },
        How::Normal => ExitReason::Normal,
        How::Shutdown => ExitReason::Shutdown,
        How::Error => ExitReason::error("told to"),
        How::Environment => ExitReason::environment("told to"),
        How::Panic => panic_reason(),
        How::Kill | How::Add | How::Terminate => ExitReason::Killed,
    }
}

/// Done when it returns.
async fn change(node: &Node, how: How, turn: usize, ways: &Arc<Ways>) {
    let above = || node.path.rsplit_once('/').map(|(above, id)| (ways.sup(above), id));
    if how == How::Terminate {
        if let Some((sup, id)) = above() {
            sup.terminate_child(id).await.unwrap();
        }
    } else if node.kind == Kind::Supervisor {
        let id = format!("added {turn}");
        let restarts = [Restart::Permanent, Restart::Transient, Restart::Temporary];
        let plan = Plan {
            restart: restarts[turn % 3],
            brutal: false,
            backs_off: false,
            awaits_init: true,
            significant: false,
            below: None,
        };
        let child = spec(&plan, &id, format!("{}/{id}", node.path), ways);
        // Behind a back-off its start would be answered in an hour.
        ways.sup(&node.path).cast_start_child(child);
        ways.sup(&node.path).which_children().await;
    }
}

fn panic_reason() -> ExitReason {
    ExitReason::Panic { message: "told to".into(), location: String::new() }
}

fn act(pid: Pid, node: &Node, reason: &ExitReason, ways: &Ways) {
    match reason {
        ExitReason::Killed => kill(pid),
        ExitReason::Panic { message, .. } => inject_panic(pid, message),
        _ if node.kind == Kind::Supervisor => exit(pid, reason.clone()),
        _ => ways.worker(&node.path).0.cast(reason.clone()).unwrap(),
    }
}

/// Starts the tree, lets the exits happen, and says how observation and prediction differ.
pub(crate) async fn observe(plan: &Plan, exits: &[Exits]) -> Result<(), String> {
    let ways = Arc::default();
    let system = start(spec(plan, "top", "top".into(), &ways));
    let mut before = rest(&system, None).await;
    for (turn, Exits { at, how }) in exits.iter().enumerate() {
        let running: Vec<&Node> = before.nodes().filter(|node| node.pid.is_some()).collect();
        if running.is_empty() {
            break;
        }
        let node = running[at % running.len()];
        if let How::Add | How::Terminate = how {
            change(node, *how, turn, &ways).await;
            before = rest(&system, None).await;
            continue;
        }
        let (pid, reason) = (node.pid.unwrap(), reason(*how, node));
        let prediction = predict(&before, pid, reason.clone()).map_err(|error| error.to_string())?;
        let events = subscribe(system.root());
        act(pid, node, &reason, &ways);
        let after = rest(&system, Some(pid)).await;
        let events = heard(&events, after.root.pid.is_none()).await;
        if let Err(difference) = compare(&before, &prediction, &after, &events) {
            let seen: Vec<String> = events.iter().map(|e| format!("{} {} {:?}", e.path, e.pid, e.kind)).collect();
            let seen = seen.join("\n");
            return Err(format!(
                "{difference}\n\n{prediction}\n\nbefore\n{before}\n\nafter\n{after}\n\nevents\n{seen}"
            ));
        }
        before = after;
    }
    system.stop(HOUR).await;
    Ok(())
}

/// A tree that ended tells it last.
async fn heard(events: &Events, ended: bool) -> Vec<Event> {
    let mut seen = Vec::new();
    while let Some(event) = if ended { events.recv().await } else { events.try_recv() } {
        seen.push(event);
    }
    seen
}

macro_rules! same {
    ($predicted:expr, $seen:expr, $($what:tt)*) => {
        let (predicted, seen) = ($predicted, $seen);
        if predicted != seen {
            return Err(format!("{}: predicted {predicted:?}, seen {seen:?}", format!($($what)*)));
        }
    };
}

/// What became of a child.
#[derive(Debug, PartialEq)]
enum Fate {
    Same,
    New,
    Later,
    Down,
    Gone,
}

fn compare(before: &Snapshot, prediction: &Prediction, after: &Snapshot, events: &[Event]) -> Result<(), String> {
    let now: HashMap<&str, &Node> = after.nodes().map(|node| (node.path.as_str(), node)).collect();
    let ended = after.root.pid.is_none();
    same!(prediction.root_ends.is_some(), ended, "the root ends");
    for node in before.nodes().skip(1) {
        let path = node.path.as_str();
        let predicted = match prediction.restarted.iter().find(|restarted| restarted.path == path) {
            Some(restarted) if restarted.after.is_zero() => Fate::New,
            Some(_) => Fate::Later,
            None if prediction.forgotten.iter().any(|gone| gone == path) => Fate::Gone,
            None if prediction.stopped.iter().any(|down| down == path) => Fate::Down,
            None if node.pid.is_some() => Fate::Same,
            // It was down before and has nothing to do with it.
            None if matches!(node.status, Status::BackingOff { .. } | Status::Starting) => Fate::Later,
            None => Fate::Down,
        };
        let seen = match now.get(path) {
            Some(node_now) if node_now.pid.is_some() && node_now.pid == node.pid => Fate::Same,
            Some(node_now) if node_now.pid.is_some() => Fate::New,
            // Started again only when the back-off of a supervisor above is over.
            None if predicted == Fate::Later => Fate::Later,
            None => Fate::Gone,
            Some(node_now) if node_now.status == Status::Stopped => Fate::Down,
            Some(_) => Fate::Later,
        };
        same!(predicted, seen, "{path}");
    }
    let old: HashSet<Pid> = before.nodes().filter_map(|node| node.pid).collect();
    let exited = events.iter().filter(|event| old.contains(&event.pid)).filter_map(|event| match &event.kind {
        EventKind::Exited { reason } => Some((event.pid, reason.clone())),
        _ => None,
    });
    let exited: Vec<(Pid, ExitReason)> = exited.collect();
    let dies: Vec<(Pid, ExitReason)> = prediction.dies.iter().map(|dying| (dying.pid, dying.reason.clone())).collect();
    same!(dies, exited, "who dies, why, in which order");
    let survivors: HashSet<Pid> = prediction.survives.iter().map(|surviving| surviving.pid).collect();
    same!(survivors.len() + prediction.dies.len(), old.len(), "everyone dies or survives");
    let gave_up = events.iter().filter(|event| matches!(event.kind, EventKind::GaveUp { .. }));
    let gives_up: Vec<Pid> = prediction.gives_up.iter().map(|gives_up| gives_up.pid).collect();
    same!(gives_up, gave_up.map(|event| event.pid).collect::<Vec<_>>(), "who gives up");
    for node in after.nodes().filter(|node| node.pid.is_some_and(|pid| survivors.contains(&pid))) {
        let spent = prediction.budgets.iter().find(|spent| Some(spent.pid) == node.pid);
        let budget = before.nodes().find(|old| old.pid == node.pid).and_then(|old| old.budget.as_ref());
        let predicted = spent.map(|spent| spent.used).or(budget.map(|budget| budget.used));
        same!(predicted, node.budget.as_ref().map(|budget| budget.used), "budget of {}", node.path);
    }
    Ok(())
}
