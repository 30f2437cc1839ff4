//! A snapshot of a tree: how long it takes, by how many processes there are.

use crate::lives::crowd;
use criterion::{BenchmarkId, Criterion};
use std::{future::pending, time::Duration};
use supervisors::ChildSpec;

pub(crate) fn snapshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    for size in [100u64, 10_000] {
        let (system, at) = crowd();
        async_std::task::block_on(async {
            for n in 0..size {
                at.start_child(ChildSpec::worker(n.to_string(), |_| pending())).await.ok();
            }
        });
        group.bench_function(BenchmarkId::from_parameter(size), |bench| bench.iter(|| system.snapshot()));
        async_std::task::block_on(system.stop(Duration::from_secs(20)));
    }
    group.finish();
}
