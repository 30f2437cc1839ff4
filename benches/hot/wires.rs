//! The wire: what a connection decodes while it downloads and while it seeds, and what it encodes.

use std::hint::black_box;

use bt_erl::protocol::wire::{self, Decoded, Limits};
use bt_erl::protocol::{BLOCK_BYTES, BlockRange, Layout, Message, PieceIndex};
use criterion::{Criterion, Throughput};

/// One read of a busy connection holds so many blocks.
const BLOCKS: u32 = 16;
const MESSAGES: u32 = 1000;

fn layout() -> Layout {
    Layout::new(64 * BLOCK_BYTES, [u64::from(MESSAGES * 64 * BLOCK_BYTES)]).unwrap()
}

fn range(n: u32) -> BlockRange {
    BlockRange { piece: PieceIndex(n % MESSAGES), begin: n % 64 * BLOCK_BYTES, length: BLOCK_BYTES }
}

fn frames<'a>(messages: impl Iterator<Item = Message<'a>>) -> Vec<u8> {
    let mut frames = Vec::new();
    messages.for_each(|message| wire::encode(&message, &mut frames));
    frames
}

/// Decodes all; the number of messages.
fn decoded(mut bytes: &[u8], limits: &Limits) -> u32 {
    let mut messages = 0;
    while let Decoded::Message { message, used } = wire::decode(bytes, limits).unwrap() {
        black_box(message);
        bytes = &bytes[used..];
        messages += 1;
    }
    messages
}

pub(crate) fn decode(criterion: &mut Criterion) {
    let payload = vec![7; BLOCK_BYTES as usize];
    let block = |n| Message::Block { piece: range(n).piece, begin: range(n).begin, bytes: &payload };
    let each: [(&str, u32, Vec<u8>); 3] = [
        ("blocks", BLOCKS, frames((0..BLOCKS).map(block))),
        ("requests", MESSAGES, frames((0..MESSAGES).map(|n| Message::Request(range(n))))),
        ("haves", MESSAGES, frames((0..MESSAGES).map(|n| Message::Have { piece: PieceIndex(n) }))),
    ];
    let limits = Limits::of(&layout());
    let mut group = criterion.benchmark_group("decode");
    for (name, count, bytes) in each {
        assert_eq!(decoded(&bytes, &limits), count);
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(name, |bench| bench.iter(|| decoded(black_box(&bytes), &limits)));
    }
}

pub(crate) fn encode(criterion: &mut Criterion) {
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(MESSAGES.into()));
    group.bench_function("requests", |bench| {
        bench.iter(|| {
            out.clear();
            (0..MESSAGES).for_each(|n| wire::encode(&Message::Request(range(n)), &mut out));
            out.len()
        });
    });
    group.bench_function("headers of blocks", |bench| {
        bench.iter(|| {
            for n in 0..MESSAGES {
                black_box(wire::block_header(black_box(range(n))));
            }
        });
    });
}
