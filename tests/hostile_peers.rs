//! A zoo of bad seeds. Each download has a bad seed, which does its deed first, and a good one, which begins to serve once the
//! deed is done: the download completes, nothing wrong is reported as finished or left on disk, and memory stays bounded.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::bt_erl::{BtErl, finished_piece};
use support::content::Content;
use support::peer::{BLOCK_BYTES, Heard, Log, Request, Seed, Wire};
use support::torrent::Torrent;

const PIECE_BYTES: u64 = 1 << 16;

/// With the bad seed out of the way this takes a second; a peer that is silent may cost some.
const LIMIT: Duration = Duration::from_secs(90);

/// The good seed waits this long for the bad deed. A vice that was never reached is a test of nothing.
const DEED: Duration = Duration::from_secs(45);

/// Kernel limit of private memory: far above what a download takes, far below a frame of 4 GiB.
const DATA_KIB: u64 = 1 << 20;

/// Largest resident size that any of this may lead to.
const RESIDENT_KIB: u64 = 192 << 10;

type Vice = fn(&mut Wire) -> io::Result<()>;

/// How many of these have done a deed.
fn done(bad: &[Arc<Log>]) -> usize {
    bad.iter().filter(|log| log.seen().deeds > 0).count()
}

/// Serves everything once `enough` of `bad` have done their deeds (or the wait is over).
fn good(bad: Vec<Arc<Log>>, enough: usize) -> impl Fn(&mut Wire) -> io::Result<()> + Send + Sync + 'static {
    move |wire| {
        wire.greet()?;
        let deadline = Instant::now() + DEED;
        while done(&bad) < enough && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        wire.unchoke()?;
        loop {
            let request = wire.hear_request()?;
            wire.serve(request)?;
        }
    }
}

