//! What a fault point does, as text: `5%3*panic(text)->delay(100)->off`. Pure.
//!
//! The grammar is that of the crate `fail`: `[<percent>%][<count>*]<task>[(<argument>)]`, and more such terms behind `->`. A term is
//! looked at only when those before it did not fire. `grammar/list.rs` reads lists of points.

use super::syntax::{Problem, SyntaxError};
use crate::reason::ExitReason;
use std::{fmt, str::FromStr, time::Duration};

/// What happens at a fault point that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// `off`: nothing; the terms behind it are not looked at.
    Off,
    /// `return` or `return(value)`: the code gets the value.
    Return(Option<String>),
    /// `error` or `error(text)`: the code gets an error.
    Error(Option<String>),
    /// `panic` or `panic(text)`.
    Panic(Option<String>),
    /// `exit(reason)`: the process ends itself with this reason, as by Erlang's `exit/1`.
    Exit(ExitReason),
    /// `delay(millis)` or `sleep(millis)`: the code goes on later.
    Delay(Duration),
    /// `busy(millis)`: the thread is held, and a core; what `fail` calls `delay`.
    Busy(Duration),
    /// `hang` or `pause`: the code goes on when the point is disarmed.
    Hang,
    /// `yield`: others go first.
    Yield,
    /// `print` or `print(text)`: a record for `log`, level info, target `faults`.
    Print(Option<String>),
}

/// The names of all tasks, for messages.
pub(super) const TASKS: &str = "off, return, error, panic, exit, delay, sleep, busy, hang, pause, yield, print";

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, argument) = match self {
            Self::Off => ("off", None),
            Self::Return(value) => ("return", value.clone()),
            Self::Error(text) => ("error", text.clone()),
            Self::Panic(text) => ("panic", text.clone()),
            Self::Exit(reason) => ("exit", Some(reason_text(reason))),
            Self::Delay(wait) => ("delay", Some(wait.as_millis().to_string())),
            Self::Busy(wait) => ("busy", Some(wait.as_millis().to_string())),
            Self::Hang => ("hang", None),
            Self::Yield => ("yield", None),
            Self::Print(text) => ("print", text.clone()),
        };
        f.write_str(name)?;
        argument.map_or(Ok(()), |argument| write!(f, "({argument})"))
    }
}

impl FromStr for Task {
    type Err = SyntaxError;

    /// One task, without percentage and count.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let mut terms = chain(text)?;
        match terms.pop() {
            Some(Term { percent: None, count: None, task }) if terms.is_empty() => Ok(task),
            _ => Err(SyntaxError::new(text, 0, Problem::OneTaskExpected)),
        }
    }
}

/// `[<percent>%][<count>*]<task>`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    /// `0.0..=100.0`; without it: always.
    pub(crate) percent: Option<f64>,
    /// Fires at most so often.
    pub(crate) count: Option<u64>,
    pub(crate) task: Task,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(percent) = self.percent {
            write!(f, "{percent}%")?;
        }
        if let Some(count) = self.count {
            write!(f, "{count}*")?;
        }
        self.task.fmt(f)
    }
}

/// All of `text` is one chain of terms.
pub(crate) fn chain(text: &str) -> Result<Vec<Term>, SyntaxError> {
    let (terms, end) = chain_at(text, 0)?;
    match end == text.len() {
        true => Ok(terms),
        false => Err(SyntaxError::new(text, end, Problem::OnlyInLists)),
    }
}

/// The chain that begins at byte `from`, and where it ends: at a `;` or with `text`.
pub(super) fn chain_at(text: &str, from: usize) -> Result<(Vec<Term>, usize), SyntaxError> {
    let mut terms = Vec::new();
    let mut at = from;
    loop {
        let end = term_end(text, at)?;
        terms.push(term(text, at, end)?);
        match text[end..].strip_prefix("->") {
            Some(_) => at = end + 2,
            None => return Ok((terms, end)),
        }
    }
}

/// Where the term that begins at `from` ends. An argument ends at the first `)` with nothing of the term behind it, so it may
/// hold `)`, `->` and `;`.
fn term_end(text: &str, from: usize) -> Result<usize, SyntaxError> {
    let ends = |at: usize| at == text.len() || text[at..].starts_with("->") || text[at..].starts_with(';');
    let places = || text[from..].char_indices().map(|(at, c)| (from + at, c));
    let stop = places().find(|(at, c)| *c == '(' || ends(*at));
    match stop {
        None => Ok(text.len()),
        Some((open, '(')) => {
            let behind = |at: usize| text.len() - text[at..].trim_start().len();
            let closed = places().filter(|(at, c)| *at > open && *c == ')').map(|(at, _)| behind(at + 1));
            closed.into_iter().find(|at| ends(*at)).ok_or_else(|| SyntaxError::new(text, open, Problem::NotClosed))
        }
        Some((end, _)) => Ok(end),
    }
}

