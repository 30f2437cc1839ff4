//! Messages survive any split, and what no client of this torrent may send is refused by name.

use proptest::prelude::*;

use super::*;

/// Three pieces: 40,000, 40,000 and 20,000 bytes.
fn limits() -> Limits {
    Limits::of(&Layout::new(40_000, [100_000]).expect("a valid layout"))
}

fn bytes_of(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, &mut out);
    out
}

fn raw(length: u32, rest: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes(), rest].concat()
}

/// A request, piece or cancel frame with these numbers.
fn numbers(id: u8, numbers: &[u32]) -> Vec<u8> {
    let mut payload = vec![id];
    payload.extend(numbers.iter().flat_map(|n| n.to_be_bytes()));
    raw(payload.len() as u32, &payload)
}

fn refused(bytes: &[u8]) -> WireError {
    decode(bytes, &limits()).expect_err("refused")
}

#[test]
fn each_message_has_the_bytes_of_bep_3() {
    let range = BlockRange { piece: PieceIndex(1), begin: 16_384, length: 512 };
    let is = |message: Message<'_>, bytes: &[u8]| assert_eq!(bytes_of(&message), bytes, "{message:?}");
    is(Message::KeepAlive, &[0, 0, 0, 0]);
    is(Message::Choke, &[0, 0, 0, 1, 0]);
    is(Message::Unchoke, &[0, 0, 0, 1, 1]);
    is(Message::Interested, &[0, 0, 0, 1, 2]);
    is(Message::NotInterested, &[0, 0, 0, 1, 3]);
    is(Message::Have { piece: PieceIndex(258) }, &[0, 0, 0, 5, 4, 0, 0, 1, 2]);
    is(Message::Bitfield(&[0xe0]), &[0, 0, 0, 2, 5, 0xe0]);
    is(Message::Request(range), &[0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 2, 0]);
    is(Message::Cancel(range), &[0, 0, 0, 13, 8, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 2, 0]);
    let block = Message::Block { piece: PieceIndex(1), begin: 16_384, bytes: b"xy" };
    is(block, &[0, 0, 0, 11, 7, 0, 0, 0, 1, 0, 0, 0x40, 0, b'x', b'y']);
    is(Message::Port(6881), &[0, 0, 0, 3, 9, 0x1a, 0xe1]);
}

#[test]
fn each_message_has_the_bytes_of_bep_6_and_10() {
    let range = BlockRange { piece: PieceIndex(1), begin: 16_384, length: 512 };
    let is = |message: Message<'_>, bytes: &[u8]| assert_eq!(bytes_of(&message), bytes, "{message:?}");
    is(Message::Suggest { piece: PieceIndex(258) }, &[0, 0, 0, 5, 13, 0, 0, 1, 2]);
    is(Message::HaveAll, &[0, 0, 0, 1, 14]);
    is(Message::HaveNone, &[0, 0, 0, 1, 15]);
    is(Message::Reject(range), &[0, 0, 0, 13, 16, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 2, 0]);
    is(Message::AllowedFast { piece: PieceIndex(258) }, &[0, 0, 0, 5, 17, 0, 0, 1, 2]);
    is(Message::Extended { id: 3, payload: b"de" }, &[0, 0, 0, 4, 20, 3, b'd', b'e']);
}

#[test]
fn the_fast_extension_is_held_to_exact_lengths_and_to_the_torrent() {
    for id in [14, 15] {
        assert_eq!(refused(&raw(2, &[id])), WireError::WrongLength { id, length: 2 });
    }
    for id in [13, 17] {
        assert_eq!(refused(&raw(4, &[id])), WireError::WrongLength { id, length: 4 });
        assert_eq!(refused(&raw(6, &[id])), WireError::WrongLength { id, length: 6 });
        assert_eq!(refused(&numbers(id, &[3])), WireError::PieceOutOfRange { id, piece: 3 });
    }
    assert_eq!(refused(&raw(12, &[16])), WireError::WrongLength { id: 16, length: 12 });
    let range = BlockRange { piece: PieceIndex(2), begin: 20_000, length: 1 };
    assert_eq!(refused(&numbers(16, &[2, 20_000, 1])), WireError::RangeOutOfPiece { id: 16, range });
}

#[test]
fn an_extended_message_has_a_number_and_may_have_no_payload() {
    assert_eq!(refused(&raw(1, &[20])), WireError::WrongLength { id: 20, length: 1 });
    let empty = Decoded::Message { message: Message::Extended { id: 0, payload: &[] }, used: 6 };
    assert_eq!(decode(&raw(2, &[20, 0]), &limits()), Ok(empty));
}

#[test]
fn a_frame_of_four_gibibytes_is_refused_by_its_length_alone() {
    let longest = limits().longest_frame() as u32 - 4;
    assert_eq!(refused(&[0xff; 4]), WireError::FrameTooLong { id: None, length: u32::MAX, limit: longest });
    assert!(matches!(refused(&(longest + 1).to_be_bytes()), WireError::FrameTooLong { id: None, .. }));
    let fits = longest.to_be_bytes();
    assert_eq!(decode(&fits, &limits()), Ok(Decoded::Partial { needed: limits().longest_frame() }));
}