/// A download from these bad seeds and one good one. At least `enough` of the bad ones get to do their deed.
fn survives(vices: &[Vice], enough: usize) {
    let folder = tempfile::tempdir().unwrap();
    let files = [("first", 700_001), ("empty", 0), ("sub/second", 1_000_003), ("third", 100_000)];
    let content = Content::tree("zoo", &files, 31);
    let torrent = Torrent::of(&content, PIECE_BYTES, None);
    let file = folder.path().join("zoo.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let out = folder.path().join("out");

    let bad: Vec<Seed> = vices.iter().map(|vice| Seed::start(&torrent, &content, *vice)).collect();
    let logs: Vec<Arc<Log>> = bad.iter().map(|seed| seed.log.clone()).collect();
    let good = Seed::start(&torrent, &content, good(logs.clone(), enough));
    let peers: Vec<_> = bad.iter().chain([&good]).map(|seed| seed.addr).collect();
    let mut run = BtErl::run(folder.path(), &file, &out).peers(peers).data_limit(DATA_KIB).start();

    let deadline = Instant::now() + LIMIT;
    let mut finished = std::collections::BTreeSet::new();
    let mut complete = false;
    while let Some(event) = run.event(deadline) {
        if let Some(piece) = finished_piece(&event) {
            let offset = u64::from(piece) * PIECE_BYTES;
            let length = torrent.piece_length(piece);
            assert!(
                content.read_back(&out, offset, length) == content.bytes(offset, length),
                "piece {piece} is reported as finished but wrong on disk"
            );
            finished.insert(piece);
        }
        complete |= event["event"] == "complete";
    }
    let peak_kib = run.peak_kib;
    let ended = run.end(LIMIT);
    assert!(done(&logs) >= enough, "of {} bad seeds {} came to do their deeds, not {enough}", bad.len(), done(&logs));
    ended.expect_code(0);
    assert!(complete, "a complete event");
    assert_eq!(finished.len(), torrent.pieces as usize, "finished events");
    assert_eq!(content.difference(&out), None);
    assert!(peak_kib < RESIDENT_KIB, "{peak_kib} KiB resident");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

// ---- what a bad seed sends -----------------------------------------------------------------------------------------------------

/// Greets, unchokes, and answers the first request with whatever `answer` does, the rest with silence.
fn first_request(wire: &mut Wire, answer: impl FnOnce(&mut Wire, Request) -> io::Result<()>) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    let request = wire.hear_request()?;
    wire.log.deed();
    answer(wire, request)?;
    wire.stay_silent()
}

/// Greets and sends `bytes`, then listens.
fn after_greeting(wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    wire.greet()?;
    wire.log.deed();
    wire.send(bytes)?;
    wire.stay_silent()
}

/// Every block with one bit flipped.
fn wrong_blocks(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    loop {
        let request = wire.hear_request()?;
        let mut bytes = wire.bytes_of(request);
        bytes[request.length as usize / 2] ^= 4;
        wire.block(request.piece, request.begin, &bytes)?;
        wire.log.deed();
    }
}

/// One wrong block in four: some of its pieces come out right by luck of what was asked.
fn sometimes_wrong(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    for i in 1_u64.. {
        let request = wire.hear_request()?;
        let mut bytes = wire.bytes_of(request);
        if i % 4 == 3 {
            bytes[0] ^= 0xff;
            wire.log.deed();
        }
        wire.block(request.piece, request.begin, &bytes)?;
    }
    Ok(())
}

/// The announced length of a frame is 4 GiB - 1.
fn four_gib_frame(wire: &mut Wire) -> io::Result<()> {
    after_greeting(wire, &[0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0])
}

/// A frame of 4 GiB - 1 that is really sent, as far as anybody reads it.
fn four_gib_flood(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.log.deed();
    wire.send(&[0xff, 0xff, 0xff, 0xff, 7])?;
    let zeros = vec![0; 1 << 16];
    for _ in 0..1 << 16 {
        wire.send(&zeros)?;
    }
    Ok(())
}

/// A frame of a size that some message could have, of a kind that cannot have it.
fn bloated_have(wire: &mut Wire) -> io::Result<()> {
    after_greeting(wire, &[&[0, 0, 0x40, 0, 4], [0; 0x3fff].as_slice()].concat())
}

/// Good bytes that nobody asked for: the next piece instead of the requested one.
fn unrequested_blocks(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    loop {
        let request = wire.hear_request()?;
        let piece = (request.piece + 1) % wire.torrent.pieces.saturating_sub(1).max(1);
        let other = Request { piece, ..request };
        if wire.torrent.piece_length(piece) < (request.begin + request.length) as usize {
            continue;
        }
        let bytes = wire.bytes_of(other);
        wire.block(piece, request.begin, &bytes)?;
        wire.log.deed();
    }
}

/// Blocks before any request was heard, wrong ones, in a flood.
fn unrequested_flood(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    let bytes = vec![0x55; BLOCK_BYTES as usize];
    for i in 0..2_000 {
        wire.block(i % wire.torrent.pieces.saturating_sub(1).max(1), 0, &bytes)?;
        wire.log.deed();
    }
    wire.stay_silent()
}

/// The same right block again and again.
fn the_same_block_for_ever(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    let request = wire.hear_request()?;
    loop {
        wire.serve(request)?;
        wire.log.deed();
    }
}

/// Half a handshake, then silence.
fn half_a_handshake(wire: &mut Wire) -> io::Result<()> {
    let handshake = wire.handshake_bytes(&wire.torrent.info_hash.clone());
    wire.send(&handshake[..40])?;
    wire.log.deed();
    wire.stay_silent()
}

/// Accepts and says nothing at all.
fn no_handshake(wire: &mut Wire) -> io::Result<()> {
    wire.log.deed();
    wire.stay_silent()
}

/// An HTTP answer instead of a handshake.
fn handshake_of_another_protocol(wire: &mut Wire) -> io::Result<()> {
    wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nServer: nothing of the kind at all\r\n\r\n")?;
    wire.log.deed();
    wire.stay_silent()
}

/// The handshake of another torrent.
fn wrong_info_hash(wire: &mut Wire) -> io::Result<()> {
    wire.hear_handshake()?;
    let handshake = wire.handshake_bytes(&[0x42; 20]);
    wire.log.deed();
    wire.send(&handshake)?;
    let bits = wire.full_bitfield();
    wire.message(5, &bits)?;
    wire.unchoke()?;
    wire.stay_silent()
}

/// What it hears comes back: our own handshake, our own messages.
fn mirror(wire: &mut Wire) -> io::Result<()> {
    wire.log.deed();
    wire.echo()
}

/// A bitfield whose spare bits are set.
fn spare_bits(wire: &mut Wire) -> io::Result<()> {
    let mut bits = wire.full_bitfield();
    assert!(!wire.torrent.pieces.is_multiple_of(8), "a torrent with spare bits");
    *bits.last_mut().unwrap() |= 1;
    wire.log.deed();
    wire.greet_with(&bits)?;
    wire.unchoke()?;
    wire.stay_silent()
}

/// A bitfield that is one byte short.
fn short_bitfield(wire: &mut Wire) -> io::Result<()> {
    let bits = wire.full_bitfield();
    wire.log.deed();
    wire.greet_with(&bits[1..])?;
    wire.stay_silent()
}

/// A bitfield that is a MiB long.
fn long_bitfield(wire: &mut Wire) -> io::Result<()> {
    wire.log.deed();
    wire.greet_with(&vec![0xff; 1 << 20])?;
    wire.stay_silent()
}

/// A second bitfield, after other messages.
fn late_bitfield(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    wire.hear_request()?;
    let bits = wire.full_bitfield();
    wire.log.deed();
    wire.message(5, &bits)?;
    wire.stay_silent()
}

/// Has pieces that do not exist.
fn have_out_of_range(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    let pieces = wire.torrent.pieces;
    wire.log.deed();
    for piece in [pieces, pieces + 1, u32::MAX] {
        wire.message(4, &piece.to_be_bytes())?;
    }
    wire.stay_silent()
}

/// Asks for pieces that do not exist, for nothing, for 4 GiB.
fn absurd_requests(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.message(2, &[])?;
    wire.log.deed();
    for (piece, begin, length) in [
        (0, 0, 0),
        (0, 0, u32::MAX),
        (u32::MAX, 0, BLOCK_BYTES),
        (0, u32::MAX, BLOCK_BYTES),
        (0, u32::MAX - 5, 10),
        (0, 0, 1 << 20),
    ] {
        wire.message(6, &[piece, begin, length].map(u32::to_be_bytes).concat())?;
    }
    wire.stay_silent()
}

/// Says that it has everything, and never lets us ask.
fn never_unchokes(wire: &mut Wire) -> io::Result<()> {
    after_greeting(wire, &[])
}

/// Takes requests and never answers.
fn never_answers(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |_, _| Ok(()))
}

