//! The messages that follow the handshake, to and from bytes (BEP 3, 6, 10).
//!
//! ```text
//! 4 length, big-endian | 1 id | payload of length - 1 bytes           (length 0: keep-alive, no id)
//!   0 choke   1 unchoke   2 interested   3 not interested   (no payload)
//!   4 have      4 piece
//!   5 bitfield  1 bit a piece
//!   6 request   4 piece | 4 begin | 4 length
//!   7 piece     4 piece | 4 begin | the bytes of a block
//!   8 cancel    4 piece | 4 begin | 4 length
//!   9 port      2 port                                       (BEP 5)
//!  13 suggest   4 piece                                      (BEP 6, as the next four)
//!  14 have all   15 have none   (no payload)
//!  16 reject    4 piece | 4 begin | 4 length
//!  17 allowed fast   4 piece
//!  20 extended  1 number of the extension | its payload      (BEP 10)
//! ```
//! The length is judged before anything else of a frame is waited for; behind [`decode`] every piece and range is one of
//! this torrent. When a message may come (a bitfield only first, a block only when asked for) is not known here.

use std::fmt;

use super::{BLOCK_BYTES, Bitfield, BitfieldError, BlockRange, Layout, PieceIndex};

/// Longest range that a `request` may name, in bytes.
pub const MAX_REQUEST_BYTES: u32 = 128 * 1024;
/// Longest payload of a message that is not known here, in bytes; and of one of the extension protocol.
pub const MAX_UNKNOWN_BYTES: u32 = 64 * 1024;
/// Bytes before the block in the message that carries it, the length included.
pub const BLOCK_HEADER_BYTES: usize = 13;

/// One message. Borrows its payload from the buffer that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Nothing to say; the connection is alive.
    KeepAlive,
    /// The sender answers no requests from now on.
    Choke,
    /// The sender answers requests.
    Unchoke,
    /// The sender wants a piece of ours.
    Interested,
    /// The sender wants none of our pieces.
    NotInterested,
    /// The sender finished a piece.
    Have {
        /// Which.
        piece: PieceIndex,
    },
    /// All pieces that the sender has; exactly sized, spare bits 0.
    Bitfield(&'a [u8]),
    /// The sender asks for a block.
    Request(BlockRange),
    /// A block. The wire calls this message `piece`.
    Block {
        /// The piece that it is from.
        piece: PieceIndex,
        /// Its first byte, counted within the piece.
        begin: u32,
        /// At least one byte, at most [`BLOCK_BYTES`].
        bytes: &'a [u8],
    },
    /// The sender no longer wants a block that it asked for.
    Cancel(BlockRange),
    /// UDP port of the sender's DHT node.
    Port(u16),
    /// The sender would like to be asked for this piece (BEP 6).
    Suggest {
        /// Which.
        piece: PieceIndex,
    },
    /// In place of a bitfield: the sender has every piece (BEP 6).
    HaveAll,
    /// In place of a bitfield: the sender has no piece (BEP 6).
    HaveNone,
    /// The sender will not answer this request (BEP 6).
    Reject(BlockRange),
    /// The sender answers for this piece also while it chokes (BEP 6).
    AllowedFast {
        /// Which.
        piece: PieceIndex,
    },
    /// A message of the extension protocol (BEP 10).
    Extended {
        /// 0: the extension handshake. Others: what its receiver's handshake named.
        id: u8,
        /// At most [`MAX_UNKNOWN_BYTES`], less the byte of `id`.
        payload: &'a [u8],
    },
    /// A message that is not known here; to be skipped.
    Unknown {
        /// Its number.
        id: u8,
        /// Bytes of its payload, at most [`MAX_UNKNOWN_BYTES`].
        length: u32,
    },
}

/// What the longest frames are that a torrent can need.
#[derive(Debug, Clone)]
pub struct Limits {
    layout: Layout,
    /// Longest frame of any kind, without the four bytes of its length.
    longest: u32,
}

impl Limits {
    /// The limits that follow from a torrent's number of pieces.
    pub fn of(layout: &Layout) -> Self {
        let bitfield = Bitfield::bytes_for(layout.pieces()) as u32;
        let longest = 1 + bitfield.max(MAX_UNKNOWN_BYTES).max(8 + BLOCK_BYTES);
        Self { layout: layout.clone(), longest }
    }

    /// Size of a buffer that holds every frame this torrent can need, in bytes.
    pub fn longest_frame(&self) -> usize {
        4 + self.longest as usize
    }
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A message, in the first `used` bytes.
    Message {
        /// The message.
        message: Message<'a>,
        /// Bytes that it took, the length included.
        used: usize,
    },
    /// Right so far, but not all there.
    Partial {
        /// Bytes of this frame, as far as they are known yet; more than there are.
        needed: usize,
    },
}

