//! Trackers that are down, slow, broken or hostile: each costs an error with a name, bounded memory and bounded time, and no other
//! source of peers notices.

#[path = "trackers/hostile.rs"]
mod hostile;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bt_erl::rt::http::{self, HttpError, HttpLimits};
use bt_erl::rt::net::NetError;
use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, Event, Metainfo, Outcome, Session, TorrentOptions, TrackerOutcome};
use hostile::{Tracker, gzip_bomb, nobody};
use sha1::{Digest, Sha1};

const MIB: u64 = 1 << 20;
/// What a client that has hung up may have let a server send: the body limit, and what fits into the kernel's buffers.
const FEW_MIB: u64 = 16 * MIB;
const GZIP: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";

fn get(url: &str, total: Duration) -> Result<http::Answer, HttpError> {
    block_on(http::get(url, &HttpLimits { connect: total, total, ..HttpLimits::default() }))
}

/// In less than `total` and what a busy machine adds to that.
fn get_in_time(url: &str, total: Duration) -> Result<http::Answer, HttpError> {
    let started = Instant::now();
    let answer = get(url, total);
    assert!(started.elapsed() < total + Duration::from_secs(10), "took {:?}", started.elapsed());
    answer
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(400);
const TOO_LONG: HttpError = HttpError::BodyTooLong { limit: 2 << 20 };
const NO_ANSWER: HttpError = HttpError::TimedOut { doing: "waiting for the answer" };

#[test]
fn a_body_of_a_gibibyte_is_cut_at_the_limit_however_it_is_framed() {
    let zeros = [0; 65536];
    let counted = Tracker::new(move |call| {
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")?;
        call.send_much(&zeros, 1024 * MIB)
    });
    let until_close = Tracker::new(move |call| {
        call.send(b"HTTP/1.0 200 OK\r\n\r\n")?;
        call.send_much(&zeros, 1024 * MIB)
    });
    let chunked = Tracker::new(move |call| {
        call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let chunk = [b"10000\r\n", &zeros[..], b"\r\n"].concat();
        call.send_much(&chunk, 1024 * MIB)
    });
    for tracker in [counted, until_close, chunked] {
        assert_eq!(get_in_time(&tracker.url(), LONG), Err(TOO_LONG));
        let sent = tracker.sent_in_the_end();
        assert!(sent < FEW_MIB, "the tracker could send {sent} bytes");
    }
}

#[test]
fn a_gzip_bomb_is_cut_at_the_limit_as_it_unpacks() {
    let bomb = gzip_bomb(64 << 20);
    assert!((bomb.len() as u64) < MIB);
    let tracker = Tracker::saying([GZIP, &bomb].concat());
    assert_eq!(get_in_time(&tracker.url(), LONG), Err(TOO_LONG));
    assert!(tracker.sent_in_the_end() < FEW_MIB);
}

#[test]
fn gzip_that_unpacks_to_nothing_for_ever_is_read_once() {
    let nothing = gzip_bomb(0).repeat(4096);
    let tracker = Tracker::new(move |call| {
        call.send(GZIP)?;
        call.send_much(&nothing, 1024 * MIB)
    });
    assert_eq!(get_in_time(&tracker.url(), LONG).unwrap().body, b"");
    let sent = tracker.sent_in_the_end();
    assert!(sent < FEW_MIB, "the tracker could send {sent} bytes");
}

#[test]
fn a_header_without_end_is_no_http() {
    let endless = |line: &'static [u8], first: &'static [u8]| {
        Tracker::new(move |call| {
            call.send(first)?;
            call.send_much(&line.repeat(1024), 1024 * MIB)
        })
    };
    for tracker in [
        endless(b"X-Y: zzzzzzzzzzzzzzzz\r\n", b"HTTP/1.1 200 OK\r\n"),
        endless(b"zzzzzzzzzzzzzzzz", b"HTTP/1.1 200 OK\r\nX: "),
        endless(b"zzzzzzzzzzzzzzzz", b""),
        endless(b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    ] {
        let answer = get_in_time(&tracker.url(), LONG);
        assert!(matches!(answer, Err(HttpError::NotHttp { .. })), "{answer:?}");
        assert!(tracker.sent_in_the_end() < FEW_MIB);
    }
}

#[test]
fn silence_at_any_point_ends_at_the_time_limit() {
    for said in [
        &b""[..],
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nd8:inter",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nd8",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08",
        b"HTTP/1.1 302 Found\r\nLocation: /announce\r\n",
    ] {
        let tracker = Tracker::new(|call| {
            call.send(said)?;
            call.fall_silent()
        });
        assert_eq!(get_in_time(&tracker.url(), SHORT), Err(NO_ANSWER), "{}", String::from_utf8_lossy(said));
        tracker.sent_in_the_end();
    }
}

#[test]
fn a_tracker_that_trickles_does_not_win_time() {
    let tracker = Tracker::new(|call| {
        call.send(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            call.send(b"x")?;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(get_in_time(&tracker.url(), SHORT), Err(NO_ANSWER));
}

#[test]
fn a_slow_redirect_loop_has_one_time_limit_for_all_of_it() {
    let tracker = Tracker::new(|call| {
        std::thread::sleep(Duration::from_millis(150));
        call.send(b"HTTP/1.1 302 Found\r\nLocation: /announce\r\nContent-Length: 0\r\n\r\n")
    });
    assert_eq!(get_in_time(&tracker.url(), SHORT), Err(NO_ANSWER));
    assert!(tracker.requests().len() < 6, "{:?}", tracker.requests());
}

#[test]
fn answers_that_are_no_http_get_a_name() {
    for garbage in [
        &b"\0\xff\x13BitTorrent protocol\r\n\r\n"[..],
        b"d8:intervali1800e5:peers0:e",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
    ] {
        let tracker = Tracker::saying(garbage);
        let answer = get_in_time(&tracker.url(), LONG);
        let named =
            matches!(answer, Err(HttpError::NotHttp { .. } | HttpError::Net(NetError::Closed | NetError::Reset)));
        assert!(named, "{answer:?} for {}", String::from_utf8_lossy(garbage));
    }
}

#[test]
fn a_body_that_ends_early_is_not_taken_for_whole() {
    for short in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nd8:interval"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let tracker = Tracker::saying(short);
        let answer = get_in_time(&tracker.url(), LONG);
        assert!(matches!(answer, Err(HttpError::Net(_) | HttpError::NotHttp { .. })), "{answer:?}");
    }
}

// ---- A whole session among such trackers ---------------------------------------------------------------------------

const CONTENT: usize = 300_000;

fn content() -> Vec<u8> {
    (0..CONTENT).map(|n| (n * n / 7) as u8).collect()
}

/// One file `x`, announced to `trackers`.
fn torrent(trackers: &[String]) -> Metainfo {
    let pieces: Vec<u8> = content().chunks(16384).flat_map(|piece| <[u8; 20]>::from(Sha1::digest(piece))).collect();
    let lists: String = trackers.iter().map(|url| format!("l{}:{url}e", url.len())).collect();
    let mut bytes = format!("d13:announce-listl{lists}e4:infod6:lengthi{CONTENT}e4:name1:x").into_bytes();
    bytes.extend(format!("12:piece lengthi16384e6:pieces{}:", pieces.len()).bytes());
    bytes.extend([&pieces[..], b"ee"].concat());
    Metainfo::parse(&bytes).unwrap()
}

async fn session() -> Session {
    let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), workers: 1, ..Config::default() };
    Session::start(config).await.unwrap()
}

/// A session that has everything, and where it can be called.
async fn seed(dir: &Path) -> (Session, SocketAddr) {
    std::fs::write(dir.join("x"), content()).unwrap();
    let seed = session().await;
    let torrent = seed.add(torrent(&[]), TorrentOptions::new(dir)).await.unwrap();
    assert_eq!(torrent.wait().await, Outcome::Complete);
    let address = SocketAddr::from(([127, 0, 0, 1], seed.local_port().unwrap()));
    (seed, address)
}

/// A good tracker's answer: `peer`, and nothing else.
fn naming(peer: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(peer) = peer else { panic!("{peer}") };
    let compact = [&peer.ip().octets()[..], &peer.port().to_be_bytes()].concat();
    [b"d8:intervali1800e5:peers6:", &compact[..], b"e"].concat()
}

/// What is known of every tracker, once each of `urls` has been heard of.
async fn outcomes(events: &bt_erl::Events, urls: &[String]) -> BTreeMap<String, TrackerOutcome> {
    let mut heard = BTreeMap::new();
    while !urls.iter().all(|url| heard.contains_key(url)) {
        if let Event::Tracker { url, outcome } = events.recv().await.unwrap() {
            heard.insert(url, outcome);
        }
    }
    heard
}

#[test]
fn one_good_tracker_among_hostile_ones_is_enough_and_every_other_fault_has_its_name() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (_held, down) = nobody();
    let zeros = [0; 65536];
    let flood = Tracker::new(move |call| {
        call.send(b"HTTP/1.1 200 OK\r\n\r\n")?;
        call.send_much(&zeros, 1024 * MIB)
    });
    let silent = Tracker::new(|call| call.fall_silent());
    let bomb = Tracker::saying([GZIP, &gzip_bomb(64 << 20)].concat());
    let said = |bytes: &str| Tracker::saying(bytes);
    let broken = [
        (said("HTTP/1.1 500 Oops\r\n\r\n<html>"), "the server answered with HTTP status 500"),
        (said("HTTP/1.1 403 No\r\n\r\nd14:failure reason6:banisht"), "the server answered with HTTP status 403"),
        (said("HTTP/1.1 403 No\r\n\r\nd14:failure reason6:go hute"), "the tracker refused: go hut"),
        (said("HTTP/1.1 302 Found\r\nLocation: /announce\r\n\r\n"), "redirected more than 5 times"),
        (said("HTTP/1.1 302 Found\r\nLocation: /reboot\r\n\r\n"), "127.0.0.1 is on this machine or its network"),
        (said("HTTP/1.1 200 OK\r\n\r\n<html>welcome</html>"), "the answer is not that of a tracker"),
        (said("HTTP/1.1 200 OK\r\n\r\n"), "the answer is not that of a tracker"),
        (Tracker::answering(b"d14:failure reason9:not\x1b known!e"), "the tracker refused: not known"),
        (bomb, "the answer is longer than 2097152 bytes"),
        (flood, "the answer is longer than 2097152 bytes"),
    ];
    block_on(async {
        let (seed, address) = seed(dirs[0].path()).await;
        let good = Tracker::saying([&b"HTTP/1.0 200 OK\r\n\r\n"[..], &naming(address)].concat());
        let udp = String::from("udp://127.0.0.1:1/announce");
        let mut urls: Vec<String> = broken.iter().map(|(tracker, _)| tracker.url()).collect();
        urls.extend([silent.url(), down.clone(), udp.clone(), good.url()]);
        let leech = session().await;
        let events = leech.events();
        let torrent = leech.add(torrent(&urls), TorrentOptions::new(dirs[1].path())).await.unwrap();
        assert_eq!(torrent.wait().await, Outcome::Complete);
        assert!(std::fs::read(dirs[1].path().join("x")).unwrap() == content());

        urls.retain(|url| *url != silent.url());
        let heard = outcomes(&events, &urls).await;
        let failed = |url: &str| match &heard[url] {
            TrackerOutcome::Failed { reason, retry_secs } => (reason.clone(), *retry_secs),
            other => panic!("{url}: {other:?}"),
        };
        for (tracker, reason) in &broken {
            let (said, retry) = failed(&tracker.url());
            assert!(said.starts_with(reason), "{said:?} is not {reason:?}");
            assert!((4..=72).contains(&retry), "{retry} s");
        }
        assert_eq!(failed(&down).0, "connection refused");
        assert!(matches!(&heard[&udp], TrackerOutcome::Unsupported { reason } if reason.contains("not supported yet")));
        assert!(matches!(&heard[&good.url()], TrackerOutcome::Announced { peers: 1, interval_secs: 1800, .. }));
        let sent = broken[broken.len() - 1].0.sent_in_the_end();
        assert!(sent < FEW_MIB, "the tracker could send {sent} bytes");

        let stopping = Instant::now();
        leech.stop().await;
        assert!(stopping.elapsed() < Duration::from_secs(5), "stopping took {:?}", stopping.elapsed());
        good.wait_for("event=stopped");
        seed.stop().await;
    });
}

#[test]
fn intervals_out_of_all_proportion_are_brought_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let trackers = [("-5", 60), ("0", 60), ("1", 60), ("99999999999", 3600), ("9223372036854775807", 3600)]
        .map(|(interval, secs)| (Tracker::answering(format!("d8:intervali{interval}e5:peers0:e").as_bytes()), secs));
    let urls: Vec<String> = trackers.iter().map(|(tracker, _)| tracker.url()).collect();
    block_on(async {
        let leech = session().await;
        let events = leech.events();
        leech.add(torrent(&urls), TorrentOptions::new(dir.path())).await.unwrap();
        let heard = outcomes(&events, &urls).await;
        for (tracker, secs) in &trackers {
            let outcome = &heard[&tracker.url()];
            assert!(
                matches!(outcome, TrackerOutcome::Announced { interval_secs, .. } if interval_secs == secs),
                "{outcome:?}, not {secs}"
            );
        }
        leech.stop().await;
        assert!(trackers.iter().all(|(tracker, _)| tracker.requests().len() == 2), "started and stopped, no more");
    });
}

