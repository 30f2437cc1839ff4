//! Requests out, blocks in, as a peer would see them.

use super::*;

mod line;

const T0: Duration = Duration::ZERO;

fn unchoked() -> Pipeline<u8> {
    let mut pipeline = Pipeline::new(T0);
    pipeline.unchoked();
    pipeline
}

fn range(piece: PieceIndex, n: u32) -> BlockRange {
    BlockRange { piece, begin: n * BLOCK_BYTES, length: BLOCK_BYTES }
}

fn run(piece: u32, first: u32, blocks: u32) -> Run {
    Run { piece: PieceIndex(piece), first, blocks }
}

fn sent(pipeline: &mut Pipeline<u8>, now: Duration) -> Vec<BlockRange> {
    let mut out = Vec::new();
    pipeline.requests(now, range, |r| out.push(r));
    out
}

#[test]
fn a_run_is_requested_in_order_and_lands_when_its_last_block_comes() {
    let mut p = unchoked();
    p.grant(run(3, 2, 3), T0);
    let asked = sent(&mut p, T0);
    assert_eq!(asked, [2, 3, 4].map(|n| range(PieceIndex(3), n)));
    for (i, r) in [asked[1], asked[0], asked[2]].into_iter().enumerate() {
        let place = p.accept(r).expect("it was asked for");
        let landed = p.put(place, r, i as u8, T0);
        assert_eq!(landed.is_some(), i == 2);
        if let Some(landed) = landed {
            assert_eq!(landed.blocks, [(2, 1), (3, 0), (4, 2)]);
        }
    }
    assert!(p.is_empty() && p.outstanding() == 0);
}

#[test]
fn a_block_that_was_not_asked_for_has_no_place() {
    let mut p = unchoked();
    p.grant(run(0, 0, 2), T0);
    assert_eq!(p.accept(range(PieceIndex(0), 0)), None, "granted but not requested yet");
    sent(&mut p, T0);
    assert_eq!(p.accept(range(PieceIndex(1), 0)), None, "another piece");
    assert_eq!(p.accept(range(PieceIndex(0), 2)), None, "behind the run");
    let first = range(PieceIndex(0), 0);
    let place = p.accept(first).expect("asked for");
    p.put(place, first, 0, T0);
    assert_eq!(p.accept(first), None, "twice");
    assert_eq!(p.stray(), Stray::Unrequested);
}

#[test]
fn an_answer_to_a_request_that_was_given_up_is_late_once_and_no_offence() {
    let mut p = unchoked();
    p.grant(run(0, 0, 2), T0);
    sent(&mut p, T0);
    p.drain();
    assert_eq!([p.stray(), p.stray(), p.stray()], [Stray::Late, Stray::Late, Stray::Unrequested]);
}

#[test]
fn no_more_requests_are_out_than_the_depth() {
    let mut p = unchoked();
    p.grant(run(0, 0, 64), T0);
    assert_eq!(sent(&mut p, T0).len() as u32, depth::FIRST);
    assert_eq!(p.outstanding(), depth::FIRST);
    assert_eq!(sent(&mut p, T0), []);
}

#[test]
fn a_choke_gives_back_every_run_with_what_it_had() {
    let mut p = unchoked();
    p.grant(run(0, 0, 2), T0);
    p.grant(run(1, 0, 2), T0);
    sent(&mut p, T0);
    let got = range(PieceIndex(0), 1);
    let place = p.accept(got).expect("asked for");
    p.put(place, got, 7, T0);
    let back = p.drain();
    assert_eq!(back.len(), 2);
    assert_eq!((back[0].missing(), back[1].missing()), (vec![run(0, 0, 1)], vec![run(1, 0, 2)]));
    assert_eq!(back[0].blocks, [(1, 7)]);
    assert!(back[1].blocks.is_empty());
    assert!(p.is_empty() && p.outstanding() == 0);
}

