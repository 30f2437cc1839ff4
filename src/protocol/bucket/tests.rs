//! Sharers in simulated time: each takes all it can get, is woken a little late, and sometimes moves less than it took.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

const KIB: u64 = 1024;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What a simulated rush on some throttles came to.
struct Rush {
    /// Bytes moved, by second.
    seconds: Vec<u64>,
    /// Bytes moved, by sharer.
    sharers: Vec<u64>,
    wakes: u64,
}

impl Rush {
    /// Bytes of the ten seconds that moved most and of those that moved least.
    fn extremes(&self) -> (u64, u64) {
        let sums = self.seconds.windows(10).map(|ten| ten.iter().sum::<u64>());
        (sums.clone().max().unwrap_or(0), sums.min().unwrap_or(0))
    }

    fn assert_exact(&self, limit: u64) {
        let (most, least) = self.extremes();
        let exact = |bytes: u64| bytes.abs_diff(10 * limit) * 20 <= 10 * limit;
        assert!(exact(most) && exact(least), "{least} to {most} bytes in 10 s at {limit} per second");
    }
}

/// Runs the flows for `length`. `wanted`: bytes asked for at once; `late`: most milliseconds by which a sleeper wakes late; `lazy`: every
/// so many-th take moves half of what it took.
fn rush(flows: &mut [Flow], length: u64, wanted: u64, late: u64, lazy: u64) -> Rush {
    let mut rush = Rush { seconds: vec![0; length as usize], sharers: vec![0; flows.len()], wakes: 0 };
    let mut dice = fastrand::Rng::with_seed(7);
    let mut due: BinaryHeap<Reverse<(Duration, usize)>> = (0..flows.len()).map(|n| Reverse((secs(50), n))).collect();
    let mut takes = 0;
    while let Some(Reverse((now, n))) = due.pop() {
        if now >= secs(50 + length) {
            continue;
        }
        match flows[n].take(wanted, now) {
            Taken::Now(bytes) => {
                takes += 1;
                let unused = if lazy > 0 && takes % lazy == 0 { bytes / 2 } else { 0 };
                flows[n].give_back(unused);
                rush.seconds[(now - secs(50)).as_secs() as usize] += bytes - unused;
                rush.sharers[n] += bytes - unused;
                due.push(Reverse((now, n)));
            }
            Taken::Wait(wait) => {
                assert!(!wait.is_zero());
                rush.wakes += 1;
                due.push(Reverse((now + wait + ms(dice.u64(0..=late)), n)));
            }
        }
    }
    rush
}

fn sharers(throttle: &Arc<Throttle>, count: usize) -> Vec<Flow> {
    (0..count).map(|_| Flow::new([throttle.clone()])).collect()
}

#[test]
fn without_a_limit_everybody_has_what_it_wants_at_once() {
    let mut flow = Flow::new([Throttle::new(None), Throttle::new(None)]);
    assert_eq!(flow.take(1 << 40, secs(1)), Taken::Now(1 << 40));
    flow.give_back(1 << 39);
    assert_eq!(flow.take(5, secs(1)), Taken::Now(5));
}

#[test]
fn a_sharer_is_told_how_long_to_wait_and_then_has_its_bytes() {
    let mut flow = Flow::new([Throttle::new(Some(1000))]);
    // Saved up: a quarter of a second. Grants are 128 bytes or a tenth of a second.
    assert_eq!([(); 2].map(|()| flow.take(4000, secs(9))), [Taken::Now(128), Taken::Now(128)]);
    assert_eq!(flow.take(4000, secs(9)), Taken::Wait(ms(6)));
    assert_eq!(flow.take(4000, secs(9) + ms(1)), Taken::Wait(ms(5)), "asking early changes nothing");
    assert_eq!(flow.take(4000, secs(9) + ms(6)), Taken::Now(128));
    assert_eq!(flow.take(4000, secs(9) + ms(6)), Taken::Wait(ms(128)));
}

