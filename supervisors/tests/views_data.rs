//! A snapshot as data: JSON of a documented shape, and cheap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
use common::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use supervisors::*;

fn value(snapshot: &Snapshot) -> Value {
    serde_json::from_str(&snapshot.to_json()).expect("JSON")
}

fn fields(object: &Value) -> Vec<&String> {
    object.as_object().expect("an object").keys().collect()
}

/// The example in the documentation of `Snapshot::to_json`.
fn documented() -> Value {
    let source = include_str!("../src/snapshot.rs");
    let (_, example) = source.split_once("```json").expect("an example");
    let (example, _) = example.split_once("/// ```").expect("its end");
    serde_json::from_str(&example.replace("///", "")).expect("JSON")
}

#[test]
fn a_snapshot_as_json_has_the_documented_shape() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(ChildSpec::supervisor("top", move || {
        one_for_one(vec![echo("client", &mailbox).role("speaker").shutdown(Shutdown::BrutalKill), sleeper("other")])
    }));
    wait(async {
        who(&addr).await;
        assert_eq!(addr.call(LONG, Ask::Fail).await, Err(CallError::Down));
        who(&addr).await;
        let tree = value(&system.snapshot());
        let root = &tree["root"];
        assert_eq!(tree["total_restarts"], 1);
        assert_eq!((&root["type"], &root["strategy"]), (&json!("supervisor"), &json!("one_for_one")));
        assert_eq!((&root["parent"], &root["rules"], &root["status"]), (&Value::Null, &Value::Null, &json!("running")));
        assert_eq!((&root["budget"]["used"], &root["budget"]["text"]), (&json!(1), &json!("1 of 3 in 60 s")));
        assert!(root["budget"]["ages_ms"][0].as_f64().is_some_and(|age| age > 0.0 && age < 60_000.0));
        let client = &root["children"][0];
        assert_eq!(
            (&client["name"], &client["role"], &client["path"]),
            (&json!("client"), &json!("speaker"), &json!("top/client"))
        );
        assert_eq!((&client["parent"], &client["restarts"]), (&root["pid"], &json!(1)));
        assert_eq!(client["last_exit"], json!({"error": "asked to fail"}));
        assert!(client["mailbox"]["high_water"].as_u64() >= Some(1) && client["uptime_ms"].is_number());
        let documented = documented();
        let rules = &client["rules"];
        assert_eq!((&rules["restart"], &rules["shutdown"]), (&json!("permanent"), &json!("brutal_kill")));
        assert_eq!((&rules["given"], &rules["failures"]), (&json!(true), &json!(0)));
        assert_eq!(root["children"][1]["rules"]["shutdown"], 5000.0);
        // Nothing is left out, so a reader need not ask whether a field is there.
        for node in [root, client] {
            assert_eq!(fields(node), fields(&documented));
        }
        for part in ["rules", "mailbox"] {
            assert_eq!(fields(&client[part]), fields(&documented[part]), "{part}");
        }
        let mut line = Vec::new();
        write_json_line(&mut line, &system.snapshot()).expect("written");
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        system.stop(LONG).await;
    });
}

#[test]
fn ten_thousand_processes_are_seen_ten_times_a_second() {
    const PROCESSES: usize = 10_000;
    let at = SupervisorRef::new();
    let system = start(ChildSpec::supervisor_at("top", at.clone(), || SupervisorSpec {
        flags: Flags::one_for_one(),
        children: (0..PROCESSES).map(|n| sleeper(&n.to_string()).shutdown(Shutdown::BrutalKill)).collect(),
    }));
    wait(async {
        until(|| system.snapshot().nodes().filter(|node| node.status == Status::Running).count() == PROCESSES + 1)
            .await;
        let began = Instant::now();
        let snapshots = 20;
        for _ in 0..snapshots {
            assert_eq!(system.snapshot().nodes().count(), PROCESSES + 1);
        }
        let each = began.elapsed() / snapshots;
        println!("a snapshot of {PROCESSES} processes takes {each:?}");
        let json = Instant::now();
        let length = system.snapshot().to_json().len();
        println!("as JSON {:?}, {length} bytes", json.elapsed());
        assert!(each < Duration::from_millis(100), "{each:?}");
        assert_eq!(at.which_children().await.len(), PROCESSES);
        system.stop(LONG).await;
    });
}
