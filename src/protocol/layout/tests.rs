//! How layouts are cut: odd piece lengths, empty files, and the border cases of every number.

use proptest::prelude::*;

use super::*;

fn layout(piece_bytes: u32, files: &[u64]) -> Layout {
    Layout::new(piece_bytes, files.iter().copied()).expect("a valid layout")
}

#[test]
fn the_last_piece_and_the_last_block_are_short() {
    let l = layout(40_000, &[100_000]);
    assert_eq!(l.pieces(), 3);
    assert_eq!([0, 1, 2, 3].map(|p| l.piece_length(PieceIndex(p))), [40_000, 40_000, 20_000, 0]);
    assert_eq!([0, 1, 2, 3].map(|p| l.blocks_in(PieceIndex(p))), [3, 3, 2, 0]);
    let last = l.block(PieceIndex(2), 1);
    assert_eq!((last.begin, last.length), (16_384, 20_000 - 16_384));
    assert_eq!(l.block(PieceIndex(2), 2).length, 0);
}

#[test]
fn pieces_may_be_one_byte_long_or_a_gibibyte() {
    let l = layout(1, &[3]);
    assert_eq!((l.pieces(), l.blocks_in(PieceIndex(2))), (3, 1));
    let l = layout(MAX_PIECE_BYTES, &[1 << 50]);
    assert_eq!((l.pieces(), l.blocks_in(PieceIndex(0))), (1 << 20, 65_536));
}

#[test]
fn lengths_that_no_torrent_can_have_are_named() {
    use LayoutError::*;
    let made = |piece_bytes, files: &[u64]| Layout::new(piece_bytes, files.iter().copied()).expect_err("refused");
    assert_eq!(made(0, &[1]), PieceLength { piece_bytes: 0 });
    assert_eq!(made(MAX_PIECE_BYTES + 1, &[1]), PieceLength { piece_bytes: MAX_PIECE_BYTES + 1 });
    assert_eq!(made(1, &[]), Empty);
    assert_eq!(made(1, &[0, 0]), Empty);
    assert_eq!(made(1, &[u64::MAX, 2]), TotalOverflow);
    assert_eq!(made(1 << 30, &[1 << 63]), TotalOverflow);
    assert_eq!(made(1, &[2_000_001]), TooManyPieces { pieces: 2_000_001 });
    assert_eq!(made(1, &[i64::MAX as u64]), TooManyPieces { pieces: i64::MAX as u64 });
    assert_eq!(layout(1, &[2_000_000]).pieces(), 2_000_000);
}

#[test]
fn a_range_over_several_files_skips_the_empty_ones() {
    let l = layout(10, &[0, 4, 0, 0, 3, 5, 0]);
    let files =
        |offset, length| l.file_ranges(offset, length).map(|r| (r.file, r.offset, r.length)).collect::<Vec<_>>();
    assert_eq!(files(0, 12), [(1, 0, 4), (4, 0, 3), (5, 0, 5)]);
    assert_eq!(files(2, 4), [(1, 2, 2), (4, 0, 2)]);
    assert_eq!(files(11, u64::MAX), [(5, 4, 1)]);
    assert_eq!(files(12, 1), []);
    assert_eq!(files(3, 0), []);
    assert_eq!(l.pieces_of_file(0), 0..0);
    assert_eq!([1, 4, 5, 6, 7].map(|f| l.pieces_of_file(f)), [0..1, 0..1, 0..2, 0..0, 0..0]);
}

#[test]
fn a_file_is_whole_when_all_its_pieces_are_there() {
    let l = layout(10, &[25, 0, 3, 12]);
    let mut have = Bitfield::new(4);
    let mut whole = |piece| {
        have.set(piece);
        [0, 1, 2, 3].map(|file| l.is_whole(file, &have))
    };
    assert_eq!(whole(2), [false, true, true, false], "all of it lies in that piece");
    assert_eq!(whole(0), [false, true, true, false]);
    assert_eq!(whole(3), [false, true, true, true]);
    assert_eq!(whole(1), [true; 4]);
}

#[test]
fn a_range_is_within_its_piece_or_it_is_not_contained() {
    let l = layout(40_000, &[100_000]);
    let contains = |piece, begin, length| l.contains(BlockRange { piece: PieceIndex(piece), begin, length });
    assert!(contains(0, 0, 40_000) && contains(2, 19_999, 1));
    assert!(!contains(0, 0, 40_001) && !contains(2, 19_999, 2));
    assert!(!contains(0, 0, 0), "no byte");
    assert!(!contains(3, 0, 1) && !contains(u32::MAX, 0, 1), "no such piece");
    assert!(!contains(0, u32::MAX, u32::MAX), "the sum must not wrap");
    assert_eq!((l.check_piece(2), l.check_piece(3)), (Some(PieceIndex(2)), None));
}

proptest! {
    #[test]
    fn pieces_blocks_and_files_all_cut_the_same_bytes(
        piece_bytes in 1u32..200_000,
        files in proptest::collection::vec(prop_oneof![Just(0u64), 1u64..300_000], 1..12),
    ) {
        let total: u64 = files.iter().sum();
        prop_assume!(total > 0);
        let l = layout(piece_bytes, &files);
        let mut at = 0;
        let mut per_file = vec![0; files.len()];
        for piece in (0..l.pieces()).map(PieceIndex) {
            prop_assert_eq!(l.piece_offset(piece), at);
            let blocks: u32 = (0..l.blocks_in(piece)).map(|n| l.block(piece, n).length).sum();
            prop_assert_eq!(blocks, l.piece_length(piece));
            prop_assert!((0..l.blocks_in(piece)).all(|n| l.contains(l.block(piece, n))));
            for range in l.file_ranges(at, u64::from(blocks)) {
                prop_assert!(range.length > 0);
                prop_assert_eq!(range.offset, per_file[range.file]);
                prop_assert!(l.pieces_of_file(range.file).contains(&piece.0));
                per_file[range.file] += range.length;
            }
            at += u64::from(blocks);
            let mut one = crate::protocol::Bitfield::new(l.pieces());
            one.set(piece.0);
            prop_assert_eq!(l.bytes_of(&one), u64::from(blocks));
        }
        prop_assert_eq!(at, total);
        prop_assert_eq!(l.bytes_of(&crate::protocol::Bitfield::full(l.pieces())), total);
        prop_assert_eq!(per_file, files);
    }
}
