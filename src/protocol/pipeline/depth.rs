//! How many requests to keep out: as many as the line to the peer holds and a little more, so that it neither runs dry nor hoards.
//!
//! Part of the pipeline. The line holds rate times round trip. The rate is the best of the last few windows of one round trip each; the
//! round trip is the shortest seen, because what is above it is our own queue, which must not feed itself.
//!
//! ```text
//! requests out
//!   │          ╭─╮ the rate has stopped growing, three windows in a row
//!   │         ╭╯ ╰───────────╮  ╭─────   rate x round trip x 1.25, and some spare
//!   │       ╭─╯              │  │
//!   │    ╭──╯                ╰──╯        now and then half of the line: how long is it without a queue?
//!   │ ╭──╯ twice as many per round trip
//!   └───────────────────────────────► time
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::protocol::{BLOCK_BYTES, BlockRange};

/// Requests that may be out before anything has come. TCP itself begins with less than one block per round trip and doubles, too.
pub(super) const FIRST: u32 = 4;
/// Slow start goes no further than this before a rate is known.
const BLIND: u32 = 128;
/// Fewest requests kept out: one is being answered, one is there when that is done.
const LEAST: u32 = 2;
/// Most requests ever out, 32 MiB: 1 Gbit/s over a quarter of a second, and half of the memory that all torrents share. libtorrent and
/// Transmission keep 2,000 by now, rTorrent 2,048 (their `reqq`).
pub const MAX_DEPTH: u32 = 2000;
/// The same for a peer that does not say how many it keeps. libtorrent and Transmission dare as much.
pub(super) const UNSAID: u32 = 500;
/// Beyond one round trip, requests for this much time are kept out, so that a hiccup of our own does not idle the peer...
const SLACK: Duration = Duration::from_millis(10);
/// ...or for a quarter of the round trip when that is more, so that a rate that can grow does grow.
const GAIN: f64 = 1.25;
/// And so much more, as far as these are no more than [`MOST_SPARE`]: for what is short against both, like a change of the path.
const SPARE: Duration = Duration::from_millis(500);
const MOST_SPARE: f64 = 32.0;
/// A window lasts one round trip and at least this.
const WINDOW: Duration = Duration::from_millis(50);
/// The rate is the best of so many windows.
const WINDOWS: u32 = 8;
/// Slow start ends after so many windows in a row in which the rate grew by less than a quarter: one may be a hiccup.
const FLAT: u8 = 3;
/// For so long a shortest round trip is believed; then the queue is drained and it is measured anew, which costs about one of them: so for
/// a hundred of them at least.
const BELIEVED: Duration = Duration::from_secs(10);
const BELIEVED_TRIPS: u32 = 100;
/// With fewer requests out there is no queue worth to be drained.
const WORTH_DRAINING: u32 = 8;

/// The depth of one connection's pipeline.
pub(super) struct Depth {
    requests: u32,
    /// Most requests that the other side keeps.
    limit: u32,
    /// Slow start: for how many windows in a row the rate has not grown. None: it is over.
    flat: Option<u8>,
    window: Window,
    /// Best rates of late, in bytes per second, with the ends of their windows: falling, because a later and better one replaces those
    /// before it.
    rates: VecDeque<(Duration, f64)>,
    /// The request whose round trip is being measured.
    probe: Option<(BlockRange, Duration)>,
    /// The shortest round trip, and when it was seen.
    round_trip: Option<Duration>,
    seen: Duration,
    /// The queue is being drained for a true round trip.
    draining: bool,
    /// Nothing is out, because nothing was to be asked.
    idle: bool,
}

/// What is being measured.
struct Window {
    began: Duration,
    bytes: u64,
    /// Fewer requests were out than the line holds: we were the limit, so this tells nothing about the peer unless it is better.
    short: bool,
}

impl Window {
    fn new(began: Duration) -> Self {
        Self { began, bytes: 0, short: false }
    }
}

