//! Lesson 8, the error kernel: what must not be lost does nothing dangerous.
//!
//! Two ways to add up numbers that strangers wrote. In the first, one process reads them and keeps the sum; when it dies of a word,
//! the sum dies with it. In the second, a ledger keeps the sum and does nothing else, and a reader does the dangerous part. The
//! reader dies; the ledger does not even know.
//!
//! `cargo run -p supervisors --example error_kernel`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::time::Duration;
use supervisors::{Addr, ChildSpec, Exit, ExitReason, Flags, Mailbox, Reply, SupervisorSpec, System, mailbox};

const SECOND: Duration = Duration::from_secs(1);
const INPUT: [&str; 4] = ["12", "30", "many", "8"];

enum Msg {
    /// From a stranger: a number, one hopes.
    Add(&'static str),
    /// From us: how much is it?
    Sum(Reply<u32>),
}

/// From the reader: to be trusted.
enum Entry {
    Add(u32),
    Sum(Reply<u32>),
}

#[allow(clippy::expect_used)]
fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

/// Reads and keeps.
async fn all_in_one(mailbox: Mailbox<Msg>) -> Exit {
    let mut sum = 0;
    loop {
        match mailbox.recv().await {
            Msg::Add(text) => sum += number(text),
            Msg::Sum(reply) => drop(reply.send(sum)),
        }
    }
}

/// Only reads.
async fn reader(mailbox: Mailbox<Msg>, ledger: Addr<Entry>) -> Exit {
    loop {
        let entry = match mailbox.recv().await {
            Msg::Add(text) => Entry::Add(number(text)),
            Msg::Sum(reply) => Entry::Sum(reply),
        };
        ledger.cast(entry).map_err(ExitReason::error)?;
    }
}

/// Only keeps: there is nothing in here that can go wrong.
async fn ledger(mailbox: Mailbox<Entry>) -> Exit {
    let mut sum = 0;
    loop {
        match mailbox.recv().await {
            Entry::Add(number) => sum += number,
            Entry::Sum(reply) => drop(reply.send(sum)),
        }
    }
}

/// What is kept comes first: the others stand on it.
fn start(children: impl Fn() -> Vec<ChildSpec> + Send + Sync + 'static) -> System {
    supervisors::start(ChildSpec::supervisor("sum_sup", move || SupervisorSpec {
        flags: Flags::rest_for_one().intensity(3, Duration::from_secs(5)),
        children: children(),
    }))
}

fn send(addr: &Addr<Msg>) {
    for text in INPUT {
        addr.cast(Msg::Add(text)).ok();
    }
}

async fn ask(addr: &Addr<Msg>) {
    match within_limit(addr.call(SECOND, Msg::Sum)).await {
        Ok(sum) => line("sum", sum),
        Err(error) => line("sum", error),
    }
}

fn main() {
    async_std::task::block_on(async {
        title("The error kernel");
        say(&format!("Strangers send {INPUT:?}; the sum of what can be read is 50.\nOne process does it all:"));
        let (addr, inbox) = mailbox();
        let system = start(move || {
            let inbox = inbox.clone();
            vec![ChildSpec::worker("all_in_one", move |_| all_in_one(inbox.clone()))]
        });
        let story = Story::of(&system);
        send(&addr);
        story.until_started("all_in_one", 2).await;
        ask(&addr).await;
        say("It is alive and well, and has forgotten 42. Now the work is divided: a ledger that only keeps, and\n\
             a reader that only reads.");
        within_limit(system.stop(SECOND)).await;

        let ((addr, inbox), (to_ledger, entries)) = (mailbox(), mailbox());
        let system = start(move || {
            let (inbox, entries, to_ledger) = (inbox.clone(), entries.clone(), to_ledger.clone());
            vec![
                ChildSpec::worker("ledger", move |_| ledger(entries.clone())),
                ChildSpec::worker("reader", move |_| reader(inbox.clone(), to_ledger.clone())),
            ]
        });
        let story = Story::of(&system);
        send(&addr);
        story.until_started("reader", 2).await;
        ask(&addr).await;
        tree(&system);
        say("The part that must be right is small, and stands first in the tree. Everything above it may die as\n\
             often as it likes.");
        within_limit(system.stop(SECOND)).await;
    });
}
