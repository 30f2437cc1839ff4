//! Traces: what happened while a script was played, one line each, in an order that both sides must agree on.
//!
//! ```text
//! > exit a error                       the step, as in the script
//! ! a 0 crash error                    a crash report, of the first incarnation of `a`
//! - a 0 error                          it ended, and why
//! ! top 0 child_terminated a error     a supervisor report: supervisor, context, child, reason
//! + a 1                                it was started again
//! = ok                                 what a call answered
//! ```
//! Both sides are brought into one order first where OTP leaves it open; [`Trace::canonical`] says where that is.

use crate::script::Script;
use std::{collections::HashMap, fmt};

/// The incarnation of a process: its name and how often it was started before.
pub(crate) type Instance = (String, u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Step(String),
    Started(Instance),
    Ended(Instance, String),
    Reported(Instance, String),
    Answered(String),
    /// The interpreter could not go on.
    Failed(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace(pub(crate) Vec<Happening>);

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "> {step}"),
            Self::Started((name, nth)) => write!(f, "+ {name} {nth}"),
            Self::Ended((name, nth), reason) => write!(f, "- {name} {nth} {reason}"),
            Self::Reported((name, nth), report) => write!(f, "! {name} {nth} {report}"),
            Self::Answered(answer) => write!(f, "= {answer}"),
            Self::Failed(why) => write!(f, "? {why}"),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|happening| writeln!(f, "{happening}"))
    }
}

fn happening(line: &str) -> Happening {
    let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = rest.splitn(3, ' ');
    let mut instance =
        || (words.next().unwrap_or_default().to_string(), words.next().and_then(|nth| nth.parse().ok()).unwrap_or(0));
    match mark {
        ">" => Happening::Step(rest.into()),
        "=" => Happening::Answered(rest.into()),
        "+" => Happening::Started(instance()),
        "-" => Happening::Ended(instance(), words.next().unwrap_or_default().into()),
        "!" => Happening::Reported(instance(), words.next().unwrap_or_default().into()),
        _ => Happening::Failed(line.into()),
    }
}

/// Traces by the name of their script, each below a line `@ NAME`.
pub(crate) fn parse(text: &str) -> HashMap<String, Trace> {
    let mut traces: HashMap<String, Trace> = HashMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("@ ") {
            Some(script) => name = script.to_string(),
            None => traces.entry(name.clone()).or_default().0.push(happening(line)),
        }
    }
    traces
}

impl Trace {
    /// The same trace in the one order that stands for all that OTP allows:
    ///
    /// - A supervisor may hear that a child failed to start before that child has ended. Here the end stands before the report.
    /// - The children of a supervisor that is *killed* end by themselves and side by side, before, while or after others hear of
    ///   it. Here each of them, with all below it, stands right before the supervisor, by name.
    /// - The children of a `simple_one_for_one` supervisor are ended side by side. Here they are sorted by name.
    pub(crate) fn canonical(self, script: &Script) -> Self {
        let parents = script.parents();
        let owners = self.owners(script);
        let mut out = Vec::new();
        for step in self.steps() {
            let mut step = step.to_vec();
            move_failed_inits(&mut step);
            gather_killed(&mut step, &owners, script);
            sort_parallel(&mut step, &parents, script);
            out.extend(step);
        }
        Self(out)
    }

