//! One `magnet_sup` per magnet link whose torrent is not known yet, added by `Session::fetch`.
//!
//! Strategy: simple_one_for_one; links come and go, and have nothing to do with each other.

pub(crate) mod magnet_sup;

use std::sync::Arc;
use std::time::Duration;

use supervisors::{ChildSpec, Flags, SupervisorSpec};

use crate::tables::SessionTable;

/// Its children are temporary and never restarted, so this counts nothing; it is what a restart would cost if one were.
const FLAGS: Flags = Flags::simple_one_for_one().intensity(20, Duration::from_secs(10));

pub(super) fn spec(session: &Arc<SessionTable>) -> ChildSpec {
    ChildSpec::supervisor_at("magnets_sup", session.magnets_sup.clone(), || SupervisorSpec {
        flags: FLAGS,
        children: Vec::new(),
    })
}
