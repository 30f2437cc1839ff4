//! Rate limits that many connections share: exact, fair, and free of charge when there is no limit.
//!
//! Bytes leave a bucket at its rate. Whoever wants some and finds none takes a place in its queue, and is granted a few as soon as all
//! before it have theirs. So everybody is served in turn, nobody starves, and a waiting sharer sleeps
//! once for each grant. Bytes taken and not used go back. Pure: time is a parameter and nothing here waits; a [`Throttle`] is one
//! bucket behind a lock, because peer processes on all threads share it, and a [`Flow`] is one connection's way through several.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much flow may be saved up while nobody takes. It makes up for sharers that wake late, and bounds bursts.
const SAVED: Duration = Duration::from_millis(250);
/// A sharer alone is given this much flow at once, so that it wakes ten times a second.
const TURN: Duration = Duration::from_millis(100);
/// Many sharers are given at least this much each, so that all of them together wake 200 times a second.
const SHORTEST_TURN: Duration = Duration::from_millis(5);
/// No grant is smaller, in bytes, unless less is wanted: tiny packets are mostly headers.
const SMALLEST_GRANT: u64 = 128;
/// Nobody is told to wait for less: the flow of that time is saved up meanwhile.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
/// And for no more: bytes that others give back are soon somebody's.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The length of an allowance.
const TEN_SECONDS: Duration = Duration::from_secs(10);
/// Stands for no limit.
const UNLIMITED: u64 = u64::MAX;
const NANOS: i128 = 1_000_000_000;

/// What became of a wish for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// So many may be moved now, at least 1 and at most what was wanted; what is not moved is given back.
    Now(u64),
    /// None yet. Ask again after this time, not 0; asking earlier is harmless.
    Wait(Duration),
}

/// A place in the queue. They are numbered in the order in which they were taken.
#[derive(Debug, Clone, Copy)]
struct Place {
    number: u64,
    bytes: u64,
}

/// One limit.
#[derive(Debug)]
struct Bucket {
    /// Bytes per second, at least 1.
    rate: u64,
    /// What has flowed and belongs to nobody, in billionths of bytes; below zero when a grant is ahead of the flow.
    saved: i128,
    seen: Duration,
    /// Places that are not granted yet.
    queue: VecDeque<Place>,
    next: u64,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), saved: 0, seen: Duration::ZERO, queue: VecDeque::new(), next: 0 }
    }

    /// Lets flow what flowed since it was last looked at, and grants from the head of the queue: a grant begins as soon as nothing is owed.
    fn advance(&mut self, now: Duration) {
        self.saved = (self.saved + self.flow_of(now.saturating_sub(self.seen))).min(self.flow_of(SAVED));
        self.seen = self.seen.max(now);
        while self.saved >= 0
            && let Some(place) = self.queue.pop_front()
        {
            self.saved -= i128::from(place.bytes) * NANOS;
        }
    }

    /// Billionths of bytes that flow in `time`.
    fn flow_of(&self, time: Duration) -> i128 {
        i128::try_from(time.as_nanos().saturating_mul(u128::from(self.rate))).unwrap_or(i128::MAX / 2)
    }

    /// How many bytes one grant has now.
    fn grant_bytes(&self) -> u64 {
        let sharers = u32::try_from(self.queue.len() + 1).unwrap_or(u32::MAX);
        let turn = (TURN / sharers).max(SHORTEST_TURN);
        u64::try_from(self.flow_of(turn) / NANOS).unwrap_or(u64::MAX).max(SMALLEST_GRANT)
    }

    /// A place at the end of the queue, for at most `wanted` bytes.
    fn queue_up(&mut self, wanted: u64) -> Place {
        let place = Place { number: self.next, bytes: wanted.min(self.grant_bytes()).max(1) };
        self.next += 1;
        self.queue.push_back(place);
        place
    }

    fn position(&self, place: Place) -> Option<usize> {
        self.queue.binary_search_by_key(&place.number, |p| p.number).ok()
    }

    /// How long until the place is granted; none when it is.
    fn wait_for(&self, place: Place) -> Option<Duration> {
        let before = self.queue.iter().take(self.position(place)?).map(|p| i128::from(p.bytes) * NANOS);
        let missing = u128::try_from(before.sum::<i128>() - self.saved).unwrap_or(0);
        let nanos = missing.div_ceil(u128::from(self.rate));
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).clamp(SHORTEST_WAIT, LONGEST_WAIT))
    }

    fn give_back(&mut self, bytes: u64) {
        self.saved += i128::from(bytes) * NANOS;
    }

    /// Its holder is gone: those behind it move up, or its bytes go back.
    fn leave(&mut self, place: Place) {
        match self.position(place) {
            Some(at) => drop(self.queue.remove(at)),
            None => self.give_back(place.bytes),
        }
    }
}

/// A limit that many share.
#[derive(Debug)]
pub struct Throttle {
    /// Bytes per second; [`UNLIMITED`] for none. A copy of what the bucket knows, to be read without its lock.
    limit: AtomicU64,
    bucket: Mutex<Bucket>,
}

