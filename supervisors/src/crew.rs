//! A supervisor's children, as everyone may see them, and the promise that none outlives it.
//!
//! The driver writes it, snapshots read it. When the driver has ended, however it ended, [`Crew::end_all`] ends what is left
//! before the supervisor's own exit is reported.

use crate::{
    machine::{KILL_GRACE, Key, Machine, Report, Rule},
    panics,
    pid::Pid,
    reason::ExitReason,
    reports, rt,
    snapshot::Status,
    spec::{ChildSpec, Kind, Shutdown},
    supervisor_ref::{ChildCount, ChildError, ChildInfo, ChildKey, SpecInfo, SupervisorRef},
    table::{Entry, lock},
};
use futures::future::join_all;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};

/// A child's process.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) key: Key,
    pub(crate) entry: Arc<Entry>,
    pub(crate) shutdown: Shutdown,
}

#[derive(Default)]
pub(crate) struct Inside {
    /// `None`: init has not returned.
    pub(crate) machine: Option<Machine>,
    /// Children that init gave; those with higher keys were added.
    pub(crate) given: Key,
    pub(crate) specs: BTreeMap<Key, ChildSpec>,
    pub(crate) members: HashMap<Pid, Member>,
}

#[derive(Default)]
pub(crate) struct Crew {
    inside: Mutex<Inside>,
    /// Where the supervisor is asked things.
    at: OnceLock<SupervisorRef>,
}

impl Crew {
    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        lock(&self.inside)
    }

    /// Of the child `id`, also when the machine has just forgotten it.
    pub(crate) fn rule(&self, id: &str) -> Option<Rule> {
        let inside = self.inside();
        let known = inside.machine.as_ref().and_then(|machine| machine.rule(id));
        let kept = || inside.specs.values().map(|spec| &spec.rule).find(|rule| *rule.id == *id);
        known.or_else(kept).cloned()
    }

    /// Of the child that the report is about.
    pub(crate) fn rule_of(&self, report: &Report) -> Option<Rule> {
        match report {
            Report::Restarting { key, .. } => self.inside().specs.get(key).map(|spec| spec.rule.clone()),
            Report::ChildTerminated { id, .. }
            | Report::StartError { id, .. }
            | Report::ShutdownError { id, .. }
            | Report::ShutdownTimeout { id, .. }
            | Report::Abandoned { id, .. }
            | Report::GaveUp { id, .. } => self.rule(id),
        }
    }

    /// How often the child was started before its present or last process.
    pub(crate) fn incarnation(&self, key: Key) -> u64 {
        let inside = self.inside();
        inside.machine.as_ref().and_then(|machine| machine.child(key)).map_or(0, |child| child.restarts)
    }

    pub(crate) fn set_at(&self, at: &SupervisorRef) {
        // Once: a crew is of one incarnation.
        self.at.set(at.clone()).ok();
    }

    pub(crate) fn at(&self) -> Option<SupervisorRef> {
        self.at.get().cloned()
    }

    pub(crate) fn is_simple(&self) -> bool {
        self.inside().machine.as_ref().is_some_and(Machine::is_simple)
    }

    pub(crate) fn count(&self) -> ChildCount {
        let inside = self.inside();
        let Some(machine) = &inside.machine else {
            return ChildCount::default();
        };
        let mut count = ChildCount::default();
        for (_, child) in machine.children() {
            count.specs += 1;
            count.active += usize::from(child.pid().is_some() && !child.is_restarting());
            count.supervisors += usize::from(child.rule.kind == Kind::Supervisor);
        }
        count.workers = count.specs - count.supervisors;
        if machine.is_simple() {
            count.specs = 1;
        }
        count
    }

    pub(crate) fn spec(&self, child: &ChildKey) -> Result<SpecInfo, ChildError> {
        let inside = self.inside();
        let key = inside.machine.as_ref().and_then(|machine| machine.key(child)).ok_or(ChildError::NotFound)?;
        inside.specs.get(&key).map(SpecInfo::from).ok_or(ChildError::NotFound)
    }

    /// In start order.
    pub(crate) fn which(&self, now: Instant) -> Vec<ChildInfo> {
        let inside = self.inside();
        let Some(machine) = &inside.machine else {
            return Vec::new();
        };
        let info = |(key, child): (Key, &crate::machine::Child)| {
            let pid = child.pid();
            let role = inside.specs.get(&key).and_then(|spec| spec.role);
            let mut info = ChildInfo {
                id: child.rule.id.to_string(),
                role: role.unwrap_or(&child.rule.id).to_string(),
                kind: child.rule.kind,
                pid,
                status: Status::of(&child.state, now),
                restarts: child.restarts,
                last_exit: child.last_exit.clone(),
            };
            let member = pid.and_then(|pid| inside.members.get(&pid));
            if member.is_some_and(|member| member.entry.is_told_to_end()) {
                info.status = Status::Stopping;
            }
            info
        };
        machine.children().map(info).collect()
    }

    /// Ends every child that is left: youngest first, each within its own limit; those of a simple supervisor all at once.
    pub(crate) async fn end_all(&self, supervisor: &Entry) {
        let (mut left, simple) = {
            let inside = self.inside();
            let left: Vec<Member> = inside.members.values().cloned().collect();
            (left, inside.machine.as_ref().is_some_and(Machine::is_simple))
        };
        left.sort_by_key(|member| std::cmp::Reverse(member.key));
        if simple {
            join_all(left.iter().map(|member| end(member, supervisor))).await;
        } else {
            for member in &left {
                end(member, supervisor).await;
            }
        }
        let last = std::mem::take(&mut *self.inside());
        panics::discard(last);
    }
}

async fn end(member: &Member, supervisor: &Entry) {
    let (entry, mut late) = (&member.entry, None);
    match member.shutdown {
        Shutdown::BrutalKill => entry.kill(),
        Shutdown::Timeout(limit) => {
            entry.exit(ExitReason::Shutdown);
            if ended_within(entry, limit).await {
                return;
            }
            entry.kill();
            late = Some(limit);
        }
        Shutdown::Infinity => entry.exit(ExitReason::Shutdown),
    }
    if member.shutdown == Shutdown::Infinity || entry.crew.is_some() {
        entry.ended().await;
    } else if !ended_within(entry, KILL_GRACE).await {
        return reports::abandoned(supervisor, entry);
    }
    if let Some(limit) = late {
        reports::shutdown_timeout(supervisor, entry, limit);
    }
}

async fn ended_within(entry: &Arc<Entry>, limit: Duration) -> bool {
    entry.has_ended() || rt::timeout(limit, entry.ended()).await.is_some()
}
