//! What one peer process has asked of the other side and not yet got: granted runs, the requests that are
//! out for them, the blocks that came, and how deep the pipeline may be.
//!
//! Pure: time comes in as a parameter, blocks are whatever the caller puts in (`B`), nothing is sent from here.
//! It never asks for a block that was not granted and never takes one that was not asked for.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::{BLOCK_BYTES, BlockRange, PieceIndex, Run};

mod depth;
mod ends;
mod flight;
mod landed;

use depth::Depth;
pub use depth::MAX_DEPTH;
use flight::Flight;
pub use landed::Landed;

/// Most blocks in one run: 1 MiB.
const MAX_RUN: u32 = 64;
/// A request unanswered for this long is stale whatever the peer's rate.
const STALE_FLOOR: Duration = Duration::from_secs(5);
/// A request unanswered for this long is stale, whatever else the peer sends.
const STALE_CEILING: Duration = Duration::from_secs(60);
/// However slow a peer is, a request is stale after this.
const MOST_PATIENCE: Duration = Duration::from_secs(300);
/// A peer that let requests go stale (is *snubbing* us) gets no work for so long; doubled each time, until a block comes.
const FIRST_SNUB: Duration = Duration::from_secs(10);
/// The same after it rejected requests that it should answer: a disk of its may be busy for a moment.
const FIRST_REFUSAL: Duration = Duration::from_secs(1);
const LONGEST_SNUB: Duration = Duration::from_secs(160);
/// A peer that has owed us blocks for so long and sent none is snubbing us, as far as choking is concerned.
const SNUBBED: Duration = Duration::from_secs(60);
/// Bytes that have to come before a peer counts as heard again; a byte now and then is no sign of life.
const SIGN_OF_LIFE: usize = 1024;
/// Most pieces that a peer may allow while it chokes; more are not noted.
const MAX_ALLOWED: usize = 64;
/// Where an accepted block belongs; made by [`Pipeline::accept`], spent by [`Pipeline::put`].
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    flight: usize,
    block: usize,
}

/// The pipeline of one connection.
pub struct Pipeline<B> {
    flights: VecDeque<Flight<B>>,
    /// Runs that were asked for before the one that was complete last, and are not.
    overtaken: usize,
    outstanding: u32,
    depth: Depth,
    /// Requests given up that may be answered all the same: a cancel or a choke crosses the blocks on the wire.
    given_up: u32,
    /// No work is asked for before this; how long that was, zero when blocks come.
    snubbed_until: Duration,
    snub: Duration,
    /// When a block last came, and when another [`SIGN_OF_LIFE`] bytes did; how many are missing to the next one.
    delivered: Duration,
    heard: Duration,
    unheard: usize,
    /// Since when the other side has owed us a block and sent none.
    owing: Option<Duration>,
    am_choked: bool,
    /// Pieces that the other side answers for while it chokes (BEP 6).
    allowed: BTreeSet<PieceIndex>,
}

/// A block that has no place in the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// It was asked for once, and given up since.
    Late,
    /// Nobody asked for it.
    Unrequested,
}

impl<B> Pipeline<B> {
    /// An empty pipeline at time `now`.
    pub fn new(now: Duration) -> Self {
        Self {
            flights: VecDeque::new(),
            overtaken: 0,
            outstanding: 0,
            depth: Depth::new(now),
            given_up: 0,
            snubbed_until: Duration::ZERO,
            snub: Duration::ZERO,
            delivered: now,
            heard: now,
            unheard: SIGN_OF_LIFE,
            owing: None,
            am_choked: true,
            allowed: BTreeSet::new(),
        }
    }

    /// The other side keeps at most `requests` at a time (its `reqq`, BEP 10).
    pub fn set_limit(&mut self, requests: u32) {
        self.depth.set_limit(requests);
    }

    /// The other side answers for `piece` even while it chokes us (BEP 6). False when that was known, or is one too many.
    pub fn allow(&mut self, piece: PieceIndex) -> bool {
        self.allowed.len() < MAX_ALLOWED && self.allowed.insert(piece)
    }

    /// True when blocks of `piece` may be asked for now.
    pub fn may_ask(&self, piece: PieceIndex) -> bool {
        !self.am_choked || self.allowed.contains(&piece)
    }

    /// True when blocks of some piece may be asked for now.
    pub fn may_ask_any(&self) -> bool {
        !self.am_choked || !self.allowed.is_empty()
    }

    /// The other side answers requests again.
    pub fn unchoked(&mut self) {
        self.am_choked = false;
    }

    /// So many bytes came, of whatever: a link on which a block takes seconds is slow, and its peer not silent.
    pub fn heard(&mut self, bytes: usize, now: Duration) {
        self.unheard = self.unheard.saturating_sub(bytes);
        if self.unheard == 0 {
            (self.heard, self.unheard) = (now, SIGN_OF_LIFE);
        }
    }

