//! Blocks drawn as letters, senders as numbers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::protocol::BLOCK_BYTES;

/// Two pieces of three blocks each, the second one short.
fn vault() -> Vault<char, u8> {
    let layout = Layout::new(3 * 16384, [5 * 16384 + 1]).expect("a valid layout");
    Vault::new(layout)
}

const P: PieceIndex = PieceIndex(0);

#[test]
fn a_piece_is_whole_when_its_last_block_is_put_in_whoever_sent_it() {
    let mut v = vault();
    assert!(matches!(v.put(P, vec![(2, 'c'), (0, 'a')], 1), (Put::Kept, 0)));
    assert_eq!(v.partials().map(|(p, b)| (p, b.count())).collect::<Vec<_>>(), [(P, 2)]);
    let (Put::Whole(whole), 0) = v.put(P, vec![(1, 'b')], 2) else { panic!("not whole") };
    assert_eq!((whole.blocks, whole.sources), (vec!['a', 'b', 'c'], vec![1, 2]));
    assert_eq!(v.partials().count(), 0);
    assert!(!v.have().get(0), "whole is not finished");
}

#[test]
fn a_block_counts_once_and_its_double_names_no_source() {
    let mut v = vault();
    v.put(P, vec![(0, 'a')], 1);
    assert!(matches!(v.put(P, vec![(0, 'z')], 2), (Put::Kept, 1)));
    let (Put::Whole(whole), _) = v.put(P, vec![(1, 'b'), (2, 'c')], 1) else { panic!("not whole") };
    assert_eq!((whole.blocks, whole.sources), (vec!['a', 'b', 'c'], vec![1]));
}

#[test]
fn blocks_of_a_finished_piece_are_late() {
    let mut v = vault();
    let (Put::Whole(_whole), _) = v.put(P, vec![(0, 'a'), (1, 'b'), (2, 'c')], 1) else { panic!("not whole") };
    assert!(matches!(v.put(P, vec![(0, 'a')], 1), (Put::Late, 1)), "in hand");
    assert_eq!([v.finished(P), v.finished(P)], [true, false]);
    assert!(v.have().get(0));
    assert!(matches!(v.put(P, vec![(0, 'a')], 1), (Put::Late, 1)), "finished");
}

#[test]
fn after_a_failed_hash_the_piece_is_untouched() {
    let mut v = vault();
    v.put(P, vec![(0, 'a'), (1, 'b'), (2, 'c')], 1);
    v.failed(P, None);
    assert!(!v.have().get(0));
    assert!(matches!(v.put(P, vec![(0, 'a')], 1), (Put::Kept, 0)));
}

#[test]
fn a_restart_keeps_what_the_workers_hold_and_forgets_what_is_lost() {
    let mut v = vault();
    let (Put::Whole(held), _) = v.put(P, vec![(0, 'a'), (1, 'b'), (2, 'c')], 1) else { panic!("not whole") };
    let (Put::Whole(lost), _) = v.put(PieceIndex(1), vec![(0, 'a'), (1, 'b'), (2, 'c')], 1) else {
        panic!("not whole")
    };
    drop(lost);
    v.reclaim();
    assert_eq!(v.in_hand().collect::<Vec<_>>(), [P]);
    drop(held);
}

/// Of each block a hash that no two letters share.
fn hashes(whole: &Whole<char, u8>) -> Option<Vec<[u8; 20]>> {
    Some(whole.blocks.iter().map(|block| [*block as u8; 20]).collect())
}

/// One piece of four blocks; the right ones are `abcd`.
fn four() -> Vault<char, u8> {
    Vault::new(Layout::new(4 * BLOCK_BYTES, [4 * u64::from(BLOCK_BYTES)]).expect("a valid layout"))
}

/// Puts in a piece as it is drawn, block by block, a digit for who sent it below each letter. The whole piece when it is one.
fn send(v: &mut Vault<char, u8>, letters: &str, senders: &str) -> Option<Whole<char, u8>> {
    let mut whole = None;
    for ((n, letter), by) in (0..).zip(letters.chars()).zip(senders.bytes()) {
        if let (Put::Whole(all), _) = v.put(P, vec![(n, letter)], by - b'0') {
            whole = Some(all);
        }
    }
    whole
}

/// The hash of the piece failed: what is remembered goes back into the vault. True when there was something.
fn fail(v: &mut Vault<char, u8>, letters: &str, senders: &str) -> bool {
    let evidence = send(v, letters, senders).expect("a whole piece").evidence(hashes);
    let some = evidence.is_some();
    v.failed(P, evidence);
    some
}

#[test]
fn of_several_who_sent_a_bad_piece_only_the_liar_is_named() {
    let mut v = four();
    assert!(fail(
        &mut v, //
        "abXd", "1231",
    ));
    assert_eq!(send(&mut v, "abcd", "4444").expect("whole").liars(hashes), [3]);
}