/// Answers one request, then stops for good with the connection open.
fn answers_once(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| wire.serve(request))
}

/// Half of a block, then silence.
fn half_a_block(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| {
        let half = &wire.bytes_of(request)[..5_000];
        wire.send(&[&Wire::block_head(request), half].concat())
    })
}

/// Chokes and unchokes without end and serves nothing.
fn choke_flapping(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    loop {
        wire.unchoke()?;
        wire.choke()?;
        wire.log.deed();
    }
}

/// Chokes at the first request, forgets it, unchokes, and so on.
fn chokes_at_every_request(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    loop {
        wire.unchoke()?;
        wire.hear_request()?;
        wire.choke()?;
        wire.log.deed();
    }
}

/// A block behind the end of its piece.
fn block_out_of_range(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| {
        let bytes = wire.bytes_of(request);
        let begin = u32::try_from(wire.torrent.piece_bytes).unwrap();
        wire.block(request.piece, begin, &bytes)
    })
}

/// A block whose begin and length together wrap round 2^32.
fn block_that_wraps(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| {
        let bytes = wire.bytes_of(request);
        wire.block(request.piece, u32::MAX - 100, &bytes)
    })
}

/// A block of a piece that does not exist.
fn block_of_no_piece(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| {
        let bytes = wire.bytes_of(request);
        wire.block(wire.torrent.pieces, request.begin, &bytes)
    })
}

/// A block shorter than what was asked for.
fn short_block(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| {
        let bytes = wire.bytes_of(request);
        wire.block(request.piece, request.begin, &bytes[..bytes.len() - 1])
    })
}

/// A block longer than what was asked for, where the piece has room for it.
fn long_block(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| {
        let bytes = [wire.bytes_of(request), vec![9; 100]].concat();
        wire.block(request.piece, request.begin, &bytes)
    })
}

/// A block without bytes.
fn empty_block(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, request| wire.block(request.piece, request.begin, &[]))
}

/// A block message that ends inside its own header.
fn headless_block(wire: &mut Wire) -> io::Result<()> {
    first_request(wire, |wire, _| wire.message(7, &[0, 0, 0]))
}

