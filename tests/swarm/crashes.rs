//! Peer processes that crash by the hundred while they serve and fetch: the swarm completes, and no slot for uploads is lost.

use std::time::{Duration, Instant};

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, State, Torrent, TorrentOptions};

use crate::MIB;
use crate::support::caller::Caller;
use crate::support::content::Content;
use crate::support::{Dice, loopback, torrent, until};

const CRASHES: u32 = 1000;
const SIZE: u64 = 16 * MIB;
const SEED_RATE: u64 = MIB;
/// Few, so that a single lost one is missed.
const SLOTS: usize = 2;
const LIMIT: Duration = Duration::from_secs(120);
/// Between two crashes: below the intensity of `peers_sup`, 250 in ten seconds, for each of the sessions.
const PAUSE: Duration = Duration::from_millis(15);

struct Node {
    session: Session,
    torrent: Torrent,
    folder: tempfile::TempDir,
}

impl Node {
    fn start(folder: tempfile::TempDir, bytes: &[u8], config: Config, peers: Vec<std::net::SocketAddr>) -> Node {
        let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), workers: 1, ..config };
        let session = block_on(Session::start(config)).unwrap();
        let mut options = TorrentOptions::new(folder.path());
        options.upload_slots = Some(SLOTS);
        options.peers = peers;
        let torrent = block_on(session.add(Metainfo::parse(bytes).unwrap(), options)).unwrap();
        Node { session, torrent, folder }
    }

    fn at(&self) -> std::net::SocketAddr {
        loopback(self.session.local_port().unwrap())
    }

    /// The connections that it made: a crash of these is made good at once, the other side's only after a back-off.
    fn peers(&self) -> Vec<supervisors::Pid> {
        let tree = self.session.snapshot();
        let nodes = tree.iter().flat_map(|tree| tree.nodes());
        nodes
            .filter(|node| node.role == "peer" && !node.path.to_string().ends_with(" in"))
            .filter_map(|node| node.pid)
            .collect()
    }
}

#[test]
fn after_a_thousand_crashes_of_peers_the_swarm_completes_and_every_upload_slot_is_there() {
    let content = Content::single("crashes.bin", SIZE, 95);
    let made = torrent::Torrent::of(&content, 128 << 10, None);
    let folder = tempfile::tempdir().unwrap();
    content.write_below(folder.path());
    let limited = Config { upload_limit: Some(SEED_RATE), ..Config::default() };
    let seed = Node::start(folder, &made.bytes, limited, vec![]);
    assert_eq!(block_on(seed.torrent.wait()), Outcome::Complete);
    let mut nodes = vec![seed];
    for _ in 0..4 {
        let before = nodes.iter().map(Node::at).collect();
        nodes.push(Node::start(tempfile::tempdir().unwrap(), &made.bytes, Config::default(), before));
    }

    let began = Instant::now();
    let (mut crashes, mut moving) = (0, 0);
    let mut dice = Dice(17);
    let mut due = Instant::now();
    while crashes < CRASHES {
        assert!(began.elapsed() < LIMIT, "{crashes} crashes in {LIMIT:?}");
        let node = &nodes[dice.between(0, nodes.len() as u64) as usize];
        let peers = node.peers();
        if !peers.is_empty() {
            let busy = |peer: &bt_erl::PeerStats| peer.requests_out > 0 || peer.requests_in > 0;
            moving += u32::from(node.torrent.peers().iter().any(busy));
            supervisors::inject_panic(peers[dice.next() as usize % peers.len()], "crashed by the test");
            crashes += 1;
        }
        due += PAUSE;
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
    }
    println!("{crashes} crashes in {:?}, {moving} of them with blocks on their way", began.elapsed());

    for node in &nodes {
        until("the swarm to complete", LIMIT, || match node.torrent.progress().state {
            State::Complete => Some(()),
            State::Failed { message } => panic!("{message}"),
            _ => None,
        });
        assert_eq!(content.difference(node.folder.path()), None);
    }
    println!("all complete after {:?}", began.elapsed());
    for node in &nodes {
        until("connections to be counted right", LIMIT, || {
            let (progress, peers) = (node.torrent.progress(), node.torrent.peers());
            let unchoked = peers.iter().filter(|peer| !peer.peer_choked).count();
            (progress.peers_connected as usize == peers.len() && progress.peers_unchoked as usize == unchoked)
                .then_some(())
        });
        // A slot that was lost is one that nobody gets: as many newcomers as there are slots get in at once.
        let caller = Caller::new(node.at(), &made, &content);
        let wires: Vec<_> = (0..SLOTS as u8)
            .map(|n| {
                let mut wire = caller.from(20 + n).call_with_nothing().expect("let in");
                wire.message(2, &[]).expect("interested");
                wire
            })
            .collect();
        for mut wire in wires {
            wire.fetch(0..3).expect("unchoked and served");
        }
        until("the slots to be free again", LIMIT, || (node.torrent.progress().peers_unchoked == 0).then_some(()));
    }
    for node in &nodes {
        block_on(node.session.stop());
    }
}
