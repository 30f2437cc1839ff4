//! What is kept of a torrent between two runs: written and read here, on a file worker's thread.
//!
//! Part of `file_worker`. What a record means and how far it is believed is `protocol::resume`'s decision; when one is written is
//! `store`'s. It changes none of the torrent's files.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::process::store;
use crate::protocol::resume::{Resume, Stamp, Trust, unchanged};
use crate::rt::files::{DiskError, StateFile, boot_id};
use crate::rt::wall;
use crate::tables::{TorrentTable, lock};

/// File systems tell times no finer than this, in nanoseconds.
const COARSENESS: u64 = 20_000_000;

/// Writes down how the torrent stands, and sees which files are not as we left them; the answer goes to `store`, also when a worker
/// crashes with it.
pub(crate) struct Keep {
    torrent: Arc<TorrentTable>,
    /// Of all that were asked for, only the newest is written.
    number: u64,
    /// Nothing is written to the torrent's files any more, and there is no time to sync them.
    last: bool,
    kept: Result<(), Option<DiskError>>,
}

impl Keep {
    pub(crate) fn new(torrent: Arc<TorrentTable>, last: bool) -> Self {
        let number = torrent.counts.records.fetch_add(1, Ordering::AcqRel) + 1;
        Self { torrent, number, last, kept: Err(None) }
    }

    pub(super) fn work(mut self) {
        self.kept = self.write();
    }

    /// In this order: how the files stand; what is finished; that is synced; how the files stand now; the record. So whatever is in
    /// the record is on the disk, and a file that changed meanwhile has no stamp and will be hashed.
    fn write(&self) -> Result<(), Option<DiskError>> {
        let torrent = &self.torrent;
        let losses = torrent.counts.losses.load(Ordering::Acquire);
        let Some(file) = state_file(torrent)? else { return Ok(()) };
        let before = self.stamps()?;
        let (have, unsure) = {
            let vault = lock(&torrent.vault);
            let mut unsure = crate::protocol::Bitfield::new(torrent.metainfo.layout.pieces());
            for piece in vault.in_hand() {
                unsure.set(piece.0);
            }
            (vault.have().clone(), unsure)
        };
        // What is being checked again is neither finished nor missing.
        let is_known =
            || torrent.checked.load(Ordering::Acquire) && torrent.counts.losses.load(Ordering::Acquire) == losses;
        if !is_known() {
            return Err(None);
        }
        let boot = if self.last { boot_id() } else { None };
        if boot.is_none() {
            torrent.content.sync_written()?;
        }
        let files = if self.last {
            before
        } else {
            let now = wall::unix_nanos();
            let after = self.stamps()?;
            unchanged(&before, &after, now.saturating_sub(COARSENESS))
        };
        let files = torrent.content.without_doubtful(files);
        let synced = boot.is_none();
        let [uploaded, downloaded] = torrent.counts.totals();
        let peers = lock(&torrent.book).good_peers();
        let info_hash = torrent.metainfo.info_hash;
        let record = Resume { info_hash, have, unsure, files, boot, uploaded, downloaded, peers };
        if torrent.counts.records.load(Ordering::Acquire) == self.number && is_known() {
            file.save(&record.encode(), synced)?;
        }
        Ok(())
    }

    /// How the files stand. The store hears at once of those that are not as we left them: nobody else will. At the end it is enough that
    /// these have no stamp.
    fn stamps(&self) -> Result<Vec<Option<Stamp>>, DiskError> {
        let mut lost = Vec::new();
        let stamps = self.torrent.content.stamps_and_losses(&mut lost);
        if !lost.is_empty() && !self.last {
            self.torrent.store.cast(store::Msg::Lost { lost });
        }
        stamps
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        self.torrent.store.cast(store::Msg::Kept { number: self.number, kept: self.kept.clone() });
    }
}

fn state_file(torrent: &TorrentTable) -> Result<Option<StateFile>, DiskError> {
    let name = format!("{}.resume", torrent.metainfo.info_hash);
    torrent.session.config.state_dir.as_ref().map(|folder| StateFile::open(folder, &name)).transpose()
}

/// What the last run left, and how far it can be believed; `None`: nothing, or nothing of use, which is kept aside.
/// `found`: how the files stand.
pub(super) fn load(torrent: &TorrentTable, found: &[Option<Stamp>]) -> Option<(Resume, Trust)> {
    let layout = &torrent.metainfo.layout;
    let told = |error: &dyn std::fmt::Display| log::warn!("what is on disk is checked in full: {error}");
    let file = state_file(torrent).map_err(|error| told(&error)).ok()??;
    let bytes = file.load(Resume::max_bytes(layout)).map_err(|error| told(&error));
    let record = match bytes {
        Ok(bytes) => Resume::decode(&bytes?, torrent.metainfo.info_hash, layout)
            .map_err(|error| told(&format_args!("{}: {error}", file.path().display()))),
        Err(()) => Err(()),
    };
    let Ok(record) = record else {
        if let Err(error) = file.set_aside() {
            log::warn!("{error}");
        }
        return None;
    };
    let trust = record.trust(layout, found, boot_id().as_deref());
    Some((record, trust))
}
