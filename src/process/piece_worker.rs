//! Checks the SHA-1 of whole pieces and writes those that are right, on a thread of its own.
//!
//! Parent: `storage_sup`. Restart: permanent. Lost on restart: nothing; queued jobs wait in the session's table, and the job in
//! hand goes back to its store. It never talks to a peer and keeps no state between jobs.

mod check;

use std::sync::Arc;

use sha1::{Digest, Sha1};
use supervisors::{BlockingProcess, Exit, fault_point};

use super::{client, file_worker, store};
use crate::protocol::Whole;
use crate::rt::backlog::Waiting;
use crate::rt::blocks::Block;
use crate::rt::files::DiskError;
use crate::tables::{SessionTable, TorrentTable};

pub(crate) use check::Check;

/// What a piece worker is asked to do.
pub(crate) enum Msg {
    /// From `store`: a piece has all its blocks. Good ones are written, bad ones are reported to the store.
    Hash(Job),
    /// From `store`: which of these pieces are on disk and whole? From a `piece_worker`: the rest of that, after its turn.
    Check(Check),
}

/// A whole piece on its way to the disk. If a worker crashes with it, it returns to its store by itself.
pub(crate) struct Job {
    pub(crate) torrent: Arc<TorrentTable>,
    whole: Option<Whole<Block, std::net::SocketAddr>>,
    /// Counted until a worker is done with it, however that ends.
    _waiting: Waiting,
    /// Workers that crashed with it.
    pub(crate) crashes: u32,
}

impl Job {
    pub(crate) fn new(torrent: Arc<TorrentTable>, whole: Whole<Block, std::net::SocketAddr>, crashes: u32) -> Self {
        let bytes = whole.blocks.iter().map(|block| block.len() as u64).sum();
        let waiting = torrent.session.backlog.add(bytes);
        Self { torrent, whole: Some(whole), _waiting: waiting, crashes }
    }

    pub(crate) fn whole(&self) -> Option<&Whole<Block, std::net::SocketAddr>> {
        self.whole.as_ref()
    }

    /// Takes the piece out: the job is done, nothing returns to the store.
    pub(crate) fn done(mut self) -> Option<Whole<Block, std::net::SocketAddr>> {
        self.whole.take()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(whole) = self.whole.take() {
            self.torrent.store.cast(store::Msg::Returned { whole, crashes: self.crashes + 1 });
        }
    }
}

/// The process body.
pub(crate) fn run(process: &BlockingProcess, session: &SessionTable) -> Exit {
    process.shows(&session.piece_jobs.mailbox);
    loop {
        match process.recv(&session.piece_jobs.mailbox)? {
            Msg::Hash(job) => hash(job, session),
            Msg::Check(check) => check.work(process)?,
        }
    }
}

fn hash(job: Job, session: &SessionTable) {
    let Some(whole) = job.whole() else { return };
    fault_point!("piece_worker.hash", piece = whole.piece);
    let torrent = job.torrent.clone();
    let mut sha1 = Sha1::new();
    let each = each_block(&torrent, session, whole, |block| sha1.update(block));
    let found: [u8; 20] = sha1.finalize().into();
    fault_point!("piece_worker.hashed", piece = whole.piece);
    if let Err(error) = each {
        if let Some(whole) = job.done() {
            torrent.store.cast(store::Msg::NotWritten { whole, error });
        }
        return;
    }
    let hashes = |whole: &_| {
        let mut hashes = Vec::new();
        each_block(&torrent, session, whole, |block| hashes.push(Sha1::digest(block).into())).ok()?;
        Some(hashes)
    };
    if torrent.metainfo.hashes.get(whole.piece) == &found {
        let liars = whole.liars(hashes);
        if !liars.is_empty() {
            torrent.client.cast(client::Msg::Liars { piece: whole.piece, liars });
        }
        // Written at once, by the core that has it in its cache; or it is there.
        return file_worker::write(job);
    }
    let evidence = whole.evidence(hashes);
    if let Some(Whole { piece, sources, blocks, .. }) = job.done() {
        drop(blocks);
        let bytes = torrent.metainfo.layout.piece_length(piece).into();
        torrent.store.cast(store::Msg::Bad { piece, sources, evidence, bytes });
    }
}

/// Calls `see` with each block of a piece, in order. A spilled one is read back, one block at a time.
fn each_block(
    torrent: &TorrentTable,
    session: &SessionTable,
    whole: &Whole<Block, std::net::SocketAddr>,
    mut see: impl FnMut(&[u8]),
) -> Result<(), DiskError> {
    whole.blocks.iter().for_each(|block| see(block));
    if whole.is_on_disk() {
        let layout = &torrent.metainfo.layout;
        for range in (0..layout.blocks_in(whole.piece)).map(|n| layout.block(whole.piece, n)) {
            let mut block = session.pool.take(range.length as usize);
            let offset = layout.piece_offset(whole.piece) + u64::from(range.begin);
            torrent.content.read(offset, std::iter::once(&mut block[..]))?;
            see(&block);
        }
    }
    Ok(())
}