/// The other side broke the protocol. No resynchronising is possible: hang up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// Longer than any frame, or than a frame of this kind, can be in this torrent.
    FrameTooLong {
        /// Kind of message, when it had come already.
        id: Option<u8>,
        /// Announced bytes, without the length itself.
        length: u32,
        /// Most bytes allowed.
        limit: u32,
    },
    /// The length does not fit the kind of message.
    WrongLength {
        /// Kind of message.
        id: u8,
        /// Announced bytes, without the length itself.
        length: u32,
    },
    /// A message that names a piece which the torrent does not have.
    PieceOutOfRange {
        /// Kind of message.
        id: u8,
        /// What it named.
        piece: u32,
    },
    /// A block or request that is empty or not within a piece of the torrent.
    RangeOutOfPiece {
        /// Kind of message.
        id: u8,
        /// What it named.
        range: BlockRange,
    },
    /// A request longer than [`MAX_REQUEST_BYTES`].
    RequestTooLong {
        /// What it named, in bytes.
        length: u32,
    },
    /// A `bitfield` that is none of this torrent.
    Bitfield(BitfieldError),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooLong { id: Some(id), length, limit } => {
                write!(f, "{} message of {length} bytes, at most {limit} are allowed", name(*id))
            }
            Self::FrameTooLong { id: None, length, limit } => {
                write!(f, "frame of {length} bytes, at most {limit} are allowed in this torrent")
            }
            Self::WrongLength { id, length } => write!(f, "{} message of {length} bytes", name(*id)),
            Self::PieceOutOfRange { id, piece } => {
                write!(f, "{} message names piece {piece}, which the torrent does not have", name(*id))
            }
            Self::RangeOutOfPiece { id, range: BlockRange { piece, begin, length } } => {
                write!(
                    f,
                    "{} message names {length} bytes from {begin} on of piece {piece}, which are not all there",
                    name(*id)
                )
            }
            Self::RequestTooLong { length } => {
                write!(f, "request for {length} bytes, at most {MAX_REQUEST_BYTES} are allowed")
            }
            Self::Bitfield(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WireError {}

fn name(id: u8) -> &'static str {
    match id {
        0 => "choke",
        1 => "unchoke",
        2 => "interested",
        3 => "not interested",
        4 => "have",
        5 => "bitfield",
        6 => "request",
        7 => "piece",
        8 => "cancel",
        9 => "port",
        13 => "suggest",
        14 => "have all",
        15 => "have none",
        16 => "reject",
        17 => "allowed fast",
        20 => "extended",
        _ => "unknown",
    }
}

/// Reads the first message of `bytes`; more may follow it. What is wrong is an error as soon as it can be seen.
pub fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Decoded<'a>, WireError> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<4>() else { return Ok(Decoded::Partial { needed: 4 }) };
    let length = u32::from_be_bytes(*prefix);
    if length == 0 {
        return Ok(Decoded::Message { message: Message::KeepAlive, used: 4 });
    }
    if length > limits.longest {
        return Err(WireError::FrameTooLong { id: None, length, limit: limits.longest });
    }
    let used = 4 + length as usize;
    let Some(id) = rest.first().copied() else { return Ok(Decoded::Partial { needed: used }) };
    check_length(id, length, limits)?;
    match rest.get(1..length as usize) {
        Some(payload) => Ok(Decoded::Message { message: read(id, payload, limits)?, used }),
        None => Ok(Decoded::Partial { needed: used }),
    }
}

/// Judges the announced length (id included) by the kind of message alone.
fn check_length(id: u8, length: u32, limits: &Limits) -> Result<(), WireError> {
    let bitfield = Bitfield::bytes_for(limits.layout.pieces());
    let exact = match id {
        0..=3 | 14 | 15 => 1,
        4 | 13 | 17 => 5,
        5 if length as usize != 1 + bitfield => {
            let error = BitfieldError::WrongSize { bytes: length as usize - 1, expected: bitfield };
            return Err(WireError::Bitfield(error));
        }
        6 | 8 | 16 => 13,
        20 if length < 2 => return Err(WireError::WrongLength { id, length }),
        7 if length > 9 + BLOCK_BYTES => {
            return Err(WireError::FrameTooLong { id: Some(id), length, limit: 9 + BLOCK_BYTES });
        }
        7 if length < 9 => return Err(WireError::WrongLength { id, length }),
        9 => 3,
        10.. if length > 1 + MAX_UNKNOWN_BYTES => {
            return Err(WireError::FrameTooLong { id: Some(id), length, limit: 1 + MAX_UNKNOWN_BYTES });
        }
        _ => length,
    };
    if length == exact { Ok(()) } else { Err(WireError::WrongLength { id, length }) }
}

