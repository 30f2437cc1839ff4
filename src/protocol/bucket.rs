//! A limit on bytes per second that many connections share, in turn.
//!
//! Pure; time is a parameter. Whoever wants to move bytes reserves some and is told how long to wait before it may move them. Turns
//! are given in the order in which they are asked for, so nobody starves; the more wait, the smaller a turn, so nobody
//! waits long; and the sum is exact, down to a few bytes per second.

use std::time::Duration;

/// What one turn is worth when nobody waits.
const TURN: f64 = 0.020;
/// Smallest turn, in bytes: below it more is spent on headers than on what is in them.
const LEAST_TURN: f64 = 256.0;

/// One limit, shared by all who reserve from it.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Bytes per second; `None`: no limit.
    limit: Option<u64>,
    /// When all that is reserved has moved, in seconds.
    free_at: f64,
}

/// Bytes that may be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// How many; at least 1 when at least 1 was wanted.
    pub bytes: u64,
    /// After so long.
    pub wait: Duration,
}

impl Bucket {
    /// A limit of `limit` bytes per second (0 counts as 1); `None`: no limit.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.map(|limit| limit.max(1)), free_at: 0.0 }
    }

    /// Sets the limit anew; what is reserved already stays so.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit.map(|limit| limit.max(1));
    }

    /// Reserves at most `wanted` bytes of every one of `buckets`, the same number of each.
    pub fn reserve<'a>(buckets: impl Iterator<Item = &'a mut Bucket>, wanted: u64, now: Duration) -> Turn {
        let now = now.as_secs_f64();
        let mut limited: Vec<(&mut Bucket, f64)> =
            buckets.filter_map(|bucket| bucket.limit.map(|limit| (bucket, limit as f64))).collect();
        let least = limited.iter().map(|(bucket, limit)| bucket.turn(*limit, now)).fold(f64::INFINITY, f64::min);
        let bytes = wanted.min(least as u64);
        let mut wait = 0f64;
        for (bucket, limit) in &mut limited {
            let begins = bucket.free_at.max(now - TURN);
            wait = wait.max(begins - now);
            bucket.free_at = begins + bytes as f64 / *limit;
        }
        Turn { bytes, wait: Duration::from_secs_f64(wait.max(0.0)) }
    }

    /// Bytes of one turn: the longer the queue, the fewer.
    fn turn(&self, limit: f64, now: f64) -> f64 {
        let queue = (self.free_at - now).max(0.0);
        (limit * TURN / (1.0 + queue / TURN)).max(LEAST_TURN)
    }

    /// `bytes` that were reserved have not been moved, and will not be.
    pub fn give_back(&mut self, bytes: u64) {
        if let Some(limit) = self.limit {
            self.free_at -= bytes as f64 / limit as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `sharers` connections that take all they can get for `secs`; the bytes of each, and how many turns it took together.
    fn share(limit: u64, sharers: usize, wanted: u64, secs: u64) -> (Vec<u64>, usize) {
        let mut bucket = Bucket::new(Some(limit));
        let (mut moved, mut turns) = (vec![0; sharers], 0);
        let mut next: std::collections::BTreeSet<(Duration, usize, u64)> =
            (0..sharers).map(|n| (Duration::ZERO, n, 0)).collect();
        let end = Duration::from_secs(secs);
        while let Some((now, n, bytes)) = next.pop_first().filter(|(now, ..)| *now < end) {
            moved[n] += bytes;
            turns += 1;
            let turn = Bucket::reserve([&mut bucket].into_iter(), wanted, now);
            // A machine is not infinitely fast.
            next.insert((now + turn.wait + Duration::from_micros(10), n, turn.bytes));
        }
        (moved, turns)
    }

    #[test]
    fn a_kilobyte_a_second_is_a_kilobyte_a_second() {
        let (moved, _) = share(1024, 3, 16_397, 10);
        let sum: u64 = moved.iter().sum();
        assert!((9_728..=10_752).contains(&sum), "{sum} bytes in 10 s");
    }

    #[test]
    fn nobody_starves_among_five_hundred_and_nobody_is_woken_without_need() {
        let (moved, turns) = share(2 << 20, 500, 1 << 18, 20);
        let (least, most) = (moved.iter().min().unwrap(), moved.iter().max().unwrap());
        assert!(*least > 0 && most < &(2 * least), "{least} to {most}");
        assert!(turns < 20 * 2000, "{turns} turns in 20 s");
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let turn = Bucket::reserve([&mut Bucket::new(None)].into_iter(), 1 << 30, Duration::ZERO);
        assert_eq!(turn, Turn { bytes: 1 << 30, wait: Duration::ZERO });
    }

    #[test]
    fn of_two_limits_the_smaller_counts() {
        let (mut session, mut torrent) = (Bucket::new(Some(1_000_000)), Bucket::new(Some(10_000)));
        let (mut now, mut moved) = (Duration::ZERO, 0);
        while now < Duration::from_secs(10) {
            let turn = Bucket::reserve([&mut session, &mut torrent].into_iter(), u64::MAX, now);
            now += turn.wait + Duration::from_micros(10);
            moved += turn.bytes;
        }
        assert!((95_000..=105_000).contains(&moved), "{moved}");
    }

    #[test]
    fn what_is_given_back_can_be_had_by_others() {
        let mut bucket = Bucket::new(Some(1000));
        let mut now = Duration::from_secs(5);
        for _ in 0..100 {
            let turn = Bucket::reserve([&mut bucket].into_iter(), 256, now);
            now += turn.wait;
            bucket.give_back(turn.bytes);
        }
        assert!(now < Duration::from_secs(6), "{now:?}");
    }

    proptest! {
        #[test]
        fn any_ten_seconds_are_exact(limit in 512u64..50_000_000, sharers in 1usize..60, wanted in 1000u64..300_000) {
            let (moved, _) = share(limit, sharers, wanted, 30);
            let sum = moved.iter().sum::<u64>() as f64;
            let expected = 30.0 * limit as f64;
            prop_assert!((0.95 * expected - 20_000.0..=1.05 * expected).contains(&sum), "{} of {}", sum, expected);
        }
    }
}
