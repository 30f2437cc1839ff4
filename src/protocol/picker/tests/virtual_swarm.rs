//! Whole downloads in virtual time: pickers and pipelines as they are, peers that are a rate and a round trip.

use std::collections::VecDeque;

use super::*;
use crate::protocol::BlockRange;
use crate::protocol::pipeline::Pipeline;

const STEP: Duration = Duration::from_millis(10);

/// A seed that serves its queue in order.
struct Seed {
    key: PeerKey,
    /// Bytes per second, and how long a word takes there and back.
    rate: u64,
    round_trip: Duration,
    /// It says nothing from here on.
    silent_from: Duration,
    pipeline: Pipeline<()>,
    /// Requests and cancels on their way to it, and what it is to serve.
    post: VecDeque<(Duration, BlockRange, bool)>,
    queue: VecDeque<BlockRange>,
    /// Bytes that it may send now; blocks on their way back.
    credit: u64,
    wire: VecDeque<(Duration, BlockRange)>,
    /// Bytes per second that came from it, as the client measures it; and the bytes since the last second.
    measured: u64,
    bytes: u64,
}

impl Seed {
    fn new(number: u64, kib_per_second: u64, round_trip_ms: u64, silent_from_secs: u64) -> Self {
        let mut pipeline = Pipeline::new(T0);
        pipeline.unchoked();
        Self {
            key: PeerKey(number),
            rate: kib_per_second * 1024,
            round_trip: Duration::from_millis(round_trip_ms),
            silent_from: Duration::from_secs(silent_from_secs),
            pipeline,
            post: VecDeque::new(),
            queue: VecDeque::new(),
            credit: 0,
            wire: VecDeque::new(),
            measured: 0,
            bytes: 0,
        }
    }

    /// Serves for one step; returns the blocks that arrive.
    fn serve(&mut self, now: Duration) -> Vec<BlockRange> {
        while let Some((_, range, wanted)) = self.post.pop_front_if(|(due, ..)| *due <= now) {
            if wanted { self.queue.push_back(range) } else { self.queue.retain(|queued| *queued != range) }
        }
        if now < self.silent_from {
            let sent = self.rate * STEP.as_millis() as u64 / 1000;
            self.credit = if self.queue.is_empty() { 0 } else { self.credit + sent };
            if !self.queue.is_empty() {
                self.pipeline.heard(sent as usize, now);
            }
            while self.credit >= u64::from(BLOCK_BYTES)
                && let Some(range) = self.queue.pop_front()
            {
                self.credit -= u64::from(BLOCK_BYTES);
                self.wire.push_back((now + self.round_trip / 2, range));
            }
        }
        std::iter::from_fn(|| self.wire.pop_front_if(|(due, _)| *due <= now).map(|(_, range)| range)).collect()
    }
}

/// What a download came to.
#[derive(Debug)]
struct Came {
    after: Duration,
    /// Blocks that came in vain, in a thousand of those that were needed.
    in_vain: u64,
    /// So many blocks lay between the first that was missing and one that was asked for, at most; the last piece does not count.
    ahead: u64,
}

