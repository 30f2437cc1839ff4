//! The sockets against this machine's own loopback.

use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::{Domain, Socket as RawSocket, Type};

use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future};

use super::*;
use crate::rt::spawn::block_on;

const SOON: Duration = Duration::from_secs(10);

fn any_port() -> Listener {
    Listener::bind(BindTo::Loopback, 0..=0).unwrap()
}

fn v4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn one_connection_is_read_and_written_at_the_same_time() {
    block_on(async {
        let listener = any_port();
        let (ours, theirs) = future::join(connect(v4(listener.port()), SOON), listener.accept()).await;
        let (ours, (theirs, from)) = (ours.unwrap(), theirs.unwrap());
        assert_eq!(from, ours.local_addr().unwrap());
        let sent = vec![7; 4 << 20];
        let echo = async {
            let mut received = vec![0; sent.len()];
            (&theirs).read_exact(&mut received).await.unwrap();
            (&theirs).write_all(&received).await.unwrap();
        };
        let write = async { (&ours).write_all(&sent).await.unwrap() };
        let mut back = vec![0; sent.len()];
        let copy = ours.clone();
        let read = async { (&copy).read_exact(&mut back).await.unwrap() };
        future::join3(echo, write, read).await;
        assert!(back == sent);
    });
}

#[test]
fn shutting_down_ends_a_pending_read() {
    block_on(async {
        let listener = any_port();
        let ours = connect(v4(listener.port()), SOON).await.unwrap();
        let mut byte = [0];
        let read = async { (&ours).read(&mut byte).await.unwrap() };
        let close = async { ours.clone().shutdown() };
        assert_eq!(future::join(read, close).await.0, 0);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn fewer_bytes_than_asked_for_wake_nobody_and_are_there_for_whoever_reads() {
    block_on(async {
        let listener = any_port();
        let pair = async || {
            let (ours, theirs) = future::join(connect(v4(listener.port()), SOON), listener.accept()).await;
            (ours.unwrap(), theirs.unwrap().0)
        };
        let ((ours, theirs), (ping, pong)) = (pair().await, pair().await);
        theirs.wake_at(5);
        let read = async || (&theirs).read(&mut [0; 16]).await.unwrap();
        let write = async || {
            (&ours).write_all(&[0; 4]).await.unwrap();
            // By the time that this has come through the reactor, so has whatever came before.
            (&ping).write_all(&[0]).await.unwrap();
            (&pong).read_exact(&mut [0]).await.unwrap();
            (&ours).write_all(&[0]).await.unwrap();
            0
        };
        // Each is polled only when it is woken itself.
        let both = [read().left_future(), write().right_future()];
        let both: Vec<usize> = both.into_iter().collect::<FuturesUnordered<_>>().collect().await;
        assert_eq!(both.into_iter().max(), Some(5), "the first four did not wake it");
        (&ours).write_all(&[0; 4]).await.unwrap();
        assert_eq!(read().await, 4, "who reads for another reason takes what is there");
        ours.shutdown();
        assert_eq!(read().await, 0, "and the end wakes");
    });
}

#[test]
fn nobody_listening_is_refused() {
    block_on(async {
        let deaf = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        deaf.bind(&v4(0).into()).unwrap();
        let address = deaf.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(connect(address, SOON).await.unwrap_err(), NetError::Refused);
    });
}

#[test]
fn a_dual_stack_listener_names_ipv4_peers_by_their_ipv4_address() {
    block_on(async {
        let listener = Listener::bind(BindTo::Any, 0..=0).unwrap();
        let (_ours, theirs) = future::join(connect(v4(listener.port()), SOON), listener.accept()).await;
        assert_eq!(theirs.unwrap().1.ip(), Ipv4Addr::LOCALHOST);
        if listener.local_addrs()[0].is_ipv6() {
            let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, listener.port()));
            let (_ours, theirs) = future::join(connect(v6, SOON), listener.accept()).await;
            assert_eq!(theirs.unwrap().1.ip(), Ipv6Addr::LOCALHOST);
        }
    });
}

#[test]
fn a_taken_port_is_skipped_and_a_taken_range_is_named() {
    let taken = any_port();
    let port = taken.port();
    for to in [BindTo::Loopback, BindTo::Any] {
        let error = Listener::bind(to, port..=port).unwrap_err();
        assert_eq!(error, NetError::PortTaken { ports: (port, port) });
    }
    let error = NetError::PortTaken { ports: (port, port) };
    assert_eq!(error.to_string(), format!("port {port} is taken by another program"));
    if let Some(last) = port.checked_add(20) {
        assert_ne!(Listener::bind(BindTo::Loopback, port..=last).unwrap().port(), port);
    }
}

#[test]
fn a_literal_address_needs_no_name_server() {
    block_on(async {
        let none = Duration::ZERO;
        assert_eq!(resolve("127.0.0.1", 80, none).await.unwrap(), [v4(80)]);
        assert_eq!(resolve("[::1]", 80, none).await.unwrap(), ["[::1]:80".parse().unwrap()]);
        assert!(resolve("localhost", 80, SOON).await.unwrap().iter().any(|found| found.ip().is_loopback()));
        let unknown = resolve("no-such-name.invalid", 80, SOON).await.unwrap_err();
        assert!(unknown.to_string().contains("no-such-name.invalid"), "{unknown}");
    });
}