#[test]
fn a_liar_is_named_when_it_sends_the_right_blocks_itself_the_next_time() {
    let mut v = four();
    fail(&mut v, "aXcd", "1122");
    assert_eq!(send(&mut v, "abcd", "1111").expect("whole").liars(hashes), [1]);
}

#[test]
fn several_liars_in_several_failures_are_each_named_once() {
    let mut v = four();
    fail(&mut v, "XbXd", "1212");
    fail(&mut v, "abcX", "3124");
    assert_eq!(send(&mut v, "abcd", "2222").expect("whole").liars(hashes), [1, 4]);
}

#[test]
fn one_who_sent_a_bad_piece_alone_needs_no_evidence() {
    let mut v = four();
    assert!(!fail(&mut v, "abcX", "1111"));
    assert_eq!(send(&mut v, "abcd", "2345").expect("whole").liars(hashes), Vec::<u8>::new());
}

#[test]
fn whoever_sent_a_block_first_answers_for_it_and_not_who_sent_it_again() {
    let mut v = four();
    v.put(P, vec![(0, 'X')], 1);
    assert!(matches!(v.put(P, vec![(0, 'a')], 2), (Put::Kept, 1)));
    assert!(matches!(v.put(P, vec![(0, 'Y')], 3), (Put::Kept, 1)));
    let (Put::Whole(bad), 0) = v.put(P, vec![(1, 'b'), (2, 'c'), (3, 'd')], 3) else { panic!("not whole") };
    v.failed(P, bad.evidence(hashes));
    assert_eq!(send(&mut v, "abcd", "4444").expect("whole").liars(hashes), [1]);
}

#[test]
fn what_is_known_of_a_piece_is_forgotten_when_it_is_finished() {
    let mut v = four();
    fail(&mut v, "aXcd", "1122");
    drop(send(&mut v, "abcd", "3333"));
    v.finished(P);
    assert!(v.failures.is_empty());
}

#[test]
fn no_more_than_64_failures_are_remembered_and_the_oldest_are_forgotten() {
    let mut v = four();
    fail(&mut v, "Xbcd", "1234");
    for _ in 0..MAX_EVIDENCE {
        fail(&mut v, "aXcd", "1234");
    }
    assert_eq!(v.failures.len(), MAX_EVIDENCE);
    assert_eq!(send(&mut v, "abcd", "5555").expect("whole").liars(hashes), [2]);
}

#[test]
fn failures_of_very_long_pieces_take_no_more_memory_than_those_of_short_ones() {
    let blocks = MAX_EVIDENCE_BLOCKS as u32 / 2;
    let layout = Layout::new(blocks * BLOCK_BYTES, [10 * u64::from(blocks) * u64::from(BLOCK_BYTES)]);
    let mut v: Vault<char, u8> = Vault::new(layout.expect("a valid layout"));
    for piece in (0..10).map(PieceIndex) {
        v.put(piece, vec![(0, 'X')], 1);
        let (Put::Whole(whole), _) = v.put(piece, (1..blocks).map(|n| (n, 'b')).collect(), 2) else {
            panic!("not whole")
        };
        v.failed(piece, whole.evidence(hashes));
    }
    assert_eq!(v.failures.iter().map(|(piece, _)| piece.0).collect::<Vec<_>>(), [8, 9]);
}

/// Puts in one block of a spilled piece: it has to leave.
fn leaves(v: &mut Vault<char, u8>, n: u32, letter: char, by: u8) -> Spill<char> {
    let (Put::Spill(spill), 0) = v.put(P, vec![(n, letter)], by) else { panic!("kept in memory") };
    assert_eq!(spill.blocks, [(n, letter)]);
    spill
}

#[test]
fn a_spilled_piece_is_whole_when_its_last_block_is_on_the_disk() {
    let mut v = four();
    v.put(P, vec![(1, 'b'), (3, 'd')], 1);
    let here = v.spill(P).expect("what is here leaves");
    assert_eq!((&here.blocks[..], v.blocks_kept()), (&[(1, 'b'), (3, 'd')][..], 0));
    assert!(v.awaits(P, &here.token));
    assert!(v.spill(P).is_none(), "it is spilled already");
    let (first, last) = (leaves(&mut v, 0, 'a', 2), leaves(&mut v, 2, 'c', 1));
    assert!(matches!(v.put(P, vec![(2, 'z')], 3), (Put::Kept, 1)), "a double");
    assert!(v.spilled(P, &[2], &last.token).is_none());
    assert!(v.spilled(P, &[1, 3], &here.token).is_none());
    let whole = v.spilled(P, &[0], &first.token).expect("whole");
    assert!(whole.is_on_disk() && v.in_hand().eq([P]));
    assert_eq!(whole.sources, [1, 2]);
    // Read back, one of them differs; who sent it is known all the same.
    let read = |letters: &str| Some(letters.bytes().map(|letter| [letter; 20]).collect());
    v.failed(P, whole.evidence(|_| read("Xbcd")));
    assert!(matches!(v.put(P, vec![(0, 'a')], 3), (Put::Kept, 0)), "after that it is a piece like others");
    let again = send(&mut v, "?bcd", "3333").expect("whole");
    assert_eq!((again.is_on_disk(), again.liars(hashes)), (false, vec![2]));
}

