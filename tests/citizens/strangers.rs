//! Those who say what nobody wants to hear: frames, bitfields, haves, blocks, the fast extension, the extension protocol.

use std::io;
use std::net::Ipv4Addr;

use crate::support::bencode::{Ben, dict, text};
use crate::support::caller::{Caller, PLAIN};
use crate::support::content::Content;
use crate::support::peer::{BLOCK_BYTES, Wire};
use crate::{Ground, Outcome, in_the_end};

fn raw(caller: &Caller, bytes: &[u8]) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.send(bytes)?;
    Ok(wire)
}

/// As the first message.
fn first(caller: &Caller, id: u8, payload: &[u8]) -> io::Result<Wire> {
    let mut wire = caller.call()?;
    wire.message(id, payload)?;
    Ok(wire)
}

fn announces_a_frame_of_4_gib(caller: &Caller) -> io::Result<Wire> {
    raw(caller, &[0xff, 0xff, 0xff, 0xff, 7, 0, 0])
}

fn sends_frames_without_end(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    let frame = [&[0, 0, 0xff, 0xff, 99], [7; 0xfffe].as_slice()].concat();
    (0..200).try_for_each(|_| wire.send(&frame))?;
    Ok(wire)
}

fn sends_keep_alives_without_end(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    (0..64).try_for_each(|_| wire.send(&[0; 1 << 16]))?;
    Ok(wire)
}

fn sends_every_unknown_message(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    for id in (10..=12).chain(18..=19).chain(21..=255) {
        wire.message(id, &vec![id; usize::from(id) * 16])?;
    }
    Ok(wire)
}

fn claims_every_extension_there_is(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.claiming([0xff; 8]).call()?;
    wire.message(15, &[])?;
    wire.message(9, &[0x1a, 0xe1])?;
    Ok(wire)
}

fn sends_a_bitfield_of_a_mib(caller: &Caller) -> io::Result<Wire> {
    first(caller, 5, &vec![0xff; 1 << 20])
}

fn sends_a_bitfield_one_byte_short(caller: &Caller) -> io::Result<Wire> {
    first(caller, 5, &vec![0; caller.torrent.pieces.div_ceil(8) as usize - 1])
}

fn sets_spare_bits(caller: &Caller) -> io::Result<Wire> {
    let mut bits = vec![0; caller.torrent.pieces.div_ceil(8) as usize];
    *bits.last_mut().unwrap() = 1;
    assert!(!caller.torrent.pieces.is_multiple_of(8), "a torrent with spare bits");
    first(caller, 5, &bits)
}

fn floods_with_bitfields(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    let bits = vec![0; caller.torrent.pieces.div_ceil(8) as usize];
    (0..5_000).try_for_each(|_| wire.message(5, &bits))?;
    Ok(wire)
}

fn floods_with_haves(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    let haves: Vec<u8> = (0..caller.torrent.pieces - 1)
        .flat_map(|piece| [&[0, 0, 0, 5, 4], &piece.to_be_bytes()[..]].concat())
        .collect();
    (0..3_000).try_for_each(|_| wire.send(&haves))?;
    Ok(wire)
}

fn has_a_piece_that_does_not_exist(caller: &Caller) -> io::Result<Wire> {
    let piece = caller.torrent.pieces;
    let mut wire = caller.call_with_nothing()?;
    wire.message(4, &piece.to_be_bytes())?;
    Ok(wire)
}

/// A seed that calls a seed: nobody has anything to do.
fn has_everything_too(caller: &Caller) -> io::Result<Wire> {
    first(caller, 14, &[])
}

fn sends_blocks_that_nobody_asked_for(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    let bytes = vec![0x55; BLOCK_BYTES as usize];
    (0..2_000).try_for_each(|i| wire.block(i % caller.torrent.pieces.saturating_sub(1), 0, &bytes))?;
    Ok(wire)
}

fn sends_a_block_of_no_piece(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.block(caller.torrent.pieces, 0, &[0; 100])?;
    Ok(wire)
}

fn sends_a_block_without_bytes(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.block(0, 0, &[])?;
    Ok(wire)
}

// ---- the fast extension ---------------------------------------------------------------------------------------------

fn uses_the_fast_extension_without_having_claimed_it(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.claiming(PLAIN).call()?;
    wire.message(15, &[])?;
    Ok(wire)
}

fn floods_with_rejects_of_nothing(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    let reject = [&[0, 0, 0, 13, 16], [0, 0, BLOCK_BYTES].map(u32::to_be_bytes).concat().as_slice()].concat();
    (0..100).try_for_each(|_| wire.send(&reject.repeat(100)))?;
    Ok(wire)
}

fn suggests_and_allows_everything_over_and_over(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    for _ in 0..500 {
        for piece in 0..caller.torrent.pieces {
            wire.message(13, &piece.to_be_bytes())?;
            wire.message(17, &piece.to_be_bytes())?;
        }
    }
    Ok(wire)
}

fn allows_a_piece_that_does_not_exist(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.message(17, &u32::MAX.to_be_bytes())?;
    Ok(wire)
}

