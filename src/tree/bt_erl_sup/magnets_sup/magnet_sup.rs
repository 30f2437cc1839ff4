//! One magnet link: what has come of the info dictionary, trackers, peers, in this order, because each needs the one before it.
//!
//! Strategy: rest_for_one. It ends by itself with `metadata`, which is significant: then the torrent is known, or nobody wants it.

pub(crate) mod metadata_peers_sup;

use std::sync::Arc;
use std::time::Duration;

use supervisors::{AutoShutdown, ChildSpec, Flags, Restart, SupervisorSpec};

use crate::process::metadata;
use crate::tables::MagnetTable;
use crate::tree::trackers_sup;

/// A crash of `metadata` costs what has come, mostly some tens of kilobytes, and a reconnect to each peer. Who cannot get through in
/// twenty of them within five seconds never will, and whoever waits for the torrent hears so.
const FLAGS: Flags =
    Flags::rest_for_one().intensity(20, Duration::from_secs(5)).auto_shutdown(AutoShutdown::AnySignificant);

pub(crate) fn spec(magnet: &Arc<MagnetTable>) -> ChildSpec {
    let id = format!("magnet_sup {}", magnet.magnet.info_hash);
    let magnet = magnet.clone();
    ChildSpec::supervisor(id, move || {
        let for_metadata = magnet.clone();
        SupervisorSpec {
            flags: FLAGS,
            children: vec![
                ChildSpec::worker("metadata", move |process| metadata::run(process, for_metadata.clone()))
                    .restart(Restart::Transient)
                    .significant(),
                trackers_sup::spec(&magnet),
                metadata_peers_sup::spec(&magnet),
            ],
        }
    })
    .role("magnet_sup")
    .restart(Restart::Temporary)
}
