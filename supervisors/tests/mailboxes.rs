//! Mailboxes by themselves: no process runs here.

mod common;
use common::*;
use futures::{FutureExt, StreamExt, stream::FusedStream};
use std::time::Duration;
use supervisors::*;

#[test]
fn messages_come_in_the_order_sent_by_every_way_of_reading() {
    let (addr, mailbox) = mailbox();
    for n in 0..6 {
        addr.cast(n).unwrap();
    }
    assert_eq!((addr.len(), mailbox.len(), addr.high_water()), (6, 6, 6));
    let mut stream = mailbox.stream();
    wait(async {
        assert_eq!(mailbox.recv().await, 0);
        assert_eq!(stream.next().await, Some(1));
        assert_eq!(mailbox.try_recv(), Some(2));
        assert_eq!(mailbox.clone().recv().await, 3);
    });
    mailbox.drain();
    assert_eq!((addr.len(), addr.high_water(), mailbox.try_recv()), (0, 6, None));
    assert!(!stream.is_terminated());
}

#[test]
fn a_full_mailbox_gives_the_message_back_or_makes_the_sender_wait() {
    let (addr, mailbox) = bounded_mailbox(1);
    addr.cast("first").unwrap();
    assert_eq!(addr.cast("second"), Err(CastError::Full("second")));
    let call = addr.call(LONG, |_: Reply<()>| "call");
    assert_eq!(wait(call), Err(CallError::Full));
    let mut waiting = Box::pin(addr.cast_wait("second"));
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!(mailbox.try_recv(), Some("first"));
    wait(waiting).unwrap();
    assert_eq!((mailbox.try_recv(), addr.len()), (Some("second"), 0));
}

#[test]
fn a_mailbox_that_nobody_will_read_is_closed_and_its_callers_hear_it() {
    let (addr, mailbox) = mailbox();
    let spare = mailbox.clone();
    let mut call = Box::pin(addr.call(LONG, |reply: Reply<()>| Some(reply)));
    assert!((&mut call).now_or_never().is_none());
    drop(mailbox);
    assert!((&mut call).now_or_never().is_none(), "the child spec still holds one");
    drop(spare);
    assert_eq!(wait(call), Err(CallError::Down));
    assert!(matches!(addr.cast(None), Err(CastError::Closed(None))));
    assert!(matches!(wait(addr.cast_wait(None)), Err(CastError::Closed(None))));
    assert!(matches!(addr.cast_blocking(None), Err(CastError::Closed(None))));
}

#[test]
fn a_call_that_is_not_answered_in_time_says_so_and_the_late_answer_is_refused() {
    let (addr, mailbox) = mailbox();
    let call = addr.call(Duration::from_millis(5), |reply: Reply<u8>| reply);
    assert_eq!(wait(call), Err(CallError::Timeout));
    assert!(!mailbox.try_recv().unwrap().send(1));
}

#[test]
fn reading_never_ends_even_when_no_address_is_left() {
    let (addr, mailbox) = mailbox::<u8>();
    drop(addr);
    assert_eq!(mailbox.recv().now_or_never(), None);
    let mut stream = mailbox.stream();
    assert_eq!(stream.next().now_or_never(), None);
    drop(mailbox);
    assert_eq!(stream.next().now_or_never(), None);
}

#[test]
fn dropping_a_reader_that_was_about_to_read_loses_nothing() {
    let (addr, mailbox) = mailbox();
    let mut first = Box::pin(mailbox.recv());
    assert!((&mut first).now_or_never().is_none());
    let mut second = Box::pin(mailbox.recv());
    assert!((&mut second).now_or_never().is_none());
    addr.cast("message").unwrap();
    drop(first);
    assert_eq!(wait(second), "message");
}

#[test]
fn a_reader_among_others_in_one_task_is_woken() {
    let (addrs, mailboxes): (Vec<_>, Vec<_>) = (0..50).map(|_| mailbox::<usize>()).unzip();
    let reader = std::thread::spawn(move || {
        let all = mailboxes.iter().map(|mailbox| mailbox.recv());
        wait(futures::future::join_all(all))
    });
    for (n, addr) in addrs.iter().enumerate() {
        addr.cast(n).unwrap();
    }
    assert_eq!(reader.join().unwrap(), (0..50).collect::<Vec<_>>());
}

#[test]
fn addresses_are_the_same_when_they_lead_to_the_same_mailbox() {
    let (addr, _mailbox) = mailbox::<u8>();
    let (other, _other) = mailbox::<u8>();
    assert!(addr.same(&addr.clone()));
    assert!(!addr.same(&other));
}
