//! Fault points in running processes: what each task does, where, and to whom.

#![allow(clippy::unwrap_used)]

mod common;
use common::*;
use std::{
    sync::mpsc,
    time::{Duration, Instant},
};
use supervisors::{faults::*, *};

/// Passes an awaiting fault point of its own, once, and ends normally.
fn passer(id: &'static str) -> ChildSpec {
    ChildSpec::worker(id, |process| async move {
        fault_result!(async "pass", incarnation = process.incarnation())?;
        Ok(())
    })
}

/// Passes a point that may hold its thread.
fn blocking_passer(id: &'static str) -> ChildSpec {
    ChildSpec::blocking(id, |_| {
        fault_result!("pass")?;
        Ok(())
    })
}

fn armed(path: &str, tasks: &str) -> Armed {
    Plan::new([Point::new("pass", tasks).unwrap().under(path)]).seed(1).arm()
}

fn reason_of(spec: ChildSpec) -> ExitReason {
    wait(start(spec).wait())
}

#[test]
fn each_task_ends_a_worker_in_its_way() {
    let table = [
        ("off", ExitReason::Normal),
        ("error(bad)", ExitReason::error("bad (injected at pass)")),
        ("error(environment: reset)", ExitReason::environment("reset (injected at pass)")),
        ("return(7)", ExitReason::error("pass was handed Some(\"7\")")),
        ("exit(normal)", ExitReason::Normal),
        ("exit(shutdown)", ExitReason::Shutdown),
        ("exit(kill)", ExitReason::Killed),
        ("exit(environment: disk full)", ExitReason::environment("disk full")),
        ("exit(bad)", ExitReason::error("bad")),
        ("delay(1)", ExitReason::Normal),
        ("busy(1)", ExitReason::Normal),
        ("yield", ExitReason::Normal),
        ("print(hello)", ExitReason::Normal),
        ("0%panic", ExitReason::Normal),
    ];
    for (tasks, reason) in table {
        let armed = armed("each task*", tasks);
        assert_eq!(reason_of(passer("each task")), reason, "{tasks}");
        assert_eq!(reason_of(blocking_passer("each task, blocking")), reason, "{tasks}");
        let fired = if tasks == "0%panic" { 0 } else { 2 };
        assert_eq!((armed.points()[0].hits, armed.points()[0].fired), (2, fired), "{tasks}");
    }
}

#[test]
fn a_panic_is_at_the_place_of_the_fault_point() {
    for (tasks, text) in [("panic(at the point)", "at the point"), ("panic", "fault point pass")] {
        let _armed = armed("panics*", tasks);
        for spec in [passer("panics"), blocking_passer("panics")] {
            let ExitReason::Panic { message, location } = reason_of(spec) else { panic!("no panic") };
            assert_eq!(message, text);
            assert!(location.contains("tests/fault_points.rs:"), "{location}");
        }
    }
}

#[test]
fn a_delay_takes_its_time_and_a_busy_point_too() {
    for tasks in ["delay(30)", "busy(30)"] {
        let _armed = armed("slow", tasks);
        for spec in [passer("slow"), blocking_passer("slow")] {
            let begin = Instant::now();
            assert_eq!(reason_of(spec), ExitReason::Normal);
            assert!(begin.elapsed() >= Duration::from_millis(30), "{tasks}");
        }
    }
}

#[test]
fn what_hangs_can_be_ended_and_goes_on_when_it_is_disarmed() {
    wait(async {
        let armed = armed("hangs*", "hang");
        let killed = start(passer("hangs, killed"));
        let systems = [start(passer("hangs")), start(blocking_passer("hangs, blocking"))];
        until(|| armed.points()[0].fired == 3).await;
        kill(killed.root());
        assert_eq!(killed.wait().await, ExitReason::Killed);
        assert!(systems.iter().all(|system| system.snapshot().root.pid.is_some()));
        drop(armed);
        for system in &systems {
            assert_eq!(system.wait().await, ExitReason::Normal);
        }
    });
}

#[test]
fn a_point_that_does_not_await_does_not_hold_a_thread_of_the_executor() {
    let armed = armed("does not await", "1*hang->1*delay(3600000)->1*yield");
    let spec = ChildSpec::worker("does not await", |_| async {
        for _ in 0..3 {
            fault_point!("pass");
        }
        Ok(())
    });
    assert_eq!(reason_of(spec), ExitReason::Normal);
    assert_eq!(armed.points()[0].fired, 3);
}

