//! Pieces that lie on disk: read and hashed, several side by side, in turns of a bounded number of bytes.
//!
//! Part of `piece_worker`. Which pieces these are is `store`'s decision. It writes nothing, and keeps nothing but in its job.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec;

use supervisors::{BlockingProcess, ExitReason, fault_point};

use super::Msg;
use crate::hashing::Batch;
use crate::process::store;
use crate::protocol::{BLOCK_BYTES, Lanes, PieceIndex};
use crate::rt::blocks::{Block, Lease};
use crate::rt::files::DiskError;
use crate::tables::TorrentTable;

/// A worker goes back to its queue after so many bytes, and goes on when what waited there has had its turn.
const TURN_BYTES: u64 = 16 << 20;
/// What a worker reads at once, at most; with little memory less.
const MOST_AT_ONCE: u64 = 1 << 20;

/// Pieces to be read and hashed. If a worker crashes with them, the store hears of which ones nobody knows yet.
pub(crate) struct Check {
    torrent: Arc<TorrentTable>,
    /// How often the torrent had lost something when this was asked: answers to an older question are of no use.
    losses: u64,
    begun: Option<Batch<DiskError>>,
    rest: Peekable<vec::IntoIter<PieceIndex>>,
    good: Vec<PieceIndex>,
    bad: Vec<PieceIndex>,
}

impl Check {
    pub(crate) fn new(torrent: Arc<TorrentTable>, pieces: Vec<PieceIndex>) -> Self {
        let rest = pieces.into_iter().peekable();
        let losses = torrent.counts.losses.load(Ordering::Acquire);
        Self { torrent, losses, begun: None, rest, good: Vec::new(), bad: Vec::new() }
    }

    /// Pieces that make one job: a turn, or as many as are hashed side by side.
    pub(crate) fn pieces_at_once(torrent: &TorrentTable) -> usize {
        let in_a_turn = TURN_BYTES / u64::from(torrent.metainfo.layout.piece_bytes());
        (in_a_turn as usize).max(Lanes::width())
    }

    /// Goes on for a turn. What cannot be read because the disk is bad is not right.
    pub(super) fn work(mut self, process: &BlockingProcess) -> Result<(), ExitReason> {
        let (torrent, (mut memory, _lease), mut done) = (self.torrent.clone(), self.memory(), 0);
        while done < TURN_BYTES {
            process.check()?;
            let Some(batch) = &mut self.begun else {
                self.begun = Batch::next(&torrent.metainfo.layout, &mut self.rest, Lanes::width());
                let Some(batch) = &self.begun else { return Ok(()) };
                for piece in batch.pieces() {
                    fault_point!("piece_worker.check", piece = piece);
                }
                continue;
            };
            done += batch.advance(&mut &torrent.content, &mut memory);
            if batch.is_done() {
                self.end_batch();
            }
        }
        if self.begun.is_some() || self.rest.peek().is_some() {
            self.answer();
            torrent.session.piece_jobs.cast(Msg::Check(self));
        }
        Ok(())
    }

    /// A worker's share, or what those who fetch leave of it; one block at least.
    fn memory(&self) -> (Vec<Block>, Option<Lease>) {
        let session = &self.torrent.session;
        let share = session.config.memory_bytes / 4 / session.config.workers.max(1) as u64;
        let mut blocks = (share.min(MOST_AT_ONCE) / u64::from(BLOCK_BYTES)).max(1);
        let lease = loop {
            let lease = session.budget.try_reserve(blocks * u64::from(BLOCK_BYTES));
            if lease.is_some() || blocks == 1 {
                break lease;
            }
            blocks /= 2;
        };
        ((0..blocks).map(|_| session.pool.take(BLOCK_BYTES as usize)).collect(), lease)
    }

    fn end_batch(&mut self) {
        let torrent = &self.torrent;
        for (piece, hash) in self.begun.take().into_iter().flat_map(Batch::finish) {
            match hash {
                Ok(hash) => {
                    let length = torrent.metainfo.layout.piece_length(piece);
                    torrent.counts.checked.fetch_add(length.into(), Ordering::Relaxed);
                    let right = hash == *torrent.metainfo.hashes.get(piece);
                    if right { &mut self.good } else { &mut self.bad }.push(piece);
                }
                // It was there a moment ago: nobody knows what else of it has gone.
                Err(error) if error.is_refusal() || error.content_lost() => {
                    torrent.store.cast(store::Msg::NotChecked { piece, error, losses: self.losses });
                }
                Err(_) => self.bad.push(piece),
            }
        }
    }

    /// Tells the store what is known.
    fn answer(&mut self) {
        let (good, bad) = (std::mem::take(&mut self.good), std::mem::take(&mut self.bad));
        if !good.is_empty() || !bad.is_empty() {
            self.torrent.store.cast(store::Msg::Checked { good, bad, losses: self.losses });
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.answer();
        let begun = self.begun.iter().flat_map(Batch::pieces);
        let pieces: Vec<PieceIndex> = begun.chain(self.rest.by_ref()).collect();
        if !pieces.is_empty() {
            self.torrent.store.cast(store::Msg::Unchecked { pieces });
        }
    }
}
