//! Tables of peers, one a line, one character a fact, and beside each peer its verdict:
//!
//! ```text
//! A i90..  R      name; `i` interested; what it gives and takes (a digit each); `s` snubs us; `f` never gave anything;
//!                 then `R` a slot, `.` choked, `o` one of these has the optimistic slot
//! ```

use proptest::prelude::*;

use super::*;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// All peers in a table have been connected for long.
const NOW: Duration = Duration::from_secs(1000);

fn peer(line: &str) -> (Candidate, char) {
    let fact = |n: usize| line.trim().chars().nth(n).expect("a full line");
    let digit = |n: usize| u64::from(fact(n).to_digit(10).unwrap_or(0));
    let candidate = Candidate {
        key: PeerKey(u64::from(u32::from(fact(0)))),
        interested: fact(2) == 'i',
        snubbed: fact(5) == 's',
        download_rate: digit(3) * 1000,
        upload_rate: digit(4) * 1000,
        wanted: fact(6) == 'f',
        given: if fact(6) == 'f' { 0 } else { 1 << 30 },
        taken: 1 << 30,
        connected: secs(1),
    };
    (candidate, fact(8))
}

fn table(drawn: &str) -> Vec<Candidate> {
    drawn.lines().map(|line| peer(line).0).collect()
}

#[track_caller]
fn picture(role: Role, slots: usize, drawn: &str) {
    for seed in 0..20 {
        let mut choker = Choker::new(seed);
        let unchoked = choker.rechoke(NOW, &table(drawn), slots, role);
        let lucky = choker.optimistic;
        for (candidate, mark) in drawn.lines().map(peer) {
            let (has, is_lucky) = (unchoked.contains(&candidate.key), lucky == Some(candidate.key));
            let right = match mark {
                'R' => has && !is_lucky,
                'o' => has == is_lucky,
                _ => !has,
            };
            assert!(right, "peer {} of\n{drawn}\n{unchoked:?}", char::from(candidate.key.0 as u8));
        }
        let marked = drawn.lines().filter(|line| peer(line).1 == 'o').count();
        assert_eq!(lucky.is_some(), marked > 0, "an optimistic slot in\n{drawn}");
    }
}

#[test]
fn a_leech_serves_those_who_give_most_and_one_by_luck() {
    picture(Role::Leech, 3, "A i20.. o\nB i90.. R\nC i10.. o\nD i80.. R\nE i00.. o");
}

#[test]
fn who_wants_nothing_holds_no_slot_however_much_it_gives() {
    picture(Role::Leech, 2, "A -90.. .\nB i10.. R\nC -80.. .\nD i00.. R");
}

#[test]
fn who_owes_us_blocks_comes_last() {
    picture(Role::Leech, 1, "A i90s. .\nB i10.. R");
    picture(Role::Leech, 2, "A i90s. R\nB -10.. .");
}

#[test]
fn who_takes_and_never_gave_earns_no_slot_even_if_one_stays_empty() {
    picture(Role::Seed, 4, "A i00.f R\nB i10.. R\nC i50.. R");
    let drawn = "F i00.f .\nB i10.. .\nC i50.. .";
    let served = rounds(&mut Choker::new(1), drawn, 4, Role::Leech, 3000);
    assert!(served.iter().all(|names| names.starts_with("BC")));
    let lucky = served.iter().filter(|names| names.ends_with('f')).count();
    assert!((150..500).contains(&lucky), "now and then it has luck: {lucky} of 3000");
}

#[test]
fn with_a_slot_for_everybody_nobody_needs_luck() {
    picture(Role::Leech, 4, "A i00.. R\nB i00.. R\nC i50.. R");
    picture(Role::Seed, 1, "A i00.. R");
    picture(Role::Seed, 5, "");
}

#[test]
fn without_slots_nobody_is_served() {
    picture(Role::Leech, 0, "A i90.. .\nB i10.. .");
    picture(Role::Seed, 0, "A i09.. .\nB i01.. .");
}

/// Who holds a slot, round by round, among peers that never change; the optimistic one in lower case.
fn rounds(choker: &mut Choker, drawn: &str, slots: usize, role: Role, rounds: u64) -> Vec<String> {
    let peers = table(drawn);
    let round = |n| {
        let unchoked = choker.rechoke(NOW + secs(10 * n), &peers, slots, role);
        let name = |key: &PeerKey| {
            let name = char::from(key.0 as u8);
            if choker.optimistic == Some(*key) { name.to_ascii_lowercase() } else { name }
        };
        unchoked.iter().map(name).collect()
    };
    (0..rounds).map(round).collect()
}

