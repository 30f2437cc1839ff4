//! How runs end before all of their blocks have come: choked, rejected, delivered by others, or stale.
//!
//! Part of the pipeline. What is given up here may still come: it is counted, so that it is no offence.

use std::collections::VecDeque;
use std::time::Duration;

use super::flight::Flight;
use super::{
    FIRST_REFUSAL, FIRST_SNUB, LONGEST_SNUB, Landed, MOST_PATIENCE, Pipeline, Place, STALE_CEILING, STALE_FLOOR, Stray,
};
use crate::protocol::{BLOCK_BYTES, BlockRange, PieceIndex, Run};

impl<B> Pipeline<B> {
    /// The other side answers no more requests. What it will not answer goes back, with what had come. Without the fast extension (`fast`)
    /// that is everything; with it, blocks that were not asked for yet, but for pieces that it allows: requests that are out are
    /// answered or rejected one by one (BEP 6).
    pub fn choked(&mut self, fast: bool) -> Vec<Landed<B>> {
        self.am_choked = true;
        if !fast {
            return self.drain();
        }
        let mut gone = Vec::new();
        for mut flight in std::mem::take(&mut self.flights) {
            if !self.allowed.contains(&flight.run.piece) {
                gone.push(flight.split_off(flight.requested));
            }
            if flight.missing > 0 { self.flights.push_back(flight) } else { gone.push(flight) }
        }
        gone.into_iter().filter(|flight| flight.run.blocks > 0).map(Flight::land).collect()
    }

