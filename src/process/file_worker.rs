//! Reads blocks for uploads, writes again what the disk refused, and looks at files, on a thread of its own.
//!
//! Parent: `storage_sup`. Restart: permanent. Lost on restart: nothing; queued jobs wait in the session's table, and the job in
//! hand goes back to whoever sent it. It hashes nothing and keeps no state between jobs.

mod keep;
mod prepare;
mod spill;

use std::sync::Arc;

use supervisors::{Addr, BlockingProcess, Exit, fault_point};

use super::piece_worker::Job;
use super::{peer, store};
use crate::protocol::{BLOCK_BYTES, BlockRange, PieceIndex};
use crate::rt::blocks::Block;
use crate::rt::files::DiskError;
use crate::tables::{SessionTable, TorrentTable, lock};

pub(crate) use keep::Keep;
pub(crate) use prepare::{Name, Prepare};
pub(crate) use spill::{Spill, bytes_of};

/// What a file worker is asked to do.
pub(crate) enum Msg {
    /// From `store`: a piece that passed its hash, and that the disk has refused before.
    Write(Job),
    /// From `store`: blocks of an incomplete piece that is not kept in memory.
    Spill(Spill),
    /// From `peer`: blocks that follow each other, to be sent to the other side.
    Read(Read),
    /// From `store`, at its start: make the empty files, see which pieces may be there.
    Survey(Survey),
    /// From `store`, when the check is over: give the files the names that they should have, and reserve room.
    Prepare(Prepare),
    /// From `store`: files have become whole and should have their own names.
    Name(Name),
    /// From `store`, now and then and when it stops: write down how the torrent stands.
    Keep(Keep),
    /// From `store`, while the disk refuses: has that a chance to change?
    Look(Look),
    /// From `client`, when every piece is finished: cut files that are longer than the torrent says (left over from something else), and
    /// give all of them their own names.
    Trim(Trim),
}

/// A read for an upload; the answer goes back through `to`. If a worker crashes with it, it is asked again.
pub(crate) struct Read {
    pub(crate) torrent: Arc<TorrentTable>,
    pub(crate) ranges: Vec<BlockRange>,
    pub(crate) to: Addr<peer::Msg>,
}

impl Read {
    /// No blocks: they could not be read.
    fn answer(mut self, blocks: Vec<Block>) {
        let ranges = std::mem::take(&mut self.ranges);
        let _ = self.to.cast(peer::Msg::Read { ranges, blocks });
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        if !self.ranges.is_empty() {
            let (torrent, to) = (self.torrent.clone(), self.to.clone());
            let again = Self { torrent, ranges: std::mem::take(&mut self.ranges), to };
            self.torrent.session.file_jobs.cast(Msg::Read(again));
        }
    }
}

/// If a worker crashes with it, it is asked again.
pub(crate) struct Survey {
    torrent: Arc<TorrentTable>,
    answered: bool,
}

impl Survey {
    pub(crate) fn new(torrent: Arc<TorrentTable>) -> Self {
        Self { torrent, answered: false }
    }
}

impl Drop for Survey {
    fn drop(&mut self) {
        if !self.answered {
            self.torrent.session.file_jobs.cast(Msg::Survey(Self::new(self.torrent.clone())));
        }
    }
}

/// Looks whether something could be written; answered also when a worker crashes with it.
pub(crate) struct Look {
    torrent: Arc<TorrentTable>,
    /// What is to be written; `None`: something else.
    piece: Option<PieceIndex>,
    found: Result<(), DiskError>,
    free: Option<u64>,
}

impl Look {
    pub(crate) fn new(torrent: Arc<TorrentTable>, piece: Option<PieceIndex>) -> Self {
        Self { torrent, piece, found: Ok(()), free: None }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.torrent.store.cast(store::Msg::Room { found: self.found.clone(), free: self.free });
    }
}

