//! One bit a piece, the first piece in the highest bit of the first byte, as the wire has it (BEP 3).
//!
//! The length is fixed when it is made. A bit behind the end reads as 0 and cannot be set.

use std::fmt;

/// A fixed number of bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    bits: u32,
    /// Exactly as many bytes as needed; spare bits are 0.
    bytes: Vec<u8>,
}

/// Why bytes from the wire are no bitfield of this torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitfieldError {
    /// Not one bit for each piece, rounded up to bytes.
    WrongSize {
        /// Bytes that came.
        bytes: usize,
        /// Bytes that the torrent's number of pieces asks for.
        expected: usize,
    },
    /// A bit behind the last piece is 1.
    SpareBitSet,
}

impl fmt::Display for BitfieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongSize { bytes, expected } => write!(f, "bitfield of {bytes} bytes instead of {expected}"),
            Self::SpareBitSet => write!(f, "bitfield with a bit set behind the last piece"),
        }
    }
}

impl std::error::Error for BitfieldError {}

impl Bitfield {
    /// `bits` zeros.
    pub fn new(bits: u32) -> Self {
        Self { bits, bytes: vec![0; Self::bytes_for(bits)] }
    }

    /// `bits` ones.
    pub fn full(bits: u32) -> Self {
        let mut field = Self { bits, bytes: vec![0xff; Self::bytes_for(bits)] };
        if let Some(last) = field.bytes.last_mut() {
            *last &= !Self::spare(bits);
        }
        field
    }

    /// Reads what a `bitfield` message carries, for a torrent of `pieces` pieces.
    pub fn from_wire(bytes: &[u8], pieces: u32) -> Result<Self, BitfieldError> {
        Self::check_wire(bytes, pieces)?;
        Ok(Self { bits: pieces, bytes: bytes.to_vec() })
    }

    /// What [`Bitfield::from_wire`] checks, without a copy.
    pub(crate) fn check_wire(bytes: &[u8], pieces: u32) -> Result<(), BitfieldError> {
        let expected = Self::bytes_for(pieces);
        if bytes.len() != expected {
            return Err(BitfieldError::WrongSize { bytes: bytes.len(), expected });
        }
        match bytes.last() {
            Some(last) if last & Self::spare(pieces) != 0 => Err(BitfieldError::SpareBitSet),
            _ => Ok(()),
        }
    }

    /// Bytes that `bits` bits take.
    pub fn bytes_for(bits: u32) -> usize {
        bits.div_ceil(8) as usize
    }

    /// The spare bits of the last byte.
    fn spare(bits: u32) -> u8 {
        match bits % 8 {
            0 => 0,
            used => 0xff >> used,
        }
    }

    /// As the wire has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of bits, ones and zeros.
    pub fn len(&self) -> u32 {
        self.bits
    }

    /// True when it has no bits at all.
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// True when the bit is there and 1.
    pub fn get(&self, bit: u32) -> bool {
        self.bytes.get(bit as usize / 8).is_some_and(|byte| byte & mask(bit) != 0)
    }

    /// Makes a bit 1. True when it was 0.
    pub fn set(&mut self, bit: u32) -> bool {
        let news = bit < self.bits && !self.get(bit);
        if news {
            self.bytes[bit as usize / 8] |= mask(bit);
        }
        news
    }

    /// Makes a bit 0. True when it was 1.
    pub fn clear(&mut self, bit: u32) -> bool {
        let was = self.get(bit);
        if was {
            self.bytes[bit as usize / 8] &= !mask(bit);
        }
        was
    }

    /// Number of ones.
    pub fn count(&self) -> u32 {
        self.words().map(u64::count_ones).sum()
    }

    /// True when every bit is 1.
    pub fn all(&self) -> bool {
        self.count() == self.bits
    }

    /// True when every bit is 0.
    pub fn none(&self) -> bool {
        self.words().all(|word| word == 0)
    }

