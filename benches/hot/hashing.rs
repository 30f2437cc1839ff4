//! SHA-1 of a piece of 1 MiB, block by block out of pooled memory, as a piece worker does it; of memory that lies in one; and of several
//! pieces side by side, in slices of 16 KiB, as they are read from a disk.
//!
//! Beside it: `openssl speed -evp sha1 -bytes 16384`.

use std::hint::black_box;

use bt_erl::protocol::Lanes;
use bt_erl::rt::blocks::{Block, BlockPool};
use criterion::{BenchmarkId, Criterion, Throughput};
use sha1::{Digest, Sha1};

const BLOCKS: usize = 64;
const BLOCK_BYTES: usize = 16 * 1024;

pub(crate) fn hashing(criterion: &mut Criterion) {
    let pool = BlockPool::default();
    let blocks: Vec<Block> = (0..BLOCKS).map(|n| pool.copy(&[n as u8; BLOCK_BYTES])).collect();
    let piece: Vec<u8> = blocks.iter().flat_map(|block| block.iter().copied()).collect();
    let by_blocks = |blocks: &[Block]| {
        let mut sha1 = Sha1::new();
        blocks.iter().for_each(|block| sha1.update(&block[..]));
        sha1.finalize()
    };
    assert_eq!(by_blocks(&blocks), Sha1::digest(&piece));
    let mut group = criterion.benchmark_group("hashing");
    group.throughput(Throughput::Bytes((BLOCKS * BLOCK_BYTES) as u64));
    group.bench_function("a piece in blocks", |bench| bench.iter(|| by_blocks(black_box(&blocks))));
    group.bench_function("a piece in one", |bench| bench.iter(|| Sha1::digest(black_box(&piece))));
    for pieces in [1, 4, 8, 16] {
        group.throughput(Throughput::Bytes((pieces * BLOCKS * BLOCK_BYTES) as u64));
        let side_by_side = |mut lanes: Lanes| {
            for slice in 0..BLOCKS {
                // Each piece begins with another block, so that each lane reads memory of its own.
                let slices = (0..pieces).map(|lane| &blocks[(slice + lane) % BLOCKS][..]);
                lanes.update(&slices.collect::<Vec<_>>());
            }
            lanes.finish()
        };
        assert_eq!(side_by_side(Lanes::new(pieces)), side_by_side(Lanes::one_by_one(pieces)));
        group.bench_function(BenchmarkId::new("pieces side by side", pieces), |bench| {
            bench.iter(|| side_by_side(black_box(Lanes::new(pieces))));
        });
    }
}
