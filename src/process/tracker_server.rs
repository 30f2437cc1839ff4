//! A small tracker: announces over HTTP, in memory (BEP 3, 7, 23).
//!
//! Parent: whoever wants one; `bt-erl demo` has it beside its sessions. Restart: permanent. Lost on restart: requests
//! that are being answered; the peers are in a table that outlives the process, and the port stays open. It believes
//! nobody's word about their address but takes it from the connection. It does not scrape and has no UDP, and it
//! forgets everything with the OS process.

mod request;
mod swarms;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use supervisors::{ChildSpec, Exit};

use self::request::{Asked, Refusal};
use self::swarms::Swarms;
use crate::rt::net::{BindTo, Listener, NetError, Socket};
use crate::rt::{clock, dice};

/// Longest request that is read, in bytes.
const REQUEST_BYTES: usize = 8 << 10;
/// For the whole request to come, and again for the answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Wait after the operating system refused to accept (no descriptor left, for example).
const SHORTAGE_REST: Duration = Duration::from_millis(500);

/// What a tracker tells its clients and how much it remembers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Between two announces of a peer; one that is silent for twice as long is forgotten.
    pub interval: Duration,
    /// What a peer in need has to keep at least.
    pub min_interval: Duration,
    /// Torrents, at most.
    pub torrents: usize,
    /// Peers of one torrent, at most.
    pub peers: usize,
    /// Connections at once; more wait in the kernel.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1800),
            min_interval: Duration::from_secs(60),
            torrents: 1000,
            peers: 5000,
            connections: 256,
        }
    }
}

/// A tracker with its port and its memory. The process that serves it is its [child](TrackerServer::child_spec).
#[derive(Debug)]
pub struct TrackerServer {
    listener: Listener,
    settings: Settings,
    swarms: Mutex<Swarms>,
}

impl TrackerServer {
    /// Takes the first free port of `ports` (0: the system chooses). Nobody is answered before the child is started.
    pub fn bind(to: BindTo, ports: RangeInclusive<u16>, settings: Settings) -> Result<Arc<Self>, NetError> {
        let listener = Listener::bind(to, ports)?;
        let swarms = Mutex::new(Swarms::new(settings.clone()));
        Ok(Arc::new(Self { listener, settings, swarms }))
    }

    /// What goes into a torrent that is announced here, as seen from this machine.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/announce", self.listener.port())
    }

    /// Peers that are known now, over all torrents.
    pub fn peers(&self) -> usize {
        self.swarms.lock().unwrap_or_else(PoisonError::into_inner).peers()
    }

    /// The process that answers. Start it once.
    pub fn child_spec(self: &Arc<Self>) -> ChildSpec {
        let server = self.clone();
        ChildSpec::worker("tracker_server", move |_process| serve(server.clone()))
    }

    fn announce(&self, asked: &Asked, from: IpAddr) -> Result<Vec<u8>, Refusal> {
        let mut swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        swarms.announce(asked, from, clock::since_start(), dice::seed())
    }
}

async fn serve(server: Arc<TrackerServer>) -> Exit {
    let mut open = FuturesUnordered::new();
    loop {
        let room = open.len() < server.settings.connections;
        let accept = async { if room { server.listener.accept().await } else { std::future::pending().await } };
        let accept = accept.fuse();
        futures::pin_mut!(accept);
        futures::select_biased! {
            () = open.select_next_some() => {}
            accepted = accept => match accepted {
                Ok((socket, from)) => open.push(converse(&server, socket, from)),
                Err(error) => {
                    log::warn!(target: "bt_erl::tracker_server", "cannot accept connections: {error}; trying again");
                    clock::sleep(SHORTAGE_REST).await;
                }
            },
        }
    }
}

/// One request, one answer.
async fn converse(server: &TrackerServer, socket: Socket, from: SocketAddr) {
    let answer = match clock::timeout(PATIENCE, read_request(&socket)).await {
        Ok(Some(read)) => read.and_then(|asked| server.announce(&asked, from.ip())),
        // Gone, or too slow: nobody to talk to.
        Ok(None) | Err(clock::TimedOut) => return,
    };
    let (status, body) = answer.map_or_else(|refusal| refusal.answer(), |body| ("200 OK", body));
    let length = body.len();
    let header = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let bytes = [header.as_bytes(), &body].concat();
    // Whether the answer arrived is the other side's matter; it asks again.
    let _ = clock::timeout(PATIENCE, (&socket).write_all(&bytes)).await;
    socket.shutdown();
}

/// `None`: the other side hung up before its request was whole.
async fn read_request(socket: &Socket) -> Option<Result<Asked, Refusal>> {
    let mut bytes = vec![0; REQUEST_BYTES];
    let mut length = 0;
    loop {
        match (&mut &*socket).read(&mut bytes[length..]).await {
            Ok(read) if read > 0 => length += read,
            _ => return None,
        }
        match request::parse(&bytes[..length]) {
            Ok(None) if length == bytes.len() => return Some(Err(Refusal::TooLong)),
            Ok(None) => {}
            Ok(Some(asked)) => return Some(Ok(asked)),
            Err(refusal) => return Some(Err(refusal)),
        }
    }
}

#[cfg(test)]
mod tests;
