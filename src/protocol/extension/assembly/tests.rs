//! Honest peers and every kind of liar, asked in turns.

use proptest::prelude::*;

use super::*;
use crate::protocol::extension::metadata::{Metadata, answer};

fn info(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| ((n * n) >> 7) as u8).collect()
}

fn assembly(info: &[u8]) -> Assembly<u32> {
    Assembly::new(InfoHash(Sha1::digest(info).into()))
}

/// How a peer answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Honest,
    /// Flips a bit in every piece.
    Corrupt,
    /// Says it has so many bytes more (and sends zeros for them).
    LongerBy(u32),
    Silent,
    Rejecting,
    /// Pieces one byte short.
    Short,
}

/// What `kind` sends for `piece`: the size that it names, and bytes; `None`: nothing.
fn given(kind: Kind, info: &[u8], piece: u32) -> Option<(u32, Vec<u8>)> {
    let longer = match kind {
        Kind::LongerBy(more) => [info, &vec![0; more as usize]].concat(),
        _ => info.to_vec(),
    };
    let Metadata::Data { total_bytes, bytes, .. } = answer(&longer, piece) else { return None };
    let mut bytes = bytes.to_vec();
    match kind {
        Kind::Corrupt => bytes[0] ^= 1,
        Kind::Short => drop(bytes.pop()),
        Kind::Silent | Kind::Rejecting => return None,
        Kind::Honest | Kind::LongerBy(_) => {}
    }
    Some((total_bytes, bytes))
}

/// Asks everybody in turns, and returns what came out of it and who was found to lie.
fn run(info: &[u8], kinds: &[Kind]) -> (Option<Vec<u8>>, Vec<u32>) {
    let (mut assembly, mut liars, mut gone) = (assembly(info), Vec::new(), std::collections::BTreeSet::new());
    for (key, kind) in (0..).zip(kinds) {
        let size = info.len() as u32 + if let Kind::LongerBy(more) = kind { *more } else { 0 };
        assembly.joined(key, size).unwrap();
    }
    for _ in 0..10_000 {
        let mut idle = true;
        for (key, kind) in (0..).zip(kinds) {
            let Some(piece) = assembly.ask(key) else {
                // A time limit ends who never answers.
                if *kind == Kind::Silent && gone.insert(key) {
                    assembly.left(key);
                    idle = false;
                }
                continue;
            };
            idle = false;
            match given(*kind, info, piece) {
                None if *kind == Kind::Rejecting => assembly.left(key),
                None => {}
                Some((total, bytes)) => match assembly.received(key, piece, total, &bytes) {
                    Received::Complete(whole) => return (Some(whole), liars),
                    Received::Failed { liars: found } => liars.extend(found),
                    Received::WrongLength => liars.push(key),
                    Received::Kept { dropped } => assert!(dropped.is_empty()),
                    Received::Unasked => panic!("it was asked for"),
                },
            }
        }
        if idle {
            break;
        }
    }
    (None, liars)
}

#[test]
fn pieces_of_several_peers_make_the_info_dictionary() {
    for bytes in [1, 2, 16384, 16385, 100_000] {
        let info = info(bytes);
        assert_eq!(run(&info, &[Kind::Honest; 3]), (Some(info.clone()), vec![]), "{bytes} bytes");
    }
}

#[test]
fn each_kind_of_liar_beside_one_honest_peer_is_named_or_left_aside() {
    let info = info(50_000);
    let alone = |kind| run(&info, &[kind, Kind::Honest]);
    assert_eq!(alone(Kind::Short), (Some(info.clone()), vec![0]));
    for kind in [Kind::Silent, Kind::Rejecting, Kind::LongerBy(60_000)] {
        assert_eq!(alone(kind), (Some(info.clone()), vec![]), "{kind:?}");
    }
    let (whole, liars) = alone(Kind::Corrupt);
    assert!(whole.is_some() && !liars.contains(&1));
    assert_eq!(run(&info, &[Kind::LongerBy(1)]), (None, vec![0]));
    assert_eq!(run(&info, &[Kind::Corrupt]), (None, vec![0]));
    assert_eq!(run(&info, &[Kind::Corrupt, Kind::Corrupt]), (None, vec![0, 1]));
}

