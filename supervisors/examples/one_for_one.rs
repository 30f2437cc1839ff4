//! Lesson 2, one_for_one: a crash costs the process that crashed, and nobody else.
//!
//! Three clerks who know nothing of each other. One meets a form that he cannot bear. The others do not notice, and the forms
//! that wait on his desk wait for who comes after him.
//!
//! `cargo run -p supervisors --example one_for_one`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::time::Duration;
use supervisors::{Addr, ChildSpec, Exit, Flags, Mailbox, Process, Reply, SupervisorSpec, mailbox};

const SECOND: Duration = Duration::from_secs(1);

enum Msg {
    /// From anyone: half of an even number, and which form of this clerk's life it was.
    Halve { number: u32, reply: Reply<(u32, u32)> },
}

async fn clerk(process: Process, mailbox: Mailbox<Msg>) -> Exit {
    process.shows(&mailbox);
    let mut forms = 0;
    loop {
        let Msg::Halve { number, reply } = mailbox.recv().await;
        assert!(number % 2 == 0, "{number} is odd");
        forms += 1;
        reply.send((number / 2, forms));
    }
}

async fn ask(name: &str, clerk: &Addr<Msg>, number: u32) {
    match clerk.call(SECOND, |reply| Msg::Halve { number, reply }).await {
        Ok((half, forms)) => line(name, format_args!("half of {number} is {half}; form {forms} of my life")),
        Err(error) => line(name, format_args!("half of {number}: {error}")),
    }
}

fn main() {
    async_std::task::block_on(async {
        let (addrs, mailboxes): (Vec<_>, Vec<_>) = (0..3).map(|_| mailbox()).unzip();
        let system = supervisors::start(ChildSpec::supervisor("office_sup", move || {
            let clerk = |(id, mailbox): (&str, &Mailbox<Msg>)| {
                let mailbox = mailbox.clone();
                ChildSpec::worker(id, move |process| clerk(process, mailbox.clone()))
            };
            SupervisorSpec {
                flags: Flags::one_for_one().intensity(3, Duration::from_secs(5)),
                children: ["alice", "bob", "carol"].into_iter().zip(&mailboxes).map(clerk).collect(),
            }
        }));
        let story = Story::of(&system);

        title("one_for_one");
        say("Three clerks, started one after the other. They halve numbers.");
        story.until_started("carol", 1).await;
        say("Each has served once when bob gets an odd number, with another form right behind it.");
        for (name, addr) in ["alice", "bob", "carol"].into_iter().zip(&addrs) {
            ask(name, addr, 8).await;
        }
        let (odd, behind) = (ask("bob", &addrs[1], 7), ask("bob", &addrs[1], 6));
        futures::future::join(odd, behind).await;
        story.until_started("bob", 2).await;
        say("The odd form is lost with the clerk who held it. The one behind it was answered by the next\n\
             bob, whose life begins at form 1. Alice and carol go on with theirs.");
        ask("alice", &addrs[0], 4).await;
        ask("carol", &addrs[2], 4).await;
        tree(&system);
        say("They go home in reverse order.");
        within_limit(system.stop(SECOND)).await;
        story.to_the_end().await;
    });
}
