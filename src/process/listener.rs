//! Accepts connections, reads whom they want, and hands each to the torrent that it names.
//!
//! Parent: the session's root, last of its children. Restart: permanent. Lost on restart: connections that had not shaken
//! hands yet. The socket that listens is in the session's table and stays open, so the port is never lost.
//! It answers nothing itself: an unknown torrent or a wrong byte ends the connection without a word.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use supervisors::{Exit, Process};

use super::client;
use super::peer::{End, shake};
use crate::protocol::Handshake;
use crate::rt::clock;
use crate::rt::net::{Listener, Socket};
use crate::tables::{SessionTable, lock};

/// Connections that have not shaken hands yet, at most. One more ends the oldest of the host that has the most of them, so that whoever
/// opens connections and says nothing keeps nobody else out.
const MAX_SHAKING: usize = 256;
/// Wait after the operating system refused to accept (no descriptor left, for example).
const SHORTAGE_REST: Duration = Duration::from_millis(500);

/// The process body. It has no mailbox: nobody tells the listener anything.
pub(crate) async fn run(_process: Process, session: Arc<SessionTable>, listener: Arc<Listener>) -> Exit {
    let mut shaking = FuturesUnordered::new();
    let mut half_open = HalfOpen::default();
    loop {
        futures::select_biased! {
            (number, shaken) = shaking.select_next_some() => {
                half_open.sockets.remove(&number);
                hand_over(&session, shaken);
            },
            accepted = Box::pin(listener.accept()).fuse() => match accepted {
                Ok((socket, address)) => {
                    let number = half_open.add(socket.clone(), address.ip());
                    shaking.push(hear(&session, socket, address).map(move |shaken| (number, shaken)));
                }
                Err(error) => {
                    log::warn!("cannot accept connections: {error}; trying again");
                    clock::sleep(SHORTAGE_REST).await;
                }
            },
        }
    }
}

/// The connections that have not shaken hands yet, in the order in which they came.
#[derive(Default)]
struct HalfOpen {
    sockets: BTreeMap<u64, (IpAddr, Socket)>,
    next: u64,
}

impl HalfOpen {
    /// Notes a connection, and ends another one when there are too many. Returns its number.
    fn add(&mut self, socket: Socket, host: IpAddr) -> u64 {
        if self.sockets.len() >= MAX_SHAKING
            && let Some(oldest) = self.oldest_of_the_greediest()
            && let Some((_, socket)) = self.sockets.remove(&oldest)
        {
            socket.shutdown();
        }
        self.next += 1;
        self.sockets.insert(self.next, (host, socket));
        self.next
    }

    fn oldest_of_the_greediest(&self) -> Option<u64> {
        let mut hosts: BTreeMap<IpAddr, u32> = BTreeMap::new();
        self.sockets.values().for_each(|(host, _)| *hosts.entry(*host).or_default() += 1);
        let (greediest, _) = hosts.into_iter().max_by_key(|(_, connections)| *connections)?;
        self.sockets.iter().find(|(_, (host, _))| *host == greediest).map(|(number, _)| *number)
    }
}

type Shaken = (Socket, SocketAddr, Result<Handshake, End>);

async fn hear(session: &SessionTable, socket: Socket, address: SocketAddr) -> Shaken {
    let mut heard = shake::hear(&socket).await;
    if let Ok(theirs) = &heard
        && theirs.peer_id == session.peer_id
    {
        // Somebody named our own address to us. Whoever of us called learns it from the answer, and does not call again.
        heard = shake::echo(&socket, theirs).await.and(Err(End::Myself));
    }
    (socket, address, heard)
}

fn hand_over(session: &SessionTable, (socket, address, heard): Shaken) {
    let refusal = match heard {
        Err(end) => end.to_string(),
        Ok(_) if session.is_full() => "enough peers are connected".to_owned(),
        Ok(theirs) => match lock(&session.torrents).get(&theirs.info_hash) {
            None => shake::unknown(theirs.info_hash),
            Some(torrent) => return torrent.client.cast(client::Msg::Incoming { socket, address, theirs }),
        },
    };
    log::debug!("incoming {address}: {refusal}");
    socket.shutdown();
}
