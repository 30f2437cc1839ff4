//! A long, fat pipe between two programs on one machine: TCP is forwarded with a fixed delay each way at a limited rate, and what
//! passes is counted as the calling side sees it.
//!
//! Each leg is a loopback connection of its own, so neither window bounds what is under way: the relay itself is the line. A direction is
//! two threads, one that reads and stamps, one that writes what is due. What waits for its turn on the line is bounded by
//! [`QUEUE`]; then the relay stops reading, as a link without loss does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes wait no longer than this for their turn on the line.
const QUEUE: Duration = Duration::from_millis(5);
/// Most bytes read at a time; on a slow line, no more than wait.
const STRIDE_BYTES: usize = 64 * 1024;
/// The grid of [`Passed::bytes`].
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What the line is like, in both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// There and back.
    pub(crate) round_trip: Duration,
    /// Bytes per second.
    pub(crate) rate: u64,
}

impl Line {
    /// Bytes under way when the line is full.
    pub(crate) fn holds(self) -> u64 {
        (self.rate as f64 * self.round_trip.as_secs_f64()) as u64
    }
}

/// What has passed, all connections together, as the side that called has seen it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// Requests that it sent; and those that it took back.
    pub(crate) requests: u64,
    pub(crate) cancels: u64,
    /// Blocks that it got.
    pub(crate) blocks: u64,
    /// Most requests that were out at once.
    pub(crate) most_out: u64,
    /// Bytes that it got, in ticks from its first call on.
    pub(crate) bytes: Vec<u64>,
}

impl Passed {
    /// Requests that are out.
    pub(crate) fn out(&self) -> u64 {
        self.requests.saturating_sub(self.cancels + self.blocks)
    }

    /// How long it took until a tenth of a second passed at nine tenths of `rate`; and the share of `rate` from then to the last byte.
    pub(crate) fn ramp(&self, rate: u64) -> Option<(Duration, f64)> {
        const TENTH: usize = 10;
        let full = rate as f64 * TICK.as_secs_f64();
        let sum = |ticks: &[u64]| ticks.iter().sum::<u64>() as f64;
        let at = self.bytes.windows(TENTH).position(|ticks| sum(ticks) >= 0.9 * full * TENTH as f64)?;
        Some((TICK * at as u32, sum(&self.bytes[at..]) / (full * (self.bytes.len() - at) as f64)))
    }

    /// The share of `rate` from the first call to the last byte.
    pub(crate) fn share(&self, rate: u64) -> f64 {
        self.bytes.iter().sum::<u64>() as f64 / (rate as f64 * TICK.as_secs_f64() * self.bytes.len().max(1) as f64)
    }
}

