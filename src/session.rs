//! The library's front door: a session is a supervision subtree, a torrent is a handle to one of its branches.
//!
//! It starts, adds, asks and stops; everything that happens in between is done by the processes.

mod fetch;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use supervisors::{ChildSpec, Pid, Snapshot, SupervisorRef, System};

use crate::config::{Config, TorrentOptions};
use crate::content::Content;
use crate::events::Events;
use crate::process::client;
use crate::protocol::book::Source;
use crate::protocol::giving::Giving;
use crate::protocol::{InfoHash, Metainfo, PeerId, Selection, SelectionError, Vault};
use crate::rt::files::{DiskError, NewName};
use crate::rt::net::{Listener, NetError};
use crate::rt::{dice, files, spawn};
use crate::stats::{BlockMemory, PeerStats, Wasted};
use crate::tables::{Counts, Limits, Mail, Paused, SessionTable, State, TorrentTable, lock};
use crate::tree::bt_erl_sup::{self, torrents_sup::torrent_sup};
use crate::tree::trackers_sup;

pub(crate) use self::fetch::Fetched;
pub use self::fetch::{FetchError, FetchOptions};

/// A clean end may take this long: trackers hear `stopped`, whole pieces reach the disk.
const STOP_LIMIT: Duration = Duration::from_millis(3900);

/// Torrents, their peers and their disk work, under one root supervisor. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    table: Arc<SessionTable>,
    system: Option<Arc<System>>,
}

/// Why a session or a torrent could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionError {
    /// The port for incoming connections cannot be had.
    Listen(NetError),
    /// The download folder cannot be used.
    Disk(DiskError),
    /// The torrent is in this session already.
    AlreadyAdded(InfoHash),
    /// A wanted file is none of the torrent's.
    Selection(SelectionError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => write!(f, "cannot listen for peers: {error}; choose another port with --port"),
            Self::Disk(error) => error.fmt(f),
            Self::Selection(error) => error.fmt(f),
            Self::AlreadyAdded(hash) => write!(f, "torrent {hash} is in this session already"),
        }
    }
}

impl std::error::Error for SessionError {}

impl Session {
    /// Starts a session with a root of its own.
    pub async fn start(config: Config) -> Result<Self, SessionError> {
        let (mut session, spec) = Self::spec(config)?;
        let system = supervisors::start(spec);
        // However the root ends, whoever waits for events or for a torrent hears of it. Nobody reads this mailbox.
        let (nobody, _) = supervisors::mailbox::<()>();
        let table = session.table.clone();
        supervisors::monitor(system.root(), &nobody, move |_| table.events.close());
        session.system = Some(Arc::new(system));
        Ok(session)
    }

    /// A session to be put into a larger tree: the handle, and the child to start. It runs once its parent has started it.
    pub fn spec(config: Config) -> Result<(Self, ChildSpec), SessionError> {
        let config = config.within(files::raise_open_file_limit());
        let listener = match &config.ports {
            None => None,
            Some(ports) => Some(Arc::new(Listener::bind(config.bind, ports.clone()).map_err(SessionError::Listen)?)),
        };
        let table = SessionTable::new(config, PeerId(dice::new_peer_id()), listener);
        let spec = bt_erl_sup::spec(&table);
        Ok((Self { table, system: None }, spec))
    }

