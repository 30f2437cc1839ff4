//! What is hot, piece by piece: the wire, the picker, ordsets, hashes, block memory, who is connected.
//!
//! `cargo bench -p bt-erl --bench hot`. Compare only what was measured in one run: the machine is shared.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "hot/blocks.rs"]
mod blocks;
#[path = "hot/crowds.rs"]
mod crowds;
#[path = "hot/hashing.rs"]
mod hashing;
#[path = "hot/ordsets.rs"]
mod ordsets;
#[path = "hot/picking.rs"]
mod picking;
#[path = "hot/wires.rs"]
mod wires;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn config() -> Criterion {
    Criterion::default().sample_size(30).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = all;
    config = config();
    targets = wires::decode, wires::encode, picking::picking, ordsets::ordsets, hashing::hashing, blocks::blocks, crowds::crowds
}
criterion_main!(all);
