//! Every way in which code can fail is an exit reason, and the caller hears of it.

#![allow(clippy::unwrap_used)]

mod common;
use common::*;
use std::time::{Duration, Instant};
use supervisors::*;

/// The exit reason of a root that is `spec`.
fn reason_of(spec: ChildSpec) -> ExitReason {
    wait(start(spec).wait())
}

fn message(reason: ExitReason) -> String {
    match reason {
        ExitReason::Panic { message, location } => {
            assert!(location.contains("tests/faults.rs:"), "{location}");
            message
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_the_body_returns_is_its_exit_reason() {
    let ok = ChildSpec::worker("ok", |_| async { Ok(()) });
    assert_eq!(reason_of(ok), ExitReason::Normal);
    let error = ChildSpec::worker("error", |_| async { Err(ExitReason::error("no")) });
    assert_eq!(reason_of(error), ExitReason::error("no"));
}

#[test]
fn a_panic_in_the_start_function_is_an_exit_reason() {
    let spec = ChildSpec::worker("sync", |process| {
        assert!(process.incarnation() > 0, "in the sync part");
        async { Ok(()) }
    });
    assert_eq!(message(reason_of(spec)), "in the sync part");
}

#[test]
fn a_panic_in_a_supervisors_init_is_an_exit_reason() {
    let spec = ChildSpec::supervisor("sup", || -> SupervisorSpec { panic!("in init") });
    assert_eq!(message(reason_of(spec)), "in init");
}

#[test]
fn a_panic_with_a_payload_that_panics_when_dropped_is_survived() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let spec = ChildSpec::worker("bomb", |_| async { std::panic::panic_any(Bomb) });
    assert_eq!(message(reason_of(spec)), "a panic without text");
}

/// Panics when it is dropped, unless that would abort.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "in a destructor");
    }
}

#[test]
fn a_body_whose_destructor_panics_is_survived() {
    let (addr, mailbox) = mailbox::<Ask>();
    let bomb = {
        let mailbox = mailbox.clone();
        ChildSpec::worker("bomb", move |process| {
            let mailbox = mailbox.clone();
            async move {
                let _bomb = Bomb;
                loop {
                    match mailbox.recv().await {
                        Ask::Who(reply) => drop(reply.send((process.pid(), process.incarnation()))),
                        _ => return Ok(()),
                    }
                }
            }
        })
    };
    let system = start(ChildSpec::supervisor("top", move || one_for_one(vec![bomb.clone()])));
    wait(async {
        let (first, _) = who(&addr).await;
        kill(first);
        until(|| last_exit(&system) == Some(ExitReason::Killed)).await;
        let (second, incarnation) = who(&addr).await;
        assert_eq!(incarnation, 1);
        assert_ne!(first, second);
        addr.cast(Ask::Finish(dummy())).unwrap();
        until(|| matches!(last_exit(&system), Some(ExitReason::Panic { .. }))).await;
        assert_eq!(message(last_exit(&system).unwrap()), "in a destructor");
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    });
}

fn last_exit(system: &System) -> Option<ExitReason> {
    system.snapshot().root.children[0].last_exit.clone()
}

/// An answer that nobody waits for.
fn dummy<R>() -> Reply<R> {
    let (tell, told) = std::sync::mpsc::channel();
    let (addr, _mailbox) = mailbox();
    let call = addr.call(Duration::ZERO, |reply| drop(tell.send(reply)));
    let _ = async_std::task::block_on(call);
    told.recv().unwrap()
}

#[test]
fn two_children_with_one_id_are_an_error() {
    let spec = ChildSpec::supervisor("sup", || one_for_one(vec![sleeper("twin"), sleeper("twin")]));
    assert_eq!(reason_of(spec), ExitReason::error("bad child spec: two children are called twin"));
}

#[test]
fn a_blocking_process_that_panics_is_reported_with_its_text() {
    let spec = ChildSpec::blocking("blocking", |_| panic!("on its own thread"));
    assert_eq!(message(reason_of(spec)), "on its own thread");
}

#[test]
fn an_injected_panic_reaches_a_process_that_waits_for_the_network() {
    let spec = ChildSpec::worker("io", |_| async {
        let listener = async_std::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(ExitReason::environment)?;
        drop(listener.accept().await);
        Ok(())
    });
    let system = start(spec);
    inject_panic(system.root(), "injected");
    let ExitReason::Panic { message, .. } = wait(system.wait()) else { panic!("not a panic") };
    assert_eq!(message, "injected");
}

