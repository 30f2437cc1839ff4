//! One `torrent_sup` per torrent, added and removed at run time.
//!
//! Strategy: one_for_one, so that its init can name children: when it is itself restarted, it starts the torrents of the session's table again.

pub(crate) mod torrent_sup;

use std::sync::Arc;
use std::time::Duration;

use supervisors::{ChildSpec, Flags, SupervisorSpec};

use crate::tables::{SessionTable, lock};

/// Counts crashes of torrent supervisors themselves; ten a second are borne, as everywhere. One that gives up is parked and not counted,
/// so no torrent ends the others.
const FLAGS: Flags = Flags::one_for_one().intensity(120, Duration::from_secs(10));

pub(super) fn spec(session: &Arc<SessionTable>) -> ChildSpec {
    let at = session.torrents_sup.clone();
    let session = session.clone();
    ChildSpec::supervisor_at("torrents_sup", at, move || {
        let children = lock(&session.torrents).values().map(torrent_sup::spec).collect();
        SupervisorSpec { flags: FLAGS, children }
    })
}