#[test]
fn a_piece_finished_elsewhere_is_cancelled_block_by_block() {
    let mut p = unchoked();
    p.grant(run(0, 0, 3), T0);
    p.grant(run(1, 0, 1), T0);
    sent(&mut p, T0);
    let got = range(PieceIndex(0), 0);
    let place = p.accept(got).expect("asked for");
    p.put(place, got, 7, T0);
    let mut cancelled = Vec::new();
    p.cancel(PieceIndex(0), range, |r| cancelled.push(r));
    assert_eq!(cancelled, [1, 2].map(|n| range(PieceIndex(0), n)));
    assert_eq!(p.outstanding(), 1);
    assert!(p.flights.iter().map(|f| f.run.piece).eq([PieceIndex(1)]));
}

#[test]
fn a_silent_peers_runs_are_stale_after_five_seconds() {
    let mut p = unchoked();
    p.grant(run(0, 0, 3), T0);
    sent(&mut p, T0);
    assert_eq!(p.stale(Duration::from_secs(4)).len(), 0);
    let late = p.stale(Duration::from_secs(5));
    assert_eq!(late[0].run, run(0, 0, 3));
    assert_eq!(p.outstanding(), 0);
}

#[test]
fn a_peer_that_snubs_us_gets_no_work_for_ever_longer_until_it_delivers() {
    let mut p = unchoked();
    let mut now = T0;
    for rest in [10, 20, 40] {
        p.grant(run(0, 0, 1), now);
        sent(&mut p, now);
        now += STALE_FLOOR;
        assert_eq!(p.stale(now).len(), 1);
        now += Duration::from_secs(rest - 1);
        assert_eq!(p.room(now), 0, "before {rest} s are over");
        now += Duration::from_secs(1);
        assert!(p.room(now) > 0, "after {rest} s");
    }
    p.grant(run(0, 0, 1), now);
    let asked = sent(&mut p, now)[0];
    let place = p.accept(asked).expect("asked for");
    p.put(place, asked, 0, now);
    p.grant(run(0, 0, 1), now);
    sent(&mut p, now);
    now += STALE_FLOOR;
    p.stale(now);
    assert!(p.room(now + FIRST_SNUB) > 0, "from the beginning again");
}

#[test]
fn the_depth_follows_rate_and_round_trip() {
    // 16 MiB/s: 120 ms of it are some 120 blocks beside the first 32; 21 ms some 20.
    let depth = |round_trip: Duration| {
        let mut p = unchoked();
        let mut now = T0;
        let mut n = 0;
        let mut wire = VecDeque::new();
        while now < Duration::from_secs(5) {
            if p.room(now) > 0 {
                p.grant(run(n, 0, 64), now);
                n += 1;
            }
            p.requests(now, range, |r| wire.push_back((r, now + round_trip)));
            now += Duration::from_micros(977); // 16 MiB/s
            if let Some((r, due)) = wire.front().copied()
                && due <= now
            {
                wire.pop_front();
                let place = p.accept(r).expect("asked for");
                p.put(place, r, 0, now);
            }
        }
        p.depth()
    };
    let (near, far) = (depth(Duration::from_millis(1)), depth(Duration::from_millis(100)));
    assert!((40..=70).contains(&near), "{near}");
    assert!((120..=200).contains(&far), "{far}");
}

/// A block comes.
fn comes(p: &mut Pipeline<u8>, piece: u32, n: u32, now: Duration) -> Option<Landed<u8>> {
    let r = range(PieceIndex(piece), n);
    let place = p.accept(r).expect("it was asked for");
    p.put(place, r, n as u8, now)
}

/// What ends, as (what was left of the run, the blocks that had come).
fn ended(landed: Vec<Landed<u8>>) -> Vec<(Run, Vec<u32>)> {
    let mut ended: Vec<_> =
        landed.into_iter().map(|l| (l.run, l.blocks.iter().map(|(n, _)| *n).collect::<Vec<_>>())).collect();
    ended.sort();
    ended
}