#[test]
fn an_injected_panic_reaches_a_blocking_process_that_waits_for_a_message() {
    let (_addr, mailbox) = mailbox::<()>();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let spec = ChildSpec::blocking("blocking", move |process| {
        tell.send(()).ok();
        process.recv(&mailbox)
    });
    let system = start(spec);
    told.recv().unwrap();
    inject_panic(system.root(), "injected");
    let ExitReason::Panic { message, .. } = wait(system.wait()) else { panic!("not a panic") };
    assert_eq!(message, "injected");
}

#[test]
fn a_protected_process_is_passed_by() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(echo("protected", &mailbox).protected());
    inject_panic(system.root(), "injected");
    wait(async {
        assert_eq!(who(&addr).await.0, system.root());
        system.stop(LONG).await;
    });
}

#[test]
fn a_caller_hears_at_once_that_the_callee_crashed() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(ChildSpec::supervisor("top", move || one_for_one(vec![echo("worker", &mailbox)])));
    wait(async {
        let asked = Instant::now();
        assert_eq!(addr.call(LONG, Ask::Crash).await, Err(CallError::Down));
        assert!(asked.elapsed() < LONG / 2);
        system.stop(LONG).await;
    });
}

#[test]
fn a_storm_ends_by_intensity_and_escalation() {
    let spec = ChildSpec::supervisor("top", || {
        let sub = |id: &str| ChildSpec::supervisor(id, || one_for_one(vec![crasher("crasher"), sleeper("sleeper")]));
        one_for_one(vec![sub("sub 1"), sub("sub 2")])
    });
    let system = start(spec);
    assert_eq!(wait(system.wait()), ExitReason::Shutdown);
    // Each of at most 2 + 3 incarnations of a sub restarted at most 3 times, and at most 3 subs were restarted.
    let restarts = system.snapshot().restarts();
    assert!((3..=5 * 5 + 3).contains(&restarts), "{restarts}");
}

#[test]
fn a_monitor_hears_why_and_hears_it_before_the_next_incarnation_is_seen() {
    enum Msg {
        Down(Down),
        Up(u64),
    }
    let (to, heard) = mailbox::<Msg>();
    let up = to.clone();
    let system = start(ChildSpec::supervisor("top", move || {
        let up = up.clone();
        one_for_one(vec![ChildSpec::worker("worker", move |process| {
            let up = up.clone();
            async move {
                drop(up.cast(Msg::Up(process.incarnation())));
                std::future::pending().await
            }
        })])
    }));
    wait(async {
        assert!(matches!(heard.recv().await, Msg::Up(0)));
        let pid = pid_of(&system, "top/worker");
        let taken_back = monitor(pid, &to, Msg::Down);
        demonitor(taken_back);
        monitor(pid, &to, Msg::Down);
        inject_panic(pid, "why");
        let Msg::Down(down) = heard.recv().await else { panic!("the next incarnation came first") };
        assert_eq!(down.pid, pid);
        assert!(down.reason.to_string().ends_with("why"), "{}", down.reason);
        assert!(matches!(heard.recv().await, Msg::Up(1)));
        monitor(pid, &to, Msg::Down);
        let Msg::Down(down) = heard.recv().await else { panic!("not a Down") };
        assert_eq!(down.reason, ExitReason::NoProc);
        system.stop(LONG).await;
    });
}

#[test]
fn a_monitor_waits_for_room_in_a_full_mailbox() {
    let (to, heard) = bounded_mailbox::<Option<Down>>(1);
    to.cast(None).unwrap();
    let system = start(sleeper("root"));
    monitor(system.root(), &to, Some);
    kill(system.root());
    wait(async {
        system.wait().await;
        assert_eq!(heard.recv().await, None);
        assert_eq!(heard.recv().await.unwrap().reason, ExitReason::Killed);
    });
}

#[test]
fn a_failed_init_is_the_answer_of_start_child() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let failing = ChildSpec::worker("failing", |_| async { Err(ExitReason::error("no")) }).awaits_init();
        let failed = at.start_child(failing).await;
        assert_eq!(failed, Err(StartError::Failed(ExitReason::error("no"))));
        assert!(at.which_children().await.is_empty());
        let pid = at.start_child(sleeper("a")).await.unwrap();
        assert_eq!(at.start_child(sleeper("a")).await, Err(StartError::AlreadyStarted(pid)));
        assert_eq!(at.which_children().await[0].pid, Some(pid));
        system.stop(LONG).await;
    });
}
