//! The error kernel of a torrent: which pieces are verified and on disk.
//!
//! Parent: `torrent_sup`, first of its children, so that whoever needs it comes and goes with it. Restart: permanent.
//! Lost on restart: nothing that has arrived. Its memory (`protocol::Vault`) is a table that outlives it; the check of what was on
//! disk goes on where it stopped. It opens no file and hashes nothing: workers do.

mod checking;
mod disk;
mod keeping;
mod losing;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use supervisors::{Exit, ExitReason, Process};

use super::piece_worker::{Check, Job};
use super::{client, file_worker, piece_worker};
use crate::content::Loss;
use crate::events::Event;
use crate::protocol::resume::{Resume, Trust};
use crate::protocol::{Bitfield, Evidence, PieceIndex, Put, Spill, Whole};
use crate::rt::blocks::{Block, Lease};
use crate::rt::clock;
use crate::rt::files::DiskError;
use crate::tables::{State, TorrentTable, lock};
use checking::Preparing;
use disk::{Refused, Trial, Work};
use keeping::Keeping;

/// Workers that may crash with a piece before it is thrown away and fetched again.
const MAX_CRASHES: u32 = 3;

/// What the store is told.
pub(crate) enum Msg {
    /// From `client`, when it starts: send `Ready` as soon as the check is over.
    Hello,
    /// From `client`: no block of this piece is to be kept in memory. `lease`: what was reserved for those that are here.
    Spill { piece: PieceIndex, lease: Option<Lease> },
    /// From `peer`: blocks that were asked for have come.
    Landed { piece: PieceIndex, blocks: Vec<(u32, Block)>, source: SocketAddr },
    /// From `piece_worker`: the piece failed its hash. `evidence`: when several sent it, what each of them sent.
    Bad { piece: PieceIndex, sources: Vec<SocketAddr>, evidence: Option<Evidence<SocketAddr>>, bytes: u64 },
    /// From `piece_worker`, during the check: these pieces are on disk and whole, or not. `losses`: what `counts` said when this was asked.
    Checked { good: Vec<PieceIndex>, bad: Vec<PieceIndex>, losses: u64 },
    /// From a dying `piece_worker`: of these nobody knows yet.
    Unchecked { pieces: Vec<PieceIndex> },
    /// From `piece_worker`, during the check: the disk refused to be read, or somebody takes the files away just now.
    NotChecked { piece: PieceIndex, error: DiskError, losses: u64 },
    /// From `file_worker`: the pieces that may be on disk; the others need no check.
    /// `resumed`: what the last run left, and how far it can be believed. `lost`: files that are not as we left them.
    Surveyed { found: Result<Bitfield, DiskError>, resumed: Option<Box<(Resume, Trust)>>, lost: Vec<Loss>, losses: u64 },
    /// From `file_worker`: the files have their names and their room, or the disk refused.
    Prepared { prepared: Result<(), DiskError> },
    /// From `file_worker`: a record for the next run is written, or is not.
    Kept { number: u64, kept: Result<(), Option<DiskError>> },
    /// From `file_worker`, before a record is written: files that are not as we left them.
    Lost { lost: Vec<Loss> },
    /// From `file_worker`: the piece is on disk.
    Written { piece: PieceIndex, sources: Vec<SocketAddr>, losses: u64 },
    /// From `file_worker`: the disk refused.
    NotWritten { whole: Whole<Block, SocketAddr>, error: DiskError },
    /// From `file_worker`: a finished piece could not be read for a peer.
    NotRead { piece: PieceIndex, error: DiskError },
    /// From `file_worker`, answering `Trim`: all files are as we left them, and none is longer than the torrent says; or the disk refused.
    Trimmed { trimmed: Result<(), DiskError>, lost: Vec<Loss> },
    /// From `file_worker`, answering `Look`: whether the folder is the one that it was, and bytes that are free; `None`: nothing may
    /// be written.
    Room { found: Result<(), DiskError>, free: Option<u64> },
    /// From `file_worker`: these blocks of an incomplete piece are on disk.
    Spilled { piece: PieceIndex, blocks: Vec<u32>, token: Arc<()> },
    /// From `file_worker`: the disk refused them.
    NotSpilled { spill: Spill<Block>, lease: Lease, error: DiskError },
    /// From a dying `file_worker`: the blocks it had in hand.
    SpillReturned { spill: Spill<Block>, lease: Lease, crashes: u32 },
    /// From a dying worker: the piece it had in hand.
    Returned { whole: Whole<Block, SocketAddr>, crashes: u32 },
}

