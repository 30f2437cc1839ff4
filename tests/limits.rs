//! Rate limits, measured from outside: exact to five per cent over ten seconds, also far below one block a second.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Metainfo, Session, State, Torrent, TorrentOptions};
use support::content::Content;
use support::until;

const LIMIT: Duration = Duration::from_secs(60);
const TEN_SECONDS: Duration = Duration::from_secs(10);
const KIB: u64 = 1024;

fn session(config: Config) -> Session {
    block_on(Session::start(Config { bind: BindTo::Loopback, ports: Some(0..=0), ..config })).unwrap()
}

fn add(session: &Session, torrent: &support::torrent::Torrent, options: TorrentOptions) -> Torrent {
    block_on(session.add(Metainfo::parse(&torrent.bytes).unwrap(), options)).unwrap()
}

/// Bytes per second that `moved` grows by, over ten seconds, once it has begun and the first rush is over.
fn rate(moved: impl Fn() -> u64) -> u64 {
    let first = until("the first bytes", LIMIT, || Some(moved()).filter(|bytes| *bytes > 0));
    let rush = until("the rush to be over", LIMIT, || Some(moved()).filter(|bytes| *bytes > first));
    let began = Instant::now();
    let passed = until("ten seconds", LIMIT, || Some(began.elapsed()).filter(|passed| *passed >= TEN_SECONDS));
    ((moved() - rush) as f64 / passed.as_secs_f64()) as u64
}

/// One seed and two leeches, with these options: what the seed sent, or what the leeches received together.
fn measure(seed: Config, leech: Config, received: bool, of_seed: impl Fn(&mut TorrentOptions)) -> u64 {
    let content = Content::single("limited.bin", 64 << 20, 5);
    let torrent = support::torrent::Torrent::of(&content, 1 << 18, None);
    let folders: Vec<tempfile::TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    content.write_below(folders[0].path());
    let giving = session(seed);
    let mut options = TorrentOptions::new(folders[0].path());
    of_seed(&mut options);
    let given = add(&giving, &torrent, options);
    until("the seed", LIMIT, || (given.progress().state == State::Complete).then_some(()));
    let address = support::loopback(giving.local_port().unwrap());
    let leeches: Vec<(Session, Torrent)> = folders[1..]
        .iter()
        .map(|folder| {
            let taking = session(leech.clone());
            let options = TorrentOptions { peers: vec![address], ..TorrentOptions::new(folder.path()) };
            let taken = add(&taking, &torrent, options);
            (taking, taken)
        })
        .collect();
    let rate = rate(|| match received {
        true => leeches.iter().map(|(_, taken)| taken.progress().downloaded).sum(),
        false => given.progress().uploaded,
    });
    for (session, _) in leeches {
        block_on(session.stop());
    }
    block_on(giving.stop());
    rate
}

fn assert_exact(rate: u64, limit: u64) {
    assert!(rate.abs_diff(limit) * 20 <= limit, "{rate} bytes per second, where {limit} were allowed");
}

#[test]
fn a_session_sends_what_its_limit_allows() {
    let seed = Config { upload_limit: Some(600 * KIB), ..Config::default() };
    assert_exact(measure(seed, Config::default(), false, |_| {}), 600 * KIB);
}

#[test]
fn a_torrent_sends_what_its_limit_allows_although_it_is_less_than_a_block_a_second() {
    let limit = |options: &mut TorrentOptions| options.upload_limit = Some(8 * KIB);
    assert_exact(measure(Config::default(), Config::default(), false, limit), 8 * KIB);
}

#[test]
fn two_sessions_receive_what_their_limits_allow() {
    let leech = Config { download_limit: Some(150 * KIB), ..Config::default() };
    assert_exact(measure(Config::default(), leech, true, |_| {}), 300 * KIB);
}
