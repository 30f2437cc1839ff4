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
    /// Bytes of blocks that may be on their way between sockets and disk, over all torrents: two thirds for pieces that come, a
    /// third for what peers are sent. At least 4 MiB or so are of use; more than 64 MiB make no machine faster that we know.
    pub memory_bytes: u64,
    /// Piece workers and file workers, each (1 to 64).
    pub workers: usize,
    /// Files kept open at most.
    pub open_files: usize,
    /// Connections over all torrents, at most.
    pub max_peers: usize,
    /// Bytes per second sent to peers, over all torrents; `None`: as fast as it goes.
    pub upload_limit: Option<u64>,
    /// Bytes per second received from peers, over all torrents; `None`: as fast as it goes.
    pub download_limit: Option<u64>,
    /// The folder for what one run tells the next (finished pieces, totals, good peers); `None`: nothing is kept.
    pub state_dir: Option<PathBuf>,
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
            max_peers: 500,
            upload_limit: None,
            download_limit: None,
            state_dir: None,
        }
    }
}

/// Descriptors that are neither a connection's nor a file's in the pool: the reactor, listeners, trackers, a folder or two per worker.
const OTHER_DESCRIPTORS: u64 = 24;

impl Config {
    /// With as many files and connections at most as `descriptors` are enough for: a quarter for files, so that connections never leave
    /// none for them.
    pub(crate) fn within(mut self, descriptors: u64) -> Self {
        let files = (descriptors / 4).clamp(1, self.open_files.max(1) as u64);
        let peers = descriptors.saturating_sub(files + OTHER_DESCRIPTORS).max(1);
        if peers < self.max_peers as u64 {
            log::warn!("at most {peers} peers, because no more than {descriptors} files may be open (ulimit -n)");
            self.max_peers = peers as usize;
        }
        self.open_files = files as usize;
        self
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
    /// Bytes per second sent to this torrent's peers; `None`: as fast as it goes.
    pub upload_limit: Option<u64>,
    /// Bytes per second received from this torrent's peers; `None`: as fast as it goes.
    pub download_limit: Option<u64>,
    /// Bytes that one peer may get in ten seconds; `None`: as many as it takes.
    pub upload_allowance: Option<u64>,
    /// Peers that are unchoked for what they give us or take from us, at most; `None`: as many as the upload limit bears.
    pub upload_slots: Option<usize>,
    /// Positions of the wanted files in [`Metainfo::files`](crate::Metainfo::files), from 0; `None`: all of them.
    pub wanted_files: Option<Vec<usize>>,
    /// Room for the wanted files is reserved on the disk before the first piece comes, where its file system can do that.
    pub preallocate: bool,
    /// A file that is not whole has `.part` behind its name.
    pub part_names: bool,
    /// Pieces are fetched in their order in the content.
    pub sequential: bool,
    /// Per cent of the wanted pieces from which a block may be asked of two peers (1 to 100); 100: when nothing else is left.
    pub endgame_from: u8,
    /// Exchange addresses with peers (BEP 11); never done for a private torrent (BEP 27).
    pub peer_exchange: bool,
}

impl TorrentOptions {
    /// The usual options with `dir` as the download folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            peers: Vec::new(),
            trackers: true,
            max_peers: 250,
            upload_limit: None,
            download_limit: None,
            upload_allowance: None,
            upload_slots: None,
            wanted_files: None,
            preallocate: false,
            part_names: false,
            sequential: false,
            endgame_from: 100,
            peer_exchange: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_leave_some_for_files_and_many_change_nothing() {
        let within = |descriptors| {
            let config = Config { open_files: 256, max_peers: 500, ..Config::default() }.within(descriptors);
            (config.open_files, config.max_peers)
        };
        assert_eq!([1, 40, 256, 1024, u64::MAX].map(within), [(1, 1), (10, 6), (64, 168), (256, 500), (256, 500)]);
    }
}
