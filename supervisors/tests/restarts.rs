//! Strategies, restart types, intensity and back-off, on live processes.

mod common;
use common::*;
use std::time::Duration;
use supervisors::*;

#[test]
fn a_crashed_worker_is_restarted_and_keeps_its_mailbox() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(ChildSpec::supervisor("top", {
        let mailbox = mailbox.clone();
        move || one_for_one(vec![echo("worker", &mailbox)])
    }));
    wait(async {
        let first = who(&addr).await;
        assert_eq!(addr.call(LONG, Ask::Crash).await, Err(CallError::Down));
        let second = who(&addr).await;
        assert_ne!(first.0, second.0);
        assert_eq!((first.1, second.1), (0, 1));
        let snapshot = system.snapshot();
        println!("{snapshot}");
        let node = &snapshot.root.children[0];
        assert_eq!(node.restarts, 1);
        let Some(ExitReason::Panic { message, location }) = &node.last_exit else {
            panic!("{:?}", node.last_exit);
        };
        assert_eq!(message, "asked to crash");
        assert!(location.contains("common/mod.rs:"), "{location}");
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    });
}

#[test]
fn more_restarts_than_allowed_end_the_supervisor_and_count_for_its_parent() {
    let system = start(ChildSpec::supervisor("top", || {
        let sub = ChildSpec::supervisor("sub", || one_for_one(vec![crasher("crasher")]));
        SupervisorSpec { flags: Flags::one_for_one().intensity(2, Duration::from_secs(60)), children: vec![sub] }
    }));
    let events = subscribe(system.root());
    wait(async {
        assert_eq!(system.wait().await, ExitReason::Shutdown);
        let mut gave_up = 0;
        while let Some(event) = events.recv().await {
            gave_up += u32::from(matches!(event.kind, EventKind::GaveUp { .. }));
        }
        assert!((1..=4).contains(&gave_up), "{gave_up}");
    });
}
