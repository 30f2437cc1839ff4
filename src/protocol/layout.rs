//! How a torrent's bytes are cut: into pieces and blocks for the wire, into files for the disk.
//!
//! All files stand one after the other in one long string of bytes; pieces are cut from it without regard to files.
//! A layout is checked when it is made and cheap to clone. It knows lengths only, no names and no hashes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{BLOCK_BYTES, Bitfield, BlockRange, PieceIndex};

/// Longest piece accepted, in bytes.
pub const MAX_PIECE_BYTES: u32 = 1 << 30;
/// Most pieces accepted.
pub const MAX_PIECES: u32 = 2_000_000;

/// Piece length, number of pieces, and where each file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    piece_bytes: u32,
    pieces: u32,
    total_bytes: u64,
    /// Offset behind the last byte of each file; never decreasing; the last one is `total_bytes`.
    ends: Arc<[u64]>,
}

/// Lengths that no torrent can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutError {
    /// Not from 1 byte to [`MAX_PIECE_BYTES`].
    PieceLength {
        /// What was given.
        piece_bytes: u32,
    },
    /// The lengths of the files add up to 0.
    Empty,
    /// The lengths of the files add up to 2^63 bytes or more.
    TotalOverflow,
    /// More than [`MAX_PIECES`].
    TooManyPieces {
        /// How many it would be.
        pieces: u64,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PieceLength { piece_bytes } => {
                write!(f, "piece length is {piece_bytes}, not from 1 to {MAX_PIECE_BYTES} bytes")
            }
            Self::Empty => write!(f, "the torrent has no bytes: the lengths of its files add up to 0"),
            Self::TotalOverflow => write!(f, "the lengths of the files add up to more than 2^63 bytes"),
            Self::TooManyPieces { pieces } => {
                write!(f, "the torrent has {pieces} pieces, more than the {MAX_PIECES} that are supported")
            }
        }
    }
}

impl std::error::Error for LayoutError {}

/// A stretch of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRange {
    /// Number of the file, from 0, in the order of the torrent.
    pub file: usize,
    /// First byte, counted within the file.
    pub offset: u64,
    /// Bytes, at least 1.
    pub length: u64,
}

impl Layout {
    /// Cuts files of these lengths (in bytes, 0 allowed) into pieces of `piece_bytes`; only the last may be shorter.
    pub fn new(piece_bytes: u32, file_lengths: impl IntoIterator<Item = u64>) -> Result<Self, LayoutError> {
        if piece_bytes == 0 || piece_bytes > MAX_PIECE_BYTES {
            return Err(LayoutError::PieceLength { piece_bytes });
        }
        let mut total_bytes = 0u64;
        let mut ends = Vec::new();
        for length in file_lengths {
            let sum = total_bytes.checked_add(length).filter(|sum| i64::try_from(*sum).is_ok());
            total_bytes = sum.ok_or(LayoutError::TotalOverflow)?;
            ends.push(total_bytes);
        }
        if total_bytes == 0 {
            return Err(LayoutError::Empty);
        }
        let count = total_bytes.div_ceil(u64::from(piece_bytes));
        let pieces = u32::try_from(count).ok().filter(|n| *n <= MAX_PIECES);
        let pieces = pieces.ok_or(LayoutError::TooManyPieces { pieces: count })?;
        Ok(Self { piece_bytes, pieces, total_bytes, ends: ends.into() })
    }

    /// Number of pieces, 1 to [`MAX_PIECES`].
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Length of every piece but the last, in bytes.
    pub fn piece_bytes(&self) -> u32 {
        self.piece_bytes
    }

    /// Length of all files together, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Number of files, empty ones included.
    pub fn files(&self) -> usize {
        self.ends.len()
    }

    /// The only way from a number that came from outside to a piece of this torrent.
    pub fn check_piece(&self, number: u32) -> Option<PieceIndex> {
        (number < self.pieces).then_some(PieceIndex(number))
    }

    /// Length of a piece in bytes; 0 for what is no piece of this torrent.
    pub fn piece_length(&self, piece: PieceIndex) -> u32 {
        let rest = self.total_bytes.saturating_sub(self.piece_offset(piece));
        rest.min(u64::from(self.piece_bytes)) as u32
    }

    /// Lengths of these pieces together, in bytes.
    pub fn bytes_of(&self, pieces: &Bitfield) -> u64 {
        let last = self.pieces - 1;
        let whole = u64::from(pieces.count()) * u64::from(self.piece_bytes);
        let short = self.piece_bytes - self.piece_length(PieceIndex(last));
        if pieces.get(last) { whole - u64::from(short) } else { whole }
    }

    /// Number of blocks in a piece: whole ones of [`BLOCK_BYTES`], and one for what is left over.
    pub fn blocks_in(&self, piece: PieceIndex) -> u32 {
        self.piece_length(piece).div_ceil(BLOCK_BYTES)
    }

    /// Where block `n` of a piece is. `length` is 0 when the piece has no such block.
    pub fn block(&self, piece: PieceIndex, n: u32) -> BlockRange {
        let begin = n.saturating_mul(BLOCK_BYTES);
        let length = self.piece_length(piece).saturating_sub(begin).min(BLOCK_BYTES);
        BlockRange { piece, begin, length }
    }

    /// First byte of a piece, counted within the whole torrent.
    pub fn piece_offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_bytes)
    }

    /// True when the range names at least one byte, and only bytes of a piece of this torrent.
    pub fn contains(&self, range: BlockRange) -> bool {
        let end = u64::from(range.begin) + u64::from(range.length);
        range.length > 0 && end <= u64::from(self.piece_length(range.piece))
    }

    /// The files that `length` bytes from `offset` of the torrent lie in, in order. Empty files are in none.
    /// What reaches beyond the end of the torrent is cut off.
    pub fn file_ranges(&self, offset: u64, length: u64) -> impl Iterator<Item = FileRange> + '_ {
        let mut offset = offset;
        let stop = offset.saturating_add(length).min(self.total_bytes);
        let mut file = self.ends.partition_point(|end| *end <= offset);
        std::iter::from_fn(move || {
            while offset < stop {
                let Range { start, end } = self.file_bytes(file)?;
                let upto = end.min(stop);
                let range = FileRange { file, offset: offset - start, length: upto - offset };
                file += 1;
                if upto > offset {
                    offset = upto;
                    return Some(range);
                }
            }
            None
        })
    }

    /// The pieces that hold a byte of a file; none for an empty or unknown one.
    pub fn pieces_of_file(&self, file: usize) -> Range<u32> {
        let piece_bytes = u64::from(self.piece_bytes);
        match self.file_bytes(file) {
            // Both fit: no byte lies behind the last piece.
            Some(Range { start, end }) if start < end => (start / piece_bytes) as u32..end.div_ceil(piece_bytes) as u32,
            _ => 0..0,
        }
    }

    /// True when every piece that holds a byte of a file is in `have`; so it is for an empty file.
    pub fn is_whole(&self, file: usize, have: &Bitfield) -> bool {
        // From its end: where pieces come in their order, the first look finds a missing one.
        self.pieces_of_file(file).rev().all(|piece| have.get(piece))
    }

    /// Where a file lies within the torrent.
    fn file_bytes(&self, file: usize) -> Option<Range<u64>> {
        let end = *self.ends.get(file)?;
        let start = file.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(start..end)
    }
}

#[cfg(test)]
mod tests;