/// Fetches so many pieces of 64 blocks from seeds with a budget of 64 open pieces.
fn download(pieces: u32, mut seeds: Vec<Seed>, picking: Picking) -> Came {
    let layout = layout(pieces, 64);
    let all = Bitfield::full(pieces);
    let mut picker = Picker::new(layout.clone(), &Bitfield::new(pieces), &all, std::iter::empty(), picking);
    seeds.iter().for_each(|seed| picker.joined(seed.key, all.clone()));
    let (mut here, mut came) = (BTreeSet::new(), 0);
    let (mut missing, mut ahead) = (0, 0);
    let place = |piece: PieceIndex, n: u32| u64::from(piece.0) * 64 + u64::from(n);
    let mut now = T0;
    while here.len() < 64 * pieces as usize {
        now += STEP;
        assert!(now < Duration::from_secs(3600), "{} of {} blocks are here", here.len(), 64 * pieces);
        let mut landed = Vec::new();
        for seed in &mut seeds {
            for range in seed.serve(now) {
                came += 1;
                seed.bytes += u64::from(BLOCK_BYTES);
                if let Some(place) = seed.pipeline.accept(range) {
                    landed.extend(seed.pipeline.put(place, range, (), now));
                } else {
                    seed.pipeline.stray();
                }
            }
            if now.as_millis().is_multiple_of(1000) {
                seed.measured = if seed.measured == 0 { seed.bytes } else { (2 * seed.measured + seed.bytes) / 3 };
                seed.bytes = 0;
                for back in seed.pipeline.stale(now) {
                    for run in back.missing() {
                        picker.give_back(seed.key, run);
                        let due = now + seed.round_trip / 2;
                        seed.post.extend(run.numbers().map(|n| (due, layout.block(run.piece, n), false)));
                    }
                    landed.push(back);
                }
            }
        }
        // A run that lands may end runs of others, and these land too.
        while let Some(run) = landed.pop() {
            for (n, ()) in &run.blocks {
                here.insert((run.run.piece, *n));
                for (key, run) in picker.received(Run { first: *n, blocks: 1, ..run.run }).doubled {
                    for Seed { pipeline, post, round_trip, .. } in seeds.iter_mut().filter(|seed| seed.key == key) {
                        let due = now + *round_trip / 2;
                        let cancel = |range| post.push_back((due, range, false));
                        landed.extend(pipeline.cancel_blocks(run, |piece, n| layout.block(piece, n), cancel));
                    }
                }
            }
            while here.contains(&(PieceIndex((missing / 64) as u32), (missing % 64) as u32)) {
                missing += 1;
            }
            if (0..64).all(|n| here.contains(&(run.run.piece, n))) {
                picker.finished(run.run.piece);
            }
        }
        for seed in &mut seeds {
            let due = now + seed.round_trip / 2;
            while let blocks @ 1.. = seed.pipeline.room(now) {
                let room = picker.open_pieces() < 64;
                let ask = Ask { key: seed.key, blocks, rate: seed.measured, fast: false, room: 0 };
                let Grant::Run(run) = picker.grant(ask, now, |_| if room { Opening::Kept } else { Opening::Not })
                else {
                    break;
                };
                if run.piece.0 + 1 < pieces {
                    ahead = ahead.max(place(run.piece, run.first + run.blocks).saturating_sub(missing));
                }
                seed.pipeline.grant(run, now);
            }
            let post = &mut seed.post;
            seed.pipeline.requests(now, |piece, n| layout.block(piece, n), |range| post.push_back((due, range, true)));
        }
    }
    Came { after: now, in_vain: (came - here.len() as u64) * 1000 / here.len() as u64, ahead }
}

const NEVER: u64 = 1_000_000;

/// The pieces of one MiB that these seeds could bring together, all of them at their best to the end.
fn ideal(pieces: u32, kib_per_second: u64) -> Duration {
    Duration::from_millis(u64::from(pieces) * 1024 * 1000 / kib_per_second)
}

#[test]
fn equal_peers_share_a_download_and_fetch_next_to_nothing_twice() {
    for sequential in [false, true] {
        let seeds = (1..=20).map(|n| Seed::new(n, 100, 20 + n, NEVER)).collect();
        let came = download(64, seeds, Picking { sequential, ..RAREST });
        assert!(came.in_vain < 10, "{came:?}");
        assert!(came.after < ideal(64, 2000) * 115 / 100, "{came:?}");
    }
}

#[test]
fn a_slow_peer_and_a_silent_one_hold_up_nothing() {
    let seeds = || {
        let mut seeds: Vec<Seed> = (1..=6).map(|n| Seed::new(n, 500, 50, NEVER)).collect();
        seeds.push(Seed::new(7, 2, 300, NEVER));
        seeds.push(Seed::new(8, 500, 50, 15));
        seeds
    };
    for picking in [RAREST, Picking { endgame_from: 85, ..RAREST }, Picking { sequential: true, ..RAREST }] {
        let came = download(64, seeds(), picking);
        assert!(came.in_vain < 10, "{picking:?}: {came:?}");
        assert!(came.after < ideal(64, 3000) * 115 / 100, "{picking:?}: {came:?}");
    }
}

#[test]
fn the_last_blocks_of_a_peer_that_falls_silent_at_the_end_are_here_within_a_second() {
    let seeds = || vec![Seed::new(1, 1000, 50, NEVER), Seed::new(2, 1000, 50, 7)];
    let came = download(16, seeds(), RAREST);
    assert!(came.in_vain < 10, "{came:?}");
    assert!(came.after < ideal(16, 2000) + Duration::from_millis(1500), "{came:?}");
}

#[test]
fn in_order_nothing_is_asked_for_far_beyond_what_is_missing_however_different_the_peers_are() {
    for rates in [&[2000; 4][..], &[3000, 1000, 300, 100], &[6000, 500, 20, 5], &[8000, 2], &[300, 20, 20, 5, 5, 1]] {
        let seeds = (1..).zip(rates).map(|(n, rate)| Seed::new(n, *rate, 50, NEVER)).collect();
        let (came, sum) = (download(128, seeds, Picking { sequential: true, ..RAREST }), rates.iter().sum::<u64>());
        // What comes in two seconds, and four pieces: a slow peer is helped after one, and may have begun the next piece by then.
        assert!(came.ahead * 16 <= 2 * sum + 4 * 1024, "{rates:?}: {came:?}");
        assert!(came.in_vain < 10 && came.after < ideal(128, sum) * 115 / 100, "{rates:?}: {came:?}");
    }
}
