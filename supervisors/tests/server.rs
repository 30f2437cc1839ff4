//! Generic servers: each return value of `gen_server`'s callbacks, and when `terminate` is called.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
use common::*;
use std::time::Duration;
use supervisors::*;

/// Does what it is told, and writes it down.
struct Puppet {
    diary: Diary,
    kept: Vec<Reply<&'static str>>,
    poisoned: bool,
}

impl Puppet {
    fn answer(&mut self, text: &'static str) {
        for from in self.kept.drain(..) {
            from.send(text);
        }
    }
}

impl std::fmt::Debug for Puppet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Puppet({} kept)", self.kept.len())
    }
}

#[derive(Clone)]
struct Args {
    diary: Diary,
    first: First,
}

#[derive(Clone, Copy)]
enum First {
    Wait,
    Continue,
    Timeout,
    Ignore,
    Fail,
    Panic,
}

#[derive(Debug)]
enum Call {
    Reply(Reply<&'static str>),
    Keep(Reply<&'static str>),
    Continue(Reply<&'static str>),
    Timeout(Reply<&'static str>),
    Stop(Reply<&'static str>),
    StopAndPanic(Reply<&'static str>),
    Error(Reply<&'static str>),
    Panic(Reply<&'static str>),
    PanicLater(Reply<&'static str>),
    Drop(Reply<&'static str>),
}

#[derive(Debug)]
enum Cast {
    Note(&'static str),
    AnswerKept,
    Stop(ExitReason),
}

impl Server for Puppet {
    type Args = Args;
    type Call = Call;
    type Cast = Cast;
    type Info = Down;
    type Continue = &'static str;

    async fn init(args: Args, server: &ServerProcess<Self>) -> Result<Init<Self>, ExitReason> {
        let Args { diary, first } = args;
        diary.write(format!("init{}", server.incarnation()));
        let init = Init::new(Self { diary, kept: Vec::new(), poisoned: false });
        match first {
            First::Wait => Ok(init),
            First::Continue => Ok(init.then("first")),
            First::Timeout => Ok(init.timeout(Duration::from_millis(1))),
            First::Ignore => Ok(Init::ignore()),
            First::Fail => Err(ExitReason::error("no")),
            First::Panic => panic!("in init"),
        }
    }

    async fn handle_call(&mut self, call: Call, server: &ServerProcess<Self>) -> Verdict<Self> {
        match call {
            Call::Reply(from) => Ok(Next::reply(from, "now")),
            Call::Keep(from) => {
                self.kept.push(from);
                Ok(Next::noreply())
            }
            Call::Continue(from) => {
                server.addr().cast(Cast::Note("queued")).map_err(ExitReason::error)?;
                self.kept.push(from);
                Ok(Next::noreply().then("work"))
            }
            Call::Timeout(from) => {
                self.kept.push(from);
                Ok(Next::noreply().timeout(Duration::ZERO))
            }
            Call::Stop(from) => Ok(Next::stop(ExitReason::Normal).and_reply(from, "last")),
            Call::StopAndPanic(from) => {
                self.poisoned = true;
                Ok(Next::stop(ExitReason::Normal).and_reply(from, "still"))
            }
            Call::Error(_from) => Err(ExitReason::error("on purpose")),
            Call::Panic(_from) => panic!("at once"),
            Call::PanicLater(_from) => {
                async_std::task::yield_now().await;
                panic!("later")
            }
            Call::Drop(_from) => Ok(Next::noreply()),
        }
    }

    async fn handle_cast(&mut self, cast: Cast, _: &ServerProcess<Self>) -> Verdict<Self> {
        match cast {
            Cast::Note(note) => self.diary.write(note),
            Cast::AnswerKept => self.answer("kept"),
            Cast::Stop(reason) => return Ok(Next::stop(reason)),
        }
        Ok(Next::noreply())
    }

    async fn handle_info(&mut self, down: Down, _: &ServerProcess<Self>) -> Verdict<Self> {
        self.diary.write(format!("down:{}", down.reason));
        Ok(Next::noreply())
    }

    async fn handle_continue(&mut self, work: &'static str, _: &ServerProcess<Self>) -> Verdict<Self> {
        self.diary.write(format!("continue:{work}"));
        self.answer("continued");
        Ok(Next::noreply())
    }

    async fn handle_timeout(&mut self, _: &ServerProcess<Self>) -> Verdict<Self> {
        self.diary.write("timeout");
        self.answer("timed out");
        Ok(Next::noreply())
    }

    async fn terminate(self, reason: &ExitReason, _: &ServerProcess<Self>) {
        assert!(!self.poisoned, "poisoned");
        let reason = match reason {
            ExitReason::Panic { message, .. } => format!("panic:{message}"),
            reason => reason.to_string(),
        };
        self.diary.write(format!("terminate:{reason}"));
    }
}

struct Stage {
    system: System,
    puppet: ServerAddr<Puppet>,
    diary: Diary,
}

fn stage(first: First, restart: Restart) -> Stage {
    let (puppet, mailbox) = Puppet::mailbox();
    let diary = Diary::default();
    let args = Args { diary: diary.clone(), first };
    let system = start(ChildSpec::supervisor("top_sup", move || {
        one_for_one(vec![sleeper("next"), Puppet::child_spec("puppet", &mailbox, args.clone()).restart(restart)])
    }));
    Stage { system, puppet, diary }
}

impl Stage {
    async fn call(&self, call: impl FnOnce(Reply<&'static str>) -> Call) -> Result<&'static str, CallError> {
        self.puppet.call(LONG, call).await
    }

    async fn end(self) -> String {
        self.system.stop(LONG).await;
        self.diary.read()
    }
}

#[test]
fn a_call_is_answered_at_once_or_later_or_by_the_work_it_left() {
    wait(async {
        let stage = stage(First::Wait, Restart::Permanent);
        assert_eq!(stage.call(Call::Reply).await, Ok("now"));
        let late = stage.call(Call::Keep);
        let answer = async { stage.puppet.cast(Cast::AnswerKept) };
        assert_eq!(futures::join!(late, answer).0, Ok("kept"));
        assert_eq!(stage.call(Call::Continue).await, Ok("continued"));
        assert_eq!(stage.call(Call::Timeout).await, Ok("timed out"));
        assert_eq!(stage.call(Call::Drop).await, Err(CallError::Down));
        assert_eq!(stage.end().await, "init0 continue:work queued timeout terminate:shutdown");
    });
}

#[test]
fn a_timeout_of_zero_comes_after_the_messages_that_wait_and_any_message_ends_it() {
    wait(async {
        let stage = stage(First::Timeout, Restart::Permanent);
        until(|| stage.diary.lines() == 2).await;
        assert_eq!(stage.diary.read(), "init0 timeout");
        let pid = pid_of(&stage.system, "top_sup/puppet");
        sys::suspend(pid, LONG).await.unwrap();
        let late = stage.call(Call::Timeout);
        let messages = async {
            stage.puppet.cast(Cast::Note("ends it")).unwrap();
            stage.puppet.cast(Cast::AnswerKept).unwrap();
            sys::resume(pid, LONG).await.unwrap();
        };
        assert_eq!(futures::join!(late, messages).0, Ok("kept"));
        assert_eq!(stage.end().await, "ends it terminate:shutdown");
    });
}

#[test]
fn init_may_leave_work_that_the_supervisor_does_not_wait_for() {
    wait(async {
        let stage = stage(First::Continue, Restart::Permanent);
        stage.puppet.cast(Cast::Note("message")).unwrap();
        assert_eq!(stage.call(Call::Reply).await, Ok("now"));
        assert_eq!(stage.end().await, "init0 continue:first message terminate:shutdown");
    });
}

#[test]
fn every_end_is_told_to_terminate_with_its_reason() {
    type Ask = fn(Reply<&'static str>) -> Call;
    let table: [(Ask, Result<&str, CallError>, &str); 4] = [
        (Call::Stop, Ok("last"), "terminate:normal"),
        (Call::Error, Err(CallError::Down), "terminate:error: on purpose"),
        (Call::Panic, Err(CallError::Down), "terminate:panic:at once"),
        (Call::PanicLater, Err(CallError::Down), "terminate:panic:later"),
    ];
    for (ask, answer, terminate) in table {
        wait(async {
            let stage = stage(First::Wait, Restart::Permanent);
            assert_eq!(stage.call(ask).await, answer);
            assert_eq!(stage.call(Call::Reply).await, Ok("now"), "the address survives the restart");
            assert!(stage.diary.read().ends_with(&format!("{terminate} init1")));
            stage.system.stop(LONG).await;
        });
    }
}

#[test]
fn the_supervisor_hears_the_reason_of_a_stop() {
    for reason in [ExitReason::Normal, ExitReason::Shutdown, ExitReason::error("x"), ExitReason::environment("y")] {
        wait(async {
            let stage = stage(First::Wait, Restart::Temporary);
            assert_eq!(stage.call(Call::Reply).await, Ok("now"));
            let pid = pid_of(&stage.system, "top_sup/puppet");
            let (addr, mailbox) = mailbox();
            monitor(pid, &addr, |down| down);
            stage.puppet.cast(Cast::Stop(reason.clone())).unwrap();
            assert_eq!(mailbox.recv().await, Down { pid, reason });
            stage.system.stop(LONG).await;
        });
    }
}

#[test]
fn a_panic_in_terminate_is_the_exit_and_the_caller_is_answered_before() {
    wait(async {
        let stage = stage(First::Wait, Restart::Temporary);
        assert_eq!(stage.call(Call::Reply).await, Ok("now"));
        let pid = pid_of(&stage.system, "top_sup/puppet");
        let (addr, mailbox) = mailbox();
        monitor(pid, &addr, |down| down);
        assert_eq!(stage.call(Call::StopAndPanic).await, Ok("still"));
        let reason = mailbox.recv().await.reason;
        assert!(matches!(&reason, ExitReason::Panic { message, .. } if message == "poisoned"), "{reason}");
        stage.system.stop(LONG).await;
    });
}

#[test]
fn an_init_that_fails_is_a_failed_start_and_one_that_ignores_is_a_child_without_a_process() {
    wait(async {
        let sup = SupervisorRef::new();
        let at = sup.clone();
        let system = start(ChildSpec::supervisor_at("top_sup", at, || one_for_one(vec![])));
        let try_start = async |first| {
            let (_, mailbox) = Puppet::mailbox();
            let diary = Diary::default();
            let args = Args { diary: diary.clone(), first };
            let started = sup.start_child(Puppet::child_spec("puppet", &mailbox, args)).await;
            (started.map(drop), diary.read())
        };
        let (failed, diary) = try_start(First::Fail).await;
        assert_eq!((failed, &*diary), (Err(StartError::Failed(ExitReason::error("no"))), "init0"));
        let (panicked, diary) = try_start(First::Panic).await;
        assert!(matches!(panicked, Err(StartError::Failed(ExitReason::Panic { .. }))));
        assert_eq!(diary, "init0", "nothing to terminate");
        assert_eq!(try_start(First::Ignore).await.0, Err(StartError::Ignored));
        system.stop(LONG).await;
    });
}

#[test]
fn a_kill_is_not_told_to_terminate() {
    wait(async {
        let stage = stage(First::Wait, Restart::Permanent);
        assert_eq!(stage.call(Call::Reply).await, Ok("now"));
        let pid = pid_of(&stage.system, "top_sup/puppet");
        kill(pid);
        until(|| stage.diary.lines() == 2).await;
        assert_eq!(stage.diary.read(), "init0 init1");
        stage.system.stop(LONG).await;
    });
}

#[test]
fn a_monitor_tells_a_server_as_an_info() {
    wait(async {
        let stage = stage(First::Wait, Restart::Permanent);
        assert_eq!(stage.call(Call::Reply).await, Ok("now"));
        let next = pid_of(&stage.system, "top_sup/next");
        monitor(next, stage.puppet.addr(), Message::Info);
        kill(next);
        until(|| stage.diary.lines() == 2).await;
        assert_eq!(stage.end().await, "init0 down:killed terminate:shutdown");
    });
}

#[test]
fn an_exit_signal_ends_a_server_after_terminate_and_normal_does_not() {
    wait(async {
        let stage = stage(First::Wait, Restart::Permanent);
        assert_eq!(stage.call(Call::Reply).await, Ok("now"));
        exit(pid_of(&stage.system, "top_sup/puppet"), ExitReason::Normal);
        assert_eq!(stage.call(Call::Reply).await, Ok("now"));
        let next = pid_of(&stage.system, "top_sup/next");
        link(pid_of(&stage.system, "top_sup/puppet"), next);
        exit(next, ExitReason::error("gone"));
        until(|| stage.diary.lines() == 3).await;
        assert_eq!(stage.end().await, "init0 terminate:error: gone init1 terminate:shutdown");
    });
}
