//! Twenty leeches of our own behind one slow seed, in one process: what the seed sends is to be sent once, and passed on by all.

use std::time::{Duration, Instant};

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, State, Torrent, TorrentOptions};

use crate::MIB;
use crate::support::content::Content;
use crate::support::{loopback, torrent};

const SEED_RATE: u64 = 2 * MIB;
const PIECE_BYTES: u64 = 64 << 10;
/// What each leech may send a second: more than its share, but not without end, so that a slot is worth something.
const LEECH_RATE: u64 = 2 * MIB;
const LIMIT: Duration = Duration::from_secs(120);

/// One session with the torrent in it.
struct Node {
    session: Session,
    torrent: Torrent,
    folder: tempfile::TempDir,
    finished: Option<Duration>,
}

fn node(bytes: &[u8], config: Config, bend: impl FnOnce(&mut TorrentOptions)) -> Node {
    let folder = tempfile::tempdir().unwrap();
    node_in(folder, bytes, config, bend)
}

fn node_in(folder: tempfile::TempDir, bytes: &[u8], config: Config, bend: impl FnOnce(&mut TorrentOptions)) -> Node {
    let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), workers: 1, ..config };
    let session = block_on(Session::start(config)).unwrap();
    let mut options = TorrentOptions::new(folder.path());
    bend(&mut options);
    let torrent = block_on(session.add(Metainfo::parse(bytes).unwrap(), options)).unwrap();
    Node { session, torrent, folder, finished: None }
}

/// 1.0: all gave the same; 1/n: one of n gave everything.
fn jain(given: &[u64]) -> f64 {
    let (sum, squares) = given.iter().fold((0.0, 0.0), |(s, q), n| (s + *n as f64, q + (*n as f64).powi(2)));
    sum * sum / (given.len() as f64 * squares)
}

/// How a swarm ended.
struct Figures {
    /// What the seed needs to send everything once.
    ideal: Duration,
    /// When each leech was complete, in order.
    times: Vec<Duration>,
    /// Bytes that each leech gave.
    given: Vec<u64>,
    /// Bytes that came in vain, of all that came.
    in_vain: f64,
    /// What part of the content the free rider had when the last leech had three quarters, and when it was complete.
    rider: Option<(f64, Duration)>,
}

/// `count` leeches behind one seed. `with_rider`: and one that takes and gives nothing.
fn swarm(count: usize, size: u64, with_rider: bool) -> Figures {
    let content = Content::single("twenty.bin", size, 91);
    let bytes = torrent::Torrent::of(&content, PIECE_BYTES, None).bytes;
    let folder = tempfile::tempdir().unwrap();
    content.write_below(folder.path());
    let seed = node_in(folder, &bytes, Config { upload_limit: Some(SEED_RATE), ..Config::default() }, |_| {});
    assert_eq!(block_on(seed.torrent.wait()), Outcome::Complete);
    let at = loopback(seed.session.local_port().unwrap());

    let began = Instant::now();
    let mut nodes: Vec<Node> = Vec::new();
    for n in 0..count + usize::from(with_rider) {
        let before: Vec<_> = nodes.iter().map(|node| loopback(node.session.local_port().unwrap())).collect();
        let config = Config { upload_limit: Some(LEECH_RATE), ..Config::default() };
        nodes.push(node(&bytes, config, |options| {
            options.peers = before.into_iter().chain([at]).collect();
            options.upload_slots = (n == count).then_some(0);
        }));
    }
    let (leeches, rider) = nodes.split_at_mut(count);
    until_three_quarters(leeches, began, size);
    let rider_had = rider.first().map(|node| node.torrent.progress().bytes_finished as f64 / size as f64);
    until_complete(leeches, began);
    let progress: Vec<_> = leeches.iter().map(|node| node.torrent.progress()).collect();
    for node in leeches.iter() {
        block_on(node.session.stop());
        assert_eq!(content.difference(node.folder.path()), None);
    }
    until_complete(rider, began);
    let mut times: Vec<Duration> = leeches.iter().filter_map(|node| node.finished).collect();
    times.sort();
    let wasted: u64 = progress.iter().map(|progress| progress.wasted.total()).sum();
    let figures = Figures {
        ideal: Duration::from_secs_f64(size as f64 / SEED_RATE as f64),
        times,
        given: progress.iter().map(|progress| progress.uploaded).collect(),
        in_vain: wasted as f64 / (size * count as u64) as f64,
        rider: rider_had.zip(rider.first().and_then(|node| node.finished)),
    };
    let copies = seed.torrent.progress().uploaded as f64 / size as f64;
    println!("{figures} the seed gave {copies:.2} copies");
    rider.iter().chain([&seed]).for_each(|node| block_on(node.session.stop()));
    figures
}

fn until_three_quarters(nodes: &[Node], began: Instant, size: u64) {
    while nodes.iter().any(|node| node.torrent.progress().bytes_finished < size / 4 * 3) {
        assert!(began.elapsed() < LIMIT, "three quarters");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn until_complete(nodes: &mut [Node], began: Instant) {
    while nodes.iter().any(|node| node.finished.is_none()) {
        assert!(began.elapsed() < LIMIT, "{:?}", nodes.iter().map(|node| node.finished).collect::<Vec<_>>());
        for node in nodes.iter_mut().filter(|node| node.finished.is_none()) {
            match node.torrent.progress().state {
                State::Complete => node.finished = Some(began.elapsed()),
                State::Failed { message } => panic!("{message}"),
                State::Checking | State::Downloading => {}
            }
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

impl Figures {
    /// The last finisher, as a multiple of the ideal.
    fn last(&self) -> f64 {
        self.times[self.times.len() - 1].as_secs_f64() / self.ideal.as_secs_f64()
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (self.times[0], self.last());
        write!(f, "ideal {:?}: first {first:.1?}, last {last:.3} x ideal, ", self.ideal)?;
        write!(f, "Jain {:.3}, in vain {:.2} %, ", jain(&self.given), 100.0 * self.in_vain)?;
        if let Some((had, at)) = self.rider {
            write!(f, "the free rider had {:.0} % when all had 75 % and was complete after {at:.1?}, ", 100.0 * had)?;
        }
        Ok(())
    }
}

/// What this swarm is to reach is 1.15. It does in most runs, also of a debug build on two cores that others use as well (1.13 to 1.17),
/// and what it must never do again is what it did at first: 1.3 to 1.6.
const LATEST: f64 = 1.22;

#[test]
fn twenty_leeches_behind_a_slow_seed_finish_together_and_share_the_work() {
    let figures = swarm(20, 40 * MIB, false);
    assert!(figures.last() <= LATEST, "{figures}");
    assert!(jain(&figures.given) > 0.8, "{figures} {:?}", figures.given);
    assert!(figures.in_vain < 0.01, "{figures}");
}

#[test]
fn a_free_rider_among_twenty_leeches_is_left_behind() {
    let figures = swarm(20, 20 * MIB, true);
    let (had, at) = figures.rider.unwrap();
    // Complete leeches are seeds, and seeds serve everybody in turn; till then it is behind.
    assert!(had < 0.72, "{figures}");
    assert!(at > figures.times[0], "{figures}");
}
