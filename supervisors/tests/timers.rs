//! Timers fire once or again and again, and never after their process has ended.

mod common;
use common::*;
use std::time::{Duration, Instant};
use supervisors::*;

const SHORT: Duration = Duration::from_millis(5);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn messages_come_in_the_order_of_their_time() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let (addr, mailbox) = mailbox();
        let begin = Instant::now();
        it.does(move |process| {
            for n in [40, 0, 20, 60, 5] {
                process.send_after(Duration::from_millis(n), &addr, n);
            }
        })
        .await;
        for n in [0, 5, 20, 40, 60] {
            assert_eq!(mailbox.recv().await, n);
            assert!(begin.elapsed() >= Duration::from_millis(n));
        }
        system.stop(LONG).await;
    });
}

#[test]
fn a_cancelled_timer_says_what_was_left_and_sends_nothing() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let (addr, mailbox) = mailbox();
        it.does(move |process| {
            let timer = process.send_after(HOUR, &addr, "late");
            assert!(timer.left().is_some_and(|left| left > HOUR - LONG && left <= HOUR));
            let left = timer.cancel().unwrap();
            assert!(left > HOUR - LONG && left <= HOUR);
            assert_eq!((timer.cancel(), timer.left()), (None, None));
            let soon = process.send_after(SHORT, &addr, "never");
            assert!(soon.cancel().is_some());
            process.send_after(SHORT * 4, &addr, "control");
        })
        .await;
        assert_eq!(mailbox.recv().await, "control");
        assert_eq!(mailbox.try_recv(), None);
        system.stop(LONG).await;
    });
}

#[test]
fn a_timer_that_has_fired_has_nothing_left() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let (addr, mailbox) = mailbox::<()>();
        let (give, timers) = flume::unbounded();
        it.does(move |process| give.send(process.send_after(SHORT, &addr, ())).unwrap()).await;
        mailbox.recv().await;
        let timer = timers.recv().unwrap();
        until(|| timer.left().is_none()).await;
        assert_eq!(timer.cancel(), None);
        system.stop(LONG).await;
    });
}

#[test]
fn an_interval_goes_on_until_it_is_cancelled() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let (addr, mailbox) = mailbox();
        let (give, timers) = flume::unbounded();
        let begin = Instant::now();
        let to = addr.clone();
        it.does(move |process| give.send(process.send_interval(SHORT, &to, "tick")).unwrap()).await;
        for _ in 0..5 {
            assert_eq!(mailbox.recv().await, "tick");
        }
        assert!(begin.elapsed() >= SHORT * 5);
        assert!(timers.recv().unwrap().cancel().is_some_and(|left| left <= SHORT));
        mailbox.drain();
        it.does(move |process| drop(process.send_after(SHORT * 4, &addr, "control"))).await;
        assert_eq!(mailbox.recv().await, "control");
        system.stop(LONG).await;
    });
}

#[test]
fn nothing_fires_after_the_process_has_ended_however_it_ended() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        for reason in [ExitReason::Normal, ExitReason::Killed, ExitReason::error("a bug")] {
            let it = Puppet::start(&at, "it").await;
            let control = Puppet::start(&at, "control").await;
            let (addr, mailbox) = mailbox();
            let (give, timers) = flume::unbounded();
            let (pid, to) = (it.pid, addr.clone());
            it.does(move |process| {
                process.send_interval(Duration::from_millis(1), &to, "tick");
                for n in 0..200 {
                    give.send(process.send_after(Duration::from_millis(n), &to, "once")).unwrap();
                }
            })
            .await;
            assert!(["tick", "once"].contains(&mailbox.recv().await));
            it.does(move |process| exit(process.pid(), reason)).await;
            gone(&at, pid).await;
            mailbox.drain();
            assert!(timers.try_iter().all(|timer| timer.left().is_none() && timer.cancel().is_none()));
            control.does(move |process| drop(process.send_after(SHORT * 4, &addr, "control"))).await;
            assert_eq!(mailbox.recv().await, "control");
            assert_eq!(mailbox.try_recv(), None);
            control.ends(Ok(()), &at).await;
        }
        system.stop(LONG).await;
    });
}

#[test]
fn a_full_mailbox_delays_a_message_and_misses_a_tick() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let (addr, mailbox) = bounded_mailbox(1);
        addr.cast("first").unwrap();
        let (give, timers) = flume::unbounded();
        it.does(move |process| give.send(process.send_after(Duration::ZERO, &addr, "second")).unwrap()).await;
        let timer = timers.recv().unwrap();
        until(|| timer.left().is_some_and(|left| !left.is_zero())).await;
        assert_eq!(mailbox.recv().await, "first");
        assert_eq!(mailbox.recv().await, "second");
        system.stop(LONG).await;
    });
}

#[test]
fn a_blocking_process_has_timers_too() {
    let (addr, ticks) = mailbox();
    let (told, heard) = mailbox();
    let system = start(ChildSpec::blocking("thread", move |process| {
        process.send_after(SHORT, &addr, "once");
        told.cast(process.recv(&ticks)?).unwrap();
        Ok(())
    }));
    assert_eq!(wait(heard.recv()), "once");
    assert_eq!(wait(system.wait()), ExitReason::Normal);
}

/// A message whose copies use timers themselves.
struct Knot(Process, Addr<Knot>, u32);

impl Clone for Knot {
    fn clone(&self) -> Self {
        self.0.send_after(HOUR, &self.1, Knot(self.0.clone(), self.1.clone(), 0)).cancel();
        Self(self.0.clone(), self.1.clone(), self.2 + 1)
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        unregister(&format!("knot {}", self.2));
    }
}

#[test]
fn no_lock_is_held_while_a_message_is_copied_or_dropped() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let (addr, mailbox) = bounded_mailbox(1);
        it.does(move |process| {
            let knot = Knot(process.clone(), addr.clone(), 0);
            process.send_interval(Duration::from_millis(1), &addr, knot);
        })
        .await;
        for _ in 0..3 {
            assert_eq!(mailbox.recv().await.2, 1);
        }
        drop(mailbox);
        system.stop(LONG).await;
    });
}
