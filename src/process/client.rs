//! One per torrent: holds the have and want ordsets, grants runs to peers, and broadcasts `finished`.
//!
//! Parent: `torrent_sup`, after `store`. Restart: permanent. Lost on restart: who is connected (peers_sup comes back after it and
//! calls again) and which blocks were on their way; have, want and the blocks that arrived are read again from `store`.
//! It touches no socket, no file and no block; what to grant is `protocol::Picker`'s decision, whom to call `protocol::Book`'s.

mod calls;
mod choking;
mod connections;
mod exchange;
mod runs;
mod turnover;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use supervisors::{Addr, Down, Exit, Pid, Process};

use super::{file_worker, peer, store, tracker};
use crate::events::{Event, PeerChange};
use crate::protocol::book::{Fault, Source};
use crate::protocol::crowd::Crowd;
use crate::protocol::suggest::Suggestions;
use crate::protocol::{Ask, Bitfield, Grant, Handshake, Layout, PeerKey, Picker, Picking, PieceIndex, Pieces, Run};
use crate::rt::blocks::Lease;
use crate::rt::clock::{self, Alarm};
use crate::rt::dice;
use crate::rt::net::Socket;
use crate::stats::PeerCounts;
use crate::tables::{State, TorrentTable, lock};
use crate::tree::peers_sup;

use self::calls::Due;
use self::choking::{Choking, Rates};

/// Calls and back-offs under way at once, beside the connections there are.
const MAX_CALLING: usize = 60;

/// Messages handled in a row.
const TURN: usize = 64;

/// What the client is told.
pub(crate) enum Msg {
    /// From `store`, answering `Hello`: what is there already. `in_hand`: whole pieces that the workers still hold.
    Ready { have: Bitfield, partials: Vec<(PieceIndex, Bitfield)>, in_hand: Vec<PieceIndex> },
    /// From `store`: `piece` passed its SHA-1 check and is on disk.
    Finished { piece: PieceIndex, sources: Vec<SocketAddr> },
    /// From `store`: `piece` failed its SHA-1 check; `sources` sent its blocks.
    Bad { piece: PieceIndex, sources: Vec<SocketAddr> },
    /// From `piece_worker`: now that `piece` has passed, these are known to have sent wrong blocks of it before.
    Liars { piece: PieceIndex, liars: Vec<SocketAddr> },
    /// From `store`: every file is exactly as long as the torrent says.
    Trimmed,
    /// From `store`: the disk refused `piece` and there is no memory to keep it, or it cannot be hashed: it is fetched again.
    Dropped { piece: PieceIndex },
    /// From `store`: blocks of a spilled piece have left memory.
    Spilled,
    /// From `store`: the disk takes again what it refused; grants may go on.
    DiskWorks,
    /// From `peers_sup`, when it starts: no address is held by a process; call.
    PeersUp,
    /// From `peer`: connected and shaken hands; answered by `Welcome` or `Close`.
    Joined(Joined),
    /// From `store`: these blocks have come and are kept. From the store, so that it cannot overtake `Bad` or be overtaken.
    Landed { piece: PieceIndex, blocks: Vec<u32> },
    /// From `peer`: the other side has these pieces, and no others.
    Bitfield { key: PeerKey, pieces: Bitfield },
    /// From `peer`: the other side has these pieces too; all that one read of its socket brought.
    Has { key: PeerKey, pieces: Vec<PieceIndex> },
    /// From `peer`: the other side has these pieces no longer.
    Lost { key: PeerKey, piece: PieceIndex },
    /// From `peer`: the other side would like to be asked for this piece (BEP 6).
    Suggested { key: PeerKey, piece: PieceIndex },
    /// From `peer`: the other side answers for this piece even while it chokes us (BEP 6).
    AllowedFast { key: PeerKey, piece: PieceIndex },
    /// From `peer`: the other side has become interested, or is no longer.
    Interested { key: PeerKey },
    /// From `peer`: the other side accepts connections at this address.
    Listens { key: PeerKey, address: SocketAddr },
    /// From `peer`: there is room for `blocks` more. `fast`: we are choked, only pieces of `AllowedFast` will do.
    Ask { key: PeerKey, blocks: u32, fast: bool },
    /// From `peer`: these will not come (choked, or too slow).
    GiveBack { key: PeerKey, runs: Vec<Run> },
    /// From `peer`: the other side broke the protocol.
    Misbehaved { address: SocketAddr, reason: String },
    /// From `peer`, just before it ends: why.
    Leaving { key: PeerKey, reason: String },
    /// From the process table: a peer process ended.
    Down { key: PeerKey, down: Down },
    /// From `peer`: a call is over, or rests until it is made again: another may be made.
    Called,
    /// From `tracker`, `peer` or the user: addresses where peers may be.
    Found { addresses: Vec<SocketAddr>, source: Source },
    /// From `listener`: a peer called us and named this torrent.
    Incoming { socket: Socket, address: SocketAddr, theirs: Handshake },
}