struct Store {
    torrent: Arc<TorrentTable>,
    client_waits: bool,
    /// The survey of this incarnation has come; before that an answer to an older question ends no check.
    surveyed: bool,
    to_check: VecDeque<PieceIndex>,
    checking: BTreeSet<PieceIndex>,
    preparing: Preparing,
    /// What the disk refused, to be tried again.
    refused: Refused,
    /// What it had on disk is there no longer: it ends, and the next incarnation looks what is left.
    lost: Option<DiskError>,
    keeping: Keeping,
}

/// The process body.
pub(crate) async fn run(process: Process, torrent: Arc<TorrentTable>) -> Exit {
    let mailbox = torrent.store.mailbox.clone();
    process.shows(&mailbox);
    let mut store = Store {
        torrent: torrent.clone(),
        client_waits: false,
        surveyed: false,
        to_check: VecDeque::new(),
        checking: BTreeSet::new(),
        preparing: Preparing::NotYet,
        refused: Refused::new(),
        lost: None,
        keeping: Keeping::new(clock::since_start()),
    };
    lock(&torrent.vault).reclaim();
    if !torrent.checked.load(Ordering::Acquire) {
        torrent.session.file_jobs.cast(file_worker::Msg::Survey(torrent.clone()));
    }
    let mut inbox = mailbox.stream();
    let mut shutdown = Box::pin(process.shutdown_requested()).fuse();
    let mut stopping = false;
    // Asked to stop, it first hears of the pieces that the workers still hold: they are whole, and would be fetched again. Then it writes
    // down what the next run has to know.
    while !(stopping && (store.waits_for_nobody() || store.has_ended_its_work())) {
        if let Some(error) = store.lost.take() {
            return Err(ExitReason::environment(error));
        }
        let due = store.refused.due().into_iter().chain(store.keeping.due()).min();
        let again = async {
            match due {
                Some(due) => clock::sleep(due.saturating_sub(clock::since_start())).await,
                None => std::future::pending().await,
            }
        };
        futures::select_biased! {
            () = shutdown => stopping = true,
            message = inbox.next() => match message {
                Some(message) => store.handle(message),
                None => return Ok(()),
            },
            () = Box::pin(again).fuse() => {
                store.look_if_due();
                store.keep_if_due();
            }
        }
    }
    Err(ExitReason::Shutdown)
}

impl Store {
    /// The workers are gone, and with them everybody who could end what is in hand; the next ones find it in their queues.
    fn waits_for_nobody(&self) -> bool {
        !self.torrent.session.storage_sup.is_running()
    }

    fn has_ended_its_work(&mut self) -> bool {
        lock(&self.torrent.vault).in_hand().count() <= self.refused.writes() && self.has_kept_the_last()
    }

