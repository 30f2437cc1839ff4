//! The info dictionary over the wire, in pieces of 16 KiB (BEP 9, `ut_metadata`).
//!
//! ```text
//! d 8:msg_type i0e 5:piece i<n>e e                                   request
//! d 8:msg_type i1e 5:piece i<n>e 10:total_size i<bytes>e e | bytes   data
//! d 8:msg_type i2e 5:piece i<n>e e                                   reject
//! ```
//! Pure. Its pieces are the metadata's own and have nothing to do with those of the content.

use bip_bencode::BencodeMut;

use super::put;
use crate::protocol::bencode::{self, BencodeError, Dict, Fault};

/// Bytes of every piece but the last.
pub const PIECE_BYTES: u32 = 16 * 1024;

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata<'a> {
    /// The sender wants this piece.
    Request {
        /// From 0; known to be no more than a number.
        piece: u32,
    },
    /// A piece.
    Data {
        /// From 0; known to be no more than a number.
        piece: u32,
        /// Bytes of the whole, as the sender has it.
        total_bytes: u32,
        /// At most [`PIECE_BYTES`].
        bytes: &'a [u8],
    },
    /// The sender does not give this piece.
    Reject {
        /// From 0; known to be no more than a number.
        piece: u32,
    },
    /// Of a kind that is not known here; to be ignored.
    Unknown,
}

impl<'a> Metadata<'a> {
    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, BencodeError> {
        let (head, bytes) = bencode::read_first(payload)?;
        let head = head.dict()?;
        Ok(match head.int("msg_type")? {
            0 => Self::Request { piece: number(&head, "piece")? },
            1 if bytes.len() > PIECE_BYTES as usize => {
                return Err(BencodeError::Trailing { at: payload.len() - bytes.len() });
            }
            1 => Self::Data { piece: number(&head, "piece")?, total_bytes: number(&head, "total_size")?, bytes },
            2 => Self::Reject { piece: number(&head, "piece")? },
            _ => Self::Unknown,
        })
    }

    /// As the wire has it; nothing for an unknown one.
    pub fn encode(&self) -> Vec<u8> {
        let head = |kind: i64, piece: u32| {
            let mut head = BencodeMut::new_dict();
            put(&mut head, "msg_type", BencodeMut::new_int(kind));
            put(&mut head, "piece", BencodeMut::new_int(piece.into()));
            head
        };
        match self {
            Self::Request { piece } => head(0, *piece).encode(),
            Self::Data { piece, total_bytes, bytes } => {
                let mut head = head(1, *piece);
                put(&mut head, "total_size", BencodeMut::new_int((*total_bytes).into()));
                let mut out = head.encode();
                out.extend_from_slice(bytes);
                out
            }
            Self::Reject { piece } => head(2, *piece).encode(),
            Self::Unknown => Vec::new(),
        }
    }
}

fn number(head: &Dict<'_>, key: &str) -> Result<u32, BencodeError> {
    let fault = Fault::NotA { kind: "a number below 2^32" };
    u32::try_from(head.int(key)?).map_err(|_| BencodeError::field(key, fault))
}

/// The answer to a request for `piece` of our info dictionary.
pub fn answer(info: &[u8], piece: u32) -> Metadata<'_> {
    let total_bytes = info.len() as u32;
    let from = piece as usize * PIECE_BYTES as usize;
    match info.get(from..).filter(|rest| !rest.is_empty()) {
        Some(rest) => Metadata::Data { piece, total_bytes, bytes: &rest[..rest.len().min(PIECE_BYTES as usize)] },
        None => Metadata::Reject { piece },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_answered_with_the_piece_or_refused() {
        let info = vec![7; PIECE_BYTES as usize + 5];
        let total_bytes = info.len() as u32;
        assert_eq!(answer(&info, 1), Metadata::Data { piece: 1, total_bytes, bytes: &[7; 5] });
        assert_eq!(answer(&info, 2), Metadata::Reject { piece: 2 });
        assert_eq!(answer(&info, u32::MAX), Metadata::Reject { piece: u32::MAX });
        assert_eq!(answer(&info[..PIECE_BYTES as usize], 1), Metadata::Reject { piece: 1 });
    }

    #[test]
    fn the_examples_of_bep_9_are_read() {
        assert_eq!(Metadata::decode(b"d8:msg_typei0e5:piecei0ee"), Ok(Metadata::Request { piece: 0 }));
        let data = Metadata::Data { piece: 0, total_bytes: 34256, bytes: b"xxxx" };
        assert_eq!(Metadata::decode(b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxx"), Ok(data));
        assert_eq!(Metadata::decode(b"d8:msg_typei2e5:piecei0ee"), Ok(Metadata::Reject { piece: 0 }));
        assert_eq!(Metadata::decode(b"d8:msg_typei9e5:piecei0ee"), Ok(Metadata::Unknown));
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for bad in ["d8:msg_typei0ee", "d8:msg_typei0e5:piecei-1ee", "d8:msg_typei0e5:piecei4294967296ee", "i0e", ""] {
            assert!(Metadata::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = [b"d8:msg_typei1e5:piecei0e10:total_sizei9ee".to_vec(), vec![0; 16385]].concat();
        assert!(Metadata::decode(&long).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(piece: u32, total_bytes: u32, bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            for message in [
                Metadata::Request { piece },
                Metadata::Data { piece, total_bytes, bytes: &bytes },
                Metadata::Reject { piece },
            ] {
                let bytes = message.encode();
                prop_assert_eq!(Metadata::decode(&bytes), Ok(message));
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Metadata::decode(&bytes);
        }
    }
}
