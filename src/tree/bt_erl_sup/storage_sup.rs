//! Piece workers and file workers, each on a thread of its own.
//!
//! Strategy: one_for_one; workers share nothing but the queues in the session's table, which outlive them all.

use std::sync::Arc;
use std::time::Duration;

use supervisors::{ChildSpec, Flags, Shutdown, SupervisorSpec};

use crate::process::{file_worker, piece_worker};
use crate::tables::SessionTable;

/// A worker's crash costs the time to do one job again; ten a second are not felt. A job that crashes three workers is thrown away by its
/// store, so even several poisoned jobs at once stay below this.
const FLAGS: Flags = Flags::one_for_one().intensity(120, Duration::from_secs(10));
/// A worker looks up between two jobs; the longest job is one read of a whole piece.
const PATIENCE: Shutdown = Shutdown::Timeout(Duration::from_secs(2));

pub(super) fn spec(session: &Arc<SessionTable>) -> ChildSpec {
    let at = session.storage_sup.clone();
    let session = session.clone();
    ChildSpec::supervisor_at("storage_sup", at, move || {
        let workers = 1..=session.config.workers.clamp(1, 64);
        let piece = workers.clone().map(|n| {
            let session = session.clone();
            ChildSpec::blocking(format!("piece_worker {n}"), move |process| piece_worker::run(&process, &session))
                .role("piece_worker")
                .shutdown(PATIENCE)
        });
        let file = workers.map(|n| {
            let session = session.clone();
            ChildSpec::blocking(format!("file_worker {n}"), move |process| file_worker::run(&process, &session))
                .role("file_worker")
                .shutdown(PATIENCE)
        });
        SupervisorSpec { flags: FLAGS, children: piece.chain(file).collect() }
    })
}
