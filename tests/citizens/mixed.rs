//! Those among several peers of a leeching bt-erl: the liar is found, the honest ones beside it are not punished, and nobody who
//! says one thing and does another keeps the last block back.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, TorrentOptions};

use crate::support::bt_erl::{BtErl, Ended};
use crate::support::caller::MODERN;
use crate::support::content::Content;
use crate::support::peer::{Heard, Request, Seed, Wire};
use crate::support::torrent::Torrent;
use crate::support::until;
use crate::{LIMIT, PIECE_BYTES};

type Conduct = Arc<dyn Fn(&mut Wire) -> io::Result<()> + Send + Sync>;

fn conduct(conduct: impl Fn(&mut Wire) -> io::Result<()> + Send + Sync + 'static) -> Conduct {
    Arc::new(conduct)
}

/// A download from these seeds, to its end. The seeds' addresses, in their order.
fn download(content: &Content, piece_bytes: u64, seeds: Vec<Conduct>) -> (Ended, Vec<Seed>) {
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::of(content, piece_bytes, None);
    let file = folder.path().join("mixed.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let seeds: Vec<Seed> =
        seeds.into_iter().map(|conduct| Seed::start(&torrent, content, move |wire| conduct(wire))).collect();
    let out = folder.path().join("out");
    let ended = BtErl::run(folder.path(), &file, &out).peers(seeds.iter().map(|seed| seed.addr)).output(LIMIT);
    ended.expect_code(0);
    assert_eq!(content.difference(&out), None);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    (ended, seeds)
}

fn is_banned(ended: &Ended, seed: &Seed) -> bool {
    ended.about(seed.addr).iter().any(|event| event["state"] == "banned")
}

/// Bytes that came in vain, all reasons together.
fn wasted(ended: &Ended) -> u64 {
    ended.last("complete")["refetched"].as_u64().expect("a number")
}

/// Serves at this rate; every `n`th block has a bit flipped.
fn corrupts_every(n: u64, rate: u64) -> Conduct {
    conduct(move |wire| {
        wire.greet()?;
        wire.unchoke()?;
        let began = Instant::now();
        let mut sent = 0;
        for i in 1_u64.. {
            let request = wire.hear_request()?;
            let mut bytes = wire.bytes_of(request);
            if i.is_multiple_of(n) {
                bytes[0] ^= 1;
                wire.log.deed();
            }
            std::thread::park_timeout(
                Duration::from_secs_f64(sent as f64 / rate as f64).saturating_sub(began.elapsed()),
            );
            sent += u64::from(request.length);
            wire.block(request.piece, request.begin, &bytes)?;
        }
        Ok(())
    })
}

fn honest(rate: u64) -> Conduct {
    conduct(move |wire| wire.serve_paced(rate))
}

/// Pieces of 4 MiB, so that several peers fill each of them.
#[test]
fn of_several_peers_that_filled_a_bad_piece_only_the_liar_is_banned() {
    for n in [1, 5, 40] {
        const RATE: u64 = 4 << 20;
        let content = Content::single("smart.bin", (16 << 20) + 1, 61);
        let seeds = vec![honest(RATE), honest(RATE), corrupts_every(n, RATE), honest(RATE)];
        let (ended, seeds) = download(&content, 4 << 20, seeds);
        assert!(seeds[2].log.seen().deeds > 0, "no block was corrupted");
        assert!(is_banned(&ended, &seeds[2]), "the liar of every {n}th block: {:?}", ended.about(seeds[2].addr));
        for seed in [0, 1, 3].map(|n| &seeds[n]) {
            assert!(!is_banned(&ended, seed), "an honest one beside it is banned: {:?}", ended.about(seed.addr));
        }
        println!("every {n}th block: {} bytes in vain of {}", wasted(&ended), content.total());
        // Each piece in which it had a hand is fetched twice; one more is lost to finding out who it was.
        assert!(wasted(&ended) <= content.total() + (8 << 20), "{} bytes in vain", wasted(&ended));
    }
}

/// Answers what it is asked in batches, the last first. Odd, but allowed.
#[test]
fn blocks_out_of_order_are_as_good_as_any() {
    let content = Content::single("order.bin", 6_000_001, 62);
    let backwards = conduct(|wire| {
        wire.greet()?;
        wire.unchoke()?;
        loop {
            let mut batch = vec![wire.hear_request()?];
            wire.read_timeout(Some(Duration::from_millis(20)))?;
            while let Ok(request) = wire.hear_request() {
                batch.push(request);
            }
            wire.read_timeout(None)?;
            while let Some(request) = batch.pop() {
                wire.serve(request)?;
            }
            wire.log.deed();
        }
    });
    let (ended, seeds) = download(&content, 1 << 18, vec![backwards]);
    assert!(!is_banned(&ended, &seeds[0]), "{:?}", ended.about(seeds[0].addr));
    assert!(wasted(&ended) * 100 <= content.total(), "{} bytes in vain", wasted(&ended));
}

/// Serves everything but what `refuses` says, of which it takes requests and says nothing.
fn silent_about(rate: u64, refuses: fn(Request) -> bool) -> Conduct {
    conduct(move |wire| wire.serve_well(rate, refuses))
}

/// Claims everything, has every second piece.
#[test]
fn a_liar_about_its_pieces_delays_nothing_for_long() {
    let content = Content::single("liar.bin", 8_000_001, 63);
    let (ended, seeds) =
        download(&content, PIECE_BYTES, vec![silent_about(4 << 20, |r| r.piece % 2 == 1), honest(4 << 20)]);
    assert!(seeds[0].log.seen().deeds > 0, "the liar was asked for nothing that it lacks");
    assert!(ended.took < Duration::from_secs(15), "{:?} beside a liar", ended.took);
}

/// The last block, held by a peer that says nothing, while another one has it too.
#[test]
fn one_block_that_a_peer_keeps_back_stalls_nothing_and_costs_less_than_one_in_a_hundred() {
    let content = Content::single("last.bin", 48_000_001, 64);
    let keeps = |r: Request| r.piece % 8 == 3 && r.begin == 16_384;
    let good = conduct(|wire| wire.serve_well(6 << 20, |_| false));
    let (ended, seeds) = download(&content, 1 << 18, vec![silent_about(6 << 20, keeps), good]);
    let reasons = ended.last("complete")["wasted"].clone();
    println!("{:?}, {} requests kept back, in vain {reasons}", ended.took, seeds[0].log.seen().deeds);
    assert!(ended.took < Duration::from_secs(12), "{:?} beside a peer that keeps blocks back", ended.took);
    assert!(wasted(&ended) * 100 < content.total(), "{} bytes in vain", wasted(&ended));
}

/// Never unchokes, but allows a few pieces (BEP 6): they are fetched from it.
#[test]
fn pieces_that_are_allowed_fast_are_fetched_while_choked() {
    let content = Content::single("fast.bin", 2_000_001, 65);
    let miser = conduct(|wire| {
        wire.greet_claiming(MODERN)?;
        wire.message(14, &[])?;
        for piece in [3_u32, 5, 7] {
            wire.message(17, &piece.to_be_bytes())?;
        }
        loop {
            let request = wire.hear_request()?;
            if ![3, 5, 7].contains(&request.piece) {
                wire.message(16, &request.bytes())?;
                return Err(io::Error::other("asked for a piece that was not allowed while choked"));
            }
            wire.log.deed();
            wire.serve(request)?;
        }
    });
    // The other one begins only when the miser has given a piece.
    let folder = tempfile::tempdir().unwrap();
    let torrent = Torrent::of(&content, PIECE_BYTES, None);
    let miser = Seed::start(&torrent, &content, move |wire| miser(wire));
    let seen = miser.log.clone();
    let other = Seed::start(&torrent, &content, move |wire| {
        wire.greet()?;
        seen.wait(LIMIT, |seen| seen.deeds >= 12);
        wire.unchoke()?;
        loop {
            let request = wire.hear_request()?;
            wire.serve(request)?;
        }
    });
    let file = folder.path().join("fast.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let out = folder.path().join("out");
    let ended = BtErl::run(folder.path(), &file, &out).peers([miser.addr, other.addr]).output(LIMIT);
    ended.expect_code(0);
    assert!(miser.log.seen().deeds >= 12, "three pieces of four blocks: {:?}", miser.log.seen().served);
    let asked: std::collections::BTreeSet<u32> = miser.log.seen().requests.iter().map(|r| r.piece).collect();
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), [3, 5, 7], "asked of the peer that chokes");
}

