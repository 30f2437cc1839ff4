//! What is written to the log. Alone in its OS process, because there is one logger; and one test, because there is one limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
use common::*;
use serde_json::{Value, json};
use std::{sync::Mutex, time::Duration};
use supervisors::*;

/// The line, and the record as JSON.
static LINES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "sasl"
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata())
            && let Ok(mut lines) = LINES.lock()
        {
            lines.push((format!("{} {}", record.level(), record.args()), record_to_json(record)));
        }
    }
    fn flush(&self) {}
}

fn all(reports: &Reports) -> Vec<Report> {
    std::iter::from_fn(|| reports.try_recv()).collect()
}

#[test]
fn a_crash_is_told_by_the_process_and_by_its_supervisor_and_a_give_up_once() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let heard = reports();
    let system = start(ChildSpec::supervisor("top", || one_for_one(vec![crasher("peer 1")])));
    wait(system.wait());
    let lines = LINES.lock().unwrap().clone();
    let count =
        |start: &str, part: &str| lines.iter().filter(|(l, _)| l.starts_with(start) && l.contains(part)).count();
    lines.iter().for_each(|(line, json)| println!("{line}\n    {json}"));
    assert_eq!(count("ERROR CRASH REPORT  top/peer 1 <", "panicked at supervisors/tests/common/mod.rs:"), 4);
    assert_eq!(count("ERROR SUPERVISOR REPORT  top  child_terminated  peer 1 <", "at once"), 4);
    assert_eq!(count("ERROR SUPERVISOR REPORT  top  shutdown  reached_max_restart_intensity", "peer 1"), 1);
    assert_eq!(count("DEBUG PROGRESS  top  started peer 1 <", ">"), 4);
    assert!(lines.iter().all(|(line, json)| !line.contains('\n') && !json.contains('\n')));

    // The same as key-values of the records.
    let records: Vec<Value> = lines.iter().map(|(_, json)| serde_json::from_str(json).unwrap()).collect();
    let of = |kind: &str, context: Value| {
        let fits = |record: &&Value| record["report"] == kind && record["error_context"] == context;
        records.iter().find(fits).unwrap_or_else(|| panic!("no {kind} {context}")).clone()
    };
    let terminated = of("supervisor_report", json!("child_terminated"));
    let pid = terminated["pid"].as_u64().unwrap();
    let fields = [
        ("level", json!("ERROR")),
        ("target", json!("sasl")),
        ("supervisor", json!("top")),
        ("supervisor_pid", json!(system.root())),
        ("id", json!("peer 1")),
        ("restart", json!("permanent")),
        ("shutdown", json!(5000.0)),
        ("type", json!("worker")),
        ("message", json!("at once")),
    ];
    fields.iter().for_each(|(key, value)| assert_eq!(&terminated[*key], value, "{key}"));
    assert!(terminated["place"].as_str().unwrap().starts_with("supervisors/tests/common/mod.rs:"));
    let crash = of("crash_report", Value::Null);
    assert_eq!((&crash["pid"], &crash["incarnation"], &crash["supervisor"]), (&json!(pid), &json!(0), &json!("top")));
    assert_eq!(of("supervisor_report", json!("shutdown"))["reason"], "reached_max_restart_intensity");
    assert_eq!(of("progress", Value::Null)["pid"], pid);

    // And as values.
    let heard = all(&heard);
    let texts = |heard: &[Report]| heard.iter().map(|r| format!("{} {r}", r.level)).collect::<Vec<_>>();
    assert_eq!(texts(&heard), lines.iter().map(|(line, _)| line.clone()).collect::<Vec<_>>());
    let crash: &Report = heard.iter().find(|report| report.kind == ReportKind::CrashReport).unwrap();
    let json: Value = serde_json::from_str(&crash.to_json()).unwrap();
    assert_eq!(
        (&json["report"], &json["level"], &json["message"]),
        (&json!("crash_report"), &json!("ERROR"), &json!("at once"))
    );
    assert_eq!((&json["offender"]["id"], &json["exit"]["panic"]["message"]), (&json!("peer 1"), &json!("at once")));
    assert!(json["unix_ms"].as_f64() > Some(1.7e12), "{json}");
    assert_eq!((&json["supervisor"]["path"], &json["error_context"]), (&json!("top"), &Value::Null));

    a_storm_is_thinned_out_in_the_log_and_not_for_subscribers();
    what_goes_wrong_at_the_start_and_at_the_end_is_told();
    a_parked_supervisor_is_a_warning();
}