#[test]
fn a_choke_with_the_fast_extension_keeps_what_is_out_and_gives_back_what_was_not_asked_for() {
    let mut p = unchoked();
    p.set_limit(3);
    p.allow(PieceIndex(9));
    [run(0, 0, 2), run(1, 0, 4), run(2, 0, 2), run(9, 0, 2)].into_iter().for_each(|run| p.grant(run, T0));
    assert_eq!(sent(&mut p, T0).len(), 3);
    comes(&mut p, 1, 0, T0);
    assert_eq!(ended(p.choked(true)), [(run(1, 0, 1), vec![0]), (run(1, 1, 3), vec![]), (run(2, 0, 2), vec![])]);
    assert_eq!(p.outstanding(), 2);
    assert_eq!(sent(&mut p, T0), [range(PieceIndex(9), 0)], "which it allows");
    assert_eq!(
        (0..2).filter(|n| comes(&mut p, 0, *n, T0).is_some()).count(),
        1,
        "requests that are out are answered still"
    );
}

#[test]
fn a_choke_lands_the_blocks_before_those_that_were_not_asked_for() {
    let mut p = unchoked();
    p.set_limit(2);
    p.grant(run(0, 0, 4), T0);
    sent(&mut p, T0);
    comes(&mut p, 0, 0, T0);
    comes(&mut p, 0, 1, T0);
    assert_eq!(ended(p.choked(true)), [(run(0, 0, 2), vec![0, 1]), (run(0, 2, 2), vec![])]);
    assert!(p.is_empty());
}

#[test]
fn a_block_that_is_rejected_goes_back_at_once_and_the_others_stay() {
    let mut p = unchoked();
    p.grant(run(0, 0, 5), T0);
    sent(&mut p, T0);
    comes(&mut p, 0, 0, T0);
    comes(&mut p, 0, 1, T0);
    assert_eq!(sent(&mut p, T0), [range(PieceIndex(0), 4)]);
    let rejected = |p: &mut Pipeline<u8>, n| p.rejected(range(PieceIndex(0), n), T0).map(ended);
    p.choked(true);
    assert_eq!(rejected(&mut p, 2), Ok(vec![(run(0, 0, 2), vec![0, 1]), (run(0, 2, 1), vec![])]));
    assert_eq!(rejected(&mut p, 2), Err(Stray::Unrequested));
    assert!(comes(&mut p, 0, 4, T0).is_none());
    assert_eq!(rejected(&mut p, 3), Ok(vec![(run(0, 3, 1), vec![]), (run(0, 4, 1), vec![4])]));
    assert!(p.is_empty() && p.outstanding() == 0);
    p.unchoked();
    assert!(p.room(T0) > 0, "to reject while choking is no offence");
}

#[test]
fn of_a_run_that_another_overtook_what_is_here_lands_and_the_rest_stays_asked_for() {
    let mut p = unchoked();
    p.grant(run(0, 0, 3), T0);
    p.grant(run(1, 0, 1), T0);
    sent(&mut p, T0);
    assert!(comes(&mut p, 0, 0, T0).is_none() && comes(&mut p, 0, 2, T0).is_none());
    assert!(p.overtaken().is_empty());
    assert!(comes(&mut p, 1, 0, T0).is_some());
    assert_eq!(ended(p.overtaken()), [(run(0, 0, 1), vec![0]), (run(0, 2, 1), vec![2])]);
    assert!(p.overtaken().is_empty() && p.outstanding() == 1);
    assert_eq!(p.accept(range(PieceIndex(0), 0)), None, "it has come already");
    assert_eq!(comes(&mut p, 0, 1, T0).map(|landed| landed.run), Some(run(0, 1, 1)));
    assert!(p.is_empty() && p.outstanding() == 0);
}

#[test]
fn a_peer_that_rejects_what_it_should_answer_gets_no_work_for_a_while() {
    let mut p = unchoked();
    p.grant(run(0, 0, 3), T0);
    sent(&mut p, T0);
    // Three that were asked for together count once.
    for n in 0..3 {
        assert!(p.rejected(range(PieceIndex(0), n), T0).is_ok());
    }
    assert_eq!(p.room(FIRST_REFUSAL - Duration::from_millis(1)), 0);
    assert!(p.room(FIRST_REFUSAL) > 0);
    assert!(p.rejected(range(PieceIndex(0), 0), T0).is_err());
    // And once more as soon as it may: twice as long.
    p.grant(run(0, 0, 1), FIRST_REFUSAL);
    sent(&mut p, FIRST_REFUSAL);
    assert!(p.rejected(range(PieceIndex(0), 0), FIRST_REFUSAL).is_ok());
    assert_eq!(p.room(3 * FIRST_REFUSAL - Duration::from_millis(1)), 0);
    assert!(p.room(3 * FIRST_REFUSAL) > 0);
}

