//! Checks the SHA-1 of whole pieces and writes those that are right, on a thread of its own.
//!
//! Parent: `storage_sup`. Restart: permanent. Lost on restart: nothing; queued jobs wait in the session's table, and the jobs in
//! hand go back to their stores. It never talks to a peer and keeps no state between jobs. Pieces that wait when it comes to its queue are
//! hashed side by side: the busier it is, the less each of them costs.

mod check;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha1::{Digest, Sha1};
use supervisors::{BlockingProcess, Exit, Mailbox, fault_point};

use super::{client, file_worker, store};
use crate::protocol::{Lanes, Whole};
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
    /// How often the torrent had lost something when it was handed in.
    pub(crate) losses: u64,
}

impl Job {
    pub(crate) fn new(torrent: Arc<TorrentTable>, whole: Whole<Block, std::net::SocketAddr>, crashes: u32) -> Self {
        let bytes = whole.blocks.iter().map(|block| block.len() as u64).sum();
        let waiting = torrent.session.backlog.add(bytes);
        let losses = torrent.counts.losses.load(Ordering::Acquire);
        Self { torrent, whole: Some(whole), _waiting: waiting, crashes, losses }
    }

    pub(crate) fn whole(&self) -> Option<&Whole<Block, std::net::SocketAddr>> {
        self.whole.as_ref()
    }

    /// True when the two can be hashed side by side: nothing is known against either, and they have the same length.
    fn goes_with(&self, other: &Self) -> bool {
        let length = |job: &Self| {
            let kept = job.whole().filter(|whole| job.crashes == 0 && !whole.is_on_disk());
            kept.map(|whole| job.torrent.metainfo.layout.piece_length(whole.piece))
        };
        length(self).is_some_and(|ours| length(other) == Some(ours))
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
    let mailbox = &session.piece_jobs.mailbox;
    process.shows(mailbox);
    // Back in the queue if what is in hand crashes the worker: it had no part in that.
    let mut next = scopeguard::guard(None, |next: Option<Msg>| {
        next.into_iter().for_each(|message| session.piece_jobs.cast(message));
    });
    loop {
        match next.take().map_or_else(|| process.recv(mailbox), Ok)? {
            Msg::Hash(job) => {
                let mut jobs = vec![job];
                *next = join(&mut jobs, mailbox);
                hash(jobs, session);
            }
            Msg::Check(check) => check.work(process)?,
        }
    }
}

/// Adds the pieces that wait and can be hashed side by side with the first; the first message that is something else comes next. A piece
/// that has crashed a worker goes alone: it takes no others with it again.
fn join(jobs: &mut Vec<Job>, mailbox: &Mailbox<Msg>) -> Option<Msg> {
    while jobs.len() < Lanes::width() && jobs[0].goes_with(&jobs[0]) {
        match mailbox.try_recv()? {
            Msg::Hash(job) if job.goes_with(&jobs[0]) => jobs.push(job),
            other => return Some(other),
        }
    }
    None
}

fn hash(jobs: Vec<Job>, session: &SessionTable) {
    for whole in jobs.iter().filter_map(Job::whole) {
        fault_point!("piece_worker.hash", piece = whole.piece);
    }
    let found: Vec<_> = match &jobs[..] {
        [alone] => vec![hash_alone(alone, session)],
        several => hash_together(several).into_iter().map(Ok).collect(),
    };
    for whole in jobs.iter().filter_map(Job::whole) {
        fault_point!("piece_worker.hashed", piece = whole.piece);
    }
    for (job, found) in jobs.into_iter().zip(found) {
        judge(job, found, session);
    }
}

fn hash_alone(job: &Job, session: &SessionTable) -> Result<[u8; 20], DiskError> {
    let mut sha1 = Sha1::new();
    if let Some(whole) = job.whole() {
        each_block(&job.torrent, session, whole, |block| sha1.update(block))?;
    }
    Ok(sha1.finalize().into())
}

/// All are in memory, and of one length.
fn hash_together(jobs: &[Job]) -> Vec<[u8; 20]> {
    let pieces: Vec<&[Block]> = jobs.iter().map(|job| job.whole().map_or(&[][..], |whole| &whole.blocks)).collect();
    let (mut lanes, mut slices) = (Lanes::new(pieces.len()), Vec::with_capacity(pieces.len()));
    for n in 0..pieces[0].len() {
        slices.clear();
        slices.extend(pieces.iter().map(|blocks| &blocks[n][..]));
        lanes.update(&slices);
    }
    lanes.finish()
}

/// Writes a good piece, and reports a bad one. `found`: its hash; an error: a spilled piece could not be read back.
fn judge(job: Job, found: Result<[u8; 20], DiskError>, session: &SessionTable) {
    let Some(whole) = job.whole() else { return };
    let torrent = job.torrent.clone();
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            if let Some(whole) = job.done() {
                torrent.store.cast(store::Msg::NotWritten { whole, error });
            }
            return;
        }
    };
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
