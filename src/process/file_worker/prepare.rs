//! What is done for a torrent's files before and after their content: names, and room.
//!
//! Part of `file_worker`. Which name a file should have, and how much room, is `content`'s business.

use std::sync::Arc;

use supervisors::fault_point;

use crate::process::store;
use crate::tables::{TorrentTable, lock};

/// Before anything is written. A name that cannot be given now stops nothing: the file is the same under both.
pub(super) fn prepare(torrent: &TorrentTable) {
    fault_point!("file_worker.prepare");
    let have = lock(&torrent.vault).have().clone();
    for error in torrent.content.settle_names(&have) {
        log::warn!("{error}; until then it keeps the name that it has");
    }
    let prepared = if torrent.options.preallocate { torrent.content.reserve(&have) } else { Ok(()) };
    torrent.store.cast(store::Msg::Prepared { prepared });
}

/// Files that have become whole.
pub(crate) struct Name {
    pub(crate) torrent: Arc<TorrentTable>,
    /// Their positions.
    pub(crate) files: Vec<usize>,
}

impl Name {
    /// What is refused is done by `Trim`: nothing is complete before its files have their names.
    pub(super) fn work(&mut self) {
        fault_point!("file_worker.name");
        for file in &self.files {
            if let Err(error) = self.torrent.content.end_file(*file) {
                log::warn!("{error}; that is tried again when everything is complete");
            }
        }
    }
}
