//! Spawn, restart, monitor.
//!
//! *Spawn*: a burst of processes, from the first request to the moment when the last body has been polled. *Restart*: from the
//! exit of one body to the first poll of the next, over many in a row. *Monitor*: from a process's end to the message about it.

use crate::bastion_alone as alone;
use criterion::{BatchSize, Criterion, Throughput};
use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use supervisors::{
    ChildSpec, Exit, ExitReason, Flags, Restart, SupervisorRef, SupervisorSpec, System, exit, mailbox, start,
};

const BURST: u64 = 1000;

/// For an id that no child has, of this burst or the last.
static BORN: AtomicU64 = AtomicU64::new(0);

/// A supervisor for many.
pub(crate) fn crowd() -> (System, SupervisorRef) {
    let at = SupervisorRef::new();
    let system = start(ChildSpec::supervisor_at("crowd_sup", at.clone(), || SupervisorSpec {
        flags: Flags::simple_one_for_one(),
        children: Vec::new(),
    }));
    (system, at)
}

/// Counts down to a wake-up of the thread that measures.
#[derive(Clone)]
pub(crate) struct Count(Arc<(AtomicU64, std::thread::Thread)>);

impl Count {
    pub(crate) fn to(n: u64) -> Self {
        Self(Arc::new((n.into(), std::thread::current())))
    }

    pub(crate) fn down(&self) {
        let (left, thread) = &*self.0;
        if left.fetch_sub(1, Ordering::AcqRel) == 1 {
            thread.unpark();
        }
    }

    pub(crate) fn wait(&self) {
        while self.0.0.load(Ordering::Acquire) > 0 {
            std::thread::park();
        }
    }
}

fn burst(at: &SupervisorRef) {
    let polled = Count::to(BURST);
    for _ in 0..BURST {
        let (polled, id) = (polled.clone(), BORN.fetch_add(1, Ordering::Relaxed).to_string());
        let body = move |_| {
            polled.down();
            ready(Exit::Ok(()))
        };
        at.cast_start_child(ChildSpec::worker(id, body).restart(Restart::Temporary));
    }
    polled.wait();
}

pub(crate) fn spawn(criterion: &mut Criterion) {
    let (system, at) = crowd();
    let mut group = criterion.benchmark_group("spawn");
    group.throughput(Throughput::Elements(BURST));
    group.bench_function("supervisors", |bench| bench.iter_batched(|| (), |()| burst(&at), BatchSize::PerIteration));
    group.bench_function("bastion", |bench| bench.iter_custom(alone::spawn));
    group.finish();
    async_std::task::block_on(system.stop(Duration::from_secs(5)));
}

/// How long `n` restarts in a row take.
fn restarts(n: u64) -> Duration {
    let (done, left) = (Count::to(n + 1), Arc::new(AtomicU64::new(n + 1)));
    let counted = done.clone();
    let body = move |_| {
        let (done, left) = (counted.clone(), left.clone());
        async move {
            let more = left.fetch_sub(1, Ordering::AcqRel) > 1;
            done.down();
            if more { Err(ExitReason::error("again")) } else { pending().await }
        }
    };
    let children = vec![ChildSpec::worker("again", body)];
    let flags = Flags::one_for_one().intensity(u32::MAX, Duration::from_micros(1));
    let begin = Instant::now();
    let system = start(ChildSpec::supervisor("top_sup", move || SupervisorSpec { flags, children: children.clone() }));
    done.wait();
    let took = begin.elapsed();
    async_std::task::block_on(system.stop(Duration::from_secs(5)));
    took
}

pub(crate) fn restart(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("restart");
    group.bench_function("supervisors", |bench| bench.iter_custom(restarts));
    group.bench_function("bastion", |bench| bench.iter_custom(alone::restarts));
    group.finish();
}

pub(crate) fn monitor(criterion: &mut Criterion) {
    let (system, at) = crowd();
    let (addr, inbox) = mailbox();
    let mut group = criterion.benchmark_group("monitor");
    let born = AtomicU64::new(0);
    let waiting = || {
        let id = born.fetch_add(1, Ordering::Relaxed).to_string();
        ChildSpec::worker(id, |_| pending()).restart(Restart::Temporary)
    };
    group.bench_function("set and taken back", |bench| {
        let pid = async_std::task::block_on(at.start_child(waiting()));
        let Ok(pid) = pid else { return };
        bench.iter(|| supervisors::demonitor(supervisors::monitor(pid, &addr, |down| down)));
    });
    group.bench_function("exit heard", |bench| {
        bench.iter_batched(
            || {
                let pid = async_std::task::block_on(at.start_child(waiting()));
                pid.inspect(|pid| _ = supervisors::monitor(*pid, &addr, |down| down))
            },
            |pid| {
                pid.into_iter().for_each(|pid| exit(pid, ExitReason::Killed));
                async_std::task::block_on(inbox.recv())
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    async_std::task::block_on(system.stop(Duration::from_secs(5)));
}
