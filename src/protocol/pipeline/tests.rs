//! Requests out, blocks in, as a peer would see them.

use super::*;

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
    assert_eq!(sent(&mut p, T0).len() as u32, FIRST_DEPTH);
    assert_eq!(p.outstanding(), FIRST_DEPTH);
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
        p.depth
    };
    let (near, far) = (depth(Duration::from_millis(1)), depth(Duration::from_millis(100)));
    assert!((40..=70).contains(&near), "{near}");
    assert!((120..=200).contains(&far), "{far}");
}
