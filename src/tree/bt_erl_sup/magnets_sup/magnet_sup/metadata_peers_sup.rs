//! One `metadata_peer` per connection, added by `metadata`.
//!
//! Strategy: simple_one_for_one. Its children are temporary: whom to call again, and when, is the address book's to say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use supervisors::{ChildSpec, Flags, Restart, SupervisorSpec};

use crate::process::{metadata, metadata_peer};
use crate::tables::{MagnetTable, lock};

/// Its children are temporary and never restarted, so this counts nothing; as in `peers_sup`.
const FLAGS: Flags = Flags::simple_one_for_one().intensity(250, Duration::from_secs(10));

pub(super) fn spec(magnet: &Arc<MagnetTable>) -> ChildSpec {
    let at = magnet.metadata_peers_sup.clone();
    let magnet = magnet.clone();
    ChildSpec::supervisor_at("metadata_peers_sup", at, move || {
        // Whoever was called before is gone now.
        lock(&magnet.book).release_all();
        magnet.metadata.cast(metadata::Msg::PeersUp);
        SupervisorSpec { flags: FLAGS, children: Vec::new() }
    })
}

/// The child that asks the peer at `address`.
pub(crate) fn child(magnet: &Arc<MagnetTable>, address: SocketAddr) -> ChildSpec {
    let magnet = magnet.clone();
    let start = move |process| metadata_peer::run(process, magnet.clone(), address);
    ChildSpec::worker(format!("metadata_peer {address}"), start).role("metadata_peer").restart(Restart::Temporary)
}
