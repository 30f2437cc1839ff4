//! Those who call a seed and want, or want too much: requests, cancels, interest.

use std::io;

use crate::support::caller::{Caller, PLAIN};
use crate::support::peer::{BLOCK_BYTES, Request, Wire};
use crate::{BAD, Ground, LIMIT};

const FIRST: Request = Request { piece: 0, begin: 0, length: BLOCK_BYTES };

/// Many times the same message, in writes of some size.
fn flood(wire: &mut Wire, times: usize, frame: &[u8]) -> io::Result<()> {
    const AT_ONCE: usize = 256;
    let many = frame.repeat(AT_ONCE);
    (0..times.div_ceil(AT_ONCE)).try_for_each(|_| wire.send(&many))
}

fn frame(id: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 1).to_be_bytes(), [id].as_slice(), payload].concat()
}

/// Reads on another thread whatever comes.
fn listening(wire: &Wire) {
    let mut twin = wire.twin();
    std::thread::spawn(move || while twin.frame().is_ok() {});
}

/// Unchoked, with the handshake's claims of `caller`.
fn unchoked(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    wire.message(2, &[])?;
    wire.until_message(1)?;
    Ok(wire)
}

/// Asks while it is choked, again and again, and hears each refusal.
fn asks_while_choked_again_and_again(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    listening(&wire);
    // The last pieces are none of the few that a choked peer may have.
    for _ in 0..20 {
        for request in wire.requests_of(0..wire.torrent.pieces) {
            wire.message(6, &request.bytes())?;
        }
        flood(&mut wire, 2_000, &frame(6, &FIRST.bytes()))?;
    }
    Ok(wire)
}

/// The same without the fast extension, where nobody is told of a refusal.
fn asks_while_choked_without_the_fast_extension(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.claiming(PLAIN).call()?;
    flood(&mut wire, 20_000, &frame(6, &FIRST.bytes()))?;
    Ok(wire)
}

/// One request while choked is no crime: it is refused.
fn asks_once_while_choked(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    let last = Request { piece: wire.torrent.pieces - 1, begin: 0, length: 1 };
    wire.message(6, &last.bytes())?;
    Ok(wire)
}

/// Far more requests than anybody announces, all different, read by nobody.
fn asks_for_everything_at_once_and_reads_nothing(caller: &Caller) -> io::Result<Wire> {
    let mut wire = unchoked(caller)?;
    let all = wire.requests_of(0..wire.torrent.pieces);
    for _ in 0..100 {
        for request in &all {
            wire.message(6, &request.bytes())?;
        }
    }
    Ok(wire)
}

/// The same block over and over, each answer read.
fn asks_for_the_same_block_over_and_over(caller: &Caller) -> io::Result<Wire> {
    let mut wire = unchoked(caller)?;
    for _ in 0..20 {
        flood(&mut wire, 256, &frame(6, &FIRST.bytes()))?;
        wire.ping()?;
    }
    Ok(wire)
}

/// Asks and cancels at once, many times.
fn cancels_all_it_asks_for(caller: &Caller) -> io::Result<Wire> {
    let mut wire = unchoked(caller)?;
    for _ in 0..20 {
        for request in wire.requests_of(0..wire.torrent.pieces) {
            wire.message(6, &request.bytes())?;
            wire.message(8, &request.bytes())?;
        }
        wire.ping()?;
    }
    Ok(wire)
}

/// Cancels what was never asked for.
fn floods_with_cancels(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    flood(&mut wire, 100_000, &frame(8, &FIRST.bytes()))?;
    Ok(wire)
}

fn interested_and_not_without_end(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    listening(&wire);
    let both = [frame(2, &[]), frame(3, &[])].concat();
    flood(&mut wire, 50_000, &both)?;
    Ok(wire)
}

fn chokes_and_unchokes_without_end(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.call_with_nothing()?;
    let both = [frame(0, &[]), frame(1, &[])].concat();
    flood(&mut wire, 50_000, &both)?;
    Ok(wire)
}

fn sends_one(caller: &Caller, id: u8, payload: &[u8]) -> io::Result<Wire> {
    let mut wire = unchoked(caller)?;
    wire.message(id, payload)?;
    Ok(wire)
}

