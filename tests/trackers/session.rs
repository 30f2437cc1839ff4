//! A whole session among hostile trackers, and what good ones hear of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bt_erl::rt::spawn::block_on;
use bt_erl::tracker_server::{Settings, TrackerServer};
use bt_erl::{BindTo, Config, Event, Metainfo, Outcome, Session, TorrentOptions, TrackerOutcome};
use sha1::{Digest, Sha1};
use supervisors::{ChildSpec, EventKind, Flags, SupervisorSpec};

use crate::hostile::{Tracker, gzip_bomb, nobody};
use crate::{FEW_MIB, GZIP, MIB};

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
        (Tracker::answering(b"d14:failure reason10:not\x1b knowne"), "the tracker refused: not known"),
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

/// Crashes the process of `role` below `root`, and waits until a process of `back` has started again.
async fn crash(root: supervisors::Pid, role: &str, back: &str) {
    let events = supervisors::subscribe(root);
    let tree = supervisors::snapshot(root).unwrap();
    let pid = tree.nodes().find(|node| node.role == role).unwrap().pid.unwrap();
    supervisors::inject_panic(pid, "as ordered by the test");
    let is_back = |event: &supervisors::Event| matches!(event.kind, EventKind::Started) && &*event.role == back;
    while !is_back(&events.recv().await.unwrap()) {}
}

#[test]
fn a_crash_of_the_tracker_process_or_of_the_client_before_it_is_not_announced() {
    for role in ["tracker", "client"] {
        let dir = tempfile::tempdir().unwrap();
        let tracker = Tracker::answering(b"d8:intervali1800e5:peers0:e");
        block_on(async {
            let leech = session().await;
            let events = leech.events();
            leech.add(torrent(&[tracker.url()]), TorrentOptions::new(dir.path())).await.unwrap();
            outcomes(&events, &[tracker.url()]).await;
            crash(leech.pid().unwrap(), role, "tracker").await;
            leech.stop().await;
            tracker.wait_for("event=stopped");
            let requests = tracker.requests();
            assert_eq!(requests.len(), 2, "{requests:#?}");
            assert!(requests[0].contains("event=started"));
        });
    }
}

#[test]
fn stopped_does_not_overtake_an_announce_that_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at_once, seen) = (now.clone(), most.clone());
    let slow = Tracker::new(move |call| {
        seen.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        at_once.fetch_sub(1, SeqCst);
        call.send(b"HTTP/1.1 200 OK\r\n\r\nd8:intervali1800e5:peers0:e")
    });
    block_on(async {
        let leech = session().await;
        leech.add(torrent(&[slow.url()]), TorrentOptions::new(dir.path())).await.unwrap();
        slow.wait_for("event=started");
        leech.stop().await;
        slow.wait_for("event=stopped");
    });
    assert_eq!(most.load(SeqCst), 1, "announces at once");
}

#[test]
fn a_leech_finds_a_seed_through_our_own_tracker_also_after_it_crashed() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    std::fs::write(dirs[0].path().join("x"), content()).unwrap();
    block_on(async {
        let server = TrackerServer::bind(BindTo::Loopback, 0..=0, Settings::default()).unwrap();
        let spec = server.child_spec();
        let tree = supervisors::start(ChildSpec::supervisor("tracker_server_sup", move || SupervisorSpec {
            flags: Flags::one_for_one(),
            children: vec![spec.clone()],
        }));
        let (seed, leech) = (session().await, session().await);
        let events = seed.events();
        seed.add(torrent(&[server.url()]), TorrentOptions::new(dirs[0].path())).await.unwrap();
        outcomes(&events, &[server.url()]).await;
        crash(tree.root(), "tracker_server", "tracker_server").await;
        let torrent = leech.add(torrent(&[server.url()]), TorrentOptions::new(dirs[1].path())).await.unwrap();
        assert_eq!(torrent.wait().await, Outcome::Complete);
        assert_eq!(server.peers(), 2);
        leech.stop().await;
        seed.stop().await;
        assert_eq!(server.peers(), 0, "both said that they stop");
        tree.stop(Duration::from_secs(5)).await;
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