    /// Adds a torrent: what its folder holds already is checked, the rest is fetched, then it is served until it is removed.
    pub async fn add(&self, metainfo: Metainfo, mut options: TorrentOptions) -> Result<Torrent, SessionError> {
        options.max_peers = options.max_peers.min(self.table.config.max_peers);
        let (metainfo, pool) = (Arc::new(metainfo), self.table.files.clone());
        let selection = Selection::new(&metainfo.files, &metainfo.layout, options.wanted_files.as_deref())
            .map_err(SessionError::Selection)?;
        let (described, chosen, dir) = (metainfo.clone(), selection.clone(), options.dir.clone());
        let new = if options.part_names { NewName::Part } else { NewName::Own };
        let content = spawn::blocking(move || Content::open(&described, &chosen, &dir, &pool, new)).await;
        let content = content.map_err(SessionError::Disk)?;
        let hash = metainfo.info_hash;
        let trackers =
            if options.trackers { trackers_sup::announcers(metainfo.trackers.iter().flatten()) } else { Vec::new() };
        let table = {
            let mut torrents = lock(&self.table.torrents);
            if torrents.contains_key(&hash) {
                return Err(SessionError::AlreadyAdded(hash));
            }
            let table = Arc::new(TorrentTable {
                session: self.table.clone(),
                short_hash: hash.short_among(torrents.keys()),
                vault: Vault::new(metainfo.layout.clone()).into(),
                checked: false.into(),
                book: Default::default(),
                counts: Counts::default(),
                giving: Giving::new(metainfo.layout.pieces()).into(),
                limits: Limits::new(options.download_limit, options.upload_limit),
                peers: Default::default(),
                state: State::Checking.into(),
                paused: Default::default(),
                store: Mail::new(),
                client: Mail::new(),
                peers_sup: SupervisorRef::new(),
                trackers,
                content,
                selection,
                metainfo,
                options,
            });
            torrents.insert(hash, table.clone());
            table
        };
        let direct = table.options.peers.clone();
        table.client.cast(client::Msg::Found { addresses: direct, source: Source::User });
        self.table.torrents_sup.cast_start_child(torrent_sup::spec(&table));
        Ok(Torrent { table })
    }

    /// The port that peers may connect to; `None` when the session does not listen.
    pub fn local_port(&self) -> Option<u16> {
        self.table.listener.as_ref().map(|listener| listener.port())
    }

    /// The session's root supervisor; `None` before it has started.
    pub fn pid(&self) -> Option<Pid> {
        self.table.root.pid()
    }

    /// The session's process tree as it stands.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.pid().and_then(supervisors::snapshot)
    }

    /// What blocks on their way between sockets and files take of memory.
    pub fn block_memory(&self) -> BlockMemory {
        let (pool, limit) = (&self.table.pool, self.table.config.memory_bytes);
        BlockMemory { limit, in_use: pool.lent_bytes(), peak: pool.peak_bytes() }
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> Events {
        self.table.events.listen()
    }

    /// Waits until the root supervisor ends by itself (it gave up); for ever otherwise. Only for a session with a root of its own.
    pub async fn gave_up(&self) -> String {
        match &self.system {
            Some(system) => system.wait().await.to_string(),
            None => std::future::pending().await,
        }
    }

    /// Ends the session in order and in at most five seconds. A session inside a larger tree is ended by that tree; this then
    /// only lets go of its tables.
    pub async fn stop(&self) {
        self.table.stopping.store(true, Ordering::Release);
        if let Some(system) = &self.system {
            system.stop(STOP_LIMIT).await;
        }
        let torrents = std::mem::take(&mut *lock(&self.table.torrents));
        spawn::blocking(move || torrents.values().for_each(|torrent| torrent.content.close())).await;
        self.table.events.close();
    }
}

/// One torrent of a session. Cheap to clone.
#[derive(Clone)]
pub struct Torrent {
    table: Arc<TorrentTable>,
}

