//! Lesson 4, one_for_all: some processes only make sense together.
//!
//! A writer numbers what it sends and a reader expects the numbers in order. A new writer begins at 1 again, so an old
//! reader would refuse all it hears. Neither can live without the other: when one goes, both go.
//!
//! `cargo run -p supervisors --example one_for_all`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::time::Duration;
use supervisors::{Addr, ChildSpec, Exit, Flags, Mailbox, Reply, SupervisorSpec, mailbox};

const SECOND: Duration = Duration::from_secs(1);

/// To the writer: number this and send it on. The answer is the reader's.
struct Send(&'static str, Reply<u32>);

/// From the writer to the reader.
struct Line {
    number: u32,
    reply: Reply<u32>,
}

async fn writer(mailbox: Mailbox<Send>, reader: Addr<Line>) -> Exit {
    let mut number = 0;
    loop {
        let Send(text, reply) = mailbox.recv().await;
        assert!(text.is_ascii(), "cannot write {text:?}");
        number += 1;
        reader.cast(Line { number, reply }).ok();
    }
}

async fn reader(mailbox: Mailbox<Line>) -> Exit {
    let mut expected = 1;
    loop {
        let Line { number, reply } = mailbox.recv().await;
        assert_eq!(number, expected, "a line out of order");
        expected += 1;
        reply.send(number);
    }
}

async fn send(to: &Addr<Send>, text: &'static str) {
    match to.call(SECOND, |reply| Send(text, reply)).await {
        Ok(number) => line("caller", format_args!("{text:?} was read as line {number}")),
        Err(error) => line("caller", format_args!("{text:?}: {error}")),
    }
}

fn main() {
    async_std::task::block_on(async {
        let (to_writer, for_writer) = mailbox();
        let (to_reader, for_reader) = mailbox();
        let system = supervisors::start(ChildSpec::supervisor("line_sup", move || {
            let (inbox, lines, to_reader) = (for_writer.clone(), for_reader.clone(), to_reader.clone());
            SupervisorSpec {
                flags: Flags::one_for_all().intensity(3, Duration::from_secs(60)),
                children: vec![
                    ChildSpec::worker("reader", move |_| reader(lines.clone())),
                    ChildSpec::worker("writer", move |_| writer(inbox.clone(), to_reader.clone())),
                ],
            }
        }));
        let story = Story::of(&system);

        title("one_for_all");
        say("A reader, and a writer who numbers the lines for it.");
        story.until_started("writer", 1).await;
        say("Two lines arrive. The third is one that the writer cannot write.");
        for text in ["one", "two", "déjà vu"] {
            send(&to_writer, text).await;
        }
        story.until_started("writer", 2).await;
        say("The reader had done nothing wrong, but it waited for line 3, and the new writer begins at 1.\n\
             It was ended in order, and both were started again. Now their numbers agree:");
        send(&to_writer, "four").await;
        tree(&system);
        say("Under one_for_one the old reader would have met line 1 where it waits for line 3, and died of\n\
             it: a second crash and a second lost line, for one mistake.");
        within_limit(system.stop(SECOND)).await;
    });
}
