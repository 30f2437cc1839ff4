//! Lesson 5, simple_one_for_one: many of a kind, one for each who asks.
//!
//! A hotel for guests whom nobody knows beforehand. None is there when it opens; each comes when somebody asks for it, is forgotten
//! when it has left, and all of them leave side by side when the hotel closes.
//!
//! `cargo run -p supervisors --example simple_one_for_one`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::time::Duration;
use supervisors::{Addr, ChildSpec, Exit, Flags, Mailbox, Restart, SupervisorRef, SupervisorSpec, mailbox};

const SECOND: Duration = Duration::from_secs(1);

enum Msg {
    Leave,
    SlipInTheBath,
}

async fn guest(mailbox: Mailbox<Msg>) -> Exit {
    match mailbox.recv().await {
        Msg::Leave => Ok(()),
        Msg::SlipInTheBath => panic!("a wet floor"),
    }
}

/// How every guest is started; only the name differs. Transient: who left of his own will is not fetched back.
fn guest_spec(name: &str, mailbox: Mailbox<Msg>) -> ChildSpec {
    ChildSpec::worker(name, move |_| guest(mailbox.clone())).restart(Restart::Transient)
}

async fn arrive(hotel: &SupervisorRef, name: &str) -> Addr<Msg> {
    let (addr, inbox) = mailbox();
    if let Err(error) = hotel.start_child(guest_spec(name, inbox)).await {
        line(name, error);
    }
    addr
}

fn main() {
    async_std::task::block_on(async {
        let hotel = SupervisorRef::new();
        let system = supervisors::start(ChildSpec::supervisor_at("hotel_sup", hotel.clone(), || SupervisorSpec {
            flags: Flags::simple_one_for_one().intensity(3, Duration::from_secs(60)),
            children: Vec::new(),
        }));
        let story = Story::of(&system);

        title("simple_one_for_one");
        say("The hotel opens, empty. Three guests arrive.");
        let ann = arrive(&hotel, "ann").await;
        let ben = arrive(&hotel, "ben").await;
        let cem = arrive(&hotel, "cem").await;
        story.until_started("cem", 1).await;
        say("Ann leaves, and is forgotten. Ben slips in the bath, and gets a fresh start.");
        ann.cast(Msg::Leave).ok();
        story.until_ended("ann").await;
        ben.cast(Msg::SlipInTheBath).ok();
        story.until_started("ben", 2).await;
        tree(&system);
        say("Two more come. Ten thousand could: a guest costs a few KiB.");
        let dot = arrive(&hotel, "dot").await;
        let eve = arrive(&hotel, "eve").await;
        story.until_started("eve", 1).await;
        let guests = hotel.which_children().await.len();
        line("guests", guests);
        say("The hotel closes. There is no order among guests: all are asked at once, and the slowest decides\n\
             how long it takes.");
        within_limit(system.stop(SECOND)).await;
        let reason = system.wait().await;
        line("hotel_sup", format_args!("ended: {reason}"));
        let gone = [&ben, &cem, &dot, &eve].iter().filter(|addr| addr.cast(Msg::Leave).is_err()).count();
        line("guests gone", gone);
    });
}