#[test]
fn each_kind_has_its_own_cap_known_from_its_fifth_byte() {
    assert_eq!(refused(&raw(16_394, &[7])), WireError::FrameTooLong { id: Some(7), length: 16_394, limit: 16_393 });
    assert!(decode(&raw(16_393, &[7]), &limits()).is_ok());
    assert_eq!(refused(&raw(8, &[7])), WireError::WrongLength { id: 7, length: 8 });
    assert_eq!(refused(&raw(2, &[0])), WireError::WrongLength { id: 0, length: 2 });
    assert_eq!(refused(&raw(4, &[4])), WireError::WrongLength { id: 4, length: 4 });
    assert_eq!(refused(&raw(14, &[6])), WireError::WrongLength { id: 6, length: 14 });
    assert_eq!(refused(&raw(12, &[8])), WireError::WrongLength { id: 8, length: 12 });
    assert_eq!(refused(&raw(2, &[9])), WireError::WrongLength { id: 9, length: 2 });
    for (length, bytes) in [(1, 0), (3, 2)] {
        let wrong = WireError::Bitfield(BitfieldError::WrongSize { bytes, expected: 1 });
        assert_eq!(refused(&raw(length, &[5])), wrong);
    }
    let many = Limits::of(&Layout::new(1, [2_000_000]).expect("a valid layout"));
    assert_eq!(many.longest_frame(), 4 + 1 + 250_000);
    assert_eq!(decode(&raw(250_001, &[5]), &many), Ok(Decoded::Partial { needed: 250_005 }));
    let longest = MAX_UNKNOWN_BYTES + 1;
    assert!(decode(&raw(longest, &[20]), &many).is_ok());
    assert!(matches!(decode(&raw(longest + 1, &[20]), &many), Err(WireError::FrameTooLong { id: Some(20), .. })));
}

#[test]
fn a_piece_or_range_that_the_torrent_does_not_have_is_refused() {
    for piece in [3, u32::MAX] {
        assert_eq!(refused(&numbers(4, &[piece])), WireError::PieceOutOfRange { id: 4, piece });
    }
    for id in [6, 8] {
        for [piece, begin, length] in
            [[0, 0, 0], [3, 0, 1], [0, 39_999, 2], [2, 20_000, 1], [0, u32::MAX, 2], [u32::MAX, 0, 1]]
        {
            let range = BlockRange { piece: PieceIndex(piece), begin, length };
            assert_eq!(refused(&numbers(id, &[piece, begin, length])), WireError::RangeOutOfPiece { id, range });
        }
    }
    assert!(decode(&numbers(6, &[2, 19_999, 1]), &limits()).is_ok());
    let empty = BlockRange { piece: PieceIndex(0), begin: 0, length: 0 };
    assert_eq!(refused(&numbers(7, &[0, 0])), WireError::RangeOutOfPiece { id: 7, range: empty });
    // The four bytes of the third number are the block.
    let behind = BlockRange { piece: PieceIndex(0), begin: 39_997, length: 4 };
    assert_eq!(refused(&numbers(7, &[0, 39_997, 0])), WireError::RangeOutOfPiece { id: 7, range: behind });
}

#[test]
fn a_request_may_ask_for_128_kibibytes_and_no_byte_more() {
    let large = Limits::of(&Layout::new(1 << 20, [1 << 20]).expect("a valid layout"));
    assert!(decode(&numbers(6, &[0, 0, MAX_REQUEST_BYTES]), &large).is_ok());
    let more = MAX_REQUEST_BYTES + 1;
    assert_eq!(decode(&numbers(6, &[0, 0, more]), &large), Err(WireError::RequestTooLong { length: more }));
}

#[test]
fn a_bitfield_with_a_spare_bit_is_refused() {
    assert_eq!(refused(&raw(2, &[5, 0b0001_0000])), WireError::Bitfield(BitfieldError::SpareBitSet));
    assert!(decode(&raw(2, &[5, 0b1110_0000]), &limits()).is_ok());
}

#[test]
fn a_message_that_is_not_known_is_stepped_over() {
    let bytes = [raw(4, &[21, 1, 2, 3]), raw(1, &[1])].concat();
    let Ok(Decoded::Message { message, used }) = decode(&bytes, &limits()) else { panic!("no message") };
    assert_eq!((message, used), (Message::Unknown { id: 21, length: 3 }, 8));
    let next = Decoded::Message { message: Message::Unchoke, used: 5 };
    assert_eq!(decode(&bytes[used..], &limits()), Ok(next));
}

