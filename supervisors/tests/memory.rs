//! What a process costs. Alone in its OS process, because it reads how much memory that has.

#![allow(clippy::unwrap_used)]

mod common;
use common::*;
use std::time::{Duration, Instant};
use supervisors::*;

/// bastion alone would leak 2 KiB for each.
const SHORT_LIVES: u32 = if cfg!(debug_assertions) { 60_000 } else { 300_000 };

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

/// As many short processes as a busy client has in a week, one after the other, a few hundred at a time.
async fn short_lives(at: &SupervisorRef, count: usize) {
    let census = Census::default();
    let gone = |census: &Census, limit| {
        let census = census.clone();
        async move { until(|| census.count() < limit).await }
    };
    for n in 0..count {
        let counted = census.enter();
        let slot = std::sync::Mutex::new(Some(counted));
        let short = ChildSpec::worker(format!("short {n}"), move |process| {
            let counted = slot.lock().unwrap().take();
            async move {
                drop(counted);
                match process.pid().to_string().len() % 2 {
                    0 => Ok(()),
                    _ => Err(ExitReason::environment("short")),
                }
            }
        });
        at.cast_start_child(short.restart(Restart::Temporary));
        if n % 100 == 0 {
            gone(&census, 400).await;
        }
    }
    gone(&census, 1).await;
}

#[test]
fn a_process_that_has_ended_leaves_nothing_and_one_that_waits_costs_little() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        short_lives(&at, 10_000).await;
        let (before, start) = (resident(), Instant::now());
        short_lives(&at, SHORT_LIVES as usize).await;
        let (grown, each) = (resident().saturating_sub(before), start.elapsed() / SHORT_LIVES);
        println!("{SHORT_LIVES} short processes: {grown} KiB more, {each:?} each");
        assert!(grown < 20 * 1024, "{grown} KiB");
        assert!(at.which_children().await.is_empty());

        let (before, start) = (resident(), Instant::now());
        for n in 0..2000 {
            at.start_child(sleeper(&n.to_string())).await.unwrap();
        }
        let (cost, each) = (resident().saturating_sub(before) as f64 / 2000.0, start.elapsed() / 2000);
        println!("2,000 idle processes: {cost:.1} KiB each, {each:?} each to start");
        assert!(cost < 20.0, "{cost} KiB");
        let start = Instant::now();
        println!("snapshot of {} in {:?}", system.snapshot().nodes().count(), start.elapsed());
        let start = Instant::now();
        assert_eq!(system.stop(Duration::from_secs(10)).await, ExitReason::Shutdown);
        println!("all stopped in {:?}", start.elapsed());
    });
}