/// Reads a payload whose length fits its kind.
fn read<'a>(id: u8, payload: &'a [u8], limits: &Limits) -> Result<Message<'a>, WireError> {
    let number = |at: usize| {
        let bytes = payload.get(at..).and_then(|rest| rest.first_chunk());
        bytes
            .map(|bytes| u32::from_be_bytes(*bytes))
            .ok_or(WireError::WrongLength { id, length: payload.len() as u32 + 1 })
    };
    let within = |length: u32| {
        let range = BlockRange { piece: PieceIndex(number(0)?), begin: number(4)?, length };
        let within = limits.layout.contains(range);
        within.then_some(range).ok_or(WireError::RangeOutOfPiece { id, range })
    };
    let piece = || {
        let piece = number(0)?;
        limits.layout.check_piece(piece).ok_or(WireError::PieceOutOfRange { id, piece })
    };
    Ok(match id {
        0 => Message::Choke,
        1 => Message::Unchoke,
        2 => Message::Interested,
        3 => Message::NotInterested,
        4 => Message::Have { piece: piece()? },
        5 => {
            Bitfield::check_wire(payload, limits.layout.pieces()).map_err(WireError::Bitfield)?;
            Message::Bitfield(payload)
        }
        6 if number(8)? > MAX_REQUEST_BYTES => return Err(WireError::RequestTooLong { length: number(8)? }),
        6 => Message::Request(within(number(8)?)?),
        7 => {
            let bytes = payload.get(8..).unwrap_or_default();
            let BlockRange { piece, begin, .. } = within(bytes.len() as u32)?;
            Message::Block { piece, begin, bytes }
        }
        8 => Message::Cancel(within(number(8)?)?),
        9 => match payload {
            [high, low] => Message::Port(u16::from_be_bytes([*high, *low])),
            _ => return Err(WireError::WrongLength { id, length: payload.len() as u32 + 1 }),
        },
        13 => Message::Suggest { piece: piece()? },
        14 => Message::HaveAll,
        15 => Message::HaveNone,
        16 => Message::Reject(within(number(8)?)?),
        17 => Message::AllowedFast { piece: piece()? },
        20 => match payload {
            [id, payload @ ..] => Message::Extended { id: *id, payload },
            [] => return Err(WireError::WrongLength { id, length: 1 }),
        },
        id => Message::Unknown { id, length: payload.len() as u32 },
    })
}

/// Appends a message as the wire has it. The payload of an unknown message is not kept, so it is sent as zeros.
pub fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    let range = |range: &BlockRange| [range.piece.0, range.begin, range.length].map(u32::to_be_bytes);
    match message {
        Message::KeepAlive => out.extend([0; 4]),
        Message::Choke => frame(out, 0, &[]),
        Message::Unchoke => frame(out, 1, &[]),
        Message::Interested => frame(out, 2, &[]),
        Message::NotInterested => frame(out, 3, &[]),
        Message::Have { piece } => frame(out, 4, &piece.0.to_be_bytes()),
        Message::Bitfield(bytes) => frame(out, 5, bytes),
        Message::Request(wanted) => frame(out, 6, range(wanted).as_flattened()),
        Message::Block { piece, begin, bytes } => {
            let length = bytes.len() as u32;
            out.extend(block_header(BlockRange { piece: *piece, begin: *begin, length }));
            out.extend_from_slice(bytes);
        }
        Message::Cancel(unwanted) => frame(out, 8, range(unwanted).as_flattened()),
        Message::Port(port) => frame(out, 9, &port.to_be_bytes()),
        Message::Suggest { piece } => frame(out, 13, &piece.0.to_be_bytes()),
        Message::HaveAll => frame(out, 14, &[]),
        Message::HaveNone => frame(out, 15, &[]),
        Message::Reject(unanswered) => frame(out, 16, range(unanswered).as_flattened()),
        Message::AllowedFast { piece } => frame(out, 17, &piece.0.to_be_bytes()),
        Message::Extended { id, payload } => {
            out.extend((payload.len() as u32 + 2).to_be_bytes());
            out.extend([20, *id]);
            out.extend_from_slice(payload);
        }
        Message::Unknown { id, length } => frame(out, *id, &vec![0; *length as usize]),
    }
}

fn frame(out: &mut Vec<u8>, id: u8, payload: &[u8]) {
    out.extend((payload.len() as u32 + 1).to_be_bytes());
    out.push(id);
    out.extend_from_slice(payload);
}

/// What goes before the bytes of a block, so that they can be sent from where they lie.
pub fn block_header(range: BlockRange) -> [u8; BLOCK_HEADER_BYTES] {
    let mut header = [0; BLOCK_HEADER_BYTES];
    header[..4].copy_from_slice(&range.length.saturating_add(9).to_be_bytes());
    header[4] = 7;
    header[5..9].copy_from_slice(&range.piece.0.to_be_bytes());
    header[9..].copy_from_slice(&range.begin.to_be_bytes());
    header
}

#[cfg(test)]
mod tests;
