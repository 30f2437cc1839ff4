//! The have and want ordsets of a torrent of 100,000 pieces.

use std::hint::black_box;

use bt_erl::protocol::{OrdSet, PieceIndex, Pieces};
use criterion::{BatchSize, Criterion, Throughput};

const PIECES: u32 = 100_000;

pub(crate) fn ordsets(criterion: &mut Criterion) {
    let set = |step: usize| OrdSet::from_list((0..PIECES).step_by(step).map(PieceIndex));
    let (all, half, third) = (set(1), set(2), set(3));
    let mut group = criterion.benchmark_group("ordsets");
    group.bench_function("union", |bench| bench.iter(|| black_box(&half).union(&third)));
    group.bench_function("subtract", |bench| bench.iter(|| black_box(&all).subtract(&half)));
    group.bench_function("is_subset", |bench| bench.iter(|| black_box(&half).is_subset(&all)));
    group.bench_function("is_element", |bench| bench.iter(|| black_box(&third).is_element(PieceIndex(99_999))));
    group.throughput(Throughput::Elements(PIECES.into()));
    group.bench_function("iter", |bench| {
        bench.iter(|| black_box(&all).iter().map(|piece| u64::from(piece.0)).sum::<u64>())
    });
    // From want to have, in an order that is not theirs.
    let order: Vec<PieceIndex> =
        (0..PIECES).map(|n| PieceIndex((u64::from(n) * 38_501 % u64::from(PIECES)) as u32)).collect();
    group.bench_function("finish", |bench| {
        bench.iter_batched(
            || Pieces::wanting(PIECES),
            |mut pieces| {
                for piece in &order {
                    assert_eq!(pieces.finish(*piece), Ok(true));
                }
                pieces
            },
            BatchSize::LargeInput,
        );
    });
}
