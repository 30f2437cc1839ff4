//! Lesson 14, bastion's own strategies beside ours: why this crate uses bastion as an engine and not as a supervisor.
//!
//! Everything here is done twice, once with bastion 0.4.5 alone and once with this crate, and what was seen goes into a
//! table. bastion runs every process of this crate; what it does not do as OTP does is done above it.
//!
//! `cargo run -p supervisors --example bastion_strategies`

mod common;

use bastion::prelude::{
    ActorRestartStrategy, Bastion, BastionContext, RestartPolicy, RestartStrategy, SupervisionStrategy,
};
use common::{put, say, title, within_limit};
use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use supervisors::{Addr, CallError, ChildSpec, ExitReason, Flags, Reply, SupervisorSpec, System, kill, mailbox};

const SECOND: Duration = Duration::from_secs(1);
const CRASHES: usize = 5;
const ENOUGH: usize = 1000;

/// Counts the copies of a process that are alive, and how many ever were.
#[derive(Clone, Default)]
struct Copies {
    alive: Arc<AtomicUsize>,
    started: Arc<AtomicUsize>,
}

struct Alive(Copies);

impl Copies {
    fn enter(&self) -> Alive {
        self.started.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        Alive(self.clone())
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    async fn wait_for(&self, started: usize) {
        until(|| self.started.load(Ordering::SeqCst) >= started).await;
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn until(condition: impl Fn() -> bool) {
    within_limit(async {
        while !condition() {
            async_std::task::yield_now().await;
        }
    })
    .await;
}

fn always() -> RestartStrategy {
    RestartStrategy::default()
        .with_restart_policy(RestartPolicy::Always)
        .with_actor_restart_strategy(ActorRestartStrategy::Immediate)
}

/// bastion: one child crashes whenever it is told to, the other does nothing. How many of the other live after five crashes.
/// `started`: how many of those are started in all.
#[allow(clippy::expect_used)]
async fn copies_with_bastion(strategy: SupervisionStrategy, started: usize) -> usize {
    let (crasher, sibling) = (Copies::default(), Copies::default());
    let (crash, told) = flume::unbounded::<()>();
    let (crashes, siblings) = (crasher.clone(), sibling.clone());
    let made = Bastion::supervisor(move |top| {
        let top = top.with_strategy(strategy).with_restart_strategy(always());
        let top = top.children(move |group| {
            group.with_exec(move |_: BastionContext| {
                let (crashes, told) = (crashes.clone(), told.clone());
                async move {
                    let _alive = crashes.enter();
                    told.recv_async().await.ok();
                    Err(())
                }
            })
        });
        top.children(move |group| {
            group.with_exec(move |_: BastionContext| {
                let siblings = siblings.clone();
                async move {
                    let _alive = siblings.enter();
                    std::future::pending().await
                }
            })
        })
    });
    made.expect("a supervisor");
    sibling.wait_for(1).await;
    for n in 1..=CRASHES {
        crasher.wait_for(n).await;
        crash.send(()).ok();
        crasher.wait_for(n + 1).await;
        sibling.wait_for(started.min(n + 1)).await;
    }
    sibling.alive()
}

/// The same with this crate.
async fn copies_with_ours(flags: Flags, started: usize) -> usize {
    let (crasher, sibling) = (Copies::default(), Copies::default());
    let (crash, told) = flume::unbounded::<()>();
    let (crashes, siblings) = (crasher.clone(), sibling.clone());
    let system = supervisors::start(ChildSpec::supervisor("top_sup", move || {
        let (crashes, told, siblings) = (crashes.clone(), told.clone(), siblings.clone());
        SupervisorSpec {
            flags: flags.intensity(100, SECOND),
            children: vec![
                ChildSpec::worker("crasher", move |_| {
                    let (crashes, told) = (crashes.clone(), told.clone());
                    async move {
                        let _alive = crashes.enter();
                        told.recv_async().await.ok();
                        Err(ExitReason::error("told to"))
                    }
                }),
                ChildSpec::worker("sibling", move |_| {
                    let siblings = siblings.clone();
                    async move {
                        let _alive = siblings.enter();
                        std::future::pending().await
                    }
                }),
            ],
        }
    }));
    sibling.wait_for(1).await;
    for n in 1..=CRASHES {
        crasher.wait_for(n).await;
        crash.send(()).ok();
        crasher.wait_for(n + 1).await;
        sibling.wait_for(started.min(n + 1)).await;
    }
    let alive = sibling.alive();
    within_limit(system.stop(SECOND)).await;
    alive
}

/// What an address is good for after a crash, and what becomes of a process that is killed.
#[allow(clippy::expect_used)]
async fn address_and_kill_with_bastion() -> (&'static str, &'static str) {
    let (child, witness) = (Copies::default(), Copies::default());
    let top = Bastion::supervisor(|top| top.with_restart_strategy(always())).expect("a supervisor");
    let group = |copies: &Copies| {
        let copies = copies.clone();
        let made = top.children(|group| {
            group.with_exec(move |ctx: BastionContext| {
                let copies = copies.clone();
                async move {
                    let _alive = copies.enter();
                    ctx.recv().await?;
                    Err(())
                }
            })
        });
        made.expect("a group").elems().first().cloned().expect("a child")
    };
    let (first, other) = (group(&child), group(&witness));
    child.wait_for(1).await;
    witness.wait_for(1).await;
    first.tell_anonymously(()).ok();
    child.wait_for(2).await;
    let address = if first.tell_anonymously(()).is_ok() { "still right" } else { "dead for ever" };

    // The supervisor deals with one thing after the other: when the crash is undone, the kill before it has been seen.
    let killed = group(&child);
    child.wait_for(3).await;
    killed.kill().ok();
    until(|| child.alive() == 1).await;
    other.tell_anonymously(()).ok();
    witness.wait_for(2).await;
    let killed = if child.alive() == 1 { "not started again" } else { "started again" };
    (address, killed)
}

/// A child that fails as soon as it is started: how often it is started again.
#[allow(clippy::expect_used)]
async fn patience_of_bastion() -> String {
    let copies = Copies::default();
    let inner = copies.clone();
    let top = Bastion::supervisor(|top| top.with_restart_strategy(always())).expect("a supervisor");
    let made = top.children(|group| {
        group.with_exec(move |_: BastionContext| {
            let copies = inner.clone();
            async move {
                let alive = copies.enter();
                if copies.started.load(Ordering::SeqCst) <= ENOUGH {
                    return Err(());
                }
                // We have seen enough.
                std::mem::forget(alive);
                std::future::pending().await
            }
        })
    });
    made.expect("a group");
    copies.wait_for(ENOUGH + 1).await;
    format!("{ENOUGH} and more")
}

async fn patience_of_ours() -> String {
    let copies = Copies::default();
    let inner = copies.clone();
    let system = supervisors::start(ChildSpec::supervisor("top_sup", move || {
        let copies = inner.clone();
        let child = ChildSpec::worker("child", move |_| {
            let _alive = copies.enter();
            async { Err(ExitReason::error("at once")) }
        });
        SupervisorSpec { flags: Flags::one_for_one(), children: vec![child] }
    }));
    within_limit(system.wait()).await;
    let restarts = copies.started.load(Ordering::SeqCst) - 1;
    format!("{restarts}, then it gives up")
}

enum Msg {
    Crash,
    Who(Reply<supervisors::Pid>),
}

fn answering() -> (System, Addr<Msg>) {
    let (addr, inbox) = mailbox();
    let system = supervisors::start(ChildSpec::supervisor("top_sup", move || {
        let inbox = inbox.clone();
        let child = ChildSpec::worker("child", move |process| {
            let inbox = inbox.clone();
            async move {
                loop {
                    match inbox.recv().await {
                        Msg::Crash => panic!("told to"),
                        Msg::Who(reply) => drop(reply.send(process.pid())),
                    }
                }
            }
        });
        SupervisorSpec { flags: Flags::one_for_one().intensity(3, SECOND), children: vec![child] }
    }));
    (system, addr)
}

async fn address_and_kill_with_ours() -> Result<(&'static str, &'static str), CallError> {
    let (system, addr) = answering();
    addr.cast(Msg::Crash).ok();
    let pid = addr.call(SECOND, Msg::Who).await?;
    kill(pid);
    until(|| system.snapshot().restarts() == 2).await;
    let killed = if addr.call(SECOND, Msg::Who).await? == pid { "not started again" } else { "started again" };
    within_limit(system.stop(SECOND)).await;
    Ok(("still right", killed))
}

fn main() {
    async_std::task::block_on(async {
        title("bastion's own strategies beside ours");
        let row = |what: &str, bastion: &dyn Display, ours: &dyn Display| {
            put(&format!("    {what:<30}{:<20}{ours}", bastion.to_string()));
        };
        let (all, rest, one) =
            (SupervisionStrategy::OneForAll, SupervisionStrategy::RestForOne, SupervisionStrategy::OneForOne);
        // It starts bastion as well.
        let patience = patience_of_ours().await;
        let (address, killed) = address_and_kill_with_ours().await.unwrap_or(("dead for ever", "dead for ever"));

        say("Two processes under one supervisor; one crashes five times. How many copies of the *other* are there?");
        row("", &"bastion", &"ours");
        row("one_for_one", &copies_with_bastion(one, 1).await, &copies_with_ours(Flags::one_for_one(), 1).await);
        row(
            "rest_for_one",
            &copies_with_bastion(rest, CRASHES + 1).await,
            &copies_with_ours(Flags::rest_for_one(), CRASHES + 1).await,
        );
        row(
            "one_for_all",
            &copies_with_bastion(all, CRASHES + 1).await,
            &copies_with_ours(Flags::one_for_all(), CRASHES + 1).await,
        );
        say("bastion starts the siblings again and never ends the old ones: they live on beside the new ones,\n\
             and all read one mailbox. Only its one_for_one does what the name says, and only that is used here.");

        let (theirs, dead) = address_and_kill_with_bastion().await;
        row("", &"bastion", &"ours");
        row("an address, after a crash", &theirs, &address);
        row("a child that is killed", &dead, &killed);
        row("restarts without end", &patience_of_bastion().await, &patience);
        say("What bastion is good at is the rest: each process of this crate is a process of bastion, made,\n\
             isolated, run and made anew by it.");
    });
}