/// A connection that has shaken hands.
pub(crate) struct Joined {
    pub(crate) key: PeerKey,
    pub(crate) pid: Pid,
    pub(crate) addr: Addr<peer::Msg>,
    pub(crate) counts: Arc<PeerCounts>,
}

struct Client {
    torrent: Arc<TorrentTable>,
    layout: Layout,
    pieces: Pieces,
    have: Bitfield,
    picker: Picker,
    peers: BTreeMap<PeerKey, Connection>,
    crowd: Crowd,
    /// Peers that asked when there was nothing to grant.
    waiting: BTreeSet<PeerKey>,
    /// One of them may get something although nobody says that it is there: time passes, or memory comes free elsewhere.
    hopeful: bool,
    /// Something came free since they were last looked at.
    freed: bool,
    /// The memory of the open pieces that are kept until they are whole.
    leases: BTreeMap<PieceIndex, Lease>,
    /// And of the blocks that are on their way for those that are not.
    flight: Lease,
    choking: Choking,
    suggestions: Suggestions,
    /// Of the whole torrent.
    rates: Rates,
    /// Trackers know that few are connected.
    few: bool,
    due: Due,
}

struct Connection {
    addr: Addr<peer::Msg>,
    counts: Arc<PeerCounts>,
    rates: Rates,
    /// Where it accepts connections, when that is known.
    listens: Option<SocketAddr>,
    /// That address is held in the book for as long as this connection lasts.
    holds: bool,
    /// It has something that we want; `wanted`: or had at any time.
    interested: bool,
    wanted: bool,
    unchoked: bool,
    /// Blocks that it asked for and did not get; `fast`: while it is choked.
    wants: u32,
    fast: bool,
    /// Finished pieces that it had a part in.
    useful: u32,
    /// Its own words for why it ends; a process that panicked had none.
    leaving: Option<String>,
}

/// The process body.
pub(crate) async fn run(process: Process, torrent: Arc<TorrentTable>) -> Exit {
    let mailbox = torrent.client.mailbox.clone();
    process.shows(&mailbox);
    let mut inbox = mailbox.stream();
    torrent.store.cast(store::Msg::Hello);
    let mut client = loop {
        match inbox.next().await {
            Some(Msg::Ready { have, partials, in_hand }) => {
                break Client::new(torrent.clone(), have, partials, in_hand);
            }
            Some(Msg::Found { addresses, source }) => note(&torrent, &addresses, source),
            Some(_) => {} // of an earlier life: its peers are gone, its pieces come with Ready
            None => return Ok(()),
        }
    };
    process.ready();
    torrent.has_peers(0);
    client.settle();
    let mut alarm = Alarm::default();
    loop {
        client.next_look().into_iter().for_each(|at| alarm.by(at));
        futures::select_biased! {
            message = inbox.next() => {
                let Some(message) = message else { return Ok(()) };
                client.handle(message);
                // What waits already is handled before anybody is granted what came free.
                let mut more = TURN;
                while more > 0
                    && let Some(Some(message)) = inbox.next().now_or_never()
                {
                    client.handle(message);
                    more -= 1;
                }
                client.settle_memory();
                client.grant_freed();
                client.spill_if_stuck();
                client.rechoke_if_due();
                client.call_if_asked();
            },
            () = poll_fn(|cx| alarm.poll_ring(cx)).fuse() => client.look(),
        }
        client.ask_trackers();
    }
}

fn note(torrent: &TorrentTable, addresses: &[SocketAddr], source: Source) {
    let mut book = lock(&torrent.book);
    for address in addresses {
        book.add(*address, source, clock::since_start());
    }
    torrent.counts.known.store(book.known() as u32, Ordering::Relaxed);
}

impl Client {
    fn new(
        torrent: Arc<TorrentTable>,
        have: Bitfield,
        partials: Vec<(PieceIndex, Bitfield)>,
        in_hand: Vec<PieceIndex>,
    ) -> Self {
        let layout = torrent.metainfo.layout.clone();
        let whole = in_hand.into_iter().map(|piece| (piece, Bitfield::full(layout.blocks_in(piece))));
        let open: Vec<_> = partials.into_iter().chain(whole).collect();
        let begun: Vec<PieceIndex> = open.iter().map(|(piece, _)| *piece).collect();
        let (wanted, options) = (torrent.selection.pieces(), &torrent.options);
        let (sequential, endgame_from) = (options.sequential, options.endgame_from);
        let picking = Picking { sequential, endgame_from, seed: dice::seed() };
        let mut client = Self {
            pieces: Pieces::having(&layout, &have, wanted),
            picker: Picker::new(layout.clone(), &have, wanted, open.into_iter(), picking),
            peers: BTreeMap::new(),
            crowd: Crowd::default(),
            waiting: BTreeSet::new(),
            hopeful: false,
            freed: false,
            choking: Choking::new(),
            suggestions: Suggestions::new(layout.pieces(), dice::seed()),
            rates: Rates::new(),
            few: false,
            due: Due::new(clock::since_start()),
            leases: BTreeMap::new(),
            flight: torrent.session.budget.reserve_anyway(0),
            have,
            layout,
            torrent,
        };
        begun.into_iter().for_each(|piece| client.provide(piece));
        client
    }

