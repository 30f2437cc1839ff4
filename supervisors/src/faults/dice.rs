//! Choices that depend on a seed and a logical event, and on nothing else. Pure.

/// A number made of everything that was put in; the same things in the same order make the same number.
///
/// The steps are those of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). Not for
/// secrets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(split_mix(seed))
    }

    pub(crate) fn number(self, n: u64) -> Self {
        Self(split_mix(self.0 ^ n))
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let words = text.as_bytes().chunks(8).map(word);
        words.fold(self.number(text.len() as u64), Self::number)
    }

    /// All of it.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// Uniform in `0.0..1.0`.
    pub(crate) fn unit(self) -> f64 {
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn split_mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_split_mix() {
        // The first outputs of the reference code (prng.di.unimi.it/splitmix64.c) from the state 0.
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(split_mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn the_same_in_is_the_same_out_and_anything_else_is_not() {
        let of = |seed, text, n| Dice::new(seed).text(text).number(n).bits();
        assert_eq!(of(1, "a/b", 1), of(1, "a/b", 1));
        let others = [of(2, "a/b", 1), of(1, "a/c", 1), of(1, "a/b", 2), of(1, "a/b\0", 1), of(1, "", 1)];
        assert!(others.iter().all(|other| *other != of(1, "a/b", 1)));
    }

    #[test]
    fn one_in_ten_is_one_in_ten() {
        let hits = (0..10_000).filter(|n| Dice::new(42).text("site").number(*n).unit() < 0.1).count();
        assert!((900..1100).contains(&hits), "{hits}");
    }
}
