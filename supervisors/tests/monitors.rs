//! Monitors: one `Down` for each, exactly once, whatever else happens at that moment.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
use common::*;
use supervisors::*;

#[test]
fn every_monitor_tells_once_and_says_why() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, ExitReason::Killed, ExitReason::error("a bug")] {
            let it = Puppet::start(&at, "it").await;
            let (addr, downs) = mailbox();
            for n in 0..3 {
                monitor(it.pid, &addr, move |down| (n, down));
            }
            let (pid, why) = (it.pid, reason.clone());
            it.does(move |process| exit(process.pid(), why)).await;
            gone(&at, pid).await;
            for n in 0..3 {
                assert_eq!(downs.try_recv(), Some((n, Down { pid, reason: reason.clone() })));
            }
            assert_eq!(downs.try_recv(), None);
            monitor(pid, &addr, |down| (3, down));
            assert_eq!(downs.try_recv(), Some((3, Down { pid, reason: ExitReason::NoProc })), "it had ended");
        }
        system.stop(LONG).await;
    });
}

#[test]
fn a_monitor_that_is_taken_back_says_nothing_or_has_said_it() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (addr, downs) = mailbox();
        let mut sooner = 0;
        for n in 0..500 {
            let it = Puppet::start(&at, "it").await;
            let watch = monitor(it.pid, &addr, |down| down);
            kill(it.pid);
            // It ends on another thread, at about the same time.
            (0..n % 50).for_each(|_| std::hint::spin_loop());
            let took_back = demonitor(watch);
            sooner += u32::from(took_back);
            gone(&at, it.pid).await;
            let told = downs.try_recv().map(|down| down.pid);
            assert_eq!(told, (!took_back).then_some(it.pid));
            assert_eq!(downs.try_recv(), None);
        }
        println!("{sooner} of 500 taken back in time");
        system.stop(LONG).await;
    });
}

#[derive(Debug, PartialEq)]
enum Msg {
    Work(u32),
    Down(Down),
}

#[test]
fn a_flush_takes_the_message_out_and_leaves_all_others_in_their_order() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (a, b) = (Puppet::start(&at, "a").await, Puppet::start(&at, "b").await);
        let (a_pid, b_pid) = (a.pid, b.pid);
        let (addr, mailbox) = mailbox();
        let watch_a = monitor(a_pid, &addr, Msg::Down);
        let watch_b = monitor(b_pid, &addr, Msg::Down);
        addr.cast(Msg::Work(1)).unwrap();
        a.ends(Ok(()), &at).await;
        addr.cast(Msg::Work(2)).unwrap();
        b.ends(Ok(()), &at).await;
        addr.cast(Msg::Work(3)).unwrap();
        let is_down = |msg: &Msg| matches!(msg, Msg::Down(_));
        assert!(!demonitor_flush(watch_a, &mailbox, |msg| match msg {
            Msg::Down(down) => Some(down),
            Msg::Work(_) => None,
        }));
        addr.cast(Msg::Work(4)).unwrap();
        assert_eq!((mailbox.len(), addr.len()), (5, 5));
        assert_eq!(mailbox.recv().await, Msg::Work(1));
        let mut stream = mailbox.stream();
        assert_eq!(futures::StreamExt::next(&mut stream).await, Some(Msg::Work(2)));
        assert_eq!(mailbox.try_recv(), Some(Msg::Down(Down { pid: b_pid, reason: ExitReason::Normal })));
        assert!(!demonitor(watch_b));
        assert!(mailbox.take_if(is_down).is_empty());
        assert_eq!(mailbox.clone().recv().await, Msg::Work(3));
        assert_eq!(mailbox.recv().await, Msg::Work(4));
        assert!(mailbox.is_empty());
        system.stop(LONG).await;
    });
}

#[test]
fn a_full_mailbox_delays_the_message_and_a_closed_one_loses_it() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let (full, mailbox) = bounded_mailbox(1);
        let (closed, _) = bounded_mailbox::<Msg>(1);
        full.cast(Msg::Work(1)).unwrap();
        let pid = it.pid;
        monitor(pid, &full, Msg::Down);
        monitor(pid, &closed, Msg::Down);
        it.ends(Ok(()), &at).await;
        assert_eq!(mailbox.recv().await, Msg::Work(1));
        assert_eq!(mailbox.recv().await, Msg::Down(Down { pid, reason: ExitReason::Normal }));
        system.stop(LONG).await;
    });
}

#[test]
fn the_message_is_there_before_the_next_incarnation_starts() {
    let (addr, downs) = mailbox();
    let (told, seen) = mailbox();
    let heard = downs.clone();
    let system = start(ChildSpec::supervisor("top", move || {
        let (addr, told, heard) = (addr.clone(), told.clone(), heard.clone());
        one_for_one(vec![ChildSpec::worker("it", move |process| {
            told.cast(heard.try_recv()).unwrap();
            monitor(process.pid(), &addr, |down: Down| down.pid);
            let again = process.incarnation() == 0;
            async move {
                assert!(!again, "the first time it fails");
                std::future::pending().await
            }
        })])
    }));
    wait(async {
        assert_eq!(seen.recv().await, None);
        assert!(seen.recv().await.is_some());
        system.stop(LONG).await;
    });
}
