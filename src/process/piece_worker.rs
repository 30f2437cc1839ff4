//! Checks the SHA-1 of whole pieces and writes those that are right, on a thread of its own.
//!
//! Parent: `storage_sup`. Restart: permanent. Lost on restart: nothing; queued jobs wait in the session's table, and the job in
//! hand goes back to its store. It never talks to a peer and keeps no state between jobs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha1::{Digest, Sha1};
use supervisors::{BlockingProcess, Exit, ExitReason, fault_point};

use super::{client, file_worker, store};
use crate::protocol::{BLOCK_BYTES, PieceIndex, Whole};
use crate::rt::backlog::Waiting;
use crate::rt::blocks::Block;
use crate::rt::files::DiskError;
use crate::tables::{SessionTable, TorrentTable};

/// What a piece worker is asked to do.
pub(crate) enum Msg {
    /// From `store`: a piece has all its blocks. Good ones are written, bad ones are reported to the store.
    Hash(Job),
    /// From `store`: is this piece on disk and whole?
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

/// A piece to be read and hashed. If a worker crashes with it, the store hears that it is not known.
pub(crate) struct Check {
    torrent: Arc<TorrentTable>,
    piece: PieceIndex,
    answered: bool,
}

impl Check {
    pub(crate) fn new(torrent: Arc<TorrentTable>, piece: PieceIndex) -> Self {
        Self { torrent, piece, answered: false }
    }

    fn answer(mut self, checked: Result<bool, DiskError>) {
        self.answered = true;
        let piece = self.piece;
        self.torrent.store.cast(match checked {
            Ok(good) => store::Msg::Checked { piece, good },
            Err(error) => store::Msg::NotChecked { piece, error },
        });
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if !self.answered {
            self.torrent.store.cast(store::Msg::Unchecked { piece: self.piece });
        }
    }
}

/// The process body.
pub(crate) fn run(process: &BlockingProcess, session: &SessionTable) -> Exit {
    process.shows(&session.piece_jobs.mailbox);
    loop {
        match process.recv(&session.piece_jobs.mailbox)? {
            Msg::Hash(job) => hash(job),
            Msg::Check(check) => {
                let checked = check_on_disk(process, &check, session)?;
                check.answer(checked);
            }
        }
    }
}

fn hash(job: Job) {
    let Some(whole) = job.whole() else { return };
    fault_point!("piece_worker.hash", piece = whole.piece);
    let mut sha1 = Sha1::new();
    for block in &whole.blocks {
        sha1.update(&block[..]);
    }
    let found: [u8; 20] = sha1.finalize().into();
    fault_point!("piece_worker.hashed", piece = whole.piece);
    let torrent = job.torrent.clone();
    if torrent.metainfo.hashes.get(whole.piece) == &found {
        let liars = whole.liars(block_hash);
        if !liars.is_empty() {
            torrent.client.cast(client::Msg::Liars { piece: whole.piece, liars });
        }
        // Written at once, by the core that has it in its cache.
        return file_worker::write(job);
    }
    let evidence = whole.evidence(block_hash);
    if let Some(Whole { piece, sources, blocks, .. }) = job.done() {
        let bytes = blocks.iter().map(|b| b.len() as u64).sum();
        drop(blocks);
        torrent.store.cast(store::Msg::Bad { piece, sources, evidence, bytes });
    }
}

fn block_hash(block: &Block) -> [u8; 20] {
    Sha1::digest(&block[..]).into()
}

/// Reads the piece in slices of at most 1 MiB and compares its hash. What is not there, or cannot be read because the disk is bad, is not
/// right; `Err`: it may be, but it may not be read now.
fn check_on_disk(
    process: &BlockingProcess,
    check: &Check,
    session: &SessionTable,
) -> Result<Result<bool, DiskError>, ExitReason> {
    let config = &session.config;
    let slice = (config.memory_bytes / 4 / config.workers.max(1) as u64).clamp(BLOCK_BYTES.into(), 1 << 20) as u32;
    let (torrent, piece) = (&check.torrent, check.piece);
    fault_point!("piece_worker.check", piece = piece);
    let layout = &torrent.metainfo.layout;
    let (offset, length) = (layout.piece_offset(piece), layout.piece_length(piece));
    let mut sha1 = Sha1::new();
    let mut done = 0;
    while done < length {
        process.check()?;
        let now = slice.min(length - done);
        let mut blocks: Vec<Block> = Vec::with_capacity(64);
        let mut left = now;
        while left > 0 {
            let block = session.pool.take(left.min(BLOCK_BYTES) as usize);
            left -= block.len() as u32;
            blocks.push(block);
        }
        match torrent.content.read(offset + u64::from(done), blocks.iter_mut().map(|b| &mut b[..])) {
            Ok(()) => {}
            Err(error) if error.is_refusal() => return Ok(Err(error)),
            Err(_) => return Ok(Ok(false)),
        }
        blocks.iter().for_each(|block| sha1.update(&block[..]));
        done += now;
    }
    torrent.counts.checked.fetch_add(u64::from(length), Ordering::Relaxed);
    let found: [u8; 20] = sha1.finalize().into();
    Ok(Ok(torrent.metainfo.hashes.get(piece) == &found))
}