fn asks_for_a_piece_that_does_not_exist(caller: &Caller) -> io::Result<Wire> {
    sends_one(caller, 6, &Request { piece: caller.torrent.pieces, ..FIRST }.bytes())
}

fn asks_behind_the_end_of_a_piece(caller: &Caller) -> io::Result<Wire> {
    sends_one(caller, 6, &Request { begin: caller.torrent.piece_bytes as u32 - 1, ..FIRST }.bytes())
}

fn asks_for_what_wraps_around(caller: &Caller) -> io::Result<Wire> {
    sends_one(caller, 6, &Request { begin: u32::MAX - 5, length: 10, ..FIRST }.bytes())
}

fn asks_for_nothing(caller: &Caller) -> io::Result<Wire> {
    sends_one(caller, 6, &Request { length: 0, ..FIRST }.bytes())
}

fn asks_for_more_than_128_kib(caller: &Caller) -> io::Result<Wire> {
    sends_one(caller, 6, &Request { length: (128 << 10) + 1, ..FIRST }.bytes())
}

fn asks_with_a_short_message(caller: &Caller) -> io::Result<Wire> {
    sends_one(caller, 6, &[0; 8])
}

/// Asks for a byte at a time, all over a piece: a read for each.
fn asks_for_single_bytes(caller: &Caller) -> io::Result<Wire> {
    let mut wire = unchoked(caller)?;
    for first in (0..3_000).step_by(100) {
        for i in first..first + 100 {
            wire.message(6, &Request { piece: i % 4, begin: i * 7, length: 1 }.bytes())?;
        }
        (0..100).try_for_each(|_| wire.until_message(7).map(|_| ()))?;
    }
    Ok(wire)
}

zoo![
    asks_while_choked_again_and_again => Parted("requests"),
    asks_while_choked_without_the_fast_extension => Parted("requests"),
    asks_once_while_choked => Ignored,
    asks_for_everything_at_once_and_reads_nothing => Parted("requests"),
    asks_for_the_same_block_over_and_over => Ignored,
    cancels_all_it_asks_for => Ignored,
    floods_with_cancels => Ignored,
    interested_and_not_without_end => Parted("changes its mind"),
    chokes_and_unchokes_without_end => Parted("changes its mind"),
    asks_for_a_piece_that_does_not_exist => Parted("request message names"),
    asks_behind_the_end_of_a_piece => Parted("sent"),
    asks_for_what_wraps_around => Parted("sent"),
    asks_for_nothing => Parted("sent"),
    asks_for_more_than_128_kib => Parted("at most 131072 are allowed"),
    asks_with_a_short_message => Parted("request message of"),
    asks_for_single_bytes => Ignored,
];

/// What a peer that asks and reads nothing costs, and that it keeps nobody else from anything.
#[test]
fn a_peer_that_asks_for_two_thousand_blocks_and_reads_nothing_costs_a_fixed_amount() {
    let content = crate::support::content::Content::single("large.bin", 40 << 20, 52);
    let ground = Ground::seeding_what(content, |forge| forge, &[]);
    // Warm: an honest leech has had everything once.
    ground.caller.leech().expect("an honest leech gets everything");
    let before = ground.run.guard.resident_kib();
    let greedy: Vec<Wire> = (0..4)
        .map(|n| {
            let mut wire = unchoked(&ground.caller.from(BAD + n)).expect("unchoked");
            let requests = wire.requests_of(0..wire.torrent.pieces);
            for request in requests.iter().take(2_000) {
                if wire.message(6, &request.bytes()).is_err() {
                    break; // it may be told to go
                }
            }
            wire
        })
        .collect();
    let took = ground.caller.leech().expect("an honest leech gets everything");
    let grown = ground.run.guard.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {} peers that read nothing; an honest leech took {took:?}", greedy.len());
    assert!(grown / greedy.len() as u64 <= PER_PEER_KIB, "{grown} KiB for {} peers", greedy.len());
    assert!(took < LIMIT / 2, "{took:?} for an honest leech");
    drop(greedy);
    ground.ends_well();
}

/// Most that one peer may make us hold.
const PER_PEER_KIB: u64 = 2048;