#[test]
fn what_was_lost_on_its_way_to_the_disk_is_missing_after_a_restart_and_nothing_else_is() {
    let mut v = four();
    assert!(v.spill(P).is_none(), "nothing is here");
    let (lost, written, held) = (leaves(&mut v, 0, 'a', 1), leaves(&mut v, 1, 'b', 1), leaves(&mut v, 2, 'c', 1));
    assert!(v.spilled(P, &[1], &written.token).is_none());
    drop(lost);
    v.reclaim();
    let present: Vec<u32> = v.partials().flat_map(|(_, blocks)| blocks.iter_ones().collect::<Vec<_>>()).collect();
    assert_eq!(present, [1, 2]);
    let again = leaves(&mut v, 0, 'a', 1);
    for spill in [held, again, leaves(&mut v, 3, 'd', 1)] {
        let numbers: Vec<u32> = spill.blocks.iter().map(|(n, _)| *n).collect();
        assert_eq!(v.spilled(P, &numbers, &spill.token).is_some(), numbers == [3]);
    }
}

#[test]
fn news_of_blocks_that_were_given_up_changes_nothing() {
    let mut v = four();
    v.spill(P);
    let given_up = leaves(&mut v, 0, 'a', 1);
    assert!(v.awaits(P, &given_up.token));
    v.failed(P, None);
    assert!(!v.awaits(P, &given_up.token));
    assert!(v.spilled(P, &[0], &given_up.token).is_none());
    v.spill(P);
    let spills: Vec<_> = (0..4).map(|n| leaves(&mut v, n, 'x', 1)).collect();
    for n in 0..4 {
        assert!(v.spilled(P, &[n], &given_up.token).is_none(), "not the block that was given up");
    }
    let whole = spills.iter().zip(0..).filter_map(|(spill, n)| v.spilled(P, &[n], &spill.token)).count();
    assert_eq!(whole, 1);
}

#[test]
fn a_piece_that_is_kept_counts_whole_and_one_that_is_spilled_not_at_all() {
    let mut v = vault();
    v.put(P, vec![(0, 'a')], 1);
    v.put(PieceIndex(1), vec![(0, 'a'), (1, 'b')], 1);
    assert_eq!(v.blocks_kept(), 6);
    v.spill(P);
    assert_eq!((v.blocks_kept(), v.drop_largest(), v.drop_largest()), (3, Some((PieceIndex(1), 3)), None));
    assert_eq!(v.partials().map(|(piece, _)| piece).collect::<Vec<_>>(), [P]);
    v.forget_spilled(P);
    assert_eq!(v.partials().count(), 0);
}

/// One try to fetch the piece: for each block who sends it, whether it lies this time, and who sends it once more.
fn tries() -> impl Strategy<Value = Vec<Vec<(u8, bool, Option<u8>)>>> {
    let block = (0u8..6, any::<bool>(), proptest::option::of(0u8..6));
    proptest::collection::vec(proptest::collection::vec(block, 4), 0..12)
}

proptest! {
    #[test]
    fn every_liar_whose_block_was_kept_is_named_and_nobody_else(tries in tries(), liars in proptest::collection::btree_set(0u8..6, 0..4)) {
        let mut v = four();
        // Who sent which wrong block that is remembered.
        let mut guilty = BTreeSet::new();
        for (round, blocks) in (0u8..).zip(tries) {
            let mut kept = BTreeMap::new();
            let mut whole = None;
            for ((n, (by, lies, again)), right) in (0u32..).zip(blocks).zip("abcd".chars()) {
                for by in [Some(by), again].into_iter().flatten() {
                    let bad = lies && liars.contains(&by);
                    let letter = if bad { (b'A' + round) as char } else { right };
                    let (put, doubles) = v.put(P, vec![(n, letter)], by);
                    if doubles == 0 {
                        kept.insert(n, (by, bad));
                    }
                    if let Put::Whole(all) = put {
                        whole = Some(all);
                    }
                }
            }
            let whole = whole.expect("four blocks make a piece");
            let bad: BTreeSet<u8> = kept.values().filter(|(_, bad)| *bad).map(|(by, _)| *by).collect();
            if bad.is_empty() {
                let named = whole.liars(hashes);
                prop_assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), std::mem::take(&mut guilty));
                prop_assert!(named.iter().all(|named| liars.contains(named)));
                prop_assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len(), "each once");
                v.failures.clear();
                v.failed(P, None);
                continue;
            }
            match (whole.sources.as_slice(), whole.evidence(hashes)) {
                ([alone], None) => prop_assert!(liars.contains(alone), "who sent all of a bad piece lied"),
                (several, Some(evidence)) => {
                    prop_assert!(several.len() > 1);
                    guilty.extend(bad);
                    v.failed(P, Some(evidence));
                    continue;
                }
                _ => prop_assert!(false, "evidence when it is needed"),
            }
            v.failed(P, None);
        }
    }
}