    /// The other side will not answer this request (BEP 6). The block goes back, and whatever is complete without it. A peer that rejects what it
    /// should answer gets no work for a second, and longer each time. `Err`: nobody asked for it.
    pub fn rejected(&mut self, range: BlockRange, now: Duration) -> Result<Vec<Landed<B>>, Stray> {
        let Some(place) = self.accept(range) else { return Err(self.answered_late()) };
        // Several that were asked for together are rejected together: that counts once.
        if self.may_ask(range.piece) && now >= self.snubbed_until {
            self.pause(now, FIRST_REFUSAL);
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        let (block, mut gone) = self.carve(place);
        gone.extend(block.map(Flight::land));
        self.owe_nothing();
        Ok(gone)
    }

    /// Another peer has delivered these blocks. Calls `cancel` for each that was still out; returns what is complete without them.
    pub fn cancel_blocks(
        &mut self,
        run: Run,
        range: impl Fn(PieceIndex, u32) -> BlockRange,
        mut cancel: impl FnMut(BlockRange),
    ) -> Vec<Landed<B>> {
        let mut gone = Vec::new();
        for n in run.numbers() {
            let holds = |f: &Flight<B>| f.run.piece == run.piece && f.run.numbers().contains(&n);
            let Some(flight) = self.flights.iter().position(holds) else { continue };
            let block = (n - self.flights[flight].run.first) as usize;
            if self.flights[flight].blocks[block].is_some() {
                continue;
            }
            let (cut, complete) = self.carve(Place { flight, block });
            gone.extend(complete);
            if cut.is_some_and(|cut| cut.requested > 0) {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.given_up += 1;
                cancel(range(run.piece, n));
            }
        }
        self.owe_nothing();
        gone
    }

    /// After [`Pipeline::put`] has made a run complete: what is here of the runs before it. Most peers answer in order, so what is missing
    /// of those may be long in coming; nobody else has to fetch the whole run because of one block. It stays asked for.
    pub fn overtaken(&mut self) -> Vec<Landed<B>> {
        let (mut kept, mut here) = (Vec::new(), Vec::new());
        for flight in self.flights.drain(..std::mem::take(&mut self.overtaken).min(self.flights.len())) {
            let parts = if flight.out() == flight.missing { flight.cut() } else { vec![flight] };
            for part in parts {
                if part.missing == 0 { here.push(part.land()) } else { kept.push(part) }
            }
        }
        kept.into_iter().rev().for_each(|flight| self.flights.push_front(flight));
        here
    }

    /// Cuts one block out of its flight. Returns it, and what is complete without it.
    fn carve(&mut self, place: Place) -> (Option<Flight<B>>, Vec<Landed<B>>) {
        let Some(mut before) = self.flights.remove(place.flight) else { return (None, Vec::new()) };
        let mut block = before.split_off(place.block as u32);
        let after = block.split_off(1);
        let mut complete = Vec::new();
        for part in [after, before] {
            if part.missing > 0 {
                self.flights.insert(place.flight, part);
            } else if part.run.blocks > 0 {
                complete.push(part.land());
            }
        }
        self.depth.forget_probe();
        (Some(block), complete)
    }

    /// The other side choked us or the connection ends: every run goes back, with what it had got.
    pub fn drain(&mut self) -> Vec<Landed<B>> {
        self.given_up += std::mem::take(&mut self.outstanding);
        self.depth.forget_probe();
        self.owing = None;
        self.flights.drain(..).map(Flight::land).collect()
    }

    /// `piece` is finished elsewhere: its runs end here. Calls `cancel` for each request that was still out.
    pub fn cancel(
        &mut self,
        piece: PieceIndex,
        range: impl Fn(PieceIndex, u32) -> BlockRange,
        mut cancel: impl FnMut(BlockRange),
    ) {
        let mut kept = VecDeque::with_capacity(self.flights.len());
        for flight in self.flights.drain(..) {
            if flight.run.piece != piece {
                kept.push_back(flight);
                continue;
            }
            self.outstanding = self.outstanding.saturating_sub(flight.out());
            self.given_up += flight.out();
            for (n, block) in (0..flight.requested).zip(&flight.blocks) {
                if block.is_none() {
                    cancel(range(piece, flight.run.first + n));
                }
            }
        }
        self.flights = kept;
        self.owe_nothing();
    }

    /// Runs whose requests have been out too long while nothing came: four times what this peer's own rate explains, at least
    /// 5 s; or so long (at least a minute), whatever else came. They go back with what they had got; a late answer is then unrequested and dropped.
    pub fn stale(&mut self, now: Duration) -> Vec<Landed<B>> {
        let (rate, depth) = (self.depth.rate(), f64::from(self.depth()));
        let expected = if rate > 0.0 { depth * f64::from(BLOCK_BYTES) / rate } else { 0.0 };
        let patience = Duration::from_secs_f64((4.0 * expected).min(MOST_PATIENCE.as_secs_f64()));
        let (limit, ceiling) = (patience.clamp(STALE_FLOOR, STALE_CEILING), patience.max(STALE_CEILING));
        let (late, good): (VecDeque<_>, VecDeque<_>) = self.flights.drain(..).partition(|f| {
            let quiet = now.saturating_sub(f.touched.max(self.delivered).max(self.heard));
            f.out() > 0 && (quiet >= limit || now.saturating_sub(f.touched) >= ceiling)
        });
        self.flights = good;
        self.outstanding = self.flights.iter().map(Flight::out).sum();
        self.given_up += late.iter().map(Flight::out).sum::<u32>();
        if !late.is_empty() {
            self.depth.forget_probe();
        }
        if late.iter().any(|f| self.may_ask(f.run.piece)) {
            self.pause(now, FIRST_SNUB);
        }
        late.into_iter().map(Flight::land).collect()
    }

    /// Nothing is out, and nothing was let go stale: nothing is owed.
    fn owe_nothing(&mut self) {
        if self.outstanding == 0 && self.snub.is_zero() {
            self.owing = None;
        }
    }

    /// It let requests go stale, or rejects what it should answer: no work for `first`, and longer each time.
    fn pause(&mut self, now: Duration, first: Duration) {
        self.depth.begin_again(now);
        self.snub = (2 * self.snub).clamp(first, LONGEST_SNUB);
        self.snubbed_until = now + self.snub;
    }
}
