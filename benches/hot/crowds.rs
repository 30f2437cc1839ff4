//! Who is connected: one that comes and goes beside a hundred, and beside ten thousand. The look-ups are in trees: the second costs about twice the first.

use bt_erl::protocol::crowd::{Crowd, Meeting, Member};
use bt_erl::protocol::{PeerId, PeerKey};
use criterion::{BenchmarkId, Criterion};

fn member(number: u32) -> Member {
    let mut peer_id = PeerId([0; 20]);
    peer_id.0[..4].copy_from_slice(&number.to_be_bytes());
    Member { address: (number.to_be_bytes(), 6881).into(), peer_id, outgoing: false }
}

pub(crate) fn crowds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crowd");
    for others in [100, 10_000] {
        let mut crowd = Crowd::default();
        (0..others).for_each(|number| crowd.joined(PeerKey(number.into()), member(number)));
        let (mut number, ours) = (others, PeerId([9; 20]));
        group.bench_function(BenchmarkId::new("come and go", others), |bench| {
            bench.iter(|| {
                number += 1;
                let newcomer = member(number);
                assert_eq!(crowd.meet(&newcomer, ours), Meeting::New);
                crowd.joined(PeerKey(number.into()), newcomer);
                crowd.left(PeerKey(number.into()));
                crowd.staying()
            });
        });
    }
}
