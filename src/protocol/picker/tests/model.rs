//! The picker beside the plainest possible book-keeping, through any sequence of events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What may happen to a picker. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Happens {
    Joined { key: u64, pieces: u16 },
    Has { key: u64, piece: u32 },
    Left { key: u64 },
    Grant { key: u64, blocks: u32, memory: bool, secs: u64 },
    Received { run: usize, blocks: u32 },
    GiveBack { run: usize },
    Finished { piece: u32 },
    Failed { piece: u32 },
}

fn happens() -> impl Strategy<Value = Happens> {
    let key = 0u64..5;
    prop_oneof![
        2 => (key.clone(), any::<u16>()).prop_map(|(key, pieces)| Happens::Joined { key, pieces }),
        1 => key.clone().prop_map(|key| Happens::Joined { key, pieces: u16::MAX }),
        2 => (key.clone(), 0..PIECES).prop_map(|(key, piece)| Happens::Has { key, piece }),
        1 => key.clone().prop_map(|key| Happens::Left { key }),
        12 => (key, 1u32..6, any::<bool>(), 0u64..9).prop_map(|(key, blocks, memory, secs)| {
            Happens::Grant { key, blocks, memory, secs }
        }),
        4 => (any::<usize>(), 1u32..5).prop_map(|(run, blocks)| Happens::Received { run, blocks }),
        3 => any::<usize>().prop_map(|run| Happens::GiveBack { run }),
        1 => (0..PIECES).prop_map(|piece| Happens::Finished { piece }),
        1 => (0..PIECES).prop_map(|piece| Happens::Failed { piece }),
    ]
}

const PIECES: u32 = 12;

/// The picker beside the plainest possible book-keeping.
struct Model {
    picker: Picker,
    peers: BTreeMap<u64, BTreeSet<u32>>,
    have: BTreeSet<u32>,
    here: BTreeSet<(u32, u32)>,
    runs: Vec<(u64, Run)>,
    /// Pieces that failed: while one peer delivers such a piece, the others get none of it.
    failed: BTreeSet<u32>,
}

impl Model {
    fn asked(&self) -> BTreeMap<(u32, u32), Vec<u64>> {
        let mut asked = BTreeMap::<_, Vec<u64>>::new();
        for (key, run) in &self.runs {
            for n in run.numbers().filter(|n| !self.here.contains(&(run.piece.0, *n))) {
                asked.entry((run.piece.0, n)).or_default().push(*key);
            }
        }
        asked
    }

    fn forget(&mut self, piece: u32) {
        self.runs.retain(|(_, run)| run.piece.0 != piece);
        self.here.retain(|(p, _)| *p != piece);
    }

    fn apply(&mut self, event: Happens) {
        match event {
            Happens::Joined { key, pieces } => {
                let pieces: BTreeSet<u32> = (0..PIECES).filter(|piece| pieces >> piece & 1 == 1).collect();
                let drawn: String = (0..PIECES).map(|piece| if pieces.contains(&piece) { 'x' } else { '.' }).collect();
                self.runs.retain(|(of, _)| *of != key);
                self.picker.joined(PeerKey(key), field(&drawn));
                self.peers.insert(key, pieces);
            }
            Happens::Has { key, piece } => {
                self.picker.has(PeerKey(key), PieceIndex(piece));
                self.peers.get_mut(&key).map(|pieces| pieces.insert(piece));
            }
            Happens::Left { key } => {
                self.picker.left(PeerKey(key));
                self.peers.remove(&key);
                self.runs.retain(|(of, _)| *of != key);
            }
            Happens::Grant { key, blocks, memory, secs } => self.grant(key, blocks, memory, secs),
            Happens::Received { run, blocks } if !self.runs.is_empty() => {
                let at = run % self.runs.len();
                let (_, whole) = self.runs[at];
                let part = Run { blocks: blocks.min(whole.blocks), ..whole };
                let news = part.numbers().filter(|n| self.here.insert((part.piece.0, *n))).count();
                assert_eq!(self.picker.received(part).news, news as u32);
                self.runs[at].1 = Run { first: part.numbers().end, blocks: whole.blocks - part.blocks, ..whole };
            }
            Happens::GiveBack { run } if !self.runs.is_empty() => {
                let (key, run) = self.runs.remove(run % self.runs.len());
                self.picker.give_back(PeerKey(key), run);
            }
            Happens::Finished { piece } => {
                self.picker.finished(PieceIndex(piece));
                self.have.insert(piece);
                self.forget(piece);
            }
            Happens::Failed { piece } => {
                self.picker.failed(PieceIndex(piece));
                self.failed.insert(piece);
                self.forget(piece);
            }
            Happens::Received { .. } | Happens::GiveBack { .. } => {}
        }
    }

