//! What a process costs. Alone in its OS process, because it reads how much memory that has.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use std::time::{Duration, Instant};
use supervisors::*;

/// bastion alone would leak 2 KiB for each. `MEMORY_LIVES=1000000` is the whole proof.
const SHORT_LIVES: u32 = if cfg!(debug_assertions) { 60_000 } else { 200_000 };

fn lives() -> u32 {
    let asked = std::env::var("MEMORY_LIVES").ok();
    asked.and_then(|lives| lives.parse().ok()).unwrap_or(SHORT_LIVES)
}

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

/// As many short processes as a busy client has in a week, one after the other, a few hundred at a time.
/// `tied`: each is linked to that process, monitors it, and has timers, a name and groups, none of which it takes back.
async fn short_lives(at: &SupervisorRef, count: usize, tied: Option<Pid>) {
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
                if let Some(friend) = tied {
                    tie(&process, friend);
                }
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

fn tie(process: &Process, friend: Pid) {
    let (addr, _) = mailbox::<()>();
    process.link(friend);
    process.monitor(friend, &addr, |_| ());
    process.send_after(Duration::from_secs(3600), &addr, ());
    process.send_interval(Duration::from_secs(3600), &addr, ());
    register_addr(&process.pid().to_string(), process.pid(), &addr).unwrap();
    groups::join("short lives", process.pid()).unwrap();
    groups::join(process.path(), process.pid()).unwrap();
}

#[test]
fn a_process_that_has_ended_leaves_nothing_and_one_that_waits_costs_little() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    let limited =
        |test| async_std::task::block_on(async_std::future::timeout(LONG * 20, test)).expect("it took too long");
    limited(async {
        let lives = lives();
        short_lives(&at, 10_000, None).await;
        let (before, start) = (resident(), Instant::now());
        short_lives(&at, lives as usize, None).await;
        let (grown, each) = (resident().saturating_sub(before), start.elapsed() / lives);
        println!("{lives} short processes: {grown} KiB more, {each:?} each");
        assert!(grown < 20 * 1024, "{grown} KiB");

        let friend = Puppet::start(&at, "friend").await;
        let (deaf, _) = mailbox();
        friend.does(move |process| process.trap_exits(&deaf, |signal| signal)).await;
        short_lives(&at, 10_000, Some(friend.pid)).await;
        let (before, start) = (resident(), Instant::now());
        short_lives(&at, lives as usize, Some(friend.pid)).await;
        let (grown, each) = (resident().saturating_sub(before), start.elapsed() / lives);
        println!("{lives} short processes tied to others: {grown} KiB more, {each:?} each");
        assert!(grown < 20 * 1024, "{grown} KiB");
        let links = || system.snapshot().find("top/friend")[0].links.len();
        until(|| registered().len() + groups::which_groups().len() + links() == 0).await;
        friend.ends(Ok(()), &at).await;
        assert!(at.which_children().await.is_empty());

        let (before, start) = (resident(), Instant::now());
        for n in 0..10_000 {
            at.start_child(sleeper(&n.to_string())).await.unwrap();
        }
        let (cost, each) = (resident().saturating_sub(before) as f64 / 10_000.0, start.elapsed() / 10_000);
        println!("10,000 idle processes: {cost:.1} KiB each, {each:?} each to start");
        assert!(cost < 20.0, "{cost} KiB");
        let start = Instant::now();
        println!("snapshot of {} in {:?}", system.snapshot().nodes().count(), start.elapsed());
        let start = Instant::now();
        assert_eq!(system.stop(Duration::from_secs(10)).await, ExitReason::Shutdown);
        println!("all stopped in {:?}", start.elapsed());
    });
}
