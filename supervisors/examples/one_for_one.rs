//! one_for_one: a crash costs the process that crashed, and nobody else.
//!
//! Three connections; one meets a message that it cannot bear. Its siblings do not notice, its address stays right, and the
//! messages behind the bad one are still handled.
//!
//! `cargo run -p supervisors --example one_for_one`

use std::time::Duration;
use supervisors::{Addr, ChildSpec, Flags, Mailbox, Reply, SupervisorSpec, mailbox};

enum Msg {
    /// From anyone: half of an even number.
    Halve { number: u32, reply: Reply<u32> },
}

fn connection(id: &str, mailbox: &Mailbox<Msg>) -> ChildSpec {
    let mailbox = mailbox.clone();
    ChildSpec::worker(id, move |process| {
        let mailbox = mailbox.clone();
        async move {
            process.shows(&mailbox);
            loop {
                let Msg::Halve { number, reply } = mailbox.recv().await;
                assert!(number.is_multiple_of(2), "{number} is odd, and nobody thought of that");
                reply.send(number / 2);
            }
        }
    })
}

async fn ask(addr: &Addr<Msg>, number: u32) {
    let answer = addr.call(Duration::from_secs(1), |reply| Msg::Halve { number, reply }).await;
    match answer {
        Ok(half) => println!("  half of {number} is {half}"),
        Err(error) => println!("  half of {number}: {error}"),
    }
}

fn main() {
    let (addrs, mailboxes): (Vec<_>, Vec<_>) = (0..3).map(|_| mailbox()).unzip();
    let system = supervisors::start(ChildSpec::supervisor("connections_sup", move || SupervisorSpec {
        flags: Flags::one_for_one().intensity(3, Duration::from_secs(5)),
        children: mailboxes.iter().zip(["alice", "bob", "carol"]).map(|(m, id)| connection(id, m)).collect(),
    }));
    async_std::task::block_on(async {
        for number in [8, 7, 6] {
            ask(&addrs[1], number).await;
        }
        println!("\n{}\n", system.snapshot());
        let reason = system.stop(Duration::from_secs(5)).await;
        println!("connections_sup ended: {reason}");
    });
}
