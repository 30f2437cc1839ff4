//! Supervisor, crash and progress reports: one line each, to `log` target `sasl`, as OTP's.
//!
//! A storm of them is thinned out, and says so. Never decides anything.

use crate::{
    machine::Report,
    pid::Pid,
    reason::ExitReason,
    rt,
    table::{Entry, lock},
};
use log::{Level, log};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

const TARGET: &str = "sasl";

/// Lines per second and kind, over all supervisors.
const PER_SECOND: u32 = 50;

#[derive(Default)]
struct Limiter {
    since: Option<Instant>,
    let_through: u32,
    left_out: u32,
}

enum Verdict {
    Write { left_out_before: u32 },
    LeaveOut,
}

impl Limiter {
    const fn new() -> Self {
        Self { since: None, let_through: 0, left_out: 0 }
    }

    fn ask(&mut self, now: Instant) -> Verdict {
        let fresh = match self.since {
            Some(since) => now.saturating_duration_since(since) >= Duration::from_secs(1),
            None => true,
        };
        if fresh {
            let left_out_before = self.left_out;
            *self = Self { since: Some(now), let_through: 1, left_out: 0 };
            return Verdict::Write { left_out_before };
        }
        if self.let_through < PER_SECOND {
            self.let_through += 1;
            return Verdict::Write { left_out_before: 0 };
        }
        self.left_out += 1;
        Verdict::LeaveOut
    }
}

/// Faults, and what is merely told, so that neither drowns the other.
static LIMITERS: [Mutex<Limiter>; 2] = [const { Mutex::new(Limiter::new()) }; 2];

fn write(level: Level, line: std::fmt::Arguments<'_>) {
    if !log::log_enabled!(target: TARGET, level) {
        return;
    }
    let verdict = lock(&LIMITERS[usize::from(level > Level::Warn)]).ask(rt::now());
    match verdict {
        Verdict::LeaveOut => return,
        Verdict::Write { left_out_before: 0 } => {}
        Verdict::Write { left_out_before } => {
            log!(target: TARGET, Level::Warn, "{left_out_before} reports were left out");
        }
    }
    // A panic's text may have several lines.
    let line = line.to_string().replace('\n', " | ");
    log!(target: TARGET, level, "{line}");
}

/// A child was started.
pub(crate) fn progress(supervisor: &str, child: &Entry) {
    log::debug!(target: TARGET, "PROGRESS  {supervisor}  started {} {}", child.name, child.pid);
}

/// The crash report: what only the process itself knows.
pub(crate) fn process_ended(entry: &Entry, reason: &ExitReason) {
    match reason {
        ExitReason::Panic { .. } | ExitReason::Error(_) => {
            let (path, pid) = (&entry.path, entry.pid);
            let incarnation = entry.incarnation;
            write(Level::Error, format_args!("CRASH REPORT  {path} {pid}  {reason}  incarnation={incarnation}"));
        }
        ExitReason::Environment(_) => {
            let (path, pid) = (&entry.path, entry.pid);
            write(Level::Info, format_args!("EXIT  {path} {pid}  {reason}"));
        }
        _ => {}
    }
}

/// A supervisor child that gave up, and has a back-off, is left alone for a while.
pub(crate) fn parked(supervisor: &str, id: &str, wait: Duration) {
    write(Level::Warn, format_args!("SUPERVISOR REPORT  {supervisor}  parked  {id}  started again after {wait:.1?}"));
}

pub(crate) fn shutdown_timeout(supervisor: &str, id: &str, pid: Pid, limit: Duration) {
    write(
        Level::Error,
        format_args!(
            "SUPERVISOR REPORT  {supervisor}  shutdown_error  {id} {pid}  did not end within {limit:?}: killed"
        ),
    );
}

pub(crate) fn abandoned(supervisor: &str, id: &str, pid: Pid) {
    write(
        Level::Error,
        format_args!(
            "SUPERVISOR REPORT  {supervisor}  abandoned  {id} {pid}  CANNOT BE ENDED: it blocks its thread, and what it holds is lost"
        ),
    );
}

/// What a supervisor did about its children.
pub(crate) fn supervisor(path: &str, report: &Report) {
    let head = format!("SUPERVISOR REPORT  {path}");
    match report {
        Report::ChildTerminated { id, pid, reason, restart } => {
            let level = match reason {
                ExitReason::Environment(_) => Level::Info,
                reason if reason.is_normal() => Level::Info,
                _ => Level::Error,
            };
            let restart = format!("{restart:?}").to_lowercase();
            write(level, format_args!("{head}  child_terminated  {id} {pid}  {reason}  restart={restart}"));
        }
        Report::StartError { id, reason } => {
            write(Level::Error, format_args!("{head}  start_error  {id}  {reason}"));
        }
        Report::ShutdownError { id, pid, reason } => {
            write(Level::Error, format_args!("{head}  shutdown_error  {id} {pid}  {reason}"));
        }
        Report::ShutdownTimeout { id, pid, limit } => shutdown_timeout(path, id, *pid, *limit),
        Report::Abandoned { id, pid } => abandoned(path, id, *pid),
        Report::Restarting { pid, after, used, .. } if after.is_zero() => {
            log::debug!(target: TARGET, "{head}  restarting {pid}  restarts_in_period={used}");
        }
        Report::Restarting { pid, after, .. } => {
            log::debug!(target: TARGET, "{head}  restarting {pid}  after={after:?}");
        }
        Report::GaveUp { id, reason } => {
            write(Level::Error, format_args!("{head}  shutdown  reached_max_restart_intensity  last: {id} {reason}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_reports_is_thinned_out_and_says_so() {
        let (mut limiter, start) = (Limiter::default(), rt::now());
        let written = |limiter: &mut Limiter, at| matches!(limiter.ask(at), Verdict::Write { .. });
        let storm = (0..1000).filter(|_| written(&mut limiter, start)).count();
        assert_eq!(storm, PER_SECOND as usize);
        let later = limiter.ask(start + Duration::from_secs(1));
        assert!(matches!(later, Verdict::Write { left_out_before: 950 }));
    }
}
