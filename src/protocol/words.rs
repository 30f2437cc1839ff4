//! The words that every part of the program uses: pieces, blocks, runs and the two 20-byte names.
//!
//! Plain values without rules of their own; what makes them valid is [`Layout`](super::Layout).

use std::fmt;

/// Size of every block but the last of a piece, in bytes: what clients ask for in one request (BEP 3).
pub const BLOCK_BYTES: u32 = 16 * 1024;

/// Number of a piece, from 0. Made from an outside number only by [`Layout::check_piece`](super::Layout::check_piece).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub u32);

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What `request` and `cancel` name: `length` bytes of a piece from its byte `begin` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRange {
    /// The piece.
    pub piece: PieceIndex,
    /// First byte, counted within the piece.
    pub begin: u32,
    /// Bytes.
    pub length: u32,
}

/// Consecutive blocks of one piece that are granted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// The piece.
    pub piece: PieceIndex,
    /// Number of the first block within the piece, from 0.
    pub first: u32,
    /// How many blocks, at least 1.
    pub blocks: u32,
}

impl Run {
    /// The block numbers within the piece, in order.
    pub fn numbers(self) -> std::ops::Range<u32> {
        self.first..self.first.saturating_add(self.blocks)
    }
}

/// SHA-1 of the raw `info` dictionary: the torrent's name on the wire (BEP 3). Displayed as 40 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

impl InfoHash {
    /// The first 8 hex digits, or as many more as it takes to differ from `others`.
    pub fn short_among<'a>(&self, others: impl IntoIterator<Item = &'a InfoHash>) -> String {
        let digits = |hash: &InfoHash| hash.0.map(|byte| [byte >> 4, byte & 15]);
        let ours = digits(self);
        let shared = |other: &InfoHash| {
            let theirs = digits(other);
            ours.as_flattened().iter().zip(theirs.as_flattened()).take_while(|(a, b)| a == b).count()
        };
        let most = others.into_iter().map(shared).max().unwrap_or(0);
        self.to_string().chars().take((most + 1).max(8)).collect()
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHash({self})")
    }
}

/// What a client calls itself, chosen anew for each session (BEP 20). Displayed with unprintable bytes as dots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        self.0.iter().map(printable).try_for_each(|c| write!(f, "{c}"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_hash_is_shown_as_forty_hex_digits() {
        let mut bytes = [0; 20];
        bytes[0] = 0x0f;
        bytes[19] = 0xa0;
        assert_eq!(InfoHash(bytes).to_string(), "0f000000000000000000000000000000000000a0");
    }

    #[test]
    fn a_short_info_hash_tells_it_from_all_others() {
        let hash = |first: [u8; 5]| {
            let mut bytes = [0xee; 20];
            bytes[..5].copy_from_slice(&first);
            InfoHash(bytes)
        };
        let one = hash([1, 2, 3, 4, 5]);
        assert_eq!(one.short_among([]), "01020304");
        assert_eq!(one.short_among(&[hash([1, 2, 3, 9, 9])]), "01020304");
        assert_eq!(one.short_among(&[hash([1, 2, 3, 4, 6]), hash([9, 9, 9, 9, 9])]), "0102030405");
        assert_eq!(one.short_among(&[one]).len(), 40);
    }

    #[test]
    fn a_hostile_peer_id_cannot_write_to_the_terminal() {
        let shown = PeerId(*b"-XX0001-\x1b[2J\n\r\0\x7f\xff\xfeab").to_string();
        assert_eq!(shown, "-XX0001-.[2J......ab");
    }
}
