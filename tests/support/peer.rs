//! A tiny seed that does exactly what its conduct says, right or wrong. One thread a connection; nothing clever.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::content::Content;
use super::loopback;
use super::torrent::Torrent;

pub(crate) const BLOCK_BYTES: u32 = 16_384;

/// A message of the peer wire that a seed cares about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Interested,
    Request(Request),
    Cancel(Request),
    /// Anything else, by its number.
    Other(u8),
    KeepAlive,
}

/// What a request or a cancel names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) piece: u32,
    pub(crate) begin: u32,
    pub(crate) length: u32,
}

/// What has happened at a seed so far.
#[derive(Default)]
pub(crate) struct Log {
    state: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default, Clone)]
pub(crate) struct Seen {
    /// Connections accepted.
    pub(crate) connections: u32,
    /// Every request, in the order heard.
    pub(crate) requests: Vec<Request>,
    /// Every block that was sent as asked, right or wrong.
    pub(crate) served: Vec<Request>,
    /// How often the seed did what it is there to do wrong.
    pub(crate) deeds: u32,
    /// What the other side did against the protocol: a bug of the program under test.
    pub(crate) violations: Vec<String>,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// A wrong was done: tests and other seeds may be waiting for it.
    pub(crate) fn deed(&self) {
        self.note(|seen| seen.deeds += 1);
    }

    fn violation(&self, what: String) -> io::Error {
        self.note(|seen| seen.violations.push(what.clone()));
        io::Error::other(what)
    }

