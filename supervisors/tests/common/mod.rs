//! What the live tests share: well- and ill-behaved children, and waiting with a limit.
#![allow(dead_code)]

use std::{future::Future, time::Duration};
use supervisors::*;

/// Longer than anything here takes; reached only by a failure.
pub const LONG: Duration = Duration::from_secs(20);

/// Runs `test` here, within [`LONG`].
pub fn wait<T>(test: impl Future<Output = T>) -> T {
    let limited = async_std::future::timeout(LONG, test);
    async_std::task::block_on(limited).expect("the test took too long")
}

/// Polls `condition` until it holds: for what has no event.
pub async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        async_std::task::sleep(Duration::from_millis(1)).await;
    }
}

pub enum Ask {
    Who(Reply<(Pid, u64)>),
    Crash(Reply<()>),
    Fail(Reply<()>),
    Finish(Reply<()>),
    Environment(Reply<()>),
}

/// Answers; ends in every way it is asked to.
pub fn echo(id: &str, mailbox: &Mailbox<Ask>) -> ChildSpec {
    let mailbox = mailbox.clone();
    ChildSpec::worker(id, move |process| {
        let mailbox = mailbox.clone();
        async move {
            process.shows(&mailbox);
            loop {
                match mailbox.recv().await {
                    Ask::Who(reply) => drop(reply.send((process.pid(), process.incarnation()))),
                    Ask::Crash(_) => panic!("asked to crash"),
                    Ask::Fail(_) => return Err(ExitReason::error("asked to fail")),
                    Ask::Finish(_) => return Ok(()),
                    Ask::Environment(_) => return Err(ExitReason::environment("reset")),
                }
            }
        }
    })
}

pub async fn who(addr: &Addr<Ask>) -> (Pid, u64) {
    addr.call(LONG, Ask::Who).await.expect("an answer")
}

/// Panics at once, for ever.
pub fn crasher(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |_| async { panic!("at once") })
}

/// Waits for ever.
pub fn sleeper(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |_| std::future::pending())
}

pub fn one_for_one(children: Vec<ChildSpec>) -> SupervisorSpec {
    let flags = Flags::one_for_one().intensity(3, Duration::from_secs(60));
    SupervisorSpec { flags, children }
}

pub fn rest_for_one(children: Vec<ChildSpec>) -> SupervisorSpec {
    let flags = Flags::rest_for_one().intensity(3, Duration::from_secs(60));
    SupervisorSpec { flags, children }
}
