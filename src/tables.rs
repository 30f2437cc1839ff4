//! The tables that outlive processes, as public ETS tables outlive their readers: one per session, one per torrent.
//!
//! Wiring (mailboxes whose addresses survive restarts) and what a restarted process re-reads. No rules live here; each part is
//! written by the one process that its line names. Everything else a process knows may be lost with it.

mod magnet;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use supervisors::{Addr, Mailbox, SupervisorRef};

use crate::config::{Config, TorrentOptions};
use crate::content::Content;
use crate::events::{Bus, Event, TrackerOutcome};
use crate::process::{client, file_worker, piece_worker, store, tracker};
use crate::protocol::book::Source;
use crate::protocol::bucket::Throttle;
use crate::protocol::giving::Giving;
use crate::protocol::{Book, InfoHash, Metainfo, PeerId, PeerKey, Selection, Vault};
use crate::rt::backlog::Backlog;
use crate::rt::blocks::{Block, BlockPool, Budget, Shared};
use crate::rt::files::{DiskError, FilePool};
use crate::rt::net::Listener;
use crate::stats::{PeerCounts, WastedCounts};
use crate::tree::{Announced, Announcer};

pub(crate) use self::magnet::MagnetTable;

/// Of the memory for blocks, one part in this many is for what is read from the files.
const READING_SHARE: u64 = 3;
/// Of the memory for blocks, so much may be with the workers before reading pauses: one part in this many. Less, and few pieces wait that
/// could be hashed side by side; more would only wait, and be out of the cores' caches when its turn comes.
const BACKLOG_SHARE: u64 = 3;

/// A mailbox with its address.
pub(crate) struct Mail<M> {
    pub(crate) addr: Addr<M>,
    pub(crate) mailbox: Mailbox<M>,
}

impl<M: Send + 'static> Mail<M> {
    pub(crate) fn new() -> Self {
        let (addr, mailbox) = supervisors::mailbox();
        Self { addr, mailbox }
    }

    /// Sends without waiting. The mailbox lives as long as this table, so there is always somebody to read it.
    pub(crate) fn cast(&self, message: M) {
        let _ = self.addr.cast(message);
    }
}

/// What the processes of one session share.
pub(crate) struct SessionTable {
    pub(crate) config: Config,
    pub(crate) peer_id: PeerId,
    pub(crate) pool: BlockPool,
    /// Of the memory for blocks, what pieces take that come; the rest is `reading`.
    pub(crate) budget: Budget,
    /// What is read from the files, for peers.
    pub(crate) reading: Arc<Shared>,
    /// Whole pieces on their way through the workers; while they are many, peers that fetch do not read.
    pub(crate) backlog: Arc<Backlog>,
    /// Bytes per second from and to peers, over all torrents.
    pub(crate) limits: Limits,
    pub(crate) files: Arc<FilePool>,
    pub(crate) listener: Option<Arc<Listener>>,
    /// Jobs for piece workers; they outlive the workers, so that nothing queued is lost with one.
    pub(crate) piece_jobs: Mail<piece_worker::Msg>,
    /// Jobs for file workers.
    pub(crate) file_jobs: Mail<file_worker::Msg>,
    pub(crate) storage_sup: SupervisorRef,
    pub(crate) torrents_sup: SupervisorRef,
    pub(crate) magnets_sup: SupervisorRef,
    /// Written by `Session`; read by `torrents_sup` and `listener` whenever they start.
    pub(crate) torrents: Mutex<BTreeMap<InfoHash, Arc<TorrentTable>>>,
    pub(crate) events: Bus,
    /// The session's root supervisor.
    pub(crate) root: SupervisorRef,
    pub(crate) stopping: AtomicBool,
    /// Connections that have shaken hands, over all torrents. Written by each `client`.
    peers: AtomicUsize,
    next_key: AtomicU64,
}

