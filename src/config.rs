//! What a session and a torrent are started with.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

pub use crate::rt::net::BindTo;

/// What a session is started with. `Config::default()` suits a desktop.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the session's root supervisor in the process tree.
    pub name: String,
    /// Which of this machine's addresses peers may connect to.
    pub bind: BindTo,
    /// The first free port of these is taken for incoming connections; 0 lets the system choose. `None`: no incoming connections.
    pub ports: Option<RangeInclusive<u16>>,
    /// Bytes of blocks that may be on their way from the sockets to the disk, over all torrents.
    pub memory_bytes: u64,
    /// Piece workers and file workers, each (1 to 64).
    pub workers: usize,
    /// Files kept open at most.
    pub open_files: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "bt_erl_sup".to_owned(),
            bind: BindTo::Any,
            ports: Some(6881..=6889),
            memory_bytes: 64 << 20,
            workers: std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 16)),
            open_files: 256,
        }
    }
}

/// How one torrent is to be run.
#[derive(Debug, Clone)]
pub struct TorrentOptions {
    /// The download folder; made if it is not there.
    pub dir: PathBuf,
    /// Peers to call directly.
    pub peers: Vec<SocketAddr>,
    /// Announce to the torrent's trackers.
    pub trackers: bool,
    /// Peers connected at once, at most.
    pub max_peers: usize,
}

impl TorrentOptions {
    /// The usual options with `dir` as the download folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), peers: Vec::new(), trackers: true, max_peers: 250 }
    }
}
