//! Lesson 9, links and monitors: to hear of an end, and to share one.
//!
//! A *monitor* is one way: who monitors gets one message when the other ends, and goes on. So a host gets his tables back,
//! however his guests leave.
//!
//! `cargo run -p supervisors --example links_and_monitors`

mod common;

use common::{line, pid, say, title, why, within_limit};
use std::{future::pending, time::Duration};
use supervisors::{
    ChildSpec, Down, ExitReason, Flags, Restart, SupervisorSpec, demonitor, exit, kill, mailbox, monitor,
};

fn main() {
    async_std::task::block_on(async {
        title("Links and monitors");
        let guest = |name: &str| ChildSpec::worker(name, |_| pending()).restart(Restart::Temporary);
        let system = supervisors::start(ChildSpec::supervisor("guests_sup", move || SupervisorSpec {
            flags: Flags::one_for_one(),
            children: ["ann", "ben", "cem"].map(guest).into(),
        }));
        let (host, messages) = mailbox::<(&str, Down)>();
        while system.snapshot().nodes().filter(|node| node.pid.is_some()).count() < 4 {
            async_std::task::yield_now().await;
        }

        say("A host lends each guest a table, and monitors him: that is all he does to get it back.");
        let at = |name: &str| pid(&system, &format!("guests_sup/{name}"));
        let (ann, ben, cem) = (at("ann"), at("ben"), at("cem"));
        monitor(ann, &host, |down| ("table 1", down));
        monitor(ben, &host, |down| ("table 2", down));
        let cems = monitor(cem, &host, |down| ("table 3", down));
        let hear = async || {
            let (table, down) = within_limit(messages.recv()).await;
            line(table, format_args!("is free: {}", why(&down.reason)));
        };
        exit(ann, ExitReason::error("the soup was cold"));
        hear().await;
        kill(ben);
        hear().await;
        say("Cem pays for his table himself, so it need not be watched any more. When he leaves nobody is told.\n\
             And who monitors somebody who has left already hears so at once:");
        demonitor(cems);
        kill(cem);
        monitor(ann, &host, |down| ("table 1", down));
        hear().await;
        line("messages left", messages.len());
        within_limit(system.stop(Duration::from_secs(1))).await;
    });
}
