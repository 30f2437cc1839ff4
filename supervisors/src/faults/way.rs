//! How a monkey ends a process. Pure.

use super::{
    grammar::Task,
    syntax::{Problem, SyntaxError},
};
use crate::reason::ExitReason;
use std::{fmt, str::FromStr};

/// How a monkey ends a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It panics, at its next poll or `recv`.
    Panic,
    /// It gets an exit signal with this reason. One that traps exits would not have to end, and `normal` is not noticed: then it
    /// is killed.
    Exit(ExitReason),
    /// It is killed. A blocking process ends when it next looks.
    Kill,
}

/// As [`Task`]s are written.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic => f.write_str("panic"),
            Self::Exit(reason) => Task::Exit(reason.clone()).fmt(f),
            Self::Kill => f.write_str("kill"),
        }
    }
}

impl FromStr for Way {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        if text.trim() == "kill" {
            return Ok(Self::Kill);
        }
        match text.parse()? {
            Task::Panic(None) => Ok(Self::Panic),
            Task::Exit(reason) => Ok(Self::Exit(reason)),
            _ => Err(SyntaxError::new(text, 0, Problem::WayExpected)),
        }
    }
}
