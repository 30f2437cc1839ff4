//! One test per hazard of bastion 0.4.5 that this crate must keep away: its contract with an upstream that no longer moves.
//!
//! | bastion alone | test, here unless a file is named |
//! |---|---|
//! | one_for_all and rest_for_one start siblings again beside the old ones | `no_strategy_ever_runs_two_copies_of_a_sibling` |
//! | a back-off is awaited in the supervisor's loop: it is deaf so long | `a_back_off_holds_up_nobody_else` |
//! | its exponential back-off is linear, without a cap, and never resets | `a_back_off_doubles_up_to_its_cap`; `machine/tests/limits.rs` |
//! | references go stale with a restart; messages around a crash are lost | `a_crash_loses_the_message_in_hand_and_no_other` |
//! | `recv` wakes only in the child's own task: elsewhere it hangs | `a_mailbox_wakes_whoever_waits_wherever_it_is_polled` |
//! | the mailbox is drained before the body is polled: a flood starves it | `a_flood_of_messages_does_not_starve_the_timers_of_the_process` |
//! | no bound, no length, no back-pressure | `mailboxes.rs` |
//! | a broadcast to a group made at run time is lost | `names.rs` |
//! | a killed child is not restarted | `a_killed_child_is_restarted` |
//! | no intensity: 220,000 restarts a second for ever; `Tries` for life | `a_child_that_fails_at_once_costs_its_budget_and_no_more` |
//! | no escalation; a nested supervisor is restarted three times at most | `a_nested_supervisor_is_restarted_as_often_as_the_budget_says` |
//! | exit reasons and panic texts are thrown away | `the_text_of_a_panic_that_is_raised_again_is_kept`; `reports.rs` |
//! | a panic in the synchronous part of a start ends the group silently | `a_start_function_that_panics_once_is_tried_again` |
//! | a panic in a callback ends the supervisor, or causes a storm | `a_callback_that_panics_hurts_nobody` |
//! | a panic while stopping: the wait for the end never returns | `a_destructor_that_panics_does_not_hold_up_the_stop` |
//! | a start that fails may leave an orphan running | `a_start_that_fails_leaves_no_orphan` |
//! | a top-level supervisor that is stopped comes back empty; no second start | `roots_come_and_go_beside_each_other` |
//! | stop is broadcast to all at once, without grace | `a_process_that_traps_exits_has_time_to_say_goodbye`; `endings.rs` |
//! | processes that block stop the world | `processes_that_block_hold_up_nobody` |
//! | each thread of the executor is pinned to a core, and so is every thread that it starts | `every_process_may_run_on_every_core` |
//! | each life leaks 2 KiB; ended groups are kept; cost grows with n² | `memory.rs` |
//! | messages have to be `Debug`, and are printed whole into debug logs | by the types: a message need not be `Debug` |

mod common;
use common::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use supervisors::*;

/// A body that is counted while it exists, and waits.
fn counted(id: &str, census: &Census) -> ChildSpec {
    let census = census.clone();
    ChildSpec::worker(id, move |_| {
        let entered = census.enter();
        async move {
            let _entered = entered;
            std::future::pending().await
        }
    })
}

fn often(flags: Flags, children: Vec<ChildSpec>) -> SupervisorSpec {
    let flags = flags.intensity(10_000, Duration::from_secs(1));
    SupervisorSpec { flags, children }
}

/// bastion: whoever shares a pinned thread waits for it while other cores idle; all blocking processes of a supervisor share one core.
#[cfg(target_os = "linux")]
#[test]
fn every_process_may_run_on_every_core() {
    fn cores() -> String {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap().to_string()
    }
    let (tx, rx) = std::sync::mpsc::channel();
    let (polled, blocking) = (tx.clone(), tx);
    let system = start(ChildSpec::supervisor("top", move || {
        let (polled, blocking) = (polled.clone(), blocking.clone());
        let worker = move |_| {
            polled.send(cores()).unwrap();
            std::future::pending()
        };
        let blocks = move |process: BlockingProcess| {
            blocking.send(cores()).unwrap();
            process.recv(&mailbox::<()>().1).map(drop)
        };
        one_for_one(vec![ChildSpec::worker("polled", worker), ChildSpec::blocking("blocking", blocks)])
    }));
    assert_eq!([rx.recv_timeout(LONG), rx.recv_timeout(LONG)], [Ok(cores()), Ok(cores())]);
    wait(system.stop(LONG));
}