fn a_parked_supervisor_is_a_warning() {
    let heard = reports();
    let backoff = Backoff { first: LONG, cap: LONG, jitter: 0.0, reset_after: LONG };
    let system = start(ChildSpec::supervisor("top", move || {
        let sub = ChildSpec::supervisor("sub", || SupervisorSpec {
            flags: Flags::one_for_one().intensity(0, LONG),
            children: vec![crasher("a")],
        });
        one_for_one(vec![sub.backoff(backoff)])
    }));
    let parked = wait(async {
        loop {
            let report = heard.recv().await;
            if report.error_context == Some(ErrorContext::Parked) {
                return report;
            }
        }
    });
    assert_eq!(parked.to_string(), "SUPERVISOR REPORT  top  parked  sub  started again after 60.0s");
    assert_eq!(parked.level, log::Level::Warn);
    assert_eq!(parked.offender.and_then(|sub| sub.kind), Some(Kind::Supervisor));
    wait(system.stop(LONG));
}

fn a_storm_is_thinned_out_in_the_log_and_not_for_subscribers() {
    log::set_max_level(log::LevelFilter::Info);
    LINES.lock().unwrap().clear();
    let heard = reports();
    let flags = Flags::one_for_one().intensity(199, Duration::from_secs(3600));
    wait(start(ChildSpec::supervisor("top", move || SupervisorSpec { flags, children: vec![crasher("a")] })).wait());
    let heard = all(&heard);
    let count = |kind| heard.iter().filter(|report| report.kind == kind).count();
    assert_eq!((count(ReportKind::CrashReport), count(ReportKind::Progress)), (200, 200));
    let lines = LINES.lock().unwrap().len();
    assert!(lines < 150, "{lines} lines for 401 reports");
}

fn what_goes_wrong_at_the_start_and_at_the_end_is_told() {
    let heard = reports();
    let system = start(ChildSpec::supervisor("top", || {
        let deaf = ChildSpec::worker("deaf", |process| async move {
            process.ready();
            std::future::pending().await
        });
        let deaf = deaf.trap_exit().shutdown(Shutdown::Timeout(Duration::from_millis(1))).awaits_init();
        let sub = ChildSpec::supervisor("sub", || {
            one_for_one(vec![
                ChildSpec::worker("a", |_| async { Err(ExitReason::environment("no net")) }).awaits_init(),
            ])
        });
        one_for_one(vec![deaf, sub])
    }));
    wait(async {
        // A start that fails ends its supervisor, here as in OTP.
        assert!(system.wait().await.is_environment());
    });
    let heard = all(&heard);
    let told = |context| heard.iter().find(|report| report.error_context == Some(context)).expect("told");
    let failed = told(ErrorContext::StartError);
    assert_eq!(failed.supervisor.as_ref().map(|who| who.path.as_str()), Some("top/sub"));
    assert_eq!(failed.offender.as_ref().map(|offender| (offender.id.as_str(), offender.pid)), Some(("a", None)));
    assert_eq!(failed.exit, Some(ExitReason::environment("no net")));
    let late = told(ErrorContext::ShutdownError);
    assert_eq!(late.reason.as_deref(), Some("did not end within 1ms: killed"));
    let offender = late.offender.as_ref().expect("an offender");
    assert_eq!((offender.id.as_str(), offender.kind), ("deaf", Some(Kind::Worker)));
    assert_eq!(offender.shutdown, Some(Shutdown::Timeout(Duration::from_millis(1))));
}
