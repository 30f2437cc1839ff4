//! A report as a value: what it holds, as key-values of a log record, and as JSON.

use crate::{
    json,
    pid::Pid,
    reason::ExitReason,
    spec::{Kind, Restart, Shutdown},
};
use log::kv::{Error, Key, Source, Value, VisitSource};
use serde::{Serialize, Serializer};
use std::{fmt, time::Duration};

/// What kind of report it is, in OTP's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// A supervisor says what it saw or did.
    SupervisorReport,
    /// A process says that it crashed, and where.
    CrashReport,
    /// A child is up: its start is done, and its init if that is awaited.
    Progress,
    /// A process says that the environment ended it, which is no crash. OTP has no such report.
    Exit,
}

/// What a supervisor report is about: OTP's `errorContext`, and some of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorContext {
    /// A child ended that was not told to.
    ChildTerminated,
    /// A child did not come up.
    StartError,
    /// The supervisor gives up.
    Shutdown,
    /// A child did not end as it was told to, or not in time.
    ShutdownError,
    /// Ours: a child is started again.
    Restarting,
    /// Ours: a supervisor that gave up is left alone for a while.
    Parked,
    /// Ours: a child cannot be ended at all.
    Abandoned,
}

/// A process, for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The names from the root down, joined by `/`.
    pub path: String,
    /// Of this incarnation.
    pub pid: Pid,
}

/// The child that a report is about: OTP's `offender`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offender {
    /// Unique among its siblings.
    pub id: String,
    /// `None`: it never had one.
    pub pid: Option<Pid>,
    /// `None`: the spec is not known any more.
    pub restart: Option<Restart>,
    /// JSON: `"brutal_kill"`, `"infinity"` or milliseconds.
    #[serde(serialize_with = "shutdown")]
    pub shutdown: Option<Shutdown>,
    /// JSON: `type`, as OTP calls it.
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
}

fn shutdown<S: Serializer>(shutdown: &Option<Shutdown>, to: S) -> Result<S::Ok, S::Error> {
    match shutdown {
        Some(shutdown) => json::shutdown(shutdown, to),
        None => to.serialize_none(),
    }
}

/// One report, as it goes to the log (target `sasl`) and to [`reports`](crate::reports); [`Display`](fmt::Display) is the line for
/// people, [`to_json`](Self::to_json) the one for machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// When, since 1970, by the wall clock. JSON: `unix_ms`.
    #[serde(rename = "unix_ms", serialize_with = "json::ms")]
    pub time: Duration,
    /// Of the last [`Event`](crate::Event) before it, of all trees: a reader of both streams puts a report after the event with this number.
    pub seq: u64,
    /// JSON: `report`.
    #[serde(rename = "report")]
    pub kind: ReportKind,
    /// As in the log: `ERROR`, `WARN`, `INFO` or `DEBUG`.
    #[serde(serialize_with = "level")]
    pub level: log::Level,
    /// Of a supervisor report.
    pub error_context: Option<ErrorContext>,
    /// Who reports, or whose child reports; `None`: a root without a supervisor crashed.
    pub supervisor: Option<Who>,
    /// The child that it is about; of a crash report: the process itself.
    pub offender: Option<Offender>,
    /// Of a crash report: how often the child had been started before.
    pub incarnation: Option<u64>,
    /// Why: an exit reason as text, or `reached_max_restart_intensity`, or what else is to be said.
    pub reason: Option<String>,
    /// The exit reason itself, where there is one.
    pub exit: Option<ExitReason>,
    /// Of a panic: its text.
    pub message: Option<String>,
    /// Of a panic: `src/x.rs:12:5`.
    pub place: Option<String>,
    /// The line for people, without line breaks.
    pub text: String,
}

fn level<S: Serializer>(level: &log::Level, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(level.as_str())
}

impl ReportKind {
    /// OTP's word: `supervisor_report`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SupervisorReport => "supervisor_report",
            Self::CrashReport => "crash_report",
            Self::Progress => "progress",
            Self::Exit => "exit",
        }
    }
}

