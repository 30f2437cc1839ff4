//! Looking into a server while it runs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use std::convert::Infallible;
use supervisors::{sys::SysError, *};

#[derive(Debug, Clone, serde::Serialize)]
struct Counter {
    count: u32,
}

impl Server for Counter {
    type Args = u32;
    type Call = Reply<u32>;
    type Cast = u32;
    type Info = Infallible;
    type Continue = Infallible;

    async fn init(count: u32, _me: &Me<Self>) -> Result<Init<Self>, ExitReason> {
        Ok(Init::Up(Counter { count }, Next::Wait))
    }

    async fn handle_call(&mut self, reply: Reply<u32>, _me: &Me<Self>) -> Next<Self> {
        reply.send(self.count);
        Next::Wait
    }

    async fn handle_cast(&mut self, n: u32, _me: &Me<Self>) -> Next<Self> {
        self.count += n;
        Next::Wait
    }

    fn to_json(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self).ok()
    }
}

fn counter() -> (ServerRef<Counter>, System) {
    let (counter, spec) = server::<Counter>("counter", 3);
    (counter, start(ChildSpec::supervisor("top", move || one_for_one(vec![spec.clone(), sleeper("plain")]))))
}

#[test]
fn the_state_is_seen_as_text_and_json_and_can_be_replaced() {
    let (counter, system) = counter();
    wait(async {
        assert_eq!(counter.call(LONG, |reply| reply).await, Ok(3));
        let pid = counter.pid().unwrap();
        assert_eq!(sys::get_state(pid, LONG).await.unwrap(), "Counter { count: 3 }");
        assert_eq!(sys::get_state_json(pid, LONG).await.unwrap(), serde_json::json!({ "count": 3 }));
        sys::replace_state(pid, LONG, |counter: &mut Counter| counter.count = 40).await.unwrap();
        assert_eq!(counter.call(LONG, |reply| reply).await, Ok(40));
        assert_eq!(sys::replace_state(pid, LONG, |_: &mut String| ()).await, Err(SysError::OtherType));
        system.stop(LONG).await;
    });
}

#[test]
fn suspended_it_holds_still_and_is_shown_so_and_forgets_nothing() {
    let (counter, system) = counter();
    wait(async {
        assert_eq!(counter.call(LONG, |reply| reply).await, Ok(3));
        let pid = counter.pid().unwrap();
        sys::suspend(pid, LONG).await.unwrap();
        counter.cast(1).unwrap();
        assert_eq!(system.snapshot().find("*/counter")[0].status, Status::Suspended);
        assert_eq!(sys::get_state(pid, LONG).await.unwrap(), "Counter { count: 3 }");
        assert_eq!(counter.addr().len(), 1);
        sys::resume(pid, LONG).await.unwrap();
        assert_eq!(counter.call(LONG, |reply| reply).await, Ok(4));
        // A suspended one still ends when it is told to.
        sys::suspend(pid, LONG).await.unwrap();
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
    });
}

#[test]
fn messages_are_counted_and_the_last_ones_kept_on_demand() {
    let (counter, system) = counter();
    wait(async {
        assert_eq!(counter.call(LONG, |reply| reply).await, Ok(3));
        let pid = counter.pid().unwrap();
        assert_eq!(sys::get_log(pid, LONG).await.unwrap(), [] as [String; 0]);
        sys::log(pid, LONG, 2).await.unwrap();
        (1..=3).for_each(|n| counter.cast(n).unwrap());
        assert_eq!(counter.call(LONG, |reply| reply).await, Ok(9));
        let kept = sys::get_log(pid, LONG).await.unwrap();
        assert_eq!(kept[0], "cast 3");
        assert!(kept[1].starts_with("call Reply("), "{kept:?}");
        assert_eq!(sys::statistics(pid, LONG).await.unwrap().messages_in, 5);
        system.stop(LONG).await;
    });
}

#[test]
fn who_cannot_be_looked_into_is_said_so_at_once() {
    let (counter, system) = counter();
    wait(async {
        assert_eq!(counter.call(LONG, |reply| reply).await, Ok(3));
        let plain = || system.snapshot().find("*/plain").first().and_then(|plain| plain.pid);
        until(|| plain().is_some()).await;
        let plain = plain().unwrap();
        assert_eq!(sys::get_state(plain, LONG).await, Err(SysError::NotGeneric));
        let pid = counter.pid().unwrap();
        system.stop(LONG).await;
        assert_eq!(sys::get_state(pid, LONG).await, Err(SysError::NoProc));
    });
}
