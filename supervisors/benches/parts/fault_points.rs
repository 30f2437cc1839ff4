//! What a fault point costs: nothing armed (the promise is one relaxed load), and armed for others.
//!
//! `bare` is the same loop without a point: what a point that is off adds to it is its cost.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use supervisors::{fault_point, fault_result, faults};

/// Points passed in one measured run, so that the loop is measured and not the clock.
const PASSES: u64 = 1000;

#[inline(never)]
fn bare(n: u64) -> u64 {
    let mut sum = 0u64;
    for i in 0..n {
        sum = sum.wrapping_add(black_box(i));
    }
    sum
}

#[inline(never)]
fn statement(n: u64) -> u64 {
    let mut sum = 0u64;
    for i in 0..n {
        fault_point!("bench.statement", i = i);
        sum = sum.wrapping_add(black_box(i));
    }
    sum
}

#[inline(never)]
fn result(n: u64) -> Result<u64, faults::Fault> {
    let mut sum = 0u64;
    for i in 0..n {
        fault_result!("bench.result", i = i)?;
        sum = sum.wrapping_add(black_box(i));
    }
    Ok(sum)
}

#[inline(never)]
async fn awaited(n: u64) -> u64 {
    let mut sum = 0u64;
    for i in 0..n {
        fault_point!(async "bench.awaited", i = i);
        sum = sum.wrapping_add(black_box(i));
    }
    sum
}

pub(crate) fn fault_points(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fault_point");
    group.throughput(Throughput::Elements(PASSES));
    group.bench_function("bare", |bench| bench.iter(|| bare(black_box(PASSES))));
    group.bench_function("off", |bench| bench.iter(|| statement(black_box(PASSES))));
    group.bench_function("off, result", |bench| bench.iter(|| result(black_box(PASSES))));
    group.bench_function("off, async", |bench| {
        bench.iter(|| futures::executor::block_on(awaited(black_box(PASSES))));
    });
    {
        let _armed = faults::arm("another.point", "off");
        group.bench_function("armed elsewhere", |bench| bench.iter(|| statement(black_box(PASSES))));
    }
    group.finish();
}
