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

/// Files that have become whole. If a worker crashes with it, it is asked again.
pub(crate) struct Name {
    torrent: Arc<TorrentTable>,
    /// Their positions.
    files: Vec<usize>,
}

impl Name {
    pub(crate) fn new(torrent: Arc<TorrentTable>, files: Vec<usize>) -> Self {
        Self { torrent, files }
    }

    /// What is refused is done by `Trim`: nothing is complete before its files have their names.
    pub(super) fn work(mut self) {
        fault_point!("file_worker.name");
        for file in std::mem::take(&mut self.files) {
            if let Err(error) = self.torrent.content.end(file) {
                log::warn!("{error}; that is tried again when everything is complete");
            }
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.files.is_empty() {
            let again = Self { torrent: self.torrent.clone(), files: std::mem::take(&mut self.files) };
            self.torrent.session.file_jobs.cast(Msg::Name(again));
        }
    }
}
