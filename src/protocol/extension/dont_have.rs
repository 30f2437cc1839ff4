//! `lt_donthave`: the sender no longer has a piece. The payload is the piece's number, 4 bytes.

use crate::protocol::{Layout, PieceIndex};

/// The piece; `None` when the payload names none of this torrent.
pub fn decode(payload: &[u8], layout: &Layout) -> Option<PieceIndex> {
    let number: [u8; 4] = payload.try_into().ok()?;
    layout.check_piece(u32::from_be_bytes(number))
}

/// The payload that says that we lost `piece`.
pub fn encode(piece: PieceIndex) -> [u8; 4] {
    piece.0.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_piece_of_the_torrent_can_be_lost() {
        let layout = Layout::new(16_384, [40_000]).unwrap();
        assert_eq!(decode(&encode(PieceIndex(2)), &layout), Some(PieceIndex(2)));
        assert_eq!([decode(&[0, 0, 0, 3], &layout), decode(&[0, 0, 2], &layout), decode(&[], &layout)], [None; 3]);
    }
}
