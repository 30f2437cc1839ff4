//! One per connection: shakes hands, keeps the pipeline of requests full, serves what is asked for, runs the 10-second timer.
//!
//! Parent: `peers_sup`. Restart: transient for connections that we made (after a back-off when the network ended them),
//! temporary for those that came in. Lost on restart: the connection and at most one run that was on its way; finished blocks
//! of it are handed to `store` unless the process panicked. It never touches a file and never decides what to fetch.

mod connection;
mod outbox;
pub(crate) mod shake;
mod valve;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use supervisors::{Exit, ExitReason, Process};

use super::client;
use crate::events::{Event, PeerChange};
use crate::protocol::book::Verdict;
use crate::protocol::extension::pex::SwarmPeer;
use crate::protocol::{Bitfield, BlockRange, Handshake, PeerId, PieceIndex, Run};
use crate::rt::blocks::Block;
use crate::rt::clock;
use crate::rt::net::{self, Socket};
use crate::tables::{TorrentTable, lock};

/// How we introduce ourselves (BEP 10).
pub(crate) const CLIENT: &str = concat!("bt-erl ", env!("CARGO_PKG_VERSION"));
/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Wait before an address is called again after a peer said goodbye in order.
const GOODBYE_REST: Duration = Duration::from_secs(60);
/// The same when both sides had everything.
const SEED_REST: Duration = Duration::from_secs(3600);
/// The same when that was ourselves: an address may be somebody else's one day.
const SELF_REST: Duration = Duration::from_secs(24 * 3600);

/// What a peer process is told. A new connection has a new mailbox: nothing of an old one reaches it.
pub(crate) enum Msg {
    /// From `client`, answering `Joined`: the pieces that we have.
    Welcome { have: Bitfield },
    /// From `client`: fetch this.
    Grant { run: Run },
    /// From `client`: the other side has something that we want, or no longer has.
    Interest { interested: bool },
    /// From `client`: serve the other side, or serve it no longer.
    Choke { choked: bool },
    /// From `client`, while we seed: pieces that the other side does best to ask for (BEP 6).
    Suggest { pieces: Vec<PieceIndex> },
    /// From `client`, once a minute when that has changed: who is connected, to be told to a peer that wants to know (BEP 11).
    Swarm { peers: Arc<[SwarmPeer]> },
    /// From `client`: another peer has delivered these blocks.
    Cancel { run: Run },
    /// From `client`, to every peer: `piece` is verified and on disk.
    Finished { piece: PieceIndex },
    /// From `client`, to every peer: we want nothing more.
    Complete,
    /// From `client`: the connection is not wanted.
    Close { reason: &'static str },
    /// From `file_worker`: what was asked of us, in order, 16 KiB a block at most. No blocks: they could not be read.
    Read { ranges: Vec<BlockRange>, blocks: Vec<Block> },
}

/// Whom a connection is with, as its handshake has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    pub(crate) address: SocketAddr,
    pub(crate) peer_id: PeerId,
    /// True when we called; false when it called us.
    pub(crate) outgoing: bool,
    /// It speaks the fast extension (BEP 6).
    pub(crate) fast: bool,
    /// It speaks the extension protocol (BEP 10).
    pub(crate) extended: bool,
}

impl Side {
    pub(crate) fn new(address: SocketAddr, handshake: &Handshake, outgoing: bool) -> Self {
        let (fast, extended) = (handshake.has_fast_extension(), handshake.has_extension_protocol());
        Self { address, peer_id: handshake.peer_id, outgoing, fast, extended }
    }
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
    /// In order: neither side wants anything of the other.
    BothSeed,
    /// The other side is this client.
    Myself,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(reason) | Self::Misbehaved(reason) | Self::Goodbye(reason) => f.write_str(reason),
            Self::Myself => f.write_str("that is this client itself"),
            Self::BothSeed => f.write_str("both sides have everything"),
        }
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
            Ok(theirs) => connection::run(&process, &torrent, socket, Side::new(address, &theirs, true)).await,
        },
    };
    log::debug!("peer {address}: {end}");
    let exit = called(&torrent, address, end);
    torrent.client.cast(client::Msg::Called);
    exit
}

/// What is to become of an address that we called.
fn called(torrent: &TorrentTable, address: SocketAddr, end: End) -> Exit {
    let mut rest = GOODBYE_REST;
    match end {
        End::Environment(reason) => match lock(&torrent.book).failed(address) {
            Verdict::Retry => return Err(ExitReason::Environment(reason)),
            Verdict::GiveUp => tell_gone(torrent, address, format!("{reason}; given up")),
        },
        End::Misbehaved(reason) => torrent.client.cast(client::Msg::Misbehaved { address, reason }),
        End::Goodbye(_) => {}
        End::BothSeed => rest = SEED_REST,
        End::Myself => rest = SELF_REST,
    }
    lock(&torrent.book).released(address, clock::since_start() + rest);
    Ok(())
}

/// The body for a connection that came in, its handshake read already by `listener`.
pub(crate) async fn answer(
    process: Process,
    torrent: Arc<TorrentTable>,
    socket: Socket,
    address: SocketAddr,
    theirs: Handshake,
) -> Exit {
    let end = match shake::answer(&socket, &torrent).await {
        Err(end) => end,
        Ok(()) => connection::run(&process, &torrent, socket, Side::new(address, &theirs, false)).await,
    };
    log::debug!("peer {address}: {end}");
    match end {
        End::Environment(reason) => Err(ExitReason::Environment(reason)),
        End::Misbehaved(reason) => {
            torrent.client.cast(client::Msg::Misbehaved { address, reason });
            Ok(())
        }
        End::Goodbye(_) | End::BothSeed | End::Myself => Ok(()),
    }
}

fn tell_gone(torrent: &TorrentTable, address: SocketAddr, reason: String) {
    torrent.tell(Event::Peer { address, change: PeerChange::Disconnected { reason } });
}
