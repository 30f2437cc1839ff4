//! From a magnet link to a torrent: the info dictionary is fetched from peers (BEP 9), which a branch of the tree of its own does.
//!
//! Part of `session`. It starts that branch, waits, and sees to it that the branch ends when nobody waits any more.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use supervisors::{ExitReason, StartError, SupervisorRef};

use super::Session;
use crate::process::metadata;
use crate::protocol::book::Source;
use crate::protocol::{InfoHash, Magnet, Metainfo, MetainfoError};
use crate::rt::{clock, net};
use crate::tables::{MagnetTable, Mail, lock};
use crate::tree::{magnet_sup, trackers_sup};

/// How long a name server may take to find a peer that the link names.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);

/// How the torrent of a magnet link is to be fetched.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Peers to call directly, beside those that the link names.
    pub peers: Vec<SocketAddr>,
    /// Announce to the link's trackers.
    pub trackers: bool,
    /// Give up after so long; `None`: never.
    pub limit: Option<Duration>,
}

impl Default for FetchOptions {
    /// Trackers are asked, and there is no limit.
    fn default() -> Self {
        Self { peers: Vec::new(), trackers: true, limit: None }
    }
}

/// Why the torrent of a magnet link was not fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The link names no tracker and no peer, and none was given.
    NobodyToAsk,
    /// Nobody gave it in time.
    TimedOut {
        /// The limit of the options.
        limit: Duration,
    },
    /// What peers gave has the right hash, and is no torrent that can be downloaded.
    BadTorrent(MetainfoError),
    /// The same link is being fetched in this session already.
    AlreadyFetching(InfoHash),
    /// The session ended before.
    Stopped,
    /// The processes that fetch it crashed again and again: a bug.
    GaveUp(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyToAsk => {
                write!(
                    f,
                    "the magnet link names neither a tracker nor a peer to ask for the torrent; name a peer with -a"
                )
            }
            Self::TimedOut { limit } => {
                write!(f, "no peer gave the torrent of the magnet link within {} s; try again later", limit.as_secs())
            }
            Self::BadTorrent(error) => write!(f, "what the magnet link names cannot be used: {error}"),
            Self::AlreadyFetching(hash) => write!(f, "the magnet link of torrent {hash} is being fetched already"),
            Self::Stopped => write!(f, "stopped before any peer gave the torrent of the magnet link"),
            Self::GaveUp(reason) => write!(f, "fetching the torrent of the magnet link gave up: {reason}"),
        }
    }
}

impl std::error::Error for FetchError {}

/// What `fetch` waits for.
pub(crate) enum Fetched {
    /// From `metadata`: the torrent, or why it can never be one.
    Torrent(Result<Box<Metainfo>, FetchError>),
    /// From the process table: the branch ended.
    Down(ExitReason),
}

/// Ends the branch with whoever waits for it.
struct Wanted(Arc<MagnetTable>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.metadata.cast(metadata::Msg::Unwanted);
    }
}

impl Session {
    /// Fetches what a magnet link names from peers that have it. The torrent's trackers are those of the link. Dropping the future
    /// ends the search.
    pub async fn fetch(&self, magnet: &Magnet, options: FetchOptions) -> Result<Metainfo, FetchError> {
        if let Some(torrent) = lock(&self.table.torrents).get(&magnet.info_hash) {
            return Ok(Metainfo::clone(&torrent.metainfo));
        }
        let trackers = if options.trackers { trackers_sup::announcers(&magnet.trackers) } else { Vec::new() };
        if trackers.is_empty() && magnet.peers.is_empty() && options.peers.is_empty() {
            return Err(FetchError::NobodyToAsk);
        }
        let (answer, answers) = supervisors::mailbox();
        let table = Arc::new(MagnetTable {
            session: self.table.clone(),
            magnet: magnet.clone(),
            book: Default::default(),
            metadata: Mail::new(),
            metadata_peers_sup: SupervisorRef::new(),
            trackers,
            answer: answer.clone(),
            unwanted: AtomicBool::new(false),
        });
        table.metadata.cast(metadata::Msg::Found { addresses: options.peers, source: Source::User });
        let pid = match self.table.magnets_sup.start_child(magnet_sup::spec(&table)).await {
            Ok(pid) => pid,
            Err(StartError::AlreadyStarted(_)) => return Err(FetchError::AlreadyFetching(magnet.info_hash)),
            Err(StartError::NoSupervisor) => return Err(FetchError::Stopped),
            Err(error) => return Err(FetchError::GaveUp(error.to_string())),
        };
        supervisors::monitor(pid, &answer, |down| Fetched::Down(down.reason));
        let wanted = Wanted(table);
        let (limit, mut late) = match options.limit {
            Some(limit) => (limit, clock::sleep(limit).boxed().fuse()),
            None => (Duration::MAX, std::future::pending().boxed().fuse()),
        };
        let mut looked_up = FuturesUnordered::new();
        for peer in &magnet.peers {
            looked_up.push(async move { (peer, net::resolve(&peer.host, peer.port, RESOLVE_LIMIT).await) });
        }
        loop {
            futures::select_biased! {
                fetched = Box::pin(answers.recv()).fuse() => return match fetched {
                    Fetched::Torrent(torrent) => torrent.map(|torrent| *torrent),
                    Fetched::Down(_) if self.table.is_stopping() => Err(FetchError::Stopped),
                    Fetched::Down(ExitReason::Shutdown) => Err(FetchError::Stopped),
                    Fetched::Down(reason) => Err(FetchError::GaveUp(reason.to_string())),
                },
                (peer, addresses) = looked_up.select_next_some() => match addresses {
                    Ok(addresses) => wanted.0.metadata.cast(metadata::Msg::Found { addresses, source: Source::User }),
                    Err(error) => log::warn!("peer {peer} of the magnet link is left out: {error}"),
                },
                () = late => return Err(FetchError::TimedOut { limit }),
            }
        }
    }
}