/// If a worker crashes with it, it is asked again.
pub(crate) struct Trim {
    torrent: Arc<TorrentTable>,
    answered: bool,
}

impl Trim {
    pub(crate) fn new(torrent: Arc<TorrentTable>) -> Self {
        Self { torrent, answered: false }
    }
}

impl Drop for Trim {
    fn drop(&mut self) {
        if !self.answered {
            self.torrent.session.file_jobs.cast(Msg::Trim(Self::new(self.torrent.clone())));
        }
    }
}

/// The process body.
pub(crate) fn run(process: &BlockingProcess, session: &SessionTable) -> Exit {
    process.shows(&session.file_jobs.mailbox);
    loop {
        match process.recv(&session.file_jobs.mailbox)? {
            Msg::Write(job) => write(job),
            Msg::Spill(spill) => spill.work(),
            Msg::Read(read) => answer(session, read),
            Msg::Survey(mut survey) => {
                fault_point!("file_worker.survey");
                let torrent = survey.torrent.clone();
                let surveyed = look(&torrent);
                survey.answered = true;
                torrent.store.cast(surveyed);
            }
            Msg::Prepare(prepare) => prepare.work(),
            Msg::Name(name) => name.work(),
            Msg::Keep(keep) => keep.work(),
            Msg::Look(mut look) => {
                look.found = look.torrent.content.find_again();
                look.free = look.torrent.content.room(look.piece);
            }
            Msg::Trim(mut trim) => {
                fault_point!("file_worker.trim");
                let have = lock(&trim.torrent.vault).have().clone();
                let trimmed = trim.torrent.content.trim(&have);
                trim.answered = true;
                trim.torrent.store.cast(store::Msg::Trimmed { trimmed });
            }
        }
    }
}

/// What may be on disk, and what the last run left. Pieces that it vouches for are not looked at.
fn look(torrent: &TorrentTable) -> store::Msg {
    let stamps = match torrent.content.find_names() {
        Ok(stamps) => stamps,
        Err(error) => return store::Msg::Surveyed { found: Err(error), resumed: None },
    };
    let resumed = keep::load(torrent, &stamps).map(Box::new);
    let known = resumed.as_ref().map(|resumed| &resumed.1.finished);
    let found = torrent.content.survey(&torrent.metainfo, &stamps, known);
    store::Msg::Surveyed { found, resumed }
}

pub(super) fn write(job: Job) {
    let torrent = job.torrent.clone();
    let Some(whole) = job.whole() else { return };
    fault_point!("file_worker.write", piece = whole.piece);
    // Nothing when its blocks are there already.
    let slices: Vec<&[u8]> = whole.blocks.iter().map(|block| &block[..]).collect();
    let written = torrent.content.write(torrent.metainfo.layout.piece_offset(whole.piece), &slices);
    fault_point!("file_worker.written", piece = whole.piece);
    let Some(whole) = job.done() else { return };
    torrent.store.cast(match written {
        Ok(()) => store::Msg::Written { piece: whole.piece, sources: whole.sources },
        Err(error) => store::Msg::NotWritten { whole, error },
    });
}

fn answer(session: &SessionTable, read: Read) {
    let Some(first) = read.ranges.first() else { return };
    let piece = first.piece;
    fault_point!("file_worker.read", piece = piece);
    let offset = read.torrent.metainfo.layout.piece_offset(first.piece) + u64::from(first.begin);
    let mut blocks = Vec::with_capacity(read.ranges.len());
    for range in &read.ranges {
        let mut left = range.length;
        while left > 0 {
            let block = session.pool.take(left.min(BLOCK_BYTES) as usize);
            left -= block.len() as u32;
            blocks.push(block);
        }
    }
    match read.torrent.content.read(offset, blocks.iter_mut().map(|b| &mut b[..])) {
        Ok(()) => read.answer(blocks),
        Err(error) => {
            read.torrent.store.cast(store::Msg::NotRead { piece, error });
            read.answer(Vec::new());
        }
    }
}
