//! The loop of an established connection.
//!
//! Part of `peer`. It waits for the first of: a message in the mailbox, bytes from the socket, room in the socket, the timer; then
//! routes it. What to ask for is decided by `protocol::Pipeline`, what to serve by `protocol::Upload`.

mod serving;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::future::FutureExt;
use futures::io::AsyncRead;
use supervisors::{Addr, Process};

use super::outbox::Outbox;
use super::{End, Msg};
use crate::process::{client, file_worker, store};
use crate::protocol::pipeline::{Landed, Pipeline, Stray};
use crate::protocol::upload::{Asked, Upload};
use crate::protocol::wire::{self, Decoded, Limits};
use crate::protocol::{Bitfield, BlockRange, Layout, Message, PeerId, PeerKey, PieceIndex, WireError};
use crate::rt::blocks::Block;
use crate::rt::net::Socket;
use crate::rt::{clock, spawn};
use crate::stats::PeerCounts;
use crate::tables::TorrentTable;

/// The peer's timer: keep-alive, stale requests, work asked for.
const TEN_SECONDS: Duration = Duration::from_secs(10);
/// How often a connection with requests out looks whether they are stale.
const ONE_SECOND: Duration = Duration::from_secs(1);
/// A connection on which nothing was heard for so long is dead; others send a keep-alive every two minutes (BEP 3).
const SILENCE: Duration = Duration::from_secs(150);
/// We say something at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// Read buffer of a quiet connection, and of one that fills it.
const SMALL_READ: usize = 16 * 1024;
const LARGE_READ: usize = 256 * 1024;
/// With more than this waiting to be written, no more blocks are read for the other side.
const ENOUGH_WAITING: usize = 512 * 1024;
/// Messages and reads handled before other processes get their turn.
const TURN: usize = 16;
/// Blocks that nobody ever asked for that a peer may send per minute before it counts as a flood.
const MAX_UNREQUESTED: u32 = 60;
/// The same for bitfields that are not the first message.
const MAX_LATE_BITFIELDS: u32 = 60;

enum Wake {
    Mail(Msg),
    Read(usize),
    Wrote(usize),
    Timer,
}

struct Connection<'a> {
    torrent: &'a Arc<TorrentTable>,
    layout: &'a Layout,
    key: PeerKey,
    me: Addr<Msg>,
    counts: Arc<PeerCounts>,
    now: Duration,
    out: Outbox,
    have: Bitfield,
    theirs: Bitfield,
    /// Nothing but the handshake and keep-alives came before.
    first: bool,
    /// Bitfields that came later: not in BEP 3, but aria2 sends one in place of many haves.
    late_bitfields: u32,
    /// Pieces that the other side announced since the client was last told.
    haves: Vec<PieceIndex>,
    peer_choked: bool,
    am_interested: bool,
    pipeline: Pipeline<Block>,
    asked: bool,
    upload: Upload,
    unrequested: u32,
    heard: Duration,
    said: Duration,
    /// When the ten seconds are over.
    chores_at: Duration,
}

/// Runs the connection to its end. Blocks that came for unfinished runs reach the store whatever the end is.
pub(super) async fn run(
    process: &Process,
    torrent: &Arc<TorrentTable>,
    socket: Socket,
    address: SocketAddr,
    peer_id: PeerId,
    outgoing: bool,
) -> End {
    let (me, mailbox) = supervisors::mailbox();
    process.shows(&mailbox);
    let mut inbox = mailbox.stream();
    let key = torrent.session.next_key();
    let (pid, counts) = (process.pid(), Arc::new(PeerCounts::new(address, peer_id, outgoing)));
    let joined = client::Joined { key, pid, addr: me.clone(), address, peer_id, outgoing, counts: counts.clone() };
    torrent.client.cast(client::Msg::Joined(joined));
    let have = loop {
        match inbox.next().await {
            Some(Msg::Welcome { have }) => break have,
            Some(Msg::Close { reason }) => return End::Goodbye(reason.to_owned()),
            Some(_) => {}
            None => return End::Goodbye("the client is gone".to_owned()),
        }
    };
    let mut connection = Connection::new(torrent, key, me, counts, have);
    let end = match connection.serve(&socket, &mut inbox).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    connection.hand_over();
    socket.shutdown();
    torrent.client.cast(client::Msg::Leaving { key, reason: end.to_string() });
    end
}

