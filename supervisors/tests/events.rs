//! The history, and the events that a restart is too small a word for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
use common::*;
use std::time::Duration;
use supervisors::*;

const HOUR: Duration = Duration::from_secs(3600);

fn no_patience(id: &str, children: impl Fn() -> Vec<ChildSpec> + Send + Sync + 'static) -> ChildSpec {
    ChildSpec::supervisor(id, move || SupervisorSpec {
        flags: Flags::one_for_one().intensity(0, HOUR),
        children: children(),
    })
}

fn story(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        let what = match &event.kind {
            EventKind::Started => "started".to_string(),
            EventKind::Exited { reason } => format!("exited {reason}"),
            EventKind::Restarting { .. } => "restarting".to_string(),
            EventKind::Parked { .. } => "parked".to_string(),
            EventKind::GaveUp { cause } => format!("gave up: {cause}"),
            EventKind::Escalated { from } => format!("hears of {from}"),
        };
        format!("{} {what}", event.path)
    };
    events.iter().map(line).collect()
}

#[test]
fn a_view_that_opens_after_the_end_reads_how_it_came_to_it() {
    let system = start(no_patience("top", || vec![no_patience("sub", || vec![sleeper("a")])]));
    wait(async {
        until(|| system.snapshot().find("top/sub/a").iter().any(|node| node.pid.is_some())).await;
        let (sub, a) = (pid_of(&system, "top/sub"), pid_of(&system, "top/sub/a"));
        exit(a, ExitReason::error("a bug"));
        system.wait().await;
        let expected = [
            "top started",
            "top/sub started",
            "top/sub/a started",
            "top/sub/a exited error: a bug",
            "top/sub gave up: a error: a bug",
            "top/sub exited shutdown",
            "top hears of top/sub",
            "top gave up: sub shutdown",
            "top exited shutdown",
        ];
        // The root's exit is told last, a moment after it has ended for who waits.
        let late = subscribe_with_history(system.root());
        until(|| history(system.root()).len() == expected.len()).await;
        let past = history(system.root());
        assert_eq!(story(&past), expected);
        assert!(past.windows(2).all(|two| two[0].seq < two[1].seq && two[0].at <= two[1].at));
        assert_eq!(story(&history(sub)), [&expected[1..6]].concat());
        let mut read = Vec::new();
        while let Some(event) = late.try_recv() {
            read.push(event);
        }
        assert_eq!(story(&read), expected[..read.len()]);
    });
}

#[test]
fn who_subscribes_with_history_misses_nothing_and_hears_nothing_twice() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let mut all = Vec::new();
        for n in 0..200 {
            let id = n.to_string();
            at.cast_start_child(sleeper(&id).restart(Restart::Temporary));
            at.cast_terminate_child(&id);
            all.push(subscribe_with_history(system.root()));
        }
        at.which_children().await;
        until(|| system.snapshot().nodes().count() == 1).await;
        system.stop(LONG).await;
        for events in all {
            let mut seen = Vec::new();
            while let Some(event) = events.recv().await {
                seen.push(event.seq);
            }
            let sorted = seen.windows(2).all(|two| two[0] < two[1]);
            assert!(sorted && seen.len() == 2 + 2 * 200, "{} events, sorted: {sorted}", seen.len());
        }
    });
}

#[test]
fn a_parked_supervisor_is_said_to_be_parked_and_a_restart_has_its_number() {
    let backoff = Backoff { first: HOUR, cap: HOUR, jitter: 0.0, reset_after: HOUR };
    let system = start(ChildSpec::supervisor("top", move || {
        one_for_one(vec![no_patience("sub", || vec![sleeper("a")]).backoff(backoff), sleeper("b")])
    }));
    wait(async {
        until(|| system.snapshot().find("**/b").iter().any(|node| node.pid.is_some())).await;
        let events = subscribe(system.root());
        exit(pid_of(&system, "top/sub/a"), ExitReason::error("a bug"));
        let parked = loop {
            let event = events.recv().await.expect("an event");
            if let EventKind::Parked { after } = event.kind {
                break (event.path.to_string(), after);
            }
        };
        assert_eq!(parked, ("top/sub".to_string(), HOUR));
        kill(pid_of(&system, "top/b"));
        let again = loop {
            let event = events.recv().await.expect("an event");
            if event.kind == EventKind::Started {
                break event;
            }
        };
        assert_eq!((&*again.path, again.incarnation), ("top/b", 1));
        assert!(again.to_string().ends_with("started again, restart 1"), "{again}");
        let json = serde_json::to_value(&again).unwrap_or_default();
        assert_eq!(
            (&json["event"], &json["path"], &json["seq"]),
            (&"started".into(), &"top/b".into(), &again.seq.into())
        );
        assert!(json["at_ms"].as_f64() > Some(0.0));
        system.stop(LONG).await;
    });
}