// ---- the extension protocol -------------------------------------------------------------------------------------------

/// An extension handshake that offers the extensions in use, and more entries.
fn hello(more: Vec<(&str, Ben)>) -> Vec<u8> {
    let ids = dict([("lt_donthave", Ben::Int(7)), ("ut_metadata", Ben::Int(3)), ("ut_pex", Ben::Int(1))]);
    let mut entries = vec![("m", ids)];
    entries.extend(more);
    entries.sort_by_key(|(key, _)| *key);
    dict(entries).encode()
}

fn introduced(caller: &Caller, more: Vec<(&str, Ben)>) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.extended(0, &hello(more))?;
    Ok(wire)
}

fn introduces_itself_without_end(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    (0..20_000).try_for_each(|_| wire.extended(0, &hello(vec![])))?;
    Ok(wire)
}

fn introduces_itself_with_absurd_numbers(caller: &Caller) -> io::Result<Wire> {
    introduced(
        caller,
        vec![
            ("metadata_size", Ben::Int(i128::from(i64::MAX))),
            ("p", Ben::Int(-1)),
            ("reqq", Ben::Int(i128::from(i64::MAX))),
            ("upload_only", text("perhaps")),
            ("v", text(vec![b'x'; 30_000])),
            ("yourip", text("not an address")),
        ],
    )
}

/// No number of bencode has to be read that is larger than 2^63.
fn introduces_itself_with_a_number_too_large(caller: &Caller) -> io::Result<Wire> {
    introduced(caller, vec![("reqq", Ben::Int(i128::from(u64::MAX)))])
}

/// A partial seed (BEP 21) that calls a seed: nobody has anything to do.
fn wants_nothing_more(caller: &Caller) -> io::Result<Wire> {
    introduced(caller, vec![("upload_only", Ben::Int(1))])
}

fn introduces_itself_with_what_is_no_dictionary(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.extended(0, b"i42e")?;
    Ok(wire)
}

/// A parser that recurses dies of this.
fn introduces_itself_with_deep_nesting(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.extended(0, &[b"d1:m".as_slice(), &[b'l'; 30_000]].concat())?;
    Ok(wire)
}

fn introduces_itself_with_nothing(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.message(20, &[])?;
    Ok(wire)
}

fn uses_extensions_that_nobody_offered(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    (100..=255).try_for_each(|id| wire.extended(id, b"d1:ai1ee"))?;
    Ok(wire)
}

/// The number that the other side gave to an extension.
fn their_id(wire: &mut Wire, name: &str) -> io::Result<u8> {
    their_ids(wire, &[name]).map(|ids| ids[0])
}

/// The numbers that the other side gave to these extensions.
fn their_ids(wire: &mut Wire, names: &[&str]) -> io::Result<Vec<u8>> {
    let frame = loop {
        let frame = wire.until_message(20)?;
        if frame.get(1) == Some(&0) {
            break frame;
        }
    };
    let id = |name: &&str| {
        let key = format!("{}:{name}i", name.len()).into_bytes();
        let at = frame.windows(key.len()).position(|window| window == key);
        let at = at.ok_or_else(|| io::Error::other(format!("{name} is not offered")))? + key.len();
        let digits: Vec<u8> = frame[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
        String::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(|| io::Error::other("no number"))
    };
    names.iter().map(id).collect()
}

fn metadata(kind: i128, piece: i128) -> Vec<u8> {
    dict([("msg_type", Ben::Int(kind)), ("piece", Ben::Int(piece))]).encode()
}

/// The whole info dictionary over and over; answers are for the reading.
fn asks_for_the_metadata_without_end(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "ut_metadata")?;
    (0..20_000).try_for_each(|_| wire.extended(id, &metadata(0, 0)))?;
    Ok(wire)
}

fn asks_for_metadata_that_does_not_exist(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "ut_metadata")?;
    for piece in [1, 1_000_000, i128::from(u32::MAX)] {
        wire.extended(id, &metadata(0, piece))?;
    }
    wire.extended(id, &metadata(77, 0))?;
    Ok(wire)
}

/// Metadata that nobody asked for: pieces of 16 KiB of a whole of this many bytes, and rejections.
fn gives_metadata(caller: &Caller, total: i128) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![("metadata_size", Ben::Int(total))])?;
    let id = their_id(&mut wire, "ut_metadata")?;
    for piece in 0..20 {
        let head =
            dict([("msg_type", Ben::Int(1)), ("piece", Ben::Int(piece)), ("total_size", Ben::Int(total))]).encode();
        wire.extended(id, &[head, vec![9; 16_384]].concat())?;
        wire.extended(id, &metadata(2, piece))?;
    }
    Ok(wire)
}

fn sends_metadata_that_nobody_asked_for(caller: &Caller) -> io::Result<Wire> {
    gives_metadata(caller, i128::from(u32::MAX))
}

fn sends_metadata_of_4_eib(caller: &Caller) -> io::Result<Wire> {
    gives_metadata(caller, 1 << 62)
}

fn sends_a_metadata_message_that_is_none(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "ut_metadata")?;
    wire.extended(id, b"hello")?;
    Ok(wire)
}

