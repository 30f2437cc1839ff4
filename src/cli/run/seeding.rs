//! `--seed-ratio` and `--seed-time`: when has enough been given?
//!
//! Pure; time is a parameter.

use std::time::Duration;

use crate::cli::args::{Ratio, RunArgs};
use crate::cli::duration::short;

/// When seeding ends; without either, never.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    ratio: Option<Ratio>,
    time: Option<Duration>,
}

impl Goal {
    /// What the arguments ask for.
    pub(super) fn of(args: &RunArgs) -> Self {
        Goal { ratio: args.seed_ratio, time: args.seed_time }
    }

    /// The first of both is reached, after seeding for so long.
    pub(super) fn is_reached(&self, ratio: Ratio, seeded_for: Duration) -> bool {
        self.ratio.is_some_and(|wanted| ratio >= wanted) || self.time.is_some_and(|wanted| seeded_for >= wanted)
    }

    /// `until Ctrl-C`, `until the ratio is 1.50`, `for 24 h`, `until the ratio is 1.50, but not longer than 24 h`.
    pub(super) fn in_words(&self) -> String {
        match (self.ratio, self.time) {
            (None, None) => "until Ctrl-C".to_owned(),
            (Some(ratio), None) => format!("until the ratio is {ratio}"),
            (None, Some(time)) => format!("for {}", short(time)),
            (Some(ratio), Some(time)) => format!("until the ratio is {ratio}, but not longer than {}", short(time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn goal(ratio: Option<f64>, time: Option<Duration>) -> Goal {
        Goal { ratio: ratio.map(Ratio), time }
    }

    #[test]
    fn the_first_goal_that_is_reached_ends_seeding() {
        let both = goal(Some(1.5), Some(HOUR));
        assert!(!both.is_reached(Ratio(1.49), HOUR / 2));
        assert!(both.is_reached(Ratio(1.5), HOUR / 2));
        assert!(both.is_reached(Ratio(0.0), HOUR));
    }

    #[test]
    fn without_a_goal_seeding_never_ends() {
        assert!(!goal(None, None).is_reached(Ratio(1e6), 1_000_000 * HOUR));
        assert!(!goal(Some(2.0), None).is_reached(Ratio(1.99), 1_000_000 * HOUR));
    }

    #[test]
    fn a_goal_is_said_in_words() {
        let words = [(None, None), (Some(1.5), None), (None, Some(HOUR)), (Some(2.0), Some(HOUR))]
            .map(|(ratio, time)| goal(ratio, time).in_words());
        let expected =
            ["until Ctrl-C", "until the ratio is 1.50", "for 1 h", "until the ratio is 2.00, but not longer than 1 h"];
        assert_eq!(words, expected);
    }
}