fn term(text: &str, from: usize, end: usize) -> Result<Term, SyntaxError> {
    let start = from + (text[from..end].len() - text[from..end].trim_start().len());
    let whole = text[start..end].trim_end();
    if whole.is_empty() {
        return Err(SyntaxError::new(text, start, Problem::TaskExpected));
    }
    let (head, argument) = match whole.split_once('(') {
        Some((head, rest)) => (head, rest.strip_suffix(')')),
        None => (whole, None),
    };
    let fault = |at: usize, problem| Err(SyntaxError::new(text, at, problem));
    let mut at = start;
    let mut rest = head;
    let mut percent = None;
    if let Some((number, behind)) = rest.split_once('%') {
        match number.parse::<f64>() {
            Ok(part) if (0.0..=100.0).contains(&part) => percent = Some(part),
            Ok(_) => return fault(at, Problem::PercentOutOfRange(number.into())),
            Err(_) => return fault(at, Problem::PercentNotNumber(number.into())),
        }
        at += number.len() + 1;
        rest = behind;
    }
    let mut count = None;
    if let Some((number, behind)) = rest.split_once('*') {
        match number.parse::<u64>() {
            Ok(times) => count = Some(times),
            Err(_) => return fault(at, Problem::CountNotNumber(number.into())),
        }
        at += number.len() + 1;
        rest = behind;
    }
    let task = task(text, (at, rest), (start + head.len() + 1, argument))?;
    Ok(Term { percent, count, task })
}

fn task(text: &str, (at, name): (usize, &str), (inside, argument): (usize, Option<&str>)) -> Result<Task, SyntaxError> {
    let fault = |at: usize, problem| SyntaxError::new(text, at, problem);
    let owned = || argument.map(str::to_string);
    let millis = || match argument.map(str::parse) {
        Some(Ok(millis)) => Ok(Duration::from_millis(millis)),
        Some(Err(_)) => Err(fault(inside, Problem::MillisNotNumber(owned().unwrap_or_default()))),
        None => Err(fault(at, Problem::ArgumentMissing { task: name.into(), what: "milliseconds" })),
    };
    let task = match name {
        "off" => Task::Off,
        "return" => Task::Return(owned()),
        "error" => Task::Error(owned()),
        "panic" => Task::Panic(owned()),
        "exit" => match argument {
            Some(reason) if !reason.trim().is_empty() => Task::Exit(parse_reason(reason)),
            _ => return Err(fault(at, Problem::ArgumentMissing { task: name.into(), what: "a reason" })),
        },
        "delay" | "sleep" => Task::Delay(millis()?),
        "busy" => Task::Busy(millis()?),
        "hang" | "pause" => Task::Hang,
        "yield" => Task::Yield,
        "print" => Task::Print(owned()),
        "" => return Err(fault(at, Problem::TaskExpected)),
        _ => return Err(fault(at, Problem::UnknownTask(name.into()))),
    };
    match task {
        Task::Off | Task::Hang | Task::Yield if argument.is_some() => {
            Err(fault(inside, Problem::ArgumentUnexpected(name.into())))
        }
        task => Ok(task),
    }
}

/// `normal`, `shutdown`, `shutdown: text`, `killed` (or `kill`), `environment: text`; anything else is an error with this text.
pub(super) fn parse_reason(text: &str) -> ExitReason {
    match text.trim() {
        "normal" => ExitReason::Normal,
        "shutdown" => ExitReason::Shutdown,
        "killed" | "kill" => ExitReason::Killed,
        "environment" => ExitReason::environment("injected"),
        other => match other.split_once(':') {
            Some(("environment", text)) => ExitReason::environment(text.trim()),
            Some(("shutdown", text)) => ExitReason::ShutdownWith(text.trim().to_string()),
            Some(("error", text)) => ExitReason::error(text.trim()),
            _ => ExitReason::error(other),
        },
    }
}

/// What [`parse_reason`] reads.
fn reason_text(reason: &ExitReason) -> String {
    reason.to_string()
}
