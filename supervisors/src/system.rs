//! The root of a tree: starting it, watching it, stopping it.

use crate::{
    events, panics,
    pid::Pid,
    process,
    reason::ExitReason,
    rt, slots,
    snapshot::Snapshot,
    spec::ChildSpec,
    table::{self, Entry},
};
use std::{fmt, sync::Arc, time::Duration};

/// A tree that was started. Dropping it leaves the tree running.
#[derive(Clone)]
pub struct System {
    entry: Arc<Entry>,
}

/// Starts `root`, and bastion when it does not run yet. Several roots may live in one OS process. A root that ends is not
/// restarted: see [`System::wait`].
pub fn start(root: ChildSpec) -> System {
    panics::install();
    let entry = Entry::new(&root, 0, None, None);
    events::started(&entry);
    if slots::init() {
        process::launch(entry.clone(), root.start);
    } else {
        entry.finish(ExitReason::error("bastion did not start"));
    }
    System { entry }
}

impl System {
    /// Of the root process.
    pub fn root(&self) -> Pid {
        self.entry.pid
    }

    /// The tree now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.entry)
    }

    /// Ends the tree in order: children before parents, the youngest first. What is left after `limit` is killed, all at
    /// once. Returns the root's exit reason.
    pub async fn stop(&self, limit: Duration) -> ExitReason {
        /// For the killed to be dropped; what still runs then blocks its thread.
        const LAST: Duration = Duration::from_secs(1);
        self.entry.exit(ExitReason::Shutdown);
        if let Some(reason) = rt::timeout(limit, self.entry.ended()).await {
            return reason;
        }
        let snapshot = self.snapshot();
        let pids = snapshot.nodes().filter_map(|node| node.pid);
        pids.filter_map(table::find).for_each(|entry| entry.kill());
        let reason = rt::timeout(LAST, self.entry.ended()).await;
        reason.unwrap_or(ExitReason::Killed)
    }

    /// Waits until the root has ended.
    pub async fn wait(&self) -> ExitReason {
        self.entry.ended().await
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System({} {})", self.entry.path, self.entry.pid)
    }
}