impl ErrorContext {
    /// OTP's word: `child_terminated`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChildTerminated => "child_terminated",
            Self::StartError => "start_error",
            Self::Shutdown => "shutdown",
            Self::ShutdownError => "shutdown_error",
            Self::Restarting => "restarting",
            Self::Parked => "parked",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Report {
    /// One JSON object in one line; the fields are those of this type, `null` where there is no value.
    pub fn to_json(&self) -> String {
        json::text(self)
    }

    pub(super) fn with_exit(mut self, exit: &ExitReason) -> Self {
        if let ExitReason::Panic { message, location } = exit {
            self.message = Some(message.clone());
            self.place = (!location.is_empty()).then(|| location.clone());
        }
        self.reason = Some(exit.to_string());
        self.exit = Some(exit.clone());
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn restart_word(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Worker => "worker",
        Kind::Supervisor => "supervisor",
        Kind::Blocking => "blocking",
    }
}

/// The key-values of the record, flat: `report`, `error_context`, `supervisor`, `supervisor_pid`, `id`, `pid`, `restart`, `shutdown`,
/// `type`, `incarnation`, `reason`, `message`, `place`. A key without a value is left out.
impl Source for Report {
    fn visit<'kvs>(&'kvs self, to: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        let mut add = |key: &'static str, value: Option<Value<'kvs>>| match value {
            Some(value) => to.visit_pair(Key::from_str(key), value),
            None => Ok(()),
        };
        add("report", Some(self.kind.as_str().into()))?;
        add("error_context", self.error_context.map(|context| context.as_str().into()))?;
        let supervisor = self.supervisor.as_ref();
        add("supervisor", supervisor.map(|who| who.path.as_str().into()))?;
        add("supervisor_pid", supervisor.map(|who| who.pid.0.into()))?;
        let offender = self.offender.as_ref();
        add("id", offender.map(|offender| offender.id.as_str().into()))?;
        add("pid", offender.and_then(|offender| offender.pid).map(|pid| pid.0.into()))?;
        add("restart", offender.and_then(|offender| offender.restart).map(|restart| restart_word(restart).into()))?;
        let shutdown = offender.and_then(|offender| offender.shutdown);
        add(
            "shutdown",
            shutdown.map(|shutdown| match shutdown {
                Shutdown::BrutalKill => "brutal_kill".into(),
                Shutdown::Infinity => "infinity".into(),
                Shutdown::Timeout(limit) => json::in_ms(limit).into(),
            }),
        )?;
        add("type", offender.and_then(|offender| offender.kind).map(|kind| kind_word(kind).into()))?;
        add("incarnation", self.incarnation.map(Into::into))?;
        add("reason", self.reason.as_deref().map(Into::into))?;
        add("message", self.message.as_deref().map(Into::into))?;
        add("place", self.place.as_deref().map(Into::into))
    }
}

/// A log record as one JSON object in one line: `level`, `target`, `text`, and its key-values. For a logger that writes for machines;
/// it takes records of any target.
///
/// ```
/// let record = log::Record::builder().target("sasl").level(log::Level::Warn).args(format_args!("hello")).build();
/// assert_eq!(supervisors::record_to_json(&record), r#"{"level":"WARN","target":"sasl","text":"hello"}"#);
/// ```
pub fn record_to_json(record: &log::Record<'_>) -> String {
    struct Object(serde_json::Map<String, serde_json::Value>);
    impl<'kvs> VisitSource<'kvs> for Object {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            let number = || value.to_u64().map(Into::into).or_else(|| value.to_f64().map(Into::into));
            let flag = || value.to_bool().map(Into::into);
            let json = number().or_else(flag).unwrap_or_else(|| value.to_string().into());
            self.0.insert(key.to_string(), json);
            Ok(())
        }
    }
    let mut object = Object(serde_json::Map::new());
    for (key, value) in [("level", record.level().as_str()), ("target", record.target())] {
        object.0.insert(key.to_string(), value.into());
    }
    object.0.insert("text".to_string(), record.args().to_string().into());
    // A source of ours does not fail; of another's we write what came before.
    record.key_values().visit(&mut object).ok();
    serde_json::Value::Object(object.0).to_string()
}
