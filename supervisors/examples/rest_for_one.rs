//! Lesson 3, rest_for_one: start order is dependency order.
//!
//! A cook needs a stove, a waiter needs a cook. When the cook is replaced, the waiter, who has his orders from the old one, is
//! ended first and started after him; the stove does not care who cooks.
//!
//! `cargo run -p supervisors --example rest_for_one`

mod common;

use common::{Story, pid, say, title, tree, within_limit};
use std::{future::pending, time::Duration};
use supervisors::{ChildSpec, Flags, SupervisorSpec, inject_panic};

/// `awaits_init`: the next one is started when this one has said that it is ready, and not before.
fn part(id: &str) -> ChildSpec {
    let spec = ChildSpec::worker(id, |process| async move {
        process.ready();
        pending().await
    });
    spec.awaits_init()
}

fn main() {
    async_std::task::block_on(async {
        let system = supervisors::start(ChildSpec::supervisor("kitchen_sup", || SupervisorSpec {
            flags: Flags::rest_for_one().intensity(3, Duration::from_secs(60)),
            children: vec![part("stove"), part("cook"), part("waiter")],
        }));
        let story = Story::of(&system);

        title("rest_for_one");
        say("A waiter needs a cook, a cook needs a stove. So they are started in this order:");
        story.until_started("waiter", 1).await;
        say("The cook drops dead. Whoever was started after him is ended too, then both come back.");
        inject_panic(pid(&system, "kitchen_sup/cook"), "too much salt");
        story.until_started("waiter", 2).await;
        say("The stove was not touched. If the waiter falls, nobody else is:");
        inject_panic(pid(&system, "kitchen_sup/waiter"), "a wet floor");
        story.until_started("waiter", 3).await;
        say("And if the stove explodes, nothing above it can stay; the last one goes first.");
        inject_panic(pid(&system, "kitchen_sup/stove"), "gas");
        story.until_started("waiter", 4).await;
        say("Three crashes, and three restarts counted: it is the crash that counts, not how many had\n\
             to be started again because of it.");
        tree(&system);
        within_limit(system.stop(Duration::from_secs(1))).await;
    });
}
