//! The lanes beside the crate `sha1`: every way that this processor has, any number of messages, any length, any cuts.

use proptest::prelude::*;

use super::*;

/// Every way to hash `messages` messages here.
fn ways(messages: usize) -> Vec<Lanes> {
    let together = Kernel::all().map(|kernel| Lanes::with(kernel, messages)).filter(|_| messages <= WIDTH);
    together.chain([Lanes::new(messages), Lanes::one_by_one(messages)]).collect()
}

/// Feeds the messages in slices that end at `cuts`.
fn hashed(mut lanes: Lanes, messages: &[Vec<u8>], cuts: &[usize]) -> Vec<[u8; 20]> {
    let length = messages[0].len();
    let mut from = 0;
    for to in cuts.iter().copied().chain([length]) {
        lanes.update(&messages.iter().map(|message| &message[from..to]).collect::<Vec<_>>());
        from = to;
    }
    lanes.finish()
}

fn alone(messages: &[Vec<u8>]) -> Vec<[u8; 20]> {
    messages.iter().map(|message| Sha1::digest(message).into()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_ways_agree(seed in any::<u64>(), count in 1..20usize, length in 0..700usize, cuts in prop::collection::vec(0..700usize, 0..6)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let messages: Vec<Vec<u8>> = (0..count).map(|_| (0..length).map(|_| random.u8(..)).collect()).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(length)).collect();
        cuts.sort_unstable();
        let right = alone(&messages);
        for lanes in ways(count) {
            let way = format!("{lanes:?}");
            prop_assert_eq!(&hashed(lanes, &messages, &cuts), &right, "{}", way);
        }
    }
}

#[test]
fn every_length_around_a_block_is_padded_as_it_should_be() {
    for length in 0..=3 * BLOCK {
        let messages: Vec<Vec<u8>> = (0..WIDTH).map(|lane| vec![lane as u8; length]).collect();
        for lanes in ways(WIDTH) {
            assert_eq!(hashed(lanes, &messages, &[]), alone(&messages), "{length} bytes");
        }
    }
}

#[test]
fn few_messages_and_too_many_are_hashed_one_by_one() {
    let together = |messages| matches!(Lanes::new(messages).0, Ways::Together(_));
    let gains = Kernel::best().is_some();
    assert_eq!([1, 5, 6, WIDTH, WIDTH + 1].map(together), [false, false, gains, gains, false]);
    assert_eq!(Lanes::width(), if gains { WIDTH } else { 1 });
}

#[test]
#[should_panic(expected = "slices of one length")]
fn slices_of_different_lengths_are_a_bug() {
    Lanes::new(2).update(&[b"ab", b"a"]);
}

#[test]
#[should_panic(expected = "a slice for each message")]
fn a_slice_too_few_is_a_bug() {
    Lanes::new(WIDTH).update(&[b"ab"]);
}
