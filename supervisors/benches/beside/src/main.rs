//! Spawn, restart and cast of supervisors beside bastion, ractor and kameo: one run, the sides in turn, round after round.
//!
//! `cargo run --release -- [spawn|restart|cast|ours]...`; without arguments all three. Prints the median and the best of the rounds.
//!
//! What is the same for all: *spawn*, a supervisor asked for many processes, until the last body has run; *restart*, a body that
//! fails at once, again and again, from one run of it to the next; *cast*, messages to one process, until the last is handled.

mod bastion_side;
mod kameo_side;
mod ours;
mod ractor_side;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

const ROUNDS: usize = 15;
const PROCESSES: u64 = 2_000;
const RESTARTS: u64 = 5_000;
const MESSAGES: u64 = 200_000;
/// A round that takes this long has lost something on the way; its side is left out from then on.
const STUCK: Duration = Duration::from_secs(5);

/// Counts down to a wake-up of the thread that measures.
#[derive(Clone, Debug)]
pub struct Count(Arc<(AtomicU64, Thread)>);

impl Count {
    pub fn to(n: u64) -> Self {
        Self(Arc::new((n.into(), thread::current())))
    }

    /// How many were left.
    pub fn down(&self) -> u64 {
        let (left, thread) = &*self.0;
        let before = left.fetch_sub(1, Ordering::AcqRel);
        if before == 1 {
            thread.unpark();
        }
        before
    }

    /// At most five seconds.
    pub fn wait(&self) {
        let begin = Instant::now();
        while self.0.0.load(Ordering::Acquire) > 0 && begin.elapsed() < STUCK {
            thread::park_timeout(STUCK);
        }
    }
}

fn timed(n: u64, work: impl FnOnce(&Count)) -> Duration {
    let count = Count::to(n);
    let begin = Instant::now();
    work(&count);
    count.wait();
    begin.elapsed()
}

struct Side {
    name: &'static str,
    run: Box<dyn FnMut() -> Duration>,
}

fn table(title: &str, each: u64, mut sides: Vec<Side>) {
    let mut took = vec![Vec::new(); sides.len()];
    for round in 0..ROUNDS + 1 {
        for (side, took) in sides.iter_mut().zip(&mut took) {
            if took.last().is_some_and(|last: &f64| last.is_nan()) {
                continue;
            }
            let time = (side.run)();
            if time >= STUCK {
                took.clear();
                took.push(f64::NAN);
                continue;
            }
            // The first round warms up.
            if round > 0 {
                took.push(time.as_secs_f64() * 1e6 / each as f64);
            }
        }
    }
    println!("{title:<10}  {:>12}  {:>12}  {:>14}", "median, us", "best, us", "best, per s");
    for (side, took) in sides.iter().zip(&mut took) {
        took.sort_by(f64::total_cmp);
        println!("{:<10}  {:>12.3}  {:>12.3}  {:>14.0}", side.name, took[took.len() / 2], took[0], 1e6 / took[0]);
    }
    println!();
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let on = |what: &str| wanted.is_empty() || wanted.iter().any(|word| word == what);
    let only_ours = wanted.iter().any(|word| word == "ours");
    let side = |name, run: Box<dyn FnMut() -> Duration>| Side { name, run };
    let keep = |sides: Vec<Side>| sides.into_iter().take(if only_ours { 1 } else { usize::MAX }).collect();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let guard = tokio.enter();
    if on("restart") {
        let sides = vec![
            side("ours", Box::new(|| timed(RESTARTS, ours::restarts))),
            side("bastion", Box::new(|| timed(RESTARTS, bastion_side::restarts))),
            side("ractor", Box::new(|| timed(RESTARTS, ractor_side::restarts))),
            side("kameo", Box::new(|| timed(RESTARTS, kameo_side::restarts))),
        ];
        table("restart", RESTARTS, keep(sides));
    }
    if on("cast") {
        let (ours, bastion) = (ours::Echo::start(), bastion_side::Echo::start());
        let (ractor, kameo) = (ractor_side::Echo::start(), kameo_side::Echo::start());
        let sides = vec![
            side("ours", Box::new(move || timed(MESSAGES, |count| (0..MESSAGES).for_each(|_| ours.cast(count))))),
            side("bastion", Box::new(move || timed(MESSAGES, |count| (0..MESSAGES).for_each(|_| bastion.cast(count))))),
            side("ractor", Box::new(move || timed(MESSAGES, |count| (0..MESSAGES).for_each(|_| ractor.cast(count))))),
            side("kameo", Box::new(move || timed(MESSAGES, |count| (0..MESSAGES).for_each(|_| kameo.cast(count))))),
        ];
        table("cast", MESSAGES, keep(sides));
    }
    // Last: bastion keeps every group for ever.
    if on("spawn") {
        let crowd = ours::Crowd::start();
        let sides = vec![
            side("ours", Box::new(move || timed(PROCESSES, |count| crowd.spawn(count, PROCESSES)))),
            side("bastion", Box::new(|| timed(PROCESSES, |count| bastion_side::spawn(count, PROCESSES)))),
            side("ractor", Box::new(|| timed(PROCESSES, |count| ractor_side::spawn(count, PROCESSES)))),
            side("kameo", Box::new(|| timed(PROCESSES, |count| kameo_side::spawn(count, PROCESSES)))),
        ];
        table("spawn", PROCESSES, keep(sides));
    }
    drop(guard);
    std::process::exit(0);
}
