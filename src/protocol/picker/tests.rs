//! Swarms drawn as strings, one character a piece: `x` has it, `.` lacks it. Every piece has four blocks unless said otherwise.

use std::collections::BTreeSet;

use super::*;
use crate::protocol::BLOCK_BYTES;

mod hints;
mod model;
mod rates;
mod virtual_swarm;
mod wanted;

const T0: Duration = Duration::ZERO;
const A: PeerKey = PeerKey(1);
const B: PeerKey = PeerKey(2);
const C: PeerKey = PeerKey(3);

fn field(drawn: &str) -> Bitfield {
    let mut field = Bitfield::new(drawn.len() as u32);
    for (n, _) in (0u32..).zip(drawn.chars()).filter(|(_, c)| *c == 'x') {
        field.set(n);
    }
    field
}

fn layout(pieces: u32, blocks: u32) -> Layout {
    let piece_bytes = blocks * BLOCK_BYTES;
    Layout::new(piece_bytes, [u64::from(piece_bytes) * u64::from(pieces)]).expect("a valid layout")
}

/// A picker with these pieces had, and peers that have these.
fn swarm(have: &str, peers: &[(PeerKey, &str)]) -> Picker {
    let mut picker = wanting_all(layout(have.len() as u32, 4), &field(have), 7);
    for (key, pieces) in peers {
        picker.joined(*key, field(pieces));
    }
    picker
}

const RAREST: Picking = Picking { sequential: false, endgame_from: 100, seed: 7 };

fn wanting_all(layout: Layout, have: &Bitfield, seed: u64) -> Picker {
    let all = Bitfield::full(layout.pieces());
    Picker::new(layout, have, &all, std::iter::empty(), Picking { seed, ..RAREST })
}

/// Of a peer whose rate is not known.
fn ask(key: PeerKey, blocks: u32) -> Ask {
    Ask { key, blocks, rate: 0, fast: false, room: 0 }
}

/// Of a peer that gives so many blocks a second.
fn ask_at(key: PeerKey, blocks: u32, blocks_per_second: u32) -> Ask {
    Ask { rate: u64::from(blocks_per_second) * u64::from(BLOCK_BYTES), ..ask(key, blocks) }
}

fn run(piece: u32, first: u32, blocks: u32) -> Run {
    Run { piece: PieceIndex(piece), first, blocks }
}

fn grant(picker: &mut Picker, key: PeerKey, blocks: u32) -> Grant {
    picker.grant(ask(key, blocks), T0, |_| Opening::Kept)
}

/// The same after a second without an answer: time for the endgame, not yet for help before it.
fn late(picker: &mut Picker, key: PeerKey, blocks: u32) -> Grant {
    picker.grant(ask(key, blocks), Duration::from_secs(1), |_| Opening::Kept)
}

fn granted(piece: u32, first: u32, blocks: u32) -> Grant {
    Grant::Run(run(piece, first, blocks))
}

