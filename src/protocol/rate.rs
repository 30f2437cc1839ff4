//! How fast a counter grows, measured from time to time.
//!
//! Pure. An exponentially weighted average: what happened one span ago counts a third of what happens now.

use std::time::Duration;

/// The rate of one counter.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    span: f64,
    last: Option<(Duration, u64)>,
    average: f64,
    /// Seconds that the average is made of; before a whole span has passed, what there is counts in full.
    seconds: f64,
}

impl Rate {
    /// A rate that is averaged over about `span`.
    pub fn over(span: Duration) -> Self {
        Self { span: span.as_secs_f64(), last: None, average: 0.0, seconds: 0.0 }
    }

    /// The counter stands at `total` at time `now`. The first sample only begins to measure.
    pub fn sample(&mut self, total: u64, now: Duration) {
        let Some((then, before)) = self.last.replace((now, total)) else { return };
        let passed = now.saturating_sub(then).as_secs_f64();
        if passed <= 0.0 {
            self.last = Some((then, before));
            return;
        }
        let rate = total.saturating_sub(before) as f64 / passed;
        self.seconds += passed;
        let weight = if self.seconds < self.span { passed / self.seconds } else { 1.0 - (-passed / self.span).exp() };
        self.average += weight * (rate - self.average);
    }

    /// Units of the counter per second.
    pub fn per_second(&self) -> u64 {
        self.average as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_steady_counter_has_its_rate_from_the_second_sample_on() {
        let mut rate = Rate::over(seconds(20));
        for n in 0..100 {
            rate.sample(500 * n, seconds(n));
            assert_eq!(rate.per_second(), if n == 0 { 0 } else { 500 });
        }
    }

    #[test]
    fn what_stopped_is_forgotten_after_a_few_spans() {
        let mut rate = Rate::over(seconds(20));
        (0..60).for_each(|n| rate.sample(1000 * n, seconds(n)));
        rate.sample(59_000, seconds(79));
        assert!((300..420).contains(&rate.per_second()), "{}", rate.per_second());
        (80..200).for_each(|n| rate.sample(59_000, seconds(n)));
        assert_eq!(rate.per_second(), 0);
    }

    #[test]
    fn two_samples_at_the_same_time_and_a_counter_that_falls_do_no_harm() {
        let mut rate = Rate::over(seconds(3));
        rate.sample(0, seconds(1));
        rate.sample(10, seconds(1));
        rate.sample(20, seconds(2));
        rate.sample(5, seconds(3));
        assert_eq!(rate.per_second(), 10);
    }
}
