//! A peer that calls the program under test, from any loopback address, and says exactly what its test makes it say.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::content::Content;
use super::peer::{BLOCK_BYTES, Log, Request, Wire};
use super::torrent::Torrent;

/// The reserved bytes of a handshake that claims nothing.
pub(crate) const PLAIN: [u8; 8] = [0; 8];
/// The fast extension (BEP 6) and the extension protocol (BEP 10).
pub(crate) const MODERN: [u8; 8] = [0, 0, 0, 0, 0, 0x10, 0, 0x04];

/// Longest wait for anything that the program under test says.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests that an honest leech has out.
const DEPTH: usize = 64;

/// Whom to call and how to introduce oneself.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) to: SocketAddr,
    /// The last byte of the loopback address that it calls from.
    pub(crate) from: u8,
    pub(crate) reserved: [u8; 8],
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) content: Arc<Content>,
    pub(crate) log: Arc<Log>,
}

impl Caller {
    /// Calls `to` from 127.0.0.1 and claims both extensions.
    pub(crate) fn new(to: SocketAddr, torrent: &Torrent, content: &Content) -> Caller {
        let (torrent, content) = (Arc::new(torrent.clone()), Arc::new(content.clone()));
        Caller { to, from: 1, reserved: MODERN, torrent, content, log: Arc::default() }
    }

    /// From another address of the loopback network.
    pub(crate) fn from(&self, from: u8) -> Caller {
        Caller { from, log: Arc::default(), ..self.clone() }
    }

    /// With another claim in the handshake.
    pub(crate) fn claiming(&self, reserved: [u8; 8]) -> Caller {
        Caller { reserved, ..self.clone() }
    }

    /// The connection, before a byte is said.
    pub(crate) fn connect(&self) -> io::Result<Wire> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, self.from), 0)).into())?;
        socket.connect(&self.to.into())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire::over(socket.into(), self.torrent.clone(), self.content.clone(), self.log.clone()))
    }

    /// The handshake with a peer id of its own.
    pub(crate) fn hello(&self) -> Vec<u8> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.hello_as(format!("-TS0001-{:03}{number:09}", self.from).as_bytes())
    }

    /// The handshake with this peer id.
    pub(crate) fn hello_as(&self, peer_id: &[u8]) -> Vec<u8> {
        [b"\x13BitTorrent protocol".as_slice(), &self.reserved, &self.torrent.info_hash, peer_id].concat()
    }

    /// A connection on which both sides have shaken hands.
    pub(crate) fn call(&self) -> io::Result<Wire> {
        let mut wire = self.connect()?;
        wire.send(&self.hello())?;
        wire.hear_handshake()?;
        Ok(wire)
    }

    /// As [`Caller::call`], and has said that it has nothing.
    pub(crate) fn call_with_nothing(&self) -> io::Result<Wire> {
        let mut wire = self.call()?;
        if self.reserved[7] & 4 != 0 {
            wire.message(15, &[])?;
        }
        Ok(wire)
    }

    /// Downloads everything as an honest leech does; an error when a byte is wrong or the connection ends. How long it took.
    pub(crate) fn leech(&self) -> io::Result<Duration> {
        let began = Instant::now();
        let mut wire = self.call_with_nothing()?;
        wire.message(2, &[])?;
        wire.fetch(0..self.torrent.pieces)?;
        Ok(began.elapsed())
    }
}

impl Request {
    /// The message's payload.
    pub(crate) fn bytes(self) -> Vec<u8> {
        [self.piece, self.begin, self.length].map(u32::to_be_bytes).concat()
    }
}

impl Wire {
    /// The requests that cover `pieces`.
    pub(crate) fn requests_of(&self, pieces: std::ops::Range<u32>) -> Vec<Request> {
        let of_piece = |piece| {
            let length = self.torrent.piece_length(piece) as u32;
            let block = move |begin| Request { piece, begin, length: BLOCK_BYTES.min(length - begin) };
            (0..length).step_by(BLOCK_BYTES as usize).map(block)
        };
        pieces.flat_map(of_piece).collect()
    }

    /// Asks for all blocks of `pieces` whenever it may, until they are here; each is compared.
    pub(crate) fn fetch(&mut self, pieces: std::ops::Range<u32>) -> io::Result<()> {
        let mut wanted: VecDeque<Request> = self.requests_of(pieces).into();
        let mut out = BTreeSet::new();
        let mut choked = true;
        while !wanted.is_empty() || !out.is_empty() {
            while !choked
                && out.len() < DEPTH
                && let Some(request) = wanted.pop_front()
            {
                self.message(6, &request.bytes())?;
                out.insert(request);
            }
            let frame = self.frame()?;
            match frame.first() {
                Some(0) => choked = true,
                Some(1) => choked = false,
                Some(7) => {
                    let request = named_by(&frame).ok_or_else(|| io::Error::other("a short block message"))?;
                    let request = Request { length: frame.len() as u32 - 9, ..request };
                    if !out.remove(&request) {
                        return Err(io::Error::other(format!("a block that nobody asked for: {request:?}")));
                    }
                    if frame[9..] != self.bytes_of(request) {
                        return Err(io::Error::other(format!("a wrong block: {request:?}")));
                    }
                }
                Some(16) => {
                    let request = named_by(&frame).ok_or_else(|| io::Error::other("a short reject"))?;
                    if out.remove(&request) {
                        wanted.push_back(request);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Hears until a message with this number comes.
    pub(crate) fn until_message(&mut self, id: u8) -> io::Result<Vec<u8>> {
        loop {
            let frame = self.frame()?;
            if frame.first() == Some(&id) {
                return Ok(frame);
            }
        }
    }

    /// Asks for the first block and hears until it is answered or rejected: the other side is there and listens. Needs the fast extension.
    pub(crate) fn ping(&mut self) -> io::Result<()> {
        let request = Request { piece: 0, begin: 0, length: 1 };
        self.message(6, &request.bytes())?;
        loop {
            let frame = self.frame()?;
            if matches!(frame.first(), Some(7 | 16)) && frame.get(1..9) == Some(&request.bytes()[..8]) {
                return Ok(());
            }
        }
    }

    /// Reads until the other side has closed.
    pub(crate) fn until_closed(&mut self) -> io::Result<()> {
        match self.stay_silent() {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            other => other,
        }
    }

    /// A message of the extension protocol.
    pub(crate) fn extended(&mut self, id: u8, payload: &[u8]) -> io::Result<()> {
        self.message(20, &[&[id], payload].concat())
    }
}

/// The request that a block, a reject or a cancel names.
fn named_by(frame: &[u8]) -> Option<Request> {
    let number = |at: usize| Some(u32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?));
    let length = if frame.first() == Some(&7) { 0 } else { number(9)? };
    Some(Request { piece: number(1)?, begin: number(5)?, length })
}