impl<'a> Connection<'a> {
    fn new(
        torrent: &'a Arc<TorrentTable>,
        key: PeerKey,
        me: Addr<Msg>,
        counts: Arc<PeerCounts>,
        have: Bitfield,
    ) -> Self {
        let now = clock::since_start();
        let layout = &torrent.metainfo.layout;
        let mut out = Outbox::default();
        if !have.none() {
            out.message(&Message::Bitfield(have.as_bytes()));
        }
        Self {
            torrent,
            layout,
            key,
            me,
            counts,
            now,
            out,
            have,
            theirs: Bitfield::new(layout.pieces()),
            first: true,
            late_bitfields: 0,
            haves: Vec::new(),
            peer_choked: true,
            am_interested: false,
            pipeline: Pipeline::new(now),
            asked: false,
            upload: Upload::default(),
            unrequested: 0,
            heard: now,
            said: now,
            chores_at: now + TEN_SECONDS,
        }
    }

    async fn serve(
        &mut self,
        socket: &Socket,
        inbox: &mut (impl futures::Stream<Item = Msg> + Unpin),
    ) -> Result<std::convert::Infallible, End> {
        let limits = Limits::of(self.layout);
        let mut buffer = vec![0; SMALL_READ];
        let (mut start, mut end) = (0, 0);
        let mut timer = Box::pin(clock::sleep(ONE_SECOND));
        let mut turns = 0;
        loop {
            let wake = poll_fn(|cx| {
                if let Poll::Ready(Some(message)) = inbox.poll_next_unpin(cx) {
                    return Poll::Ready(Ok(Wake::Mail(message)));
                }
                if self.out.waiting() > 0
                    && let Poll::Ready(wrote) = self.out.poll_write(cx, socket)
                {
                    return Poll::Ready(wrote.map(Wake::Wrote));
                }
                let mut reader = socket;
                if let Poll::Ready(read) = Pin::new(&mut reader).poll_read(cx, &mut buffer[end..]) {
                    return Poll::Ready(read.map(Wake::Read));
                }
                timer.poll_unpin(cx).map(|()| Ok(Wake::Timer))
            })
            .await?;
            self.now = clock::since_start();
            match wake {
                Wake::Mail(message) => self.mail(message)?,
                Wake::Wrote(0) => return Err(End::Environment("the other side takes no more".to_owned())),
                Wake::Wrote(_) => {
                    self.said = self.now;
                    self.read_for_them();
                }
                Wake::Read(0) => return Err(End::Environment("the other side hung up".to_owned())),
                Wake::Read(n) => {
                    self.heard = self.now;
                    end += n;
                    let full = end == buffer.len();
                    let needed = loop {
                        match wire::decode(&buffer[start..end], &limits).map_err(|e| self.broke(&e))? {
                            Decoded::Message { message, used } => {
                                start += used;
                                self.message(message)?;
                            }
                            Decoded::Partial { needed } => break needed,
                        }
                    };
                    // What is left of a frame moves to the front, so that the whole buffer is there for the next read.
                    buffer.copy_within(start..end, 0);
                    (start, end) = (0, end - start);
                    if needed > buffer.len() || (full && buffer.len() < LARGE_READ) {
                        let grown = needed.max(buffer.len() * 4).min(LARGE_READ.max(needed));
                        buffer.resize(grown, 0);
                    }
                    self.after_reading();
                }
                Wake::Timer => {
                    self.give_back_stale();
                    let busy = self.pipeline.outstanding() > 0;
                    timer = Box::pin(clock::sleep(if busy { ONE_SECOND } else { TEN_SECONDS }));
                    if end == 0 && self.pipeline.is_empty() && buffer.len() > SMALL_READ {
                        buffer = vec![0; SMALL_READ];
                    }
                }
            }
            // A socket that always has something to read must not put this off.
            if self.now >= self.chores_at {
                self.chores_at = self.now + TEN_SECONDS;
                self.ten_seconds()?;
            }
            turns += 1;
            if turns % TURN == 0 {
                spawn::yield_now().await;
            }
        }
    }