#[test]
fn a_point_fires_for_the_processes_that_its_path_fits_and_for_no_other() {
    let _armed = armed("fits/**", "exit(bad)");
    wait(async {
        for (root, expected) in [("fits", ExitReason::error("bad")), ("fits not", ExitReason::Normal)] {
            let (tx, rx) = mailbox();
            let spec = ChildSpec::supervisor(root, move || {
                let tx = tx.clone();
                let child = ChildSpec::worker("child", move |process| {
                    // It waits in the mailbox until the process has ended.
                    monitor(process.pid(), &tx, |down| down);
                    async {
                        fault_point!("pass");
                        Ok(())
                    }
                });
                one_for_one(vec![child.restart(Restart::Temporary)])
            });
            let system = start(spec);
            assert_eq!(rx.recv().await.reason, expected, "{root}");
            system.stop(LONG).await;
        }
    });
}

#[test]
fn conditions_look_at_the_values_of_the_site() {
    let list = "conditions:pass[incarnation=2]=exit(second restart); conditions:pass=error(again)";
    let armed = Plan::parse(list).unwrap().arm();
    for (incarnation, reason) in [(1, "again (injected at pass)"), (2, "second restart")] {
        let spec = ChildSpec::worker("conditions", move |_| async move {
            fault_result!(async "pass", incarnation = incarnation, other = "x")?;
            Ok(())
        });
        assert_eq!(reason_of(spec), ExitReason::error(reason));
    }
    let counts: Vec<_> = armed.points().iter().map(|point| (point.hits, point.fired)).collect();
    assert_eq!(counts, [(1, 1), (2, 1)]);
}

#[test]
fn hits_are_counted_over_the_incarnations_of_a_process() {
    let armed = Plan::parse("incarnations/child:pass=2*off->1*panic->off").unwrap().arm();
    let (tx, rx) = mpsc::channel();
    let child = ChildSpec::worker("child", move |process| {
        let tx = tx.clone();
        async move {
            for _ in 0..3 {
                fault_point!(async "pass");
                tx.send(process.incarnation()).unwrap();
            }
            std::future::pending().await
        }
    });
    let system = start(ChildSpec::supervisor("incarnations", move || one_for_one(vec![child.clone()])));
    let seen: Vec<u64> = (0..5).map(|_| rx.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(seen, [0, 0, 1, 1, 1]);
    let hits: Vec<u64> = armed.log().actions.iter().map(hit).collect();
    assert_eq!(hits, [1, 2, 3, 4, 5, 6]);
    wait(system.stop(LONG));
}

fn hit(action: &Action) -> u64 {
    match action {
        Action::Point { hit, .. } => *hit,
        Action::Monkey { kill, .. } => *kill,
    }
}

/// Eight processes that pass their point 200 times each, as they get their turn. The actions in order of path and hit.
fn crowd(root: &'static str, plan: Plan) -> Vec<Action> {
    let armed = plan.arm();
    let (tx, rx) = mpsc::channel();
    let child = |n: usize| {
        let tx = tx.clone();
        let spec = ChildSpec::worker(format!("{n}"), move |_| {
            let tx = tx.clone();
            async move {
                for _ in 0..200 {
                    drop(fault_result!(async "pass"));
                    async_std::task::yield_now().await;
                }
                tx.send(()).unwrap();
                Ok(())
            }
        });
        spec.restart(Restart::Temporary)
    };
    let children: Vec<ChildSpec> = (0..8).map(child).collect();
    let system = start(ChildSpec::supervisor(root, move || one_for_one(children.clone())));
    (0..8).for_each(|_| rx.recv_timeout(LONG).unwrap());
    wait(system.stop(LONG));
    let mut actions = armed.log().actions;
    actions.sort();
    actions
}

#[test]
fn the_same_seed_fires_at_the_same_hits_however_threads_interleave_and_a_replay_too() {
    let point = || Point::new("pass", "5%error(a)->10%3*yield->1%delay(1)").unwrap().under("seeded/*").each();
    let first = crowd("seeded", Plan::new([point()]).seed(11));
    assert!(first.len() > 80 && first.len() < 200, "{}", first.len());
    assert_eq!(crowd("seeded", Plan::new([point()]).seed(11)), first);
    assert_ne!(crowd("seeded", Plan::new([point()]).seed(12)), first);
    let log = Log { actions: first.clone(), forgotten: 0 };
    assert_eq!(crowd("seeded", Plan::replay(&log).unwrap()), first);
}

#[test]
fn a_shared_count_is_one_for_all_processes_and_each_gives_each_its_own() {
    let point = || Point::new("pass", "3*error").unwrap().under("shared/*");
    assert_eq!(crowd("shared", Plan::new([point()])).len(), 3);
    assert_eq!(crowd("shared", Plan::new([point().each()])).len(), 24);
}

#[test]
fn a_point_may_return_from_its_function_and_otherwise_takes_no_value() {
    fn taken(by: &str) -> u32 {
        fault_point!("returns", by = by, |fault| fault.value().and_then(|value| value.parse().ok()).unwrap_or(0));
        1
    }
    async fn awaited() -> u32 {
        fault_point!(async "returns", |_| 9);
        1
    }
    let armed = arm("returns", "1*return(7)->1*error->1*off->return").unwrap();
    assert_eq!((taken("a"), taken("a"), taken("a"), wait(awaited())), (7, 0, 1, 9));
    drop(armed);
    assert_eq!((taken("a"), wait(awaited())), (1, 1));
    let _armed = arm("no place", "return(7)").unwrap();
    let spec = ChildSpec::worker("no place", |_| async {
        fault_point!("no place");
        Ok(())
    });
    let ExitReason::Panic { message, .. } = reason_of(spec) else { panic!("no panic") };
    assert_eq!(message, "the fault point no place takes no error and no value: no place was handed Some(\"7\")");
}

#[test]
fn outside_of_a_process_a_point_blocks_and_cannot_exit() {
    let armed = arm("outside", "1*exit(shutdown)->1*delay(1)->1*yield->panic(seen)").unwrap();
    for _ in 0..3 {
        fault_point!("outside");
    }
    assert_eq!(armed.points()[0].fired, 3);
    let panic = std::panic::catch_unwind(|| fault_point!("outside")).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "seen");
}

