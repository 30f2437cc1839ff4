//! Requests as trackers want them, and answers as trackers should not give them.

use proptest::prelude::*;

use super::*;

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash(*b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a"),
        peer_id: PeerId(*b"-BE0001-a~b.c_d/e f+"),
        port: 6881,
        uploaded: 1,
        downloaded: 2,
        left: u64::MAX,
        event: None,
        numwant: None,
        key: None,
        tracker_id: None,
        compact: true,
    }
}

fn reply(body: &[u8]) -> AnnounceReply {
    AnnounceReply::parse(body).expect("a reply")
}

fn peers(body: &[u8]) -> (Vec<String>, usize) {
    let reply = reply(body);
    (reply.peers.iter().map(SocketAddr::to_string).collect(), reply.dropped)
}

#[test]
fn the_url_has_every_parameter_escaped_byte_by_byte() {
    let expected = "http://t/announce?info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A\
        &peer_id=-BE0001-a~b.c_d%2Fe%20f%2B&port=6881&uploaded=1&downloaded=2&left=18446744073709551615&compact=1";
    assert_eq!(request().url("http://t/announce").as_deref(), Ok(expected));
    let full = AnnounceRequest {
        event: Some(Event::Completed),
        numwant: Some(0),
        key: Some(0xbeef),
        tracker_id: Some(b"a&b".to_vec()),
        ..request()
    };
    let end = "&compact=1&event=completed&numwant=0&key=0000beef&trackerid=a%26b";
    assert_eq!(
        full.url("http://t/announce").as_deref(),
        Ok(format!("{}{end}", expected.trim_end_matches("&compact=1")).as_str())
    );
}

#[test]
fn a_query_that_is_there_is_kept_and_a_fragment_is_not() {
    let begins = |base: &str, with: &str| {
        let url = request().url(base).expect("a url");
        assert!(url.starts_with(&format!("{with}info_hash=")), "{url}");
    };
    begins("http://t/a?passkey=1", "http://t/a?passkey=1&");
    begins("http://t/a?passkey=1&", "http://t/a?passkey=1&");
    begins("http://t/a?", "http://t/a?");
    begins("http://t/a#b?c", "http://t/a?");
    for bad in ["", "#x", "http://t/a b", "http://t/\r\nHost: x", "http://t/\u{0}"] {
        assert_eq!(request().url(bad), Err(AnnounceError::BadUrl), "{bad:?}");
    }
}

#[test]
fn a_compact_answer_is_read_with_all_that_is_in_it() {
    let body = b"d8:completei3e10:incompletei4e8:intervali900e12:min intervali300e5:peers12:\x01\x02\x03\x04\x1a\xe1\x7f\x00\x00\x01\x00\x506:peers618:\
        \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe110:tracker id3:a\xffb15:warning message2:hie\n";
    let all = AnnounceReply {
        interval: Duration::from_secs(900),
        min_interval: Some(Duration::from_secs(300)),
        peers: ["1.2.3.4:6881", "127.0.0.1:80", "[2001:db8::1]:6881"].map(|a| a.parse().expect("an address")).to_vec(),
        dropped: 0,
        seeders: Some(3),
        leechers: Some(4),
        warning: Some("hi".to_owned()),
        tracker_id: Some(b"a\xffb".to_vec()),
    };
    assert_eq!(reply(body), all);
}

#[test]
fn a_dictionary_answer_is_read_and_host_names_are_not_resolved() {
    let body = b"d5:peersld2:ip7:1.2.3.44:porti1eed2:ip3:::14:porti65535eed2:ip15:tracker.example4:porti1eed2:ip7:1.2.3.4ed2:ip7:1.2.3.44:porti65536eei7e0:ee";
    assert_eq!(peers(body), (vec!["1.2.3.4:1".to_owned(), "[::1]:65535".to_owned()], 5));
}

#[test]
fn addresses_that_nobody_can_have_are_dropped_and_each_counts_once() {
    let bad = b"d5:peers42:\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x02\x03\x00\x01\xe0\x00\x00\x01\x00\x01\xff\xff\xff\xff\x00\x01\x01\x02\x03\x04\x00\x01\x01\x02\x03\x04\x00\x01e";
    assert_eq!(peers(bad), (vec!["1.2.3.4:1".to_owned()], 6));
    let mapped = b"d5:peers6:\x01\x02\x03\x04\x00\x016:peers618:\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04\x00\x01e";
    assert_eq!(peers(mapped), (vec!["1.2.3.4:1".to_owned()], 1), "the same peer in two forms");
    let v6 = b"d6:peers636:\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01e";
    assert_eq!(peers(v6), (vec![], 2));
}