    /// Everything so far.
    pub(crate) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Blocks until `condition` holds; `false` when `limit` has passed first.
    pub(crate) fn wait(&self, limit: Duration, condition: impl Fn(&Seen) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut seen = self.lock();
        while !condition(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// How a seed treats one connection, from accept to close.
pub(crate) type Conduct = dyn Fn(&mut Wire) -> io::Result<()> + Send + Sync;

/// A listening seed. Dropping it closes every connection, ends its threads, and fails the test if the program under test
/// broke the protocol.
pub(crate) struct Seed {
    pub(crate) addr: SocketAddr,
    pub(crate) log: Arc<Log>,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    stopped: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Seed {
    /// A seed of `content` on a loopback port of its own.
    pub(crate) fn start(
        torrent: &Torrent,
        content: &Content,
        conduct: impl Fn(&mut Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> Seed {
        Seed::start_at(loopback(0), torrent, content, conduct)
    }

    /// A seed of `content` at this address.
    pub(crate) fn start_at(
        addr: SocketAddr,
        torrent: &Torrent,
        content: &Content,
        conduct: impl Fn(&mut Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> Seed {
        let listener = TcpListener::bind(addr).expect("a loopback listener");
        let addr = listener.local_addr().expect("its address");
        let log = Arc::new(Log::default());
        let shared =
            Arc::new(Shared { stopped: AtomicBool::new(false), open: Mutex::default(), threads: Mutex::default() });
        let (conduct, torrent, content): (Arc<Conduct>, _, _) =
            (Arc::new(conduct), Arc::new(torrent.clone()), Arc::new(content.clone()));
        let (accept_log, accept_shared) = (log.clone(), shared.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accept_shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let Ok(clone) = stream.try_clone() else { continue };
                accept_shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(clone);
                accept_log.note(|seen| seen.connections += 1);
                let mut wire =
                    Wire { stream, torrent: torrent.clone(), content: content.clone(), log: accept_log.clone() };
                let conduct = conduct.clone();
                let connection = std::thread::spawn(move || {
                    // A connection that the other side closes is how every conduct ends.
                    let _ = conduct(&mut wire);
                    let _ = wire.stream.shutdown(Shutdown::Both);
                });
                accept_shared.threads.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
        });
        Seed { addr, log, shared, listener: Some(thread) }
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes `accept`.
        let _ = TcpStream::connect(self.addr);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
        let violations = self.log.seen().violations;
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "the program under test broke the protocol: {violations:?}");
        }
    }
}

/// One connection, as its conduct sees it.
pub(crate) struct Wire {
    stream: TcpStream,
    pub(crate) torrent: Arc<Torrent>,
    content: Arc<Content>,
    pub(crate) log: Arc<Log>,
}

impl Wire {
    /// A wire over a connection that somebody else has made.
    pub(crate) fn over(stream: TcpStream, torrent: Arc<Torrent>, content: Arc<Content>, log: Arc<Log>) -> Wire {
        Wire { stream, torrent, content, log }
    }

    /// This side's address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket")
    }

    /// How long a read may wait; `None`: for ever.
    pub(crate) fn read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(limit)
    }

    /// The same connection, for another thread.
    pub(crate) fn twin(&self) -> Wire {
        let stream = self.stream.try_clone().expect("another descriptor of the socket");
        Wire { stream, torrent: self.torrent.clone(), content: self.content.clone(), log: self.log.clone() }
    }

    /// Reads the other side's handshake, which names this torrent.
    pub(crate) fn hear_handshake(&mut self) -> io::Result<()> {
        self.hear_hello().map(|_| ())
    }

    /// As [`Wire::hear_handshake`], with its bytes.
    pub(crate) fn hear_hello(&mut self) -> io::Result<[u8; 68]> {
        let mut handshake = [0; 68];
        self.stream.read_exact(&mut handshake)?;
        if !handshake.starts_with(b"\x13BitTorrent protocol") {
            // Some clients try an encrypted handshake first and a plain one when that is refused.
            return Err(io::ErrorKind::InvalidData.into());
        }
        if handshake[28..48] != self.torrent.info_hash {
            return Err(self.log.violation("a handshake with another info hash".into()));
        }
        Ok(handshake)
    }

    /// Our handshake, for this info hash.
    pub(crate) fn handshake_bytes(&self, info_hash: &[u8; 20]) -> Vec<u8> {
        let id = format!("-TS0001-{:012}", self.stream.local_addr().map_or(0, |addr| addr.port()));
        [b"\x13BitTorrent protocol".as_slice(), &[0; 8], info_hash, id.as_bytes()].concat()
    }

    /// Both handshakes, then a full bitfield.
    pub(crate) fn greet(&mut self) -> io::Result<()> {
        self.greet_with(&self.full_bitfield())
    }

    /// Both handshakes, then these bytes as the bitfield.
    pub(crate) fn greet_with(&mut self, bitfield: &[u8]) -> io::Result<()> {
        self.hear_handshake()?;
        self.send(&self.handshake_bytes(&self.torrent.info_hash))?;
        self.message(5, bitfield)
    }

    /// Both handshakes, ours with these reserved bytes; nothing else.
    pub(crate) fn greet_claiming(&mut self, reserved: [u8; 8]) -> io::Result<()> {
        self.hear_handshake()?;
        let mut handshake = self.handshake_bytes(&self.torrent.info_hash);
        handshake[20..28].copy_from_slice(&reserved);
        self.send(&handshake)
    }

    /// One bit a piece, all set, spare bits zero.
    pub(crate) fn full_bitfield(&self) -> Vec<u8> {
        let pieces = self.torrent.pieces as usize;
        let mut bits = vec![0xff; pieces.div_ceil(8)];
        if let (Some(last), spare @ 1..) = (bits.last_mut(), (8 - pieces % 8) % 8) {
            *last <<= spare;
        }
        bits
    }

    /// Raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A framed message.
    pub(crate) fn message(&mut self, id: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len() + 1).expect("a short message").to_be_bytes();
        self.send(&[&length, [id].as_slice(), payload].concat())
    }

    pub(crate) fn choke(&mut self) -> io::Result<()> {
        self.message(0, &[])
    }

    pub(crate) fn unchoke(&mut self) -> io::Result<()> {
        self.message(1, &[])
    }

    /// The next frame of the other side: the message's number and its payload; empty for a keep-alive.
    pub(crate) fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word)?;
        let length = u32::from_be_bytes(word) as usize;
        if length > 1 << 20 {
            return Err(self.log.violation(format!("a frame of {length} bytes")));
        }
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// The next message of the other side.
    pub(crate) fn hear(&mut self) -> io::Result<Heard> {
        let frame = self.frame()?;
        let number = |at: usize| frame.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
        let request = Request { piece: number(1), begin: number(5), length: number(9) };
        Ok(match frame.first() {
            None => Heard::KeepAlive,
            Some(2) => Heard::Interested,
            Some(6) => {
                self.log.note(|seen| seen.requests.push(request));
                Heard::Request(request)
            }
            Some(8) => Heard::Cancel(request),
            Some(other) => Heard::Other(*other),
        })
    }

    /// The next request of the other side.
    pub(crate) fn hear_request(&mut self) -> io::Result<Request> {
        loop {
            if let Heard::Request(request) = self.hear()? {
                return Ok(request);
            }
        }
    }

    /// The right bytes of `request`.
    pub(crate) fn bytes_of(&self, request: Request) -> Vec<u8> {
        let offset = u64::from(request.piece) * self.torrent.piece_bytes + u64::from(request.begin);
        self.content.bytes(offset, request.length as usize)
    }

    /// The wire's `piece` message with any bytes.
    pub(crate) fn block(&mut self, piece: u32, begin: u32, bytes: &[u8]) -> io::Result<()> {
        self.message(7, &[&piece.to_be_bytes(), &begin.to_be_bytes(), bytes].concat())
    }

    /// Answers `request` as it should be. A request that is itself wrong is a violation.
    pub(crate) fn serve(&mut self, request: Request) -> io::Result<()> {
        let torrent = &self.torrent;
        let fits = request.piece < torrent.pieces
            && (1..=BLOCK_BYTES).contains(&request.length)
            && request.begin as usize + request.length as usize <= torrent.piece_length(request.piece);
        if !fits {
            return Err(self.log.violation(format!("{request:?}")));
        }
        self.block(request.piece, request.begin, &self.bytes_of(request))?;
        self.log.note(|seen| seen.served.push(request));
        Ok(())
    }

    /// Greets, unchokes, answers everything, until the other side leaves.
    pub(crate) fn serve_all(&mut self) -> io::Result<()> {
        self.greet()?;
        self.unchoke()?;
        loop {
            let request = self.hear_request()?;
            self.serve(request)?;
        }
    }

    /// As [`Wire::serve_all`], at most `rate` bytes a second.
    pub(crate) fn serve_paced(&mut self, rate: u64) -> io::Result<()> {
        self.serve_paced_until(rate, u64::MAX)
    }

    /// As [`Wire::serve_paced`], until so many bytes are sent.
    pub(crate) fn serve_paced_until(&mut self, rate: u64, bytes: u64) -> io::Result<()> {
        self.greet()?;
        self.unchoke()?;
        let began = Instant::now();
        let mut sent = 0;
        while sent < bytes {
            let request = self.hear_request()?;
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            std::thread::park_timeout(due.saturating_sub(began.elapsed()));
            sent += u64::from(request.length);
            self.serve(request)?;
        }
        Ok(())
    }

    /// As [`Wire::serve_paced`], and heeds cancels. What `refuses` says is taken and never answered: a deed each.
    pub(crate) fn serve_well(&mut self, rate: u64, refuses: impl Fn(Request) -> bool) -> io::Result<()> {
        self.greet()?;
        self.unchoke()?;
        let (sender, heard) = std::sync::mpsc::channel();
        let mut ears = self.twin();
        let listening = std::thread::spawn(move || {
            while let Ok(message) = ears.hear() {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut queue = std::collections::VecDeque::<Request>::new();
        let began = Instant::now();
        let mut sent = 0;
        loop {
            let first = if queue.is_empty() { heard.recv().ok() } else { heard.try_recv().ok() };
            let Some(message) = first else {
                let Some(request) = queue.pop_front() else { break };
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                std::thread::park_timeout(due.saturating_sub(began.elapsed()));
                sent += u64::from(request.length);
                self.serve(request)?;
                continue;
            };
            match message {
                Heard::Request(request) if refuses(request) => self.log.deed(),
                Heard::Request(request) => queue.push_back(request),
                Heard::Cancel(request) => queue.retain(|waiting| *waiting != request),
                _ => {}
            }
        }
        let _ = listening.join();
        Ok(())
    }

    /// Listens and never answers, until the other side leaves.
    pub(crate) fn stay_silent(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer)? > 0 {}
        Ok(())
    }

    /// Sends back whatever comes, until the other side leaves.
    pub(crate) fn echo(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let n = self.stream.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            self.send(&buffer[..n])?;
        }
    }

    /// The head of the wire's `piece` message that answers `request`.
    pub(crate) fn block_head(request: Request) -> Vec<u8> {
        let length = (9 + request.length).to_be_bytes();
        [length.as_slice(), &[7], &request.piece.to_be_bytes(), &request.begin.to_be_bytes()].concat()
    }

    /// Closes the connection in the middle of whatever it is.
    pub(crate) fn hang_up(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Both)
    }
}
