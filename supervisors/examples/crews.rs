//! Lesson 13, the same crew under three supervisors, and a jam session under a fourth.
//!
//! After "Who Supervises The Supervisors?" in Fred Hébert's Learn You Some Erlang. A band of four: the singer stays, the
//! bass player is here for tonight, and the drummer cannot play. What his false notes cost depends on who leads the band.
//!
//! `cargo run -p supervisors --example crews`

mod common;

use common::{Story, line, say, title, within_limit};
use std::time::Duration;
use supervisors::{Addr, ChildSpec, EventKind, Exit, Flags, Mailbox, Reply, Restart, SupervisorSpec, mailbox};

const MINUTE: Duration = Duration::from_secs(60);

/// From us: play a note.
type Note = Reply<()>;

async fn plays_well() -> Exit {
    std::future::pending().await
}

async fn plays_badly(mailbox: Mailbox<Note>) -> Exit {
    let _note = mailbox.recv().await;
    panic!("a false note")
}

/// In the order in which they come on stage.
fn crew(notes: &Mailbox<Note>) -> Vec<ChildSpec> {
    let notes = notes.clone();
    vec![
        ChildSpec::worker("singer", |_| plays_well()),
        ChildSpec::worker("bass", |_| plays_well()).restart(Restart::Temporary),
        ChildSpec::worker("drums", move |_| plays_badly(notes.clone())).restart(Restart::Transient),
        ChildSpec::worker("keytar", |_| plays_well()).restart(Restart::Transient),
    ]
}

/// The concert: the drummer plays until there is no band. How many notes that took.
async fn concert(leader: &str, flags: Flags, last_back: &str) -> u32 {
    let (drums, notes): (Addr<Note>, _) = mailbox();
    let system =
        supervisors::start(ChildSpec::supervisor(leader, move || SupervisorSpec { flags, children: crew(&notes) }));
    let story = Story::of(&system);
    story.until_started("keytar", 1).await;
    let mut played = 0;
    loop {
        played += 1;
        let heard = drums.call(MINUTE, |note| note).await;
        line("conductor", format_args!("note {played}: {}", if heard.is_ok() { "fine" } else { "false" }));
        let back = |path: &str| path.ends_with(last_back);
        if story.until(|event| event.kind == EventKind::Started && back(&event.path)).await.is_none() {
            break;
        }
    }
    within_limit(system.wait()).await;
    played
}

fn main() {
    async_std::task::block_on(async {
        title("One crew, three supervisors");
        say("The lenient one: one_for_one, 3 restarts in a minute. Only the drummer has to come back.");
        let lenient = concert("lenient_sup", Flags::one_for_one().intensity(3, MINUTE), "/drums").await;

        say("The angry one: rest_for_one, 2 in a minute. Who came on stage after the drummer goes with him.");
        let angry = concert("angry_sup", Flags::rest_for_one().intensity(2, MINUTE), "/keytar").await;

        say("The jerk: one_for_all, 1 in a minute. A false note, and everybody has to go and come back. The bass\n\
             player is temporary: nobody asks him to come back.");
        let jerk = concert("jerk_sup", Flags::one_for_all().intensity(1, MINUTE), "/keytar").await;

        say("How many false notes it took until there was no band:");
        for (leader, notes) in [("lenient", lenient), ("angry", angry), ("jerk", jerk)] {
            line(leader, notes);
        }
    });
}
