//! What fault injection did, as data that can be kept and done again. Pure.

use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, fmt, str::FromStr};

/// One thing that was done: when (as a logical event, not a time), to whom, and what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Action {
    /// A fault point fired.
    Point {
        /// Its name.
        site: String,
        /// Of the process; empty: outside of processes.
        path: String,
        /// How often this site had been reached in this process path since its plan was armed, this time included.
        hit: u64,
        /// The [`Task`](super::Task).
        task: String,
    },
    /// A monkey ended a process.
    Monkey {
        /// The first is 1.
        kill: u64,
        /// Of the process.
        path: String,
        /// The [`Way`](super::Way).
        way: String,
    },
}

/// One line of JSON.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&line)
    }
}

/// Actions in the order in which they were done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The oldest first.
    pub actions: Vec<Action>,
    /// Older ones that were forgotten because the ring was full: without them a replay is not the same.
    pub forgotten: u64,
}

/// A line for each action.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.actions.iter().try_for_each(|action| writeln!(f, "{action}"))
    }
}

/// A line of a log is not an [`Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    /// The first is 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for LogError {}

impl FromStr for Log {
    type Err = LogError;

    /// Empty lines are passed over.
    fn from_str(text: &str) -> Result<Self, LogError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parse = |(n, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| LogError { line: n + 1, problem: error.to_string() })
        };
        Ok(Self { actions: lines.map(parse).collect::<Result<_, _>>()?, forgotten: 0 })
    }
}

/// The newest actions, at most so many.
#[derive(Debug)]
pub(super) struct Ring {
    kept: VecDeque<Action>,
    most: usize,
    forgotten: u64,
}

impl Ring {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), most, forgotten: 0 }
    }

    pub(super) fn push(&mut self, action: Action) {
        self.kept.push_back(action);
        while self.kept.len() > self.most {
            self.kept.pop_front();
            self.forgotten += 1;
        }
    }

    pub(super) fn log(&self) -> Log {
        Log { actions: self.kept.iter().cloned().collect(), forgotten: self.forgotten }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(hit: u64) -> Action {
        Action::Point { site: "store.write".into(), path: "a/b".into(), hit, task: "panic(\"x\")".into() }
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let kill = Action::Monkey { kill: 1, path: "a/b".into(), way: "kill".into() };
        let log = Log { actions: vec![action(1), kill], forgotten: 0 };
        let text = log.to_string();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.parse(), Ok(log));
    }

    #[test]
    fn a_line_that_is_no_action_is_named() {
        let error = format!("\n{}\n{{}}\n", action(1)).parse::<Log>().expect_err("not an action");
        assert_eq!(error.line, 3);
    }

    #[test]
    fn a_full_ring_forgets_the_oldest_and_says_so() {
        let mut ring = Ring::new(2);
        (1..=5).for_each(|hit| ring.push(action(hit)));
        assert_eq!(ring.log(), Log { actions: vec![action(4), action(5)], forgotten: 3 });
    }
}
