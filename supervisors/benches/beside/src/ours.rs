//! This crate.

use crate::Count;
use std::{
    future::{pending, ready},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use supervisors::{Addr, ChildSpec, Exit, ExitReason, Flags, Restart, SupervisorRef, SupervisorSpec, mailbox, start};

/// For an id that no child has, of this round or the last.
static BORN: AtomicU64 = AtomicU64::new(0);

pub struct Crowd(SupervisorRef);

impl Crowd {
    pub fn start() -> Self {
        let at = SupervisorRef::new();
        start(ChildSpec::supervisor_at("crowd_sup", at.clone(), || SupervisorSpec {
            flags: Flags::simple_one_for_one(),
            children: Vec::new(),
        }));
        // Until it is up it keeps a thousand requests and drops what is beyond.
        futures::executor::block_on(at.count_children());
        Self(at)
    }

    pub fn spawn(&self, count: &Count, n: u64) {
        for _ in 0..n {
            let (count, id) = (count.clone(), BORN.fetch_add(1, Ordering::Relaxed).to_string());
            let spec = ChildSpec::worker(id, move |_| {
                count.down();
                ready(Exit::Ok(()))
            });
            self.0.cast_start_child(spec.restart(Restart::Temporary));
        }
    }
}

pub fn restarts(count: &Count) {
    let count = count.clone();
    let body = move |_| {
        let count = count.clone();
        async move {
            match count.down() {
                1 => pending().await,
                _ => Err(ExitReason::error("again")),
            }
        }
    };
    let flags = Flags::one_for_one().intensity(u32::MAX, Duration::from_micros(1));
    let children = vec![ChildSpec::worker("again", body)];
    start(ChildSpec::supervisor("top_sup", move || SupervisorSpec { flags, children: children.clone() }));
}

pub struct Echo(Addr<Count>);

impl Echo {
    pub fn start() -> Self {
        let (addr, inbox) = mailbox::<Count>();
        start(ChildSpec::worker("echo", move |_| {
            let inbox = inbox.clone();
            async move {
                loop {
                    inbox.recv().await.down();
                }
            }
        }));
        Self(addr)
    }

    pub fn cast(&self, count: &Count) {
        self.0.cast(count.clone()).ok();
    }
}
