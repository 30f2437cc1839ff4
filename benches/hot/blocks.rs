//! The block pool: a block taken and dropped, one that is filled, and both while another thread does the same.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use bt_erl::rt::blocks::BlockPool;
use criterion::{Criterion, Throughput};

const BLOCK_BYTES: usize = 16 * 1024;

pub(crate) fn blocks(criterion: &mut Criterion) {
    let bytes = [7; BLOCK_BYTES];
    let pool = BlockPool::default();
    let mut group = criterion.benchmark_group("blocks");
    let mut measure = |who: &str| {
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("take and drop, {who}"), |bench| bench.iter(|| drop(pool.take(BLOCK_BYTES))));
        group.throughput(Throughput::Bytes(BLOCK_BYTES as u64));
        group
            .bench_function(format!("copy and drop, {who}"), |bench| bench.iter(|| drop(pool.copy(black_box(&bytes)))));
    };
    measure("alone");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                drop(pool.take(BLOCK_BYTES));
            }
        });
        measure("beside another thread");
        over.store(true, Ordering::Relaxed);
    });
}