#[test]
fn bytes_that_were_not_moved_can_be_taken_again() {
    let throttle = Throttle::new(Some(100));
    let (mut a, mut b) = (Flow::new([throttle.clone()]), Flow::new([throttle]));
    assert_eq!(a.take(128, secs(9)), Taken::Now(128));
    a.give_back(128);
    assert_eq!(b.take(128, secs(9)), Taken::Now(128));
    assert!(matches!(a.take(128, secs(9)), Taken::Wait(_)));
}

#[test]
fn whoever_goes_leaves_its_place_to_the_others() {
    let throttle = Throttle::new(Some(1000));
    let mut flows = sharers(&throttle, 500);
    for flow in &mut flows {
        while let Taken::Now(_) = flow.take(1000, secs(9)) {}
    }
    let mut last = flows.pop().expect("500 of them");
    drop(flows);
    assert_eq!(throttle.lock().queue.len(), 1);
    assert!(matches!(last.take(1000, secs(9)), Taken::Wait(wait) if wait < ms(200)));
    drop(last);
    assert_eq!(throttle.lock().queue.len(), 0);
}

#[test]
fn a_new_limit_holds_from_the_moment_it_is_set() {
    let throttle = Throttle::new(Some(KIB));
    let mut flows = sharers(&throttle, 100);
    for flow in &mut flows {
        while let Taken::Now(_) = flow.take(16 * KIB, secs(50)) {}
    }
    throttle.set_limit(Some(1024 * KIB), secs(50));
    rush(&mut flows, 20, 16 * KIB, 2, 0).assert_exact(1024 * KIB);
    throttle.set_limit(None, secs(70));
    assert_eq!(throttle.limit(), None);
    assert!(flows.iter_mut().all(|flow| flow.take(1 << 30, secs(70)) == Taken::Now(1 << 30)));
    throttle.set_limit(Some(0), secs(80));
    assert_eq!(throttle.limit(), Some(1), "a limit of nothing would hold connections for ever");
    throttle.set_limit(Some(512 * KIB), secs(80));
    let late: Vec<_> = flows.iter_mut().map(|flow| flow.take(KIB, secs(80))).collect();
    assert!(late.iter().all(|taken| !matches!(taken, Taken::Wait(wait) if *wait > secs(2))), "{late:?}");
}

#[test]
fn one_kibibyte_per_second_works_for_one_and_for_five_hundred() {
    for count in [1, 500] {
        let throttle = Throttle::new(Some(KIB));
        let rush = rush(&mut sharers(&throttle, count), 300, 16 * KIB, 5, 0);
        rush.assert_exact(KIB);
        assert!(rush.sharers.iter().all(|bytes| *bytes > 0), "somebody starves");
    }
}

#[test]
fn two_gigabytes_per_second_are_reached_with_few_wakes() {
    let throttle = Throttle::new(Some(2_000_000_000));
    let rush = rush(&mut sharers(&throttle, 4), 20, 256 * KIB, 3, 0);
    rush.assert_exact(2_000_000_000);
    assert!(rush.wakes < 20 * 4 * 210, "{} wakes", rush.wakes);
}

#[test]
fn the_narrowest_of_several_throttles_counts_and_the_wider_loses_nothing() {
    let session = Throttle::new(Some(1000 * KIB));
    let slow = Throttle::new(Some(100 * KIB));
    let wide = Throttle::new(Some(5000 * KIB));
    let mut flows: Vec<Flow> =
        (0..30).map(|n| Flow::new([if n < 20 { &slow } else { &wide }.clone(), session.clone()])).collect();
    let rush = rush(&mut flows, 60, 64 * KIB, 3, 0);
    rush.assert_exact(1000 * KIB);
    let of_slow: u64 = rush.sharers[..20].iter().sum();
    assert!(of_slow.abs_diff(60 * 100 * KIB) < 60 * 5 * KIB, "{of_slow} through the slow one");
}

