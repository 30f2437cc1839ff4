//! What can happen.

use crate::{json, pid::Pid, reason::ExitReason, rt};
use serde::{Serialize, Serializer};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Something that happened to a process; [`Display`](fmt::Display) is a line for people.
///
/// As JSON: `{"seq": 12, "at_ms": 530.25, "event": "exited", "reason": "killed", "pid": 7, "incarnation": 0, "path": "top/a",
/// "role": "a"}`; `at_ms` counts from the first use of this crate in this OS process.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Its number among all events of this OS process, from 1.
    pub seq: u64,
    /// When.
    #[serde(rename = "at_ms", serialize_with = "at_ms")]
    pub at: Instant,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
    /// Of the incarnation that it happened to.
    pub pid: Pid,
    /// How often this child had been started before that; 0 is the first time.
    pub incarnation: u64,
    /// The ids from the root down, joined by `/`.
    #[serde(serialize_with = "json::words")]
    pub path: Arc<str>,
    /// What kind of process it is.
    #[serde(serialize_with = "json::words")]
    pub role: Arc<str>,
}

fn at_ms<S: Serializer>(at: &Instant, to: S) -> Result<S::Ok, S::Error> {
    json::ms(&rt::since_start(*at), to)
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum EventKind {
    /// It was started, for the first time or again ([`Event::incarnation`]).
    Started,
    /// It ended; everything of it, and below it, is gone.
    Exited {
        /// Why.
        reason: ExitReason,
    },
    /// Its supervisor will start it again.
    Restarting {
        /// Its back-off; zero: at once. JSON: `after_ms`.
        #[serde(rename = "after_ms", serialize_with = "json::ms")]
        after: Duration,
    },
    /// It is a supervisor that gave up or could not start, and is left alone for a while, uncounted.
    Parked {
        /// Until it is started again. JSON: `after_ms`.
        #[serde(rename = "after_ms", serialize_with = "json::ms")]
        after: Duration,
    },
    /// A supervisor reached its restart intensity and ends.
    GaveUp {
        /// The child whose exit was one too many, and why it ended.
        cause: String,
    },
    /// A supervisor below this one ended, and this one counted it as a restart.
    Escalated {
        /// The path of the one that ended.
        #[serde(serialize_with = "json::words")]
        from: Arc<str>,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = rt::since_start(self.at).as_secs_f64();
        write!(f, "{at:9.3} s  {} {}  ", self.path, self.pid)?;
        let text = match &self.kind {
            EventKind::Started if self.incarnation > 0 => format!("started again, restart {}", self.incarnation),
            EventKind::Started => "started".to_string(),
            EventKind::Exited { reason } => format!("exited: {reason}"),
            EventKind::Restarting { after } if after.is_zero() => "is started again".to_string(),
            EventKind::Restarting { after } => format!("is started again after {after:.1?}"),
            EventKind::Parked { after } => format!("is parked for {after:.1?}"),
            EventKind::GaveUp { cause } => format!("gave up: {cause}"),
            EventKind::Escalated { from } => format!("counts the end of {from}"),
        };
        // A panic's text may have several lines.
        f.write_str(&text.replace('\n', " | "))
    }
}
