//! What can be tested of the tracker process without a tree. The rest is in `tests/trackers.rs`.

use super::*;

#[test]
fn only_http_and_https_get_a_process() {
    assert_eq!(check_url("http://t/announce"), Ok(()));
    assert_eq!(check_url("HTTPS://t/announce"), Ok(()));
    let text = |url| check_url(url).unwrap_err().to_string();
    assert_eq!(text("udp://t:1/announce"), "udp trackers are not supported yet, only http and https");
    assert_eq!(text("no url"), "such trackers are not supported yet, only http and https");
    assert!(text("\u{1b}[2Jx://t").starts_with("2jx trackers"));
}

#[test]
fn passkeys_do_not_get_into_the_log() {
    for (url, shown) in [
        ("http://t.example:80/announce", "http://t.example:80/announce"),
        ("http://t.example/announce?passkey=s3cret", "http://t.example/announce"),
        ("https://t.example/s3cret/announce", "https://t.example/…/announce"),
        ("https://user:s3cret@t.example/a/s3cret/announce.php?x=1#y", "https://t.example/…/announce.php"),
        ("http://t.example/announce/s3cret", "http://t.example/…/…"),
        ("http://t.example/s3cret", "http://t.example/…"),
        ("http://t.example", "http://t.example/"),
    ] {
        assert_eq!(without_secrets(url), shown);
    }
}

#[test]
fn a_public_tracker_cannot_send_us_to_our_own_machine() {
    let worth = |peer: &str, local| is_worth_calling(peer.parse().unwrap(), local, 6881);
    assert!(worth("1.2.3.4:6881", false) && worth("192.168.1.2:6881", false) && worth("[2001:db8::1]:1", false));
    for peer in ["127.0.0.1:80", "[::1]:80", "169.254.1.1:80", "[fe80::1]:80"] {
        assert!(!worth(peer, false) && worth(peer, true), "{peer}");
    }
    assert!(!worth("127.0.0.1:6881", true), "that is ourselves");
}