#[test]
fn a_seed_serves_everybody_in_turns() {
    let drawn = "A i01.. .\nB i09.. .\nC i01.. .\nD i05.. .\nE i01.. .\nF i00.. .";
    let served = rounds(&mut Choker::new(1), drawn, 3, Role::Seed, 300);
    for name in "ABCDEF".chars() {
        let times = served.iter().filter(|names| names.to_ascii_uppercase().contains(name)).count();
        assert!((110..190).contains(&times), "{name} was served in {times} of 300 rounds");
    }
}

#[test]
fn the_optimistic_slot_is_somebodys_for_thirty_seconds() {
    let drawn = "A i90.. .\nB i00.. .\nC i00.. .\nD i00.. .\nE i00.. .";
    let served = rounds(&mut Choker::new(2), drawn, 2, Role::Leech, 60);
    for term in served.chunks(3) {
        assert!(term.iter().all(|names| names == &term[0]), "{term:?}");
    }
    let lucky: BTreeSet<char> =
        served.iter().flat_map(|names| names.chars().filter(char::is_ascii_lowercase)).collect();
    assert_eq!(lucky.len(), 4, "in ten minutes everybody is lucky once");
}

#[test]
fn newcomers_are_three_times_as_likely_to_be_lucky() {
    let mut peers = table("A i90.. .\nB i00.. .\nN i00.. .");
    peers[2].connected = NOW - secs(5);
    let lucky = (0..3000).filter(|seed| {
        let mut choker = Choker::new(*seed);
        choker.held.insert(peers[0].key, secs(1));
        choker.rechoke(NOW, &peers, 2, Role::Leech);
        choker.optimistic == Some(peers[2].key)
    });
    let lucky = lucky.count();
    assert!((2100..2400).contains(&lucky), "{lucky} of 3000");
}

#[test]
fn between_rounds_slots_are_filled_and_nobody_loses_one() {
    let mut choker = Choker::new(1);
    let before = choker.rechoke(NOW, &table("A i10.. .\nB i20.. .\nC -99.. ."), 2, Role::Leech);
    let after = choker.rechoke(NOW + secs(3), &table("A i10.. .\nB i20.. .\nC i99.. ."), 3, Role::Leech);
    assert!(after.is_superset(&before) && after.len() == 3);
    let swapped = choker.rechoke(NOW + secs(4), &table("A i10.. .\nB -20.. .\nC i99.. .\nD i00.. ."), 3, Role::Leech);
    assert_eq!(swapped.len(), 3, "B's slot is free for D at once");
}

#[test]
fn an_upload_limit_is_shared_by_as_many_as_get_something_worth_having() {
    let slots = [None, Some(1), Some(64 << 10), Some(100 << 20)].map(slots_for);
    assert_eq!(slots, [8, 2, 4, 8]);
}

fn any_peer() -> impl Strategy<Value = Candidate> {
    let rates = (0u64..5, 0u64..5, 0u64..3, 0u64..3);
    (0u64..30, any::<(bool, bool, bool)>(), rates, 0u64..1000).prop_map(|(key, flags, rates, connected)| Candidate {
        key: PeerKey(key),
        interested: flags.0,
        snubbed: flags.1,
        wanted: flags.2,
        download_rate: rates.0,
        upload_rate: rates.1,
        given: rates.2,
        taken: rates.3 << 20,
        connected: secs(connected),
    })
}

proptest! {
    #[test]
    fn never_more_slots_than_there_are_and_never_for_who_wants_nothing(
        steps in proptest::collection::vec((proptest::collection::vec(any_peer(), 0..30), 0usize..6, 0u64..20, any::<bool>()), 1..20),
    ) {
        let (mut choker, mut now) = (Choker::new(1), NOW);
        for (mut peers, slots, passed, seed) in steps {
            peers.sort_by_key(|peer| peer.key);
            peers.dedup_by_key(|peer| peer.key);
            now += secs(passed);
            let role = if seed { Role::Seed } else { Role::Leech };
            let unchoked = choker.rechoke(now, &peers, slots, role);
            prop_assert!(unchoked.len() <= slots);
            let wants = |key| peers.iter().any(|peer| peer.key == key && peer.interested);
            prop_assert!(unchoked.iter().all(|key| wants(*key)));
            prop_assert!(choker.held.len() <= slots && choker.served.len() <= peers.len(), "what is gone is forgotten");
        }
    }
}
