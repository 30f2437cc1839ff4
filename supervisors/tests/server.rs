//! The generic server against what OTP's `gen_server` does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use supervisors::*;

/// What happened, in order.
type Diary = Arc<Mutex<Vec<String>>>;

#[derive(Debug)]
struct Clerk {
    diary: Diary,
    count: u32,
}

#[derive(Debug)]
enum Call {
    Count(Reply<u32>),
    /// Answered by the next cast.
    Later(Reply<u32>),
    Fail(#[expect(dead_code, reason = "dropped unanswered by the panic")] Reply<u32>),
}

#[derive(Debug)]
enum Cast {
    Add(u32),
    Continue,
    Idle(Duration),
    Stop(ExitReason),
    Answer,
}

impl Clerk {
    fn note(&self, line: impl Into<String>) {
        self.diary.lock().unwrap().push(line.into());
    }
}

static LATER: Mutex<Option<Reply<u32>>> = Mutex::new(None);

impl Server for Clerk {
    type Args = (Diary, &'static str);
    type Call = Call;
    type Cast = Cast;
    type Info = Down;
    type Continue = &'static str;

    async fn init((diary, how): Self::Args, me: &Me<Self>) -> Result<Init<Self>, ExitReason> {
        diary.lock().unwrap().push(format!("init {}", me.incarnation()));
        let clerk = Clerk { diary, count: 0 };
        match how {
            "ignore" => Ok(Init::Ignore),
            "fail" => Err(ExitReason::error("no desk")),
            "continue" => Ok(Init::Up(clerk, Next::Continue("the rest of init"))),
            _ => Ok(Init::Up(clerk, Next::Wait)),
        }
    }

    async fn handle_call(&mut self, call: Call, _me: &Me<Self>) -> Next<Self> {
        match call {
            Call::Count(reply) => drop(reply.send(self.count)),
            Call::Later(reply) => *LATER.lock().unwrap() = Some(reply),
            Call::Fail(_) => panic!("in a handler"),
        }
        Next::Wait
    }

    async fn handle_cast(&mut self, cast: Cast, _me: &Me<Self>) -> Next<Self> {
        match cast {
            Cast::Add(n) => self.count += n,
            Cast::Continue => return Next::Continue("as asked"),
            Cast::Idle(limit) => return Next::Timeout(limit),
            Cast::Stop(reason) => return Next::Stop(reason),
            Cast::Answer => drop(LATER.lock().unwrap().take().unwrap().send(7)),
        }
        Next::Wait
    }

    async fn handle_info(&mut self, down: Down, _me: &Me<Self>) -> Next<Self> {
        self.note(format!("down: {}", down.reason));
        Next::Wait
    }

    async fn handle_continue(&mut self, what: &'static str, _me: &Me<Self>) -> Next<Self> {
        self.note(format!("continue: {what}"));
        Next::Wait
    }

    async fn handle_timeout(&mut self, _me: &Me<Self>) -> Next<Self> {
        self.note("timeout");
        Next::Wait
    }

    async fn terminate(&mut self, reason: &ExitReason, _me: &Me<Self>) {
        self.note(format!("terminate: {}", kind(reason)));
    }
}

fn kind(reason: &ExitReason) -> String {
    match reason {
        ExitReason::Panic { message, .. } => format!("panic {message}"),
        other => other.to_string(),
    }
}

struct Office {
    clerk: ServerRef<Clerk>,
    diary: Diary,
    system: System,
}

fn open(how: &'static str, restart: Restart) -> Office {
    let diary = Diary::default();
    let (clerk, spec) = server::<Clerk>("clerk", (diary.clone(), how));
    let spec = spec.restart(restart);
    let system = start(ChildSpec::supervisor("office_sup", move || one_for_one(vec![spec.clone()])));
    Office { clerk, diary, system }
}

impl Office {
    async fn says(&self, last: &str) {
        until(|| self.diary.lock().unwrap().last().is_some_and(|line| line == last)).await;
    }

