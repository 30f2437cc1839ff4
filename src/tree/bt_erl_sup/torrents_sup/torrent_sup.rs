//! One torrent: store, client, trackers, peers, in this order, because each needs the one before it.
//!
//! Strategy: rest_for_one. When the store goes, everybody's view of what is finished goes; when a peer goes, nobody else notices.

pub(crate) mod peers_sup;
pub(crate) mod trackers_sup;

use std::sync::Arc;
use std::time::Duration;

use supervisors::{Backoff, ChildSpec, Flags, Shutdown, SupervisorSpec};

use crate::process::{client, store};
use crate::tables::TorrentTable;

/// A restart of the client costs a reconnect to every peer, some milliseconds each where peers are near; ten a second still leave nine
/// tenths of the speed (docs/performance.md). More than that is a bug that restarts do not cure.
const FLAGS: Flags = Flags::rest_for_one().intensity(60, Duration::from_secs(5));
/// A torrent that gave up is parked: tried again after a second, then ever more rarely, never counted against the others.
const PARKED: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(600),
    jitter: 0.2,
    reset_after: Duration::from_secs(600),
};
/// Long enough for the workers to finish the pieces that they hold.
const DRAIN: Shutdown = Shutdown::Timeout(Duration::from_millis(1000));

pub(crate) fn spec(torrent: &Arc<TorrentTable>) -> ChildSpec {
    let id = format!("torrent_sup {}", torrent.short_hash);
    let torrent = torrent.clone();
    ChildSpec::supervisor(id, move || {
        let (for_store, for_client) = (torrent.clone(), torrent.clone());
        SupervisorSpec {
            flags: FLAGS,
            children: vec![
                ChildSpec::worker("store", move |process| store::run(process, for_store.clone()))
                    .trap_exit()
                    .shutdown(DRAIN),
                ChildSpec::worker("client", move |process| client::run(process, for_client.clone())).awaits_init(),
                trackers_sup::spec(&torrent),
                peers_sup::spec(&torrent),
            ],
        }
    })
    .role("torrent_sup")
    .backoff(PARKED)
}
