//! What peers say besides what they have.

use super::*;

#[test]
fn a_suggested_piece_goes_before_those_that_are_just_as_rare_and_behind_rarer_ones() {
    let peers = [(A, "xxxxxxxx"), (B, "xxxxxx.."), (C, "xxxxxx..")];
    let mut p = swarm("xxxx....", &peers);
    [5, 7, 4, 9].into_iter().for_each(|piece| p.suggested(A, PieceIndex(piece)));
    assert_eq!(order(&mut p, A, 4), "7 6 5 4");
    let mut p = swarm("xxxx....", &peers);
    (0..1000).for_each(|piece| p.suggested(A, PieceIndex(4 + piece % 4)));
    p.suggested(PeerKey(9), PieceIndex(4));
    assert_eq!(order(&mut p, A, 4).len(), 7);
}

#[test]
fn while_it_chokes_us_a_peer_is_asked_for_allowed_pieces_only() {
    let mut p = swarm("xxxx....", &[(A, "xxxxxxx."), (B, "xxxxxxxx")]);
    let choked = |p: &mut Picker| p.grant(Ask { fast: true, ..ask(A, 4) }, T0, |_| Opening::Kept);
    assert_eq!(choked(&mut p), Grant::Later);
    [1, 5, 7, 8, 5].into_iter().for_each(|piece| p.allowed(A, PieceIndex(piece)));
    assert_eq!([choked(&mut p), choked(&mut p)], [granted(5, 0, 4), Grant::Later]);
    assert!(matches!(grant(&mut p, A, 4), Grant::Run(Run { piece: PieceIndex(4 | 6), .. })));
}

#[test]
fn a_piece_that_a_peer_has_no_longer_is_not_asked_of_it() {
    let mut p = swarm("xxxx..", &[(A, "xxxxxx"), (B, "xxxx.x")]);
    assert_eq!(grant(&mut p, A, 2), granted(4, 0, 2));
    p.lost(A, PieceIndex(4));
    p.lost(A, PieceIndex(4));
    assert_eq!(p.partition(), Partition { have: 4, want: 2, ..Partition::default() });
    assert_eq!([4, 4].map(|n| grant(&mut p, A, n)), [granted(5, 0, 4), Grant::Later]);
    p.lost(A, PieceIndex(5));
    assert_eq!((p.interesting(A), p.is_open(PieceIndex(5))), (false, false));
    p.has(A, PieceIndex(5));
    p.has(A, PieceIndex(4));
    assert_eq!(order(&mut p, A, 2), "4 5", "B has piece 5 too");
}