impl SessionTable {
    pub(crate) fn new(config: Config, peer_id: PeerId, listener: Option<Arc<Listener>>) -> Arc<Self> {
        Arc::new(Self {
            peer_id,
            pool: BlockPool::default(),
            budget: Budget::new(config.memory_bytes - config.memory_bytes / READING_SHARE),
            reading: Shared::new(config.memory_bytes / READING_SHARE),
            backlog: Backlog::new(config.workers, config.memory_bytes / BACKLOG_SHARE),
            limits: Limits::new(config.download_limit, config.upload_limit),
            files: FilePool::new(config.open_files),
            listener,
            piece_jobs: Mail::new(),
            file_jobs: Mail::new(),
            storage_sup: SupervisorRef::new(),
            torrents_sup: SupervisorRef::new(),
            magnets_sup: SupervisorRef::new(),
            torrents: Mutex::default(),
            events: Bus::default(),
            root: SupervisorRef::new(),
            stopping: AtomicBool::new(false),
            peers: AtomicUsize::new(0),
            next_key: AtomicU64::new(1),
            config,
        })
    }

    /// A key for a new connection, never used before in this session.
    pub(crate) fn next_key(&self) -> PeerKey {
        PeerKey(self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    /// The port that peers may connect to; 0 when nobody listens.
    pub(crate) fn port(&self) -> u16 {
        self.listener.as_ref().map_or(0, |listener| listener.port())
    }

    /// True when there are as many connections as there may be, over all torrents.
    pub(crate) fn is_full(&self) -> bool {
        self.peers.load(Ordering::Relaxed) >= self.config.max_peers
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// How fast peers may be read from and written to; each peer process takes its turn.
pub(crate) struct Limits {
    pub(crate) download: Arc<Throttle>,
    pub(crate) upload: Arc<Throttle>,
}

impl Limits {
    pub(crate) fn new(download: Option<u64>, upload: Option<u64>) -> Self {
        Self { download: Throttle::new(download), upload: Throttle::new(upload) }
    }
}

/// What the processes of one torrent share.
pub(crate) struct TorrentTable {
    pub(crate) session: Arc<SessionTable>,
    /// The first digits of the info hash, 8 or as many as no other torrent of the session has: its name in the tree.
    pub(crate) short_hash: String,
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) options: TorrentOptions,
    pub(crate) content: Content,
    /// The files that are wanted, and their pieces.
    pub(crate) selection: Selection,
    /// Written by `store`: finished pieces and the blocks of incomplete ones.
    pub(crate) vault: Mutex<Vault<Block, SocketAddr>>,
    /// True once the pieces on disk at the start have been checked.
    pub(crate) checked: AtomicBool,
    /// Written by `client` and `peer`: who may be called.
    pub(crate) book: Mutex<Book>,
    pub(crate) counts: Counts,
    /// Written by `peer` and `client`: who is getting what, when there is little to give.
    pub(crate) giving: Mutex<Giving>,
    pub(crate) limits: Limits,
    /// Written by `client`: the connections that have shaken hands.
    pub(crate) peers: Mutex<BTreeMap<PeerKey, Arc<PeerCounts>>>,
    pub(crate) state: Mutex<State>,
    /// Written by `store`: why nothing is asked of peers, while the disk refuses.
    pub(crate) paused: Mutex<Option<Paused>>,
    pub(crate) store: Mail<store::Msg>,
    pub(crate) client: Mail<client::Msg>,
    pub(crate) peers_sup: SupervisorRef,
    pub(crate) trackers: Vec<Announcer>,
}

/// How a torrent stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Hashing what is on disk already.
    Checking,
    /// Pieces are still wanted.
    Downloading,
    /// Every piece is finished; serving.
    Complete,
    /// Cannot go on.
    Failed {
        /// One sentence: what, where, what to do.
        message: String,
    },
}

/// Why a torrent pauses, until the disk takes again what it refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Paused {
    /// A few words: "no space left".
    pub reason: String,
    /// One sentence: what, where, what to do.
    pub message: String,
}

impl Paused {
    pub(crate) fn because(error: &DiskError) -> Self {
        let fault = error.fault.to_string();
        let reason = fault.split(';').next().unwrap_or_default().to_owned();
        Self { reason, message: error.to_string() }
    }
}

/// Numbers of one torrent, for progress and announces. All in bytes unless named otherwise.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) downloaded: AtomicU64,
    pub(crate) uploaded: AtomicU64,
    pub(crate) wasted: WastedCounts,
    pub(crate) checked: AtomicU64,
    /// Of the pieces that are wanted.
    pub(crate) finished: AtomicU64,
    pub(crate) pieces_finished: AtomicU32,
    pub(crate) peers: AtomicU32,
    /// Bytes per second over the last seconds.
    pub(crate) download_rate: AtomicU64,
    pub(crate) upload_rate: AtomicU64,
    /// Peers that we do not choke.
    pub(crate) unchoked: AtomicU32,
    /// Connections that are over and had got a block.
    pub(crate) served: AtomicU32,
    pub(crate) known: AtomicU32,
    /// More of them are welcome. Written by `client`, read by `tracker`.
    pub(crate) needs_peers: AtomicBool,
    /// Blocks sent and received by earlier runs. Written by `store`, once.
    pub(crate) uploaded_before: AtomicU64,
    pub(crate) downloaded_before: AtomicU64,
    pub(crate) resumed: AtomicBool,
    /// Records for the next run that were asked for so far.
    pub(crate) records: AtomicU64,
    /// How often somebody took away what was on disk, so that a check had to begin again. Written by `store`.
    pub(crate) losses: AtomicU64,
}

