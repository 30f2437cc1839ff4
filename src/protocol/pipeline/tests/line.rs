//! A pipeline on a simulated line: a peer that serves in order at a rate, with a delay there and back, jitter, and stalls as lost packets
//! make them: nothing comes for a while, then all of it at once.

use proptest::prelude::*;

use super::*;

const STEP: Duration = Duration::from_millis(1);
const MIB: f64 = 1024.0 * 1024.0;

/// What the line is like at some time.
#[derive(Clone, Copy)]
struct Line {
    /// Bytes per second.
    rate: f64,
    round_trip: Duration,
}

fn line(rate: f64, round_trip_ms: u64) -> Line {
    Line { rate, round_trip: Duration::from_millis(round_trip_ms) }
}

impl Line {
    /// Blocks that it holds.
    fn holds(self) -> f64 {
        self.carries(self.round_trip)
    }

    /// Blocks that it carries in this time.
    fn carries(self, time: Duration) -> f64 {
        self.rate * time.as_secs_f64() / f64::from(BLOCK_BYTES)
    }
}

/// The far end, and what is under way.
struct Far {
    jitter: Duration,
    rng: fastrand::Rng,
    /// Requests on their way: when they are there.
    asked: VecDeque<(Duration, BlockRange)>,
    /// When it has sent what it has begun to send.
    busy: Duration,
    /// Blocks on their way: when they are here.
    sent: VecDeque<(Duration, BlockRange)>,
}

impl Far {
    fn new(jitter: Duration) -> Self {
        let rng = fastrand::Rng::with_seed(7);
        Self { jitter, rng, asked: VecDeque::new(), busy: T0, sent: VecDeque::new() }
    }

    fn serve(&mut self, now: Duration, line: Line) {
        while self.busy <= now
            && let Some((there, range)) = self.asked.pop_front_if(|(there, _)| *there <= now)
        {
            self.busy = self.busy.max(there) + Duration::from_secs_f64(f64::from(BLOCK_BYTES) / line.rate);
            let here = self.busy + line.round_trip / 2 + self.jitter.mul_f64(self.rng.f64());
            // TCP keeps the order.
            let here = self.sent.back().map_or(here, |(last, _)| here.max(*last));
            self.sent.push_back((here, range));
        }
    }
}

/// One step of a run.
#[derive(Clone, Copy)]
struct Moment {
    at: Duration,
    /// Blocks that came.
    blocks: u32,
    /// Requests that are out; blocks that are granted and not here.
    out: u32,
    in_hand: u32,
}

/// Runs for `time` on a line that may change, which delivers nothing while `stalls` says so. The client grants what is asked for one
/// step later, while `grants` says so.
fn run_on(
    time: Duration,
    jitter: Duration,
    line: impl Fn(Duration) -> Line,
    stalls: impl Fn(Duration) -> bool,
    grants: impl Fn(Duration) -> bool,
) -> Vec<Moment> {
    let mut p = unchoked();
    p.set_limit(MAX_DEPTH);
    let (mut far, mut now, mut granted, mut pieces) = (Far::new(jitter), T0, None, 0);
    let mut moments = Vec::new();
    while now < time {
        now += STEP;
        far.serve(now, line(now));
        let mut blocks = 0;
        while !stalls(now)
            && let Some((_, range)) = far.sent.pop_front_if(|(due, _)| *due <= now)
        {
            let place = p.accept(range).expect("it was asked for");
            p.put(place, range, 0, now);
            blocks += 1;
        }
        granted.take().into_iter().for_each(|run| p.grant(run, now));
        let room = if grants(now) { p.room(now) } else { 0 };
        if room > 0 {
            granted = Some(run(pieces, 0, room));
            pieces += 1;
        }
        let there = now + line(now).round_trip / 2;
        p.requests(now, range, |range| far.asked.push_back((there, range)));
        let in_hand = p.flights.iter().map(|f| f.missing).sum();
        moments.push(Moment { at: now, blocks, out: p.outstanding(), in_hand });
    }
    moments
}

/// Nothing disturbs.
fn run_quietly(secs: u64, jitter: Duration, on: Line) -> Vec<Moment> {
    run_on(Duration::from_secs(secs), jitter, |_| on, |_| false, |_| true)
}

/// The share of what the line could carry in `moments`.
fn share(moments: &[Moment], line: Line) -> f64 {
    let blocks: u32 = moments.iter().map(|m| m.blocks).sum();
    f64::from(blocks) / line.carries(STEP * moments.len() as u32)
}

fn after(moments: &[Moment], secs: f64) -> &[Moment] {
    &moments[moments.partition_point(|m| m.at < Duration::from_secs_f64(secs))..]
}

fn most(moments: &[Moment], what: impl Fn(&Moment) -> u32) -> f64 {
    moments.iter().map(what).max().map_or(0.0, f64::from)
}

