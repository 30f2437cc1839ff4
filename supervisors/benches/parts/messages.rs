//! Cast and call: from a thread to a process, and there and back.

use crate::{bastion_alone as alone, lives::Count};
use criterion::{Criterion, Throughput};
use std::time::Duration;
use supervisors::{Addr, ChildSpec, Reply, System, mailbox, start};

const MESSAGES: u64 = 10_000;

enum Msg {
    Cast(Count),
    Call(Reply<u64>),
}

fn echo() -> (System, Addr<Msg>) {
    let (addr, inbox) = mailbox();
    let system = start(ChildSpec::worker("echo", move |_| {
        let inbox = inbox.clone();
        async move {
            loop {
                match inbox.recv().await {
                    Msg::Cast(count) => count.down(),
                    Msg::Call(reply) => drop(reply.send(7)),
                }
            }
        }
    }));
    (system, addr)
}

/// Until the last of them has been handled.
pub(crate) fn cast(criterion: &mut Criterion) {
    let (system, addr) = echo();
    let mut group = criterion.benchmark_group("cast");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("supervisors", |bench| {
        bench.iter(|| {
            let count = Count::to(MESSAGES);
            for _ in 0..MESSAGES {
                addr.cast(Msg::Cast(count.clone())).ok();
            }
            count.wait();
        });
    });
    let told = alone::Echo::start();
    group.bench_function("bastion", |bench| {
        bench.iter(|| {
            let count = Count::to(MESSAGES);
            for _ in 0..MESSAGES {
                told.tell(count.clone());
            }
            count.wait();
        });
    });
    group.finish();
    async_std::task::block_on(system.stop(Duration::from_secs(5)));
}

pub(crate) fn call(criterion: &mut Criterion) {
    let (system, addr) = echo();
    let mut group = criterion.benchmark_group("call");
    group.bench_function("supervisors", |bench| {
        bench.iter(|| async_std::task::block_on(addr.call(Duration::from_secs(5), Msg::Call)));
    });
    let asked = alone::Echo::start();
    group.bench_function("bastion", |bench| bench.iter(|| async_std::task::block_on(asked.ask())));
    group.finish();
    async_std::task::block_on(system.stop(Duration::from_secs(5)));
}
