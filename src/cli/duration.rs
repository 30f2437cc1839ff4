//! Spans of time as people write them (`30`, `30s`, `5m`) and read them (`3 min 12 s`).
//!
//! Pure; it never asks what time it is.

use std::fmt;
use std::time::Duration;

/// Why a text is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DurationError {
    /// It does not begin with digits, or has a fraction.
    NotANumber,
    /// The number is followed by something that is no unit.
    UnknownUnit(String),
    /// Nothing would ever be waited for.
    Zero,
    /// More than ten years.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOW: &str = "write seconds, or a number and s, m, h or d, as in 30s or 5m";
        match self {
            DurationError::NotANumber => write!(f, "not a whole number; {HOW}"),
            DurationError::UnknownUnit(unit) => write!(f, "unknown unit {unit:?}; {HOW}"),
            DurationError::Zero => write!(f, "it has to be at least one second"),
            DurationError::TooLong => write!(f, "it has to be less than ten years"),
        }
    }
}

impl std::error::Error for DurationError {}

/// At least one second, at most ten years. A bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    const LONGEST_SECS: u64 = 10 * 365 * 86_400;
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    // `1.5h`: the fault is the fraction, not the unit.
    if number.is_empty() || unit.starts_with(['.', ',']) {
        return Err(DurationError::NotANumber);
    }
    let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
    let secs_each = match unit.trim() {
        "" | "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(DurationError::UnknownUnit(unit.trim().to_owned())),
    };
    match number.checked_mul(secs_each) {
        Some(0) => Err(DurationError::Zero),
        Some(secs) if secs <= LONGEST_SECS => Ok(Duration::from_secs(secs)),
        _ => Err(DurationError::TooLong),
    }
}

/// At most two units: `4 ms`, `0.42 s`, `9.1 s`, `42 s`, `3 min 12 s`, `2 h 5 min`, `12 d 3 h`.
pub(crate) fn short(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0 if span < Duration::from_millis(1) => format!("{:.1} ms", span.as_secs_f64() * 1000.0),
        0 if span < Duration::from_millis(100) => format!("{} ms", span.as_millis()),
        0 => format!("{:.2} s", span.as_secs_f64()),
        1..10 if span.subsec_nanos() != 0 => format!("{:.1} s", span.as_secs_f64()),
        1..60 => format!("{secs} s"),
        60..3600 => two((secs / 60, "min"), (secs % 60, "s")),
        3600..86_400 => two((secs / 3600, "h"), (secs / 60 % 60, "min")),
        _ => two((secs / 86_400, "d"), (secs / 3600 % 24, "h")),
    }
}

fn two((large, unit): (u64, &str), (small, part): (u64, &str)) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(parse("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("5 m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(172_800)));
    }

    #[test]
    fn a_bad_span_is_named_by_its_fault() {
        assert_eq!(parse(""), Err(DurationError::NotANumber));
        assert_eq!(parse("1.5h"), Err(DurationError::NotANumber));
        assert_eq!(parse("-3"), Err(DurationError::NotANumber));
        assert_eq!(parse("3 parsecs"), Err(DurationError::UnknownUnit("parsecs".into())));
        assert_eq!(parse("0"), Err(DurationError::Zero));
        assert_eq!(parse("99999999999999999999"), Err(DurationError::TooLong));
        assert_eq!(parse("9999999999999999h"), Err(DurationError::TooLong));
    }

    #[test]
    fn spans_are_printed_with_two_units_at_most() {
        let printed = [0, 4, 420, 9_100, 42_000, 192_000, 300_000, 7_500_000, 1_047_600_000]
            .map(|millis| short(Duration::from_millis(millis)));
        assert_eq!(
            printed,
            ["0.0 ms", "4 ms", "0.42 s", "9.1 s", "42 s", "3 min 12 s", "5 min", "2 h 5 min", "12 d 3 h"]
        );
    }
}
