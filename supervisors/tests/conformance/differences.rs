//! Where this crate's traces differ from OTP's on purpose, and why.

use crate::{
    script::Script,
    trace::{Happening, Instance, Trace},
};

/// OTP's trace with one rule changed, that of a supervisor that is *killed*:
///
/// In OTP nobody ends its children. Each hears through its link that its parent was `killed` and ends by itself, with that reason or,
/// if it traps exits, with whatever it likes; who traps exits writes a crash report. A supervisor among them ends its own children
/// in order first. Here the killed supervisor's process ends what is left before its own end is told, as every end in order goes:
/// youngest first, each as its spec says, so with `shutdown`, or with `killed` if it is to be killed brutally.
pub(crate) fn ended_in_order(theirs: Trace, script: &Script) -> Trace {
    let owners = theirs.owners(script);
    let mut out = Vec::new();
    for step in theirs.steps() {
        let killed = |happening: &Happening| match happening {
            Happening::Ended(instance, reason) if reason == "killed" => Some(instance.clone()),
            _ => None,
        };
        let killed: Vec<_> = step.iter().filter_map(killed).collect();
        let is_below =
            |of| std::iter::successors(owners.get(of), |above| owners.get(*above)).any(|above| killed.contains(above));
        let brutally = |(name, _): &Instance| script.kills_brutally(name);
        out.extend(step.iter().filter_map(|happening| match happening {
            Happening::Reported(of, text) if is_below(of) => {
                let not_here = text == "crash killed" || brutally(of);
                (!not_here).then(|| happening.clone())
            }
            Happening::Ended(of, _) if is_below(of) && brutally(of) => {
                Some(Happening::Ended(of.clone(), "killed".into()))
            }
            Happening::Ended(of, reason) if is_below(of) && reason == "killed" => {
                Some(Happening::Ended(of.clone(), "shutdown".into()))
            }
            _ => Some(happening.clone()),
        }));
    }
    Trace(out)
}

/// Our trace with one rule changed, that of a `simple_one_for_one` supervisor that ends:
///
/// All its children that ended otherwise than they were told are in one report of OTP for each reason, by their number. Here each has
/// its own, which says who it was.
pub(crate) fn counted(ours: Trace, script: &Script) -> Trace {
    let mut out: Vec<Happening> = Vec::new();
    for step in ours.steps() {
        let ends = |pool: &Instance| step.iter().any(|it| matches!(it, Happening::Ended(of, _) if of == pool));
        for happening in step {
            let report = match happening {
                Happening::Reported(pool, text) if ends(pool) => {
                    script.template(&pool.0).zip(text.strip_prefix("shutdown_error "))
                }
                _ => None,
            };
            let next = match (happening, report) {
                (Happening::Reported(pool, _), Some((template, text))) => {
                    let reason = text.split_once(' ').map_or("", |(_, reason)| reason);
                    Happening::Reported(pool.clone(), format!("shutdown_error {template} {reason}"))
                }
                _ => happening.clone(),
            };
            if report.is_none() || out.last() != Some(&next) {
                out.push(next);
            }
        }
    }
    Trace(out)
}

/// One script that differs.
pub(crate) struct Difference {
    pub(crate) script: &'static str,
    /// For people.
    pub(crate) reason: &'static str,
    /// Lines that only OTP's trace has.
    pub(crate) otp: &'static [&'static str],
    /// Lines that only ours has.
    pub(crate) ours: &'static [&'static str],
}

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        script: "A child that is deaf outlives its killed supervisor",
        reason: "In OTP the signal of a dead parent can be ignored, and the child runs on beside its own successor, in no tree. \
                 Here a supervisor's end is told only when all below it have ended, so there is never a second one.",
        otp: &[],
        ours: &["! sub 0 shutdown_error a killed", "- a 0 killed"],
    },
    Difference {
        script: "A child that is being restarted can be terminated, and stays so",
        reason: "OTP's supervisor waits for an init, deaf to all else, and hears the call when it has failed. Ours hears it at \
                 once, and ends the child in the midst of its init.",
        otp: &["! a 1 crash error", "- a 1 error", "! top 0 start_error a error"],
        ours: &["- a 1 shutdown"],
    },
];
