//! Everything at once: a tree in which processes are killed, panic and are added at random, and what must be true afterwards.

mod common;
use common::*;
use futures::FutureExt;
use std::time::{Duration, Instant};
use supervisors::*;

fn worker(id: &str, census: &Census) -> ChildSpec {
    let census = census.clone();
    ChildSpec::worker(id, move |process| {
        let entered = census.enter();
        async move {
            let _entered = entered;
            async_std::task::sleep(Duration::from_millis(1)).await;
            process.ready();
            let asked = process.shutdown_requested().fuse();
            futures::pin_mut!(asked);
            loop {
                futures::select! {
                    () = asked => return Ok(()),
                    () = async_std::task::sleep(Duration::from_millis(2)).fuse() => {}
                }
            }
        }
    })
}

fn blocking(id: &str, census: &Census) -> ChildSpec {
    let census = census.clone();
    let (_, mailbox) = mailbox::<()>();
    ChildSpec::blocking(id, move |process| {
        let _entered = census.enter();
        process.recv(&mailbox)
    })
}

fn often(flags: Flags) -> Flags {
    flags.intensity(1_000_000, Duration::from_secs(1))
}

/// top (rest_for_one) / storage (blocking ones), torrents / 4 torrents (rest_for_one) / store, client, peers
fn tree(census: &Census, peers: &SupervisorRef) -> ChildSpec {
    let (census, peers) = (census.clone(), peers.clone());
    let torrent = move |n: u32| {
        let (census, peers) = (census.clone(), peers.clone());
        ChildSpec::supervisor(format!("torrent {n}"), move || {
            let flags = often(Flags::one_for_one());
            let inner = census.clone();
            let children = move || (0..8).map(|n| worker(&format!("peer {n}"), &inner)).collect();
            let init = move || SupervisorSpec { flags, children: children() };
            let peers = match n {
                0 => ChildSpec::supervisor_at("peers", peers.clone(), init),
                _ => ChildSpec::supervisor("peers", init),
            };
            let children = vec![worker("store", &census).awaits_init(), worker("client", &census).trap_exit(), peers];
            let children =
                children.into_iter().map(|child| child.shutdown(Shutdown::Timeout(Duration::from_millis(20))));
            SupervisorSpec { flags: often(Flags::rest_for_one()), children: children.collect() }
        })
    };
    let census = Census::default();
    ChildSpec::supervisor("top", move || {
        let inner = census.clone();
        let flags = often(Flags::one_for_one());
        let storage = ChildSpec::supervisor("storage", move || SupervisorSpec {
            flags,
            children: vec![blocking("disk 1", &inner), blocking("disk 2", &inner)],
        });
        let torrent = torrent.clone();
        let torrents = ChildSpec::supervisor("torrents", move || SupervisorSpec {
            flags,
            children: (0..4).map(&torrent).collect(),
        });
        SupervisorSpec { flags: often(Flags::rest_for_one()), children: vec![storage, torrents] }
    })
}

/// Small, and the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn whatever_dies_the_tree_comes_back_whole_and_nothing_is_left_over() {
    let (census, peers) = (Census::default(), SupervisorRef::new());
    let system = start(tree(&census, &peers));
    let whole = |system: &System| {
        let snapshot = system.snapshot();
        let running = snapshot.nodes().filter(|node| node.status == Status::Running);
        running.count() == 1 + 3 + 1 + 4 * (1 + 3 + 8) && snapshot.nodes().count() == 53
    };
    wait(async {
        until(|| whole(&system)).await;
        let (mut dice, start) = (Dice(42), Instant::now());
        let mut faults = 0;
        while start.elapsed() < Duration::from_secs(2) {
            let snapshot = system.snapshot();
            let pids: Vec<Pid> = snapshot.nodes().skip(1).filter_map(|node| node.pid).collect();
            let Some(&pid) = pids.get(dice.below(pids.len().max(1))) else { continue };
            match dice.below(4) {
                0 => kill(pid),
                1 => exit(pid, ExitReason::error("chaos")),
                2 => inject_panic(pid, "chaos"),
                _ => {
                    let extra = worker(&format!("extra {faults}"), &census);
                    peers.cast_start_child(extra.restart(Restart::Temporary));
                    peers.cast_terminate_child(format!("extra {}", dice.below(faults + 1)));
                }
            }
            faults += 1;
            async_std::task::sleep(Duration::from_micros(dice.below(4000) as u64)).await;
        }
        println!("{faults} faults, {} restarts", system.snapshot().restarts());
        // Requests that came while `peers` was down are done by its next incarnation, so extra ones may still come.
        while !whole(&system) || census.count() != 4 * 10 {
            let extra = peers.which_children().await.into_iter().map(|info| info.id);
            extra.filter(|id| id.starts_with("extra")).for_each(|id| peers.cast_terminate_child(&id));
            async_std::task::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(system.stop(LONG).await, ExitReason::Shutdown);
        assert_eq!(census.count(), 0);
    });
}
