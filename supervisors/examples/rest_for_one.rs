//! rest_for_one: start order is dependency order.
//!
//! A client needs the store, the peers need the client. When the client crashes, the peers are ended first and started again
//! after it, because what they know of it is no longer true; the store, which nobody's crash can change, stays.
//!
//! `cargo run -p supervisors --example rest_for_one`

use std::{future::pending, time::Duration};
use supervisors::{ChildSpec, EventKind, Flags, SupervisorSpec, inject_panic, subscribe};

/// Tells when its init is done, so that the next one is not started before.
fn part(id: &str) -> ChildSpec {
    let spec = ChildSpec::worker(id, |process| async move {
        process.ready();
        pending().await
    });
    spec.awaits_init()
}

fn main() {
    let system = supervisors::start(ChildSpec::supervisor("torrent_sup", || SupervisorSpec {
        flags: Flags::rest_for_one().intensity(3, Duration::from_secs(60)),
        children: ["store", "client", "trackers", "peers"].map(part).into(),
    }));
    let events = subscribe(system.root());
    async_std::task::block_on(async {
        let mut started = 0;
        while let Some(event) = events.recv().await {
            println!("{:<22} {:>5}  {}", event.path, event.pid, describe(&event.kind));
            started += u32::from(event.kind == EventKind::Started);
            if event.kind == EventKind::Started && event.path.ends_with("/peers") {
                match started {
                    0..=5 => system.snapshot().find("*/client").iter().for_each(|client| {
                        println!("\nthe client meets a bug:");
                        client.pid.into_iter().for_each(|pid| inject_panic(pid, "piece 7 is in both sets"));
                    }),
                    _ => break,
                }
            }
        }
        println!("\n{}\n\nand now in order, the youngest first:", system.snapshot());
        system.stop(Duration::from_secs(5)).await;
        while let Some(event) = events.recv().await {
            println!("{:<22} {:>5}  {}", event.path, event.pid, describe(&event.kind));
        }
    });
}

fn describe(kind: &EventKind) -> String {
    match kind {
        EventKind::Started => "started".to_string(),
        EventKind::Exited { reason } => format!("ended: {reason}"),
        EventKind::Restarting { after } if after.is_zero() => "will be started again".to_string(),
        EventKind::Restarting { after } => format!("will be started again after {after:?}"),
        EventKind::GaveUp { cause } => format!("gives up: {cause}"),
        other => format!("{other:?}"),
    }
}
