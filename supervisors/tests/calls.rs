//! Why a call has no answer, and how soon its caller hears that. Everything waits with [`LONG`]: a timeout is a failure.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
use common::*;
use futures::FutureExt;
use std::time::Duration;
use supervisors::*;

/// Holds the first call until `release` says something, then does what that says; answers all later ones.
fn holder(id: &str, mailbox: &Mailbox<Reply<u64>>, release: &Mailbox<Exit>) -> ChildSpec {
    let (mailbox, release) = (mailbox.clone(), release.clone());
    ChildSpec::worker(id, move |process| {
        let (mailbox, release) = (mailbox.clone(), release.clone());
        async move {
            let mut held = Vec::new();
            loop {
                let reply = mailbox.recv().await;
                if process.incarnation() > 0 {
                    reply.send(process.incarnation());
                    continue;
                }
                held.push(reply);
                return release.recv().await;
            }
        }
    })
}

/// Calls as `first` is held by its callee and `second` waits behind it, when that then ends with `exit`.
async fn both(restart: Restart, exit: Exit) -> [Result<u64, CallError>; 2] {
    let at = SupervisorRef::new();
    let sup = at.clone();
    let (addr, calls) = mailbox();
    let (release, released) = mailbox();
    let spec = holder("it", &calls, &released).restart(restart);
    let system = start(ChildSpec::supervisor_at("top", sup, move || one_for_one(vec![spec.clone()])));
    let mut first = Box::pin(addr.call(LONG, |reply| reply));
    let mut second = Box::pin(addr.call(LONG, |reply| reply));
    assert!((&mut first).now_or_never().is_none());
    until(|| addr.is_empty()).await;
    assert!((&mut second).now_or_never().is_none());
    release.cast(exit).unwrap();
    let answers = [first.await, second.await];
    drop(calls);
    system.stop(LONG).await;
    answers
}

#[test]
fn a_call_ends_with_its_callee_unless_the_next_incarnation_can_answer() {
    let bug = || Err(ExitReason::error("a bug"));
    for (restart, exit, second) in [
        (Restart::Permanent, bug(), Ok(1)),
        (Restart::Permanent, Ok(()), Ok(1)),
        (Restart::Transient, bug(), Ok(1)),
        (Restart::Transient, Ok(()), Err(CallError::Down)),
        (Restart::Temporary, bug(), Err(CallError::Down)),
    ] {
        let answers = wait(both(restart, exit.clone()));
        assert_eq!(answers, [Err(CallError::Down), second], "{restart:?} {exit:?}");
    }
}

#[test]
fn a_call_to_a_process_that_has_ended_fails_at_once_and_sends_nothing() {
    let at = SupervisorRef::new();
    let sup = at.clone();
    let (addr, mailbox) = mailbox();
    let spec = echo("it", &mailbox);
    let system = start(ChildSpec::supervisor_at("top", sup, move || one_for_one(vec![spec.clone()])));
    wait(async {
        let (first, _) = who(&addr).await;
        at.terminate_child("it").await.unwrap();
        assert_eq!(addr.call(LONG, Ask::Who).now_or_never(), Some(Err(CallError::Down)));
        assert!(addr.is_empty());
        at.restart_child("it").await.unwrap();
        // It has not read yet, so nothing is known of it but that it runs.
        let (second, _) = who(&addr).await;
        assert!(second > first);
        system.stop(LONG).await;
        assert_eq!(addr.call(LONG, Ask::Who).now_or_never(), Some(Err(CallError::Down)));
    });
}

#[test]
fn a_call_waits_for_a_process_that_backs_off_and_not_for_a_supervisor_that_gave_up() {
    let (addr, mailbox) = mailbox();
    let backoff = Backoff { first: Duration::from_millis(100), jitter: 0.0, ..Backoff::default() };
    let spec = echo("it", &mailbox).backoff(backoff);
    let system = start(ChildSpec::supervisor("top", move || SupervisorSpec {
        flags: Flags::one_for_one().intensity(0, Duration::from_secs(5)),
        children: vec![spec.clone()],
    }));
    wait(async {
        let (_, before) = who(&addr).await;
        assert_eq!(addr.call(LONG, Ask::Environment).await, Err(CallError::Down));
        let (_, after) = who(&addr).await;
        assert_eq!((before, after), (0, 1));
        let mut crash = Box::pin(addr.call(LONG, Ask::Crash));
        assert!((&mut crash).now_or_never().is_none());
        let behind = addr.call(LONG, Ask::Who);
        assert_eq!(futures::future::join(crash, behind).await, (Err(CallError::Down), Err(CallError::Down)));
        assert_eq!(system.wait().await, ExitReason::Shutdown);
    });
}

#[test]
fn a_call_to_many_readers_fails_when_the_last_has_ended() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (addr, mailbox) = mailbox();
        for id in ["a", "b", "c"] {
            at.start_child(echo(id, &mailbox).restart(Restart::Temporary)).await.unwrap();
        }
        for _ in 0..2 {
            who(&addr).await;
            assert_eq!(addr.call(LONG, Ask::Crash).await, Err(CallError::Down));
        }
        who(&addr).await;
        assert_eq!(addr.call(LONG, Ask::Crash).await, Err(CallError::Down));
        assert_eq!(addr.call(LONG, Ask::Who).await, Err(CallError::Down));
        drop(mailbox);
        system.stop(LONG).await;
    });
}
