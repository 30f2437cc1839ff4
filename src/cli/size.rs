//! Sizes as people write them (`64MiB`) and as people read them (`1.5 MiB`).
//!
//! Pure. One spelling only is printed: binary units, because pieces and memory come in powers of two.

use std::fmt;
use std::str::FromStr;

/// A number of bytes that came from, or goes to, a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SizeError {
    /// Nothing was written.
    Empty,
    /// It does not begin with digits, or has a fraction.
    NotANumber,
    /// The number is followed by something that is no unit.
    UnknownUnit(String),
    /// More than 2^64 - 1 bytes.
    TooLarge,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOW: &str = "write a number and a unit, as in 64MiB or 500kB";
        match self {
            SizeError::Empty => write!(f, "no size given; {HOW}"),
            SizeError::NotANumber => write!(f, "not a whole number; {HOW}"),
            SizeError::UnknownUnit(unit) => write!(f, "unknown unit {unit:?}; {HOW}"),
            SizeError::TooLarge => write!(f, "more bytes than 64 bits can count"),
        }
    }
}

impl std::error::Error for SizeError {}

impl FromStr for ByteSize {
    type Err = SizeError;

    /// `B`, `KiB`/`K`, `MiB`/`M`, `GiB`/`G`, `TiB`/`T` are powers of 1024; `kB`, `MB`, `GB`, `TB` are powers of
    /// 1000. Case matters only there. A bare number is bytes.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SizeError::Empty);
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        // `1.5MiB`: the fault is the fraction, not the unit.
        if number.is_empty() || unit.starts_with(['.', ',']) {
            return Err(SizeError::NotANumber);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
        let factor = factor(unit.trim_start())?;
        number.checked_mul(factor).map(ByteSize).ok_or(SizeError::TooLarge)
    }
}

fn factor(unit: &str) -> Result<u64, SizeError> {
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(SizeError::UnknownUnit(unit.to_owned())),
    };
    Ok(factor)
}

impl fmt::Display for ByteSize {
    /// Three digits at least, one decimal at most: `0 B`, `1.5 MiB`, `64 MiB`, `412 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // 1023.5 would be printed as "1024".
        while value >= 1023.5 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let tenths = (value * 10.0).round() / 10.0;
        if tenths >= 100.0 || tenths.fract() == 0.0 {
            write!(f, "{value:.0} {}", UNITS[unit])
        } else {
            write!(f, "{value:.1} {}", UNITS[unit])
        }
    }
}

/// `412 MiB/s`.
pub(crate) fn rate(bytes_per_sec: u64) -> String {
    format!("{}/s", ByteSize(bytes_per_sec))
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<u64, SizeError> {
        text.parse::<ByteSize>().map(|size| size.0)
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse("64MiB"), Ok(64 << 20));
        assert_eq!(parse("64 mib"), Ok(64 << 20));
        assert_eq!(parse("2M"), Ok(2 << 20));
        assert_eq!(parse("500kB"), Ok(500_000));
        assert_eq!(parse("17"), Ok(17));
        assert_eq!(parse("1 GiB"), Ok(1 << 30));
    }

    #[test]
    fn a_bad_size_is_named_by_its_fault() {
        assert_eq!(parse(" "), Err(SizeError::Empty));
        assert_eq!(parse("MiB"), Err(SizeError::NotANumber));
        assert_eq!(parse("-1"), Err(SizeError::NotANumber));
        assert_eq!(parse("1.5MiB"), Err(SizeError::NotANumber));
        assert_eq!(parse("3 apples"), Err(SizeError::UnknownUnit("apples".into())));
        assert_eq!(parse("99999999999999999999"), Err(SizeError::TooLarge));
        assert_eq!(parse("17179869184GiB"), Err(SizeError::TooLarge));
    }

    #[test]
    fn sizes_are_printed_short() {
        let printed = [0, 1023, 1024, 1536, 64 << 20, 412 << 20, (1 << 30) - 1, u64::MAX]
            .map(|bytes| ByteSize(bytes).to_string());
        assert_eq!(printed, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "64 MiB", "412 MiB", "1 GiB", "16 EiB"]);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
