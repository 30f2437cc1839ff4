//! The picker with 100,000 pieces and 500 peers: half of them seeds, half with every other piece or less.

use std::time::Duration;

use bt_erl::protocol::{Ask, BLOCK_BYTES, Bitfield, Grant, Layout, Opening, PeerKey, Picker, Picking, PieceIndex, Run};
use criterion::{BatchSize, Criterion};

const PIECES: u32 = 100_000;
const PEERS: u64 = 500;
/// Blocks of a piece, all granted as one run.
const BLOCKS: u32 = 16;
/// Pieces open at once: 64 MiB of them.
const OPEN: u64 = 256;

fn layout() -> Layout {
    let piece_bytes = BLOCKS * BLOCK_BYTES;
    Layout::new(piece_bytes, [u64::from(piece_bytes) * u64::from(PIECES)]).unwrap()
}

/// What a peer has: everything, or a part of it that is its own.
fn pieces_of(peer: u64) -> Bitfield {
    if peer.is_multiple_of(2) {
        return Bitfield::full(PIECES);
    }
    let mut pieces = Bitfield::new(PIECES);
    let step = 2 + peer % 7;
    (0..PIECES).filter(|piece| (u64::from(*piece) + peer).is_multiple_of(step)).for_each(|piece| {
        pieces.set(piece);
    });
    pieces
}

fn swarm() -> Picker {
    let (nothing, all) = (Bitfield::new(PIECES), Bitfield::full(PIECES));
    let picking = Picking { sequential: false, endgame_from: 100, seed: 7 };
    let mut picker = Picker::new(layout(), &nothing, &all, std::iter::empty(), picking);
    (0..PEERS).for_each(|peer| picker.joined(PeerKey(peer), pieces_of(peer)));
    picker
}

fn granted(picker: &mut Picker, peer: u64, now: Duration) -> Option<(PeerKey, Run)> {
    let ask = Ask { key: PeerKey(peer % PEERS), blocks: BLOCKS, rate: 10 << 20, fast: false, room: 0 };
    match picker.grant(ask, now, |_| Opening::Kept) {
        Grant::Run(run) => Some((ask.key, run)),
        Grant::Nothing | Grant::Later => None,
    }
}

/// A swarm in the middle of its work, what is granted in it, and who asks next.
struct Work {
    picker: Picker,
    granted: Vec<(PeerKey, Run)>,
    next: u64,
    finished: u32,
}

impl Work {
    fn new() -> Work {
        let mut picker = swarm();
        let granted = (0..OPEN).filter_map(|peer| granted(&mut picker, peer, Duration::ZERO)).collect();
        Work { picker, granted, next: OPEN, finished: 0 }
    }

    fn grant(&mut self) -> (PeerKey, Run) {
        self.next += 1;
        granted(&mut self.picker, self.next, Duration::ZERO).expect("there is enough for everybody")
    }
}

pub(crate) fn picking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("picking");
    let mut work = Work::new();
    group.bench_function("grant and give back", |bench| {
        bench.iter(|| {
            let (peer, run) = work.grant();
            work.picker.give_back(peer, run);
        });
    });
    group.bench_function("grant, receive, finish", |bench| {
        bench.iter(|| {
            if work.finished == PIECES / 2 {
                work = Work::new();
            }
            let (_, run) = work.grant();
            work.picker.received(run);
            work.picker.finished(run.piece);
            work.finished += 1;
        });
    });
    let mut work = Work::new();
    let (mut peer, mut piece) = (1, 0);
    group.bench_function("have", |bench| {
        bench.iter(|| {
            // Each of the peers that are no seeds tells of each piece in turn.
            if piece == PIECES {
                (work, piece) = (Work::new(), 0);
            }
            work.picker.has(PeerKey(peer), PieceIndex(piece));
            peer = (peer + 2) % PEERS;
            piece += u32::from(peer == 1);
        });
    });
    let pieces = pieces_of(1);
    group.bench_function("come and go", |bench| {
        bench.iter_batched(
            || pieces.clone(),
            |pieces| {
                work.picker.joined(PeerKey(PEERS), pieces);
                work.picker.left(PeerKey(PEERS));
            },
            BatchSize::SmallInput,
        );
    });
    let all: Vec<_> = work.granted.drain(..).collect();
    group.bench_function("give back and grant 256 runs", |bench| {
        bench.iter(|| {
            all.iter().for_each(|(peer, run)| work.picker.give_back(*peer, *run));
            (0..OPEN).filter_map(|peer| granted(&mut work.picker, peer, Duration::ZERO)).count()
        });
    });
}
