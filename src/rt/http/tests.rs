//! The GET against small servers on loopback: what is followed, what is refused, what is trusted.
//! What hostile trackers do to it is in `tests/trackers.rs`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ureq::tls::{Certificate, RootCerts};

use super::*;
use crate::rt::net::NetError;
use crate::rt::spawn::block_on;

/// Answers every connection with what `reply` makes of its first line; counts the connections.
fn server(reply: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut stream = stream.unwrap();
            let first = read_request(&stream);
            let _ = stream.write_all(&reply(&first));
        }
    });
    (address, count)
}

fn read_request(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    first
}

fn limits() -> HttpLimits {
    HttpLimits { connect: Duration::from_secs(10), total: Duration::from_secs(20), ..HttpLimits::default() }
}

fn fetch(url: &str) -> Result<Answer, HttpError> {
    block_on(get(url, &limits()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn with_header(header: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n").as_bytes(), body].concat()
}

#[test]
fn the_query_arrives_as_it_was_written() {
    let (address, _) = server(|first| format!("HTTP/1.0 200 OK\r\n\r\n{first}").into_bytes());
    let answer = fetch(&format!("http://{address}/announce?info_hash=%00%fF%2f~a&x=1")).unwrap();
    assert_eq!(answer.body, b"GET /announce?info_hash=%00%fF%2f~a&x=1 HTTP/1.1");
    assert!(answer.local);
}

#[test]
fn a_redirect_is_followed_also_when_it_is_relative() {
    let (address, count) = server(|first| match first.split(' ').nth(1) {
        Some("/announce") => {
            b"HTTP/1.1 302 Found\r\nLocation: x/../announce.php?n=2\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        Some("/announce.php?n=2") => with_header("Transfer-Encoding: chunked", b"3\r\nyes\r\n0\r\n\r\n"),
        other => format!("HTTP/1.1 404 No\r\n\r\n{other:?}").into_bytes(),
    });
    assert_eq!(fetch(&format!("http://{address}/announce")).unwrap().body, b"yes");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn redirects_end_at_their_limit_and_at_foreign_schemes() {
    let (address, count) = server(|_| b"HTTP/1.1 301 Moved\r\nLocation: /announce\r\n\r\n".to_vec());
    assert_eq!(fetch(&format!("http://{address}/announce")), Err(HttpError::TooManyRedirects { limit: 5 }));
    assert_eq!(count.load(Ordering::SeqCst), 6);
    let (address, _) = server(|_| b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\n\r\n".to_vec());
    assert_eq!(fetch(&format!("http://{address}/announce")), Err(HttpError::UnknownScheme { scheme: "file".into() }));
    for header in ["X: y", "Location: http://[", "Location: http://"] {
        let (address, _) = server(move |_| format!("HTTP/1.1 301 Moved\r\n{header}\r\n\r\n").into_bytes());
        assert_eq!(fetch(&format!("http://{address}/announce")), Err(HttpError::RedirectToNowhere), "{header}");
    }
}

#[test]
fn a_local_url_that_is_no_trackers_is_refused_before_it_is_called() {
    let (address, count) = server(|_| with_header("X: y", b"done"));
    for path in ["", "/", "/admin/reboot", "/announce/../admin", "/x?announce", "/announce/"] {
        let refused = fetch(&format!("http://{address}{path}"));
        assert_eq!(refused, Err(HttpError::LocalButNoTracker { host: "127.0.0.1".into() }), "{path}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    fetch(&format!("http://{address}/secret-passkey/announce.php?x=1")).unwrap();
}

#[test]
fn a_local_server_cannot_redirect_to_a_local_url_that_is_no_trackers() {
    let (target, count) = server(|_| with_header("X: y", b"done"));
    let (address, _) =
        server(move |_| format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/reboot\r\n\r\n").into());
    let refused = fetch(&format!("http://{address}/announce"));
    assert_eq!(refused, Err(HttpError::LocalButNoTracker { host: "127.0.0.1".into() }));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn a_public_server_cannot_redirect_to_a_local_one_at_all() {
    let (address, count) = server(|_| with_header("X: y", b"done"));
    let url = Url::parse(&format!("http://{address}/announce")).unwrap();
    let deadline = clock::now() + limits().total;
    let permit = block_on(Permits::shared().take());
    let hop = Hop { limits: limits(), deadline, may_be_local: false, was_public: true, _permit: permit };
    assert_eq!(block_on(send(&url, hop)).unwrap_err(), HttpError::RedirectToLocal { host: "127.0.0.1".into() });
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn the_local_addresses_of_a_public_name_are_not_used() {
    let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let mixed = addresses(&["127.0.0.1:80", "1.1.1.1:80", "[::1]:80", "10.0.0.1:80"]);
    assert_eq!(ureq_client::reachable(&mixed), (false, addresses(&["1.1.1.1:80"])));
    let local = addresses(&["127.0.0.1:80", "[::1]:80"]);
    assert_eq!(ureq_client::reachable(&local), (true, local.clone()));
}

#[test]
fn errors_keep_their_status_and_the_beginning_of_their_body() {
    let (address, _) = server(|first| {
        let code = first.split("c=").nth(1).map_or("", |rest| &rest[..3]);
        [format!("HTTP/1.0 {code} X\r\n\r\n").as_bytes(), &[b'x'; 10_000]].concat()
    });
    for code in [400, 404, 500, 503] {
        let body = vec![b'x'; 4096];
        let answer = fetch(&format!("http://{address}/announce?c={code}"));
        assert_eq!(answer, Err(HttpError::Status { code, body }));
    }
    for code in [299, 520, 999] {
        let answer = fetch(&format!("http://{address}/announce?c={code}"));
        assert!(matches!(answer, Err(HttpError::Status { code: got, .. }) if got == code), "{answer:?}");
    }
}

#[test]
fn gzip_is_unpacked_and_what_only_looks_like_it_is_named() {
    let (address, _) = server(|first| {
        let packed = gzip(b"hello hello");
        match first.split(['=', ' ']).nth(2) {
            Some("whole") => with_header("Content-Encoding: gzip", &packed),
            Some("cut") => with_header("Content-Encoding: x-gzip", &packed[..packed.len() - 9]),
            Some("fake") => with_header("Content-Encoding: GZIP", b"d8:intervali1800ee"),
            Some("empty") => with_header("Content-Encoding: gzip", b""),
            _ => with_header("Content-Encoding: br", b"..."),
        }
    });
    let url = |what: &str| format!("http://{address}/announce?e={what}");
    assert_eq!(fetch(&url("whole")).unwrap().body, b"hello hello");
    assert_eq!(fetch(&url("cut")), Err(HttpError::BadGzip));
    assert_eq!(fetch(&url("fake")), Err(HttpError::BadGzip));
    assert_eq!(fetch(&url("other")), Err(HttpError::UnknownEncoding { encoding: "br".into() }));
    assert_ne!(fetch(&url("empty")), Err(HttpError::BodyTooLong { limit: 0 }));
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let (address, _) = server(|first| {
        let length: usize = first.split(['=', ' ']).nth(2).unwrap().parse().unwrap();
        with_header("X: y", &vec![0; length])
    });
    let limits = HttpLimits { body_bytes: 1000, ..limits() };
    let fetch = |length: usize| block_on(get(&format!("http://{address}/announce?n={length}"), &limits));
    assert_eq!(fetch(1000).unwrap().body.len(), 1000);
    assert_eq!(fetch(1001), Err(HttpError::BodyTooLong { limit: 1000 }));
}

#[test]
fn urls_and_hosts_that_cannot_work_are_named() {
    assert!(matches!(fetch("announce"), Err(HttpError::BadUrl { .. })));
    assert_eq!(fetch("udp://127.0.0.1:1/announce"), Err(HttpError::UnknownScheme { scheme: "udp".into() }));
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let deaf = bound.local_addr().unwrap().as_socket().unwrap();
    assert_eq!(fetch(&format!("http://{deaf}/announce")), Err(HttpError::Net(NetError::Refused)));
    let unknown = fetch("http://no-such-name.invalid/announce");
    assert_eq!(unknown, Err(HttpError::Net(NetError::UnknownName { host: "no-such-name.invalid".into() })));
}

/// A TLS server with a certificate of its own making, and that certificate.
fn tls_server() -> (SocketAddr, RootCerts) {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 4096];
            if tls.read(&mut request).is_ok_and(|read| read > 0) {
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe");
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        }
    });
    (address, RootCerts::from(vec![Certificate::from_der(cert.der()).to_owned()]))
}

#[test]
fn a_certificate_is_trusted_only_from_a_known_root_and_for_its_own_name() {
    let (address, ours) = tls_server();
    let fetch = |roots: RootCerts, host: &str| {
        let url = Url::parse(&format!("https://{host}:{}/announce", address.port())).unwrap();
        let deadline = clock::now() + limits().total;
        let permit = block_on(Permits::shared().take());
        let hop = Hop { limits: limits(), deadline, may_be_local: true, was_public: false, _permit: permit };
        let client = surf::Client::with_http_client(UreqClient { roots });
        block_on(async { send_with(&client, &url, hop).await?.body_bytes().await.map_err(HttpError::from_surf) })
    };
    assert_eq!(fetch(ours.clone(), "localhost").unwrap(), b"safe");
    let unknown_root = fetch(RootCerts::WebPki, "localhost");
    assert!(matches!(unknown_root, Err(HttpError::Tls { .. })), "{unknown_root:?}");
    let other_name = fetch(ours, "127.0.0.1");
    assert!(matches!(other_name, Err(HttpError::Tls { .. })), "{other_name:?}");
}

#[test]
fn a_server_without_tls_is_not_taken_for_one_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let plain = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(&with_header("X: y", b"unsafe"));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let answer = fetch(&format!("https://{address}/announce"));
    assert!(matches!(answer, Err(HttpError::Tls { .. })), "{answer:?}");
    plain.join().unwrap();
}