#[test]
fn the_pipeline_doubles_per_round_trip_and_then_stays_a_quarter_above_the_line() {
    let on = line(128.0 * MIB, 100);
    assert_eq!(on.holds().ceil(), 820.0);
    let moments = run_quietly(4, T0, on);
    let picture: Vec<u32> = (0..8).map(|round| moments[90 + 101 * round].out).collect();
    assert_eq!(picture, [4, 8, 16, 32, 64, 128, 256, 512]);
    let steady = most(after(&moments, 2.0), |m| m.out);
    assert!(steady < 1.3 * 820.0 + 36.0, "{steady}");
    assert!(share(after(&moments, 1.2), on) > 0.99, "{}", share(after(&moments, 1.2), on));
}

#[test]
fn a_slow_peer_holds_a_few_blocks() {
    for kib in [2.0, 10.0, 20.0] {
        let on = line(kib * 1024.0, 100);
        let moments = run_quietly(120, T0, on);
        assert!(most(&moments, |m| m.in_hand) <= 7.0, "at {kib} KiB/s: {}", most(&moments, |m| m.in_hand));
        assert!(most(after(&moments, 40.0), |m| m.in_hand) <= 6.0);
        assert!(share(after(&moments, 10.0), on) > 0.85, "{}", share(after(&moments, 10.0), on));
    }
}

#[test]
fn a_peer_that_slows_down_is_asked_for_little_as_soon_as_that_shows() {
    let changes = |now| line(if now < Duration::from_secs(3) { 4.0 * MIB } else { 10.0 * 1024.0 }, 50);
    let moments = run_on(Duration::from_secs(200), T0, changes, |_| false, |_| true);
    let before = most(&moments[2000..3000], |m| m.in_hand);
    assert!(most(after(&moments, 10.0), |m| m.in_hand) <= before, "nothing more is asked for");
    assert!(most(after(&moments, 190.0), |m| m.in_hand) <= 5.0, "what it owed is here");
}

#[test]
fn lost_packets_stall_the_line_and_neither_starve_it_nor_fill_the_queue() {
    let on = line(32.0 * MIB, 100);
    let stalled = |now: Duration| now.as_millis() % 3000 >= 2700;
    let moments = run_on(Duration::from_secs(30), Duration::from_millis(10), |_| on, stalled, |_| true);
    let shares: Vec<f64> = (1..9).map(|n| share(&after(&moments, f64::from(n) * 3.0)[200..2700], on)).collect();
    assert!(shares.iter().all(|share| *share > 0.95), "{shares:?}");
    let out = most(after(&moments, 3.0), |m| m.out);
    assert!(out < 2.0 * on.holds() + 32.0, "{out}");
}

#[test]
fn a_path_that_becomes_longer_is_full_again_and_one_that_becomes_shorter_has_no_queue_left() {
    let (near, far) = (line(16.0 * MIB, 60), line(16.0 * MIB, 240));
    let at = Duration::from_secs(10);
    let longer = run_on(Duration::from_secs(30), T0, |now| if now < at { near } else { far }, |_| false, |_| true);
    assert!(share(after(&longer, 25.0), far) > 0.95, "{}", share(after(&longer, 25.0), far));
    let shorter = run_on(Duration::from_secs(90), T0, |now| if now < at { far } else { near }, |_| false, |_| true);
    let out = most(after(&shorter, 75.0), |m| m.out);
    assert!(out < 1.3 * near.holds() + 36.0, "{out}");
    assert!(share(after(&shorter, 25.0), near) > 0.95);
}

#[test]
fn a_time_without_grants_is_not_taken_for_a_slow_peer() {
    let on = line(32.0 * MIB, 100);
    let scarce = Duration::from_secs(3)..Duration::from_secs(9);
    let grants = |now: Duration| !scarce.contains(&now) || now.as_millis() % 100 < 2;
    let moments = run_on(Duration::from_secs(12), T0, |_| on, |_| false, grants);
    let starved = share(&moments[4000..9000], on);
    assert!(starved < 0.8, "it was not starved: {starved}");
    let again = share(&moments[9250..], on);
    assert!(again > 0.95, "{again}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the line is like, it is used, and hardly more is out than it holds.
    #[test]
    fn any_line_is_used_and_little_more_is_out_than_it_holds(
        kib in (6.0f64..17.0).prop_map(f64::exp2),
        round_trip in 1u64..300,
        jitter in 0.0f64..0.2,
    ) {
        let on = line(kib * 1024.0, round_trip);
        prop_assume!(on.holds() < 1500.0);
        let jitter = on.round_trip.mul_f64(jitter);
        let moments = run_quietly(25, jitter, on);
        let steady = after(&moments, 5.0 + 10.0 * on.round_trip.as_secs_f64());
        let used = share(steady, on);
        prop_assert!(used > 0.95, "used: {used}");
        // A quarter more, ten milliseconds, the spare; jitter both hides some of the round trip and makes bursts.
        let bound = 1.3 * on.holds() + on.carries(Duration::from_millis(12) + 2 * jitter) + 36.0;
        let out = most(steady, |m| m.out);
        prop_assert!(out <= bound, "out: {out}, bound: {bound}");
    }
}