    async fn count(&self) -> Result<u32, CallError> {
        self.clerk.call(LONG, Call::Count).await
    }
}

#[test]
fn calls_are_answered_in_their_turn_after_the_casts_before_them() {
    let office = open("", Restart::Permanent);
    wait(async {
        for n in 1..=10 {
            office.clerk.cast(Cast::Add(n)).unwrap();
        }
        assert_eq!(office.count().await, Ok(55));
        office.system.stop(LONG).await;
        assert_eq!(*office.diary.lock().unwrap(), ["init 0", "terminate: shutdown"]);
    });
}

#[test]
fn a_call_may_be_answered_later_while_others_are_served() {
    let office = open("", Restart::Permanent);
    wait(async {
        let later = office.clerk.call(LONG, Call::Later);
        let others = async {
            until(|| LATER.lock().unwrap().is_some()).await;
            assert_eq!(office.count().await, Ok(0));
            office.clerk.cast(Cast::Answer).unwrap();
        };
        assert_eq!(futures::join!(later, others).0, Ok(7));
        office.system.stop(LONG).await;
    });
}

#[test]
fn a_panic_in_a_handler_tells_the_caller_terminates_and_restarts_with_a_new_state() {
    let office = open("", Restart::Permanent);
    wait(async {
        office.clerk.cast(Cast::Add(5)).unwrap();
        assert_eq!(office.count().await, Ok(5));
        let first = office.clerk.pid();
        assert_eq!(office.clerk.call(LONG, Call::Fail).await, Err(CallError::Down));
        // Sent to the address, it waits for the next incarnation.
        assert_eq!(office.count().await, Ok(0));
        assert_ne!(office.clerk.pid(), first);
        assert_eq!(*office.diary.lock().unwrap(), ["init 0", "terminate: panic in a handler", "init 1"]);
        office.system.stop(LONG).await;
    });
}

#[test]
fn it_stops_with_the_reason_that_a_handler_gives() {
    for (reason, ends) in [
        (ExitReason::Normal, "terminate: normal"),
        (ExitReason::ShutdownWith("done".into()), "terminate: shutdown: done"),
        (ExitReason::error("no ink"), "terminate: error: no ink"),
    ] {
        let office = open("", Restart::Temporary);
        wait(async {
            assert_eq!(office.count().await, Ok(0));
            let (addr, inbox) = mailbox();
            monitor(office.clerk.pid().unwrap(), &addr, |down| down);
            office.clerk.cast(Cast::Stop(reason.clone())).unwrap();
            assert_eq!(inbox.recv().await.reason, reason);
            office.says(ends).await;
            office.system.stop(LONG).await;
        });
    }
}

#[test]
fn it_continues_before_any_message_and_notices_when_nothing_comes() {
    let office = open("continue", Restart::Permanent);
    wait(async {
        office.clerk.cast(Cast::Continue).unwrap();
        assert_eq!(office.count().await, Ok(0));
        assert_eq!(*office.diary.lock().unwrap(), ["init 0", "continue: the rest of init", "continue: as asked"]);
        office.clerk.cast(Cast::Idle(Duration::from_millis(5))).unwrap();
        office.says("timeout").await;
        office.system.stop(LONG).await;
    });
}

#[test]
fn an_init_that_fails_is_a_failed_start_and_one_that_ignores_is_none() {
    let office = open("fail", Restart::Permanent);
    let failed = ExitReason::FailedToStartChild { id: "clerk".into(), reason: Box::new(ExitReason::error("no desk")) };
    wait(async { assert_eq!(office.system.wait().await, failed) });
    assert_eq!(*office.diary.lock().unwrap(), ["init 0"]);
    let office = open("ignore", Restart::Permanent);
    wait(async {
        until(|| office.system.snapshot().find("*/clerk").iter().any(|clerk| clerk.status == Status::Stopped)).await;
        office.system.stop(LONG).await;
    });
}

#[test]
fn a_kill_leaves_no_time_to_terminate() {
    let office = open("", Restart::Permanent);
    wait(async {
        assert_eq!(office.count().await, Ok(0));
        kill(office.clerk.pid().unwrap());
        office.says("init 1").await;
        assert_eq!(*office.diary.lock().unwrap(), ["init 0", "init 1"]);
        office.system.stop(LONG).await;
    });
}

#[test]
fn what_it_monitors_comes_as_an_info() {
    let office = open("", Restart::Permanent);
    wait(async {
        let other = start(sleeper("other"));
        monitor(other.root(), office.clerk.addr(), Message::Info);
        other.stop(LONG).await;
        office.says("down: shutdown").await;
        office.system.stop(LONG).await;
    });
}
