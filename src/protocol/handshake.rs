//! The 68 bytes that open every connection (BEP 3).
//!
//! ```text
//! 19 | "BitTorrent protocol" | 8 reserved | 20 info hash | 20 peer id
//! ```
//! Whether the info hash is one of ours and the peer id is not our own is for the caller to say.

use std::fmt;

use super::{InfoHash, PeerId};

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// In the sixth reserved byte.
const EXTENSION_PROTOCOL: u8 = 0x10;
/// In the eighth reserved byte.
const FAST_EXTENSION: u8 = 0x04;

/// What the two sides tell each other first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// One bit for each extension that the sender knows.
    pub reserved: [u8; 8],
    /// The torrent that the connection is for.
    pub info_hash: InfoHash,
    /// Who sends it.
    pub peer_id: PeerId,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeDecoded {
    /// Right so far; `needed` more bytes are missing.
    Partial {
        /// At least 1.
        needed: usize,
    },
    /// All there, in the first [`Handshake::BYTES`] bytes.
    Done(Handshake),
}

/// The other side does not speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeError {
    /// The bytes do not begin as BitTorrent does.
    NotBitTorrent {
        /// Offset of the first wrong byte, 0 to 19.
        at: usize,
    },
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBitTorrent { at } => write!(f, "not a BitTorrent handshake: byte {at} is wrong"),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl Handshake {
    /// Length on the wire.
    pub const BYTES: usize = 68;

    /// Our handshake: it claims the extension protocol (BEP 10) and the fast extension (BEP 6).
    pub fn new(info_hash: InfoHash, peer_id: PeerId) -> Self {
        Self { reserved: [0, 0, 0, 0, 0, EXTENSION_PROTOCOL, 0, FAST_EXTENSION], info_hash, peer_id }
    }

    /// The handshake of somebody who wants the info dictionary and knows nothing else of the torrent yet: it claims the extension
    /// protocol alone, because the fast extension would want to hear which pieces we have.
    pub fn for_metadata(info_hash: InfoHash, peer_id: PeerId) -> Self {
        Self { reserved: [0, 0, 0, 0, 0, EXTENSION_PROTOCOL, 0, 0], info_hash, peer_id }
    }

    /// True when its sender speaks the fast extension (BEP 6).
    pub fn has_fast_extension(&self) -> bool {
        self.reserved[7] & FAST_EXTENSION != 0
    }

    /// True when its sender speaks the extension protocol (BEP 10).
    pub fn has_extension_protocol(&self) -> bool {
        self.reserved[5] & EXTENSION_PROTOCOL != 0
    }

    /// As the wire has it.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..20].copy_from_slice(PROTOCOL);
        out[20..28].copy_from_slice(&self.reserved);
        out[28..48].copy_from_slice(&self.info_hash.0);
        out[48..].copy_from_slice(&self.peer_id.0);
        out
    }

    /// Reads the bytes that have come so far; more may follow. Fails at the first wrong byte.
    pub fn decode(bytes: &[u8]) -> Result<HandshakeDecoded, HandshakeError> {
        if let Some(at) = bytes.iter().zip(PROTOCOL).position(|(got, right)| got != right) {
            return Err(HandshakeError::NotBitTorrent { at });
        }
        let field = |from: usize| bytes.get(from..).and_then(|rest| rest.first_chunk::<20>()).copied();
        let reserved = bytes.get(20..).and_then(|rest| rest.first_chunk()).copied();
        Ok(match (reserved, field(28), field(48)) {
            (Some(reserved), Some(info_hash), Some(peer_id)) => {
                let (info_hash, peer_id) = (InfoHash(info_hash), PeerId(peer_id));
                HandshakeDecoded::Done(Self { reserved, info_hash, peer_id })
            }
            _ => HandshakeDecoded::Partial { needed: Self::BYTES - bytes.len() },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Handshake {
        Handshake {
            reserved: [1, 2, 3, 4, 5, 6, 7, 8],
            info_hash: InfoHash([9; 20]),
            peer_id: PeerId(*b"-BE0001-abcdefghijkl"),
        }
    }

    #[test]
    fn it_is_read_back_whole_and_is_partial_before() {
        let mut bytes = sample().encode().to_vec();
        for n in 0..68 {
            assert_eq!(Handshake::decode(&bytes[..n]), Ok(HandshakeDecoded::Partial { needed: 68 - n }));
        }
        bytes.extend(b"the next message");
        assert_eq!(Handshake::decode(&bytes), Ok(HandshakeDecoded::Done(sample())));
    }

    #[test]
    fn it_fails_at_the_first_wrong_byte_however_little_has_come() {
        assert_eq!(Handshake::decode(b"GET / HTTP/1.1"), Err(HandshakeError::NotBitTorrent { at: 0 }));
        assert_eq!(Handshake::decode(b"\x13Bit torrent"), Err(HandshakeError::NotBitTorrent { at: 4 }));
        for at in 0..20 {
            let mut bytes = sample().encode();
            bytes[at] ^= 1;
            assert_eq!(Handshake::decode(&bytes), Err(HandshakeError::NotBitTorrent { at }));
        }
    }

    #[test]
    fn ours_claims_the_fast_extension_and_the_extension_protocol_and_no_more() {
        let ours = Handshake::new(InfoHash([9; 20]), PeerId([7; 20]));
        assert_eq!(ours.reserved, [0, 0, 0, 0, 0, 0x10, 0, 0x04]);
        for (at, mask, claims) in
            [(7, 0x04, [true, false]), (5, 0x10, [false, true]), (7, !0x04, [false; 2]), (5, !0x10, [false; 2])]
        {
            let mut theirs = Handshake { reserved: [0; 8], ..ours };
            theirs.reserved[at] = mask;
            assert_eq!([theirs.has_fast_extension(), theirs.has_extension_protocol()], claims);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_split_are_the_same_handshake_or_the_same_error(
            mut bytes: [u8; 68],
            right in 0usize..=20,
            end in 0usize..=68,
        ) {
            bytes[..right].copy_from_slice(&PROTOCOL[..right]);
            let whole = Handshake::decode(&bytes);
            match Handshake::decode(&bytes[..end]) {
                Ok(HandshakeDecoded::Partial { needed }) => prop_assert_eq!(needed, 68 - end),
                early => prop_assert_eq!(&early, &whole),
            }
            match whole {
                Ok(HandshakeDecoded::Done(handshake)) => prop_assert_eq!(handshake.encode(), bytes),
                Ok(HandshakeDecoded::Partial { .. }) => prop_assert!(false, "68 bytes are enough"),
                Err(HandshakeError::NotBitTorrent { at }) => prop_assert!((right..20).contains(&at)),
            }
        }
    }
}
