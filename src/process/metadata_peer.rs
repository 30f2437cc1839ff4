//! One per connection of a magnet link: asks a peer for pieces of the info dictionary (BEP 9, BEP 10), and for nothing else.
//!
//! Parent: `metadata_peers_sup`. Restart: temporary; the address book says when the address is called again. Lost on restart: the connection.
//! It keeps one frame at most and no piece; whoever does not answer in time is left. What to ask for is decided by `metadata`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use supervisors::{Exit, ExitReason, Process};

use super::metadata;
use super::peer::{CLIENT, End, shake};
use crate::protocol::extension::frames::{Frame, Frames, LONGEST};
use crate::protocol::extension::metadata::Metadata;
use crate::protocol::extension::{Extension, Hello, Ids};
use crate::protocol::{Handshake, Message, wire};
use crate::rt::clock;
use crate::rt::net::{self, Socket};
use crate::tables::{MagnetTable, lock};

/// Longest wait for a connection, for what we write to be taken, and for the extension handshake.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for a piece that was asked for.
const ANSWER: Duration = Duration::from_secs(15);
/// A connection on which there is nothing to ask for is kept so long.
const IDLE: Duration = Duration::from_secs(110);
/// Before an address is called again: after the network ended it, and after it had nothing for us.
const REST: Duration = Duration::from_secs(3);
const LONG_REST: Duration = Duration::from_secs(30);
/// Extension handshakes, pieces that were not asked for, requests for what we lack: so many of all are borne.
const PATIENCE: u32 = 64;
/// Holds a piece with its head; grows for an extension handshake that is longer.
const BUFFER: usize = 20 * 1024;

/// What the process is told.
pub(crate) enum Msg {
    /// From `metadata`: ask the other side for this piece.
    Ask { piece: u32 },
    /// From `metadata`: the connection is not wanted.
    Close { reason: &'static str },
}

/// The address is held in the book as long as this lives, however the process ends.
struct Holding<'a> {
    magnet: &'a MagnetTable,
    address: SocketAddr,
    rest: Duration,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        lock(&self.magnet.book).released(self.address, clock::since_start() + self.rest);
    }
}

/// The process body.
pub(crate) async fn run(process: Process, magnet: Arc<MagnetTable>, address: SocketAddr) -> Exit {
    let mut holding = Holding { magnet: &magnet, address, rest: REST };
    lock(&magnet.book).calling(address);
    let Err(end) = fetch(&process, &magnet, address).await;
    log::debug!("peer {address}: {end}");
    match end {
        End::Environment(reason) => {
            let _ = lock(&magnet.book).failed(address);
            return Err(ExitReason::Environment(reason));
        }
        End::Misbehaved(reason) => magnet.metadata.cast(metadata::Msg::Misbehaved { address, reason }),
        End::Goodbye(_) | End::BothSeed | End::Myself => holding.rest = LONG_REST,
    }
    Ok(())
}

async fn fetch(process: &Process, magnet: &MagnetTable, address: SocketAddr) -> Result<Infallible, End> {
    let (me, mailbox) = supervisors::mailbox();
    process.shows(&mailbox);
    let mut inbox = mailbox.stream();
    let socket = net::connect(address, LIMIT).await?;
    shake_hands(&socket, magnet).await?;
    let peer = metadata::Peer { address, pid: process.pid(), addr: me };
    let mut talk = Talk {
        magnet,
        address,
        socket: &socket,
        newcomer: Some(peer),
        theirs: Hello::default(),
        asked: BTreeSet::new(),
        oddities: 0,
        until: clock::since_start() + LIMIT,
    };
    let hello = Hello { ids: Ids::ours(&[Extension::Metadata]), client: Some(CLIENT.to_owned()), ..Hello::default() };
    talk.say(0, &hello.encode()).await?;
    let (mut frames, mut buffer, mut end) = (Frames::default(), vec![0; BUFFER], 0);
    loop {
        let left = talk.until.saturating_sub(clock::since_start());
        let mut reader = &socket;
        let read = futures::select_biased! {
            message = inbox.next() => match message {
                Some(Msg::Ask { piece }) => {
                    talk.ask(piece).await?;
                    continue;
                }
                Some(Msg::Close { reason }) => return Err(End::Goodbye(reason.to_owned())),
                None => return Err(End::Goodbye("nobody asks any more".to_owned())),
            },
            read = reader.read(&mut buffer[end..]).fuse() => read?,
            () = Box::pin(clock::sleep(left)).fuse() => return Err(talk.too_late()),
        };
        if read == 0 {
            return Err(End::Environment("hung up".to_owned()));
        }
        end += read;
        let mut start = 0;
        loop {
            match frames.next(&buffer[start..end]).map_err(|error| End::Misbehaved(error.to_string()))? {
                Frame::Extended { id, payload, used } => {
                    talk.hear(id, payload).await?;
                    start += used;
                }
                Frame::Skipped { used } => start += used,
                Frame::Partial => break,
            }
        }
        buffer.copy_within(start..end, 0);
        end -= start;
        if end == buffer.len() {
            buffer.resize(LONGEST, 0);
        }
    }
}