    fn handle(&mut self, message: Msg) {
        match message {
            Msg::Ready { .. } => {}
            Msg::Finished { piece, sources } => self.finished(piece, &sources),
            Msg::Bad { piece, sources } => self.bad(piece, &sources),
            Msg::Liars { piece, liars } => liars.into_iter().for_each(|liar| self.lied(liar, piece)),
            Msg::Joined(joined) => self.joined(joined),
            Msg::Bitfield { key, pieces } => self.bitfield(key, pieces),
            Msg::Has { key, pieces } => self.has(key, &pieces),
            Msg::Lost { key, piece } => self.lost(key, piece),
            Msg::Suggested { key, piece } => self.picker.suggested(key, piece),
            Msg::AllowedFast { key, piece } => self.picker.allowed(key, piece),
            Msg::Interested { key } => self.interested(key),
            Msg::Listens { key, address } => self.listens(key, address),
            Msg::Landed { piece, blocks } => self.landed(piece, &blocks),
            Msg::Ask { key, blocks, fast } => self.ask(key, blocks, fast),
            Msg::GiveBack { key, runs } => self.give_back(key, &runs),
            Msg::Misbehaved { address, reason } => self.ban(address, Fault::Protocol, reason),
            Msg::Leaving { key, reason } => {
                if let Some(connection) = self.peers.get_mut(&key) {
                    connection.leaving = Some(reason);
                }
            }
            Msg::Down { key, down } => self.left(key, &down),
            Msg::Trimmed => self.complete(),
            Msg::Dropped { piece } => self.dropped(piece),
            Msg::DiskWorks | Msg::Spilled => self.freed = true,
            Msg::PeersUp | Msg::Called => self.due.ask_to_call(),
            Msg::Found { addresses, source } => {
                note(&self.torrent, &addresses, source);
                self.due.ask_to_call();
            }
            Msg::Incoming { socket, address, theirs } => self.incoming(socket, address, theirs),
        }
    }

    // -- pieces ---------------------------------------------------------------------------------------------------

    fn finished(&mut self, piece: PieceIndex, sources: &[SocketAddr]) {
        self.leases.remove(&piece);
        self.picker.finished(piece);
        match self.pieces.finish(piece) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return log::error!("{error}"),
        }
        self.have.set(piece.0);
        let mut book = lock(&self.torrent.book);
        for source in sources {
            book.was_useful(*source);
        }
        for key in sources.iter().filter_map(|source| self.crowd.at(*source)) {
            self.peers.entry(key).and_modify(|connection| connection.useful += 1);
        }
        drop(book);
        self.torrent.tell(Event::finished(piece));
        for connection in self.peers.values() {
            let _ = connection.addr.cast(peer::Msg::Finished { piece });
        }
        self.update_interest();
        self.settle();
        self.freed = true;
    }

    fn bad(&mut self, piece: PieceIndex, sources: &[SocketAddr]) {
        log::warn!("piece {piece} failed its SHA-1 check; it came from {}", Names(sources));
        self.leases.remove(&piece);
        self.picker.failed(piece);
        // Among several nobody knows yet who lied. What each of them sent is remembered until the piece has passed.
        if let [liar] = sources {
            self.lied(*liar, piece);
        }
        self.freed = true;
    }

    fn lied(&mut self, liar: SocketAddr, piece: PieceIndex) {
        self.ban(liar, Fault::FalseData, format!("sent data that failed the hash of piece {piece}"));
    }

    /// Every piece is finished: the files are cut to their lengths before anybody is told.
    fn settle(&mut self) {
        if self.pieces.is_complete() {
            self.torrent.session.file_jobs.cast(file_worker::Msg::Trim(self.torrent.clone()));
        }
    }

    /// The content is complete and exact: everybody who cares is told once.
    fn complete(&mut self) {
        if !self.pieces.is_complete() {
            return;
        }
        let before = std::mem::replace(&mut *lock(&self.torrent.state), State::Complete);
        if before == State::Complete {
            return;
        }
        for connection in self.peers.values() {
            let _ = connection.addr.cast(peer::Msg::Complete);
        }
        // Who left files out is no seed (BEP 21).
        for announcer in self.torrent.trackers.iter().filter(|_| self.have.all()) {
            announcer.cast(tracker::Msg::Completed);
        }
        self.torrent.tell(Event::Complete);
    }
}

/// Addresses in a log line.
struct Names<'a>(&'a [SocketAddr]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.0.iter().take(5).map(SocketAddr::to_string).collect();
        write!(f, "{}", names.join(", "))
    }
}