/// bastion: the siblings are not ended; a second copy of each is started beside the first, on the same mailbox.
#[test]
fn no_strategy_ever_runs_two_copies_of_a_sibling() {
    for flags in [Flags::one_for_one(), Flags::one_for_all(), Flags::rest_for_one()] {
        let census = Census::default();
        let (addr, mailbox) = mailbox::<Ask>();
        let children = census.clone();
        let system = start(ChildSpec::supervisor("top", move || {
            let (a, b) = (counted("a", &children), counted("b", &children));
            let inner = children.clone();
            let sub = ChildSpec::supervisor("sub", move || one_for_one(vec![counted("c", &inner)]));
            often(flags, vec![a, echo("crashes", &mailbox), b, sub])
        }));
        wait(async {
            for incarnation in 0..11 {
                assert_eq!(who(&addr).await.1, incarnation);
                assert!(census.count() <= 3);
                assert_eq!(addr.call(LONG, Ask::Crash).await, Err(CallError::Down));
            }
            who(&addr).await;
            until(|| census.count() == 3).await;
            system.stop(LONG).await;
            assert_eq!(census.count(), 0);
        });
    }
}

/// bastion: a back-off is awaited in the supervisor's loop, ten of them one after the other.
#[test]
fn a_back_off_holds_up_nobody_else() {
    let (addr, mailbox) = mailbox::<Ask>();
    let at = SupervisorRef::new();
    let system = start(ChildSpec::supervisor_at("top", at.clone(), move || {
        let long = Duration::from_secs(3600);
        let backoff = Backoff { first: long, cap: long, jitter: 0.0, reset_after: long };
        let fails = |n: u32| {
            let id = format!("unreachable {n}");
            let spec = ChildSpec::worker(id, |_| async { Err(ExitReason::environment("refused")) });
            spec.backoff(backoff)
        };
        let mut children: Vec<_> = (0..10).map(fails).collect();
        children.push(echo("worker", &mailbox));
        often(Flags::one_for_one(), children)
    }));
    wait(async {
        who(&addr).await;
        let backs_off = |info: &&ChildInfo| matches!(info.status, Status::BackingOff { .. });
        while at.which_children().await.iter().filter(backs_off).count() < 10 {}
        let crashed = Instant::now();
        assert_eq!(addr.call(LONG, Ask::Crash).await, Err(CallError::Down));
        assert_eq!(who(&addr).await.1, 1);
        assert!(crashed.elapsed() < Duration::from_secs(2), "{:?}", crashed.elapsed());
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
        assert!(crashed.elapsed() < Duration::from_secs(4), "a stop does not wait for them either");
    });
}

