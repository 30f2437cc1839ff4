//! Children that come and go at run time, and children that block.

mod common;
use common::*;
use std::time::Duration;
use supervisors::*;

#[test]
fn a_child_can_be_ended_started_again_and_forgotten() {
    let (at, diary) = (SupervisorRef::new(), Diary::default());
    let inner = diary.clone();
    let system = start(ChildSpec::supervisor_at("top", at.clone(), move || {
        one_for_one(vec![inner.child("a"), inner.child("b")])
    }));
    wait(async {
        assert_eq!(at.which_children().await.len(), 2);
        until(|| diary.lines() == 2).await;
        assert_eq!(at.delete_child("a").await, Err(ChildError::Running));
        assert_eq!(at.terminate_child("a").await, Ok(()));
        assert_eq!(diary.read(), "+a +b -a");
        assert_eq!(at.which_children().await[0].status, Status::Stopped);
        assert_eq!(at.start_child(sleeper("a")).await, Err(StartError::AlreadyPresent));
        let pid = at.restart_child("a").await.unwrap();
        assert_eq!(at.which_children().await[0].pid, Some(pid));
        assert_eq!(at.restart_child("a").await, Err(StartError::Running));
        assert_eq!(at.terminate_child("a").await, Ok(()));
        assert_eq!(at.delete_child("a").await, Ok(()));
        assert_eq!(at.restart_child("a").await, Err(StartError::NotFound));
        assert_eq!(at.which_children().await.len(), 1);
        system.stop(LONG).await;
        assert!(at.which_children().await.is_empty());
        assert_eq!(at.terminate_child("b").await, Err(ChildError::NoSupervisor));
    });
}

#[test]
fn what_is_asked_of_a_supervisor_before_it_is_started_waits() {
    let (at, diary) = (SupervisorRef::new(), Diary::default());
    at.cast_start_child(diary.child("early"));
    assert!(!at.is_running());
    let system = start(empty("top", &at));
    wait(async {
        let infos = at.which_children().await;
        assert_eq!(infos.iter().map(|info| info.id.as_str()).collect::<Vec<_>>(), ["early"]);
        assert!(at.is_running());
        system.stop(LONG).await;
        assert!(!at.is_running());
    });
}

#[test]
fn a_process_can_add_siblings_to_itself_and_the_address_survives_the_supervisor() {
    let (at, census) = (SupervisorRef::new(), Census::default());
    let inner = at.clone();
    let counted = census.clone();
    let system = start(ChildSpec::supervisor("top", move || {
        let (at, counted) = (inner.clone(), counted.clone());
        let own = at.clone();
        one_for_one(vec![ChildSpec::supervisor_at("peers", own, move || {
            let (at, counted) = (at.clone(), counted.clone());
            let first = ChildSpec::worker("first", move |_| {
                let entered = counted.clone();
                at.cast_start_child(ChildSpec::worker("second", move |_| {
                    let entered = entered.enter();
                    async move {
                        let _entered = entered;
                        std::future::pending().await
                    }
                }));
                std::future::pending()
            });
            one_for_one(vec![first])
        })])
    }));
    wait(async {
        until(|| census.count() == 1).await;
        let old = pid_of(&system, "top/peers");
        kill(old);
        until(|| system.snapshot().find("top/peers").iter().any(|node| node.pid.is_some_and(|pid| pid != old))).await;
        until(|| census.count() == 1).await;
        assert_eq!(at.which_children().await.len(), 2);
        system.stop(LONG).await;
    });
}

#[test]
fn the_next_child_starts_when_the_one_before_is_ready_and_nested_ones_are_up() {
    let (go, gate) = flume::bounded::<()>(0);
    let diary = Diary::default();
    let inner = diary.clone();
    let system = start(ChildSpec::supervisor("top", move || {
        let (gate, nested) = (gate.clone(), inner.clone());
        let slow = move || {
            let gate = gate.clone();
            let slow = ChildSpec::worker("slow", move |process| {
                let gate = gate.clone();
                async move {
                    gate.recv_async().await.ok();
                    process.ready();
                    std::future::pending().await
                }
            });
            one_for_one(vec![nested.child("a"), slow.awaits_init()])
        };
        one_for_one(vec![ChildSpec::supervisor("sub", slow), inner.child("b")])
    }));
    wait(async {
        until(|| system.snapshot().find("top/sub/slow").iter().any(|node| node.pid.is_some())).await;
        assert_eq!(system.snapshot().root.status, Status::Starting);
        assert_eq!(diary.read(), "+a");
        drop(go);
        until(|| system.snapshot().root.status == Status::Running).await;
        assert_eq!(diary.read(), "+b");
        system.stop(LONG).await;
    });
}

#[test]
fn blocking_workers_share_a_mailbox_and_end_when_told() {
    let (work, jobs) = bounded_mailbox::<(u64, Reply<u64>)>(4);
    let system = start(ChildSpec::supervisor("storage_sup", move || {
        let worker = |n: u32| {
            let jobs = jobs.clone();
            let spec = ChildSpec::blocking(format!("worker {n}"), move |process| {
                process.shows(&jobs);
                process.ready();
                loop {
                    let (number, reply) = process.recv(&jobs)?;
                    assert!(number != 13, "unlucky");
                    reply.send(number * 2);
                }
            });
            spec.awaits_init()
        };
        one_for_one((0..3).map(worker).collect())
    }));
    wait(async {
        let ask = |number| work.call(LONG, move |reply| (number, reply));
        for number in 0..100 {
            let expected = if number == 13 { Err(CallError::Down) } else { Ok(number * 2) };
            assert_eq!(ask(number).await, expected);
        }
        // The others may have answered everything before the supervisor hears of it.
        until(|| system.snapshot().restarts() == 1).await;
        assert_eq!(system.stop(Duration::from_secs(2)).await, ExitReason::Shutdown, "they hear it while they wait");
    });
}

#[test]
fn a_blocking_process_can_wait_for_a_while_and_look_between_two_steps() {
    let (told, steps) = mailbox::<&'static str>();
    let (_addr, silent) = mailbox::<()>();
    let system = start(ChildSpec::blocking("steps", move |process| {
        assert_eq!(process.recv_timeout(&silent, Duration::from_millis(5)), Ok(None));
        told.cast("nothing came").unwrap();
        loop {
            process.check()?;
            std::thread::yield_now();
        }
    }));
    wait(async {
        assert_eq!(steps.recv().await, "nothing came");
        exit(system.root(), ExitReason::error("enough"));
        assert_eq!(system.wait().await, ExitReason::error("enough"));
    });
}

#[test]
fn a_burst_of_requests_is_done_to_the_last() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    const MANY: usize = 20_000;
    let (at, ran) = (SupervisorRef::new(), Arc::new(AtomicUsize::new(0)));
    let system = start(empty("top", &at));
    wait(async {
        // It is up.
        assert_eq!(at.count_children().await.active, 0);
        for n in 0..MANY {
            let ran = ran.clone();
            let short = ChildSpec::worker(n.to_string(), move |_| {
                ran.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Ok(()))
            });
            at.cast_start_child(short.restart(Restart::Temporary));
        }
        until(|| ran.load(Ordering::Relaxed) == MANY).await;
        until(|| system.snapshot().nodes().count() == 1).await;
        system.stop(LONG).await;
    });
}
