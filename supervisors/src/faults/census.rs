//! Who lives in a tree and what its supervisors could still bear: what the monkey looks at before it chooses.
//!
//! Each supervisor's children and budget are of one moment, so a restart is either counted already or its child is still seen.

use crate::{
    glob::glob,
    machine::State,
    pid::Pid,
    rt,
    spec::{Kind, Restart, Strategy},
    table::{self, Entry},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// A child that has a process.
pub(super) struct Kid {
    pub(super) pid: Pid,
    pub(super) path: Arc<str>,
    pub(super) kind: Kind,
    pub(super) restart: Restart,
    /// It is up, and nothing has been asked of it.
    pub(super) idle: bool,
    /// It may be asked to end, and need not.
    pub(super) traps: bool,
    protected: bool,
    /// When it is not restarted, its supervisor may end too.
    pub(super) significant: bool,
}

/// A supervisor that runs, and its children in start order.
pub(super) struct Family {
    pub(super) pid: Pid,
    /// Its own init is done, nothing has been asked of it, and it does not end by itself.
    pub(super) up: bool,
    strategy: Strategy,
    pub(super) intensity: usize,
    /// Restarts that count now.
    pub(super) used: usize,
    pub(super) kids: Vec<Kid>,
    /// Children that are about to be started, and have no process.
    coming: bool,
}

impl Family {
    /// Nobody in it is about to start or to end.
    pub(super) fn is_calm(&self) -> bool {
        self.up && !self.coming && self.kids.iter().all(|kid| kid.idle)
    }
}

/// A whole tree, parents before children.
pub(super) struct Census {
    pub(super) families: Vec<Family>,
    /// Their death would end one that is protected, or the root: themselves, by the strategy of their supervisor, or because
    /// they are significant.
    spared: HashSet<Pid>,
}

impl Census {
    /// `None`: `root` has ended.
    pub(super) fn of(root: Pid) -> Option<Self> {
        let root = table::find(root)?;
        let mut families = Vec::new();
        gather(&root, &mut families);
        let spared = spared(&families);
        Some(Self { families, spared })
    }

    pub(super) fn may_die(&self, kid: &Kid, under: &str, supervisors: bool) -> bool {
        (supervisors || kid.kind != Kind::Supervisor) && !self.spared.contains(&kid.pid) && glob(under, &kid.path)
    }
}

fn gather(supervisor: &Arc<Entry>, families: &mut Vec<Family>) {
    let Some(crew) = &supervisor.crew else {
        return;
    };
    let mut entries = Vec::new();
    {
        let inside = crew.inside();
        let Some(machine) = &inside.machine else {
            // Its init has not returned, or it is about to end.
            return families.push(Family {
                pid: supervisor.pid,
                up: false,
                strategy: Strategy::OneForOne,
                intensity: 0,
                used: 0,
                kids: Vec::new(),
                coming: false,
            });
        };
        let flags = machine.flags();
        let mut kids = Vec::new();
        let mut coming = false;
        for (_, child) in machine.children() {
            coming |= matches!(child.state, State::Waiting | State::Launching);
            let member = child.pid().and_then(|pid| inside.members.get(&pid));
            let Some(entry) = member.map(|member| &member.entry) else {
                continue;
            };
            kids.push(Kid {
                pid: entry.pid,
                path: entry.path.clone(),
                kind: entry.kind,
                restart: child.rule.restart,
                idle: matches!(child.state, State::Running { .. }) && !entry.is_signalled() && !entry.has_ended(),
                traps: entry.traps(),
                protected: entry.is_protected(),
                significant: child.rule.significant,
            });
            entries.push(entry.clone());
        }
        families.push(Family {
            pid: supervisor.pid,
            up: supervisor.is_ready() && !supervisor.is_signalled() && !machine.is_ending(),
            strategy: flags.strategy,
            intensity: flags.intensity as usize,
            used: machine.used(rt::now()),
            kids,
            coming,
        });
    }
    entries.iter().for_each(|entry| gather(entry, families));
}

/// `families`: parents before children.
fn spared(families: &[Family]) -> HashSet<Pid> {
    let by_pid: HashMap<Pid, &Family> = families.iter().map(|family| (family.pid, family)).collect();
    let mut spared = HashSet::new();
    for (place, family) in families.iter().enumerate() {
        let with_family = place == 0 || spared.contains(&family.pid);
        let holds: Vec<bool> = family.kids.iter().map(|kid| holds_protected(kid, &by_pid)).collect();
        for (n, kid) in family.kids.iter().enumerate() {
            let with_it = match family.strategy {
                Strategy::OneForAll => &holds[..],
                Strategy::RestForOne => &holds[n..],
                _ => &holds[n..=n],
            };
            if with_it.contains(&true) || kid.significant && with_family {
                spared.insert(kid.pid);
            }
        }
    }
    spared
}

/// It, or anyone below it.
fn holds_protected(kid: &Kid, by_pid: &HashMap<Pid, &Family>) -> bool {
    let below =
        || by_pid.get(&kid.pid).is_some_and(|family| family.kids.iter().any(|kid| holds_protected(kid, by_pid)));
    kid.protected || below()
}
