//! Magnet links: the info dictionary comes from peers, honest ones and every kind of liar among them; then the content does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bt_erl::protocol::extension::metadata::{Metadata, PIECE_BYTES, answer};
use bt_erl::protocol::extension::{Extension, Hello, Ids};
use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Event, FetchError, FetchOptions, Magnet, Metainfo, PeerChange, Session};
use support::bt_erl::BtErl;
use support::content::Content;
use support::torrent::{Torrent, hex};
use support::{free_port, until};

const LIMIT: Duration = Duration::from_secs(60);

/// What a peer does when it is asked for the info dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Conduct {
    /// Gives what it is asked for, once the gate is open.
    Honest,
    /// Flips a bit in every piece.
    Corrupt,
    /// Says that it has 65 MiB of it.
    Bomb,
    /// Says that it is 40,000 bytes longer, and gives zeros for them.
    Longer,
    /// Gives pieces of the right size under a wrong total.
    Contradicting,
    Rejecting,
    /// Takes requests and says nothing.
    Silent,
    /// Shakes hands and says nothing.
    Mute,
    /// Hangs up when it is asked.
    HangingUp,
    /// Says hello for ever.
    Greeting,
    /// Gives pieces that nobody asked for.
    Generous,
    /// A frame of 4 GiB.
    Giant,
}

impl Conduct {
    /// It ends banned.
    const CAUGHT: [Conduct; 7] = [
        Conduct::Corrupt,
        Conduct::Bomb,
        Conduct::Longer,
        Conduct::Contradicting,
        Conduct::Greeting,
        Conduct::Generous,
        Conduct::Giant,
    ];
    const LEFT_ASIDE: [Conduct; 4] = [Conduct::Rejecting, Conduct::Silent, Conduct::Mute, Conduct::HangingUp];
}

/// What honest peers wait for.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// A peer that has the info dictionary, or says so. Its threads end with the test.
fn peer(metainfo: &Metainfo, conduct: Conduct, gate: &Arc<Gate>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (info, hash, gate) = (metainfo.info_bytes().to_vec(), metainfo.info_hash.0, gate.clone());
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let (info, gate) = (info.clone(), gate.clone());
            std::thread::spawn(move || talk(socket, &info, &hash, conduct, &gate));
        }
    });
    address
}

fn talk(mut socket: TcpStream, info: &[u8], hash: &[u8; 20], conduct: Conduct, gate: &Gate) -> io::Result<()> {
    let mut theirs = [0; 68];
    socket.read_exact(&mut theirs)?;
    let reserved = [0, 0, 0, 0, 0, 0x10, 0, 0];
    socket.write_all(&[b"\x13BitTorrent protocol", &reserved[..], hash, b"-TS0001-abcdefghijkl"].concat())?;
    let mut said = info.to_vec();
    match conduct {
        Conduct::Mute => return socket.read_to_end(&mut Vec::new()).map(drop),
        Conduct::Giant => {
            return socket.write_all(&[255; 4]).and_then(|()| socket.read_to_end(&mut Vec::new()).map(drop));
        }
        Conduct::Longer => said.resize(info.len() + 40_000, 0),
        _ => {}
    }
    let size = if conduct == Conduct::Bomb { 65 << 20 } else { said.len() as u32 };
    let ids = Ids::ours(&[Extension::Metadata]);
    let hello = Hello { ids, metadata_bytes: Some(size), ..Hello::default() }.encode();
    // As others do: a bitfield and haves first, which are of no interest yet.
    socket.write_all(&frame(5, &[255; 3000]))?;
    socket.write_all(&frame(20, &[&[0], &hello[..]].concat()))?;
    if conduct == Conduct::Greeting {
        loop {
            socket.write_all(&frame(20, &[&[0], &hello[..]].concat()))?;
        }
    }
    if conduct == Conduct::Generous {
        loop {
            socket.write_all(&frame(20, &[&[1], &answer(info, 0).encode()[..]].concat()))?;
        }
    }
    loop {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut bytes)?;
        let [20, 1, payload @ ..] = &bytes[..] else { continue };
        let Ok(Metadata::Request { piece }) = Metadata::decode(payload) else { continue };
        let mut answer = answer(&said, piece);
        let mut flipped;
        match (conduct, &mut answer) {
            (Conduct::Silent, _) => continue,
            (Conduct::HangingUp, _) => return Ok(()),
            (Conduct::Rejecting, _) => answer = Metadata::Reject { piece },
            (Conduct::Honest, _) => gate.pass(),
            (Conduct::Corrupt, Metadata::Data { bytes, .. }) => {
                flipped = bytes.to_vec();
                flipped[0] ^= 1;
                *bytes = &flipped;
            }
            (Conduct::Contradicting, Metadata::Data { total_bytes, .. }) => *total_bytes += 1,
            _ => {}
        }
        socket.write_all(&frame(20, &[&[1], &answer.encode()[..]].concat()))?;
    }
}