    fn handle(&mut self, message: Msg) {
        match message {
            Msg::Hello => {
                self.client_waits = true;
                self.answer_client();
            }
            Msg::Landed { piece, blocks, source } => self.landed(piece, blocks, source),
            Msg::Spill { piece, lease } => {
                if let Some(spill) = lock(&self.torrent.vault).spill(piece) {
                    let mut lease = lease.unwrap_or_else(|| self.reserve(&spill));
                    lease.resize(file_worker::bytes_of(&spill));
                    self.spill(spill, lease, 0);
                }
            }
            Msg::Spilled { piece, blocks, token } => {
                let whole = lock(&self.torrent.vault).spilled(piece, &blocks, &token);
                whole.into_iter().for_each(|whole| self.hash(whole, 0));
                self.torrent.client.cast(client::Msg::Spilled);
                self.went_well(&Trial::spill(piece, &token));
            }
            // Given up meanwhile.
            Msg::NotSpilled { spill, error, .. } if !lock(&self.torrent.vault).awaits(spill.piece, &spill.token) => {
                self.lose_if_content_lost(&error);
                self.went_well(&Trial::spill(spill.piece, &spill.token));
            }
            Msg::NotSpilled { spill, lease, error } => self.refused(Work::Spill(spill, lease), &error),
            Msg::SpillReturned { spill, lease, crashes } if crashes < MAX_CRASHES => self.spill(spill, lease, crashes),
            Msg::SpillReturned { spill, .. } => {
                log::error!("blocks of piece {} crashed {MAX_CRASHES} workers; it is fetched again", spill.piece);
                self.give_up(spill.piece);
                self.went_well(&Trial::spill(spill.piece, &spill.token));
            }
            Msg::Bad { piece, sources, evidence, bytes } => {
                self.torrent.counts.wasted.bad.fetch_add(bytes, Ordering::Relaxed);
                // What was read back from a file that somebody took away meanwhile is nobody's fault.
                if lock(&self.torrent.vault).in_hand().any(|held| held == piece) {
                    lock(&self.torrent.vault).failed(piece, evidence);
                    self.torrent.client.cast(client::Msg::Bad { piece, sources });
                } else {
                    self.give_up(piece);
                }
                self.went_well(&Trial::Write(piece));
            }
            Msg::Surveyed { found, resumed, lost, losses } => self.surveyed(found, resumed, &lost, losses),
            // Of files that may not be there any more.
            Msg::Checked { good: pieces, bad: more, losses } if self.is_old(losses) => {
                self.check_again(pieces.into_iter().chain(more));
            }
            Msg::NotChecked { piece, losses, .. } if self.is_old(losses) => self.check_again([piece]),
            Msg::Checked { good, bad, .. } => self.checked(good, &bad),
            Msg::Unchecked { pieces } => self.check_again(pieces),
            Msg::NotChecked { piece, error, .. } => self.refused(Work::Check(piece), &error),
            Msg::Prepared { prepared } => self.prepared(prepared),
            Msg::Kept { number, kept } => self.kept(number, kept),
            Msg::Lost { lost } => self.lose_files(&lost),
            // Perhaps into a file that is not there any more.
            Msg::Written { piece, losses, .. } if self.is_old(losses) => {
                self.give_up(piece);
                self.went_well(&Trial::Write(piece));
            }
            Msg::Written { piece, sources, .. } => {
                self.finish(piece);
                self.name_whole_files(piece);
                self.torrent.client.cast(client::Msg::Finished { piece, sources });
                self.went_well(&Trial::Write(piece));
            }
            Msg::NotWritten { whole, error } => self.refused(Work::Write(whole), &error),
            Msg::NotRead { piece, error } => self.not_read(piece, &error),
            Msg::Trimmed { lost, .. } if !lost.is_empty() => {
                self.lose_files(&lost);
                if self.lost.is_none() {
                    self.torrent.session.file_jobs.cast(file_worker::Msg::Trim(self.torrent.clone()));
                }
            }
            Msg::Trimmed { trimmed: Ok(()), .. } => {
                self.went_well(&Trial::Trim);
                self.torrent.client.cast(client::Msg::Trimmed);
            }
            Msg::Trimmed { trimmed: Err(error), .. } => self.refused(Work::Trim, &error),
            Msg::Room { found: Ok(()), free } => self.looked(free),
            Msg::Room { found: Err(error), .. } => self.lose(&error),
            Msg::Returned { whole, crashes } if crashes < MAX_CRASHES => self.hash(whole, crashes),
            Msg::Returned { whole, .. } => {
                log::error!("piece {} crashed {MAX_CRASHES} workers; it is fetched again", whole.piece);
                self.give_up(whole.piece);
                self.went_well(&Trial::Write(whole.piece));
            }
        }
    }