#[test]
fn blocks_that_another_peer_brought_are_cancelled_and_the_rest_of_the_run_goes_on() {
    let mut p = unchoked();
    p.set_limit(3);
    p.grant(run(0, 0, 5), T0);
    sent(&mut p, T0);
    comes(&mut p, 0, 0, T0);
    let mut cancelled = Vec::new();
    let mut cancel =
        |p: &mut Pipeline<u8>, run| ended(p.cancel_blocks(run, range, |r| cancelled.push(r.begin / BLOCK_BYTES)));
    assert_eq!(cancel(&mut p, run(0, 2, 2)), []);
    assert_eq!(cancel(&mut p, run(7, 0, 2)), [], "another piece");
    assert_eq!(p.outstanding(), 1);
    assert_eq!(cancel(&mut p, run(0, 0, 2)), [(run(0, 0, 1), vec![0])]);
    assert_eq!((cancelled, p.outstanding()), (vec![2, 1], 0), "block 3 was not asked for yet");
    assert_eq!([p.stray(), p.stray(), p.stray()], [Stray::Late, Stray::Late, Stray::Unrequested]);
    assert_eq!(sent(&mut p, T0), [range(PieceIndex(0), 4)]);
    assert!(comes(&mut p, 0, 4, T0).is_some());
}

#[test]
fn on_a_link_of_two_kibibytes_a_second_nothing_is_stale() {
    let mut p = unchoked();
    p.grant(run(0, 0, 48), T0);
    let mut wire: VecDeque<u32> = sent(&mut p, T0).into_iter().map(|r| r.begin / BLOCK_BYTES).collect();
    let mut bytes = 0;
    for now in (1..600).map(Duration::from_secs) {
        p.heard(2048, now);
        bytes += 2048;
        if bytes % BLOCK_BYTES == 0 {
            comes(&mut p, 0, wire.pop_front().expect("requests are out"), now);
            wire.extend(sent(&mut p, now).into_iter().map(|r| r.begin / BLOCK_BYTES));
        }
        if wire.is_empty() {
            break;
        }
        assert_eq!(p.stale(now).len(), 0, "after {now:?}");
        assert!(!p.is_snubbed(now));
    }
    assert_eq!(bytes, 48 * BLOCK_BYTES);
}

#[test]
fn a_peer_snubs_us_when_it_has_owed_us_blocks_for_a_minute() {
    let secs = Duration::from_secs;
    let mut p = unchoked();
    assert!(!p.is_snubbed(secs(1000)), "nothing was asked of it");
    p.grant(run(0, 0, 2), secs(1000));
    sent(&mut p, secs(1000));
    assert!(!p.is_snubbed(secs(1059)) && p.is_snubbed(secs(1060)));
    p.stale(secs(1060));
    assert!(p.is_snubbed(secs(1061)), "it is not forgiven for what was taken away from it");
    p.grant(run(1, 0, 2), secs(1100));
    sent(&mut p, secs(1100));
    comes(&mut p, 1, 0, secs(1110));
    assert!(!p.is_snubbed(secs(1169)) && p.is_snubbed(secs(1170)));
    comes(&mut p, 1, 1, secs(1170));
    assert!(!p.is_snubbed(secs(2000)), "it owes nothing");
    p.grant(run(2, 0, 1), secs(2000));
    sent(&mut p, secs(2000));
    p.choked(true);
    p.rejected(range(PieceIndex(2), 0), secs(2001)).map(ended).expect("asked for");
    assert!(!p.is_snubbed(secs(3000)), "it chokes us");
}

#[test]
fn time_in_which_our_own_limits_kept_us_from_reading_does_not_count() {
    let secs = Duration::from_secs;
    let mut p = unchoked();
    p.grant(run(0, 0, 2), T0);
    sent(&mut p, T0);
    p.throttled(secs(55));
    assert_eq!(p.stale(secs(59)).len(), 0);
    assert!(!p.is_snubbed(secs(114)) && p.is_snubbed(secs(115)));
    assert_eq!(p.stale(secs(60)).len(), 1);
}