async fn shake_hands(socket: &Socket, magnet: &MagnetTable) -> Result<(), End> {
    let (info_hash, peer_id) = (magnet.magnet.info_hash, magnet.session.peer_id);
    let mut writer = socket;
    clock::timeout(LIMIT, writer.write_all(&Handshake::for_metadata(info_hash, peer_id).encode())).await??;
    let theirs = shake::hear(socket).await?;
    if theirs.info_hash != info_hash {
        return Err(End::Misbehaved(format!("answered for another torrent ({})", theirs.info_hash)));
    }
    if theirs.peer_id == peer_id {
        return Err(End::Goodbye("that is this client itself".to_owned()));
    }
    if !theirs.has_extension_protocol() {
        return Err(End::Goodbye("does not speak the extension protocol".to_owned()));
    }
    Ok(())
}

/// A connection that has shaken hands.
struct Talk<'a> {
    magnet: &'a MagnetTable,
    address: SocketAddr,
    socket: &'a Socket,
    /// Until `metadata` is told of the connection.
    newcomer: Option<metadata::Peer>,
    theirs: Hello,
    asked: BTreeSet<u32>,
    /// What it sent that was of no use.
    oddities: u32,
    /// Without anything that is waited for by then, it ends.
    until: Duration,
}

impl Talk<'_> {
    async fn say(&mut self, id: u8, payload: &[u8]) -> Result<(), End> {
        let mut frame = Vec::new();
        wire::encode(&Message::Extended { id, payload }, &mut frame);
        let mut writer = self.socket;
        Ok(clock::timeout(LIMIT, writer.write_all(&frame)).await??)
    }

    async fn ask(&mut self, piece: u32) -> Result<(), End> {
        let Some(id) = self.theirs.ids.get(Extension::Metadata) else { return Ok(()) };
        if self.asked.is_empty() {
            self.until = clock::since_start() + ANSWER;
        }
        self.asked.insert(piece);
        self.say(id, &Metadata::Request { piece }.encode()).await
    }

    async fn hear(&mut self, id: u8, payload: &[u8]) -> Result<(), End> {
        let bad = |what: &str, error| End::Misbehaved(format!("sent a bad {what}: {error}"));
        if id == 0 {
            self.odd()?;
            self.theirs.update(payload).map_err(|error| bad("extension handshake", error))?;
            return self.heard_hello();
        }
        if Extension::of_our_id(id) != Some(Extension::Metadata) {
            return self.odd();
        }
        match Metadata::decode(payload).map_err(|error| bad("metadata message", error))? {
            Metadata::Data { piece, total_bytes, bytes } if self.asked.remove(&piece) => {
                let wait = if self.asked.is_empty() { IDLE } else { ANSWER };
                self.until = clock::since_start() + wait;
                let (address, bytes) = (self.address, bytes.into());
                self.magnet.metadata.cast(metadata::Msg::Piece { address, piece, total_bytes, bytes });
                Ok(())
            }
            Metadata::Reject { .. } => Err(End::Goodbye("does not give the info dictionary".to_owned())),
            Metadata::Request { piece } => {
                self.odd()?;
                match self.theirs.ids.get(Extension::Metadata) {
                    Some(id) => self.say(id, &Metadata::Reject { piece }.encode()).await,
                    None => Ok(()),
                }
            }
            Metadata::Data { .. } | Metadata::Unknown => self.odd(),
        }
    }

    fn heard_hello(&mut self) -> Result<(), End> {
        let (Some(_), Some(total_bytes)) = (self.theirs.ids.get(Extension::Metadata), self.theirs.metadata_bytes)
        else {
            return Err(End::Goodbye("has no info dictionary to give".to_owned()));
        };
        if let Some(peer) = self.newcomer.take() {
            self.until = clock::since_start() + IDLE;
            self.magnet.metadata.cast(metadata::Msg::Joined { peer, total_bytes });
        }
        Ok(())
    }

    fn odd(&mut self) -> Result<(), End> {
        self.oddities += 1;
        if self.oddities > PATIENCE {
            return Err(End::Misbehaved("sends messages that nobody asked for".to_owned()));
        }
        Ok(())
    }

    fn too_late(&self) -> End {
        match (&self.newcomer, self.asked.is_empty()) {
            (Some(_), _) => End::Environment("said nothing of the info dictionary in time".to_owned()),
            (None, true) => End::Goodbye("there is nothing to ask it for".to_owned()),
            (None, false) => End::Environment("does not answer requests for the info dictionary".to_owned()),
        }
    }
}
