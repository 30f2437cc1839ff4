//! Lesson 7, intensity and escalation: when starting again does not help.
//!
//! A supervisor may restart so often in so much time. One more, and it gives up: it ends its children, then itself, and now *its*
//! supervisor has a child to restart. So a fault that does not go away climbs, level by level, until somebody restarts enough
//! to cure it, or the program ends.
//!
//! `cargo run -p supervisors --example intensity_and_escalation`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use supervisors::{Addr, ChildSpec, EventKind, Exit, ExitReason, Flags, Mailbox, Reply, SupervisorSpec, mailbox};

const FIVE_SECONDS: Duration = Duration::from_secs(5);

/// Reads the price from a file, once. The first time, somebody is just writing that file.
async fn prices(file: Arc<AtomicU32>, mailbox: Mailbox<Reply<u32>>) -> Exit {
    let price = 7 * file.fetch_add(1, Ordering::SeqCst).min(1);
    loop {
        mailbox.recv().await.send(price);
    }
}

/// Sells, at the price that `prices` knows.
async fn till(prices: Addr<Reply<u32>>) -> Exit {
    let price = prices.call(FIVE_SECONDS, |reply| reply).await.map_err(ExitReason::error)?;
    assert!(price > 0, "nothing costs {price}");
    std::future::pending().await
}

/// prices and till; two restarts in five seconds.
fn counter() -> ChildSpec {
    let file = Arc::new(AtomicU32::new(0));
    ChildSpec::supervisor("counter_sup", move || {
        let (addr, inbox) = mailbox();
        let file = file.clone();
        SupervisorSpec {
            flags: Flags::one_for_one().intensity(2, FIVE_SECONDS),
            children: vec![
                ChildSpec::worker("prices", move |_| prices(file.clone(), inbox.clone())),
                ChildSpec::worker("till", move |_| till(addr.clone())),
            ],
        }
    })
}

/// A bug that is there every time.
fn bomb() -> ChildSpec {
    ChildSpec::supervisor("bomb_sup", || SupervisorSpec {
        flags: Flags::one_for_one().intensity(2, FIVE_SECONDS),
        children: vec![ChildSpec::worker("bomb", |_| async { panic!("always") })],
    })
}

/// One restart in five seconds, whatever is below.
fn shop(below: fn() -> ChildSpec) -> ChildSpec {
    let child = below();
    ChildSpec::supervisor("shop_sup", move || SupervisorSpec {
        flags: Flags::one_for_one().intensity(1, FIVE_SECONDS),
        children: vec![child.clone()],
    })
}

fn main() {
    async_std::task::block_on(async {
        title("Intensity and escalation");
        say("The till reads a price from prices, and prices read a torn file: nothing costs 0. Starting the\n\
             till again does not help, because what is wrong is not in the till.");
        let system = supervisors::start(shop(counter));
        let story = Story::of(&system);
        // One time more than its two restarts, and then by the next counter_sup.
        let mut tills = 0;
        while tills < 4 {
            story.until(|event| event.path.ends_with("/till") && event.kind == EventKind::Started).await;
            tills += 1;
        }
        say("Two restarts are allowed, the third crash was one too many. counter_sup ended all it had, and\n\
             shop_sup started all of it again: now prices read the file once more, and it is whole.");
        tree(&system);
        say("One restart of its own is all that shop_sup has spent. The lesson: each level up restarts more,\n\
             and so it throws away more of what may be wrong.");
        within_limit(system.stop(FIVE_SECONDS)).await;

        say("And a bug that nobody can restart away? bomb_sup allows 2 restarts, shop_sup 1:");
        let system = supervisors::start(shop(bomb));
        let story = Story::of(&system);
        story.to_the_end().await;
        line("the whole tree", format_args!("ended: {}", system.wait().await));
        say("Six crashes: (2 + 1) x (1 + 1). Intensities multiply from level to level, so small numbers are\n\
             enough. Who started the tree now ends the program, and whoever runs programs starts it again.");
    });
}
