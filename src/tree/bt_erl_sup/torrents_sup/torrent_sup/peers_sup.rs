//! One peer process per connection, added by the client.
//!
//! Strategy: simple_one_for_one. Connections that we made are transient: the network's faults are retried after a back-off and
//! not counted, panics are restarted at once and counted. Connections that came in are temporary: nobody can call back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use supervisors::{Backoff, ChildSpec, Flags, Restart, SupervisorSpec};

use crate::process::{client, peer};
use crate::protocol::Handshake;
use crate::rt::net::Socket;
use crate::tables::{TorrentTable, lock};

/// Enough for every connection of a full torrent to crash once in ten seconds, which costs a run each; when they do so again and
/// again, the fault is not theirs.
const FLAGS: Flags = Flags::simple_one_for_one().intensity(250, Duration::from_secs(10));
/// First soon, because a peer that was of use mostly comes back soon; then doubling. The address book gives up after eight failures.
const REDIAL: Backoff = Backoff {
    first: Duration::from_millis(500),
    cap: Duration::from_secs(60),
    jitter: 0.2,
    reset_after: Duration::from_secs(10),
};

pub(super) fn spec(torrent: &Arc<TorrentTable>) -> ChildSpec {
    let at = torrent.peers_sup.clone();
    let torrent = torrent.clone();
    ChildSpec::supervisor_at("peers_sup", at, move || {
        // Whoever was called before is gone now; the client calls again.
        lock(&torrent.book).release_all();
        torrent.client.cast(client::Msg::PeersUp);
        SupervisorSpec { flags: FLAGS, children: Vec::new() }
    })
}

/// The child for a connection that we make to `address`.
pub(crate) fn outgoing(torrent: &Arc<TorrentTable>, address: SocketAddr) -> ChildSpec {
    let torrent = torrent.clone();
    ChildSpec::worker(format!("peer {address}"), move |process| peer::call(process, torrent.clone(), address))
        .role("peer")
        .restart(Restart::Transient)
        .backoff(REDIAL)
}

/// The child for a connection that came in from `address` and has shaken hands.
pub(crate) fn incoming(
    torrent: &Arc<TorrentTable>,
    socket: Socket,
    address: SocketAddr,
    theirs: Handshake,
) -> ChildSpec {
    let torrent = torrent.clone();
    let socket = Mutex::new(Some(socket));
    ChildSpec::worker(format!("peer {address} in"), move |process| {
        let (torrent, socket) = (torrent.clone(), lock(&socket).take());
        async move {
            match socket {
                Some(socket) => peer::answer(process, torrent, socket, address, theirs).await,
                None => Ok(()),
            }
        }
    })
    .role("peer")
    .restart(Restart::Temporary)
}
