//! Those who stand at the door: half handshakes, hang-ups at every step, doubles, ourselves.

use std::io;
use std::time::{Duration, Instant};

use crate::support::caller::{Caller, MODERN};
use crate::support::peer::Wire;
use crate::support::until;
use crate::{BAD, Ground, LIMIT, PIECE_BYTES, ip};

/// How long anybody else may have to wait at the door meanwhile.
const SOON: Duration = Duration::from_secs(5);

fn knock(caller: &Caller, bytes: &[u8]) -> io::Result<Wire> {
    let mut wire = caller.connect()?;
    wire.send(bytes)?;
    Ok(wire)
}

fn speaks_http(caller: &Caller) -> io::Result<Wire> {
    knock(caller, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: curious\r\nAccept: */*\r\n\r\n")
}

fn asks_for_another_torrent(caller: &Caller) -> io::Result<Wire> {
    let mut hello = caller.hello();
    hello[30] ^= 1;
    knock(caller, &hello)
}

/// What a client that wants an encrypted connection sends first: 96 random bytes and more.
fn wants_encryption(caller: &Caller) -> io::Result<Wire> {
    let bytes: Vec<u8> = (0..300_u64).map(|n| crate::support::mix(n) as u8).collect();
    knock(caller, &bytes)
}

fn comes_with_our_own_peer_id(caller: &Caller) -> io::Result<Wire> {
    let mut wire = caller.connect()?;
    wire.send(&caller.hello())?;
    let ours = wire.hear_hello()?;
    drop(wire);
    knock(caller, &caller.hello_as(&ours[48..]))
}

zoo![
    speaks_http => Unheard,
    asks_for_another_torrent => Unheard,
    wants_encryption => Unheard,
    comes_with_our_own_peer_id => Unheard,
];

/// Stops at each byte of the handshake and stays: more of them than may be half open.
#[test]
fn hundreds_who_stop_at_each_byte_of_the_handshake_keep_nobody_out() {
    let ground = Ground::seeding(&[]);
    let greedy = ground.caller.from(BAD);
    let hello = greedy.hello();
    let half_open: Vec<Wire> = (0..680).map(|n| knock(&greedy, &hello[..n % 68]).expect("knocked")).collect();
    let took = ground.caller.leech().expect("an honest leech gets everything");
    assert!(took < SOON, "{took:?} for an honest leech while {} are half open", half_open.len());
    // And from the same address, as behind one router.
    let took = greedy.leech().expect("an honest leech gets everything");
    assert!(took < SOON, "{took:?} for an honest leech behind the same router");
    let mut patient = half_open.into_iter().next_back().expect("the last one");
    let began = Instant::now();
    patient.until_closed().expect("closed");
    assert!(began.elapsed() < Duration::from_secs(12), "{:?} for half a handshake", began.elapsed());
    ground.ends_well();
}

/// One byte of the handshake a moment: it is let in if it is done in time, and so is everybody else.
#[test]
fn who_sends_its_handshake_byte_by_byte_is_let_in() {
    let ground = Ground::seeding(&[]);
    let mut wire = ground.caller.from(BAD).connect().expect("connected");
    for byte in ground.caller.from(BAD).hello() {
        wire.send(&[byte]).expect("sent");
    }
    wire.hear_handshake().expect("a handshake");
    wire.message(15, &[]).expect("sent");
    wire.ping().expect("answered");
    ground.ends_well();
}

/// Hangs up after each byte of the handshake and of the first messages behind it.
#[test]
fn who_hangs_up_at_every_step_costs_nothing() {
    let mut ground = Ground::seeding(&[]);
    let rude = ground.caller.from(BAD);
    let messages = [&[0, 0, 0, 1, 15, 0, 0, 0, 1, 2, 0, 0, 0, 13, 6][..], &[0; 10], &[0x40, 0]].concat();
    let all = [rude.hello(), messages].concat();
    for round in 0..3 {
        for n in 0..=all.len() {
            let mut wire = rude.connect().expect("connected");
            wire.send(&all[..n]).expect("sent");
            if n > 68 && round == 1 {
                let _ = wire.hear_handshake();
            }
        }
    }
    let took = ground.caller.leech().expect("an honest leech gets everything");
    assert!(took < LIMIT / 2, "{took:?} for an honest leech");
    ground.reason(ip(BAD), &["disconnected"]);
    until_nobody_is_left(&mut ground);
    ground.ends_well();
}

/// Blocks until the program says that nobody is connected.
fn until_nobody_is_left(ground: &mut Ground) {
    until("nobody to be connected", LIMIT, || {
        let progress = ground.run.until_event("progress", LIMIT);
        (progress["peers_connected"] == 0).then_some(())
    });
}

/// The same peer id from the same host, twice: the later call stands, as the one who calls knows best which of its connections live.
#[test]
fn of_two_connections_of_the_same_peer_one_is_closed() {
    let mut ground = Ground::seeding(&[]);
    let caller = ground.caller.from(BAD);
    let hello = caller.hello_as(b"-TS0001-the same one");
    let call = || {
        let mut wire = knock(&caller, &hello).expect("knocked");
        wire.hear_handshake().expect("a handshake");
        wire.message(15, &[]).expect("sent");
        // Answered: the torrent knows of it.
        wire.ping().expect("answered");
        wire
    };
    let (mut first, mut second) = (call(), call());
    first.until_closed().expect("the first is closed");
    second.ping().expect("the second is served");
    assert_eq!(ground.reason(ip(BAD), &["disconnected"]), "connected already");
    second.message(2, &[]).expect("sent");
    second.fetch(0..ground.torrent.pieces).expect("it gets everything");
    ground.ends_well();
}

/// A hundred connections from one host with other peer ids: bounded, and others still get in.
#[test]
fn a_crowd_from_one_host_keeps_nobody_out() {
    let ground = Ground::seeding(&["--max-peers", "40"]);
    let crowd = ground.caller.from(BAD);
    let open: Vec<io::Result<Wire>> = (0..100).map(|_| crowd.call_with_nothing()).collect();
    let took = until("an honest leech to get in and get everything", LIMIT, || ground.caller.leech().ok());
    assert!(took < LIMIT / 2, "{took:?} for an honest leech");
    drop(open);
    ground.ends_well();
}

/// Our own address among those to call: noticed, and not called again and again.
#[test]
fn a_leech_that_is_told_its_own_address_goes_on() {
    use crate::support::bt_erl::BtErl;
    use crate::support::content::Content;
    use crate::support::peer::Seed;
    use crate::support::torrent::Torrent;
    let folder = tempfile::tempdir().unwrap();
    let content = Content::single("self.bin", 3_000_001, 54);
    let torrent = Torrent::of(&content, PIECE_BYTES, None);
    let file = folder.path().join("self.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let (port, out) = (crate::support::free_port(), folder.path().join("out"));
    let seed = Seed::start(&torrent, &content, |wire| wire.serve_paced(2 << 20));
    let own = crate::support::loopback(port);
    let run = BtErl::new(folder.path(), ["run".as_ref(), file.as_os_str(), "-d".as_ref(), out.as_os_str()])
        .args(["--json", "-p", &port.to_string()])
        .peers([own, seed.addr]);
    let ended = run.output(LIMIT);
    ended.expect_code(0);
    assert_eq!(content.difference(&out), None);
    let own = own.to_string();
    let about_us: Vec<_> = ended.events().into_iter().filter(|event| event["address"] == own).collect();
    assert!(about_us.iter().all(|event| event["state"] != "connected"), "{about_us:?}");
    assert!(about_us.len() < 3, "{about_us:?}");
}

/// The reserved bits are read, not required.
#[test]
fn a_leech_without_any_extension_gets_everything() {
    let ground = Ground::seeding(&[]);
    for claim in [[0; 8], [0, 0, 0, 0, 0, 0x10, 0, 0], [0, 0, 0, 0, 0, 0, 0, 4], MODERN] {
        ground.caller.claiming(claim).leech().expect("everything");
    }
    ground.ends_well();
}