/// Addresses of nobody (TEST-NET-1): a client that is complete has no reason to call any of them.
fn pex(count: u16) -> Vec<u8> {
    let added: Vec<u8> = (0..count)
        .flat_map(|n| [&Ipv4Addr::new(127, 0, 99, (n % 200) as u8).octets()[..], &(n + 1).to_be_bytes()].concat())
        .collect();
    dict([("added", text(added)), ("added.f", text(vec![0; usize::from(count)])), ("dropped", text(""))]).encode()
}

fn floods_with_peer_exchange(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "ut_pex")?;
    (0..2_000).try_for_each(|_| wire.extended(id, &pex(50)))?;
    Ok(wire)
}

fn sends_a_peer_exchange_of_ten_thousand(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "ut_pex")?;
    wire.extended(id, &pex(9_000))?;
    Ok(wire)
}

fn sends_a_peer_exchange_of_half_addresses(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "ut_pex")?;
    wire.extended(id, &dict([("added", text("1234567"))]).encode())?;
    Ok(wire)
}

/// Has pieces and has them not, in turn.
fn has_and_has_not_without_end(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "lt_donthave")?;
    for _ in 0..10_000 {
        wire.message(4, &[0; 4])?;
        wire.extended(id, &[0; 4])?;
    }
    Ok(wire)
}

fn has_not_a_piece_that_does_not_exist(caller: &Caller) -> io::Result<Wire> {
    let mut wire = introduced(caller, vec![])?;
    let id = their_id(&mut wire, "lt_donthave")?;
    wire.extended(id, &u32::MAX.to_be_bytes())?;
    Ok(wire)
}

zoo![
    announces_a_frame_of_4_gib => Parted("at most"),
    sends_frames_without_end => Ignored,
    sends_keep_alives_without_end => Ignored,
    sends_every_unknown_message => Ignored,
    claims_every_extension_there_is => Ignored,
    sends_a_bitfield_of_a_mib => Parted("frame of 1048577 bytes"),
    sends_a_bitfield_one_byte_short => Parted("bitfield"),
    sets_spare_bits => Parted("bit set behind the last piece"),
    floods_with_bitfields => Parted("floods us with bitfields"),
    floods_with_haves => Ignored,
    has_a_piece_that_does_not_exist => Parted("have message names piece"),
    has_everything_too => Parted("both sides have everything"),
    sends_blocks_that_nobody_asked_for => Parted("blocks that nobody asked for"),
    sends_a_block_of_no_piece => Parted("piece message names"),
    sends_a_block_without_bytes => Parted("sent"),
    uses_the_fast_extension_without_having_claimed_it => Parted("fast extension"),
    floods_with_rejects_of_nothing => Parted("floods"),
    suggests_and_allows_everything_over_and_over => Parted("floods us with extension messages"),
    allows_a_piece_that_does_not_exist => Parted("allowed fast message names piece"),
    introduces_itself_without_end => Parted("floods us with extension messages"),
    introduces_itself_with_absurd_numbers => Ignored,
    introduces_itself_with_a_number_too_large => Parted("extension handshake"),
    wants_nothing_more => Parted("both sides have everything"),
    introduces_itself_with_what_is_no_dictionary => Parted("extension handshake"),
    introduces_itself_with_deep_nesting => Parted("extension handshake"),
    introduces_itself_with_nothing => Parted("extended message of"),
    uses_extensions_that_nobody_offered => Ignored,
    asks_for_the_metadata_without_end => Parted("floods us with extension messages"),
    asks_for_metadata_that_does_not_exist => Ignored,
    sends_metadata_that_nobody_asked_for => Ignored,
    sends_metadata_of_4_eib => Parted("metadata message"),
    sends_a_metadata_message_that_is_none => Parted("metadata message"),
    floods_with_peer_exchange => Parted("peer exchange"),
    sends_a_peer_exchange_of_ten_thousand => Ignored,
    sends_a_peer_exchange_of_half_addresses => Ignored,
    has_and_has_not_without_end => Parted("floods us with extension messages"),
    has_not_a_piece_that_does_not_exist => Ignored,
];

/// A private torrent: peers come from its trackers alone (BEP 27).
#[test]
fn in_a_private_torrent_peer_exchange_is_not_offered_and_not_heard() {
    let content = Content::single("private.bin", 1_000_001, 53);
    let private = Ground::seeding_what(content, |forge| forge.with("private", Ben::Int(1)), &[]);
    in_the_end(
        private,
        |caller| {
            let mut wire = introduced(caller, vec![])?;
            assert!(their_id(&mut wire, "ut_pex").is_err(), "ut_pex is offered in a private torrent");
            let others = ["lt_donthave", "ut_metadata"];
            let mut wire = introduced(caller, vec![])?;
            let taken = their_ids(&mut wire, &others)?;
            let free = (1..20).filter(|id| !taken.contains(id));
            free.into_iter().try_for_each(|id| (0..20).try_for_each(|_| wire.extended(id, &pex(50))))?;
            Ok(wire)
        },
        Outcome::Ignored,
    );
}