/// A listening relay. Dropping it closes every connection and ends its threads.
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    passed: Mutex<(Option<Instant>, Passed)>,
    changed: Condvar,
    stopped: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Relay {
    /// A relay to `to` on a loopback port of its own.
    pub(crate) fn start(to: SocketAddr, line: Line) -> io::Result<Relay> {
        Relay::start_at((Ipv4Addr::LOCALHOST, 0).into(), to, line)
    }

    /// A relay to `to` at this address.
    pub(crate) fn start_at(at: SocketAddr, to: SocketAddr, line: Line) -> io::Result<Relay> {
        let listener = TcpListener::bind(at)?;
        let (addr, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let inside = shared.clone();
        let listener = std::thread::spawn(move || {
            for called in listener.incoming() {
                if inside.stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A side that is gone ends its connection; the next one is as good.
                let _ = called.and_then(|called| inside.join(called, to, line));
            }
        });
        Ok(Relay { addr, shared, listener: Some(listener) })
    }

    /// What has passed so far.
    pub(crate) fn passed(&self) -> Passed {
        lock(&self.shared.passed).1.clone()
    }

    /// Blocks until `condition` holds; `false` when `limit` has passed first.
    pub(crate) fn wait(&self, limit: Duration, condition: impl Fn(&Passed) -> bool) -> bool {
        let passed = lock(&self.shared.passed);
        let waited = self.shared.changed.wait_timeout_while(passed, limit, |(_, passed)| !condition(passed));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listener looks at `stopped` when somebody calls.
        let _ = TcpStream::connect(self.addr);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in std::mem::take(&mut *lock(&self.shared.threads)) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn join(self: &Arc<Self>, called: TcpStream, to: SocketAddr, line: Line) -> io::Result<()> {
        let other = TcpStream::connect(to)?;
        lock(&self.passed).0.get_or_insert_with(Instant::now);
        for stream in [&called, &other] {
            stream.set_nodelay(true)?;
            lock(&self.open).push(stream.try_clone()?);
        }
        self.pump(called.try_clone()?, other.try_clone()?, line, Way::There);
        self.pump(other, called, line, Way::Back);
        Ok(())
    }

    /// Forwards one direction until either side ends it.
    fn pump(self: &Arc<Self>, mut from: TcpStream, mut to: TcpStream, line: Line, way: Way) {
        let (sender, due) = channel();
        let (ears, mouth) = (self.clone(), self.clone());
        // Requests are counted when they set out, blocks when they arrive.
        let tap = |of| (of == way).then(|| Tap::new(way));
        let (mut there, mut back) = (tap(Way::There), tap(Way::Back));
        let reading = std::thread::spawn(move || {
            let _ = stamp(&mut from, line, &sender, |bytes| ears.note(there.as_mut(), bytes));
        });
        let writing = std::thread::spawn(move || {
            let _ = deliver(&mut to, &due, |bytes| mouth.note(back.as_mut(), bytes));
            let _ = to.shutdown(Shutdown::Both);
        });
        lock(&self.threads).extend([reading, writing]);
    }

    fn note(&self, tap: Option<&mut Tap>, bytes: &[u8]) {
        let Some(tap) = tap else { return };
        let mut passed = lock(&self.passed);
        let (began, passed) = &mut *passed;
        let tick = began.map_or(0, |began| began.elapsed().as_micros() / TICK.as_micros()) as usize;
        tap.hear(bytes, passed);
        if tap.way == Way::Back {
            if passed.bytes.len() <= tick {
                passed.bytes.resize(tick + 1, 0);
            }
            passed.bytes[tick] += bytes.len() as u64;
        }
        self.changed.notify_all();
    }
}

/// Reads, and says of each stretch when it comes out at the other end.
fn stamp(
    from: &mut TcpStream,
    line: Line,
    sender: &Sender<(Instant, Vec<u8>)>,
    mut heard: impl FnMut(&[u8]),
) -> io::Result<()> {
    let waits = (line.rate as f64 * QUEUE.as_secs_f64()) as usize;
    let mut buffer = vec![0; waits.clamp(64, STRIDE_BYTES)];
    let mut free = Instant::now();
    loop {
        let n = from.read(&mut buffer)?;
        heard(&buffer[..n]);
        free = free.max(Instant::now()) + Duration::from_secs_f64(n as f64 / line.rate as f64);
        if n == 0 || sender.send((free + line.round_trip / 2, buffer[..n].to_vec())).is_err() {
            return Ok(());
        }
        wait_until(free - QUEUE);
    }
}

/// Writes what is due.
fn deliver(to: &mut TcpStream, due: &Receiver<(Instant, Vec<u8>)>, mut said: impl FnMut(&[u8])) -> io::Result<()> {
    while let Ok((at, bytes)) = due.recv() {
        wait_until(at);
        said(&bytes);
        to.write_all(&bytes)?;
    }
    Ok(())
}

fn wait_until(at: Instant) {
    while let Some(left) = at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

const HANDSHAKE_BYTES: usize = 68;

/// Counts the messages of a stream that are of interest, without keeping any.
struct Tap {
    way: Way,
    /// Bytes of the handshake or of a message that are still to come and do not matter.
    skip: usize,
    /// The beginning of a frame: its length and its kind.
    head: Vec<u8>,
}

impl Tap {
    fn new(way: Way) -> Tap {
        Tap { way, skip: HANDSHAKE_BYTES, head: Vec::new() }
    }

    fn hear(&mut self, mut bytes: &[u8], passed: &mut Passed) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            while self.skip == 0 && self.head.len() < 5 {
                let Some((first, rest)) = bytes.split_first() else { break };
                self.head.push(*first);
                bytes = rest;
                if self.head == [0; 4] {
                    self.head.clear();
                }
            }
            if let [a, b, c, d, kind] = self.head[..] {
                self.skip = u32::from_be_bytes([a, b, c, d]) as usize - 1;
                self.head.clear();
                self.count(kind, passed);
            }
        }
    }

    /// A message of this kind has begun.
    fn count(&self, kind: u8, passed: &mut Passed) {
        match (self.way, kind) {
            (Way::There, 6) => passed.requests += 1,
            (Way::There, 8) => passed.cancels += 1,
            (Way::Back, 7) => passed.blocks += 1,
            _ => {}
        }
        passed.most_out = passed.most_out.max(passed.out());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
