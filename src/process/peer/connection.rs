//! The loop of an established connection.
//!
//! Part of `peer`. It waits for the first of: a message in the mailbox, bytes from the socket, room in the socket, the timer; then
//! routes it. What to ask for is decided by `protocol::Pipeline`, what to serve by `protocol::Upload`, how fast by `protocol::bucket`.

mod extending;
mod fetching;
mod hearing;
mod mail;
mod serving;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::io::AsyncRead;
use supervisors::{Addr, Process};

use self::extending::Extending;
use self::hearing::Floods;
use super::outbox::{Outbox, Wrote};
use super::valve::Valve;
use super::{End, Msg, Side};
use crate::process::{client, file_worker, store};
use crate::protocol::bucket::{Flow, Throttle};
use crate::protocol::pipeline::{Landed, Pipeline, Stray};
use crate::protocol::upload::{Asked, Upload};
use crate::protocol::wire::{self, Decoded};
use crate::protocol::{Bitfield, BlockRange, Layout, Message, PeerKey, PieceIndex, WireError};
use crate::rt::backlog::Turnstile;
use crate::rt::blocks::{Block, Lease, Sharer};
use crate::rt::clock::{self, Alarm};
use crate::rt::net::Socket;
use crate::rt::spawn;
use crate::stats::PeerCounts;
use crate::tables::{Limits, TorrentTable};

/// The peer's timer: keep-alive, a fresh upload allowance, stale requests given back, work asked for. A connection at rest sleeps longer.
const TEN_SECONDS: Duration = Duration::from_secs(10);
/// How often a connection with requests out looks whether they are stale.
const ONE_SECOND: Duration = Duration::from_secs(1);
/// How often a connection with requests of the other side looks whether they may be answered.
const QUARTER: Duration = Duration::from_millis(250);
/// A connection on which nothing was heard for so long is dead; others send a keep-alive every two minutes (BEP 3).
const SILENCE: Duration = Duration::from_secs(150);
/// We say something at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// Read buffer of a quiet connection, of one that fills it, and of one that fills that.
const QUIET_READ: usize = 256;
const SMALL_READ: usize = 16 * 1024;
const LARGE_READ: usize = 256 * 1024;
/// Every message but a keep-alive takes as many, with its length.
const LEAST_MESSAGE: usize = 5;
/// With more bytes of messages than this waiting to be written, nothing more is read: whoever does not listen is not heard.
const MUCH_UNSAID: usize = 64 * 1024;
/// With more than this of them (haves of ours that it does not take), the connection is given up.
const TOO_MUCH_UNSAID: usize = 1024 * 1024;
/// Messages and reads handled before other processes get their turn.
const TURN: usize = 16;

enum Wake {
    Mail(Msg),
    Read(usize),
    Wrote(Wrote),
    Timer,
}

struct Connection<'a> {
    torrent: &'a Arc<TorrentTable>,
    layout: &'a Layout,
    key: PeerKey,
    me: Addr<Msg>,
    counts: Arc<PeerCounts>,
    side: Side,
    now: Duration,
    out: Outbox,
    sending: Valve,
    receiving: Valve,
    /// Since when we have not read, though we could: our limits, or a side that does not listen, forbid it.
    not_reading: Option<Duration>,
    turnstile: Turnstile,
    have: Bitfield,
    theirs: Bitfield,
    /// Nothing but the handshake and keep-alives came before.
    first: bool,
    floods: Floods,
    /// Pieces that the other side announced since the client was last told.
    haves: Vec<PieceIndex>,
    am_choked: bool,
    am_interested: bool,
    peer_interested: bool,
    pipeline: Pipeline<Block>,
    asked: bool,
    /// Requests that it rejected since a block came, although it does not choke us.
    rejects: u32,
    upload: Upload,
    /// While we serve it: its share of the memory for what is read.
    shares_reading: Option<Sharer>,
    /// What it has of that: blocks that wait to be written, and `being_read`.
    reading: Lease,
    being_read: u64,
    extending: Extending,
    heard: Duration,
    said: Duration,
    /// When the ten seconds are over.
    chores_at: Duration,
}

