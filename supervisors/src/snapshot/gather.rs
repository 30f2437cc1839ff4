//! Taking a snapshot: what each supervisor knows is copied under its lock, and put into words after it.

use super::{Budget, Node, Rules, Status, Waiting};
use crate::{
    crew::Crew,
    machine::{Key, Machine, Rule, State},
    pid::Pid,
    reason::ExitReason,
    rt,
    spec::Flags,
    sys,
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

/// What a supervisor knows.
struct Copy {
    flags: Flags,
    ending: bool,
    budget: Budget,
    children: Vec<Copied>,
}

pub(super) fn tree(entry: &Arc<Entry>) -> Node {
    let now = rt::now();
    let status = match entry.is_ready() {
        _ if entry.has_ended() => Status::Stopped,
        true => Status::Running,
        false => Status::Starting,
    };
    let there = status != Status::Stopped;
    let root = Node {
        name: entry.name.to_string(),
        role: entry.role().to_string(),
        kind: entry.kind,
        path: entry.path.to_string(),
        status,
        restarts: entry.incarnation,
        ..Node::default()
    };
    process(root, there.then_some(entry), now)
}

/// Adds what the process itself knows, and its children.
fn process(mut node: Node, entry: Option<&Arc<Entry>>, now: Instant) -> Node {
    let Some(entry) = entry else {
        return node;
    };
    node.pid = Some(entry.pid);
    node.traps_exit = entry.traps();
    node.uptime = Some(now.saturating_duration_since(entry.born));
    node.mailbox = entry.mailbox().map(|(len, high_water)| Waiting { len, high_water });
    (node.polls, node.busy) = (entry.polls(), entry.busy());
    (node.links, node.monitors) = (entry.links(), entry.monitors());
    let mut ends = entry.is_told_to_end() || entry.has_ended();
    match entry.crew.as_ref().map(|crew| copy(crew, now)) {
        Some(Some(copy)) => {
            ends |= copy.ending;
            (node.strategy, node.auto_shutdown) = (Some(copy.flags.strategy), Some(copy.flags.auto_shutdown));
            node.budget = Some(copy.budget);
            node.children = copy.children.into_iter().map(|copied| child(copied, &node.path, entry.pid, now)).collect();
        }
        // It has let go of its children: its exit is about to be told.
        Some(None) => ends |= entry.is_ready(),
        None => {}
    }
    if node.status == Status::Running && sys::port::is_suspended(entry.pid) {
        node.status = Status::Suspended;
    }
    if ends {
        node.status = Status::Stopping;
    }
    node
}

fn child(copied: Copied, above: &str, parent: Pid, now: Instant) -> Node {
    let Copied { rule, entry, .. } = copied;
    let status = Status::of(&copied.state, now);
    let mut path = String::with_capacity(above.len() + 1 + rule.id.len());
    path.extend([above, "/", &rule.id]);
    let rules = Rules {
        restart: rule.restart,
        shutdown: rule.shutdown,
        significant: rule.significant,
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
fn copy(crew: &Crew, now: Instant) -> Option<Copy> {
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
    let (flags, ending) = (machine.flags(), machine.is_ending());
    Some(Copy { flags, ending, budget, children: machine.children().map(one).collect() })
}