/// The pieces that a peer is granted one after the other, each drawn as its number.
fn order(picker: &mut Picker, key: PeerKey, count: usize) -> String {
    let mut piece = || match grant(picker, key, 4) {
        Grant::Run(run) => run.piece.to_string(),
        other => format!("{other:?}"),
    };
    (0..count).map(|_| piece()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_rarest_piece_goes_first() {
    let mut p = swarm("xxxx....", &[(A, "xxxxxxxx"), (B, "xxxx.x.x"), (C, ".....x.."), (PeerKey(4), ".......x")]);
    p.has(PeerKey(4), PieceIndex(4));
    p.has(PeerKey(5), PieceIndex(6));
    // Held by non-seeds: piece 4 once, 5 twice, 6 never, 7 twice.
    assert!(["6 4 5 7", "6 4 7 5"].contains(&order(&mut p, A, 4).as_str()));
}

#[test]
fn rarity_follows_peers_that_come_finish_pieces_and_leave() {
    let mut p = swarm("xxxx...", &[(A, "xxxxxxx"), (B, "....xx."), (C, "....x..")]);
    p.left(B);
    p.has(C, PieceIndex(6));
    assert_eq!(order(&mut p, A, 1), "5");
    p.joined(B, field("....xxx"));
    p.left(C);
    p.has(B, PieceIndex(4));
    let mut p = swarm("xxxx..", &[(A, "xxxxxx"), (B, "....xx")]);
    p.has(C, PieceIndex(5));
    p.joined(C, field("......"));
    p.has(C, PieceIndex(4));
    p.has(C, PieceIndex(4));
    assert_eq!(order(&mut p, A, 2), "5 4");
}

#[test]
fn a_peer_that_becomes_a_seed_makes_no_piece_less_rare_than_another() {
    let mut p = swarm("xxxx..", &[(A, "xxxxxx"), (B, "xxxxx."), (C, ".....x")]);
    p.has(B, PieceIndex(5));
    assert_eq!(order(&mut p, A, 1), "4");
    let mut p = swarm("xxxx..", &[(A, "xxxxxx"), (B, "xxxxx.")]);
    p.has(B, PieceIndex(5));
    p.left(B);
    p.joined(C, field("....x."));
    assert_eq!(order(&mut p, A, 2), "5 4");
}

#[test]
fn equally_rare_pieces_come_in_an_order_that_the_seed_decides() {
    let drawn = |seed| {
        let mut p = wanting_all(layout(100, 4), &Bitfield::new(100), seed);
        p.joined(A, Bitfield::full(100));
        order(&mut p, A, 100)
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let all: BTreeSet<u32> = drawn(3).split(' ').map(|n| n.parse().expect("a piece")).collect();
    assert_eq!(all.len(), 100);
}

#[test]
fn the_first_four_pieces_are_picked_at_random_whatever_their_rarity() {
    let first = |seed| {
        let mut p = wanting_all(layout(50, 4), &Bitfield::new(50), seed);
        p.joined(A, Bitfield::full(50));
        let mut common = Bitfield::full(50);
        common.clear(0);
        p.joined(B, common);
        let first = order(&mut p, A, 4);
        (first.split(' ').any(|piece| piece == "0"), order(&mut p, A, 1) == "0")
    };
    let firsts: Vec<_> = (0..50).map(first).collect();
    assert!(firsts.iter().filter(|(early, _)| *early).count() < 20, "the rarest is no more likely than others");
    assert!(firsts.iter().all(|(early, fifth)| early != fifth), "from the fifth on the rarest goes first");
}

#[test]
fn an_open_piece_goes_before_a_new_one_and_the_oldest_first() {
    let mut p = swarm("xxxx...", &[(A, "xxxxx.."), (B, "xxxxxxx"), (C, ".....x.")]);
    assert_eq!(grant(&mut p, A, 3), granted(4, 0, 3));
    assert_eq!(grant(&mut p, C, 1), granted(5, 0, 1));
    assert_eq!([4, 4, 4].map(|n| grant(&mut p, B, n)), [granted(4, 3, 1), granted(5, 1, 3), granted(6, 0, 4)]);
}

#[test]
fn a_peer_without_anything_wanted_is_not_interesting() {
    let mut p = swarm("x.", &[(A, "x."), (B, "xx")]);
    assert_eq!([A, B, C].map(|key| p.interesting(key)), [false, true, false]);
    assert_eq!([A, C].map(|key| grant(&mut p, key, 1)), [Grant::Nothing; 2]);
    p.has(A, PieceIndex(1));
    assert!(p.interesting(A));
    p.finished(PieceIndex(1));
    p.finished(PieceIndex(1));
    assert_eq!([A, B].map(|key| p.interesting(key)), [false; 2]);
    assert_eq!(grant(&mut p, B, 1), Grant::Nothing);
}

#[test]
fn no_piece_is_opened_without_memory_and_the_question_names_its_length() {
    let mut p = swarm("..", &[(A, "xx")]);
    let mut asked = Vec::new();
    let refused = p.grant(ask(A, 2), T0, |bytes| {
        asked.push(bytes);
        Opening::Not
    });
    assert_eq!((refused, asked), (Grant::Later, vec![4 * BLOCK_BYTES]));
    assert_eq!((p.open_pieces(), p.open_bytes(), p.in_flight()), (0, 0, 0));
    assert!(matches!(grant(&mut p, A, 2), Grant::Run(_)));
    assert_eq!((p.open_pieces(), p.open_bytes(), p.in_flight()), (1, 4 * u64::from(BLOCK_BYTES), 2));
    let rest = p.grant(ask(A, 2), T0, |_| panic!("an open piece needs no new memory"));
    assert!(matches!(rest, Grant::Run(Run { first: 2, blocks: 2, .. })));
}

#[test]
fn blocks_that_are_given_back_go_to_the_next_who_asks() {
    let mut p = swarm(".", &[(A, "x"), (B, "x")]);
    assert_eq!(grant(&mut p, A, 4), granted(0, 0, 4));
    assert_eq!(p.received(run(0, 1, 1)).news, 1);
    p.give_back(A, run(0, 0, 4));
    assert_eq!(p.in_flight(), 0);
    assert_eq!([4, 4].map(|n| grant(&mut p, B, n)), [granted(0, 0, 1), granted(0, 2, 2)]);
    p.left(B);
    assert_eq!(grant(&mut p, A, 4), granted(0, 0, 1));
}

#[test]
fn a_piece_of_which_nothing_is_asked_for_or_here_is_not_open() {
    let mut p = swarm("..", &[(A, "xx"), (B, "xx")]);
    grant(&mut p, A, 2);
    grant(&mut p, B, 2);
    assert_eq!(p.open_pieces(), 1);
    p.left(A);
    assert_eq!(p.open_pieces(), 1);
    p.left(B);
    assert!(!p.is_open(PieceIndex(0)) && !p.is_open(PieceIndex(1)));
    assert_eq!((p.open_pieces(), p.open_bytes()), (0, 0));
    assert_eq!(p.partition(), Partition { want: 2, ..Partition::default() });
}

#[test]
fn blocks_that_come_late_open_their_piece_again() {
    let mut p = swarm("..", &[(A, "x.")]);
    assert_eq!(grant(&mut p, A, 4), granted(0, 0, 4));
    p.give_back(A, run(0, 0, 4));
    assert_eq!(p.open_pieces(), 0);
    assert_eq!(p.received(run(0, 0, 2)).news, 2);
    assert_eq!(p.received(run(0, 0, 2)).news, 0, "they came twice");
    assert_eq!(grant(&mut p, A, 4), granted(0, 2, 2));
    assert_eq!(p.received(run(0, 4, 9)).news, 0, "no such blocks");
    assert_eq!(p.received(run(9, 0, 1)).news, 0, "no such piece");
}

#[test]
fn a_piece_that_failed_its_hash_is_fetched_anew() {
    let mut p = swarm("..", &[(A, "xx")]);
    let Grant::Run(first) = grant(&mut p, A, 4) else { panic!("nothing granted") };
    p.received(first);
    assert_eq!(p.partition(), Partition { want: 1, in_flight: 1, ..Partition::default() });
    p.failed(first.piece);
    assert_eq!(p.partition(), Partition { want: 2, ..Partition::default() });
    p.finished(first.piece);
    p.failed(first.piece);
    assert_eq!(p.partition(), Partition { have: 1, want: 1, ..Partition::default() });
}

#[test]
fn a_download_goes_on_with_the_blocks_that_are_here() {
    let partial = [(PieceIndex(1), field(".xx.")), (PieceIndex(0), field("xxxx")), (PieceIndex(2), field("...."))];
    let mut p = Picker::new(layout(4, 4), &field("x..."), &field("xxxx"), partial.into_iter(), RAREST);
    assert_eq!(p.partition(), Partition { have: 1, want: 2, in_flight: 1, ..Partition::default() });
    p.joined(A, field("xx.."));
    assert_eq!([4, 4, 4].map(|n| grant(&mut p, A, n)), [granted(1, 0, 1), granted(1, 3, 1), Grant::Later]);
}

#[test]
fn in_the_endgame_the_second_peer_begins_at_the_far_end() {
    let mut p = swarm(".", &[(A, "x"), (B, "x"), (C, "x")]);
    assert_eq!(grant(&mut p, A, 4), granted(0, 0, 4));
    assert_eq!(late(&mut p, A, 4), Grant::Later, "never the same peer twice");
    assert_eq!(late(&mut p, B, 4), granted(0, 2, 2));
    assert_eq!(late(&mut p, B, 4), granted(0, 1, 1));
    assert_eq!(late(&mut p, C, 4), granted(0, 0, 1));
    assert_eq!([A, B, C].map(|key| late(&mut p, key, 4)), [Grant::Later; 3], "two peers a block at most");
    assert_eq!(p.in_flight(), 4, "each block counts once");
    p.left(A);
    assert_eq!(p.in_flight(), 4, "the others were asked too");
    let again = p.grant(ask(C, 4), Duration::from_secs(2), |_| Opening::Kept);
    assert_eq!(again, granted(0, 2, 2), "with one peer left a block may be asked of another");
}

#[test]
fn in_the_endgame_too_what_was_asked_for_just_now_is_not_fetched_twice() {
    let mut p = swarm(".", &[(A, "x"), (B, "x")]);
    p.grant(ask(A, 4), Duration::from_secs(5), |_| Opening::Kept);
    let at = |p: &mut Picker, ms| p.grant(ask(B, 4), Duration::from_millis(ms), |_| Opening::Kept);
    assert_eq!([5249, 5250].map(|ms| at(&mut p, ms)), [Grant::Later, granted(0, 2, 2)]);
}

#[test]
fn the_last_block_held_by_a_silent_peer_does_not_stop_the_download() {
    let mut p = swarm("xxx.", &[(A, "xxxx"), (B, "xxxx")]);
    let Grant::Run(last) = grant(&mut p, A, 4) else { panic!("nothing granted") };
    p.received(run(3, 0, 3));
    assert_eq!(late(&mut p, B, 4), granted(3, 3, 1));
    assert_eq!(p.received(run(3, 3, 1)).news, 1);
    p.finished(last.piece);
    assert_eq!(p.partition(), Partition { have: 4, ..Partition::default() });
    p.give_back(A, last);
    assert_eq!(p.received(last).news, 0);
    assert_eq!((p.in_flight(), p.open_pieces()), (0, 0));
}

#[test]
fn before_the_endgame_help_comes_only_for_old_requests_and_from_idle_peers() {
    let mut p = swarm("xxxx..", &[(A, "....x."), (B, "....x.")]);
    assert_eq!(p.grant(ask(A, 4), Duration::from_secs(5), |_| Opening::Kept), granted(4, 0, 4));
    let at = |p: &mut Picker, ms| p.grant(ask(B, 4), Duration::from_millis(ms), |_| Opening::Kept);
    assert_eq!([6999, 7000].map(|ms| at(&mut p, ms)), [Grant::Later, granted(4, 2, 2)]);
}

#[test]
fn the_oldest_request_is_helped_first() {
    let mut p = swarm("..", &[(A, "xx"), (B, "xx"), (C, "xx")]);
    let at = Duration::from_secs;
    let Grant::Run(first) = p.grant(ask(A, 4), at(1), |_| Opening::Kept) else { panic!("nothing granted") };
    p.grant(ask(B, 4), at(2), |_| Opening::Kept);
    let Grant::Run(help) = p.grant(ask(C, 1), at(3), |_| Opening::Kept) else { panic!("nothing granted") };
    assert_eq!((help.piece, help.first), (first.piece, 3));
}

#[test]
fn pieces_of_one_byte_and_short_last_pieces_are_granted_whole() {
    let layout = Layout::new(20_000, [50_001]).expect("a valid layout");
    let mut p = wanting_all(layout, &Bitfield::new(3), 0);
    p.joined(A, Bitfield::full(3));
    let mut blocks: Vec<u32> = Vec::new();
    while let Grant::Run(run) = grant(&mut p, A, 64) {
        blocks.push(run.blocks);
    }
    blocks.sort_unstable();
    assert_eq!(blocks, [1, 2, 2]);
}

#[test]
fn it_is_stuck_when_only_peers_that_left_had_the_rest_of_what_is_open() {
    let mut picker = swarm("..", &[(A, "xx"), (B, ".x")]);
    assert!(!picker.is_stuck() || picker.open_pieces() == 0, "nothing is open");
    let Grant::Run(asked) = grant(&mut picker, A, 4) else { panic!("nothing granted") };
    picker.received(Run { blocks: 2, ..asked });
    assert!(!picker.is_stuck(), "two blocks are on their way");
    picker.left(A);
    assert!(picker.is_stuck());
    picker.received(asked);
    assert!(!picker.is_stuck(), "a complete piece is with the workers, and will be finished");
}

#[test]
fn a_piece_that_failed_is_fetched_from_one_peer_alone() {
    let mut picker = swarm("xxxx.", &[(A, "xxxxx"), (B, "xxxxx")]);
    assert_eq!([grant(&mut picker, A, 2), grant(&mut picker, B, 2)], [granted(4, 0, 2), granted(4, 2, 2)]);
    picker.received(run(4, 0, 4));
    picker.failed(PieceIndex(4));
    assert_eq!(grant(&mut picker, B, 2), granted(4, 0, 2));
    assert_eq!([grant(&mut picker, A, 2), late(&mut picker, A, 2)], [Grant::Later, Grant::Later]);
    picker.left(B);
    assert_eq!(grant(&mut picker, A, 4), granted(4, 0, 4), "another one alone");
}