    /// Numbers of the ones, rising.
    pub fn iter_ones(&self) -> impl Iterator<Item = u32> + '_ {
        ones(self.words(), 0)
    }

    /// True when every one of `other` is a one here.
    pub fn is_superset(&self, other: &Self) -> bool {
        self.count_missing(other) == 0
    }

    /// How many ones of `other` are zeros (or not there) here.
    pub fn count_missing(&self, other: &Self) -> u32 {
        let here = self.words().chain(std::iter::repeat(0));
        other.words().zip(here).map(|(other, here)| (other & !here).count_ones()).sum()
    }

    /// Numbers of the bits that are ones in both, rising, from the 64 bits on that hold `bit`; not wrapped around.
    pub(crate) fn ones_in_both<'a>(&'a self, other: &'a Self, bit: u32) -> impl Iterator<Item = u32> + 'a {
        let skipped = bit as usize / 64;
        let both = self.words().zip(other.words()).map(|(a, b)| a & b);
        ones(both.skip(skipped), skipped as u32 * 64)
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        words(&self.bytes)
    }
}

/// Eight bytes at a time, the last filled up with zeros.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (whole, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = (!rest.is_empty()).then_some(last);
    whole.iter().copied().chain(last).map(u64::from_be_bytes)
}

/// Numbers of the ones in words of which the first begins with bit `first`.
fn ones(words: impl Iterator<Item = u64>, first: u32) -> impl Iterator<Item = u32> {
    words.zip((first..).step_by(64)).flat_map(|(word, first)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = rest.leading_zeros();
            rest &= !(1 << 63 >> bit.min(63));
            (bit < 64).then(|| first + bit)
        })
    })
}

fn mask(bit: u32) -> u8 {
    0x80 >> (bit % 8)
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({} of {})", self.count(), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(bits: u32, ones: &[u32]) -> Bitfield {
        let mut field = Bitfield::new(bits);
        for bit in ones {
            field.set(*bit);
        }
        field
    }

    #[test]
    fn the_first_piece_is_the_highest_bit_of_the_first_byte() {
        assert_eq!(of(10, &[0, 7, 9]).as_bytes(), [0b1000_0001, 0b0100_0000]);
        assert_eq!(Bitfield::full(10).as_bytes(), [0xff, 0b1100_0000]);
    }

    #[test]
    fn the_wire_must_bring_the_exact_size_and_no_spare_bit() {
        assert_eq!(Bitfield::from_wire(&[0x80, 0x40], 10), Ok(of(10, &[0, 9])));
        assert_eq!(Bitfield::from_wire(&[0x80, 0x20], 10), Err(BitfieldError::SpareBitSet));
        assert_eq!(Bitfield::from_wire(&[0x80], 10), Err(BitfieldError::WrongSize { bytes: 1, expected: 2 }));
        assert_eq!(Bitfield::from_wire(&[0; 3], 10), Err(BitfieldError::WrongSize { bytes: 3, expected: 2 }));
        assert_eq!(Bitfield::from_wire(&[0xff], 8), Ok(Bitfield::full(8)));
    }

    #[test]
    fn a_bit_behind_the_end_is_never_one() {
        let mut field = Bitfield::new(10);
        assert!(!field.set(10) && !field.set(u32::MAX) && !field.clear(10));
        assert!(field.none() && !field.get(10) && !field.get(u32::MAX));
        assert!(Bitfield::new(0).all() && Bitfield::new(0).is_empty());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_of_numbers_holds(
            bits in 0u32..300,
            changes in proptest::collection::vec((0u32..320, any::<bool>()), 0..200),
            other in proptest::collection::btree_set(0u32..300, 0..100),
            from in 0u32..400,
        ) {
            let (mut field, mut set) = (Bitfield::new(bits), BTreeSet::new());
            for (bit, one) in changes {
                let news = if one { bit < bits && set.insert(bit) } else { set.remove(&bit) };
                prop_assert_eq!(if one { field.set(bit) } else { field.clear(bit) }, news);
            }
            prop_assert_eq!(field.iter_ones().collect::<BTreeSet<_>>(), set.clone());
            prop_assert_eq!(field.count() as usize, set.len());
            prop_assert_eq!(Bitfield::from_wire(field.as_bytes(), bits), Ok(field.clone()));
            let theirs = of(300, &other.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(field.count_missing(&theirs) as usize, other.difference(&set).count());
            prop_assert_eq!(theirs.count_missing(&field) as usize, set.difference(&other).count());
            prop_assert_eq!(field.is_superset(&theirs), set.is_superset(&other));
            let both: Vec<u32> = set.intersection(&other).copied().filter(|bit| *bit >= from / 64 * 64).collect();
            prop_assert_eq!(field.ones_in_both(&theirs, from).collect::<Vec<_>>(), both);
        }
    }
}
