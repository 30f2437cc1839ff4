//! `sys` on generic servers: their state, their messages, and holding them still.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
use common::*;
use futures::{FutureExt, join};
use serde::Serialize;
use std::time::Duration;
use supervisors::{sys::SysError, *};

#[derive(Debug, Serialize)]
struct Counter {
    count: u32,
    #[serde(skip)]
    gate: Mailbox<()>,
}

#[derive(Debug)]
enum Call {
    Count(Reply<u32>),
    /// Answers when the gate lets it through.
    Wait(Reply<()>),
    Crash(Reply<()>),
}

impl Server for Counter {
    type Args = (u32, Mailbox<()>);
    type Call = Call;
    type Cast = u32;
    type Info = ();
    type Continue = ();

    async fn init((count, gate): Self::Args, _: &ServerProcess<Self>) -> Result<Init<Self>, ExitReason> {
        Ok(Self { count, gate }.into())
    }

    async fn handle_call(&mut self, call: Call, _: &ServerProcess<Self>) -> Verdict<Self> {
        match call {
            Call::Count(from) => Ok(Next::reply(from, self.count)),
            Call::Wait(from) => {
                self.gate.recv().await;
                Ok(Next::reply(from, ()))
            }
            Call::Crash(_from) => panic!("asked to crash"),
        }
    }

    async fn handle_cast(&mut self, more: u32, _: &ServerProcess<Self>) -> Verdict<Self> {
        self.count += more;
        Ok(Next::noreply())
    }

    fn state_json(&self) -> Option<String> {
        (self.count < 1000).then(|| sys::json(self)).flatten()
    }
}

struct Stage {
    system: System,
    counter: ServerAddr<Counter>,
    gate: Addr<()>,
    pid: Pid,
}

async fn stage() -> Stage {
    let (counter, mailbox) = Counter::mailbox();
    let (gate, behind) = supervisors::mailbox();
    let system = start(ChildSpec::supervisor("top_sup", move || {
        one_for_one(vec![sleeper("plain"), Counter::child_spec("counter", &mailbox, (0, behind.clone()))])
    }));
    assert_eq!(counter.call(LONG, Call::Count).await, Ok(0));
    let pid = pid_of(&system, "top_sup/counter");
    let stage = Stage { system, counter, gate, pid };
    until(|| status(&stage) == Status::Running).await;
    stage
}

fn status(stage: &Stage) -> Status {
    stage.system.snapshot().find("top_sup/counter")[0].status.clone()
}

