//! Lesson 9, links and monitors: to hear of an end, and to share one.
//!
//! A *monitor* is one way: who monitors gets one message when the other ends, and goes on. So a host gets his tables back,
//! however his guests leave. A *link* goes both ways: who is linked ends with the other, unless he traps exits; then he
//! gets a message.
//!
//! `cargo run -p supervisors --example links_and_monitors`

mod common;

use common::{Story, line, pid, say, title, tree, why, within_limit};
use std::{future::pending, time::Duration};
use supervisors::{
    ChildSpec, Down, ExitReason, ExitSignal, Flags, Process, Restart, SupervisorSpec, demonitor, exit, kill, link,
    mailbox, monitor,
};

const SECOND: Duration = Duration::from_secs(1);

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
        within_limit(system.stop(SECOND)).await;

        say("Three climbers on one rope. Two are linked to the leader; one of them traps exits: he has a knife.");
        let (camp, calls) = mailbox::<ExitSignal>();
        let climber = |name: &str| ChildSpec::worker(name, |_| pending()).restart(Restart::Temporary);
        let careful = ChildSpec::worker("cem", move |process: Process| {
            let camp = camp.clone();
            async move {
                process.trap_exits(&camp, |signal| signal);
                process.ready();
                pending().await
            }
        });
        let careful = careful.awaits_init().restart(Restart::Temporary);
        let rope = vec![climber("ann"), climber("ben"), careful];
        let system = supervisors::start(ChildSpec::supervisor("rope_sup", move || SupervisorSpec {
            flags: Flags::one_for_one(),
            children: rope.clone(),
        }));
        let story = Story::of(&system);
        story.until_started("cem", 1).await;
        tree(&system);
        let at = |name: &str| pid(&system, &format!("rope_sup/{name}"));
        let (ann, ben, cem) = (at("ann"), at("ben"), at("cem"));
        link(ann, ben);
        link(ann, cem);
        say("Ann slips.");
        exit(ann, ExitReason::error("loose stone"));
        story.until_ended("ben").await;
        let signal = within_limit(calls.recv()).await;
        line("cem", format_args!("lives, and was told: ann, {}", why(&signal.reason)));
        say("A link is for processes that make no sense without each other and stand in different places of the\n\
             tree. Everywhere else the supervisor knows better, and a monitor is enough.");
        within_limit(system.stop(SECOND)).await;
    });
}
