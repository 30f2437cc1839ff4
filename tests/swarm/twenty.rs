//! Twenty leeches of our own behind one slow seed, in one process: what the seed sends is to be sent once, and passed on by all.

use std::time::{Duration, Instant};

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, State, Torrent, TorrentOptions};

use crate::MIB;
use crate::support::content::Content;
use crate::support::{loopback, torrent};

const LEECHES: usize = 20;
const SEED_RATE: u64 = 2 * MIB;
const SIZE: u64 = 40 * MIB;
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

#[test]
fn twenty_leeches_behind_a_slow_seed_finish_together_share_the_work_and_leave_the_free_rider_behind() {
    let content = Content::single("twenty.bin", SIZE, 91);
    let bytes = torrent::Torrent::of(&content, PIECE_BYTES, None).bytes;
    let folder = tempfile::tempdir().unwrap();
    content.write_below(folder.path());
    let seed = node_in(folder, &bytes, Config { upload_limit: Some(SEED_RATE), ..Config::default() }, |_| {});
    assert_eq!(block_on(seed.torrent.wait()), Outcome::Complete);
    let at = loopback(seed.session.local_port().unwrap());

    let began = Instant::now();
    let mut leeches: Vec<Node> = Vec::new();
    for n in 0..=LEECHES {
        let before: Vec<_> = leeches.iter().map(|node| loopback(node.session.local_port().unwrap())).collect();
        let config = Config { upload_limit: Some(LEECH_RATE), ..Config::default() };
        leeches.push(node(&bytes, config, |options| {
            options.peers = before.into_iter().chain([at]).collect();
            // The last one takes and gives nothing.
            options.upload_slots = (n == LEECHES).then_some(0);
        }));
    }
    let all_there = began.elapsed();
    let mut rider_at = 0.0;
    while leeches.iter().any(|node| node.finished.is_none()) {
        assert!(began.elapsed() < LIMIT, "{:?}", leeches.iter().map(|node| node.finished).collect::<Vec<_>>());
        for node in leeches.iter_mut().filter(|node| node.finished.is_none()) {
            match node.torrent.progress().state {
                State::Complete => node.finished = Some(began.elapsed()),
                State::Failed { message } => panic!("{message}"),
                State::Checking | State::Downloading => {}
            }
        }
        let honest_left = leeches[..LEECHES].iter().any(|node| node.finished.is_none());
        if honest_left {
            rider_at = leeches[LEECHES].torrent.progress().bytes_finished as f64 / SIZE as f64;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }

    let ideal = Duration::from_secs_f64(SIZE as f64 / SEED_RATE as f64);
    let mut times: Vec<Duration> = leeches[..LEECHES].iter().filter_map(|node| node.finished).collect();
    times.sort();
    let last = times[LEECHES - 1];
    let given: Vec<u64> = leeches[..LEECHES].iter().map(|node| node.torrent.progress().uploaded).collect();
    let rider = leeches[LEECHES].finished.unwrap();
    let wasted: u64 = leeches[..LEECHES].iter().map(|node| node.torrent.progress().wasted.total()).sum();
    let copies = seed.torrent.progress().uploaded as f64 / SIZE as f64;
    let fairness = jain(&given);
    println!(
        "all there after {all_there:?}; ideal {ideal:?}: first {:?}, median {:?}, last {last:?} ({:.3} x ideal); the seed gave \
         {copies:.2} copies; Jain {fairness:.3} (least {:.1} MiB, most {:.1} MiB); in vain {:.2} %; the free rider had {:.0} % by \
         then and finished after {rider:?}",
        times[0],
        times[LEECHES / 2],
        last.as_secs_f64() / ideal.as_secs_f64(),
        *given.iter().min().unwrap() as f64 / MIB as f64,
        *given.iter().max().unwrap() as f64 / MIB as f64,
        100.0 * wasted as f64 / (SIZE * LEECHES as u64) as f64,
        100.0 * rider_at,
    );
    for node in &leeches {
        assert_eq!(content.difference(node.folder.path()), None);
        block_on(node.session.stop());
    }
    block_on(seed.session.stop());
    assert!(last.as_secs_f64() <= 1.15 * ideal.as_secs_f64(), "the last finishes after {last:?}, ideal is {ideal:?}");
    assert!(fairness > 0.8, "Jain index {fairness:.3} of {given:?}");
    assert!(
        rider.as_secs_f64() > 1.1 * last.as_secs_f64(),
        "the free rider finishes after {rider:?}, the others {last:?}"
    );
    assert!(wasted * 100 < SIZE * LEECHES as u64, "{wasted} bytes in vain");
}