    /// A step, and all that happened because of it, at a time.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &[Happening]> {
        self.0.chunk_by(|_, next| !matches!(next, Happening::Step(_)))
    }

    /// Which incarnation of its supervisor each incarnation belongs to.
    pub(crate) fn owners(&self, script: &Script) -> HashMap<Instance, Instance> {
        let parents = script.parents();
        let (mut latest, mut owners) = (HashMap::new(), HashMap::new());
        for happening in &self.0 {
            let Happening::Started(instance) = happening else {
                continue;
            };
            latest.insert(instance.0.clone(), instance.clone());
            let owner = parents.get(instance.0.as_str()).and_then(|parent| latest.get(*parent));
            owners.extend(owner.map(|owner| (instance.clone(), owner.clone())));
        }
        owners
    }

    /// Line by line: `(Some, Some)` is in both, in order.
    fn side_by_side<'a>(&'a self, ours: &'a Self) -> Vec<(Option<&'a Happening>, Option<&'a Happening>)> {
        let (mut rows, mut i, mut j) = (Vec::new(), 0, 0);
        let common = common_tails(&self.0, &ours.0);
        loop {
            match (self.0.get(i), ours.0.get(j)) {
                (None, None) => return rows,
                (theirs, own) if theirs == own => {
                    rows.push((theirs, own));
                    (i, j) = (i + 1, j + 1);
                }
                (theirs @ Some(_), own) if own.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                    rows.push((theirs, None));
                    i += 1;
                }
                (_, own) => {
                    rows.push((None, own));
                    j += 1;
                }
            }
        }
    }

    /// `None`: they are equal. Otherwise both, side by side: `*` marks what only one of them has.
    pub(crate) fn difference(&self, ours: &Self) -> Option<String> {
        if self == ours {
            return None;
        }
        let text = |side: Option<&Happening>| side.map(ToString::to_string).unwrap_or_default();
        let row = |(theirs, own): (Option<&Happening>, Option<&Happening>)| {
            let mark = if theirs == own { ' ' } else { '*' };
            format!("  {mark} {:<60} {}", text(theirs), text(own)).trim_end().to_string() + "\n"
        };
        let rows: String = self.side_by_side(ours).into_iter().map(row).collect();
        Some(format!("    {:<60} ours\n{rows}", "OTP"))
    }

    /// The lines that only `self` has, and those that only `ours` has.
    pub(crate) fn only(&self, ours: &Self) -> [Vec<String>; 2] {
        let mut only = [Vec::new(), Vec::new()];
        for row in self.side_by_side(ours) {
            match row {
                (Some(theirs), None) => only[0].push(theirs.to_string()),
                (None, Some(own)) => only[1].push(own.to_string()),
                _ => {}
            }
        }
        only
    }
}

/// How many of `a[i..]` and `b[j..]` are the same, in order.
fn common_tails(a: &[Happening], b: &[Happening]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}

fn move_failed_inits(segment: &mut [Happening]) {
    for at in 0..segment.len() {
        let Happening::Reported(_, report) = &segment[at] else {
            continue;
        };
        let Some(child) = report.strip_prefix("start_error ").and_then(|rest| rest.split(' ').next()) else {
            continue;
        };
        let child = child.to_string();
        let started_last = |it: &Happening| matches!(it, Happening::Started((name, _)) if *name == child);
        let Some(started) = segment[..at].iter().rposition(started_last) else {
            continue;
        };
        let Happening::Started(instance) = segment[started].clone() else {
            continue;
        };
        let of = |it: &Happening| matches!(it, Happening::Reported(of, _) | Happening::Ended(of, _) if *of == instance);
        let mut to = at;
        for from in at + 1..segment.len() {
            if of(&segment[from]) {
                segment[to..=from].rotate_right(1);
                to += 1;
            }
        }
    }
}

fn gather_killed(segment: &mut Vec<Happening>, owners: &HashMap<Instance, Instance>, script: &Script) {
    // Who only hears that its parent was killed ends its own children in order, and crashes with that reason; here it is killed itself if
    // that is how its spec says it is to be ended.
    let crashed = |of: &Instance| {
        segment.iter().any(|it| matches!(it, Happening::Reported(who, text) if who == of && text == "crash killed"))
    };
    let killed = |it: &Happening| match it {
        Happening::Ended(of, reason) if reason == "killed" && (!crashed(of) || script.kills_brutally(&of.0)) => {
            Some(of.clone())
        }
        _ => None,
    };
    let killed: Vec<Instance> = segment.iter().filter_map(killed).collect();
    for supervisor in killed {
        // The direct child through which it is below the supervisor.
        let through = |happening: &Happening| {
            let (Happening::Ended(of, _) | Happening::Reported(of, _)) = happening else {
                return None;
            };
            let mut at = of;
            while let Some(owner) = owners.get(at) {
                if *owner == supervisor {
                    return Some(at.clone());
                }
                at = owner;
            }
            None
        };
        let mut below: Vec<(Instance, Happening)> = Vec::new();
        segment.retain(|it| through(it).map(|child| below.push((child, it.clone()))).is_none());
        below.sort_by(|(a, _), (b, _)| a.cmp(b));
        let end = segment.iter().position(|it| matches!(it, Happening::Ended(of, _) if *of == supervisor));
        let end = end.expect("it was found there");
        segment.splice(end..end, below.into_iter().map(|(_, happening)| happening));
    }
}

