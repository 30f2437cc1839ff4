//! Supervisor, crash and progress reports, as OTP's: records of `log`, target `sasl`, one line each for people, with key-values for
//! machines; and the same as values, for who subscribes.
//!
//! In the log a storm of them is thinned out, and says so; subscribers hear each. Never decides anything.

mod limiter;
mod record;

pub use record::{ErrorContext, Offender, Report, ReportKind, Who, record_to_json};

use crate::{
    events,
    machine::{Report as Happened, Rule},
    pid::Pid,
    reason::ExitReason,
    ring::{self, Reader, Ring},
    rt,
    spec::{Kind, Shutdown},
    table::Entry,
};
use limiter::Verdict;
use log::{Level, Record, kv::Source};
use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const TARGET: &str = "sasl";

/// The reports of all trees, as values. Dropping it ends it.
pub struct Reports {
    ring: Arc<Ring<Report>>,
    reader: Reader<Report>,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);
static SUBSCRIBERS: RwLock<Vec<Weak<Ring<Report>>>> = RwLock::new(Vec::new());

/// Every report from now on, of all trees of this OS process, whatever the log lets through. For a file of one JSON object a line, give
/// each to [`write_json_line`](crate::write_json_line).
pub fn reports() -> Reports {
    let (ring, reader) = ring::ring(false);
    let mut all = SUBSCRIBERS.write().unwrap_or_else(PoisonError::into_inner);
    all.push(Arc::downgrade(&ring));
    COUNT.store(all.len(), Ordering::Release);
    Reports { ring, reader }
}

impl Drop for Reports {
    fn drop(&mut self) {
        let mut all = SUBSCRIBERS.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(&self.ring)));
        COUNT.store(all.len(), Ordering::Release);
    }
}

impl Reports {
    /// The next one.
    pub async fn recv(&self) -> Report {
        match self.reader.recv().await {
            Some(report) => report,
            // We hold the writing end: not reached.
            None => std::future::pending().await,
        }
    }

    /// One that is there already.
    pub fn try_recv(&self) -> Option<Report> {
        self.reader.try_recv()
    }

    /// Reports lost because nobody read them in time: more than 4096 waited.
    pub fn missed(&self) -> u64 {
        self.reader.missed()
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reports")
    }
}

/// Nobody listens: nothing needs to be put together.
fn unheard(level: Level) -> bool {
    COUNT.load(Ordering::Acquire) == 0 && !log::log_enabled!(target: TARGET, level)
}

fn publish(mut report: Report, text: fmt::Arguments<'_>) {
    // A panic's text may have several lines.
    report.text = text.to_string().replace('\n', " | ");
    if log::log_enabled!(target: TARGET, report.level) {
        to_log(&report);
    }
    if COUNT.load(Ordering::Acquire) > 0 {
        let all = SUBSCRIBERS.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).for_each(|ring| ring.push(report.clone(), false));
    }
}

fn to_log(report: &Report) {
    // Whoever wants to see every start has asked for it.
    let verdict = if report.level == Level::Debug { Verdict::GO } else { limiter::ask(report.level) };
    match verdict {
        Verdict::LeaveOut => return,
        Verdict::Write { left_out_before: 0 } => {}
        Verdict::Write { left_out_before } => {
            let text = format_args!("{left_out_before} reports were left out");
            write(Level::Warn, text, &("left_out", left_out_before));
        }
    }
    write(report.level, format_args!("{}", report.text), report);
}

fn write(level: Level, text: fmt::Arguments<'_>, values: &dyn Source) {
    let module = Some(module_path!());
    let record =
        Record::builder().target(TARGET).module_path_static(module).level(level).args(text).key_values(values).build();
    log::logger().log(&record);
}

fn blank(kind: ReportKind, level: Level) -> Report {
    Report {
        time: rt::wall(),
        seq: events::last(),
        kind,
        level,
        error_context: None,
        supervisor: None,
        offender: None,
        incarnation: None,
        reason: None,
        exit: None,
        message: None,
        place: None,
        text: String::new(),
    }
}

fn who(entry: &Entry) -> Option<Who> {
    Some(Who { path: entry.path.to_string(), pid: entry.pid })
}

