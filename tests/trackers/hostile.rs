//! Trackers that misbehave: one small HTTP server each, on loopback, a thread per connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// A tracker that does what its test says.
pub(crate) struct Tracker {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What happened at a tracker so far.
#[derive(Default)]
struct Seen {
    /// First lines of the requests.
    requests: Mutex<Vec<String>>,
    changed: Condvar,
    /// Bytes that the other side, or the kernel between us, has taken.
    sent: AtomicU64,
    /// Connections that are over.
    ended: AtomicU64,
}

/// One request to be answered.
pub(crate) struct Call {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl Tracker {
    /// Calls `behave` for every request.
    pub(crate) fn new(behave: impl Fn(&mut Call) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen, behave) = (listener.local_addr().unwrap(), Arc::new(Seen::default()), Arc::new(behave));
        let noted = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, behave) = (noted.clone(), behave.clone());
                thread::spawn(move || {
                    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    let request = lines.next().unwrap_or_default();
                    lines.find(String::is_empty);
                    drop(lines);
                    seen.requests.lock().unwrap().push(request);
                    seen.changed.notify_all();
                    // An error here is the client hanging up, which many of these tests are about.
                    let _ = behave(&mut Call { stream, seen: seen.clone() });
                    seen.ended.fetch_add(1, Ordering::SeqCst);
                    let _guard = seen.requests.lock().unwrap();
                    seen.changed.notify_all();
                });
            }
        });
        Self { address, seen }
    }

    /// Answers every request with `bytes`.
    pub(crate) fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |call| call.send(&bytes))
    }

    /// Answers every announce with this bencode.
    pub(crate) fn answering(body: &[u8]) -> Self {
        Self::saying([&b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"[..], body].concat())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Waits until a request holds `text`.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait(|requests| requests.iter().any(|request| request.contains(text)), text);
    }

    /// Waits until every connection is over, then says how many bytes could be sent.
    pub(crate) fn sent_in_the_end(&self) -> u64 {
        let seen = self.seen.clone();
        self.wait(move |requests| seen.ended.load(Ordering::SeqCst) == requests.len() as u64, "the end");
        self.seen.sent.load(Ordering::SeqCst)
    }

    /// Checked again whenever something happens here.
    fn wait(&self, good: impl Fn(&[String]) -> bool, what: &str) {
        let requests = self.seen.requests.lock().unwrap();
        let limit = Duration::from_secs(60);
        let waited = self.seen.changed.wait_timeout_while(requests, limit, |requests| !good(requests)).unwrap();
        assert!(!waited.1.timed_out(), "waited for {what}, got {:?}", *waited.0);
    }
}

impl Call {
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.seen.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    /// Sends `piece` until it has sent `total` bytes or the client hangs up.
    pub(crate) fn send_much(&mut self, piece: &[u8], total: u64) -> std::io::Result<()> {
        (0..total / piece.len() as u64).try_for_each(|_| self.send(piece))
    }

    /// Says nothing more, until the client hangs up.
    pub(crate) fn fall_silent(&mut self) -> std::io::Result<()> {
        std::io::copy(&mut self.stream, &mut std::io::sink()).map(drop)
    }
}

/// An address where nobody listens, and nobody can begin to while this is held.
pub(crate) fn nobody() -> (socket2::Socket, String) {
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap();
    (bound, format!("http://{address}/announce"))
}

/// `bytes` zeros, packed as gzip: about a thousandth of that.
pub(crate) fn gzip_bomb(bytes: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..bytes / 65536).for_each(|_| packed.write_all(&[0; 65536]).unwrap());
    packed.finish().unwrap()
}