#[test]
fn one_sharer_of_two_equal_throttles_has_the_whole_rate() {
    let throttles = [Throttle::new(Some(100 * KIB)), Throttle::new(Some(100 * KIB))];
    rush(&mut [Flow::new(throttles)], 30, 256 * KIB, 3, 0).assert_exact(100 * KIB);
}

#[test]
fn an_allowance_is_fresh_every_ten_seconds() {
    let mut flow = Flow::with_allowance(Some(100), [Throttle::new(None)]);
    assert_eq!(flow.take(80, secs(30)), Taken::Now(80));
    assert_eq!(flow.take(80, secs(31)), Taken::Now(20));
    assert_eq!(flow.take(80, secs(31)), Taken::Wait(secs(9)));
    flow.give_back(5);
    assert_eq!(flow.take(80, secs(32)), Taken::Now(5));
    assert_eq!(flow.take(80, secs(40)), Taken::Now(80));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_ten_seconds_are_exact_and_everybody_has_its_part(
        limit in prop_oneof![Just(KIB), 2 * KIB..64 * KIB, 64 * KIB..(256 << 20)],
        count in prop_oneof![1usize..4, 4usize..60, 300usize..500],
        wanted in prop_oneof![Just(16 * KIB), 64 * KIB..512 * KIB],
        late in 0u64..30,
        lazy in prop_oneof![Just(0u64), 2u64..20],
    ) {
        let throttle = Throttle::new(Some(limit));
        let length = if limit < 64 * KIB { 120 } else { 30 };
        let rush = rush(&mut sharers(&throttle, count), length, wanted, late, lazy);
        rush.assert_exact(limit);
        // Each once a second and all together 200 times; once in 5 ms each where less is wanted than flows meanwhile.
        let scarce = limit / 200 <= wanted;
        let most = if scarce { 300 + 2 * count as u64 } else { 300 * count as u64 };
        prop_assert!(rush.wakes <= length * most, "{} wakes", rush.wakes);
        let mean = rush.sharers.iter().sum::<u64>() / count as u64;
        let least = rush.sharers.iter().min().copied().unwrap_or(0);
        let most = rush.sharers.iter().max().copied().unwrap_or(0);
        // Each is a few grants behind or ahead of the others; the first of them also has what was saved up.
        let grant = throttle.lock().grant_bytes().min(wanted).max(limit / 10 / count as u64);
        let first = limit / 2;
        // Where more flows than all ask for at once, what is left is anybody's, and there are no turns; but nobody goes without.
        if scarce {
            prop_assert!(least + 3 * grant >= mean / 2 && most <= 2 * mean + 3 * grant + first, "{least} {mean} {most}");
        } else {
            prop_assert!(least > 0, "{least} {mean} {most}");
        }
    }

    #[test]
    fn no_order_of_takes_gives_backs_and_goings_moves_more_than_the_limit(
        steps in proptest::collection::vec((0usize..6, 0u64..300, 1u64..40_000, 0u64..4), 1..200),
    ) {
        const LIMIT: u64 = 10_000;
        let throttle = Throttle::new(Some(LIMIT));
        let mut flows = sharers(&throttle, 6);
        let (mut now, mut moved) = (secs(50), 0);
        for (n, passed, wanted, act) in steps {
            now += ms(passed);
            if act == 0 {
                flows[n] = Flow::new([throttle.clone()]);
            } else if let Taken::Now(bytes) = flows[n].take(wanted, now) {
                let unused = bytes * (act - 1) / 2;
                flows[n].give_back(unused);
                moved += bytes - unused;
                prop_assert!((1..=wanted).contains(&bytes));
            }
            let limit = LIMIT as f64 * (now - secs(50) + SAVED + TURN).as_secs_f64();
            prop_assert!(moved as f64 <= limit, "{moved} of {limit}");
        }
    }
}