fn by_supervisor(level: Level, context: ErrorContext, supervisor: &Entry, offender: Option<Offender>) -> Report {
    let report = blank(ReportKind::SupervisorReport, level);
    Report { error_context: Some(context), supervisor: who(supervisor), offender, ..report }
}

fn offender(id: &str, pid: Option<Pid>, rule: Option<&Rule>) -> Option<Offender> {
    let (restart, shutdown) = (rule.map(|rule| rule.restart), rule.map(|rule| rule.shutdown));
    Some(Offender { id: id.to_string(), pid, restart, shutdown, kind: rule.map(|rule| rule.kind) })
}

fn offender_of(entry: &Entry, shutdown: Option<Shutdown>) -> Option<Offender> {
    let (id, pid, kind) = (entry.name.to_string(), Some(entry.pid), Some(entry.kind));
    Some(Offender { id, pid, restart: None, shutdown, kind })
}

/// Whether it is worth the while to ask who is up.
pub(crate) fn progress_is_heard() -> bool {
    !unheard(Level::Debug)
}

/// A child is up: its start is done, and its init. As in OTP not for the children of a simple_one_for_one supervisor.
pub(crate) fn progress(supervisor: &Entry, child: &Entry, rule: &Rule) {
    let report = blank(ReportKind::Progress, Level::Debug);
    let offender = offender(&child.name, Some(child.pid), Some(rule));
    let report = Report { supervisor: who(supervisor), offender, incarnation: Some(child.incarnation), ..report };
    publish(report, format_args!("PROGRESS  {}  started {} {}", supervisor.path, child.name, child.pid));
}

/// The crash report: what only the process itself knows. One that was ended from outside has nothing to tell; one that ended itself with
/// `killed` has.
pub(crate) fn process_ended(entry: &Entry, reason: &ExitReason) {
    let told = entry.is_told_to_end();
    if told && !entry.traps() && *reason == entry.exit_reason() {
        return;
    }
    let (kind, level) = match reason {
        ExitReason::Killed if !told => (ReportKind::CrashReport, Level::Error),
        ExitReason::Panic { .. } | ExitReason::Error(_) => (ReportKind::CrashReport, Level::Error),
        ExitReason::Environment(_) => (ReportKind::Exit, Level::Info),
        _ => return,
    };
    if unheard(level) {
        return;
    }
    let (path, pid, incarnation) = (&entry.path, entry.pid, entry.incarnation);
    let supervisor = entry.parent.as_ref().and_then(|parent| who(parent));
    let offender = offender_of(entry, None);
    let report =
        Report { supervisor, offender, incarnation: Some(incarnation), ..blank(kind, level) }.with_exit(reason);
    match kind {
        ReportKind::CrashReport => {
            publish(report, format_args!("CRASH REPORT  {path} {pid}  {reason}  incarnation={incarnation}"));
        }
        _ => publish(report, format_args!("EXIT  {path} {pid}  {reason}")),
    }
}

/// A child did not end in time.
pub(crate) fn shutdown_timeout(supervisor: &Entry, child: &Entry, limit: Duration) {
    let offender = offender_of(child, Some(Shutdown::Timeout(limit)));
    let report = by_supervisor(Level::Error, ErrorContext::ShutdownError, supervisor, offender);
    late(report, &supervisor.path, &child.name, child.pid, limit);
}

fn late(mut report: Report, path: &str, id: &str, pid: Pid, limit: Duration) {
    let reason = format!("did not end within {limit:?}: killed");
    let text = format!("SUPERVISOR REPORT  {path}  shutdown_error  {id} {pid}  {reason}");
    (report.reason, report.exit) = (Some(reason), Some(ExitReason::Killed));
    publish(report, format_args!("{text}"));
}

/// A child cannot be ended at all.
pub(crate) fn abandoned(supervisor: &Entry, child: &Entry) {
    let report = by_supervisor(Level::Error, ErrorContext::Abandoned, supervisor, offender_of(child, None));
    lost(report, &supervisor.path, &child.name, child.pid);
}