/// bastion: every stored reference goes stale with a restart, and messages around a crash are lost silently.
#[test]
fn a_crash_loses_the_message_in_hand_and_no_other() {
    const EVERY: u64 = 100;
    let (addr, mailbox) = mailbox::<u64>();
    let handled = Arc::new(AtomicU64::new(0));
    let count = handled.clone();
    let system = start(ChildSpec::supervisor("top", move || {
        let (mailbox, count) = (mailbox.clone(), count.clone());
        let spec = ChildSpec::worker("worker", move |_| {
            let (mailbox, count) = (mailbox.clone(), count.clone());
            async move {
                loop {
                    let n = mailbox.recv().await;
                    assert!(n % EVERY != 0, "unlucky");
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        often(Flags::one_for_one(), vec![spec])
    }));
    for n in 1..=20_000 {
        addr.cast(n).unwrap();
    }
    wait(async {
        until(|| handled.load(Ordering::SeqCst) == 20_000 - 20_000 / EVERY).await;
        system.stop(LONG).await;
    });
}

/// bastion: a child that was killed is not restarted.
#[test]
fn a_killed_child_is_restarted() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(ChildSpec::supervisor("top", move || one_for_one(vec![echo("worker", &mailbox)])));
    wait(async {
        let (pid, _) = who(&addr).await;
        kill(pid);
        until(|| system.snapshot().restarts() == 1).await;
        assert_eq!(who(&addr).await.1, 1);
        system.stop(LONG).await;
    });
}

/// bastion: a panic in the synchronous part of a start function silently ends the group for ever.
#[test]
fn a_start_function_that_panics_once_is_tried_again() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(ChildSpec::supervisor("top", move || {
        let mailbox = mailbox.clone();
        one_for_one(vec![ChildSpec::worker("worker", move |process| {
            assert!(process.incarnation() > 0, "not the first time");
            let mailbox = mailbox.clone();
            async move {
                let Ask::Who(reply) = mailbox.recv().await else { return Ok(()) };
                reply.send((process.pid(), process.incarnation()));
                std::future::pending().await
            }
        })])
    }));
    wait(async {
        assert_eq!(who(&addr).await.1, 1);
        system.stop(LONG).await;
    });
}

/// bastion: a mailbox is drained before the body is polled, so a flood starves body and timers.
#[test]
fn a_flood_of_messages_does_not_starve_the_timers_of_the_process() {
    let (addr, mailbox) = mailbox::<u64>();
    let (tick, ticks) = supervisors::mailbox::<()>();
    let system = start(ChildSpec::worker("flooded", move |_| {
        let (mailbox, tick) = (mailbox.clone(), tick.clone());
        async move {
            loop {
                let message = Box::pin(mailbox.recv());
                let timer = Box::pin(async_std::task::sleep(Duration::from_millis(1)));
                if let futures::future::Either::Right(_) = futures::future::select(message, timer).await {
                    tick.cast(()).ok();
                }
            }
        }
    }));
    let flood = std::thread::spawn(move || {
        // It is closed when the process has been seen to live and is gone.
        (0..200_000).all(|n| addr.cast(n).is_ok())
    });
    wait(async {
        ticks.recv().await;
        system.stop(LONG).await;
    });
    flood.join().unwrap();
}

/// bastion: four processes that block on two cores stop the world.
#[test]
fn processes_that_block_hold_up_nobody() {
    let (addr, mailbox) = mailbox::<Ask>();
    let (release, held) = flume::unbounded::<()>();
    let system = start(ChildSpec::supervisor("top", move || {
        let blocks = |n: u32| {
            let held = held.clone();
            ChildSpec::blocking(format!("blocks {n}"), move |_| {
                held.recv().ok();
                Ok(())
            })
        };
        let mut children: Vec<_> = (0..64).map(blocks).collect();
        children.push(echo("worker", &mailbox));
        one_for_one(children)
    }));
    wait(async {
        let asked = Instant::now();
        who(&addr).await;
        assert!(asked.elapsed() < Duration::from_secs(5));
        let stopped = system.stop(LONG);
        drop(release);
        stopped.await;
    });
}

/// bastion: the panic's payload is thrown away, and panics are printed by whoever set a hook.
#[test]
fn the_text_of_a_panic_that_is_raised_again_is_kept() {
    let spec = ChildSpec::worker("again", |_| async {
        let text = String::from("original");
        let caught = std::panic::catch_unwind(|| assert!(text.is_empty(), "{text}"));
        if let Err(payload) = caught {
            std::panic::resume_unwind(payload);
        }
        Ok(())
    });
    let reason = wait(start(spec).wait());
    assert!(reason.to_string().ends_with("original"), "{reason}");
}

/// bastion: the stop is broadcast to all at once and awaited in start order; nobody has time to say goodbye.
#[test]
fn a_process_that_traps_exits_has_time_to_say_goodbye() {
    let diary = Diary::default();
    let inner = diary.clone();
    let system = start(ChildSpec::supervisor("top", move || {
        let polite = |id: &'static str| {
            let diary = inner.clone();
            let spec = ChildSpec::worker(id, move |process| {
                let diary = diary.clone();
                diary.write(format!("+{id}"));
                async move {
                    process.shutdown_requested().await;
                    async_std::task::sleep(Duration::from_millis(10)).await;
                    diary.write(format!("-{id}"));
                    Ok(())
                }
            });
            spec.trap_exit()
        };
        one_for_one(vec![polite("a"), polite("b"), polite("c")])
    }));
    wait(async {
        until(|| diary.lines() == 3).await;
        diary.read();
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
        assert_eq!(diary.read(), "-c -b -a");
    });
}

/// bastion: a top-level supervisor that is stopped comes back empty, and the system cannot be started twice.
#[test]
fn roots_come_and_go_beside_each_other() {
    let (addr, mailbox) = mailbox::<Ask>();
    let stays = start(echo("stays", &mailbox));
    for _ in 0..20 {
        let goes = start(ChildSpec::supervisor("goes", || one_for_one(vec![sleeper("a")])));
        assert_eq!(wait(goes.stop(LONG)), ExitReason::Shutdown);
        assert!(snapshot(goes.root()).is_none());
    }
    wait(async {
        assert_eq!(who(&addr).await.0, stays.root());
        stays.stop(LONG).await;
    });
}

/// bastion: "exponential" is a multiple of the count of restarts, without end.
#[test]
fn a_back_off_doubles_up_to_its_cap() {
    let first = Duration::from_millis(4);
    let backoff = Backoff { first, cap: 4 * first, jitter: 0.0, reset_after: LONG };
    let system = start(ChildSpec::supervisor("top", move || {
        let fails = ChildSpec::worker("fails", |_| async { Err(ExitReason::environment("refused")) });
        one_for_one(vec![fails.backoff(backoff)])
    }));
    let events = subscribe_with_history(system.root());
    wait(async {
        let mut waits = Vec::new();
        while waits.len() < 5 {
            if let EventKind::Restarting { after } = events.recv().await.unwrap().kind {
                waits.push(after.as_secs_f64() / first.as_secs_f64());
            }
        }
        for (wait, expected) in waits.into_iter().zip([1.0, 2.0, 4.0, 4.0, 4.0]) {
            assert!((wait - expected).abs() < 0.1, "{wait} is not {expected}");
        }
        system.stop(LONG).await;
    });
}

/// bastion: `recv` registers no waker of its own and hangs in a `FuturesUnordered`, in a join, or in another task.
#[test]
fn a_mailbox_wakes_whoever_waits_wherever_it_is_polled() {
    use futures::stream::{FuturesUnordered, StreamExt};
    let (addrs, inboxes): (Vec<_>, Vec<_>) = (0..3).map(|_| mailbox::<u32>()).unzip();
    let (done, sums) = mailbox::<u32>();
    let system = start(ChildSpec::worker("collects", move |_| {
        let (inboxes, done) = (inboxes.clone(), done.clone());
        async move {
            let all: FuturesUnordered<_> = inboxes[..2].iter().map(Mailbox::recv).collect();
            let elsewhere = inboxes[2].clone();
            let other = async_std::task::spawn(async move { elsewhere.recv().await });
            let both = futures::future::join(all.fold(0, |sum, n| async move { sum + n }), other).await;
            done.cast(both.0 + both.1).ok();
            std::future::pending().await
        }
    }));
    wait(async {
        until(|| system.snapshot().root.polls > 0).await;
        for (addr, n) in addrs.iter().zip([1, 10, 100]) {
            addr.cast(n).unwrap();
        }
        assert_eq!(sums.recv().await, 111);
        system.stop(LONG).await;
    });
}

/// bastion: 220,000 restarts a second, for ever.
#[test]
fn a_child_that_fails_at_once_costs_its_budget_and_no_more() {
    let starts = Arc::new(AtomicU64::new(0));
    let counted = starts.clone();
    let system = start(ChildSpec::supervisor("top", move || {
        let counted = counted.clone();
        one_for_one(vec![ChildSpec::worker("fails", move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Err(ExitReason::error("at once")) }
        })])
    }));
    assert_eq!(wait(system.wait()), ExitReason::Shutdown);
    assert_eq!(starts.load(Ordering::SeqCst), 1 + 3);
}

