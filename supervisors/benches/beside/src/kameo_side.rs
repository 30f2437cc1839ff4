//! kameo: supervision with policies, limits and strategies, on tokio.

use crate::Count;
use kameo::{
    actor::{Actor, ActorRef, Spawn},
    error::Infallible,
    mailbox,
    message::{Context, Message},
    supervision::RestartPolicy,
};
use std::time::Duration;

struct Top;

impl Actor for Top {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

/// It stays: a supervised actor that kills itself in `on_start` was seen to block its supervisor.
#[derive(Clone)]
struct Short;

impl Actor for Short {
    type Args = Count;
    type Error = Infallible;

    async fn on_start(count: Count, _: ActorRef<Self>) -> Result<Self, Infallible> {
        count.down();
        Ok(Self)
    }
}

struct Start(Count);

impl Message<Start> for Top {
    type Reply = ();

    async fn handle(&mut self, Start(count): Start, ctx: &mut Context<Self, ()>) {
        Short::supervise(ctx.actor_ref(), count).restart_policy(RestartPolicy::Never).spawn().await;
    }
}

pub fn spawn(count: &Count, n: u64) {
    let top = Top::spawn_with_mailbox((), mailbox::unbounded());
    for _ in 0..n {
        top.tell(Start(count.clone())).try_send().unwrap();
    }
    // It would end with the last reference to it.
    std::mem::forget(top);
}

#[derive(Clone)]
struct Again(Count);

struct Fail;

impl Actor for Again {
    type Args = Count;
    type Error = Infallible;

    async fn on_start(count: Count, myself: ActorRef<Self>) -> Result<Self, Infallible> {
        myself.tell(Fail).try_send().unwrap();
        Ok(Self(count))
    }
}

impl Message<Fail> for Again {
    type Reply = Result<(), &'static str>;

    async fn handle(&mut self, _: Fail, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        match self.0.down() {
            1 => Ok(()),
            _ => Err("again"),
        }
    }
}

struct Restart(Count);

impl Message<Restart> for Top {
    type Reply = ();

    async fn handle(&mut self, Restart(count): Restart, ctx: &mut Context<Self, ()>) {
        let child = Again::supervise(ctx.actor_ref(), count);
        child.restart_limit(u32::MAX, Duration::from_secs(3600)).spawn().await;
    }
}

pub fn restarts(count: &Count) {
    let top = Top::spawn_with_mailbox((), mailbox::unbounded());
    top.tell(Restart(count.clone())).try_send().unwrap();
    // It would end with the last reference to it.
    std::mem::forget(top);
}

struct Counts;

impl Actor for Counts {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl Message<Count> for Counts {
    type Reply = ();

    async fn handle(&mut self, count: Count, _: &mut Context<Self, ()>) {
        count.down();
    }
}

pub struct Echo(ActorRef<Counts>);

impl Echo {
    pub fn start() -> Self {
        Self(Counts::spawn_with_mailbox((), mailbox::unbounded()))
    }

    pub fn cast(&self, count: &Count) {
        self.0.tell(count.clone()).try_send().unwrap();
    }
}
