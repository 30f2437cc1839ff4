//! Lesson 6, transient and temporary: who is missed depends on how he went.
//!
//! A *permanent* child is always started again. A *transient* one may finish: only an abnormal end is undone. A *temporary* one is
//! never started again, whatever happened to it. Every child here ends once, in one of four ways; the table is what was seen.
//!
//! `cargo run -p supervisors --example transient_and_temporary`

mod common;

use common::{Story, line, say, title, within_limit};
use std::time::Duration;
use supervisors::{
    ChildSpec, EventKind, Exit, ExitReason, Flags, Process, Restart, Status, SupervisorRef, SupervisorSpec,
};

const WAYS: [&str; 4] = ["finishes", "shuts down", "fails", "panics"];

/// Ends in this way the first time, and then stays.
async fn end(process: Process, way: &'static str) -> Exit {
    if process.incarnation() > 0 {
        std::future::pending::<()>().await;
    }
    match way {
        "finishes" => Ok(()),
        "shuts down" => Err(ExitReason::Shutdown),
        "fails" => Err(ExitReason::error("no paper")),
        _ => panic!("a bug"),
    }
}

/// What became of a child of this restart type that ended in this way.
async fn fate(restart: Restart, way: &'static str) -> &'static str {
    let at = SupervisorRef::new();
    let system = supervisors::start(ChildSpec::supervisor_at("top_sup", at.clone(), move || SupervisorSpec {
        flags: Flags::one_for_one(),
        children: vec![ChildSpec::worker("child", move |process| end(process, way)).restart(restart)],
    }));
    let story = Story::of(&system);
    let ended = story.skip_until(|event| matches!(event.kind, EventKind::Exited { .. })).await.map(|event| event.pid);
    let fate = loop {
        match at.which_children().await.first() {
            None => break "forgotten",
            Some(child) if child.status == Status::Stopped => break "not started again",
            Some(child) if child.status == Status::Running && child.pid != ended => break "started again",
            // The supervisor has not heard of it yet.
            Some(_) => async_std::task::yield_now().await,
        }
    };
    within_limit(system.stop(Duration::from_secs(1))).await;
    fate
}

fn main() {
    async_std::task::block_on(async {
        title("Transient and temporary");
        say("A child that has ended:");
        let cell = |text: &str| format!("{text:<20}");
        line("", ["permanent", "transient", "temporary"].map(cell).concat().trim_end());
        for way in WAYS {
            let mut row = String::new();
            for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
                row.push_str(&cell(fate(restart, way).await));
            }
            line(&format!("it {way}"), row.trim_end());
        }
        say("permanent    for what has no end: a server that finishes has a bug.\n\
             transient    for work that can be done: it is tried again until it is finished.\n\
             temporary    for what somebody else will ask for again: a visitor, a connection that came in.");
        say("\"not started again\" leaves the child spec where it was: restart_child can use it.");
    });
}