/// Runs the connection to its end. Blocks that came for unfinished runs reach the store whatever the end is.
pub(super) async fn run(process: &Process, torrent: &Arc<TorrentTable>, socket: Socket, side: Side) -> End {
    let (me, mailbox) = supervisors::mailbox();
    process.shows(&mailbox);
    let mut inbox = mailbox.stream();
    let key = torrent.session.next_key();
    let counts = Arc::new(PeerCounts::new(side.address, side.peer_id, side.outgoing));
    let joined = client::Joined { key, pid: process.pid(), addr: me.clone(), counts: counts.clone() };
    torrent.client.cast(client::Msg::Joined(joined));
    let have = loop {
        match inbox.next().await {
            Some(Msg::Welcome { have }) => break have,
            Some(Msg::Close { reason }) => return End::Goodbye(reason.to_owned()),
            Some(_) => {}
            None => return End::Goodbye("the client is gone".to_owned()),
        }
    };
    let mut connection = Connection::new(torrent, key, me, counts, side, have);
    connection.greet();
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
        side: Side,
        have: Bitfield,
    ) -> Self {
        let now = clock::since_start();
        let layout = &torrent.metainfo.layout;
        let limits = [&torrent.limits, &torrent.session.limits];
        let ours = |side: fn(&Limits) -> &Arc<Throttle>| limits.map(|limits| side(limits).clone());
        let allowance = torrent.options.upload_allowance;
        Self {
            torrent,
            layout,
            key,
            me,
            counts,
            side,
            now,
            out: Outbox::default(),
            sending: Valve::new(Flow::with_allowance(allowance, ours(|limits| &limits.upload))),
            receiving: Valve::new(Flow::new(ours(|limits| &limits.download))),
            not_reading: None,
            turnstile: Turnstile::default(),
            have,
            theirs: Bitfield::new(layout.pieces()),
            first: true,
            floods: Floods::default(),
            haves: Vec::new(),
            am_choked: true,
            am_interested: false,
            peer_interested: false,
            pipeline: Pipeline::new(now),
            asked: false,
            rejects: 0,
            upload: Upload::default(),
            shares_reading: None,
            reading: torrent.session.reading.lease(),
            being_read: 0,
            extending: Extending::default(),
            heard: now,
            said: now,
            chores_at: now + TEN_SECONDS,
        }
    }

    /// What we have, first of all messages (BEP 3, BEP 6); then which extensions we speak (BEP 10).
    fn greet(&mut self) {
        match (self.have.none(), self.have.all()) {
            (true, _) if self.side.fast => self.out.message(&Message::HaveNone),
            (true, _) => {}
            (_, true) if self.side.fast => self.out.message(&Message::HaveAll),
            _ => self.out.message(&Message::Bitfield(self.have.as_bytes())),
        }
        if self.side.extended {
            self.say_hello();
        }
    }

    async fn serve(
        &mut self,
        socket: &Socket,
        inbox: &mut (impl futures::Stream<Item = Msg> + Unpin),
    ) -> Result<Infallible, End> {
        let limits = wire::Limits::of(self.layout);
        let mut buffer = vec![0; QUIET_READ];
        let (mut start, mut end) = (0, 0);
        let mut alarm = Alarm::default();
        let mut turns = 0;
        let mut patient = false;
        loop {
            // A keep-alive wakes nobody: between two messages of a quiet connection it waits until something else is read, or the alarm rings.
            // Nor does it when our limits kept us from reading then: the last chance is every byte's.
            let overdue = self.now.saturating_sub(self.heard) > SILENCE;
            let quiet = end == 0 && buffer.len() == QUIET_READ && !overdue;
            if patient != quiet {
                patient = quiet;
                socket.wake_at(if patient { LEAST_MESSAGE } else { 1 });
            }
            let wake = poll_fn(|cx| {
                if let Poll::Ready(Some(message)) = inbox.poll_next_unpin(cx) {
                    return Poll::Ready(Ok(Wake::Mail(message)));
                }
                if let Poll::Ready(wrote) = self.poll_write(cx, socket) {
                    return Poll::Ready(wrote.map(Wake::Wrote));
                }
                if let Poll::Ready(read) = self.poll_read(cx, socket, &mut buffer[end..]) {
                    return Poll::Ready(read.map(Wake::Read));
                }
                alarm.by(self.look_again(buffer.len() > QUIET_READ));
                alarm.poll_ring(cx).map(|()| Ok(Wake::Timer))
            })
            .await?;
            self.now = clock::since_start();
            match wake {
                Wake::Mail(message) => self.mail(message)?,
                Wake::Wrote(Wrote { bytes: 0, .. }) => {
                    return Err(End::Environment("the other side takes no more".to_owned()));
                }
                Wake::Wrote(wrote) => {
                    self.said = self.now;
                    self.sending.moved(wrote.of_answers);
                    self.counts.uploaded.fetch_add(wrote.of_blocks as u64, Ordering::Relaxed);
                    self.torrent.counts.uploaded.fetch_add(wrote.of_blocks as u64, Ordering::Relaxed);
                    self.read_for_them();
                }
                Wake::Read(0) => return Err(End::Environment("the other side hung up".to_owned())),
                Wake::Read(n) => {
                    self.heard = self.now;
                    self.receiving.moved(n);
                    self.pipeline.heard(n, self.now);
                    end += n;
                    let full = end == buffer.len();
                    let needed = loop {
                        match wire::decode(&buffer[start..end], &limits).map_err(|e| broke(&e))? {
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
                        let grown = needed.max(buffer.len() * 4).clamp(SMALL_READ, LARGE_READ.max(needed));
                        buffer.resize(grown, 0);
                    } else if end == 0 && self.pipeline.is_empty() && buffer.len() > SMALL_READ {
                        // Of many peers that wait for work, most wait long.
                        buffer = vec![0; SMALL_READ];
                    }
                    self.after_reading();
                }
                Wake::Timer => {
                    if self.now.saturating_sub(self.heard) > SILENCE + TEN_SECONDS {
                        return Err(End::Environment("silent for too long".to_owned()));
                    }
                    self.give_back_stale();
                    self.read_for_them();
                    if end == 0 && self.pipeline.is_empty() && buffer.len() > QUIET_READ {
                        buffer = vec![0; QUIET_READ];
                        self.out.shrink();
                    }
                }
            }
            // A socket that always has something to read must not put this off.
            if self.now >= self.chores_at {
                self.ten_seconds()?;
                self.chores_at = self.now + TEN_SECONDS;
            }
            turns += 1;
            if turns % TURN == 0 {
                spawn::yield_now().await;
            }
        }
    }

    /// Writes as much as the limits allow; pending when there is nothing to write, or no room for it.
    fn poll_write(&mut self, cx: &mut Context<'_>, socket: &Socket) -> Poll<Result<Wrote, End>> {
        let wanted = self.out.answers_waiting();
        let allowed = match wanted {
            0 => 0,
            _ => match self.sending.poll_open(cx, wanted) {
                Poll::Ready(bytes) => bytes,
                Poll::Pending => 0,
            },
        };
        if allowed == 0 && !self.out.has_free() {
            return Poll::Pending;
        }
        let wrote = self.out.poll_write(cx, socket, allowed).map_err(End::from);
        if wrote.is_pending() {
            self.sending.moved(0);
        }
        wrote
    }

    /// Reads as much as the limits allow; pending when nothing came, or while the other side does not listen to us.
    fn poll_read(&mut self, cx: &mut Context<'_>, socket: &Socket, room: &mut [u8]) -> Poll<Result<usize, End>> {
        if !self.pipeline.is_empty() && self.turnstile.poll_pass(cx, &self.torrent.session.backlog).is_pending() {
            self.not_reading.get_or_insert(self.now);
            return Poll::Pending;
        }
        let allowed = match self.receiving.poll_open(cx, room.len()) {
            Poll::Ready(allowed) if self.out.messages_waiting() <= MUCH_UNSAID => allowed,
            _ => {
                self.not_reading.get_or_insert(self.now);
                return Poll::Pending;
            }
        };
        self.count_throttled();
        let mut reader = socket;
        let read = Pin::new(&mut reader).poll_read(cx, &mut room[..allowed]).map_err(End::from);
        if read.is_pending() {
            // Others may have something to read.
            self.receiving.moved(0);
        }
        read
    }

    /// What we did not read, the other side may have sent: that time is ours.
    fn count_throttled(&mut self) -> bool {
        let since = self.not_reading.take();
        if let Some(since) = since {
            self.now = clock::since_start();
            self.pipeline.throttled(self.now.saturating_sub(since));
        }
        since.is_some()
    }

    /// When time alone may change something. At rest, that is when one of the two sides has been silent for too long.
    fn look_again(&self, buffered: bool) -> Duration {
        // Requests may be held back because another peer is getting the piece; that ends without a message.
        let soon = match (self.upload.waiting() > 0, self.pipeline.outstanding() > 0) {
            (true, _) => QUARTER,
            (_, true) => ONE_SECOND,
            _ => TEN_SECONDS,
        };
        let rests = soon == TEN_SECONDS && !buffered && self.out.is_empty() && self.floods.are_over();
        if rests && self.pipeline.is_at_rest(self.now) {
            let silent = (self.heard + SILENCE).min(self.said + KEEP_ALIVE);
            return clock::whole_second(silent).max(self.now + TEN_SECONDS);
        }
        self.now + soon
    }

    /// The 10-second timer.
    fn ten_seconds(&mut self) -> Result<(), End> {
        if self.now.saturating_sub(self.said) > KEEP_ALIVE && self.out.is_empty() {
            self.out.message(&Message::KeepAlive);
        }
        if !self.out.is_empty() && self.now.saturating_sub(self.said) > SILENCE {
            return Err(End::Environment("took nothing for too long".to_owned()));
        }
        if self.out.messages_waiting() > TOO_MUCH_UNSAID {
            return Err(End::Environment("does not take what we say".to_owned()));
        }
        self.floods.ten_seconds();
        self.give_back_stale();
        Ok(())
    }
}

fn broke(error: &WireError) -> End {
    End::Misbehaved(format!("sent {error}"))
}
