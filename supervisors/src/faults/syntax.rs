//! What can be wrong with the text of a fault point, and where.

use super::grammar::TASKS;
use std::fmt;

/// The text of a fault point is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// All that was to be read.
    pub text: String,
    /// Where in `text`, in bytes from its beginning.
    pub at: usize,
    /// What.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is nothing where a task has to be.
    TaskExpected,
    /// No task has this name.
    UnknownTask(String),
    /// What stands before `%` is not a number.
    PercentNotNumber(String),
    /// Less than 0 or more than 100.
    PercentOutOfRange(String),
    /// What stands before `*` is not a whole number from 0.
    CountNotNumber(String),
    /// The task cannot do without.
    ArgumentMissing {
        /// Which.
        task: String,
        /// What the argument says.
        what: &'static str,
    },
    /// The task takes none.
    ArgumentUnexpected(String),
    /// Not a whole number from 0.
    MillisNotNumber(String),
    /// No `)` ends the term.
    NotClosed,
    /// `;` separates the points of a list, and this is one point.
    OnlyInLists,
    /// No percentage, count or second term may be here.
    OneTaskExpected,
    /// Of a monkey: only these tasks are ways to end.
    WayExpected,
    /// In a list: a point without `=`.
    EqualsExpected,
    /// In a list: nothing stands where the name of a point has to be.
    NameExpected,
    /// In a list: a condition that is not `key=value`.
    ConditionExpected(String),
}

impl SyntaxError {
    pub(super) fn new(text: &str, at: usize, problem: Problem) -> Self {
        Self { text: text.to_string(), at, problem }
    }

    /// Two lines: the text, and a `^` below the place.
    pub fn drawn(&self) -> String {
        let before = self.text.get(..self.at).unwrap_or(&self.text).chars().count();
        format!("{}\n{:before$}^", self.text, "")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskExpected => write!(f, "a task is missing; there are {TASKS}"),
            Self::UnknownTask(name) => write!(f, "no task is called {name:?}; there are {TASKS}"),
            Self::PercentNotNumber(text) => write!(f, "{text:?} before % is not a number"),
            Self::PercentOutOfRange(text) => write!(f, "{text}% is not within 0% and 100%"),
            Self::CountNotNumber(text) => write!(f, "{text:?} before * is not a whole number"),
            Self::ArgumentMissing { task, what } => write!(f, "{task} needs {what} in parentheses"),
            Self::ArgumentUnexpected(task) => write!(f, "{task} takes nothing in parentheses"),
            Self::MillisNotNumber(text) => write!(f, "{text:?} is not a whole number of milliseconds"),
            Self::NotClosed => f.write_str("this ( has no ) at the end of its term"),
            Self::OnlyInLists => f.write_str("a ; separates the points of a list, and this is the text of one point"),
            Self::OneTaskExpected => f.write_str("one task alone is expected, without percentage, count or ->"),
            Self::WayExpected => f.write_str("a monkey's ways are panic, exit(reason) and kill"),
            Self::EqualsExpected => f.write_str("this point has no =, behind which its tasks stand"),
            Self::NameExpected => f.write_str("the name of a fault point is missing"),
            Self::ConditionExpected(text) => write!(f, "the condition {text:?} is not key=value"),
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.at).unwrap_or(&self.text).chars().count();
        write!(f, "character {} of {:?}: {}", before + 1, self.text, self.problem)
    }
}

impl std::error::Error for SyntaxError {}
