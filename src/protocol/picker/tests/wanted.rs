//! What is wanted, and in which order.

use super::*;

#[test]
fn pieces_that_nobody_wants_are_neither_fetched_nor_interesting() {
    let wanted = field(".xx.x.");
    let mut p = Picker::new(layout(6, 4), &field("x.x..."), &wanted, std::iter::empty(), RAREST);
    assert_eq!(p.partition(), Partition { have: 2, want: 2, skipped: 2, ..Partition::default() });
    p.joined(A, field("x.xx.x"));
    p.joined(B, Bitfield::full(6));
    assert_eq!([A, B].map(|key| p.interesting(key)), [false, true]);
    assert_eq!((grant(&mut p, A, 4), p.received(run(3, 0, 4)).news), (Grant::Nothing, 0));
    let granted: BTreeSet<String> = order(&mut p, B, 3).split(' ').map(str::to_owned).collect();
    assert_eq!(granted, ["1", "4", "Later"].map(str::to_owned).into());
    p.has(A, PieceIndex(4));
    assert!(p.interesting(A));
    [1, 4, 5].into_iter().for_each(|piece| p.finished(PieceIndex(piece)));
    assert_eq!([A, B].map(|key| p.interesting(key)), [false, false]);
    assert_eq!(p.partition(), Partition { have: 5, skipped: 1, ..Partition::default() });
}

#[test]
fn in_sequence_each_file_begins_with_its_first_piece_and_its_last() {
    let sequence = |files: &[u64], wanted: &str, peer: &str| {
        let lengths = files.iter().map(|pieces| pieces * u64::from(BLOCK_BYTES) / 2);
        let layout = Layout::new(BLOCK_BYTES, lengths).expect("a valid layout");
        let sequential = Picking { sequential: true, ..RAREST };
        let have = Bitfield::new(layout.pieces());
        let mut p = Picker::new(layout, &have, &field(wanted), std::iter::empty(), sequential);
        p.joined(A, field(peer));
        let count = wanted.chars().zip(peer.chars()).filter(|both| *both == ('x', 'x')).count();
        order(&mut p, A, count)
    };
    // Lengths in halves of a piece.
    assert_eq!(sequence(&[12], "xxxxxx", "xxxxxx"), "0 5 1 2 3 4");
    assert_eq!(sequence(&[6, 6], "xxxxxx", "xxxxxx"), "0 2 1 3 5 4");
    assert_eq!(sequence(&[5, 7], "xxxxxx", "xxxxxx"), "0 2 1 5 3 4", "the second file begins in piece 2");
    assert_eq!(sequence(&[12], "xxx.xx", ".xxxx."), "1 2 4", "the last piece is not to be had");
    assert_eq!(sequence(&[6, 6], "...xxx", "xxxxxx"), "3 5 4");
}

#[test]
fn in_sequence_peers_join_in_on_the_earliest_open_piece() {
    let sequential = Picking { sequential: true, ..RAREST };
    let mut p = Picker::new(layout(9, 4), &Bitfield::new(9), &Bitfield::full(9), std::iter::empty(), sequential);
    p.joined(A, field("...xx...."));
    p.joined(B, Bitfield::full(9));
    assert_eq!(p.grant(ask_at(A, 2, 9), T0, |_| Opening::Kept), granted(3, 0, 2));
    assert_eq!(
        [2, 2, 2].map(|n| p.grant(ask_at(B, n, 9), T0, |_| Opening::Kept)),
        [granted(3, 2, 2), granted(0, 0, 2), granted(0, 2, 2),]
    );
    p.give_back(A, run(3, 0, 2));
    assert_eq!(p.grant(ask_at(B, 3, 9), T0, |_| Opening::Kept), granted(3, 0, 2));
}
