//! Where this crate's traces differ from OTP's on purpose, line by line, and why.

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

pub(crate) const DIFFERENCES: &[Difference] = &[Difference {
    script: "A child that is deaf outlives its killed supervisor",
    reason: "In OTP the signal of a dead parent can be ignored, and the child runs on beside its own successor, in no tree. Here \
             a supervisor's end is told only when all below it have ended, so there is never a second one.",
    otp: &[],
    ours: &["! sub 0 shutdown_error a killed", "- a 0 killed"],
}];
