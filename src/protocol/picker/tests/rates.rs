//! Who is fast, who is slow, and who takes over from whom.

use super::*;

/// The grants to peers that ask one after the other for two blocks of pieces of four: for each its piece, as a letter in the order in
/// which pieces are opened, or `-`. Fast peers are named by capitals, of the others nothing is known.
fn pieces_of(picker: &mut Picker, peers: &str) -> String {
    let mut seen: Vec<PieceIndex> = Vec::new();
    let mut letter = |run: Run| {
        let known = seen.iter().position(|piece| *piece == run.piece);
        let at = known.unwrap_or_else(|| {
            seen.push(run.piece);
            seen.len() - 1
        });
        (b'a' + at as u8) as char
    };
    let mut grant = |name: char| {
        let key = PeerKey(u64::from(name.to_ascii_lowercase() as u8 - b'a' + 1));
        let rate = if name.is_ascii_uppercase() { 1 } else { 0 };
        match picker.grant(ask_at(key, 2, rate), T0, |_| Opening::Kept) {
            Grant::Run(run) => letter(run),
            _ => '-',
        }
    };
    peers.chars().map(&mut grant).collect()
}

#[test]
fn fast_peers_get_whole_pieces_and_slow_ones_join_in() {
    let seeds = [A, B, C].map(|key| (key, "xxxxxxxx"));
    for (peers, pieces) in
        [("AABBCC", "aabbcc"), ("ABABAC", "ababcd"), ("abcabc", "aabbcc"), ("AbBbCc", "aabbcc"), ("aABB", "aabb")]
    {
        assert_eq!(pieces_of(&mut swarm("xxxx....", &seeds), peers), pieces, "{peers}");
    }
}

#[test]
fn a_fast_peer_completes_what_another_left_behind_before_it_opens_a_piece() {
    let mut p = swarm("xxxx..", &[(A, "xxxxxx"), (B, "xxxxxx")]);
    let Grant::Run(begun) = p.grant(ask_at(A, 2, 1), T0, |_| Opening::Kept) else { panic!("nothing granted") };
    p.received(Run { blocks: 1, ..begun });
    p.left(A);
    let rest = p.grant(ask_at(B, 4, 1), T0, |_| Opening::Kept);
    assert_eq!(rest, granted(begun.piece.0, 1, 3));
}

#[test]
fn without_memory_for_a_piece_of_its_own_a_fast_peer_joins_in_too() {
    let mut p = swarm("xxxx..", &[(A, "xxxxxx"), (B, "xxxxxx")]);
    let Grant::Run(begun) = p.grant(ask_at(A, 2, 1), T0, |_| Opening::Kept) else { panic!("nothing granted") };
    assert_eq!(p.grant(ask_at(B, 2, 1), T0, |_| Opening::Not), granted(begun.piece.0, 2, 2));
}

#[test]
fn a_peer_takes_over_from_a_slower_one_but_not_from_one_that_is_as_fast() {
    let late = Duration::from_secs(1);
    // A needs that many seconds for its four blocks; B is done with the first of them after one.
    for (rate_of_a, helped) in [(1, true), (4, false), (8, false)] {
        let mut p = swarm(".", &[(A, "x"), (B, "x")]);
        p.grant(ask_at(A, 4, rate_of_a), T0, |_| Opening::Kept);
        let help = p.grant(ask_at(B, 4, 1), late, |_| Opening::Kept);
        assert_eq!(help, if helped { granted(0, 2, 2) } else { Grant::Later }, "{rate_of_a}");
    }
}

#[test]
fn what_takes_twice_as_long_as_its_peer_needs_is_taken_over_by_anybody() {
    let mut p = swarm(".", &[(A, "x"), (B, "x")]);
    p.grant(ask_at(A, 4, 4), T0, |_| Opening::Kept);
    let at = |p: &mut Picker, ms| p.grant(ask_at(B, 4, 1), Duration::from_millis(ms), |_| Opening::Kept);
    assert_eq!([2249, 2250].map(|ms| at(&mut p, ms)), [Grant::Later, granted(0, 2, 2)]);
}

#[test]
fn while_blocks_are_unrequested_only_a_much_slower_peer_is_helped() {
    let at = Duration::from_secs(3);
    for (rate_of_b, helped) in [(1, false), (2, true)] {
        let mut p = swarm("xxxx..", &[(A, "....x."), (B, "....x.")]);
        p.grant(ask_at(A, 4, 1), T0, |_| Opening::Kept);
        let help = p.grant(ask_at(B, 4, rate_of_b), at, |_| Opening::Kept);
        assert_eq!(help != Grant::Later, helped, "{rate_of_b}");
    }
}

#[test]
fn two_that_were_asked_for_a_block_both_hear_that_it_is_here() {
    let mut p = swarm(".", &[(A, "x"), (B, "x")]);
    grant(&mut p, A, 4);
    assert_eq!(late(&mut p, B, 4), granted(0, 2, 2));
    assert_eq!((p.asked_of(A), p.asked_of(B)), (4, 2));
    assert_eq!(p.received(run(0, 1, 1)), Received { news: 1, doubled: vec![] });
    let both = vec![(A, run(0, 3, 1)), (B, run(0, 3, 1))];
    assert_eq!(p.received(run(0, 3, 1)), Received { news: 1, doubled: both });
    assert_eq!((p.asked_of(A), p.asked_of(B), p.in_flight()), (2, 1, 2));
    assert_eq!(p.received(run(0, 3, 1)), Received::default());
}

#[test]
fn from_the_per_cent_of_the_endgame_on_late_blocks_go_before_new_pieces() {
    let helped = |have: &str, endgame_from| {
        let all = Bitfield::full(10);
        let mut p =
            Picker::new(layout(10, 4), &field(have), &all, std::iter::empty(), Picking { endgame_from, ..RAREST });
        [A, B].into_iter().for_each(|key| p.joined(key, all.clone()));
        let Grant::Run(first) = p.grant(ask(A, 4), T0, |_| Opening::Kept) else { panic!("nothing granted") };
        let Grant::Run(then) = late(&mut p, B, 4) else { panic!("nothing granted") };
        first.piece == then.piece
    };
    assert_eq!([helped("xxxxxxx...", 85), helped("xxxxxxxx..", 85), helped("xxxxxxxxx.", 85)], [false, false, true]);
    assert_eq!([helped("xxxxxxxx..", 80), helped("xxxxxxxx..", 100)], [true, false]);
}
