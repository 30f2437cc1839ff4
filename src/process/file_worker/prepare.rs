//! What is done for a torrent's files before and after their content: names, and room.
//!
//! Part of `file_worker`. Which name a file should have, and how much room, is `content`'s business.

use std::sync::Arc;

use supervisors::fault_point;

use super::Msg;
use crate::process::store;
use crate::tables::{TorrentTable, lock};

/// Before anything is written. If a worker crashes with it, it is asked again.
pub(crate) struct Prepare {
    torrent: Arc<TorrentTable>,
    answered: bool,
}

impl Prepare {
    pub(crate) fn new(torrent: Arc<TorrentTable>) -> Self {
        Self { torrent, answered: false }
    }

    /// A name that cannot be given now stops nothing: the file is the same under both.
    pub(super) fn work(mut self) {
        fault_point!("file_worker.prepare");
        let content = &self.torrent.content;
        let have = lock(&self.torrent.vault).have().clone();
        for error in content.settle_names(&have) {
            log::warn!("{error}; until then it keeps the name that it has");
        }
        let prepared = if self.torrent.options.preallocate { content.reserve(&have) } else { Ok(()) };
        self.answered = true;
        self.torrent.store.cast(store::Msg::Prepared { prepared });
    }
}

impl Drop for Prepare {
    fn drop(&mut self) {
        if !self.answered {
            self.torrent.session.file_jobs.cast(Msg::Prepare(Self::new(self.torrent.clone())));
        }
    }
}

/// Files that have become whole. Lost with a worker that crashes with it, and tried again at the latest when everything is whole: nothing
/// is complete before its files have their names.
pub(crate) struct Name {
    pub(crate) torrent: Arc<TorrentTable>,
    /// Their positions.
    pub(crate) files: Vec<usize>,
}

impl Name {
    pub(super) fn work(self) {
        fault_point!("file_worker.name");
        for file in self.files {
            if let Err(error) = self.torrent.content.end(file) {
                log::warn!("{error}; that is tried again when everything is complete");
            }
        }
    }
}