    fn broke(&self, error: &WireError) -> End {
        End::Misbehaved(format!("sent {error}"))
    }

    // -- from the mailbox -----------------------------------------------------------------------------------------

    fn mail(&mut self, message: Msg) -> Result<(), End> {
        match message {
            Msg::Welcome { .. } => {}
            Msg::Grant { run } => {
                self.asked = false;
                if self.peer_choked {
                    self.give_back(Landed { run, blocks: Vec::new() });
                } else {
                    self.pipeline.grant(run, self.now);
                    self.request();
                    self.ask();
                }
            }
            Msg::Interest { interested } => {
                if interested != self.am_interested {
                    self.am_interested = interested;
                    self.out.message(if interested { &Message::Interested } else { &Message::NotInterested });
                }
                self.ask();
                self.part_if_both_seed()?;
            }
            Msg::Finished { piece } => self.finished(piece)?,
            Msg::Close { reason } => return Err(End::Goodbye(reason.to_owned())),
            Msg::Read { ranges, blocks } => self.send_blocks(&ranges, blocks),
        }
        Ok(())
    }

    fn finished(&mut self, piece: PieceIndex) -> Result<(), End> {
        self.have.set(piece.0);
        let (layout, out) = (self.layout, &mut self.out);
        self.pipeline.cancel(piece, |p, n| layout.block(p, n), |range| out.message(&Message::Cancel(range)));
        if !self.theirs.get(piece.0) {
            self.out.message(&Message::Have { piece });
        }
        self.request();
        self.ask();
        self.part_if_both_seed()
    }

    /// Two seeds have nothing to say to each other.
    fn part_if_both_seed(&self) -> Result<(), End> {
        if self.have.all() && self.theirs.all() {
            return Err(End::Goodbye("both sides have everything".to_owned()));
        }
        Ok(())
    }

    // -- from the other side --------------------------------------------------------------------------------------

    fn message(&mut self, message: Message<'_>) -> Result<(), End> {
        let first = std::mem::take(&mut self.first);
        match message {
            Message::KeepAlive => self.first = first,
            Message::Choke => {
                self.peer_choked = true;
                for landed in self.pipeline.drain() {
                    self.give_back(landed);
                }
            }
            Message::Unchoke => self.peer_choked = false,
            Message::Interested => self.unchoke(),
            Message::NotInterested => {}
            Message::Have { piece } => {
                if self.theirs.set(piece.0) {
                    self.haves.push(piece);
                    self.part_if_both_seed()?;
                }
            }
            Message::Bitfield(bits) => self.bitfield(bits, first)?,
            Message::Request(range) => self.requested(range)?,
            Message::Cancel(range) => self.upload.cancel(range),
            Message::Block { piece, begin, bytes } => self.block(piece, begin, bytes)?,
            Message::Port(_) => {}
            Message::Unknown { id, length } => {
                log::trace!("peer {}: message {id} of {length} bytes skipped", self.counts.address)
            }
        }
        Ok(())
    }

    fn bitfield(&mut self, bits: &[u8], first: bool) -> Result<(), End> {
        let pieces = Bitfield::from_wire(bits, self.layout.pieces())
            .map_err(|error| End::Misbehaved(format!("sent a bad bitfield: {error}")))?;
        if !first {
            self.late_bitfields += 1;
            if self.late_bitfields > MAX_LATE_BITFIELDS {
                return Err(End::Misbehaved("floods us with bitfields".to_owned()));
            }
            let news = pieces.iter_ones().filter(|piece| self.theirs.set(*piece));
            self.haves.extend(news.map(PieceIndex));
            return self.part_if_both_seed();
        }
        self.theirs = pieces.clone();
        self.torrent.client.cast(client::Msg::Bitfield { key: self.key, pieces });
        self.part_if_both_seed()
    }