fn frame(id: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 1).to_be_bytes(), &[id][..], payload].concat()
}

/// A torrent whose info dictionary has several pieces.
fn large() -> Metainfo {
    let content = Content::single("magnet.bin", 64 << 20, 31);
    let metainfo = Metainfo::parse(&Torrent::of(&content, 16 << 10, None).bytes).unwrap();
    assert!(metainfo.info_bytes().len() > 4 * PIECE_BYTES as usize);
    metainfo
}

fn session() -> Session {
    block_on(Session::start(Config { bind: BindTo::Loopback, ports: Some(0..=0), ..Config::default() })).unwrap()
}

fn magnet(metainfo: &Metainfo) -> Magnet {
    format!("magnet:?xt=urn:btih:{}", metainfo.info_hash).parse().unwrap()
}

fn no_magnet_is_left(session: &Session) {
    until("the branch of the link to end", LIMIT, || {
        let tree = session.snapshot()?;
        (!tree.nodes().any(|node| node.role == "magnet_sup")).then_some(())
    });
}

/// One honest peer that gives nothing before every liar has been found out.
fn among(conducts: &[Conduct]) {
    let (metainfo, gate, session) = (large(), Arc::new(Gate::default()), session());
    let peers: Vec<(SocketAddr, Conduct)> =
        conducts.iter().map(|conduct| (peer(&metainfo, *conduct, &gate), *conduct)).collect();
    let honest = peer(&metainfo, Conduct::Honest, &gate);
    let mut caught: BTreeSet<SocketAddr> =
        peers.iter().filter(|(_, conduct)| Conduct::CAUGHT.contains(conduct)).map(|(address, _)| *address).collect();
    let events = session.events();
    let addresses = peers.iter().map(|(address, _)| *address).chain([honest]).collect();
    let options = FetchOptions { peers: addresses, limit: Some(LIMIT), ..FetchOptions::default() };
    let watch = async {
        while !caught.is_empty()
            && let Some(event) = events.recv().await
        {
            if let Event::Peer { address, change: PeerChange::Banned { .. } } = event {
                assert_ne!(address, honest, "the honest one is never banned");
                caught.remove(&address);
            }
        }
        gate.open();
    };
    let link = magnet(&metainfo);
    let (fetched, ()) = block_on(futures::future::join(session.fetch(&link, options), watch));
    let fetched = fetched.unwrap_or_else(|error| panic!("{error} among {conducts:?}"));
    assert_eq!((fetched.info_hash, fetched.info_bytes()), (metainfo.info_hash, metainfo.info_bytes()));
    no_magnet_is_left(&session);
    block_on(session.stop());
}

#[test]
fn each_liar_beside_an_honest_peer_is_banned_and_the_torrent_comes() {
    for conduct in Conduct::CAUGHT {
        among(&[conduct]);
    }
}

#[test]
fn all_liars_at_once_do_not_keep_the_torrent_from_coming() {
    let all: Vec<Conduct> = [&Conduct::CAUGHT[1..], &Conduct::LEFT_ASIDE].concat();
    among(&all);
}

#[test]
fn who_gives_nothing_is_left_aside_and_the_torrent_comes() {
    for conduct in Conduct::LEFT_ASIDE {
        among(&[conduct; 3]);
    }
}

