//! What can be seen of a tree while it runs: snapshots, drawings, events.

mod common;
use common::*;
use std::time::Duration;
use supervisors::*;

fn parked() -> ChildSpec {
    let hour = Duration::from_secs(3600);
    let backoff = Backoff { first: hour, cap: hour, jitter: 0.0, reset_after: hour };
    let sub = ChildSpec::supervisor("parked", || SupervisorSpec {
        flags: Flags::one_for_one().intensity(0, Duration::from_secs(1)),
        children: vec![ChildSpec::worker("store", |_| async { Err(ExitReason::error("no space")) })],
    });
    sub.backoff(backoff)
}

fn tree(mailbox: &Mailbox<Ask>) -> ChildSpec {
    let mailbox = mailbox.clone();
    ChildSpec::supervisor("bt_erl_sup", move || {
        let mailbox = mailbox.clone();
        let torrents = ChildSpec::supervisor("torrents_sup", move || {
            one_for_one(vec![echo("client", &mailbox).role("client"), parked()])
        });
        rest_for_one(vec![torrents, sleeper("listener")])
    })
}

#[test]
fn a_snapshot_tells_everything_about_a_tree() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(tree(&mailbox));
    wait(async {
        assert_eq!(addr.call(LONG, Ask::Fail).await, Err(CallError::Down));
        who(&addr).await;
        let gave_up = || system.snapshot().find("**/parked").iter().any(|node| node.gave_up.is_some());
        until(gave_up).await;
        let snapshot = system.snapshot();
        let client = snapshot.find("bt_erl_sup/*/client")[0];
        assert_eq!((client.role.as_str(), client.kind, client.restarts), ("client", Kind::Worker, 1));
        assert_eq!(client.last_exit, Some(ExitReason::error("asked to fail")));
        assert_eq!(client.mailbox.map(|waiting| waiting.len), Some(0));
        let parked = snapshot.find("**/parked")[0];
        assert_eq!(parked.gave_up.as_deref(), Some("store error: no space, more than 0 restarts in 1s"));
        assert!(matches!(parked.status, Status::BackingOff { millis } if millis > 3_500_000));
        let torrents = snapshot.find("**/torrents_sup")[0];
        assert_eq!(torrents.strategy, Some(Strategy::OneForOne));
        assert_eq!(torrents.budget.as_ref().map(ToString::to_string).as_deref(), Some("1 of 3 in 60 s"));
        let names: Vec<&str> = snapshot.nodes().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["bt_erl_sup", "torrents_sup", "client", "parked", "listener"]);
        let drawing = snapshot.to_string();
        println!("{drawing}");
        for line in ["├── torrents_sup", "│   ├── client", "│   └── parked", "└── listener"]
        {
            assert!(drawing.contains(line), "{drawing}");
        }
        assert!(drawing.contains("parked for 3599.") || drawing.contains("parked for 3600."), "{drawing}");
        system.stop(LONG).await;
        assert_eq!(system.snapshot().root.status, Status::Stopped);
    });
}

#[test]
fn events_tell_a_restart_in_order_and_end_with_the_root() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(tree(&mailbox));
    wait(async {
        let (pid, _) = who(&addr).await;
        let events = subscribe(pid_of(&system, "**/torrents_sup"));
        let next = async || loop {
            let event = events.recv().await.expect("an event");
            if event.path.ends_with("/client") {
                return event;
            }
        };
        assert_eq!(addr.call(LONG, Ask::Environment).await, Err(CallError::Down));
        let first = next().await;
        assert_eq!((first.pid, &*first.role), (pid, "client"));
        assert_eq!(first.kind, EventKind::Exited { reason: ExitReason::environment("reset") });
        let EventKind::Restarting { after } = next().await.kind else { panic!("not Restarting") };
        assert!((Duration::from_millis(250)..=Duration::from_millis(500)).contains(&after), "{after:?}");
        assert_eq!(next().await.kind, EventKind::Started);
        system.stop(LONG).await;
        let mut last = None;
        while let Some(event) = events.recv().await {
            assert!(!event.path.ends_with("listener"), "not below");
            last = Some(event);
        }
        assert_eq!(last.map(|event| event.pid), Some(system.root()));
        assert_eq!(events.missed(), 0);
    });
}

#[test]
fn a_subscriber_that_sleeps_loses_the_oldest_and_can_see_how_many() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let events = subscribe(system.root());
        for n in 0..3000 {
            let id = n.to_string();
            at.start_child(sleeper(&id)).await.unwrap();
            at.terminate_child(&id).await.unwrap();
        }
        assert_eq!(events.missed(), 6000 - 4096);
        assert!(events.try_recv().is_some());
        system.stop(LONG).await;
    });
}