#[test]
fn the_state_is_the_one_after_the_messages_that_were_sent_before() {
    wait(async {
        let stage = stage().await;
        for n in 1..=100 {
            stage.counter.cast(1).unwrap();
            let state = sys::get_state(stage.pid, LONG).await.unwrap();
            assert!(state.starts_with(&format!("Counter {{ count: {n},")), "{state}");
        }
        assert_eq!(sys::get_state_json(stage.pid, LONG).await.as_deref(), Ok(r#"{"count":100}"#));
        stage.counter.cast(900).unwrap();
        assert_eq!(sys::get_state_json(stage.pid, LONG).await, Err(SysError::NoJson));
        stage.system.stop(LONG).await;
    });
}

#[test]
fn the_state_can_be_replaced_by_whoever_knows_its_type() {
    wait(async {
        let stage = stage().await;
        let double = |counter: &mut Counter| {
            counter.count = 42;
            "was replaced"
        };
        assert_eq!(sys::replace_state(stage.pid, LONG, double).await, Ok("was replaced"));
        assert_eq!(stage.counter.call(LONG, Call::Count).await, Ok(42));
        let wrong = sys::replace_state(stage.pid, LONG, |_: &mut String| ()).await;
        assert_eq!(wrong, Err(SysError::OtherState));
        let panics = sys::replace_state(stage.pid, LONG, |_: &mut Counter| panic!("no")).await;
        assert!(matches!(panics, Err::<(), _>(SysError::CallbackFailed(text)) if text.contains("no")));
        assert_eq!(stage.counter.call(LONG, Call::Count).await, Ok(42), "it lives");
        stage.system.stop(LONG).await;
    });
}

#[test]
fn a_suspended_server_handles_nothing_but_sys_and_says_so_in_the_snapshot() {
    wait(async {
        let stage = stage().await;
        assert_eq!(status(&stage), Status::Running);
        sys::suspend(stage.pid, LONG).await.unwrap();
        assert_eq!(status(&stage), Status::Suspended);
        stage.counter.cast(5).unwrap();
        let mut call = Box::pin(stage.counter.call(LONG, Call::Count));
        assert!((&mut call).now_or_never().is_none());
        let state = sys::get_state(stage.pid, LONG).await.unwrap();
        assert!(state.starts_with("Counter { count: 0,"), "{state}");
        assert_eq!(stage.counter.addr().len(), 2, "they wait");
        sys::resume(stage.pid, LONG).await.unwrap();
        assert_eq!((call.await, status(&stage)), (Ok(5), Status::Running));
        stage.system.stop(LONG).await;
    });
}

#[test]
fn a_suspended_server_still_ends_when_it_is_told_to() {
    wait(async {
        let stage = stage().await;
        sys::suspend(stage.pid, LONG).await.unwrap();
        assert_eq!(stage.system.stop(LONG).await, ExitReason::Shutdown);
        assert_eq!(sys::resume(stage.pid, LONG).await, Err(SysError::NoProc));
    });
}

#[test]
fn a_server_that_is_restarted_is_not_suspended() {
    wait(async {
        let stage = stage().await;
        sys::suspend(stage.pid, LONG).await.unwrap();
        kill(stage.pid);
        assert_eq!(stage.counter.call(LONG, Call::Count).await, Ok(0));
        until(|| status(&stage) == Status::Running).await;
        stage.system.stop(LONG).await;
    });
}

#[test]
fn the_last_messages_are_kept_and_everything_is_counted() {
    wait(async {
        let stage = stage().await;
        sys::keep_log(stage.pid, 2, LONG).await.unwrap();
        sys::trace(stage.pid, true, LONG).await.unwrap();
        for n in 1..=3 {
            stage.counter.cast(n).unwrap();
        }
        stage.counter.info(()).unwrap();
        let log = sys::log(stage.pid, LONG).await.unwrap();
        let lines: Vec<_> = log.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["cast 3", "info ()"]);
        sys::keep_log(stage.pid, 0, LONG).await.unwrap();
        assert_eq!(sys::log(stage.pid, LONG).await, Ok(vec![]));
        let statistics = sys::statistics(stage.pid, LONG).await.unwrap();
        let sys::Statistics { calls, casts, infos, replies, .. } = statistics;
        assert_eq!((calls, casts, infos, replies, statistics.messages_in()), (1, 3, 1, 1, 5));
        stage.system.stop(LONG).await;
    });
}

#[test]
fn each_reason_for_no_answer_has_a_name() {
    wait(async {
        let stage = stage().await;
        let plain = pid_of(&stage.system, "top_sup/plain");
        assert_eq!(sys::get_state(plain, LONG).await, Err(SysError::NotAServer));
        assert_eq!(sys::get_state(stage.system.root(), LONG).await, Err(SysError::NotAServer));

        let busy = stage.counter.call(LONG, Call::Wait);
        let asked = async {
            let answer = sys::get_state(stage.pid, Duration::from_millis(1)).await;
            stage.gate.cast(()).unwrap();
            answer
        };
        assert_eq!(join!(busy, asked), (Ok(()), Err(SysError::Timeout)));

        let crash = stage.counter.call(LONG, Call::Crash);
        let asked = sys::get_state(stage.pid, LONG);
        assert_eq!(join!(crash, asked), (Err(CallError::Down), Err(SysError::NoProc)));
        assert_eq!(sys::suspend(stage.pid, LONG).await, Err(SysError::NoProc));
        stage.system.stop(LONG).await;
    });
}