#[test]
fn a_link_that_nobody_answers_for_ends_with_its_limit_and_leaves_nothing_behind() {
    let (metainfo, gate, session) = (large(), Arc::new(Gate::default()), session());
    let peers = vec![peer(&metainfo, Conduct::Mute, &gate), SocketAddr::from(([127, 0, 0, 1], free_port()))];
    let limit = Duration::from_millis(300);
    let options = FetchOptions { peers, limit: Some(limit), ..FetchOptions::default() };
    let fetched = block_on(session.fetch(&magnet(&metainfo), options));
    assert_eq!(fetched.err(), Some(FetchError::TimedOut { limit }));
    no_magnet_is_left(&session);
    let nobody = block_on(session.fetch(&magnet(&metainfo), FetchOptions::default()));
    assert_eq!(nobody.err(), Some(FetchError::NobodyToAsk));
    block_on(session.stop());
}

#[test]
fn a_crash_of_each_process_that_fetches_costs_only_time() {
    let (metainfo, gate, session) = (large(), Arc::new(Gate::default()), session());
    let options = FetchOptions {
        peers: vec![peer(&metainfo, Conduct::Honest, &gate)],
        limit: Some(LIMIT),
        ..FetchOptions::default()
    };
    let crashes = session.clone();
    let opener = gate.clone();
    let crasher = std::thread::spawn(move || {
        for role in ["metadata_peer", "metadata", "metadata_peers_sup", "metadata_peer"] {
            let victim = until(role, LIMIT, || {
                let tree = crashes.snapshot()?;
                tree.nodes().find(|node| node.role == role)?.pid
            });
            supervisors::inject_panic(victim, "on purpose");
            until("its end", LIMIT, || {
                let tree = crashes.snapshot()?;
                (!tree.nodes().any(|node| node.pid == Some(victim))).then_some(())
            });
        }
        opener.open();
    });
    let fetched = block_on(session.fetch(&magnet(&metainfo), options)).unwrap();
    crasher.join().unwrap();
    assert_eq!(fetched.info_bytes(), metainfo.info_bytes());
    no_magnet_is_left(&session);
    block_on(session.stop());
}

#[test]
fn a_link_is_followed_from_a_seed_of_ours_to_the_whole_content() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::many("by magnet", 40, 4 << 20, 7);
    let torrent = Torrent::of(&content, 1 << 16, None);
    let file = folder.path().join("a.torrent");
    std::fs::write(&file, &torrent.bytes).unwrap();
    let (root, out) = (folder.path().join("seed"), folder.path().join("out"));
    content.write_below(&root);
    let port = free_port();
    let seed = BtErl::new(folder.path(), ["run".as_ref(), file.as_os_str(), "-d".as_ref(), root.as_os_str()]).args([
        "--json",
        "--seed",
        "-p",
        &port.to_string(),
    ]);
    let mut seed = seed.start();
    seed.until_event("complete", LIMIT);
    let link = format!("magnet:?xt=urn:btih:{}&dn=anything&x.pe=127.0.0.1:{port}", hex(&torrent.info_hash));
    let leech = BtErl::run(&folder.path().join("home"), Path::new(&link), &out).output(LIMIT);
    leech.expect_code(0);
    assert_eq!(content.difference(&out), None);
    let info = BtErl::new(folder.path(), ["info", &link, "--json"]).output(LIMIT);
    info.expect_code(0);
    assert_eq!(info.json()["info_hash"], hex(&torrent.info_hash));
    assert_eq!(info.json()["files"].as_array().map(Vec::len), Some(40));
}

#[test]
fn a_link_whose_peers_give_nothing_ends_with_code_69_and_a_bad_one_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let link = format!("magnet:?xt=urn:btih:{}&x.pe=127.0.0.1:{}", "0".repeat(40), free_port());
    let run = |link: &str| BtErl::run(folder.path(), Path::new(link), folder.path()).args(["--exit-when-stalled", "1"]);
    let ended = run(&link).output(LIMIT);
    ended.expect_code(69);
    assert!(ended.stderr.contains("no peer gave the torrent"), "{}", ended.stderr);
    run("magnet:?xt=urn:btih:12").output(LIMIT).expect_code(2);
    let alone = run(&format!("magnet:?xt=urn:btih:{}", "0".repeat(40))).output(LIMIT);
    alone.expect_code(1);
    assert!(alone.stderr.contains("name a peer with -a"), "{}", alone.stderr);
}