#[test]
fn no_more_is_out_than_the_other_side_keeps() {
    let mut p = unchoked();
    p.set_limit(1);
    p.grant(run(0, 0, 64), T0);
    for n in 0..64 {
        let now = Duration::from_millis(20 * u64::from(n));
        assert_eq!(sent(&mut p, now).len(), 1);
        comes(&mut p, 0, n, now);
    }
    assert_eq!(p.depth(), 1);
    assert!(p.rate() > 0 && p.round_trip() < Some(Duration::from_millis(20)));
}

/// What may happen to a pipeline.
fn events() -> impl proptest::strategy::Strategy<Value = Vec<(u8, u32, u32)>> {
    proptest::collection::vec((0u8..10, 0u32..4, 0u32..8), 0..80)
}

proptest::proptest! {
    /// Every block that was granted is with the pipeline, or came back once, or landed once; and the count of requests is right.
    #[test]
    fn every_granted_block_lands_or_comes_back_exactly_once(events in events(), fast in proptest::prelude::any::<bool>()) {
        use std::collections::BTreeSet;
        let mut p = unchoked();
        p.set_limit(6);
        let mut held: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut out: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut now = T0;
        for (event, piece, n) in events {
            now += Duration::from_millis(700);
            let key = |r: BlockRange| (r.piece.0, r.begin / BLOCK_BYTES);
            let mut landed = Vec::new();
            match event {
                0 | 1 => {
                    let first = held.iter().filter(|(of, _)| *of == piece).map(|(_, n)| n + 1).max().unwrap_or(0);
                    p.grant(run(piece, first, n + 1), now);
                    held.extend((first..=first + n).map(|n| (piece, n)));
                }
                2 | 3 => p.requests(now, range, |r| assert!(out.insert(key(r)))),
                4 => {
                    let r = range(PieceIndex(piece), n);
                    assert_eq!(p.accept(r).is_some(), out.remove(&(piece, n)));
                    if let Some(place) = p.accept(r) {
                        landed.extend(p.put(place, r, 0, now));
                    }
                }
                5 => {
                    let rejected = p.rejected(range(PieceIndex(piece), n), now);
                    assert_eq!(rejected.is_ok(), out.remove(&(piece, n)));
                    landed.extend(rejected.into_iter().flatten());
                }
                6 => {
                    let cut = run(piece, n, 3);
                    landed.extend(p.cancel_blocks(cut, range, |r| assert!(out.remove(&key(r)))));
                    // What is here already stays.
                    let here: BTreeSet<_> = p.flights.iter().flat_map(Flight::here).chain(landed.iter().flat_map(|l| {
                        l.blocks.iter().map(|(n, _)| (l.run.piece.0, *n)).collect::<Vec<_>>()
                    })).collect();
                    held.retain(|(of, n)| *of != piece || !cut.numbers().contains(n) || here.contains(&(*of, *n)));
                }
                7 => {
                    landed.extend(p.choked(fast));
                    if !fast {
                        out.clear();
                    }
                }
                8 => p.unchoked(),
                _ => {
                    landed.extend(p.stale(now));
                    out.retain(|(piece, n)| p.accept(range(PieceIndex(*piece), *n)).is_some());
                }
            }
            for n in landed.iter().flat_map(|l| l.run.numbers().map(|n| (l.run.piece.0, n))) {
                assert!(held.remove(&n), "{n:?} came back and was not held");
            }
            let flying: Vec<_> = p.flights.iter().flat_map(|f| f.run.numbers().map(|n| (f.run.piece.0, n))).collect();
            assert_eq!(flying.len(), flying.iter().collect::<BTreeSet<_>>().len());
            assert_eq!(flying.into_iter().collect::<BTreeSet<_>>(), held);
            assert_eq!(p.outstanding() as usize, out.len());
        }
    }
}

impl<B> Flight<B> {
    fn here(&self) -> Vec<(u32, u32)> {
        let numbers = self.run.numbers().zip(&self.blocks);
        numbers.filter(|(_, block)| block.is_some()).map(|(n, _)| (self.run.piece.0, n)).collect()
    }
}
