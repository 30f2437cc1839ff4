//! The last events of all trees of this OS process, for who comes late.

use super::{Event, EventKind, covers, root};
use crate::{
    pid::Pid,
    table::{self, lock},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Instant,
};

/// Events kept, of all trees together.
const LENGTH: usize = 4096;

/// An event that costs no allocation to keep.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) seq: u64,
    pub(super) at: Instant,
    pub(super) kind: EventKind,
    pub(super) pid: Pid,
    pub(super) incarnation: u64,
    pub(super) path: Arc<str>,
    pub(super) role: Result<&'static str, Arc<str>>,
    pub(super) root: Pid,
}

impl Kept {
    pub(super) fn event(&self) -> Event {
        let Self { seq, at, kind, pid, incarnation, path, role, .. } = self.clone();
        let role = role.map_or_else(|name| name, Arc::from);
        Event { seq, at, kind, pid, incarnation, path, role }
    }
}

struct History {
    last: u64,
    events: VecDeque<Kept>,
}

static HISTORY: Mutex<History> = Mutex::new(History { last: 0, events: VecDeque::new() });

/// Gives it its number, and shows it to `tell`.
pub(super) fn keep(mut kept: Kept, tell: impl FnOnce(&Kept)) {
    let lost = {
        let mut history = lock(&HISTORY);
        history.last += 1;
        kept.seq = history.last;
        tell(&kept);
        let lost = if history.events.len() >= LENGTH { history.events.pop_front() } else { None };
        history.events.push_back(kept);
        lost
    };
    // It may be the last to hold a path or a reason.
    drop(lost);
}

/// What happened to `under` and all below it, oldest first, also after its end: of the last 4096 events of all trees, those. The
/// path is what counts, so former incarnations are in it.
pub fn history(under: Pid) -> Vec<Event> {
    let live = table::find(under).map(|entry| (root(&entry), entry.path.clone()));
    let at = live.or_else(|| place(under));
    at.map(|(root, path)| below(root, &path).0).unwrap_or_default()
}

/// The number of the last event of all; 0: there was none.
pub(crate) fn last() -> u64 {
    lock(&HISTORY).last
}

/// Root and path of a process that may have ended.
pub(super) fn place(pid: Pid) -> Option<(Pid, Arc<str>)> {
    let history = lock(&HISTORY);
    let kept = history.events.iter().rev().find(|kept| kept.pid == pid)?;
    Some((kept.root, kept.path.clone()))
}

/// And the number of the last event of all.
pub(super) fn below(root: Pid, path: &str) -> (Vec<Event>, u64) {
    let (kept, last) = {
        let history = lock(&HISTORY);
        let ours = history.events.iter().filter(|kept| kept.root == root && covers(path, &kept.path));
        (ours.cloned().collect::<Vec<_>>(), history.last)
    };
    (kept.iter().map(Kept::event).collect(), last)
}