    fn block(&mut self, piece: PieceIndex, begin: u32, bytes: &[u8]) -> Result<(), End> {
        let range = BlockRange { piece, begin, length: bytes.len() as u32 };
        let counts = &self.torrent.counts;
        counts.downloaded.fetch_add(u64::from(range.length), Ordering::Relaxed);
        self.counts.downloaded.fetch_add(u64::from(range.length), Ordering::Relaxed);
        let whole = self.layout.block(piece, begin / crate::protocol::BLOCK_BYTES) == range;
        let place = if whole { self.pipeline.accept(range) } else { None };
        let Some(place) = place else {
            counts.wasted.unrequested.fetch_add(u64::from(range.length), Ordering::Relaxed);
            self.unrequested += u32::from(self.pipeline.stray() == Stray::Unrequested);
            if self.unrequested > MAX_UNREQUESTED {
                return Err(End::Misbehaved("keeps sending blocks that nobody asked for".to_owned()));
            }
            return Ok(());
        };
        let block = self.torrent.session.pool.copy(bytes);
        if let Some(landed) = self.pipeline.put(place, range, block, self.now) {
            self.land(landed);
        }
        Ok(())
    }

    /// After a batch of messages: more requests out, finished runs reported, work asked for, reads started.
    fn after_reading(&mut self) {
        if !self.haves.is_empty() {
            let pieces = std::mem::take(&mut self.haves);
            self.torrent.client.cast(client::Msg::Has { key: self.key, pieces });
        }
        self.request();
        self.ask();
        self.read_for_them();
    }

    // -- downloading ----------------------------------------------------------------------------------------------

    fn request(&mut self) {
        if !self.peer_choked {
            let (layout, out) = (self.layout, &mut self.out);
            self.pipeline.requests(self.now, |p, n| layout.block(p, n), |range| out.message(&Message::Request(range)));
        }
    }

    fn ask(&mut self) {
        if self.peer_choked || !self.am_interested || self.asked {
            return;
        }
        let blocks = self.pipeline.room(self.now);
        if blocks > 0 {
            self.asked = true;
            self.torrent.client.cast(client::Msg::Ask { key: self.key, blocks });
        }
    }

    fn land(&self, landed: Landed<Block>) {
        let message =
            store::Msg::Landed { piece: landed.run.piece, blocks: landed.blocks, source: self.counts.address };
        self.torrent.store.cast(message);
    }

    fn give_back(&self, landed: Landed<Block>) {
        let runs = landed.missing();
        if !landed.blocks.is_empty() {
            self.land(landed);
        }
        self.torrent.client.cast(client::Msg::GiveBack { key: self.key, runs });
    }

    /// At the end of the connection: what has come is not thrown away.
    fn hand_over(&mut self) {
        for landed in self.pipeline.drain() {
            self.give_back(landed);
        }
    }

    // -- the 10-second timer --------------------------------------------------------------------------------------

    fn ten_seconds(&mut self) -> Result<(), End> {
        if self.now.saturating_sub(self.heard) > SILENCE {
            return Err(End::Environment("silent for too long".to_owned()));
        }
        if self.now.saturating_sub(self.said) > KEEP_ALIVE {
            self.out.message(&Message::KeepAlive);
        }
        self.unrequested = self.unrequested.saturating_sub(MAX_UNREQUESTED / 6);
        self.late_bitfields = self.late_bitfields.saturating_sub(MAX_LATE_BITFIELDS / 6);
        if self.out.waiting() > 0 && self.now.saturating_sub(self.said) > SILENCE {
            return Err(End::Environment("took nothing for too long".to_owned()));
        }
        self.give_back_stale();
        Ok(())
    }

    fn give_back_stale(&mut self) {
        for landed in self.pipeline.stale(self.now) {
            for run in landed.missing() {
                for block in run.numbers() {
                    self.out.message(&Message::Cancel(self.layout.block(run.piece, block)));
                }
            }
            self.give_back(landed);
        }
        self.request();
        self.ask();
    }
}