    fn landed(&mut self, piece: PieceIndex, blocks: Vec<(u32, Block)>, source: SocketAddr) {
        let block_bytes = blocks.first().map_or(0, |(_, block)| block.len() as u64);
        let numbers: Vec<u32> = blocks.iter().map(|(n, _)| *n).collect();
        let (put, doubles) = lock(&self.torrent.vault).put(piece, blocks, source);
        if doubles > 0 {
            self.torrent.counts.wasted.twice.fetch_add(u64::from(doubles) * block_bytes, Ordering::Relaxed);
        }
        match put {
            // The client may not know yet, or not any more.
            Put::Late if lock(&self.torrent.vault).have().get(piece.0) => {
                self.torrent.client.cast(client::Msg::Finished { piece, sources: Vec::new() });
            }
            Put::Late => {}
            Put::Kept => self.torrent.client.cast(client::Msg::Landed { piece, blocks: numbers }),
            Put::Whole(whole) => {
                self.torrent.client.cast(client::Msg::Landed { piece, blocks: numbers });
                self.hash(whole, 0);
            }
            Put::Spill(spill) => {
                // Before the client hears that they are here, and takes them for no longer on their way.
                let lease = self.reserve(&spill);
                self.torrent.client.cast(client::Msg::Landed { piece, blocks: numbers });
                self.spill(spill, lease, 0);
            }
        }
    }

    fn hash(&self, whole: Whole<Block, SocketAddr>, crashes: u32) {
        let job = Job::new(self.torrent.clone(), whole, crashes);
        self.torrent.session.piece_jobs.cast(piece_worker::Msg::Hash(job));
    }

    fn spill(&self, spill: Spill<Block>, lease: Lease, crashes: u32) {
        let job = file_worker::Spill::new(self.torrent.clone(), spill, lease, crashes);
        self.torrent.session.file_jobs.cast(file_worker::Msg::Spill(job));
    }

    fn reserve(&self, spill: &Spill<Block>) -> Lease {
        self.torrent.session.budget.reserve_anyway(file_worker::bytes_of(spill))
    }

    /// What had come of `piece` is lost: it is fetched again.
    fn give_up(&mut self, piece: PieceIndex) {
        self.refused.drop_spills(piece);
        lock(&self.torrent.vault).failed(piece, None);
        self.torrent.client.cast(client::Msg::Dropped { piece });
        self.go_on_if_nothing_is_left();
    }

    /// The piece passed its hash and is on disk: from here on it may be announced and served.
    fn finish(&mut self, piece: PieceIndex) {
        if !lock(&self.torrent.vault).finished(piece) {
            return;
        }
        self.refused.unreadable.remove(&piece);
        if !self.torrent.selection.pieces().get(piece.0) {
            return;
        }
        let counts = &self.torrent.counts;
        counts.pieces_finished.fetch_add(1, Ordering::Relaxed);
        let bytes = u64::from(self.torrent.metainfo.layout.piece_length(piece));
        counts.finished.fetch_add(bytes, Ordering::Relaxed);
        self.changed();
    }

    /// Files of which `piece` was the last get their own names.
    fn name_whole_files(&self, piece: PieceIndex) {
        let files = self.torrent.content.whole_parts(piece, lock(&self.torrent.vault).have());
        if !files.is_empty() {
            let name = file_worker::Name { torrent: self.torrent.clone(), files };
            self.torrent.session.file_jobs.cast(file_worker::Msg::Name(name));
        }
    }

    fn answer_client(&mut self) {
        if self.client_waits && self.torrent.checked.load(Ordering::Acquire) {
            self.client_waits = false;
            let vault = lock(&self.torrent.vault);
            let in_hand: Vec<PieceIndex> = vault.in_hand().collect();
            let ready =
                client::Msg::Ready { have: vault.have().clone(), partials: vault.partials().collect(), in_hand };
            self.torrent.client.cast(ready);
        }
    }
}
