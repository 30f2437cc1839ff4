//! A prediction in words.

use super::Prediction;
use crate::{reason::ExitReason, snapshot::Span};
use std::fmt;

/// Of a long list only the beginning is named.
const NAMED: usize = 8;

fn list<'a>(paths: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = paths.len().saturating_sub(NAMED);
    let mut names: Vec<&str> = paths.take(NAMED).collect();
    let rest = format!("{more} more");
    if more > 0 {
        names.push(&rest);
    }
    match names.split_last() {
        None => "nobody".to_string(),
        Some((last, [])) => (*last).to_string(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

impl fmt::Display for Prediction {
    /// Several lines; the first is "If PATH PID panics:" or the like.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let happens = match &self.reason {
            ExitReason::Normal => "ends as it should".to_string(),
            ExitReason::Killed => "is killed".to_string(),
            ExitReason::Panic { .. } => "panics".to_string(),
            ExitReason::Environment(text) => format!("is failed by its environment ({text})"),
            other => format!("exits with \"{other}\""),
        };
        write!(f, "If {} {} {}:", self.target.path, self.target.pid, happens.replace('\n', " | "))?;
        let others = self.dies.iter().map(|dying| dying.path.as_str()).filter(|path| *path != self.target.path);
        let others: Vec<&str> = others.collect();
        match (others.len(), self.survives.len()) {
            (0, 0) => write!(f, "\n  nobody else runs")?,
            (0, _) => write!(f, "\n  nobody else ends; {} survive", self.survives.len())?,
            (_, survive) => write!(f, "\n  {} end with it; {survive} survive", list(others.into_iter()))?,
        }
        for spent in &self.budgets {
            let broken = if spent.used > spent.before.allowed as usize { ": one too many" } else { "" };
            let period = Span(spent.before.period);
            write!(
                f,
                "\n  {} has had {} of {} restarts in {period}{broken}",
                spent.path, spent.used, spent.before.allowed
            )?;
        }
        for gives_up in &self.gives_up {
            write!(f, "\n  {} gives up over {}", gives_up.path, gives_up.over)?;
            match &gives_up.escalates_to {
                Some(above) => write!(f, "; {above} decides")?,
                None => f.write_str("; nobody is above it")?,
            }
        }
        let later = |after| if after == 0.0 { "at once".to_string() } else { format!("within {after} s") };
        for group in self.restarted.chunk_by(|a, b| a.after == b.after) {
            let when = group.first().map_or(0.0, |first| (first.after.as_secs_f64() * 1e3).round() / 1e3);
            let who = list(group.iter().map(|restarted| restarted.path.as_str()));
            write!(f, "\n  started again {}: {who}", later(when))?;
        }
        if !self.stopped.is_empty() {
            write!(f, "\n  down for good: {}", list(self.stopped.iter().map(String::as_str)))?;
        }
        if !self.forgotten.is_empty() {
            write!(f, "\n  no longer in the tree: {}", list(self.forgotten.iter().map(String::as_str)))?;
        }
        if let Some(reason) = &self.root_ends {
            write!(f, "\n  the whole tree ends with \"{reason}\"")?;
        }
        self.unknown.iter().try_for_each(|unknown| write!(f, "\n  not known: {unknown}"))
    }
}
