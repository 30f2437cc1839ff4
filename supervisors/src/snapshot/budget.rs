//! What a supervisor may still spend on restarts.

use crate::json;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{fmt, time::Duration};

/// Restarts that a supervisor has had lately, and how many it may have; [`Display`](fmt::Display) says "2 of 3 in 5 s".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    /// Restarts within the last `period`.
    pub used: usize,
    /// OTP's intensity: one more than this and the supervisor gives up.
    pub allowed: u32,
    /// The window, which slides.
    pub period: Duration,
    /// How long ago each of the `used` ones was, oldest first. When the first reaches `period`, it counts no longer.
    pub ages: Vec<Duration>,
}

impl Budget {
    /// Restarts that the supervisor still bears now.
    pub fn left(&self) -> usize {
        (self.allowed as usize).saturating_sub(self.used)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} in {}", self.used, self.allowed, Span(self.period))
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let ages: Vec<f64> = self.ages.iter().map(|age| json::in_ms(*age)).collect();
        let mut shape = to.serialize_struct("Budget", 5)?;
        shape.serialize_field("used", &self.used)?;
        shape.serialize_field("allowed", &self.allowed)?;
        shape.serialize_field("period_ms", &json::in_ms(self.period))?;
        shape.serialize_field("ages_ms", &ages)?;
        shape.serialize_field("text", &self.to_string())?;
        shape.end()
    }
}

/// A time for people: "5 s", "250 ms", "1.5 s".
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = (self.0.as_secs_f64() * 1e3).round();
        match ms {
            _ if self.0.is_zero() => f.write_str("0 s"),
            ..1.0 => write!(f, "{} us", self.0.as_micros()),
            ..1000.0 => write!(f, "{ms} ms"),
            _ => write!(f, "{} s", ms / 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_reads_as_a_sentence_and_knows_what_is_left() {
        let period = Duration::from_secs(5);
        let ages = vec![Duration::from_millis(4100), Duration::from_micros(12)];
        let budget = Budget { used: 2, allowed: 3, period, ages };
        assert_eq!((budget.to_string().as_str(), budget.left()), ("2 of 3 in 5 s", 1));
        let json = r#"{"used":2,"allowed":3,"period_ms":5000.0,"ages_ms":[4100.0,0.012],"text":"2 of 3 in 5 s"}"#;
        assert_eq!(json::text(&budget), json);
        assert_eq!(Budget { allowed: 1, ..budget }.left(), 0);
    }

    #[test]
    fn times_are_short() {
        let texts =
            [0, 12, 1_000, 250_000, 1_500_000, 3_600_000_000].map(|us| Span(Duration::from_micros(us)).to_string());
        assert_eq!(texts, ["0 s", "12 us", "1 ms", "250 ms", "1.5 s", "3600 s"]);
    }
}