/// bastion: a nested supervisor is restarted three times in its life and then forgotten, and nobody above hears of it.
#[test]
fn a_nested_supervisor_is_restarted_as_often_as_the_budget_says() {
    let system = start(ChildSpec::supervisor("top", || {
        let sub = ChildSpec::supervisor("sub", || SupervisorSpec {
            flags: Flags::one_for_one().intensity(0, Duration::from_secs(60)),
            children: vec![crasher("crasher")],
        });
        SupervisorSpec { flags: Flags::one_for_one().intensity(20, Duration::from_secs(60)), children: vec![sub] }
    }));
    let events = subscribe_with_history(system.root());
    wait(async {
        let mut subs = 0;
        while let Some(event) = events.recv().await {
            subs += u32::from(event.kind == EventKind::Started && &*event.path == "top/sub");
        }
        assert_eq!(subs, 1 + 20);
        assert_eq!(system.wait().await, ExitReason::Shutdown);
    });
}

/// bastion: a panic in a callback kills the supervisor silently, or starts a storm.
#[test]
fn a_callback_that_panics_hurts_nobody() {
    let (addr, inbox) = mailbox::<Ask>();
    let (downs, down) = mailbox::<Down>();
    let system = start(ChildSpec::supervisor("top", move || one_for_one(vec![echo("worker", &inbox)])));
    wait(async {
        let (pid, _) = who(&addr).await;
        monitor(pid, &downs, |_| panic!("a bug in a callback"));
        monitor(pid, &downs, |down| down);
        kill(pid);
        assert_eq!(down.recv().await, Down { pid, reason: ExitReason::Killed });
        assert_eq!(who(&addr).await.1, 1);
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    });
}

