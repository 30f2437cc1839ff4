//! Process groups: many processes under one name, as OTP's `pg`.
//!
//! A process may be in many groups, and in one more than once: it has to leave as often as it joined. It leaves all of them when it
//! ends, before any monitor or link tells of it. A group exists while it has members. There is one set of groups in an OS process,
//! for all trees.
//!
//! ```
//! use supervisors::{ChildSpec, groups, start};
//!
//! let system = start(ChildSpec::worker("worker", |_| std::future::pending()));
//! groups::join("workers", system.root()).unwrap();
//! assert_eq!(groups::members("workers"), [system.root()]);
//! ```

use crate::{
    pid::Pid,
    ring::{self, Reader, Ring},
    table,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak},
};

/// Why a process cannot join or leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// The process has ended.
    NoProc,
    /// The process is not in this group.
    NotJoined,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProc => "the process has ended",
            Self::NotJoined => "the process is not in this group",
        })
    }
}

impl std::error::Error for GroupError {}

/// What happens to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This process has joined, once more.
    Joined(Pid),
    /// This process has left once, or has ended: then it comes as often as the process was in the group.
    Left(Pid),
}

#[derive(Default)]
struct Groups {
    /// How often each process is in each group; never zero, and no group is empty.
    members: BTreeMap<Arc<str>, BTreeMap<Pid, usize>>,
    listeners: BTreeMap<Arc<str>, Vec<Weak<Ring<Change>>>>,
}

static GROUPS: RwLock<Groups> = RwLock::new(Groups { members: BTreeMap::new(), listeners: BTreeMap::new() });

fn write() -> RwLockWriteGuard<'static, Groups> {
    GROUPS.write().unwrap_or_else(PoisonError::into_inner)
}

impl Groups {
    fn list(&self, group: &str) -> Vec<Pid> {
        let members = self.members.get(group).into_iter().flatten();
        members.flat_map(|(pid, times)| std::iter::repeat_n(*pid, *times)).collect()
    }

    fn tell(&self, group: &str, change: Change) {
        let listeners = self.listeners.get(group).into_iter().flatten();
        listeners.filter_map(Weak::upgrade).for_each(|ring| ring.push(change, false));
    }

    /// Takes `pid` out as often as it was in.
    fn remove(&mut self, group: &str, pid: Pid) -> usize {
        let Some(members) = self.members.get_mut(group) else {
            return 0;
        };
        let times = members.remove(&pid).unwrap_or_default();
        if members.is_empty() {
            self.members.remove(group);
        }
        times
    }
}

/// `pid` is in `group`, once more. Nobody else has to make the group first.
pub fn join(group: &str, pid: Pid) -> Result<(), GroupError> {
    let entry = table::find(pid).ok_or(GroupError::NoProc)?;
    let mut groups = write();
    let known = groups.members.get_key_value(group).map(|(name, _)| name.clone());
    let name = known.unwrap_or_else(|| group.into());
    if !entry.joins(&name) {
        return Err(GroupError::NoProc);
    }
    *groups.members.entry(name).or_default().entry(pid).or_default() += 1;
    groups.tell(group, Change::Joined(pid));
    Ok(())
}

/// Takes back one [`join`].
pub fn leave(group: &str, pid: Pid) -> Result<(), GroupError> {
    let mut groups = write();
    let members = groups.members.get_mut(group).ok_or(GroupError::NotJoined)?;
    let times = members.get_mut(&pid).ok_or(GroupError::NotJoined)?;
    *times -= 1;
    if *times == 0 {
        groups.remove(group, pid);
        if let Some(entry) = table::find(pid) {
            entry.leaves(group);
        }
    }
    groups.tell(group, Change::Left(pid));
    Ok(())
}

/// Who is in `group`, each as often as it joined, in the order of their start.
pub fn members(group: &str) -> Vec<Pid> {
    GROUPS.read().unwrap_or_else(PoisonError::into_inner).list(group)
}

/// All groups that have members, in alphabetical order.
pub fn which_groups() -> Vec<String> {
    let groups = GROUPS.read().unwrap_or_else(PoisonError::into_inner);
    groups.members.keys().map(ToString::to_string).collect()
}

/// Who is in `group` now, and what happens to it from now on, without a gap.
pub fn monitor(group: &str) -> (Vec<Pid>, Changes) {
    let (ring, reader) = ring::ring(false);
    let members = {
        let mut groups = write();
        groups.listeners.entry(group.into()).or_default().push(Arc::downgrade(&ring));
        groups.list(group)
    };
    let changes = Changes { group: group.into(), ring, reader };
    (members, changes)
}

/// What happens to one group. Dropping it ends that.
pub struct Changes {
    group: Arc<str>,
    ring: Arc<Ring<Change>>,
    reader: Reader<Change>,
}

impl Changes {
    /// The next change, in the order they happened.
    pub async fn recv(&self) -> Change {
        match self.reader.recv().await {
            Some(change) => change,
            // The ring is never closed: not reached.
            None => futures::future::pending().await,
        }
    }

    /// A change that is there already.
    pub fn try_recv(&self) -> Option<Change> {
        self.reader.try_recv()
    }

    /// Changes lost because nobody read them in time: more than 4096 waited.
    pub fn missed(&self) -> u64 {
        self.reader.missed()
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut groups = write();
        if let Some(listeners) = groups.listeners.get_mut(&self.group) {
            listeners.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(&self.ring)));
            if listeners.is_empty() {
                groups.listeners.remove(&self.group);
            }
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Changes(of {})", self.group)
    }
}

/// `pid` has ended.
pub(crate) fn forget(group: &str, pid: Pid) {
    let mut groups = write();
    let times = groups.remove(group, pid);
    (0..times).for_each(|_| groups.tell(group, Change::Left(pid)));
}