/// Keep-alives without end.
fn keep_alive_flood(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    let many = vec![0; 1 << 16];
    loop {
        wire.send(&many)?;
        wire.log.deed();
    }
}

/// Messages of kinds that do not exist, of all sizes up to a few KiB.
fn unknown_messages(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.log.deed();
    for id in 10..=255 {
        wire.message(id, &vec![id; usize::from(id) * 16])?;
    }
    wire.stay_silent()
}

/// Right in everything, one byte at a time.
fn one_byte_at_a_time(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    loop {
        let request = wire.hear_request()?;
        for byte in [Wire::block_head(request), wire.bytes_of(request)].concat() {
            wire.send(&[byte])?;
        }
        wire.log.deed();
    }
}

/// Closes before the handshake.
fn closes_at_once(wire: &mut Wire) -> io::Result<()> {
    wire.log.deed();
    wire.hang_up()
}

/// Closes in the middle of the handshake.
fn closes_in_the_handshake(wire: &mut Wire) -> io::Result<()> {
    wire.hear_handshake()?;
    let handshake = wire.handshake_bytes(&wire.torrent.info_hash.clone());
    wire.send(&handshake[..60])?;
    wire.log.deed();
    wire.hang_up()
}

/// Closes after the bitfield.
fn closes_after_the_bitfield(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.log.deed();
    wire.hang_up()
}

/// Closes when the first request is there.
fn closes_at_the_first_request(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    wire.hear_request()?;
    wire.log.deed();
    wire.hang_up()
}

/// Closes in the middle of a block.
fn closes_inside_a_block(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    let request = wire.hear_request()?;
    let bytes = wire.bytes_of(request);
    wire.send(&[&Wire::block_head(request), &bytes[..100]].concat())?;
    wire.log.deed();
    wire.hang_up()
}

/// Closes after every three blocks, and serves well until then.
fn closes_after_three_blocks(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.unchoke()?;
    for _ in 0..3 {
        let request = wire.hear_request()?;
        wire.serve(request)?;
    }
    wire.log.deed();
    wire.hang_up()
}

/// A cancel of what was never asked for, a port, interest in a peer that has nothing, then a block while that is choked.
fn out_of_turn(wire: &mut Wire) -> io::Result<()> {
    wire.greet()?;
    wire.message(3, &[])?;
    wire.message(8, &[0, 0, BLOCK_BYTES].map(u32::to_be_bytes).concat())?;
    wire.message(9, &[0x1a, 0xe1])?;
    wire.message(2, &[])?;
    loop {
        match wire.hear()? {
            Heard::Interested => break,
            _ => continue,
        }
    }
    let request = Request { piece: 0, begin: 0, length: BLOCK_BYTES };
    let bytes = wire.bytes_of(request);
    wire.log.deed();
    wire.block(0, 0, &bytes)?;
    wire.stay_silent()
}

/// One test for each bad seed; the test's name is `a_download_survives::<the vice>`.
macro_rules! zoo {
    ($($vice:ident),* $(,)?) => {
        mod a_download_survives {
            $(
                #[test]
                fn $vice() {
                    super::survives(&[super::$vice], 1);
                }
            )*

            #[test]
            fn the_whole_zoo_at_once() {
                // Some of them need a request to go wrong, and there are more of them than pieces.
                super::survives(&[$(super::$vice),*], 20);
            }
        }
    };
}

zoo![
    wrong_blocks,
    sometimes_wrong,
    four_gib_frame,
    four_gib_flood,
    bloated_have,
    unrequested_blocks,
    unrequested_flood,
    the_same_block_for_ever,
    half_a_handshake,
    no_handshake,
    handshake_of_another_protocol,
    wrong_info_hash,
    mirror,
    spare_bits,
    short_bitfield,
    long_bitfield,
    late_bitfield,
    have_out_of_range,
    absurd_requests,
    never_unchokes,
    never_answers,
    answers_once,
    half_a_block,
    choke_flapping,
    chokes_at_every_request,
    block_out_of_range,
    block_that_wraps,
    block_of_no_piece,
    short_block,
    long_block,
    empty_block,
    headless_block,
    keep_alive_flood,
    unknown_messages,
    one_byte_at_a_time,
    closes_at_once,
    closes_in_the_handshake,
    closes_after_the_bitfield,
    closes_at_the_first_request,
    closes_inside_a_block,
    closes_after_three_blocks,
    out_of_turn,
];