/// Rejects every request (BEP 6).
#[test]
fn a_peer_that_rejects_everything_is_asked_in_vain_and_not_without_end() {
    let content = Content::single("reject.bin", 4_000_001, 66);
    let rejecting = conduct(|wire| {
        wire.greet_claiming(MODERN)?;
        wire.message(14, &[])?;
        wire.unchoke()?;
        loop {
            let request = wire.hear_request()?;
            wire.log.deed();
            wire.message(16, &request.bytes())?;
        }
    });
    let (_, seeds) = download(&content, PIECE_BYTES, vec![rejecting, honest(2 << 20)]);
    let asked = seeds[0].log.seen().deeds;
    println!("asked {asked} times in vain");
    assert!(asked > 0 && asked < 2_000, "asked {asked} times in vain");
}

/// Had everything, and loses every second piece as soon as it is asked for anything (lt_donthave).
#[test]
fn a_piece_that_a_peer_has_lost_is_fetched_elsewhere() {
    let content = Content::single("lost.bin", 4_000_001, 67);
    let forgetful = conduct(|wire| {
        wire.greet_claiming(MODERN)?;
        wire.message(14, &[])?;
        let hello = loop {
            let frame = wire.until_message(20)?;
            if frame.get(1) == Some(&0) {
                break frame;
            }
        };
        let at = hello.windows(14).position(|window| window == b"11:lt_donthave");
        let id = at.and_then(|at| hello.get(at + 15)).map_or(0, |digit| digit - b'0');
        wire.unchoke()?;
        wire.hear_request()?;
        for piece in (1..wire.torrent.pieces).step_by(2) {
            wire.extended(id, &piece.to_be_bytes())?;
        }
        wire.log.deed();
        loop {
            match wire.hear()? {
                Heard::Request(request) if request.piece % 2 == 0 => wire.serve(request)?,
                Heard::Request(request) => wire.message(16, &request.bytes())?,
                _ => {}
            }
        }
    });
    let (ended, seeds) = download(&content, PIECE_BYTES, vec![forgetful, honest(2 << 20)]);
    assert!(seeds[0].log.seen().deeds > 0, "nothing was lost");
    assert!(!is_banned(&ended, &seeds[0]), "{:?}", ended.about(seeds[0].addr));
}

