//! Writes blocks of incomplete pieces to their place in the files, so that they take no memory while the others are awaited.
//!
//! Part of `file_worker`. Nothing is known of these blocks: they are hashed when the piece is whole.

use std::sync::Arc;

use supervisors::fault_point;

use crate::process::store;
use crate::protocol::{self, BLOCK_BYTES};
use crate::rt::backlog::Waiting;
use crate::rt::blocks::{Block, Lease};
use crate::tables::{TorrentTable, lock};

/// Blocks on their way to the disk. If a worker crashes with them, they return to their store.
pub(crate) struct Spill {
    torrent: Arc<TorrentTable>,
    /// The blocks, and the memory that is reserved for them.
    load: Option<(protocol::Spill<Block>, Lease)>,
    _waiting: Waiting,
    /// Workers that crashed with it.
    crashes: u32,
}

impl Spill {
    pub(crate) fn new(torrent: Arc<TorrentTable>, spill: protocol::Spill<Block>, lease: Lease, crashes: u32) -> Self {
        let waiting = torrent.session.backlog.add(bytes_of(&spill));
        Self { torrent, load: Some((spill, lease)), _waiting: waiting, crashes }
    }

    pub(super) fn work(mut self) {
        let Some((spill, _)) = &self.load else { return };
        fault_point!("file_worker.spill", piece = spill.piece);
        let begin = self.torrent.metainfo.layout.piece_offset(spill.piece);
        let mut runs = spill.blocks.chunk_by(|(n, _), (next, _)| n + 1 == *next);
        let written = runs.try_for_each(|run| {
            let Some((first, _)) = run.first() else { return Ok(()) };
            // What was given up meanwhile may be there already from somebody else.
            if !lock(&self.torrent.vault).awaits(spill.piece, &spill.token) {
                return Ok(());
            }
            let slices: Vec<&[u8]> = run.iter().map(|(_, block)| &block[..]).collect();
            self.torrent.content.write(begin + u64::from(*first) * u64::from(BLOCK_BYTES), &slices)
        });
        fault_point!("file_worker.spilled", piece = spill.piece);
        let Some((spill, lease)) = self.load.take() else { return };
        self.torrent.store.cast(match written {
            Ok(()) => {
                let blocks = spill.blocks.iter().map(|(n, _)| *n).collect();
                store::Msg::Spilled { piece: spill.piece, blocks, token: spill.token }
            }
            Err(error) => store::Msg::NotSpilled { spill, lease, error },
        });
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Some((spill, lease)) = self.load.take() {
            self.torrent.store.cast(store::Msg::SpillReturned { spill, lease, crashes: self.crashes + 1 });
        }
    }
}

/// What blocks take in memory.
pub(crate) fn bytes_of(spill: &protocol::Spill<Block>) -> u64 {
    spill.blocks.len() as u64 * u64::from(BLOCK_BYTES)
}
