//! Batches over a content in memory, with pieces that cannot be read.

use std::ops::Range;

use proptest::prelude::*;
use sha1::{Digest, Sha1};

use super::*;

/// What was asked of a content, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Read(Range<u64>),
    Expect(Range<u64>),
}

struct Memory {
    content: Vec<u8>,
    /// What lies here cannot be read.
    bad: Vec<u64>,
    asked: Vec<Asked>,
}

impl Source for Memory {
    type Error = u64;

    fn read<'a>(&mut self, offset: u64, buffers: impl Iterator<Item = &'a mut [u8]>) -> Result<(), u64> {
        let mut end = offset;
        for buffer in buffers {
            let from = end;
            end += buffer.len() as u64;
            buffer.copy_from_slice(&self.content[from as usize..end as usize]);
        }
        self.asked.push(Asked::Read(offset..end));
        self.bad.iter().find(|bad| (offset..end).contains(bad)).map_or(Ok(()), |bad| Err(*bad))
    }

    fn expect(&mut self, offset: u64, length: u64) {
        self.asked.push(Asked::Expect(offset..offset + length));
    }
}

/// All pieces, in batches of at most `most`, with this memory.
fn hashed(
    memory: &mut Memory,
    layout: &Layout,
    most: usize,
    buffers: usize,
    buffer: usize,
) -> Vec<(PieceIndex, Result<[u8; 20], u64>)> {
    let mut pieces = (0..layout.pieces()).map(PieceIndex).peekable();
    let mut buffers: Vec<Vec<u8>> = vec![vec![0; buffer]; buffers];
    let mut hashes = Vec::new();
    while let Some(mut batch) = Batch::next(layout, &mut pieces, most) {
        let mut bytes: u64 = batch.pieces().map(|piece| u64::from(layout.piece_length(piece))).sum();
        while !batch.is_done() {
            bytes -= batch.advance(memory, &mut buffers);
        }
        assert_eq!(bytes, 0, "each byte counts once, those that cannot be read too");
        hashes.extend(batch.finish());
    }
    hashes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_piece_has_its_hash_or_the_reason_why_it_has_none(
        piece_bytes in 1..9000u32,
        total in 1..90_000u64,
        most in 1..20usize,
        buffers in 1..40usize,
        buffer in 1..4usize,
        bad in prop::collection::vec(0..90_000u64, 0..3),
    ) {
        let content: Vec<u8> = (0..total).map(|n| (n * 31 + n / 251) as u8).collect();
        let layout = Layout::new(piece_bytes, [total]).unwrap();
        let mut memory = Memory { content: content.clone(), bad, asked: Vec::new() };
        let hashes = hashed(&mut memory, &layout, most, buffers, 1024 * buffer);
        prop_assert_eq!(hashes.len(), layout.pieces() as usize);
        for ((piece, hash), number) in hashes.into_iter().zip(0..) {
            prop_assert_eq!(piece, PieceIndex(number));
            let from = layout.piece_offset(piece);
            let to = from + u64::from(layout.piece_length(piece));
            let bad: Vec<u64> = memory.bad.iter().copied().filter(|bad| (from..to).contains(bad)).collect();
            match hash {
                Ok(hash) => {
                    prop_assert_eq!(hash, <[u8; 20]>::from(Sha1::digest(&content[from as usize..to as usize])));
                    prop_assert_eq!(bad, Vec::<u64>::new());
                }
                Err(reason) => prop_assert!(bad.contains(&reason)),
            }
        }
    }
}

#[test]
fn what_will_be_read_is_announced_in_its_order_before_it_is_read_in_turns() {
    let layout = Layout::new(2 << 20, [(5 << 20) + 100]).unwrap();
    let mut memory = Memory { content: vec![7; layout.total_bytes() as usize], bad: Vec::new(), asked: Vec::new() };
    hashed(&mut memory, &layout, 1, 2, 256 << 10);
    let mib = |from: u64, to: u64| from << 20..to << 20;
    let reads = |range: Range<u64>| range.step_by(512 << 10).map(|from| Asked::Read(from..from + (512 << 10)));
    let mut right = Vec::new();
    for n in 0..4 {
        right.push(Asked::Expect(mib(n, n + 1)));
        right.extend(reads(mib(n, n + 1)));
    }
    let rest = (4 << 20)..(5 << 20) + 100;
    right.extend([Asked::Expect(mib(4, 5)), Asked::Read((4 << 20)..(4 << 20) + (512 << 10))]);
    right.extend([Asked::Read((4 << 20) + (512 << 10)..5 << 20), Asked::Expect(5 << 20..rest.end)]);
    right.push(Asked::Read(5 << 20..rest.end));
    assert_eq!(memory.asked, right);
}

#[test]
fn pieces_that_follow_each_other_are_announced_as_one() {
    if Lanes::width() < 4 {
        return;
    }
    let layout = Layout::new(1000, [4100]).unwrap();
    let mut memory = Memory { content: vec![7; 4100], bad: Vec::new(), asked: Vec::new() };
    hashed(&mut memory, &layout, 4, 4, 640);
    assert_eq!(memory.asked[0], Asked::Expect(0..4000));
    let slices = [0..640, 1000..1640, 2000..2640, 3000..3640, 640..1000, 1640..2000, 2640..3000, 3640..4000];
    assert_eq!(memory.asked[1..9], slices.map(Asked::Read));
    assert_eq!(memory.asked[9..], [Asked::Expect(4000..4100), Asked::Read(4000..4100)]);
}

#[test]
fn a_batch_that_cannot_be_read_at_all_ends_at_once() {
    let layout = Layout::new(2000, [2000]).unwrap();
    let mut memory = Memory { content: vec![7; 2000], bad: vec![3], asked: Vec::new() };
    assert_eq!(hashed(&mut memory, &layout, 1, 1, 64), [(PieceIndex(0), Err(3))]);
    assert_eq!(memory.asked, [Asked::Expect(0..2000), Asked::Read(0..64)]);
}