/// How far a torrent is. Bytes, unless named otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    /// What it is doing.
    #[serde(flatten)]
    pub state: State,
    /// Why it pauses, while the disk refuses.
    pub paused: Option<Paused>,
    /// Pieces of the torrent.
    pub pieces: u32,
    /// Those of them that the wanted files take; all, when all files are wanted.
    pub pieces_wanted: u32,
    /// Wanted pieces, verified and on disk.
    pub pieces_finished: u32,
    /// Size of the content.
    pub bytes_total: u64,
    /// Bytes of the wanted pieces.
    pub bytes_wanted: u64,
    /// Bytes of finished pieces.
    pub bytes_finished: u64,
    /// Bytes looked at so far by the check at the start.
    pub bytes_checked: u64,
    /// Block bytes received since the start, useful or not.
    pub downloaded: u64,
    /// Block bytes sent since the start.
    pub uploaded: u64,
    /// Bytes of blocks sent to peers by earlier runs, where a state folder tells.
    pub uploaded_before: u64,
    /// Bytes of blocks received from peers by earlier runs.
    pub downloaded_before: u64,
    /// Block bytes received in vain, and why.
    pub wasted: Wasted,
    /// Bytes per second that come, over the last seconds.
    pub download_rate: u64,
    /// Bytes per second that go out, over the last seconds.
    pub upload_rate: u64,
    /// Connections that have shaken hands.
    pub peers_connected: u32,
    /// Those of them that we do not choke.
    pub peers_unchoked: u32,
    /// Connections that got at least one block, the ones that are over included.
    pub peers_served: u32,
    /// Addresses known.
    pub peers_known: u32,
    /// Restarts anywhere in the session's tree.
    pub restarts: u64,
}

/// How a torrent's download ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every piece is verified and on disk.
    Complete,
    /// It cannot go on: one sentence says why.
    Failed(String),
    /// The session was stopped before.
    Stopped,
}

impl Torrent {
    /// Its name in the swarm.
    pub fn info_hash(&self) -> InfoHash {
        self.table.metainfo.info_hash
    }

    /// What its torrent file says.
    pub fn metainfo(&self) -> &Metainfo {
        &self.table.metainfo
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let (counts, layout) = (&self.table.counts, &self.table.metainfo.layout);
        let load = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        let served = lock(&self.table.peers).values().filter(|peer| load(&peer.uploaded) > 0).count() as u32;
        Progress {
            state: lock(&self.table.state).clone(),
            paused: lock(&self.table.paused).clone(),
            pieces: layout.pieces(),
            pieces_wanted: self.table.selection.count(),
            pieces_finished: counts.pieces_finished.load(Ordering::Relaxed),
            bytes_total: layout.total_bytes(),
            bytes_wanted: self.table.selection.bytes(),
            bytes_finished: load(&counts.finished),
            bytes_checked: load(&counts.checked).min(layout.total_bytes()),
            downloaded: load(&counts.downloaded),
            uploaded: load(&counts.uploaded),
            uploaded_before: load(&counts.uploaded_before),
            downloaded_before: load(&counts.downloaded_before),
            wasted: counts.wasted.read(),
            download_rate: load(&counts.download_rate),
            upload_rate: load(&counts.upload_rate),
            peers_connected: counts.peers.load(Ordering::Relaxed),
            peers_unchoked: counts.unchoked.load(Ordering::Relaxed),
            peers_served: served + counts.served.load(Ordering::Relaxed),
            peers_known: counts.known.load(Ordering::Relaxed),
            restarts: self.table.session.root.pid().and_then(supervisors::restarts_in_tree).unwrap_or(0),
        }
    }

    /// How each connection stands, in the order in which they were made.
    pub fn peers(&self) -> Vec<PeerStats> {
        lock(&self.table.peers).values().map(|counts| counts.read()).collect()
    }

    /// Tells the torrent where another peer is; it is called at once.
    pub fn add_peer(&self, address: SocketAddr) {
        self.table.client.cast(client::Msg::Found { addresses: vec![address], source: Source::User });
    }

    /// Waits until the torrent is complete, failed, or its session stopped.
    pub async fn wait(&self) -> Outcome {
        let events = self.table.session.events.listen();
        loop {
            match &*lock(&self.table.state) {
                State::Complete => return Outcome::Complete,
                State::Failed { message } => return Outcome::Failed(message.clone()),
                State::Checking | State::Downloading => {}
            }
            // Whatever the event is, the state says what matters: events can be lost, it cannot.
            if events.recv().await.is_none() {
                return Outcome::Stopped;
            }
        }
    }
}
