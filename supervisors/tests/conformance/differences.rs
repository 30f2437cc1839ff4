//! Where this crate's traces differ from OTP's on purpose, and why.

use crate::{
    script::Script,
    trace::{Happening, Trace},
};

/// OTP's trace with one rule changed, that of a supervisor that is *killed*:
///
/// In OTP nobody ends its children. Each hears through its link that its parent was `killed`, ends with that reason, and whoever can
/// (workers that trap exits, supervisors) writes a crash report. Here the supervisor's process ends what is left before its own
/// end is told: youngest first, each within its limit, so with the reasons of any other end in order, and no crash.
pub(crate) fn ended_in_order(theirs: Trace, script: &Script) -> Trace {
    let owners = theirs.owners(script);
    let mut out = Vec::new();
    for step in theirs.steps() {
        let killed = |happening: &Happening| match happening {
            Happening::Ended(instance, reason) if reason == "killed" => Some(instance.clone()),
            _ => None,
        };
        let killed: Vec<_> = step.iter().filter_map(killed).collect();
        let is_below = |instance| {
            let above = std::iter::successors(owners.get(instance), |above| owners.get(*above));
            above.into_iter().any(|above| killed.contains(above))
        };
        out.extend(step.iter().filter_map(|happening| match happening {
            Happening::Reported(of, text) if text == "crash killed" && is_below(of) => None,
            Happening::Ended(of, reason) if reason == "killed" && is_below(of) && !script.kills_brutally(&of.0) => {
                Some(Happening::Ended(of.clone(), "shutdown".into()))
            }
            _ => Some(happening.clone()),
        }));
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
    Difference {
        script: "The children of a simple supervisor that do not end in time are killed side by side",
        reason: "OTP reports all children of a simple_one_for_one supervisor that ended for one reason in one report, by their \
                 number. Ours says which they were.",
        otp: &["! pool 0 shutdown_error w killed"],
        ours: &[
            "! pool 0 shutdown_error w1 killed",
            "! pool 0 shutdown_error w2 killed",
            "! pool 0 shutdown_error w3 killed",
        ],
    },
];