/// One session serves two torrents, another one wants both: two connections between the same two hosts.
#[test]
fn two_torrents_come_from_the_same_peer_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { bind: BindTo::Loopback, ports: Some(0..=0), ..Config::default() };
    let (seed, leech) = (block_on(Session::start(config())).unwrap(), block_on(Session::start(config())).unwrap());
    let at = crate::support::loopback(seed.local_port().unwrap());
    let contents = [71, 72].map(|n| Content::single(&format!("torrent {n}.bin"), 5_000_000 + n, n));
    let out = folder.path().join("out");
    let torrents = contents.each_ref().map(|content| {
        let metainfo = || Metainfo::parse(&Torrent::of(content, PIECE_BYTES, None).bytes).unwrap();
        content.write_below(&folder.path().join("seed"));
        let seeding = block_on(seed.add(metainfo(), TorrentOptions::new(folder.path().join("seed")))).unwrap();
        assert_eq!(block_on(seeding.wait()), Outcome::Complete);
        let mut options = TorrentOptions::new(&out);
        options.peers = vec![at];
        block_on(leech.add(metainfo(), options)).unwrap()
    });
    for torrent in &torrents {
        until("both to complete", LIMIT, || (torrent.progress().state == bt_erl::State::Complete).then_some(()));
    }
    block_on(leech.stop());
    block_on(seed.stop());
    for content in &contents {
        assert_eq!(content.difference(&out), None);
    }
}
