//! How many lines a second may be written.

use crate::{rt, table::lock};
use log::Level;
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// Lines per second and kind, over all supervisors.
const PER_SECOND: u32 = 50;

#[derive(Default)]
struct Limiter {
    since: Option<Instant>,
    let_through: u32,
    left_out: u32,
}

pub(super) enum Verdict {
    Write { left_out_before: u32 },
    LeaveOut,
}

impl Verdict {
    pub(super) const GO: Self = Self::Write { left_out_before: 0 };
}

impl Limiter {
    const fn new() -> Self {
        Self { since: None, let_through: 0, left_out: 0 }
    }

    fn ask(&mut self, now: Instant) -> Verdict {
        let fresh = match self.since {
            Some(since) => now.saturating_duration_since(since) >= Duration::from_secs(1),
            None => true,
        };
        if fresh {
            let left_out_before = self.left_out;
            *self = Self { since: Some(now), let_through: 1, left_out: 0 };
            return Verdict::Write { left_out_before };
        }
        if self.let_through < PER_SECOND {
            self.let_through += 1;
            return Verdict::Write { left_out_before: 0 };
        }
        self.left_out += 1;
        Verdict::LeaveOut
    }
}

/// Faults, and what is merely told, so that neither drowns the other.
static LIMITERS: [Mutex<Limiter>; 2] = [const { Mutex::new(Limiter::new()) }; 2];

pub(super) fn ask(level: Level) -> Verdict {
    lock(&LIMITERS[usize::from(level > Level::Warn)]).ask(rt::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_reports_is_thinned_out_and_says_so() {
        let (mut limiter, start) = (Limiter::default(), rt::now());
        let written = |limiter: &mut Limiter, at| matches!(limiter.ask(at), Verdict::Write { .. });
        let storm = (0..1000).filter(|_| written(&mut limiter, start)).count();
        assert_eq!(storm, PER_SECOND as usize);
        let later = limiter.ask(start + Duration::from_secs(1));
        assert!(matches!(later, Verdict::Write { left_out_before: 950 }));
    }
}