impl Counts {
    /// Blocks sent and received over all runs, in bytes.
    pub(crate) fn totals(&self) -> [u64; 2] {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        [load(&self.uploaded_before) + load(&self.uploaded), load(&self.downloaded_before) + load(&self.downloaded)]
    }
}

impl TorrentTable {
    /// True when addresses may be exchanged with peers (BEP 11, BEP 27).
    pub(crate) fn exchanges_peers(&self) -> bool {
        self.options.peer_exchange && !self.metainfo.private
    }

    /// True when every wanted piece is finished: we are a seed, or with files left out a partial one (BEP 21).
    pub(crate) fn wants_nothing(&self) -> bool {
        *lock(&self.state) == State::Complete
    }

    /// True when there is no more to give than what those get who have a slot.
    pub(crate) fn upload_is_scarce(&self) -> bool {
        let limited = self.options.upload_limit.or(self.session.config.upload_limit).is_some();
        limited || self.options.upload_slots == Some(0)
    }

    /// So many connections have shaken hands. Only the client calls this.
    pub(crate) fn has_peers(&self, peers: usize) {
        let before = self.counts.peers.swap(peers as u32, Ordering::Relaxed) as usize;
        self.session.peers.fetch_add(peers, Ordering::Relaxed);
        self.session.peers.fetch_sub(before, Ordering::Relaxed);
    }

    pub(crate) fn tell(&self, event: Event) {
        self.session.events.send(event);
    }

    /// The torrent cannot go on; the first reason stands.
    pub(crate) fn fail(&self, message: String) {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Failed { .. }) {
            *state = State::Failed { message: message.clone() };
            drop(state);
            self.tell(Event::Failed { message });
        }
    }
}

/// Tables stay usable when a process panicked while it held one: each change to them is one call on a pure value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Announced for TorrentTable {
    fn session(&self) -> &SessionTable {
        &self.session
    }

    fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash
    }

    fn trackers(&self) -> &[Announcer] {
        &self.trackers
    }
}

impl tracker::Subject for TorrentTable {
    fn totals(&self) -> tracker::Totals {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        // Of everything: who skips files is no seed, and no tracker should believe that (BEP 21).
        let layout = &self.metainfo.layout;
        let left = layout.total_bytes() - layout.bytes_of(lock(&self.vault).have());
        tracker::Totals { uploaded: load(&self.counts.uploaded), downloaded: load(&self.counts.downloaded), left }
    }

    fn needs_peers(&self) -> bool {
        self.counts.needs_peers.load(Ordering::Relaxed)
    }

    fn is_ending(&self) -> bool {
        self.session.is_stopping()
    }

    fn found(&self, addresses: Vec<SocketAddr>) {
        self.client.cast(client::Msg::Found { addresses, source: Source::Tracker });
    }

    fn tell(&self, url: &str, outcome: TrackerOutcome) {
        self.session.events.send(Event::Tracker { url: url.to_owned(), outcome });
    }
}