#[test]
fn a_point_in_a_destructor_does_not_panic_while_another_panic_unwinds() {
    struct Passes;
    impl Drop for Passes {
        fn drop(&mut self) {
            fault_point!("in a destructor");
        }
    }
    let armed = arm("in a destructor", "1*panic->exit(bad)").unwrap();
    let spec = ChildSpec::worker("unwinds", |_| async {
        let _passes = (Passes, Passes);
        panic!("the first")
    });
    let ExitReason::Panic { message, .. } = reason_of(spec) else { panic!("no panic") };
    assert_eq!((message.as_str(), armed.points()[0].fired), ("the first", 2));
}

#[test]
fn several_plans_all_count_and_the_first_to_fire_has_it() {
    let first = Plan::parse("several=1*off").unwrap().arm();
    let second = Plan::parse("several=1*exit(bad)").unwrap().arm();
    let spec = ChildSpec::worker("several", |_| async {
        fault_point!("several");
        fault_point!("several");
        Ok(())
    });
    assert_eq!(reason_of(spec), ExitReason::error("bad"));
    let counts = [first, second].map(|plan| (plan.points()[0].hits, hit(&plan.log().actions[0])));
    assert_eq!(counts, [(2, 1), (2, 2)]);
}

#[test]
fn sites_and_points_are_listed_with_their_counts() {
    let armed = Plan::parse("a.listed.*=off").unwrap().arm();
    for _ in 0..3 {
        fault_point!("a.listed.site");
    }
    let site = sites().into_iter().find(|site| site.name == "a.listed.site").unwrap();
    assert!(site.file.ends_with("fault_points.rs") && site.line > 1 && site.hits >= 3, "{site:?}");
    let info = PointInfo { point: "a.listed.*=off".into(), hits: 3, fired: 3 };
    assert!(supervisors::faults::armed().contains(&info));
    drop(armed);
    assert!(!supervisors::faults::armed().contains(&info));
}

#[test]
fn a_future_with_a_point_is_as_send_as_without_it() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let not_sync = std::cell::Cell::new(7);
    let future = assert_send(async move {
        fault_point!(async "send", value = not_sync.get());
        not_sync.get()
    });
    assert_eq!(wait(future), 7);
}

#[test]
fn a_process_knows_itself_and_nothing_else_is_one() {
    assert_eq!(current(), None);
    let (tx, rx) = mpsc::channel();
    let worker = {
        let tx = tx.clone();
        ChildSpec::worker("knows itself", move |process| {
            let inside = current();
            let tx = tx.clone();
            async move {
                tx.send((inside, current(), process.pid())).unwrap();
                Ok(())
            }
        })
    };
    let blocking = ChildSpec::blocking("knows itself", move |process| {
        tx.send((current(), current(), process.pid())).unwrap();
        Ok(())
    });
    for spec in [worker, blocking] {
        assert_eq!(reason_of(spec), ExitReason::Normal);
        let (inside, later, pid) = rx.recv_timeout(LONG).unwrap();
        assert_eq!((inside, later), (Some(pid), Some(pid)));
    }
}