/// All messages of a stream that comes in these steps, and what is left of it or wrong with it.
fn read_in_steps<'a>(stream: &'a [u8], steps: &[usize]) -> (Vec<Message<'a>>, Result<usize, WireError>) {
    let (mut messages, mut start, mut end) = (Vec::new(), 0, 0_usize);
    for step in steps.iter().cycle() {
        end = end.saturating_add(*step).min(stream.len());
        loop {
            match decode(&stream[start..end], &limits()) {
                Ok(Decoded::Message { message, used }) => {
                    messages.push(message);
                    start += used;
                }
                Ok(Decoded::Partial { .. }) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        if end == stream.len() {
            break;
        }
    }
    (messages, Ok(stream.len() - start))
}

const BLOCK: [u8; 16_384] = [0x5a; 16_384];

fn any_message() -> impl Strategy<Value = Message<'static>> {
    let range = (0u32..3, 0u32..20_000).prop_flat_map(|(piece, begin)| {
        let longest = if piece == 2 { 20_000 - begin } else { 40_000 - begin };
        (1..=longest).prop_map(move |length| BlockRange { piece: PieceIndex(piece), begin, length })
    });
    let refused = range.clone();
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        Just(Message::NotInterested),
        (0u32..3).prop_map(|piece| Message::Have { piece: PieceIndex(piece) }),
        Just(Message::Bitfield(&[0b1010_0000])),
        range.clone().prop_map(Message::Request),
        range.clone().prop_map(Message::Cancel),
        range.prop_map(|r| Message::Block {
            piece: r.piece,
            begin: r.begin,
            bytes: &BLOCK[..r.length.min(BLOCK_BYTES) as usize]
        }),
        any::<u16>().prop_map(Message::Port),
        (0u32..3).prop_map(|piece| Message::Suggest { piece: PieceIndex(piece) }),
        Just(Message::HaveAll),
        Just(Message::HaveNone),
        refused.prop_map(Message::Reject),
        (0u32..3).prop_map(|piece| Message::AllowedFast { piece: PieceIndex(piece) }),
        (any::<u8>(), 0usize..2000).prop_map(|(id, n)| Message::Extended { id, payload: &BLOCK[..n] }),
        (21u8.., 0u32..2000).prop_map(|(id, length)| Message::Unknown { id, length }),
    ]
}

proptest! {
    #[test]
    fn messages_are_read_back_however_the_stream_is_split(
        messages in proptest::collection::vec(any_message(), 1..8),
        steps in proptest::collection::vec(1usize..20_000, 1..20),
    ) {
        let mut stream = Vec::new();
        messages.iter().for_each(|message| encode(message, &mut stream));
        prop_assert_eq!(read_in_steps(&stream, &steps), (messages, Ok(0)));
    }

    #[test]
    fn a_stream_that_goes_wrong_gives_the_same_messages_and_the_same_error_in_any_split(
        before in proptest::collection::vec(any_message(), 0..4),
        (id, length) in (0u8..24, 0u32..40),
        numbers in proptest::collection::vec(0u32..40_001, 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
        steps in proptest::collection::vec(1usize..40, 1..20),
    ) {
        let mut stream = Vec::new();
        before.iter().for_each(|message| encode(message, &mut stream));
        stream.extend(length.to_be_bytes());
        stream.push(id);
        stream.extend(numbers.iter().flat_map(|n| n.to_be_bytes()));
        stream.extend(noise);
        let at_once = read_in_steps(&stream, &[usize::MAX]);
        prop_assert!(at_once.0.starts_with(&before));
        prop_assert_eq!(read_in_steps(&stream, &steps), at_once);
    }

    #[test]
    fn what_is_understood_is_written_as_it_came(id in 0u8..21, payload in proptest::collection::vec(any::<u8>(), 0..20), small in 0u32..3) {
        let mut bytes = raw(payload.len() as u32 + 1, &[&[id], &payload[..]].concat());
        // Mostly a piece that there is.
        if let Some(piece) = bytes.get_mut(5..9).filter(|_| matches!(id, 4 | 6 | 7 | 8 | 13 | 16 | 17)) {
            piece.copy_from_slice(&small.to_be_bytes());
        }
        if let Ok(Decoded::Message { message, used }) = decode(&bytes, &limits())
            && !matches!(message, Message::Unknown { .. })
        {
            prop_assert_eq!(bytes_of(&message), &bytes[..used]);
        }
    }

    #[test]
    fn what_is_missing_is_named_exactly(message in any_message(), cut in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&message);
        let cut = cut.index(bytes.len());
        let needed = if cut < 4 { 4 } else { bytes.len() };
        prop_assert_eq!(decode(&bytes[..cut], &limits()), Ok(Decoded::Partial { needed }));
    }

    #[test]
    fn noise_never_panics_and_a_message_never_uses_more_than_there_is(noise in proptest::collection::vec(any::<u8>(), 0..64), id in 0u8..24, length in 0u32..32) {
        let framed = [&length.to_be_bytes()[..], &[id], &noise].concat();
        for bytes in [&noise, &framed] {
            match decode(bytes, &limits()) {
                Ok(Decoded::Message { used, .. }) => prop_assert!(used <= bytes.len()),
                Ok(Decoded::Partial { needed }) => prop_assert!(needed > bytes.len()),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