    fn grant(&mut self, key: u64, blocks: u32, memory: bool, secs: u64) {
        let (asked, wanted) = (self.asked(), |piece: &u32| !self.have.contains(piece));
        let useful: Vec<u32> = self.peers.get(&key).into_iter().flatten().copied().filter(wanted).collect();
        let is_free = |block: (u32, u32)| !asked.contains_key(&block) && !self.here.contains(&block);
        let mut times = 0;
        let answer = self.picker.grant(ask(PeerKey(key), blocks), Duration::from_secs(secs), |_| {
            times += 1;
            memory
        });
        assert!(times <= 1);
        match answer {
            Grant::Nothing => assert!(useful.is_empty()),
            Grant::Later => {
                assert!(!useful.is_empty());
                let alone =
                    |piece: &&u32| self.failed.contains(*piece) && (0..4).any(|n| asked.contains_key(&(**piece, n)));
                let mut shared = useful.iter().filter(|piece| !alone(piece));
                let free = shared.any(|piece| (0..4).any(|n| is_free((*piece, n))));
                assert!(!free || !memory, "a free block was not granted");
            }
            Grant::Run(run) => {
                assert!(useful.contains(&run.piece.0) && (1..=blocks).contains(&run.blocks) && run.numbers().end <= 4);
                for n in run.numbers() {
                    let holders = asked.get(&(run.piece.0, n)).map_or(&[][..], Vec::as_slice);
                    assert!(holders.len() < 2 && !holders.contains(&key), "{holders:?}");
                    assert!(!self.here.contains(&(run.piece.0, n)));
                }
                self.runs.push((key, run));
            }
        }
    }

    fn check(&self) {
        let asked = self.asked();
        let open: BTreeSet<u32> = asked.keys().chain(&self.here).map(|(piece, _)| *piece).collect();
        let (have, in_flight) = (self.have.len() as u32, open.len() as u32);
        let want = PIECES - have - in_flight;
        assert_eq!(self.picker.partition(), Partition { have, want, in_flight, skipped: 0, astray: 0 });
        assert_eq!(self.picker.in_flight(), asked.len() as u64);
        assert_eq!(self.picker.open_pieces(), open.len());
        for (key, pieces) in &self.peers {
            let interesting = pieces.iter().any(|piece| !self.have.contains(piece));
            assert_eq!(self.picker.interesting(PeerKey(*key)), interesting);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn have_want_and_in_flight_partition_the_pieces_and_the_download_ends(events in proptest::collection::vec(happens(), 0..120)) {
        let picker = wanting_all(layout(PIECES, 4), &Bitfield::new(PIECES), 3);
        let mut model = Model {
            picker, peers: BTreeMap::new(), have: BTreeSet::new(), here: BTreeSet::new(), runs: Vec::new(),
            failed: BTreeSet::new(),
        };
        for event in events {
            model.apply(event);
            model.check();
        }
        // Whatever happened, one seed that answers ends the download, though the others stay silent.
        model.apply(Happens::Joined { key: 99, pieces: u16::MAX });
        for _ in 0..PIECES * 4 {
            for secs in [0, 100] {
                model.apply(Happens::Grant { key: 99, blocks: 4, memory: true, secs });
            }
            while let Some(run) = model.runs.iter().position(|(key, run)| *key == 99 && run.blocks > 0) {
                model.apply(Happens::Received { run, blocks: 4 });
            }
            model.runs.retain(|(key, run)| *key != 99 || run.blocks > 0);
            // What two peers were asked for already comes free when they are timed out.
            if let Some(run) = model.runs.iter().position(|(key, _)| *key != 99) {
                model.apply(Happens::GiveBack { run });
            }
            model.check();
        }
        for piece in 0..PIECES {
            let whole = (0..4).all(|n| model.here.contains(&(piece, n)));
            prop_assert!(whole || model.have.contains(&piece), "piece {} is not here", piece);
        }
    }
}
