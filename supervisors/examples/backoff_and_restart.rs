//! Lesson 11, back-off against restart: a refused connection is not a bug.
//!
//! OTP counts every abnormal exit. A process that talks to the world fails for reasons that no restart cures and no programmer has
//! to hear of, and a bad hour of the network would take the tree down. Our one addition to OTP: an exit with reason
//! `environment` is followed by a pause that grows, and is not counted.
//!
//! `cargo run -p supervisors --example backoff_and_restart`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use supervisors::{Backoff, ChildSpec, ExitReason, Flags, SupervisorSpec};

const SECOND: Duration = Duration::from_secs(1);

/// 10 ms, 20 ms, 40 ms, ... and never more than 40; in earnest, seconds, and with some jitter.
fn pause(millis: u64) -> Backoff {
    let first = Duration::from_millis(millis);
    Backoff { first, cap: 4 * first, jitter: 0.0, reset_after: Duration::from_secs(60) }
}

/// Connects, after `failures` failures; `blame` says whose fault each of them was.
fn link(failures: u32, blame: fn(&'static str) -> ExitReason) -> ChildSpec {
    let tries = Arc::new(AtomicU32::new(0));
    let link = ChildSpec::worker("link", move |_| {
        let tries = tries.clone();
        async move {
            if tries.fetch_add(1, Ordering::SeqCst) < failures {
                return Err(blame("connection refused"));
            }
            pending().await
        }
    });
    link.backoff(pause(10))
}

/// At most one restart in five seconds.
fn supervisor(id: &str, child: ChildSpec) -> ChildSpec {
    ChildSpec::supervisor(id, move || SupervisorSpec {
        flags: Flags::one_for_one().intensity(1, Duration::from_secs(5)),
        children: vec![child.clone()],
    })
}

fn main() {
    async_std::task::block_on(async {
        title("Back-off against restart");
        say("A link to a server that refuses four times. Its supervisor allows one restart in five seconds.\n\
             The link says whose fault it was: ExitReason::environment.");
        let system = supervisors::start(supervisor("net_sup", link(4, ExitReason::environment)));
        let story = Story::of(&system);
        story.until_started("link", 5).await;
        tree(&system);
        say("Four failures, and 0 of 1 of the budget are spent. The same again, but the link calls it an error of\n\
             its own, ExitReason::error, as a bug would be:");
        within_limit(system.stop(SECOND)).await;

        let system = supervisors::start(supervisor("net_sup", link(4, ExitReason::error)));
        Story::of(&system).to_the_end().await;
        line("the whole tree", format_args!("ended: {}", system.wait().await));
        say("The second crash was one too many. For a bug that is right: somebody must hear of it.\n\
             The same pause can stand one level up. A supervisor child with a back-off, when it gives up, is\n\
             parked for a while, and its own supervisor does not count it:");

        let parked = || supervisor("net_sup", link(2, ExitReason::error)).backoff(pause(30));
        let system = supervisors::start(supervisor("top_sup", parked()));
        let story = Story::of(&system);
        story.until_started("net_sup", 2).await;
        story.until_started("link", 1).await;
        tree(&system);
        within_limit(system.stop(SECOND)).await;
    });
}
