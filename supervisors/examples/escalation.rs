//! Intensity, escalation and back-off: when restarting does not help.
//!
//! A torrent whose disk is full fails its process again and again: its supervisor gives up, and *its* supervisor parks that
//! torrent for a while instead of falling itself. A peer that cannot be reached is backed off from and counts for nothing.
//! And a bug for which nobody has a plan goes up to the root, where it ends the program: OTP's way of turning it off and on.
//!
//! `cargo run -p supervisors --example escalation`

use std::{
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use supervisors::{Backoff, ChildSpec, EventKind, ExitReason, Flags, Process, SupervisorSpec, inject_panic, subscribe};

/// Fails a few times, then there is room again.
fn store() -> ChildSpec {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    ChildSpec::worker("store", |_| async {
        if TRIES.fetch_add(1, Ordering::Relaxed) < 4 {
            return Err(ExitReason::error("a write that must not fail failed"));
        }
        pending().await
    })
}

fn peer() -> ChildSpec {
    let connect = |process: Process| async move {
        match process.incarnation() {
            0..=2 => Err(ExitReason::environment("connection refused")),
            _ => pending().await,
        }
    };
    ChildSpec::worker("peer 192.0.2.7:6881", connect).backoff(pause(40))
}

fn pause(millis: u64) -> Backoff {
    let first = Duration::from_millis(millis);
    Backoff { first, cap: 10 * first, jitter: 0.2, reset_after: Duration::from_secs(60) }
}

fn main() {
    let torrent = || {
        let flags = Flags::one_for_one().intensity(1, Duration::from_secs(5));
        SupervisorSpec { flags, children: vec![store(), peer()] }
    };
    let system = supervisors::start(ChildSpec::supervisor("root_sup", move || SupervisorSpec {
        flags: Flags::one_for_one().intensity(1, Duration::from_secs(5)),
        children: vec![
            ChildSpec::supervisor("torrent_sup", torrent).backoff(pause(300)),
            ChildSpec::worker("listener", |_| pending()),
        ],
    }));
    let events = subscribe(system.root());
    async_std::task::block_on(async {
        while let Some(event) = events.recv().await {
            match &event.kind {
                EventKind::Started => println!("{:<40} {:>5} started", event.path, event.pid),
                EventKind::Exited { reason } => println!("{:<40} {:>5} {reason}", event.path, event.pid),
                EventKind::GaveUp { cause } => println!("{:<40} {:>5} GIVES UP: {cause}", event.path, event.pid),
                EventKind::Restarting { after } if !after.is_zero() => {
                    println!("{:<40}       waits {} ms", event.path, after.as_millis());
                    if event.path.ends_with("torrent_sup") {
                        println!("\n{}\n", system.snapshot());
                    }
                }
                _ => {}
            }
            // When all is well at last, a bug: at once, and again in the next incarnation.
            let well = system.snapshot().find("**/peer*").iter().any(|peer| peer.restarts == 3);
            let up = event.kind == EventKind::Started && !event.path.ends_with("store");
            if let (true, true, Some(listener)) = (well, up, system.snapshot().find("*/listener").first()) {
                listener.pid.into_iter().for_each(|pid| inject_panic(pid, "nobody thought of this"));
            }
        }
        println!("\nroot_sup ended: {}", system.wait().await);
    });
}
