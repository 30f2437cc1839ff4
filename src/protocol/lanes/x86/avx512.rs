//! AVX-512: a register holds one word of each of 16 messages, a rotation is one instruction, and so is any function of three bits.
//!
//! Part of `lanes::x86`, which has the rounds. It names the instructions and decides nothing.

use std::arch::x86_64::*;

use super::{BLOCK, State};

compression!("avx512f,avx512bw", 16);

#[target_feature(enable = "avx512f")]
fn splat(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx512f")]
fn add(x: __m512i, y: __m512i) -> __m512i {
    _mm512_add_epi32(x, y)
}

#[target_feature(enable = "avx512f")]
fn xor(x: __m512i, y: __m512i) -> __m512i {
    _mm512_xor_si512(x, y)
}

#[target_feature(enable = "avx512f")]
fn rotate<const LEFT: i32, const RIGHT: i32>(x: __m512i) -> __m512i {
    _mm512_rol_epi32::<LEFT>(x)
}

// The functions of FIPS 180-4, 4.1.1, as tables of what comes out for each three bits.

#[target_feature(enable = "avx512f")]
fn choice(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0b1100_1010>(x, y, z)
}

#[target_feature(enable = "avx512f")]
fn parity(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0b1001_0110>(x, y, z)
}

#[target_feature(enable = "avx512f")]
fn majority(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0b1110_1000>(x, y, z)
}

#[target_feature(enable = "avx512f")]
fn load(words: &[u32; 16], _first: usize) -> __m512i {
    let w = |n: usize| words[n].cast_signed();
    _mm512_setr_epi32(
        w(0),
        w(1),
        w(2),
        w(3),
        w(4),
        w(5),
        w(6),
        w(7),
        w(8),
        w(9),
        w(10),
        w(11),
        w(12),
        w(13),
        w(14),
        w(15),
    )
}

#[target_feature(enable = "avx512f")]
fn store(register: __m512i, words: &mut [u32; 16], _first: usize) {
    for (lane, word) in words.iter_mut().enumerate() {
        *word = _mm512_mask_reduce_or_epi32(1 << lane, register).cast_unsigned();
    }
}

/// One load.
#[target_feature(enable = "avx512f")]
fn bytes(block: &[u8; BLOCK]) -> __m512i {
    let (words, _) = block.as_chunks();
    let w = |n: usize| i64::from_le_bytes(words[n]);
    _mm512_setr_epi64(w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7))
}

/// Of one block of each message, 16 big-endian words: the first words of all, the second ones, and so on.
#[target_feature(enable = "avx512f,avx512bw")]
fn transposed(messages: &[&[[u8; BLOCK]]; 16], block: usize) -> [__m512i; 16] {
    let mut blocks = [splat(0); 16];
    for (register, message) in blocks.iter_mut().zip(messages) {
        *register = bytes(&message[block]);
    }
    let (mut pairs, mut fours, mut words) = (blocks, blocks, blocks);
    for n in 0..8 {
        pairs[2 * n] = _mm512_unpacklo_epi32(blocks[2 * n], blocks[2 * n + 1]);
        pairs[2 * n + 1] = _mm512_unpackhi_epi32(blocks[2 * n], blocks[2 * n + 1]);
    }
    // In fours[n + m]: of the messages n to n + 3 the words m, m + 4, m + 8 and m + 12.
    for n in [0, 4, 8, 12] {
        fours[n] = _mm512_unpacklo_epi64(pairs[n], pairs[n + 2]);
        fours[n + 1] = _mm512_unpackhi_epi64(pairs[n], pairs[n + 2]);
        fours[n + 2] = _mm512_unpacklo_epi64(pairs[n + 1], pairs[n + 3]);
        fours[n + 3] = _mm512_unpackhi_epi64(pairs[n + 1], pairs[n + 3]);
    }
    let swap = _mm512_broadcast_i32x4(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    for m in 0..4 {
        let even = _mm512_shuffle_i32x4::<0x88>(fours[m], fours[m + 4]);
        let even_too = _mm512_shuffle_i32x4::<0x88>(fours[m + 8], fours[m + 12]);
        let odd = _mm512_shuffle_i32x4::<0xdd>(fours[m], fours[m + 4]);
        let odd_too = _mm512_shuffle_i32x4::<0xdd>(fours[m + 8], fours[m + 12]);
        words[m] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4::<0x88>(even, even_too), swap);
        words[m + 4] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4::<0x88>(odd, odd_too), swap);
        words[m + 8] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4::<0xdd>(even, even_too), swap);
        words[m + 12] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4::<0xdd>(odd, odd_too), swap);
    }
    words
}
