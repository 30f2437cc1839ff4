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
    Lost { key: u64, piece: u32 },
    Hinted { key: u64, piece: u32 },
    Grant { key: u64, blocks: u32, opening: Opening, room: u32, secs: u64, rate: u64, fast: bool },
    Spill { piece: u32 },
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
        1 => (key.clone(), 0..PIECES).prop_map(|(key, piece)| Happens::Lost { key, piece }),
        1 => (key.clone(), 0..PIECES + 1).prop_map(|(key, piece)| Happens::Hinted { key, piece }),
        12 => (key, 1u32..6, opening(), 0u32..4, 0u64..9, 0u64..3, 0u8..6).prop_map(|(key, blocks, opening, room, secs, rate, fast)| {
            Happens::Grant { key, blocks, opening, room, secs, rate: rate * 5000, fast: fast == 0 }
        }),
        4 => (any::<usize>(), 1u32..5).prop_map(|(run, blocks)| Happens::Received { run, blocks }),
        3 => any::<usize>().prop_map(|run| Happens::GiveBack { run }),
        1 => (0..PIECES).prop_map(|piece| Happens::Spill { piece }),
        1 => (0..PIECES).prop_map(|piece| Happens::Finished { piece }),
        1 => (0..PIECES).prop_map(|piece| Happens::Failed { piece }),
    ]
}

fn opening() -> impl Strategy<Value = Opening> {
    prop_oneof![Just(Opening::Not), Just(Opening::Kept), Just(Opening::Kept), Just(Opening::Spilled)]
}

const PIECES: u32 = 12;

