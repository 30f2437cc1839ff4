//! Why a process ended. The one vocabulary that supervisors, monitors, reports and events share.

use serde::Serialize;
use std::fmt;

/// OTP's exit reasons, and one of our own: [`ExitReason::Environment`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// The body returned `Ok(())`.
    Normal,
    /// Ordered by the supervisor; or a supervisor that gave up because its restart intensity was reached.
    Shutdown,
    /// OTP's `{shutdown, Term}`: an orderly end that has something to tell.
    ShutdownWith(String),
    /// OTP's `{shutdown, {failed_to_start_child, Id, Reason}}`: a supervisor whose initial start failed, and has been undone.
    FailedToStartChild {
        /// Which child.
        id: String,
        /// Why that one ended before it was up.
        reason: Box<ExitReason>,
    },
    /// Ended from outside without being asked: `kill`, `brutal_kill`, or a shutdown that took too long.
    Killed,
    /// The outside world did this (refused, reset, timed out, disk full). Restarted after a back-off and never
    /// counted towards restart intensity. OTP has no such reason.
    Environment(String),
    /// The body returned an internal error.
    Error(String),
    /// The body panicked.
    Panic {
        /// The panic's text.
        message: String,
        /// `src/x.rs:12:5`, or empty when it is not known.
        location: String,
    },
    /// Only in [`Down`](crate::Down): the process had ended before it was monitored.
    NoProc,
}

/// What the body of a process returns; `Ok(())` becomes [`ExitReason::Normal`].
pub type Exit = Result<(), ExitReason>;

impl ExitReason {
    /// `normal`, `shutdown` or `{shutdown, _}`: a transient child that ends so is not restarted.
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown | Self::ShutdownWith(_) | Self::FailedToStartChild { .. })
    }

    /// The environment is to blame, perhaps for a child far below that did not start.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Environment(_) => true,
            Self::FailedToStartChild { reason, .. } => reason.is_environment(),
            _ => false,
        }
    }

    /// For `map_err`: the network or the disk is to blame.
    pub fn environment(cause: impl fmt::Display) -> Self {
        Self::Environment(cause.to_string())
    }

    /// For `map_err`: this program is to blame.
    pub fn error(cause: impl fmt::Display) -> Self {
        Self::Error(cause.to_string())
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::ShutdownWith(text) => write!(f, "shutdown: {text}"),
            Self::FailedToStartChild { id, reason } => write!(f, "shutdown: failed to start {id}: {reason}"),
            Self::Killed => f.write_str("killed"),
            Self::Environment(text) => write!(f, "environment: {text}"),
            Self::Error(text) => write!(f, "error: {text}"),
            Self::Panic { message, location } if location.is_empty() => {
                write!(f, "panicked: {message}")
            }
            Self::Panic { message, location } => write!(f, "panicked at {location}: {message}"),
            Self::NoProc => f.write_str("no such process"),
        }
    }
}

impl std::error::Error for ExitReason {}
