//! Lesson 1, let it crash: the code says what to do when all is well, and nothing about the rest.
//!
//! A till that divides bills. It does not check what it is asked, and so it dies of a bill for nobody. Who asked hears
//! of it, and the next customer is served by a new till, at the same address.
//!
//! `cargo run -p supervisors --example let_it_crash`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::time::Duration;
use supervisors::{Addr, ChildSpec, Exit, Flags, Mailbox, Reply, SupervisorSpec, mailbox};

const SECOND: Duration = Duration::from_secs(1);

enum Msg {
    /// From a customer: how much does each of `guests` pay?
    Share { bill: u32, guests: u32, reply: Reply<u32> },
}

/// All there is to say about dividing bills. No checks, no error codes, no `if`.
async fn till(mailbox: Mailbox<Msg>) -> Exit {
    loop {
        let Msg::Share { bill, guests, reply } = mailbox.recv().await;
        reply.send(bill / guests);
    }
}

async fn ask(till: &Addr<Msg>, bill: u32, guests: u32) {
    let answer = till.call(SECOND, |reply| Msg::Share { bill, guests, reply }).await;
    let answer = answer.map_or_else(|error| error.to_string(), |share| share.to_string());
    line("customer", format_args!("{bill} for {guests} guests: {answer}"));
}

fn main() {
    async_std::task::block_on(async {
        let (addr, mailbox) = mailbox();
        let system = supervisors::start(ChildSpec::supervisor("shop_sup", move || {
            let mailbox = mailbox.clone();
            SupervisorSpec {
                flags: Flags::one_for_one().intensity(3, Duration::from_secs(5)),
                children: vec![ChildSpec::worker("till", move |_| till(mailbox.clone()))],
            }
        }));
        let story = Story::of(&system);

        title("Let it crash");
        say("A supervisor starts a till. The till divides bills, and checks nothing.");
        story.until_started("till", 1).await;
        say("Most customers are no trouble. Then comes one who has no guests.");
        ask(&addr, 90, 3).await;
        ask(&addr, 90, 0).await;
        story.until_started("till", 2).await;
        say("The till died over it, its customer was told at once, and a new till stands where the old\n\
             one stood. Nothing of the old one is left, so nothing of it can be wrong.");
        ask(&addr, 80, 4).await;
        tree(&system);
        say("Closing time.");
        within_limit(system.stop(SECOND)).await;
        story.to_the_end().await;
    });
}
