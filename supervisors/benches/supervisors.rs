//! What supervision costs, each beside bare bastion where bastion has the like.
//!
//! `cargo bench -p supervisors`. Read medians, and compare only what was measured in one run: the machine is shared.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "parts/bastion_alone.rs"]
mod bastion_alone;
#[path = "parts/fault_points.rs"]
mod fault_points;
#[path = "parts/lives.rs"]
mod lives;
#[path = "parts/messages.rs"]
mod messages;
#[path = "parts/views.rs"]
mod views;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

fn config() -> Criterion {
    Criterion::default().sample_size(40).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = all;
    config = config();
    // Spawning comes last: bastion keeps every group that ever was, and is slower for it ever after.
    targets = lives::restart, messages::cast, messages::call, lives::monitor, views::snapshot,
        fault_points::fault_points, lives::spawn
}
criterion_main!(all);
