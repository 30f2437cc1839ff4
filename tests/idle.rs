//! What costs nothing: torrents and connections in which nothing happens. `benches/idle.rs` has ten times as many, and the clock.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../benches/idle/crowd.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod crowd;
#[path = "../benches/idle/meter.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod meter;
mod support;
#[path = "../benches/idle/zeros.rs"]
mod zeros;

use std::time::{Duration, Instant};

use bt_erl::rt::{files, spawn::block_on};
use bt_erl::{BindTo, Config, Outcome, Session, Torrent, TorrentOptions};
use support::until;

const LIMIT: Duration = Duration::from_secs(60);
const TORRENTS: usize = 100;
/// Of these nobody has the content, and nobody is connected.
const LEECHING: usize = 10;
const CONNECTIONS: usize = 1000;
/// Nobody is late for anything for longer than this.
const WINDOW: Duration = Duration::from_secs(5);
/// So often any process at all may be polled in that time: a thousand that look at the clock every ten seconds would be 500, and a hundred
/// that do so four times a second 2,000.
const POLLS: u64 = 50;
/// Resident, per connection, in a debug build: about twice what it takes. A read buffer of 16 KiB would be too much.
const CONNECTION_BYTES: usize = 20 * 1024;
/// The design allows five.
const STOP: Duration = Duration::from_secs(5);

fn polls(session: &Session) -> u64 {
    session.snapshot().unwrap().nodes().map(|node| node.polls).sum()
}

/// Stretches of time, one after the other.
struct Windows<'a> {
    session: &'a Session,
    from: u64,
    since: Instant,
}

impl Windows<'_> {
    /// How often anybody was polled in the window that is over; `None`: it is not over.
    fn next(&mut self) -> Option<u64> {
        (self.since.elapsed() >= WINDOW).then(|| {
            let (now, before) = (polls(self.session), self.from);
            (self.from, self.since) = (now, Instant::now());
            now - before
        })
    }
}

#[test]
fn a_hundred_torrents_and_a_thousand_connections_rest_and_take_little_and_end_in_time() {
    files::raise_open_file_limit();
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tracker = format!("http://{}/announce", crowd::tracker());
    let config = Config {
        bind: BindTo::Loopback,
        ports: Some(0..=0),
        max_peers: 2 * CONNECTIONS,
        state_dir: Some(state.path().to_owned()),
        ..Config::default()
    };
    let session = block_on(Session::start(config)).unwrap();
    let torrents: Vec<Torrent> = (0..TORRENTS)
        .map(|number| zeros::torrent(dir.path(), number, &tracker, number >= LEECHING))
        .map(|metainfo| block_on(session.add(metainfo, TorrentOptions::new(dir.path()))).unwrap())
        .collect();
    let seeding = &torrents[LEECHING..];
    seeding.iter().for_each(|torrent| assert_eq!(block_on(torrent.wait()), Outcome::Complete));
    let connected = || torrents.iter().map(|torrent| torrent.progress().peers_connected as usize).sum::<usize>();

    let before = meter::Meter::read().resident;
    let whom: Vec<[u8; 20]> = seeding.iter().cycle().take(CONNECTIONS).map(|torrent| torrent.info_hash().0).collect();
    let mut crowd = crowd::Crowd::connect(session.local_port().unwrap(), &whom);
    assert_eq!(until("all connections", LIMIT, || Some(connected()).filter(|n| *n >= crowd.len())), CONNECTIONS);

    let mut windows = Windows { session: &session, from: polls(&session), since: Instant::now() };
    let rests = until("a window in which nobody has anything to do", LIMIT, || windows.next().filter(|n| *n <= POLLS));
    crowd.say_alive();
    let hears = until("a window in which everybody says that it is alive", LIMIT, || windows.next());
    assert!(hears <= POLLS, "{hears} polls for {CONNECTIONS} keep-alives, {rests} without");
    assert_eq!(connected(), CONNECTIONS);
    let each = meter::Meter::read().resident.saturating_sub(before) / CONNECTIONS;
    assert!(each <= CONNECTION_BYTES, "a connection takes {each} bytes");

    let began = Instant::now();
    block_on(session.stop());
    assert!(began.elapsed() <= STOP, "it took {:?} to end", began.elapsed());
}
