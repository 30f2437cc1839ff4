//! What ties a process to others: links, monitors on it, and its monitors on others. All are gone when it has ended.

use super::{Entry, OnExit, find, lock};
use crate::{monitor::Down, panics, pid::Pid, reason::ExitReason};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

#[derive(Default)]
pub(super) struct Ties {
    links: BTreeSet<Pid>,
    /// By monitor, in the order made.
    monitors: BTreeMap<u64, OnExit>,
    /// Whom it monitors, by monitor.
    watched: BTreeMap<u64, Pid>,
}

/// Never the same twice.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Ties {
    /// `entry` has ended with `reason`: everyone hears it, with no lock held.
    pub(super) fn cut(self, entry: &Arc<Entry>, reason: &ExitReason) {
        let pid = entry.pid;
        for (id, other) in self.watched {
            if let Some(other) = find(other) {
                panics::discard(other.forget_monitor(id));
            }
        }
        for f in self.monitors.into_values() {
            let reason = reason.clone();
            if let Err(fault) = panics::catch(move || f(Down { pid, reason })) {
                log::error!(target: "sasl", "a monitor of {} {pid} {fault}", entry.path);
            }
        }
        for other in self.links.into_iter().filter_map(find) {
            // `false`: unlinked in between.
            if lock(&other.life).ties.links.remove(&pid) {
                other.signal(pid, reason.clone());
            }
        }
    }
}

impl Entry {
    /// `Err`: one of the two has ended.
    pub(crate) fn link(&self, other: &Self) -> Result<(), Pid> {
        let (low, high) = if self.pid < other.pid { (self, other) } else { (other, self) };
        // Always in this order: two processes that link to each other at once do not wait for each other.
        let (mut one, mut two) = (lock(&low.life), lock(&high.life));
        if one.ended.is_some() || two.ended.is_some() {
            return Err(if one.ended.is_some() { low.pid } else { high.pid });
        }
        one.ties.links.insert(high.pid);
        two.ties.links.insert(low.pid);
        Ok(())
    }

    pub(crate) fn unlink(&self, other: &Self) {
        let (low, high) = if self.pid < other.pid { (self, other) } else { (other, self) };
        let (mut one, mut two) = (lock(&low.life), lock(&high.life));
        one.ties.links.remove(&high.pid);
        two.ties.links.remove(&low.pid);
    }

    /// `other` has ended, and may be about to tell.
    pub(crate) fn unlink_ended(&self, other: Pid) {
        lock(&self.life).ties.links.remove(&other);
    }

    /// In the order of their start.
    pub(crate) fn links(&self) -> Vec<Pid> {
        lock(&self.life).ties.links.iter().copied().collect()
    }

    /// Processes that it monitors, one for each monitor.
    pub(crate) fn monitors(&self) -> Vec<Pid> {
        lock(&self.life).ties.watched.values().copied().collect()
    }

    /// Its monitor `id` is on `other`. `false`: it has ended.
    pub(crate) fn watches(&self, id: u64, other: Pid) -> bool {
        let mut life = lock(&self.life);
        if life.ended.is_none() {
            life.ties.watched.insert(id, other);
        }
        life.ended.is_none()
    }

    pub(crate) fn watches_no_more(&self, id: u64) {
        lock(&self.life).ties.watched.remove(&id);
    }

    /// Calls `f` when the process ends; `Err` gives `f` back with the reason: it has ended.
    pub(crate) fn on_exit(&self, id: u64, f: OnExit) -> Result<(), (OnExit, ExitReason)> {
        let mut life = lock(&self.life);
        match &life.ended {
            Some(reason) => Err((f, reason.clone())),
            None => {
                life.ties.monitors.insert(id, f);
                Ok(())
            }
        }
    }

    pub(crate) fn forget_monitor(&self, id: u64) -> Option<OnExit> {
        lock(&self.life).ties.monitors.remove(&id)
    }

    /// Resolves when its exit has been reported.
    pub(crate) async fn ended(self: &Arc<Self>) -> ExitReason {
        /// Who no longer waits leaves nothing behind.
        struct Waiting<'a>(&'a Entry, u64);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                drop(self.0.forget_monitor(self.1));
            }
        }
        let waiting = Waiting(self, next_id());
        let (tell, told) = futures::channel::oneshot::channel();
        let f = Box::new(move |down: Down| drop(tell.send(down.reason)));
        match self.on_exit(waiting.1, f) {
            Ok(()) => told.await.unwrap_or(ExitReason::NoProc),
            Err((_, reason)) => reason,
        }
    }
}