#[test]
fn a_cut_entry_costs_itself_only() {
    assert_eq!(peers(b"d5:peers8:\x01\x02\x03\x04\x00\x01\x09\x09e"), (vec!["1.2.3.4:1".to_owned()], 1));
    assert_eq!(peers(b"d8:intervali60e6:peers63:abce"), (vec![], 1));
}

#[test]
fn no_more_than_two_thousand_peers_are_taken() {
    let list: Vec<u8> =
        (0..5000u32).flat_map(|n| [(0x0a00_0000 + n).to_be_bytes().as_slice(), &[1, 1]].concat()).collect();
    let body = [format!("d5:peers{}:", list.len()).as_bytes(), &list, b"e"].concat();
    let reply = reply(&body);
    assert_eq!((reply.peers.len(), reply.dropped), (MAX_PEERS, 3000));
}

#[test]
fn waiting_times_are_between_a_minute_and_an_hour() {
    let interval = |n: &str| reply(format!("d8:intervali{n}e12:min intervali{n}ee").as_bytes());
    for (n, secs) in [("0", 60), ("-5", 60), ("61", 61), ("9223372036854775807", 3600)] {
        let read = interval(n);
        assert_eq!((read.interval.as_secs(), read.min_interval.map(|d| d.as_secs())), (secs, Some(secs)), "{n}");
    }
    let absent = reply(b"d5:peers0:e");
    assert_eq!((absent.interval.as_secs(), absent.min_interval), (1800, None));
    assert_eq!(reply(b"d8:interval4:soon5:peers0:e").interval.as_secs(), 1800);
    assert_eq!(reply(b"d8:completei-1e10:incompletei9999999999e5:peers0:e").seeders, None);
}

#[test]
fn a_refusal_is_passed_on_short_and_printable() {
    let reason = |text: &str| {
        let body = format!("d14:failure reason{}:{text}5:peers0:e", text.len());
        AnnounceReply::parse(body.as_bytes()).expect_err("refused")
    };
    assert_eq!(reason("not registered"), AnnounceError::Failure { reason: "not registered".to_owned() });
    assert_eq!(reason("\u{1b}[31mre\nd\u{202e}\u{7f}"), AnnounceError::Failure { reason: "[31mred".to_owned() });
    let AnnounceError::Failure { reason } = reason(&"ä".repeat(100_000)) else { panic!("another error") };
    assert_eq!(reason, "ä".repeat(200));
}

#[test]
fn what_is_no_answer_is_named() {
    let error = |body: &[u8]| AnnounceReply::parse(body).expect_err("refused").to_string();
    assert_eq!(error(b"<html>503</html>"), "the answer is not that of a tracker: byte 0 is not bencoding");
    assert_eq!(error(b""), "the answer is not that of a tracker: the bencoding ends in the middle of a value");
    assert_eq!(error(b"de"), "the answer is not that of a tracker: the field interval is missing");
    assert_eq!(error(b"le"), "the answer is not that of a tracker: it is not a dictionary");
    assert_eq!(
        error(&b"d5:peersl".repeat(100_000)),
        "the answer is not that of a tracker: the value at byte 225 is nested deeper than 50 levels"
    );
    let large = vec![b'0'; MAX_REPLY_BYTES + 1];
    assert_eq!(AnnounceReply::parse(&large), Err(AnnounceError::TooLarge { bytes: large.len() }));
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(prop_oneof![prop::sample::select(&b"deli0123456789:"[..]), any::<u8>()], 0..80)) {
        let _ = AnnounceReply::parse(&noise);
        let _ = AnnounceReply::parse(&[b"d8:intervali5e5:peers".as_slice(), &noise, b"e"].concat());
    }

    #[test]
    fn every_id_is_unescaped_to_itself(id in any::<[u8; 20]>()) {
        let url = AnnounceRequest { info_hash: InfoHash(id), ..request() }.url("http://t/").expect("a url");
        let value = url.split(['=', '&']).nth(1).expect("a value");
        let mut bytes = Vec::new();
        let mut rest = value.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            if *first == b'%' {
                let hex = str::from_utf8(&tail[..2]).expect("hex");
                bytes.push(u8::from_str_radix(hex, 16).expect("hex"));
                rest = &tail[2..];
            } else {
                bytes.push(*first);
            }
        }
        prop_assert_eq!(bytes, id);
    }
}
