//! Lesson 10, shutdown order: the youngest goes first, and each has its own way of going.
//!
//! Who traps exits is asked, and may finish what it has begun, within its time. Who does not is dropped where it waits. Who takes
//! too long is killed, and who is marked `brutal_kill` is not asked at all. What the others stand on ends last.
//!
//! `cargo run -p supervisors --example shutdown_order`

mod common;

use common::{Story, line, say, title, within_limit};
use std::{future::pending, time::Duration};
use supervisors::{ChildSpec, ExitReason, Flags, Shutdown, SupervisorSpec};

fn children() -> Vec<ChildSpec> {
    let never = || |_| pending();
    let polite = |id: &str| {
        ChildSpec::worker(id, |process| async move {
            process.shutdown_requested().await;
            // Here a file would be closed, or a server told that nobody comes any more.
            Ok(())
        })
    };
    vec![
        polite("database").trap_exit(),
        ChildSpec::worker("clock", never()),
        ChildSpec::worker("gambler", never()).trap_exit().shutdown(Shutdown::BrutalKill),
        ChildSpec::worker("sleeper", never()).trap_exit().shutdown(Shutdown::Timeout(Duration::from_millis(100))),
        ChildSpec::supervisor("shop_sup", move || SupervisorSpec {
            flags: Flags::one_for_one(),
            children: vec![polite("till").trap_exit(), polite("door").trap_exit()],
        }),
    ]
}

fn main() {
    async_std::task::block_on(async {
        let top = || SupervisorSpec { flags: Flags::one_for_one(), children: children() };
        let system = supervisors::start(ChildSpec::supervisor("top_sup", top));
        let story = Story::of(&system);

        title("Shutdown order");
        say("Started from the first to the last; a supervisor is up when its children are.");
        story.until_started("door", 1).await;
        say("And ended from the last to the first.");
        let reason: ExitReason = within_limit(system.stop(Duration::from_secs(10))).await;
        story.to_the_end().await;
        say("door and till   were asked, and ended by themselves; only then their supervisor did.\n\
             sleeper         was asked, took longer than its 100 ms, and was killed.\n\
             gambler         is marked brutal_kill: killed without being asked.\n\
             clock           does not trap exits: dropped where it waited, at once.\n\
             database        outlived all who might have needed it, and had time to close its files.");
        line("the whole tree", format_args!("ended: {reason}"));
    });
}