/// The picker beside the plainest possible book-keeping.
struct Model {
    picker: Picker,
    peers: BTreeMap<u64, BTreeSet<u32>>,
    have: BTreeSet<u32>,
    wanted: BTreeSet<u32>,
    allowed: BTreeSet<(u64, u32)>,
    here: BTreeSet<(u32, u32)>,
    runs: Vec<(u64, Run)>,
    /// Pieces that failed: while one peer delivers such a piece, the others get none of it.
    failed: BTreeSet<u32>,
    /// Open pieces whose blocks go to the disk as they come.
    spilled: BTreeSet<u32>,
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
                self.allowed.retain(|(of, _)| *of != key);
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
            Happens::Lost { key, piece } => {
                self.picker.lost(PeerKey(key), PieceIndex(piece));
                if self.peers.get_mut(&key).is_some_and(|pieces| pieces.remove(&piece)) {
                    self.runs.retain(|(of, run)| *of != key || run.piece.0 != piece);
                }
            }
            Happens::Hinted { key, piece } => {
                self.picker.suggested(PeerKey(key), PieceIndex(piece));
                self.picker.allowed(PeerKey(key), PieceIndex(piece));
                if self.peers.contains_key(&key) {
                    self.allowed.insert((key, piece));
                }
            }
            Happens::Grant { key, blocks, opening, room, secs, rate, fast } => {
                self.grant(Ask { key: PeerKey(key), blocks, rate, fast, room }, opening, secs);
            }
            Happens::Received { run, blocks } if !self.runs.is_empty() => {
                let at = run % self.runs.len();
                let (_, whole) = self.runs[at];
                let part = Run { blocks: blocks.min(whole.blocks), ..whole };
                let asked = self.asked();
                let news: Vec<u32> = part.numbers().filter(|n| self.here.insert((part.piece.0, *n))).collect();
                let doubled: BTreeSet<(u64, u32)> = news
                    .iter()
                    .filter_map(|n| asked.get(&(part.piece.0, *n)).filter(|of| of.len() > 1).map(|of| (n, of)))
                    .flat_map(|(n, of)| of.iter().map(|key| (*key, *n)))
                    .collect();
                let received = self.picker.received(part);
                assert_eq!(received.news, news.len() as u32);
                assert_eq!(
                    received.doubled.iter().map(|(key, run)| (key.0, run.first)).collect::<BTreeSet<_>>(),
                    doubled
                );
                self.runs[at].1 = Run { first: part.numbers().end, blocks: whole.blocks - part.blocks, ..whole };
            }
            Happens::GiveBack { run } if !self.runs.is_empty() => {
                let (key, run) = self.runs.remove(run % self.runs.len());
                self.picker.give_back(PeerKey(key), run);
            }
            Happens::Spill { piece } => {
                self.picker.spill(PieceIndex(piece));
                self.spilled.insert(piece);
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

    fn grant(&mut self, ask: Ask, opening: Opening, secs: u64) {
        let (key, blocks) = (ask.key.0, ask.blocks);
        let asked = self.asked();
        let useful = self.useful(key);
        let may = |piece: &u32| !ask.fast || self.allowed.contains(&(key, *piece));
        let is_free = |block: (u32, u32)| !asked.contains_key(&block) && !self.here.contains(&block);
        let mut times = 0;
        let answer = self.picker.grant(ask, Duration::from_secs(secs), |_| {
            times += 1;
            opening
        });
        assert!(times <= 1);
        let kept = |piece: u32| !self.spilled.contains(&piece);
        match answer {
            Grant::Nothing => assert!(useful.is_empty()),
            Grant::Later => {
                assert!(!useful.is_empty());
                let alone =
                    |piece: &&u32| self.failed.contains(*piece) && (0..4).any(|n| asked.contains_key(&(**piece, n)));
                let mut shared = useful.iter().filter(|piece| may(piece) && !alone(piece));
                let free = shared.any(|piece| (kept(*piece) || ask.room > 0) && (0..4).any(|n| is_free((*piece, n))));
                assert!(
                    !free || opening == Opening::Not || (opening == Opening::Spilled && ask.room == 0),
                    "a free block was not granted"
                );
            }
            Grant::Run(run) => {
                assert!(
                    useful.contains(&run.piece.0)
                        && may(&run.piece.0)
                        && (1..=blocks).contains(&run.blocks)
                        && run.numbers().end <= 4
                );
                let opened = !asked.keys().chain(&self.here).any(|(piece, _)| *piece == run.piece.0);
                if opened && opening == Opening::Spilled {
                    self.spilled.insert(run.piece.0);
                }
                let helps = run.numbers().all(|n| asked.contains_key(&(run.piece.0, n)));
                assert!(helps || !self.spilled.contains(&run.piece.0) || run.blocks <= ask.room, "no memory for it");
                for n in run.numbers() {
                    let holders = asked.get(&(run.piece.0, n)).map_or(&[][..], Vec::as_slice);
                    assert!(holders.len() < 2 && !holders.contains(&key), "{holders:?}");
                    assert!(!self.here.contains(&(run.piece.0, n)));
                }
                self.runs.push((key, run));
            }
        }
    }

    /// The pieces of a peer that are wanted and not finished.
    fn useful(&self, key: u64) -> Vec<u32> {
        let theirs = self.peers.get(&key).into_iter().flatten().copied();
        theirs.filter(|piece| self.wanted.contains(piece) && !self.have.contains(piece)).collect()
    }

    fn check(&mut self) {
        let asked = self.asked();
        let open: BTreeSet<u32> = asked.keys().chain(&self.here).map(|(piece, _)| *piece).collect();
        let (have, in_flight) = (self.have.len() as u32, open.len() as u32);
        let skipped =
            (0..PIECES).filter(|piece| !self.wanted.contains(piece) && !self.have.contains(piece)).count() as u32;
        let want = PIECES - have - in_flight - skipped;
        assert_eq!(self.picker.partition(), Partition { have, want, in_flight, skipped, astray: 0 });
        assert_eq!(self.picker.in_flight(), asked.len() as u64);
        self.spilled.retain(|piece| open.contains(piece));
        let spilled = asked.keys().filter(|(piece, _)| self.spilled.contains(piece)).count() as u64;
        assert_eq!(self.picker.spilled_in_flight(), spilled);
        assert_eq!(self.picker.open_pieces(), open.len());
        for key in self.peers.keys() {
            assert_eq!(self.picker.interesting(PeerKey(*key)), !self.useful(*key).is_empty());
            let asked_of = asked.values().filter(|of| of.contains(key)).count() as u32;
            assert_eq!(self.picker.asked_of(PeerKey(*key)), asked_of);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn have_want_in_flight_and_skipped_partition_the_pieces_and_the_download_ends(
        events in proptest::collection::vec(happens(), 0..120),
        wanted in prop_oneof![Just(u16::MAX), any::<u16>()],
        sequential in any::<bool>(),
        endgame_from in 1u8..=100,
    ) {
        let wanted: BTreeSet<u32> = (0..PIECES).filter(|piece| wanted >> piece & 1 == 1).collect();
        let drawn: String = (0..PIECES).map(|piece| if wanted.contains(&piece) { 'x' } else { '.' }).collect();
        let picking = Picking { sequential, endgame_from, seed: 3 };
        let picker = Picker::new(layout(PIECES, 4), &Bitfield::new(PIECES), &field(&drawn), std::iter::empty(), picking);
        let mut model = Model {
            picker, wanted, peers: BTreeMap::new(), have: BTreeSet::new(), here: BTreeSet::new(), runs: Vec::new(),
            failed: BTreeSet::new(), allowed: BTreeSet::new(),
            spilled: BTreeSet::new(),
        };
        for event in events {
            model.apply(event);
            model.check();
        }
        // Whatever happened, one seed that answers ends the download, though the others stay silent.
        model.apply(Happens::Joined { key: 99, pieces: u16::MAX });
        for _ in 0..PIECES * 4 {
            for secs in [0, 100] {
                model.apply(Happens::Grant { key: 99, blocks: 4, opening: Opening::Spilled, room: 3, secs, rate: 0, fast: false });
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
            prop_assert!(whole || model.have.contains(&piece) || !model.wanted.contains(&piece), "piece {} is not here", piece);
        }
    }
}
