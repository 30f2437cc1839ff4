//! What this kind of processor offers, and what its two ways have in common: the 80 rounds of SHA-1.
//!
//! Part of `lanes`. The only unsafe code of the crate is here: the calls of functions that not every processor can run. These are safe in
//! themselves; nothing reads or writes through a pointer.

/// Twenty rounds (FIPS 180-4, 6.1.2). Spelled out one by one, because the 16 words and the five have to stay in registers.
macro_rules! rounds {
    ($w:ident, [$a:ident $b:ident $c:ident $d:ident $e:ident], $function:ident, $constant:literal, $($round:literal)*) => {$(
        if $round >= 16 {
            let mixed = parity($w[($round + 13) % 16], $w[($round + 8) % 16], $w[($round + 2) % 16]);
            $w[$round % 16] = rotate::<1, 31>(xor(mixed, $w[$round % 16]));
        }
        let early = add(add($e, splat($constant)), $w[$round % 16]);
        let next = add(add(rotate::<5, 27>($a), $function($b, $c, $d)), early);
        ($a, $b, $c, $d, $e) = (next, $a, rotate::<30, 2>($b), $c, $d);
    )*};
}

/// The compression function for a module that has the operations on its registers, of so many lanes.
// Loops and no closures: what calls a closure, as `array::map`, does not have these instructions, and would not be inlined.
macro_rules! compression {
    ($features:literal, $lanes:literal) => {
        /// Takes the next blocks of these messages, as many as the shortest has, into the lanes of `state` from `first` on.
        #[target_feature(enable = $features)]
        pub(super) fn compress(state: &mut State, first: usize, messages: &[&[[u8; BLOCK]]; $lanes]) {
            let blocks = messages.iter().map(|message| message.len()).min().unwrap_or(0);
            let mut sums = [splat(0); 5];
            for (sum, word) in sums.iter_mut().zip(&*state) {
                *sum = load(word, first);
            }
            for block in 0..blocks {
                let mut w = transposed(messages, block);
                let [mut a, mut b, mut c, mut d, mut e] = sums;
                rounds!(w, [a b c d e], choice, 0x5a82_7999, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
                rounds!(w, [a b c d e], parity, 0x6ed9_eba1, 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39);
                rounds!(w, [a b c d e], majority, 0x8f1b_bcdc, 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59);
                rounds!(w, [a b c d e], parity, 0xca62_c1d6, 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79);
                for (sum, word) in sums.iter_mut().zip(&[a, b, c, d, e]) {
                    *sum = add(*sum, *word);
                }
            }
            for (word, sum) in state.iter_mut().zip(&sums) {
                store(*sum, word, first);
            }
        }
    };
}

mod avx2;
mod avx512;

use super::{BLOCK, State, WIDTH};

/// Instructions that this processor has, and whose registers the operating system keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kernel(Has);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Avx512,
    Avx2,
}

impl Kernel {
    /// The fastest; `None`: nothing is gained.
    pub(super) fn best() -> Option<Self> {
        Self::all().next()
    }

    /// All that can be used here, the fastest first. The only place where one is made.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        let avx2 = is_x86_feature_detected!("avx2");
        [(avx512, Has::Avx512), (avx2, Has::Avx2)].into_iter().filter(|(found, _)| *found).map(|(_, has)| Self(has))
    }

    /// Whether so many messages, at most 16, are sooner done side by side than one after the other with the processor's own instructions
    /// for SHA-1. Measured where there are all three.
    pub(super) fn is_worth(self, messages: usize) -> bool {
        match self.0 {
            Has::Avx512 => messages >= 6,
            Has::Avx2 => matches!(messages, 6..=8 | 11..),
        }
    }

    /// Takes the next blocks of all messages, as many as the shortest has, into `state`; only the first `used` lanes matter.
    #[allow(unsafe_code, reason = "what the processor can is known when the program runs, not when it is built")]
    pub(super) fn compress(self, state: &mut State, messages: [&[[u8; BLOCK]]; WIDTH], used: usize) {
        match self.0 {
            // SAFETY: the function asks for AVX-512 F and BW and nothing else; `all` has found both.
            Has::Avx512 => unsafe { avx512::compress(state, 0, &messages) },
            Has::Avx2 => {
                for (first, messages) in (0..used).step_by(WIDTH / 2).zip(messages.as_chunks().0) {
                    // SAFETY: the function asks for AVX2 and nothing else; `all` has found it.
                    unsafe { avx2::compress(state, first, messages) }
                }
            }
        }
    }
}
