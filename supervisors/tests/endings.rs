//! Nothing outlives its supervisor: crashes, kills and shutdowns of whole subtrees.

mod common;
use common::*;
use std::time::{Duration, Instant};
use supervisors::*;

/// top / sub (rest_for_one) / a, inner / b, c
fn nested(diary: &Diary) -> System {
    let diary = diary.clone();
    start(ChildSpec::supervisor("top", move || {
        let diary = diary.clone();
        one_for_one(vec![ChildSpec::supervisor("sub", move || {
            let inner = diary.clone();
            rest_for_one(vec![
                diary.child("a"),
                ChildSpec::supervisor("inner", move || one_for_one(vec![inner.child("b"), inner.child("c")])),
            ])
        })])
    }))
}

async fn restarted_whole(diary: &Diary, end: impl FnOnce(Pid)) {
    let system = nested(diary);
    let events = subscribe(system.root());
    until(|| system.snapshot().nodes().filter(|node| node.status == Status::Running).count() == 6).await;
    assert_eq!(diary.read(), "+a +b +c");
    let sub = pid_of(&system, "top/sub");
    let inner = pid_of(&system, "top/sub/inner");
    end(sub);
    until(|| pid_alive(&system, "top/sub/inner/c") && pid_of(&system, "top/sub") != sub).await;
    until(|| diary.lines() == 6).await;
    assert_eq!(diary.read(), "-c -b -a +a +b +c", "youngest first, and all gone before the new ones start");
    let mut ended = Vec::new();
    while let Some(event) = events.try_recv() {
        if matches!(event.kind, EventKind::Exited { .. }) {
            ended.push(event.pid);
        }
    }
    assert_eq!(ended.len(), 5);
    assert_eq!(ended[2..], [inner, ended[3], sub], "a supervisor's exit is reported after its children's");
    assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    assert_eq!(diary.read(), "-c -b -a");
}

fn pid_alive(system: &System, path: &str) -> bool {
    system.snapshot().find(path).iter().any(|node| node.pid.is_some())
}

#[test]
fn a_killed_supervisor_ends_its_children_before_its_exit_is_reported() {
    wait(restarted_whole(&Diary::default(), kill));
}

#[test]
fn a_panicking_supervisor_ends_its_children_before_its_exit_is_reported() {
    wait(restarted_whole(&Diary::default(), |pid| inject_panic(pid, "the supervisor has a bug")));
}

#[test]
fn the_children_of_a_terminated_supervisor_are_gone_when_terminate_child_answers() {
    let (diary, at) = (Diary::default(), SupervisorRef::new());
    let system = start(empty("top", &at));
    wait(async {
        let inner = diary.clone();
        let sub = ChildSpec::supervisor("sub", move || {
            let slow = ChildSpec::worker("slow", {
                let diary = inner.clone();
                move |process| {
                    let diary = diary.clone();
                    async move {
                        process.shutdown_requested().await;
                        async_std::task::sleep(Duration::from_millis(50)).await;
                        diary.write("slow");
                        Ok(())
                    }
                }
            });
            one_for_one(vec![inner.child("a"), slow.trap_exit(), inner.child("b")])
        });
        at.start_child(sub).await.unwrap();
        until(|| diary.lines() == 2).await;
        diary.read();
        assert_eq!(at.terminate_child("sub").await, Ok(()));
        assert_eq!(diary.read(), "-b slow -a");
        assert_eq!(at.terminate_child("sub").await, Err(ChildError::NotFound));
        assert!(at.which_children().await.is_empty());
        system.stop(LONG).await;
        assert_eq!(at.start_child(sleeper("late")).await, Err(StartError::NoSupervisor));
    });
}

#[test]
fn who_ignores_the_shutdown_is_killed_after_its_timeout() {
    let stubborn = || ChildSpec::worker("stubborn", |_| std::future::pending()).trap_exit();
    let system = start(ChildSpec::supervisor("top", move || {
        one_for_one(vec![stubborn().shutdown(Shutdown::Timeout(Duration::from_millis(80)))])
    }));
    wait(async {
        until(|| pid_alive(&system, "top/stubborn")).await;
        let events = subscribe(system.root());
        let asked = Instant::now();
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
        assert!(asked.elapsed() >= Duration::from_millis(80));
        let killed = EventKind::Exited { reason: ExitReason::Killed };
        assert_eq!(events.recv().await.unwrap().kind, killed);
    });
}

#[test]
fn a_stop_with_a_limit_kills_what_would_take_longer() {
    let system = start(ChildSpec::supervisor("top", || {
        let sub = ChildSpec::supervisor("sub", || {
            let stubborn = ChildSpec::worker("stubborn", |_| std::future::pending());
            one_for_one(vec![stubborn.trap_exit().shutdown(Shutdown::Infinity)])
        });
        one_for_one(vec![sub])
    }));
    wait(async {
        until(|| pid_alive(&system, "top/sub/stubborn")).await;
        assert_eq!(system.stop(Duration::from_millis(50)).await, ExitReason::Killed);
        assert_eq!(system.snapshot().root.pid, None);
    });
}

#[test]
fn a_blocking_child_that_does_not_listen_is_abandoned_after_its_timeout() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(Some(held));
    let deaf = ChildSpec::blocking("deaf", move |_| {
        let held = held.lock().unwrap().take();
        held.map(|held| held.recv());
        Ok(())
    });
    let deaf = deaf.shutdown(Shutdown::Timeout(Duration::from_millis(50)));
    let system = start(ChildSpec::supervisor("top", move || one_for_one(vec![deaf.clone()])));
    wait(async {
        until(|| pid_alive(&system, "top/deaf")).await;
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    });
    drop(release);
}

#[test]
fn a_supervisor_that_is_asked_to_end_while_it_starts_ends() {
    let system = start(ChildSpec::supervisor("top", || {
        one_for_one(vec![sleeper("a"), sleeper("never ready").awaits_init(), sleeper("b")])
    }));
    wait(async {
        until(|| pid_alive(&system, "top/never ready")).await;
        assert_eq!(system.snapshot().root.status, Status::Starting);
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    });
}
