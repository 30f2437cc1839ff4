//! Random trees, random exits, and the comparison of what was predicted with what happens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod compare;
mod plans;

pub(crate) use plans::{Exits, Plan, exits, flat, links_and_exits, nested, patient, unforgiving};

use compare::compare;
use plans::How;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use supervisors::*;

/// Nothing here takes so long: what waits for it is not seen again.
const HOUR: Duration = Duration::from_secs(3600);

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
            let simple = *strategy == Strategy::SimpleOneForOne;
            ChildSpec::supervisor_at(id, at, move || SupervisorSpec {
                flags,
                children: if simple { Vec::new() } else { specs(&children, &path, &ways) },
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

fn specs(children: &[Plan], path: &str, ways: &Arc<Ways>) -> Vec<ChildSpec> {
    let child = |(at, child): (usize, &Plan)| spec(child, &at.to_string(), format!("{path}/{at}"), ways);
    children.iter().enumerate().map(child).collect()
}

/// What a simple_one_for_one supervisor has is all added.
fn fill(plan: &Plan, path: &str, ways: &Arc<Ways>) {
    let Some((strategy, .., children)) = &plan.below else {
        return;
    };
    if *strategy == Strategy::SimpleOneForOne {
        let specs = specs(children, path, ways).into_iter();
        specs.for_each(|spec| ways.sup(path).cast_start_child(spec));
    }
    children.iter().enumerate().for_each(|(at, child)| fill(child, &format!("{path}/{at}"), ways));
}

/// They are where they were asked to be.
async fn filled(plan: &Plan, ways: &Ways) {
    let mut all = vec![(plan, "top".to_string())];
    while let Some((plan, path)) = all.pop() {
        let Some((strategy, .., children)) = &plan.below else {
            continue;
        };
        if *strategy == Strategy::SimpleOneForOne {
            ways.sup(&path).which_children().await;
        }
        all.extend(children.iter().enumerate().map(|(at, child)| (child, format!("{path}/{at}"))));
    }
}

/// Nothing is on its way: nobody starts or ends, and who waits is behind a back-off.
fn quiet(node: &Node) -> bool {
    let mut blocked = false;
    let children = node.children.iter().all(|child| {
        let in_order = matches!(node.strategy, Some(Strategy::OneForAll | Strategy::RestForOne));
        blocked |= in_order && matches!(child.status, Status::BackingOff { .. });
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
            How::Kill | How::Environment | How::Add | How::Link | How::Terminate => ExitReason::Killed,
        },
        How::Normal => ExitReason::Normal,
        How::Shutdown => ExitReason::Shutdown,
        How::Error => ExitReason::error("told to"),
        How::Environment => ExitReason::environment("told to"),
        How::Panic => panic_reason(),
        How::Kill | How::Add | How::Link | How::Terminate => ExitReason::Killed,
    }
}

fn join(running: &[&Node], at: usize) {
    let workers: Vec<Pid> =
        running.iter().filter(|node| node.kind == Kind::Worker).filter_map(|node| node.pid).collect();
    let one = running[at].pid.filter(|pid| workers.contains(pid));
    let other = one.and_then(|one| workers.iter().find(|pid| **pid > one));
    if let (Some(one), Some(other)) = (one, other) {
        link(one, *other);
    }
}

/// Done when it returns.
async fn change(node: &Node, how: How, turn: usize, ways: &Arc<Ways>) {
    let above = || node.path.rsplit_once('/').map(|(above, _)| ways.sup(above));
    if how == How::Terminate {
        if let Some(sup) = above() {
            sup.terminate_child(node.pid.unwrap()).await.unwrap();
        }
    } else if how == How::Add && node.kind == Kind::Supervisor {
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
    fill(plan, "top", &ways);
    filled(plan, &ways).await;
    let mut before = rest(&system, None).await;
    for (turn, Exits { at, how }) in exits.iter().enumerate() {
        let running: Vec<&Node> = before.nodes().filter(|node| node.pid.is_some()).collect();
        if running.is_empty() {
            break;
        }
        let node = running[at % running.len()];
        if let How::Add | How::Link | How::Terminate = how {
            if *how == How::Link {
                join(&running, at % running.len());
            }
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
