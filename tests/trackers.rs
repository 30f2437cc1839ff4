//! Trackers that are down, slow, broken or hostile: each costs an error with a name, bounded memory and bounded time,
//! and no other source of peers notices.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test is a failed test")]

#[path = "trackers/hostile.rs"]
mod hostile;
#[path = "trackers/session.rs"]
mod session;

use std::time::{Duration, Instant};

use bt_erl::rt::http::{self, HttpError, HttpLimits};
use bt_erl::rt::net::NetError;
use bt_erl::rt::spawn::block_on;
use hostile::{Tracker, gzip_bomb};

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