/// bastion: after a panic in `after_stop`, `block_until_stopped` never returns.
#[test]
fn a_destructor_that_panics_does_not_hold_up_the_stop() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("a bug in a destructor");
        }
    }
    let system = start(ChildSpec::supervisor("top", || {
        let bad = ChildSpec::worker("bad", |process| async move {
            let _bad = Bad;
            process.ready();
            std::future::pending().await
        });
        one_for_one(vec![bad.awaits_init(), sleeper("other")])
    }));
    wait(async {
        until(|| system.snapshot().nodes().filter(|node| node.status == Status::Running).count() == 3).await;
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    });
}

/// bastion: `children()` can fail and still leave what it made running, under nobody.
#[test]
fn a_start_that_fails_leaves_no_orphan() {
    let (census, at) = (Census::default(), SupervisorRef::new());
    let system = start(empty("top", &at));
    wait(async {
        let inner = census.clone();
        let half = ChildSpec::supervisor("half", move || {
            let fails = ChildSpec::worker("fails", |_| async { Err(ExitReason::error("no")) }).awaits_init();
            one_for_one(vec![counted("a", &inner), fails])
        });
        assert!(matches!(at.start_child(half).await, Err(StartError::Failed(_))));
        assert_eq!(census.count(), 0, "its first child was undone before the answer came");
        assert!(at.which_children().await.is_empty());
        system.stop(LONG).await;
        assert!(at.start_child(counted("late", &census)).await.is_err());
        assert_eq!(census.count(), 0);
    });
}