impl Depth {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            requests: FIRST,
            limit: UNSAID,
            flat: Some(0),
            window: Window::new(now),
            rates: VecDeque::new(),
            probe: None,
            round_trip: None,
            seen: now,
            draining: false,
            idle: true,
        }
    }

    /// Most requests that may be out now.
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// Bytes per second; 0 before that is known.
    pub(super) fn rate(&self) -> f64 {
        self.rates.front().map_or(0.0, |(_, rate)| *rate)
    }

    /// The shortest round trip.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The other side keeps at most `requests`.
    pub(super) fn set_limit(&mut self, requests: u32) {
        self.limit = requests.clamp(1, MAX_DEPTH);
        self.requests = self.requests.min(self.limit);
    }

    /// As if nothing were known: the other side has stopped answering.
    pub(super) fn begin_again(&mut self, now: Duration) {
        let (limit, round_trip, seen) = (self.limit, self.round_trip, self.seen);
        *self = Self { requests: FIRST.min(limit), limit, round_trip, seen, ..Self::new(now) };
    }

    /// A request goes out.
    pub(super) fn asks(&mut self, range: BlockRange, now: Duration) {
        if std::mem::take(&mut self.idle) {
            self.window = Window { short: true, ..Window::new(now) };
        }
        self.probe.get_or_insert((range, now));
    }

    /// So many requests are out, and nothing else is to be asked now.
    pub(super) fn has_out(&mut self, out: u32) {
        self.window.short |= f64::from(out) < self.line().floor();
        self.idle = out == 0;
    }

    /// What was being measured will not come, or not for this reason.
    pub(super) fn forget_probe(&mut self) {
        self.probe = None;
    }

    /// A block that was asked for came.
    pub(super) fn came(&mut self, got: BlockRange, now: Duration) {
        if let Some((_, sent)) = self.probe.take_if(|(range, _)| *range == got) {
            self.went_round(now.saturating_sub(sent), now);
        }
        self.window.bytes += u64::from(got.length);
        if now.saturating_sub(self.window.began) >= self.window_length() {
            self.window_ends(now);
        }
        if let Some(flat) = self.flat
            && !self.draining
        {
            self.requests = self.starts(flat);
        }
    }

    /// Slow start: one more for each block, while the rate grows. The rate that is known is that of a round trip ago.
    fn starts(&self, flat: u8) -> u32 {
        match (self.rates.is_empty(), flat) {
            (true, _) => (self.requests + 1).min(BLIND).min(self.limit),
            (false, 0) => (self.requests + 1).min(self.at_most(4.0)),
            (false, _) => self.requests.min(self.at_most(2.0)),
        }
    }

    fn went_round(&mut self, time: Duration, now: Duration) {
        let above = |least: fn(Duration) -> Duration| self.round_trip.is_some_and(|known| time > least(known));
        if above(|known| known) && !self.draining {
            return;
        }
        if above(|known| 3 * known / 2 + SLACK) {
            // Another path. What it can do is found out as at the beginning.
            self.flat = Some(0);
        }
        (self.round_trip, self.seen) = (Some(time), now);
        if std::mem::take(&mut self.draining) {
            self.requests = self.at_most(GAIN);
        }
    }

    fn window_length(&self) -> Duration {
        self.round_trip.unwrap_or_default().max(WINDOW)
    }

    fn window_ends(&mut self, now: Duration) {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        let rate = window.bytes as f64 / now.saturating_sub(window.began).as_secs_f64();
        let best = self.rate();
        if !window.short || rate > best {
            while self.rates.pop_back_if(|(_, worse)| *worse <= rate).is_some() {}
            self.rates.push_back((now, rate));
        }
        let memory = self.window_length() * WINDOWS;
        while self.rates.len() > 1 && self.rates.front().is_some_and(|(ended, _)| *ended + memory < now) {
            self.rates.pop_front();
        }
        if let Some(flat) = self.flat
            && !window.short
        {
            let flat = if rate < GAIN * best { flat + 1 } else { 0 };
            self.flat = Some(flat).filter(|flat| *flat < FLAT);
        }
        if self.flat.is_none() && !self.draining {
            self.requests = self.at_most(GAIN);
            let believed = BELIEVED.max(self.round_trip.unwrap_or_default() * BELIEVED_TRIPS);
            if self.requests >= WORTH_DRAINING && now.saturating_sub(self.seen) >= believed {
                // The next request goes out when no more than these are under way, and is the one that is measured.
                self.requests = self.within_limits(self.line() / 2.0);
                (self.draining, self.probe) = (true, None);
            }
        }
    }

    /// Blocks that the line holds.
    fn line(&self) -> f64 {
        self.rate() * self.round_trip.unwrap_or_default().as_secs_f64() / f64::from(BLOCK_BYTES)
    }

    /// Blocks that should be out, for `gain` times what the line holds.
    fn at_most(&self, gain: f64) -> u32 {
        let blocks = |time: Duration| self.rate() * time.as_secs_f64() / f64::from(BLOCK_BYTES);
        let line = self.line();
        // A fast peer may not run dry; what a slow one holds, nobody else fetches.
        self.within_limits((gain * line).max(line + blocks(SLACK)) + blocks(SPARE).clamp(1.0, MOST_SPARE))
    }

    fn within_limits(&self, blocks: f64) -> u32 {
        (blocks.ceil() as u32).clamp(LEAST.min(self.limit), self.limit)
    }
}
