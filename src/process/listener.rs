//! Accepts connections, reads whom they want, and hands each to the torrent that it names.
//!
//! Parent: the session's root, last of its children. Restart: permanent. Lost on restart: connections that had not shaken
//! hands yet. The socket that listens is in the session's table and stays open, so the port is never lost.
//! It answers nothing itself: an unknown torrent or a wrong byte ends the connection without a word.

use std::net::SocketAddr;
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

/// Connections that have not shaken hands yet, at most; more wait in the kernel.
const MAX_SHAKING: usize = 64;
/// Wait after the operating system refused to accept (no descriptor left, for example).
const SHORTAGE_REST: Duration = Duration::from_millis(500);

/// The process body. It has no mailbox: nobody tells the listener anything.
pub(crate) async fn run(_process: Process, session: Arc<SessionTable>, listener: Arc<Listener>) -> Exit {
    let mut shaking = FuturesUnordered::new();
    loop {
        let room = shaking.len() < MAX_SHAKING;
        let accept = async { if room { listener.accept().await } else { std::future::pending().await } };
        futures::select_biased! {
            shaken = shaking.select_next_some() => hand_over(&session, shaken),
            accepted = Box::pin(accept).fuse() => match accepted {
                Ok((socket, address)) => shaking.push(hear(socket, address)),
                Err(error) => {
                    log::warn!("cannot accept connections: {error}; trying again");
                    clock::sleep(SHORTAGE_REST).await;
                }
            },
        }
    }
}

type Shaken = (Socket, SocketAddr, Result<Handshake, End>);

async fn hear(socket: Socket, address: SocketAddr) -> Shaken {
    let heard = shake::hear(&socket).await;
    (socket, address, heard)
}

fn hand_over(session: &SessionTable, (socket, address, heard): Shaken) {
    let handshake = match heard {
        Ok(handshake) => handshake,
        Err(end) => {
            log::debug!("incoming {address}: {end}");
            return socket.shutdown();
        }
    };
    let torrent = lock(&session.torrents).get(&handshake.info_hash).cloned();
    match torrent {
        Some(torrent) if handshake.peer_id != session.peer_id => {
            torrent.client.cast(client::Msg::Incoming { socket, address, peer_id: handshake.peer_id });
        }
        Some(_) => socket.shutdown(),
        None => {
            log::debug!("incoming {address}: {}", shake::unknown(handshake.info_hash));
            socket.shutdown();
        }
    }
}
