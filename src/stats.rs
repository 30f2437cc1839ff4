//! What a torrent and its connections have moved, and how they stand: figures for people, programs and the choker.
//!
//! The counters are written by the process that their line names and read by anybody at any time, as ETS counters are. They outlive
//! their writers and decide nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::protocol::{PeerId, client_name};
use crate::rt::clock;

/// Memory for blocks between sockets and files, over all torrents of a session; in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlockMemory {
    /// What the session may use.
    pub limit: u64,
    /// What is in use now.
    pub in_use: u64,
    /// The most that was in use at any time.
    pub peak: u64,
}

/// Bytes of blocks that came in vain, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Wasted {
    /// The same block came before, from somebody else.
    pub twice: u64,
    /// It was asked for once, and given up since.
    pub late: u64,
    /// Nobody asked for it.
    pub unrequested: u64,
    /// Its piece failed its hash.
    pub bad: u64,
}

impl Wasted {
    /// All of it, in bytes.
    pub fn total(&self) -> u64 {
        self.twice + self.late + self.unrequested + self.bad
    }
}

/// [`Wasted`] as it grows.
#[derive(Debug, Default)]
pub(crate) struct WastedCounts {
    pub(crate) twice: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) unrequested: AtomicU64,
    pub(crate) bad: AtomicU64,
}

impl WastedCounts {
    pub(crate) fn read(&self) -> Wasted {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Wasted {
            twice: load(&self.twice),
            late: load(&self.late),
            unrequested: load(&self.unrequested),
            bad: load(&self.bad),
        }
    }
}

/// Counters of one connection. Written by its `peer`, but for the rates, which are the `client`'s.
#[derive(Debug)]
pub(crate) struct PeerCounts {
    pub(crate) address: SocketAddr,
    pub(crate) peer_id: PeerId,
    /// The name of its program; better known once its extension handshake has come.
    pub(crate) client: Mutex<String>,
    pub(crate) outgoing: bool,
    pub(crate) since: Duration,
    pub(crate) downloaded: AtomicU64,
    pub(crate) uploaded: AtomicU64,
    pub(crate) wasted: WastedCounts,
    pub(crate) am_choked: AtomicBool,
    pub(crate) am_interested: AtomicBool,
    pub(crate) peer_choked: AtomicBool,
    pub(crate) peer_interested: AtomicBool,
    /// It has let requests of ours go unanswered for too long.
    pub(crate) snubbed: AtomicBool,
    /// Requests of ours that are out.
    pub(crate) requests_out: AtomicU32,
    /// Requests of theirs that wait.
    pub(crate) requests_in: AtomicU32,
    /// Pieces that the other side has.
    pub(crate) pieces: AtomicU32,
    pub(crate) download_rate: AtomicU64,
    pub(crate) upload_rate: AtomicU64,
}

/// How one connection stands. Bytes are bytes of blocks; rates are bytes per second over the last seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerStats {
    /// The other side.
    pub address: SocketAddr,
    /// Its program: what it calls itself (BEP 10), or what its peer id says (BEP 20); the id itself when that is not known.
    pub client: String,
    /// Its peer id as text, odd bytes as dots.
    pub peer_id: String,
    /// True when we called; false when it called us.
    pub outgoing: bool,
    /// Seconds since the connection was made.
    pub connected_secs: f64,
    /// Pieces that it has.
    pub pieces: u32,
    /// Bytes received from it.
    pub downloaded: u64,
    /// Bytes sent to it.
    pub uploaded: u64,
    /// What came from it in vain.
    pub wasted: Wasted,
    /// Bytes per second from it.
    pub download_rate: u64,
    /// Bytes per second to it.
    pub upload_rate: u64,
    /// It chokes us: it answers no requests.
    pub am_choked: bool,
    /// It has a piece that we want.
    pub am_interested: bool,
    /// We choke it.
    pub peer_choked: bool,
    /// It wants a piece that we have.
    pub peer_interested: bool,
    /// It lets our requests go unanswered.
    pub snubbed: bool,
    /// Depth of the pipeline: requests of ours that are out.
    pub requests_out: u32,
    /// Requests of its own that wait to be answered.
    pub requests_in: u32,
}

impl PeerCounts {
    pub(crate) fn new(address: SocketAddr, peer_id: PeerId, outgoing: bool) -> Self {
        Self {
            address,
            client: client_name(&peer_id).into(),
            peer_id,
            outgoing,
            since: clock::since_start(),
            downloaded: AtomicU64::new(0),
            uploaded: AtomicU64::new(0),
            wasted: WastedCounts::default(),
            am_choked: true.into(),
            am_interested: false.into(),
            peer_choked: true.into(),
            peer_interested: false.into(),
            snubbed: false.into(),
            requests_out: AtomicU32::new(0),
            requests_in: AtomicU32::new(0),
            pieces: AtomicU32::new(0),
            download_rate: AtomicU64::new(0),
            upload_rate: AtomicU64::new(0),
        }
    }

    pub(crate) fn read(&self) -> PeerStats {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let small = |n: &AtomicU32| n.load(Ordering::Relaxed);
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        PeerStats {
            address: self.address,
            client: self.client.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            peer_id: self.peer_id.to_string(),
            outgoing: self.outgoing,
            connected_secs: clock::since_start().saturating_sub(self.since).as_secs_f64(),
            pieces: small(&self.pieces),
            downloaded: load(&self.downloaded),
            uploaded: load(&self.uploaded),
            wasted: self.wasted.read(),
            download_rate: load(&self.download_rate),
            upload_rate: load(&self.upload_rate),
            am_choked: is(&self.am_choked),
            am_interested: is(&self.am_interested),
            peer_choked: is(&self.peer_choked),
            peer_interested: is(&self.peer_interested),
            snubbed: is(&self.snubbed),
            requests_out: small(&self.requests_out),
            requests_in: small(&self.requests_in),
        }
    }
}
