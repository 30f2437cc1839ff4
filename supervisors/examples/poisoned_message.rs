//! Lesson 12, a poisoned message: work that kills whoever touches it.
//!
//! A message in a mailbox kills once: it is lost with the process that held it. But work on a list that is only shortened when the
//! work is done comes back with every restart, until the supervisor gives up. The cure: write down that you try before you try, and
//! put aside what was tried twice.
//!
//! `cargo run -p supervisors --example poisoned_message`

mod common;

use common::{Story, line, say, title, tree, within_limit};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use supervisors::{ChildSpec, Exit, Flags, SupervisorSpec, System};

struct Letter {
    to: &'static str,
    tries: u32,
}

#[derive(Default)]
struct Desk {
    /// To be delivered.
    letters: VecDeque<Letter>,
    delivered: Vec<&'static str>,
    /// For somebody to look at.
    aside: Vec<&'static str>,
}

/// It outlives the postman: a file, a table, a queue on another machine.
type Shared = Arc<Mutex<Desk>>;

fn open(desk: &Shared) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn deliver(to: &'static str) -> &'static str {
    assert!(to != "Mrs Nobody", "there is no {to}");
    to
}

/// Crosses a letter off when it has been delivered.
async fn naive(desk: Shared) -> Exit {
    while let Some(to) = { open(&desk).letters.front().map(|letter| letter.to) } {
        let delivered = deliver(to);
        open(&desk).delivered.push(delivered);
        open(&desk).letters.pop_front();
    }
    std::future::pending().await
}

/// The same, but a letter that has cost two postmen is not tried again.
async fn careful(desk: Shared) -> Exit {
    while let Some(to) = next(&desk) {
        let delivered = deliver(to);
        open(&desk).delivered.push(delivered);
        open(&desk).letters.pop_front();
    }
    std::future::pending().await
}

/// Writes the try down before anybody tries.
fn next(desk: &Shared) -> Option<&'static str> {
    let mut desk = open(desk);
    while desk.letters.front().is_some_and(|letter| letter.tries == 2) {
        let letter = desk.letters.pop_front();
        desk.aside.extend(letter.map(|letter| letter.to));
    }
    let letter = desk.letters.front_mut()?;
    letter.tries += 1;
    Some(letter.to)
}

fn post<F: Future<Output = Exit> + Send + 'static>(desk: &Shared, postman: fn(Shared) -> F) -> System {
    open(desk).letters = ["Ann", "Mrs Nobody", "Ben", "Cem"].map(|to| Letter { to, tries: 0 }).into();
    let desk = desk.clone();
    supervisors::start(ChildSpec::supervisor("post_sup", move || {
        let desk = desk.clone();
        SupervisorSpec {
            flags: Flags::one_for_one().intensity(3, Duration::from_secs(5)),
            children: vec![ChildSpec::worker("postman", move |_| postman(desk.clone()))],
        }
    }))
}

fn show(desk: &Shared) {
    let desk = open(desk);
    line("delivered", format_args!("{:?}", desk.delivered));
    line("still on the desk", format_args!("{:?}", desk.letters.iter().map(|letter| letter.to).collect::<Vec<_>>()));
    line("put aside", format_args!("{:?}", desk.aside));
}

fn main() {
    async_std::task::block_on(async {
        title("A poisoned message");
        say("Letters on a desk. A postman takes the first, delivers it, and crosses it off; one address is a\n\
             trap. His supervisor allows three restarts.");
        let desk = Shared::default();
        let system = post(&desk, naive);
        Story::of(&system).to_the_end().await;
        show(&desk);
        say("Four postmen died of one letter, and Ben and Cem wait for ever. The next one writes down that he\n\
             tries before he tries, and puts aside what was tried twice:");
        let desk = Shared::default();
        let system = post(&desk, careful);
        let story = Story::of(&system);
        story.until_started("postman", 3).await;
        within_limit(async {
            while open(&desk).delivered.len() < 3 {
                async_std::task::yield_now().await;
            }
        })
        .await;
        show(&desk);
        tree(&system);
        say("Two restarts of three, and the letter is kept for somebody who can read it.");
        within_limit(system.stop(Duration::from_secs(1))).await;
    });
}