fn lost(mut report: Report, path: &str, id: &str, pid: Pid) {
    let reason = "CANNOT BE ENDED: it blocks its thread, and what it holds is lost";
    report.reason = Some(reason.to_string());
    publish(report, format_args!("SUPERVISOR REPORT  {path}  abandoned  {id} {pid}  {reason}"));
}

/// What a supervisor did about its children. `rule`: of the child that it is about, asked for only if somebody listens.
pub(crate) fn supervisor(supervisor: &Entry, report: &Happened, rule: impl FnOnce() -> Option<Rule>) {
    let level = level(report);
    // A warning comes with it when it is a supervisor that is left alone.
    let parks = matches!(report, Happened::Restarting { after, .. } if !after.is_zero());
    if unheard(if parks { Level::Warn } else { level }) {
        return;
    }
    let (head, rule) = (format!("SUPERVISOR REPORT  {}", supervisor.path), rule());
    let rule = rule.as_ref();
    let about = |context, id: &str, pid| by_supervisor(level, context, supervisor, offender(id, pid, rule));
    match report {
        Happened::ChildTerminated { id, pid, reason, restart } => {
            let restart = format!("{restart:?}").to_lowercase();
            let report = about(ErrorContext::ChildTerminated, id, Some(*pid)).with_exit(reason);
            publish(report, format_args!("{head}  child_terminated  {id} {pid}  {reason}  restart={restart}"));
        }
        Happened::StartError { id, reason } => {
            let report = about(ErrorContext::StartError, id, None).with_exit(reason);
            publish(report, format_args!("{head}  start_error  {id}  {reason}"));
        }
        Happened::ShutdownError { id, pid, reason } => {
            let report = about(ErrorContext::ShutdownError, id, Some(*pid)).with_exit(reason);
            publish(report, format_args!("{head}  shutdown_error  {id} {pid}  {reason}"));
        }
        Happened::ShutdownTimeout { id, pid, limit } => {
            late(about(ErrorContext::ShutdownError, id, Some(*pid)), &supervisor.path, id, *pid, *limit);
        }
        Happened::Abandoned { id, pid } => {
            lost(about(ErrorContext::Abandoned, id, Some(*pid)), &supervisor.path, id, *pid);
        }
        Happened::Restarting { pid, after, used, .. } => {
            let id = rule.map_or("", |rule| &rule.id);
            let mut report = about(ErrorContext::Restarting, id, Some(*pid));
            if after.is_zero() {
                publish(report, format_args!("{head}  restarting {pid}  restarts_in_period={used}"));
            } else {
                report.reason = Some(format!("after {after:?}"));
                publish(report, format_args!("{head}  restarting {pid}  after={after:?}"));
                parked(supervisor, rule, *pid, *after);
            }
        }
        Happened::GaveUp { id, reason } => {
            let mut report = about(ErrorContext::Shutdown, id, None).with_exit(reason);
            report.reason = Some("reached_max_restart_intensity".to_string());
            let text = format_args!("{head}  shutdown  reached_max_restart_intensity  last: {id} {reason}");
            publish(report, text);
        }
    }
}

/// A supervisor child that gave up, and has a back-off, is left alone for a while.
fn parked(supervisor: &Entry, rule: Option<&Rule>, pid: Pid, wait: Duration) {
    let Some(rule) = rule.filter(|rule| rule.kind == Kind::Supervisor) else {
        return;
    };
    let offender = offender(&rule.id, Some(pid), Some(rule));
    let mut report = by_supervisor(Level::Warn, ErrorContext::Parked, supervisor, offender);
    let reason = format!("started again after {wait:.1?}");
    report.reason = Some(reason.clone());
    publish(report, format_args!("SUPERVISOR REPORT  {}  parked  {}  {reason}", supervisor.path, rule.id));
}

fn level(report: &Happened) -> Level {
    match report {
        Happened::ChildTerminated { reason: ExitReason::Environment(_), .. } => Level::Info,
        Happened::ChildTerminated { reason, .. } if reason.is_normal() => Level::Info,
        Happened::Restarting { .. } => Level::Debug,
        _ => Level::Error,
    }
}