#[test]
fn a_size_that_cannot_be_is_refused_and_a_large_one_costs_nothing() {
    let mut assembly = assembly(b"x");
    assert_eq!(assembly.joined(1, 0), Err(SizeOutOfRange));
    assert_eq!(assembly.joined(1, Metainfo::MAX_BYTES as u32 + 1), Err(SizeOutOfRange));
    assert_eq!(assembly.joined(1, u32::MAX), Err(SizeOutOfRange));
    assert_eq!(assembly.joined(1, Metainfo::MAX_BYTES as u32), Ok(()));
    let asked: Vec<u32> = std::iter::from_fn(|| assembly.ask(1)).collect();
    assert_eq!((asked, assembly.attempts.len()), (vec![0, 1, 2, 3], 0));
}

#[test]
fn a_piece_is_asked_of_two_at_most_and_of_another_when_one_is_gone() {
    let mut assembly = assembly(&info(20_000));
    (1..=4).for_each(|key| assembly.joined(key, 20_000).unwrap());
    assert_eq!(
        [assembly.ask(1), assembly.ask(2), assembly.ask(3), assembly.ask(4)],
        [Some(0), Some(1), Some(0), Some(1)]
    );
    assert_eq!([assembly.ask(1), assembly.ask(2)], [None, None]);
    assembly.left(3);
    assert_eq!([assembly.ask(2), assembly.ask(1)], [Some(0), None]);
}

#[test]
fn what_nobody_asked_for_is_not_kept() {
    let mut assembly = assembly(&info(20_000));
    assert_eq!(assembly.received(1, 0, 20_000, &[0; 16384]), Received::Unasked, "a stranger");
    assembly.joined(1, 20_000).unwrap();
    assert_eq!(assembly.received(1, 0, 20_000, &[0; 16384]), Received::Unasked);
    assert_eq!(assembly.ask(1), Some(0));
    assert_eq!(assembly.received(1, 0, 20_001, &[0; 16384]), Received::WrongLength, "another size than announced");
    assert_eq!(assembly.ask(1), None, "it is no source any more");
}

#[test]
fn what_has_come_fits_the_memory_whatever_is_sent() {
    // Three peers, each with a size of its own near the largest: together far more than may be kept.
    let mut assembly = assembly(b"never");
    let size = |key: u32| Metainfo::MAX_BYTES as u32 - key;
    (0..3).for_each(|key| assembly.joined(key, size(key)).unwrap());
    let mut dropped = Vec::new();
    let pieces = Metainfo::MAX_BYTES as u32 / PIECE_BYTES;
    for n in 0..pieces / 2 {
        for key in (0..3).filter(|key| *key < 2 || n % 2 == 0) {
            let Some(piece) = assembly.ask(key) else { continue };
            match assembly.received(key, piece, size(key), &vec![0; length_of(piece, size(key))]) {
                Received::Kept { dropped: more } => dropped.extend(more),
                Received::Unasked => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(dropped, [2], "the one that has come least far");
    let kept: usize = assembly.attempts.values().flat_map(|attempt| attempt.values()).map(|(_, b)| b.len()).sum();
    assert!(kept <= MEMORY_BYTES);
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Honest),
        2 => Just(Kind::Corrupt),
        1 => (1_u32..40_000).prop_map(Kind::LongerBy),
        1 => Just(Kind::Silent),
        1 => Just(Kind::Rejecting),
        1 => Just(Kind::Short),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_honest_peer_is_enough_and_is_never_named(bytes in 1_usize..80_000, kinds in proptest::collection::vec(kind(), 0..7)) {
        let info = info(bytes);
        let (whole, liars) = run(&info, &kinds);
        prop_assert_eq!(whole, kinds.contains(&Kind::Honest).then_some(info));
        prop_assert!(liars.iter().all(|liar| kinds[*liar as usize] != Kind::Honest));
    }
}
