//! The other sides of many connections: each shakes hands, says that it has nothing, and from then on nothing but a keep-alive every
//! two minutes. And a tracker that knows nobody.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The fast extension (BEP 6) and the extension protocol (BEP 10).
const RESERVED: [u8; 8] = [0, 0, 0, 0, 0, 0x10, 0, 0x04];
/// `have none`.
const NOTHING: [u8; 5] = [0, 0, 0, 1, 0x0f];
const KEEP_ALIVE: [u8; 4] = [0; 4];
/// As BEP 3 says.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(120);

/// Calls under way together. Of many more the listener would end some.
const AT_ONCE: usize = 64;

/// Connections that do nothing.
pub(crate) struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// Calls `port` once for each of `torrents`. Returns when the other side has shaken hands and greeted on all connections.
    pub(crate) fn connect(port: u16, torrents: &[[u8; 20]]) -> Self {
        let to = (Ipv4Addr::LOCALHOST, port).into();
        let mut sockets = Vec::with_capacity(torrents.len());
        for (first, torrents) in (0..).step_by(AT_ONCE).zip(torrents.chunks(AT_ONCE)) {
            let calls = (first..).zip(torrents).map(|(number, torrent)| greet(to, torrent, number));
            sockets.extend(calls.map(|call| call.expect("a connection")));
            sockets[first..].iter_mut().for_each(|socket| hear_greeting(socket).expect("a greeting"));
        }
        Self(sockets)
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every connection says once that it is alive.
    pub(crate) fn say_alive(&mut self) {
        self.0.iter_mut().for_each(|socket| socket.write_all(&KEEP_ALIVE).expect("a connection"));
    }

    /// Every connection says that it is alive, one after the other, for as long as this program runs.
    pub(crate) fn keep_alive(mut self) {
        let (begun, between) = (Instant::now(), KEEP_ALIVE_EVERY / self.0.len().max(1) as u32);
        let mut heard = [0; 4096];
        for turn in 0.. {
            for (number, socket) in (0..).zip(&mut self.0) {
                // By the clock: on a busy machine every sleep is too long, and whoever is late is taken for dead.
                let due = begun + KEEP_ALIVE_EVERY * turn + between * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let _ = socket.set_nonblocking(true).and_then(|()| socket.read(&mut heard));
                let _ = socket.write(&KEEP_ALIVE);
            }
        }
    }
}

fn greet(to: SocketAddr, torrent: &[u8; 20], number: usize) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(to)?;
    let peer_id = format!("-ID0001-{number:012}");
    // It wants to hear of other peers (BEP 11), and says where it could be called.
    let hello = format!("\x14\0d1:md6:ut_pexi1ee1:pi{}e1:v4:idlee", 10_000 + number % 50_000);
    let length = (hello.len() as u32).to_be_bytes();
    let parts: [&[u8]; 7] =
        [b"\x13BitTorrent protocol", &RESERVED, torrent, peer_id.as_bytes(), &NOTHING, &length, hello.as_bytes()];
    socket.write_all(&parts.concat())?;
    Ok(socket)
}

fn hear_greeting(socket: &mut TcpStream) -> std::io::Result<()> {
    // Their handshake, and the length of their first message.
    socket.read_exact(&mut [0; 68 + 4])
}

/// Answers every announce with an empty list, on a thread of its own. Returns where.
pub(crate) fn tracker() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            let _ = socket.read(&mut asked);
            let _ = socket.write_all(b"HTTP/1.0 200 OK\r\n\r\nd8:intervali1800e5:peers0:e");
        }
    });
    address
}