    /// Our own limits kept us from reading for so long: that does not count against the other side.
    pub fn throttled(&mut self, by: Duration) {
        let times = [&mut self.delivered, &mut self.heard].into_iter().chain(&mut self.owing);
        times.chain(self.flights.iter_mut().map(|f| &mut f.touched)).for_each(|time| *time += by);
    }

    /// True when the other side has owed us blocks for a minute and has sent none.
    pub fn is_snubbed(&self, now: Duration) -> bool {
        self.owing.is_some_and(|since| now.saturating_sub(since) >= SNUBBED)
    }

    /// Takes a run that the client granted.
    pub fn grant(&mut self, run: Run, now: Duration) {
        self.flights.push_back(Flight::new(run, now));
    }

    /// Blocks that could be granted now so that the pipeline does not run dry; 0: enough is in hand.
    /// None for a while after requests went stale, so that silent peers do not hold the last blocks in turn.
    pub fn room(&self, now: Duration) -> u32 {
        if now < self.snubbed_until {
            return 0;
        }
        let unsent: u32 = self.flights.iter().map(|f| f.run.blocks - f.requested).sum();
        let (in_hand, depth) = (self.outstanding + unsent, self.depth.requests());
        // Asked for when the last request goes out, while a full line is on its way: in whole runs, not block by block.
        let ahead = (depth / 2).clamp(1, MAX_RUN);
        if in_hand > depth { 0 } else { (depth + ahead - in_hand).min(MAX_RUN) }
    }

    /// True when nothing is granted or on its way.
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// True when time alone changes nothing: nothing is granted or owed, and no pause is under way.
    pub fn is_at_rest(&self, now: Duration) -> bool {
        self.flights.is_empty() && self.owing.is_none() && now >= self.snubbed_until
    }

    /// Requests that are out.
    pub fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Most requests that may be out now.
    pub fn depth(&self) -> u32 {
        self.depth.requests()
    }

    /// Bytes of blocks that come per second, the best of the last few round trips; 0 before that is known.
    pub fn rate(&self) -> u64 {
        self.depth.rate() as u64
    }

    /// The shortest time between a request and its block of late; none before a block has come.
    pub fn round_trip(&self) -> Option<Duration> {
        self.depth.round_trip()
    }

    /// The next requests to send, oldest run first, as long as the depth allows. `range` tells a block's bytes.
    pub fn requests(
        &mut self,
        now: Duration,
        range: impl Fn(PieceIndex, u32) -> BlockRange,
        mut send: impl FnMut(BlockRange),
    ) {
        let (am_choked, allowed) = (self.am_choked, &self.allowed);
        for flight in self.flights.iter_mut().filter(|f| !am_choked || allowed.contains(&f.run.piece)) {
            while flight.requested < flight.run.blocks {
                if self.outstanding >= self.depth.requests() {
                    return;
                }
                let wire = range(flight.run.piece, flight.run.first + flight.requested);
                self.depth.asks(wire, now);
                flight.requested += 1;
                flight.touched = now;
                self.outstanding += 1;
                self.owing.get_or_insert(now);
                send(wire);
            }
        }
        self.depth.has_out(self.outstanding);
    }

    /// A block arrived: its place when it was asked for, `None` when it was not (or came twice).
    pub fn accept(&self, got: BlockRange) -> Option<Place> {
        if !got.begin.is_multiple_of(BLOCK_BYTES) {
            return None;
        }
        let number = got.begin / BLOCK_BYTES;
        self.flights.iter().enumerate().find_map(|(flight, f)| {
            let block = number.checked_sub(f.run.first)?;
            let asked = f.run.piece == got.piece && block < f.requested;
            (asked && f.blocks.get(block as usize)?.is_none()).then_some(Place { flight, block: block as usize })
        })
    }

    /// A block that [`accept`](Self::accept) had no place for came.
    pub fn stray(&mut self) -> Stray {
        let stray = self.answered_late();
        if stray == Stray::Late {
            // Late, but it does deliver.
            (self.snub, self.snubbed_until) = (Duration::ZERO, Duration::ZERO);
        }
        stray
    }

    fn answered_late(&mut self) -> Stray {
        if self.given_up == 0 {
            return Stray::Unrequested;
        }
        self.given_up -= 1;
        Stray::Late
    }

    /// Puts a block in its place. The run, when that was its last block.
    pub fn put(&mut self, place: Place, got: BlockRange, block: B, now: Duration) -> Option<Landed<B>> {
        self.depth.came(got, now);
        self.delivered = now;
        (self.snub, self.snubbed_until) = (Duration::ZERO, Duration::ZERO);
        self.outstanding = self.outstanding.saturating_sub(1);
        self.owing = (self.outstanding > 0).then_some(now);
        let flight = self.flights.get_mut(place.flight)?;
        flight.touched = now;
        if flight.blocks.get_mut(place.block)?.replace(block).is_none() {
            flight.missing -= 1;
        }
        if flight.missing > 0 {
            return None;
        }
        self.overtaken = place.flight;
        self.flights.remove(place.flight).map(Flight::land)
    }
}

#[cfg(test)]
mod tests;
