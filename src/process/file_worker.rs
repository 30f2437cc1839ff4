//! Reads blocks for uploads, writes again what the disk refused, and looks at files, on a thread of its own.
//!
//! Parent: `storage_sup`. Restart: permanent. Lost on restart: nothing; queued jobs wait in the session's table, and the job in
//! hand goes back to whoever sent it. It hashes nothing and keeps no state between jobs.

mod keep;
mod prepare;
mod spill;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use scopeguard::ScopeGuard;
use supervisors::{Addr, BlockingProcess, Exit, fault_point};

use super::piece_worker::Job;
use super::{peer, store};
use crate::protocol::{BLOCK_BYTES, BlockRange, PieceIndex};
use crate::rt::blocks::Block;
use crate::rt::files::DiskError;
use crate::tables::{SessionTable, TorrentTable, lock};

pub(crate) use keep::Keep;
pub(crate) use prepare::Name;
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
    Survey(Arc<TorrentTable>),
    /// From `store`, when the check is over: give the files the names that they should have, and reserve room.
    Prepare(Arc<TorrentTable>),
    /// From `store`: files have become whole and should have their own names.
    Name(Name),
    /// From `store`, now and then and when it stops: write down how the torrent stands.
    Keep(Keep),
    /// From `store`, while the disk refuses: has that a chance to change?
    Look(Look),
    /// From `client`, when every piece is finished: cut files that are longer than the torrent says (left over from something else), and
    /// give all of them their own names.
    Trim(Arc<TorrentTable>),
}

/// A read for an upload; the answer goes back through `to`.
pub(crate) struct Read {
    pub(crate) torrent: Arc<TorrentTable>,
    pub(crate) ranges: Vec<BlockRange>,
    pub(crate) to: Addr<peer::Msg>,
}

impl Read {
    /// No blocks: they could not be read.
    fn answer(&mut self, blocks: Vec<Block>) {
        let ranges = std::mem::take(&mut self.ranges);
        let _ = self.to.cast(peer::Msg::Read { ranges, blocks });
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

/// The process body.
pub(crate) fn run(process: &BlockingProcess, session: &SessionTable) -> Exit {
    process.shows(&session.file_jobs.mailbox);
    loop {
        match process.recv(&session.file_jobs.mailbox)? {
            Msg::Write(job) => write(job),
            Msg::Spill(spill) => spill.work(),
            Msg::Read(read) => or_again(session, read, Msg::Read, |read| answer(session, read)),
            Msg::Survey(torrent) => or_again(session, torrent, Msg::Survey, |torrent| survey(torrent)),
            Msg::Prepare(torrent) => or_again(session, torrent, Msg::Prepare, |torrent| prepare::prepare(torrent)),
            Msg::Name(name) => or_again(session, name, Msg::Name, Name::work),
            Msg::Keep(keep) => keep.work(),
            Msg::Look(mut look) => {
                look.found = look.torrent.content.find_again();
                look.free = look.torrent.content.room(look.piece);
            }
            Msg::Trim(torrent) => or_again(session, torrent, Msg::Trim, |torrent| trim(torrent)),
        }
    }
}

/// Does `work` with `load`. If that crashes the worker, `load` is in the queue again.
fn or_again<T>(session: &SessionTable, load: T, message: fn(T) -> Msg, work: impl FnOnce(&mut T)) {
    let mut load = scopeguard::guard(load, |load| session.file_jobs.cast(message(load)));
    work(&mut load);
    ScopeGuard::into_inner(load);
}

fn survey(torrent: &TorrentTable) {
    fault_point!("file_worker.survey");
    torrent.store.cast(look(torrent));
}

fn trim(torrent: &TorrentTable) {
    fault_point!("file_worker.trim");
    let have = lock(&torrent.vault).have().clone();
    let mut lost = Vec::new();
    let trimmed = torrent.content.trim(&have, &mut lost);
    torrent.store.cast(store::Msg::Trimmed { trimmed, lost });
}

/// What may be on disk, and what the last run left. Pieces that it vouches for are not looked at.
fn look(torrent: &TorrentTable) -> store::Msg {
    let losses = torrent.counts.losses.load(Ordering::Acquire);
    // They are told once; the survey that is asked for again after a crash would not hear of them.
    let mut lost = scopeguard::guard(Vec::new(), |lost| torrent.store.cast(store::Msg::Lost { lost }));
    let stamps = match torrent.content.find_names(&mut lost) {
        Ok(stamps) => stamps,
        Err(error) => {
            let lost = ScopeGuard::into_inner(lost);
            return store::Msg::Surveyed { found: Err(error), resumed: None, lost, losses };
        }
    };
    let resumed = keep::load(torrent, &stamps).map(Box::new);
    if let Some((record, _)) = resumed.as_deref() {
        torrent.content.claim(&record.files);
    }
    let known = resumed.as_ref().map(|resumed| &resumed.1.finished);
    let found = torrent.content.survey(&torrent.metainfo, &stamps, known);
    store::Msg::Surveyed { found, resumed, lost: ScopeGuard::into_inner(lost), losses }
}

pub(super) fn write(job: Job) {
    let torrent = job.torrent.clone();
    let Some(whole) = job.whole() else { return };
    fault_point!("file_worker.write", piece = whole.piece);
    let losses = match whole.is_on_disk() {
        // It was read back before it came here.
        true => job.losses,
        false => torrent.counts.losses.load(Ordering::Acquire),
    };
    // Nothing when its blocks are there already.
    let slices: Vec<&[u8]> = whole.blocks.iter().map(|block| &block[..]).collect();
    let written = torrent.content.write(torrent.metainfo.layout.piece_offset(whole.piece), &slices);
    fault_point!("file_worker.written", piece = whole.piece);
    let Some(whole) = job.done() else { return };
    torrent.store.cast(match written {
        Ok(()) => store::Msg::Written { piece: whole.piece, sources: whole.sources, losses },
        Err(error) => store::Msg::NotWritten { whole, error },
    });
}

fn answer(session: &SessionTable, read: &mut Read) {
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