#[test]
fn a_tracker_hears_started_completed_and_stopped_once_each_with_the_right_numbers() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    block_on(async {
        let (seed, address) = seed(dirs[0].path()).await;
        let tracker = Tracker::answering(&naming(address));
        let leech = session().await;
        let torrent = leech.add(torrent(&[tracker.url()]), TorrentOptions::new(dirs[1].path())).await.unwrap();
        assert_eq!(torrent.wait().await, Outcome::Complete);
        tracker.wait_for("event=completed");
        leech.stop().await;
        tracker.wait_for("event=stopped");
        let requests = tracker.requests();
        let [started, completed, stopped] = &requests[..] else { panic!("{requests:#?}") };
        assert!(started.contains("event=started") && started.contains(&format!("&left={CONTENT}&")), "{started}");
        assert!(started.contains("&downloaded=0&") && started.contains("&numwant=200"), "{started}");
        for last in [completed, stopped] {
            assert!(last.contains("&left=0&") && last.contains(&format!("&downloaded={CONTENT}&")), "{last}");
        }
        assert!(stopped.contains("&numwant=0"), "{stopped}");
        seed.stop().await;
    });
}

#[test]
fn a_crash_of_the_tracker_process_is_not_announced() {
    let dir = tempfile::tempdir().unwrap();
    let tracker = Tracker::answering(b"d8:intervali1800e5:peers0:e");
    block_on(async {
        let leech = session().await;
        let events = leech.events();
        leech.add(torrent(&[tracker.url()]), TorrentOptions::new(dir.path())).await.unwrap();
        outcomes(&events, &[tracker.url()]).await;
        let tree = leech.snapshot().unwrap();
        let pid = tree.nodes().find(|node| node.role == "tracker").unwrap().pid.unwrap();
        supervisors::inject_panic(pid, "as ordered by the test");
        while !matches!(events.recv().await.unwrap(), Event::Restart { path, .. } if path.contains("tracker http")) {}
        leech.stop().await;
        tracker.wait_for("event=stopped");
        let requests = tracker.requests();
        assert_eq!(requests.len(), 2, "{requests:#?}");
        assert!(requests[0].contains("event=started"));
    });
}

#[test]
fn a_torrent_that_was_complete_from_the_start_is_not_announced_as_a_download() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), content()).unwrap();
    let tracker = Tracker::answering(b"d8:intervali1800e5:peers0:e");
    block_on(async {
        let seed = session().await;
        let events = seed.events();
        seed.add(torrent(&[tracker.url()]), TorrentOptions::new(dir.path())).await.unwrap();
        outcomes(&events, &[tracker.url()]).await;
        seed.stop().await;
        tracker.wait_for("event=stopped");
        let requests = tracker.requests();
        assert!(requests.len() == 2 && requests[0].contains("event=started") && requests[0].contains("&left=0&"));
    });
}
