//! AVX2: a register holds one word of each of 8 messages.
//!
//! Part of `lanes::x86`, which has the rounds. It names the instructions and decides nothing.

use std::arch::x86_64::*;

use super::{BLOCK, State};

compression!("avx2", 8);

#[target_feature(enable = "avx2")]
fn splat(word: u32) -> __m256i {
    _mm256_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx2")]
fn add(x: __m256i, y: __m256i) -> __m256i {
    _mm256_add_epi32(x, y)
}

#[target_feature(enable = "avx2")]
fn xor(x: __m256i, y: __m256i) -> __m256i {
    _mm256_xor_si256(x, y)
}

#[target_feature(enable = "avx2")]
fn rotate<const LEFT: i32, const RIGHT: i32>(x: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(x), _mm256_srli_epi32::<RIGHT>(x))
}

// The functions of FIPS 180-4, 4.1.1.

#[target_feature(enable = "avx2")]
fn choice(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    xor(z, _mm256_and_si256(x, xor(y, z)))
}

#[target_feature(enable = "avx2")]
fn parity(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    xor(xor(x, y), z)
}

#[target_feature(enable = "avx2")]
fn majority(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)))
}

#[target_feature(enable = "avx2")]
fn load(words: &[u32; 16], first: usize) -> __m256i {
    let w = |n: usize| words[first + n].cast_signed();
    _mm256_setr_epi32(w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7))
}

#[target_feature(enable = "avx2")]
fn store(register: __m256i, words: &mut [u32; 16], first: usize) {
    for (pair, words) in words[first..first + 8].as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let both = match pair {
            0 => _mm256_extract_epi64::<0>(register),
            1 => _mm256_extract_epi64::<1>(register),
            2 => _mm256_extract_epi64::<2>(register),
            _ => _mm256_extract_epi64::<3>(register),
        };
        let both = both.cast_unsigned();
        *words = [both as u32, (both >> 32) as u32];
    }
}

/// One load.
#[target_feature(enable = "avx2")]
fn bytes(half: &[u8; BLOCK / 2]) -> __m256i {
    let (words, _) = half.as_chunks();
    let w = |n: usize| i64::from_le_bytes(words[n]);
    _mm256_setr_epi64x(w(0), w(1), w(2), w(3))
}

/// Of one block of each message, 16 big-endian words: the first words of all, the second ones, and so on.
#[target_feature(enable = "avx2")]
fn transposed(messages: &[&[[u8; BLOCK]]; 8], block: usize) -> [__m256i; 16] {
    let mut words = [splat(0); 16];
    let swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    for half in 0..2 {
        let mut blocks = [splat(0); 8];
        for (register, message) in blocks.iter_mut().zip(messages) {
            *register = bytes(&message[block].as_chunks().0[half]);
        }
        let (mut pairs, mut fours) = (blocks, blocks);
        for n in 0..4 {
            pairs[2 * n] = _mm256_unpacklo_epi32(blocks[2 * n], blocks[2 * n + 1]);
            pairs[2 * n + 1] = _mm256_unpackhi_epi32(blocks[2 * n], blocks[2 * n + 1]);
        }
        // In fours[n + m]: of the messages n to n + 3 the words m and m + 4.
        for n in [0, 4] {
            fours[n] = _mm256_unpacklo_epi64(pairs[n], pairs[n + 2]);
            fours[n + 1] = _mm256_unpackhi_epi64(pairs[n], pairs[n + 2]);
            fours[n + 2] = _mm256_unpacklo_epi64(pairs[n + 1], pairs[n + 3]);
            fours[n + 3] = _mm256_unpackhi_epi64(pairs[n + 1], pairs[n + 3]);
        }
        for m in 0..4 {
            let low = _mm256_permute2x128_si256::<0x20>(fours[m], fours[m + 4]);
            let high = _mm256_permute2x128_si256::<0x31>(fours[m], fours[m + 4]);
            words[8 * half + m] = _mm256_shuffle_epi8(low, swap);
            words[8 * half + m + 4] = _mm256_shuffle_epi8(high, swap);
        }
    }
    words
}
