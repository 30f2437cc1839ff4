//! Any stream in any split gives the same messages and the same error, and each message is the bytes that it came as.

#![no_main]

use bt_erl_fuzz::protocol::wire::{self, Decoded, Limits};
use bt_erl_fuzz::protocol::{Layout, Message, WireError};
use bt_erl_fuzz::take;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let piece_bytes = u32::from_le_bytes(take(&mut rest)) >> 8;
    let total_bytes = u64::from(u16::from_le_bytes(take(&mut rest))) * u64::from(piece_bytes / 8);
    let steps = take::<4>(&mut rest);
    let Ok(layout) = Layout::new(piece_bytes, [total_bytes]) else { return };
    let limits = Limits::of(&layout);
    let at_once = read(rest, [usize::MAX].into_iter(), &layout, &limits);
    let steps = steps.into_iter().map(|step| usize::from(step) + 1).cycle();
    assert_eq!(read(rest, steps, &layout, &limits), at_once);
});

/// All messages of a stream that comes in these steps, and how it ends.
fn read<'a>(
    stream: &'a [u8],
    steps: impl Iterator<Item = usize>,
    layout: &Layout,
    limits: &Limits,
) -> (Vec<Message<'a>>, Result<usize, WireError>) {
    let (mut messages, mut start, mut end) = (Vec::new(), 0, 0_usize);
    for step in steps {
        end = end.saturating_add(step).min(stream.len());
        loop {
            match wire::decode(&stream[start..end], limits) {
                Ok(Decoded::Message { message, used }) => {
                    check(&message, &stream[start..start + used], layout);
                    messages.push(message);
                    start += used;
                }
                Ok(Decoded::Partial { needed }) => {
                    assert!(needed > end - start && needed <= limits.longest_frame());
                    break;
                }
                Err(error) => return (messages, Err(error)),
            }
        }
        if end == stream.len() {
            break;
        }
    }
    (messages, Ok(start))
}

/// What it names is in the torrent, and it is written as it came.
fn check(message: &Message<'_>, bytes: &[u8], layout: &Layout) {
    match message {
        Message::Have { piece } | Message::Suggest { piece } | Message::AllowedFast { piece } => {
            assert!(piece.0 < layout.pieces());
        }
        Message::Request(range) | Message::Cancel(range) | Message::Reject(range) => assert!(layout.contains(*range)),
        Message::Block { piece, begin, bytes } => {
            assert!(*begin as usize + bytes.len() <= layout.piece_length(*piece) as usize && !bytes.is_empty());
        }
        Message::Unknown { length, .. } => return assert_eq!(bytes.len(), 5 + *length as usize),
        _ => {}
    }
    let mut out = Vec::new();
    wire::encode(message, &mut out);
    assert_eq!(out, bytes);
}