impl Throttle {
    /// At most `limit` bytes per second (at least 1); `None`: as many as anybody wants.
    pub fn new(limit: Option<u64>) -> Arc<Self> {
        let limit = limit.map_or(UNLIMITED, |limit| limit.clamp(1, UNLIMITED - 1));
        Arc::new(Self { limit: AtomicU64::new(limit), bucket: Mutex::new(Bucket::new(limit)) })
    }

    /// Bytes per second; `None` when there is no limit.
    pub fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit != UNLIMITED)
    }

    /// Changes the limit from `now` on. Those who wait keep their places and feel it when they ask next.
    pub fn set_limit(&self, limit: Option<u64>, now: Duration) {
        let limit = limit.map_or(UNLIMITED, |limit| limit.clamp(1, UNLIMITED - 1));
        let mut bucket = self.lock();
        if self.limit.swap(limit, Ordering::Relaxed) == UNLIMITED || limit == UNLIMITED {
            *bucket = Bucket { seen: now, next: bucket.next, ..Bucket::new(limit) };
        } else {
            bucket.advance(now);
            bucket.rate = limit;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's part in one throttle. Dropped, it leaves the queue and gives back what it holds.
#[derive(Debug)]
struct Share {
    throttle: Arc<Throttle>,
    place: Option<Place>,
    /// Bytes that are taken from this throttle and wait for the next one.
    held: u64,
}

impl Share {
    /// Bytes that this throttle lets pass now, at most `wanted`; they are held until they are spent.
    fn pass(&mut self, wanted: u64, now: Duration) -> Taken {
        if self.throttle.limit().is_none() {
            return Taken::Now(wanted);
        }
        if self.held == 0 {
            let mut bucket = self.throttle.lock();
            let place = self.place.take().unwrap_or_else(|| bucket.queue_up(wanted));
            bucket.advance(now);
            if let Some(wait) = bucket.wait_for(place) {
                self.place = Some(place);
                return Taken::Wait(wait);
            }
            self.held = place.bytes;
        }
        Taken::Now(self.held.min(wanted))
    }

    /// Of what is held `bytes` are spent; the rest goes back.
    fn spend(&mut self, bytes: u64) {
        let rest = std::mem::take(&mut self.held).saturating_sub(bytes);
        self.give_back(rest);
    }

    fn give_back(&self, bytes: u64) {
        if bytes > 0 && self.throttle.limit().is_some() {
            self.throttle.lock().give_back(bytes);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.place.is_none() && self.held == 0 {
            return;
        }
        let mut bucket = self.throttle.lock();
        bucket.give_back(self.held);
        if let Some(place) = self.place {
            bucket.leave(place);
        }
    }
}

/// Bytes that one connection may move in each ten seconds.
#[derive(Debug)]
struct Allowance {
    bytes: u64,
    left: u64,
    renewed: Duration,
}

impl Allowance {
    fn pass(&mut self, wanted: u64, now: Duration) -> Taken {
        let passed = now.saturating_sub(self.renewed);
        if passed >= TEN_SECONDS {
            self.left = self.bytes;
            self.renewed = now;
        }
        match self.left.min(wanted) {
            0 => Taken::Wait(TEN_SECONDS.saturating_sub(passed).max(SHORTEST_WAIT)),
            bytes => Taken::Now(bytes),
        }
    }
}

/// One connection's way, in one direction, through its own allowance and the throttles that it shares, the narrowest first.
#[derive(Debug)]
pub struct Flow {
    allowance: Option<Allowance>,
    shares: Vec<Share>,
}

impl Flow {
    /// Through these throttles: the torrent's before the session's.
    pub fn new(throttles: impl IntoIterator<Item = Arc<Throttle>>) -> Self {
        let share = |throttle| Share { throttle, place: None, held: 0 };
        Self { allowance: None, shares: throttles.into_iter().map(share).collect() }
    }

    /// The same, with at most `bytes` (at least 1) in each ten seconds; `None`: no such bound.
    pub fn with_allowance(bytes: Option<u64>, throttles: impl IntoIterator<Item = Arc<Throttle>>) -> Self {
        let renewed = Duration::ZERO;
        let allowance = bytes.map(|n| n.max(1)).map(|bytes| Allowance { bytes, left: bytes, renewed });
        Self { allowance, ..Self::new(throttles) }
    }

    /// Takes up to `wanted` bytes (0 is taken as 1), as many as all limits let pass.
    pub fn take(&mut self, wanted: u64, now: Duration) -> Taken {
        let mut bytes = wanted.max(1);
        if let Some(allowance) = &mut self.allowance {
            match allowance.pass(bytes, now) {
                Taken::Now(n) => bytes = n,
                wait => return wait,
            }
        }
        for share in &mut self.shares {
            match share.pass(bytes, now) {
                Taken::Now(n) => bytes = n,
                wait => return wait,
            }
        }
        for share in &mut self.shares {
            share.spend(bytes);
        }
        if let Some(allowance) = &mut self.allowance {
            allowance.left -= bytes;
        }
        Taken::Now(bytes)
    }

    /// Of the bytes last taken so many were not moved.
    pub fn give_back(&mut self, unused: u64) {
        if let Some(allowance) = &mut self.allowance {
            allowance.left = allowance.left.saturating_add(unused).min(allowance.bytes);
        }
        for share in &self.shares {
            share.give_back(unused);
        }
    }
}

#[cfg(test)]
mod tests;
