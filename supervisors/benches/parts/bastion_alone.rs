//! The same with bastion 0.4.5 alone, as its documentation says.

use crate::lives::Count;
use bastion::prelude::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const BURST: u64 = 1000;

fn top() -> SupervisorRef {
    Bastion::init();
    Bastion::start();
    let always = RestartStrategy::default()
        .with_restart_policy(RestartPolicy::Always)
        .with_actor_restart_strategy(ActorRestartStrategy::Immediate);
    let top = Bastion::supervisor(|top| top.with_restart_strategy(always));
    top.unwrap_or_else(|()| panic!("bastion makes no supervisor"))
}

/// A group for every process: bastion has no other way to start one at run time.
pub(crate) fn spawn(iterations: u64) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..iterations {
        let (top, polled) = (top(), Count::to(BURST));
        let begin = Instant::now();
        for _ in 0..BURST {
            let polled = polled.clone();
            top.children(|group| {
                group.with_exec(move |_: BastionContext| {
                    let polled = polled.clone();
                    async move {
                        polled.down();
                        Ok(())
                    }
                })
            })
            .ok();
        }
        polled.wait();
        took += begin.elapsed();
    }
    took
}

pub(crate) fn restarts(n: u64) -> Duration {
    let (top, done) = (top(), Count::to(n + 1));
    let left = Arc::new(AtomicU64::new(n + 1));
    let begin = Instant::now();
    let counted = done.clone();
    top.children(|group| {
        group.with_exec(move |_: BastionContext| {
            let (done, left) = (counted.clone(), left.clone());
            async move {
                let more = left.fetch_sub(1, Ordering::AcqRel) > 1;
                done.down();
                if more { Err(()) } else { std::future::pending().await }
            }
        })
    })
    .ok();
    done.wait();
    begin.elapsed()
}

#[derive(Debug)]
struct Tell(Count);

impl std::fmt::Debug for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Count")
    }
}

pub(crate) struct Echo(ChildRef);

impl Echo {
    pub(crate) fn start() -> Self {
        let group = top().children(|group| {
            group.with_exec(|ctx: BastionContext| async move {
                loop {
                    MessageHandler::new(ctx.recv().await?).on_tell(|tell: Tell, _| tell.0.down()).on_question(
                        |n: u64, sender| {
                            sender.reply(n).ok();
                        },
                    );
                }
            })
        });
        let child = group.ok().and_then(|group| group.elems().first().cloned());
        Self(child.unwrap_or_else(|| panic!("bastion makes no child")))
    }

    pub(crate) fn tell(&self, count: Count) {
        self.0.tell_anonymously(Tell(count)).ok();
    }

    pub(crate) async fn ask(&self) -> u64 {
        let Ok(answer) = self.0.ask_anonymously(7u64) else { return 0 };
        let Ok(answer) = answer.await else { return 0 };
        MessageHandler::new(answer).on_tell(|n: u64, _| n).on_fallback(|_, _| 0)
    }
}