fn sort_parallel(segment: &mut [Happening], parents: &HashMap<&str, &str>, script: &Script) {
    // What a pool says of late ones stands after the ends.
    let place = |happening: &Happening| match happening {
        Happening::Reported((pool, _), text) if script.is_simple(pool) && text.starts_with("shutdown_error") => {
            Some((pool.clone(), true, (text.clone(), 0)))
        }
        Happening::Ended(of, _) | Happening::Reported(of, _) => {
            let pool = parents.get(of.0.as_str()).filter(|parent| script.is_simple(parent))?;
            Some((pool.to_string(), false, of.clone()))
        }
        _ => None,
    };
    let pool = |happening: &Happening| place(happening).map(|(pool, ..)| pool);
    for run in segment.chunk_by_mut(|a, b| pool(a).is_some() && pool(a) == pool(b)) {
        run.sort_by_key(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    const SCRIPT: &str = "
A script
    top one_for_one
      sub one_for_one
        a
        b
      pool simple_one_for_one
        w template
    > start_instance pool w1
    > start_instance pool w2
";

    fn canonical(lines: &str) -> String {
        let trace = parse(lines).remove("").unwrap();
        trace.canonical(&script::parse(SCRIPT)[0]).to_string()
    }

    #[test]
    fn the_children_of_a_killed_supervisor_may_end_before_and_after_it() {
        let start = "> start\n+ top 0\n+ sub 0\n+ a 0\n+ b 0\n> kill sub\n";
        let killed = canonical(&format!("{start}- sub 0 killed\n- b 0 killed\n+ sub 1\n- a 0 killed\n+ a 1\n"));
        assert_eq!(killed, format!("{start}- a 0 killed\n- b 0 killed\n- sub 0 killed\n+ sub 1\n+ a 1\n"));
    }

    #[test]
    fn an_ordered_end_stays_in_its_order() {
        let stop =
            "> start\n+ top 0\n+ sub 0\n+ a 0\n+ b 0\n> stop\n- b 0 shutdown\n- a 0 shutdown\n- sub 0 shutdown\n";
        assert_eq!(canonical(stop), stop);
    }

    #[test]
    fn instances_that_end_side_by_side_are_sorted_and_others_are_not() {
        let start = "> start\n+ pool 0\n+ w1 0\n+ w2 0\n> stop\n";
        let ended = canonical(&format!("{start}- w2 0 shutdown\n- w1 0 shutdown\n- pool 0 shutdown\n"));
        assert_eq!(ended, format!("{start}- w1 0 shutdown\n- w2 0 shutdown\n- pool 0 shutdown\n"));
    }

    #[test]
    fn a_child_that_failed_to_start_ends_before_that_is_reported() {
        let start = "> start\n+ top 0\n+ sub 0\n";
        let failed = canonical(&format!("{start}! top 0 start_error sub error\n! sub 0 crash error\n- sub 0 error\n"));
        assert_eq!(failed, format!("{start}! sub 0 crash error\n- sub 0 error\n! top 0 start_error sub error\n"));
    }

    #[test]
    fn one_line_more_is_a_difference_and_is_marked() {
        let trace = |text| parse(text).remove("").unwrap();
        let (otp, ours) = (trace("> start\n+ top 0\n= ok\n"), trace("> start\n= ok\n"));
        assert_eq!(otp.difference(&otp), None);
        let marked = otp.difference(&ours).unwrap();
        assert!(marked.contains("  * + top 0\n"), "{marked}");
    }
}
