//! One per connection: shakes hands, keeps the pipeline of requests full, serves what is asked for, runs the 10-second timer.
//!
//! Parent: `peers_sup`. Restart: transient for connections that we made (after a back-off when the network ended them),
//! temporary for those that came in. Lost on restart: the connection and at most one run that was on its way; finished blocks
//! of it are handed to `store` unless the process panicked. It never touches a file and never decides what to fetch.

mod connection;
mod outbox;
pub(crate) mod shake;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use supervisors::{Exit, ExitReason, Process};

use super::client;
use crate::events::{Event, PeerChange};
use crate::protocol::book::Verdict;
use crate::protocol::{Bitfield, BlockRange, PeerId, PieceIndex, Run};
use crate::rt::blocks::Block;
use crate::rt::clock;
use crate::rt::net::{self, Socket};
use crate::tables::{TorrentTable, lock};

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Wait before an address is called again after a peer said goodbye in order.
const GOODBYE_REST: Duration = Duration::from_secs(60);

/// What a peer process is told. A new connection has a new mailbox: nothing of an old one reaches it.
pub(crate) enum Msg {
    /// From `client`, answering `Joined`: the pieces that we have.
    Welcome { have: Bitfield },
    /// From `client`: fetch this.
    Grant { run: Run },
    /// From `client`: the other side has something that we want, or no longer has.
    Interest { interested: bool },
    /// From `client`, to every peer: `piece` is verified and on disk.
    Finished { piece: PieceIndex },
    /// From `client`: the connection is not wanted.
    Close { reason: &'static str },
    /// From `file_worker`: what was asked of us, in order, 16 KiB a block at most. No ranges: it could not be read.
    Read { ranges: Vec<BlockRange>, blocks: Vec<Block> },
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The network or the other side's machine.
    Environment(String),
    /// The other side broke the protocol.
    Misbehaved(String),
    /// In order; nobody is at fault.
    Goodbye(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Environment(reason) | Self::Misbehaved(reason) | Self::Goodbye(reason)) = self;
        f.write_str(reason)
    }
}

impl<E: std::error::Error> From<E> for End {
    /// Errors of sockets are the environment's; protocol errors are mapped where they arise.
    fn from(error: E) -> Self {
        Self::Environment(error.to_string())
    }
}

/// The body for a connection that we make.
pub(crate) async fn call(process: Process, torrent: Arc<TorrentTable>, address: SocketAddr) -> Exit {
    lock(&torrent.book).calling(address);
    let end = match net::connect(address, CONNECT_LIMIT).await {
        Err(error) => End::Environment(error.to_string()),
        Ok(socket) => match shake::hello(&socket, &torrent).await {
            Err(end) => end,
            Ok(peer_id) => connection::run(&process, &torrent, socket, address, peer_id, true).await,
        },
    };
    log::debug!("peer {address}: {end}");
    match end {
        End::Environment(reason) => match lock(&torrent.book).failed(address) {
            Verdict::Retry => return Err(ExitReason::Environment(reason)),
            Verdict::GiveUp => tell_gone(&torrent, address, format!("{reason}; given up")),
        },
        End::Misbehaved(reason) => torrent.client.cast(client::Msg::Misbehaved { address, reason }),
        End::Goodbye(_) => {}
    }
    lock(&torrent.book).released(address, clock::since_start() + GOODBYE_REST);
    Ok(())
}

/// The body for a connection that came in, its handshake read already by `listener`.
pub(crate) async fn answer(
    process: Process,
    torrent: Arc<TorrentTable>,
    socket: Socket,
    address: SocketAddr,
    peer_id: PeerId,
) -> Exit {
    let end = match shake::answer(&socket, &torrent).await {
        Err(end) => end,
        Ok(()) => connection::run(&process, &torrent, socket, address, peer_id, false).await,
    };
    log::debug!("peer {address}: {end}");
    match end {
        End::Environment(reason) => Err(ExitReason::Environment(reason)),
        End::Misbehaved(reason) => {
            torrent.client.cast(client::Msg::Misbehaved { address, reason });
            Ok(())
        }
        End::Goodbye(_) => Ok(()),
    }
}

fn tell_gone(torrent: &TorrentTable, address: SocketAddr, reason: String) {
    torrent.tell(Event::Peer { address, change: PeerChange::Disconnected { reason } });
}
