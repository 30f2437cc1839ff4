//! From the path of a torrent file to a checked `Metainfo`.
//!
//! Reads at most what a torrent may have, and decides which failure is whose: a file that cannot be read is exit
//! code 1, one that can be read and is no torrent is 65.

use std::path::Path;

use bt_erl::protocol::Metainfo;
use bt_erl::rt::files::{DiskError, DiskFault};
use bt_erl::rt::given;

use super::fault::Fault;

/// Reads and checks the torrent file at `path`. Blocks.
pub(crate) fn load(path: &Path) -> Result<Metainfo, Fault> {
    let bytes = given::read_whole(path, Metainfo::MAX_BYTES).map_err(|error| match error {
        DiskError { fault: DiskFault::TooLarge, path, .. } => {
            Fault::TorrentTooLarge { path, at_most_bytes: Metainfo::MAX_BYTES }
        }
        DiskError { fault: DiskFault::Missing, path, .. } => Fault::NoSuchFile { path },
        DiskError { fault: DiskFault::NotAFile, path, .. } => Fault::NotATorrentFile { path },
        DiskError { fault: DiskFault::Denied, path, .. } => Fault::UnreadableTorrent { path },
        error => Fault::Disk(error),
    })?;
    Metainfo::parse(&bytes).map_err(|reason| Fault::BadTorrent { path: path.to_owned(), reason })
}
