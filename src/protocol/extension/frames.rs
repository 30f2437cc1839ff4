//! The frames of a connection of which only the extension protocol matters, because nothing else of the torrent is known yet (BEP 3, BEP 10).
//!
//! ```text
//! 4 length | 20 | 1 number of the extension | its payload       length at most 2 + 64 KiB: given to the caller
//! 4 length | anything else                                      skipped, however it is split
//! ```
//! Pure. The length is judged before anything else of a frame is waited for, and only frames that are given out are ever whole in memory.

use std::fmt;

use crate::protocol::Bitfield;
use crate::protocol::layout::MAX_PIECES;
use crate::protocol::wire::MAX_UNKNOWN_BYTES;

/// Bytes of the longest frame that is given out, its length included.
pub const LONGEST: usize = 4 + 2 + MAX_UNKNOWN_BYTES as usize;
/// The number of the extension protocol's messages (BEP 10).
const EXTENDED: u8 = 20;

/// Where in the stream of frames a connection is.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes still to come of a frame that is skipped.
    skipping: usize,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message of the extension protocol, in the first `used` bytes.
    Extended {
        /// 0: the extension handshake. Others: what our handshake named.
        id: u8,
        /// At most 64 KiB.
        payload: &'a [u8],
        /// Bytes that it took, the length included.
        used: usize,
    },
    /// Nothing of interest, in the first `used` bytes; at least one.
    Skipped {
        /// How many.
        used: usize,
    },
    /// Right so far, but not all there: at most [`LONGEST`] bytes will be.
    Partial,
}

/// A frame that no torrent can need. No resynchronising is possible: hang up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTooLong {
    /// Announced bytes, without the length itself.
    pub length: u32,
}

impl fmt::Display for FrameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame of {} bytes, more than any torrent can need", self.length)
    }
}

impl std::error::Error for FrameTooLong {}

impl Frames {
    /// Reads what `bytes` begin with; what is used is not to be given again.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Frame<'a>, FrameTooLong> {
        if self.skipping > 0 && !bytes.is_empty() {
            let used = self.skipping.min(bytes.len());
            self.skipping -= used;
            return Ok(Frame::Skipped { used });
        }
        let Some((prefix, rest)) = bytes.split_first_chunk::<4>() else { return Ok(Frame::Partial) };
        let length = u32::from_be_bytes(*prefix);
        let (id, longest) = match (length, rest.first()) {
            (0, _) => return Ok(Frame::Skipped { used: 4 }),
            (_, None) => (None, longest_of_any()),
            (_, Some(&EXTENDED)) => (Some(EXTENDED), LONGEST as u32 - 4),
            (_, Some(id)) => (Some(*id), longest_of_any()),
        };
        if length > longest {
            return Err(FrameTooLong { length });
        }
        match (id, rest.get(..length as usize)) {
            (None, _) | (Some(EXTENDED), None) => Ok(Frame::Partial),
            (Some(EXTENDED), Some([_, id, payload @ ..])) => {
                Ok(Frame::Extended { id: *id, payload, used: 4 + length as usize })
            }
            _ => {
                self.skipping = 4 + length as usize;
                self.next(bytes)
            }
        }
    }
}

/// A bitfield of the largest torrent, which is more than any block.
fn longest_of_any() -> u32 {
    1 + Bitfield::bytes_for(MAX_PIECES) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Read = (Vec<(u8, Vec<u8>)>, Option<FrameTooLong>, usize);

    /// All messages of a stream that comes in parts, up to its end or its error; and how much had to be kept at most.
    fn read(parts: &[&[u8]]) -> Read {
        let (mut frames, mut held, mut most, mut messages) = (Frames::default(), Vec::new(), 0, Vec::new());
        for part in parts {
            held.extend_from_slice(part);
            loop {
                match frames.next(&held) {
                    Ok(Frame::Extended { id, payload, used }) => {
                        messages.push((id, payload.to_vec()));
                        held.drain(..used);
                    }
                    Ok(Frame::Skipped { used }) => drop(held.drain(..used)),
                    Ok(Frame::Partial) => break,
                    Err(error) => return (messages, Some(error), most),
                }
            }
            most = most.max(held.len());
        }
        (messages, None, most)
    }

    fn frame(id: u8, payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32 + 1).to_be_bytes(), &[id][..], payload].concat()
    }

    #[test]
    fn what_is_not_of_the_extension_protocol_is_skipped() {
        let stream = [
            vec![0; 4],
            frame(5, &[255; 200_000]),
            frame(20, b"\0de"),
            frame(20, b""),
            frame(4, &[0; 4]),
            frame(20, b"\x01x"),
        ];
        let all = stream.concat();
        let (messages, error, most) = read(&all.chunks(1000).collect::<Vec<_>>());
        assert_eq!((messages, error), (vec![(0, b"de".to_vec()), (1, b"x".to_vec())], None));
        assert!(most < 1000, "a long bitfield is never held: {most}");
    }

    #[test]
    fn a_frame_that_no_torrent_needs_is_an_error_as_soon_as_its_length_is_there() {
        assert_eq!(read(&[&[255; 4]]).1, Some(FrameTooLong { length: u32::MAX }));
        let extended = [&65_539_u32.to_be_bytes()[..], &[20]].concat();
        assert_eq!(read(&[&extended]).1, Some(FrameTooLong { length: 65_539 }));
        assert_eq!(read(&[&65_538_u32.to_be_bytes(), &[20]]).1, None);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let payload = || proptest::collection::vec(any::<u8>(), 0..50);
        let part = prop_oneof![
            4 => (prop_oneof![Just(20), any::<u8>()], payload()).prop_map(|(id, payload)| frame(id, &payload)),
            1 => payload(),
        ];
        proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same(stream in stream(), size in 1_usize..60) {
            let (whole, split) = (read(&[&stream]), read(&stream.chunks(size).collect::<Vec<_>>()));
            prop_assert_eq!((&whole.0, whole.1), (&split.0, split.1));
            prop_assert!(split.2 <= LONGEST);
        }
    }
}
