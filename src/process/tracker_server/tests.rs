//! The tracker over real connections on loopback.

use super::*;
use crate::protocol::{AnnounceReply, AnnounceRequest, InfoHash, PeerId};
use crate::rt::http::{self, HttpError, HttpLimits};
use crate::rt::net;
use crate::rt::spawn::block_on;

async fn answering<T>(settings: Settings, client: impl AsyncFnOnce(Arc<TrackerServer>) -> T) -> T {
    let server = TrackerServer::bind(BindTo::Loopback, 0..=0, settings).unwrap();
    let serving = serve(server.clone()).fuse();
    let client = client(server).fuse();
    futures::pin_mut!(serving, client);
    futures::select! {
        _ = serving => panic!("the tracker ended"),
        answer = client => answer,
    }
}

async fn announce(server: &TrackerServer, port: u16, left: u64) -> AnnounceReply {
    let request = AnnounceRequest {
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId(crate::rt::dice::new_peer_id()),
        port,
        uploaded: 0,
        downloaded: 0,
        left,
        event: None,
        numwant: None,
        key: None,
        tracker_id: None,
        compact: true,
    };
    let url = request.url(&server.url()).unwrap();
    AnnounceReply::parse(&http::get(&url, &HttpLimits::default()).await.unwrap().body).unwrap()
}

#[test]
fn two_peers_find_each_other() {
    block_on(answering(Settings::default(), async |server| {
        assert!(announce(&server, 1001, 0).await.peers.is_empty());
        let reply = announce(&server, 1002, 7).await;
        assert_eq!(reply.peers, ["127.0.0.1:1001".parse().unwrap()]);
        assert_eq!((reply.seeders, reply.leechers, server.peers()), (Some(1), Some(1), 2));
    }));
}

#[test]
fn what_is_no_announce_gets_a_status_and_the_tracker_goes_on() {
    block_on(answering(Settings { connections: 2, ..Settings::default() }, async |server| {
        let address: SocketAddr = format!("127.0.0.1:{}", server.listener.port()).parse().unwrap();
        let say = async |bytes: &[u8]| {
            let socket = net::connect(address, PATIENCE).await.unwrap();
            let _ = (&socket).write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = (&socket).read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).chars().take(12).collect::<String>()
        };
        assert_eq!(say(b"GET /robots.txt HTTP/1.1\r\n\r\n").await, "HTTP/1.1 404");
        assert_eq!(say(b"DELETE /announce HTTP/1.1\r\n\r\n").await, "HTTP/1.1 405");
        assert_eq!(say(b"\x13BitTorrent protocol").await, "HTTP/1.1 400");
        assert_eq!(say(&[b'G'; REQUEST_BYTES]).await, "HTTP/1.1 431");
        // Two who say nothing fill the tracker for as long as its patience lasts, and no longer.
        let silent = [net::connect(address, PATIENCE).await.unwrap(), net::connect(address, PATIENCE).await.unwrap()];
        assert!(announce(&server, 1, 0).await.peers.is_empty());
        drop(silent);
        let refused = http::get(&format!("{}?port=1", server.url()), &HttpLimits::default()).await;
        assert!(!matches!(refused, Err(HttpError::Status { .. })), "a failure reason comes with status 200");
    }));
}
