//! How this crate's values look as JSON, where serde's own shape would not do.
//!
//! Times are milliseconds, as numbers, in fields whose names end in `_ms`; a shutdown is OTP's: `"brutal_kill"`, `"infinity"` or the
//! milliseconds. What has no value is `null`, never left out. Writes to what it is given and to nothing else.

use crate::spec::{Backoff, Shutdown};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{io, sync::Arc, time::Duration};

/// Writes `value` as one JSON object in one line: a [`Snapshot`](crate::Snapshot), a [`Report`](crate::Report), an
/// [`Event`](crate::Event), a [`Prediction`](crate::Prediction). In one call of `out`, so that lines of several writers do not mix.
///
/// # Errors
/// Those of `out`.
pub fn write_json_line(out: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Nothing that this crate serialises can fail; `null` if it did.
pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_string())
}

pub(crate) fn in_ms(time: Duration) -> f64 {
    // To the microsecond; more digits tell nothing.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

pub(crate) fn ms<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(in_ms(*time))
}

pub(crate) fn some_ms<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(in_ms).serialize(to)
}

pub(crate) fn words<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

pub(crate) fn shutdown<S: Serializer>(shutdown: &Shutdown, to: S) -> Result<S::Ok, S::Error> {
    match shutdown {
        Shutdown::BrutalKill => to.serialize_str("brutal_kill"),
        Shutdown::Infinity => to.serialize_str("infinity"),
        Shutdown::Timeout(limit) => to.serialize_f64(in_ms(*limit)),
    }
}

pub(crate) fn backoff<S: Serializer>(backoff: &Option<Backoff>, to: S) -> Result<S::Ok, S::Error> {
    let Some(backoff) = backoff else {
        return to.serialize_none();
    };
    let mut shape = to.serialize_struct("Backoff", 4)?;
    shape.serialize_field("first_ms", &in_ms(backoff.first))?;
    shape.serialize_field("cap_ms", &in_ms(backoff.cap))?;
    shape.serialize_field("jitter", &backoff.jitter)?;
    shape.serialize_field("reset_after_ms", &in_ms(backoff.reset_after))?;
    shape.end()
}
