//! Taking a snapshot: what each supervisor knows is copied under its lock, and put into words after it.

use super::{Budget, Node, Rules, Status, Waiting};
use crate::{
    crew::Crew,
    machine::{Key, Machine, Rule, State},
    pid::Pid,
    reason::ExitReason,
    rt,
    spec::Flags,
    table::Entry,
};
use std::{sync::Arc, time::Instant};

/// What a supervisor knows of a child.
struct Copied {
    rule: Rule,
    given: bool,
    role: Option<&'static str>,
    state: State,
    pid: Option<Pid>,
    restarts: u64,
    failures: u32,
    last_exit: Option<ExitReason>,
    cause: Option<String>,
    /// While there is a process.
    entry: Option<Arc<Entry>>,
}

pub(super) fn tree(entry: &Arc<Entry>) -> Node {
    let now = rt::now();
    let status = match entry.has_ended() {
        true => Status::Stopped,
        false if entry.is_told_to_end() => Status::Stopping,
        false if entry.is_ready() => Status::Running,
        false => Status::Starting,
    };
    let root = Node {
        name: entry.name.to_string(),
        role: entry.role().to_string(),
        kind: entry.kind,
        path: entry.path.to_string(),
        status,
        restarts: entry.incarnation,
        ..Node::default()
    };
    let there = !entry.has_ended();
    process(root, there.then_some(entry), now)
}

/// Adds what the process itself knows, and its children.
fn process(mut node: Node, entry: Option<&Arc<Entry>>, now: Instant) -> Node {
    let Some(entry) = entry else {
        return node;
    };
    node.pid = Some(entry.pid);
    node.uptime = Some(now.saturating_duration_since(entry.born));
    node.mailbox = entry.mailbox().map(|(len, high_water)| Waiting { len, high_water });
    if let Some(crew) = &entry.crew
        && let Some((flags, budget, children)) = copy(crew, now)
    {
        (node.strategy, node.dynamic) = (Some(flags.strategy), flags.dynamic);
        node.budget = Some(budget);
        node.children = children.into_iter().map(|copied| child(copied, &node.path, entry.pid, now)).collect();
    }
    node
}

fn child(copied: Copied, above: &str, parent: Pid, now: Instant) -> Node {
    let Copied { rule, entry, .. } = copied;
    let status = match &entry {
        Some(entry) if entry.is_told_to_end() => Status::Stopping,
        _ => status(&copied.state, now),
    };
    let mut path = String::with_capacity(above.len() + 1 + rule.id.len());
    path.extend([above, "/", &rule.id]);
    let rules = Rules {
        restart: rule.restart,
        shutdown: rule.shutdown,
        backoff: rule.backoff,
        awaits_init: rule.awaits_init,
        given: copied.given,
        failures: copied.failures,
    };
    let node = Node {
        pid: copied.pid,
        name: rule.id.to_string(),
        role: copied.role.unwrap_or(&rule.id).to_string(),
        kind: rule.kind,
        path,
        parent: Some(parent),
        status,
        restarts: copied.restarts,
        last_exit: copied.last_exit,
        gave_up: copied.cause,
        rules: Some(rules),
        ..Node::default()
    };
    process(node, entry.as_ref(), now)
}

/// `None`: init has not returned.
fn copy(crew: &Crew, now: Instant) -> Option<(Flags, Budget, Vec<Copied>)> {
    let inside = crew.inside();
    let machine: &Machine = inside.machine.as_ref()?;
    let one = |(key, child): (Key, &crate::machine::Child)| {
        let pid = child.pid();
        let member = pid.and_then(|pid| inside.members.get(&pid));
        Copied {
            rule: child.rule.clone(),
            given: key < inside.given,
            role: inside.specs.get(&key).and_then(|spec| spec.role),
            state: child.state.clone(),
            pid,
            restarts: child.restarts,
            failures: child.failures(),
            last_exit: child.last_exit.clone(),
            cause: child.cause.clone(),
            entry: member.map(|member| member.entry.clone()),
        }
    };
    let Flags { intensity: allowed, period, .. } = machine.flags();
    let budget = Budget { used: machine.used(now), allowed, period, ages: machine.ages(now) };
    Some((machine.flags(), budget, machine.children().map(one).collect()))
}

fn status(state: &State, now: Instant) -> Status {
    match state {
        State::Waiting | State::Launching | State::Starting { .. } => Status::Starting,
        State::Running { .. } => Status::Running,
        State::Stopping { .. } => Status::Stopping,
        State::BackingOff { until } => {
            let left = until.saturating_duration_since(now);
            Status::BackingOff { millis: u64::try_from(left.as_millis()).unwrap_or(u64::MAX) }
        }
        State::Stopped => Status::Stopped,
    }
}
