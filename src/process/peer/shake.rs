//! The handshake on a socket, from either side, within a time limit.
//!
//! Part of `peer` and of `listener`. It reads exactly the handshake's 68 bytes and decides nothing but whether they are right.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};

use super::End;
use crate::protocol::InfoHash;
use crate::protocol::handshake::{Handshake, HandshakeDecoded};
use crate::rt::clock;
use crate::rt::net::Socket;
use crate::tables::TorrentTable;

/// Longest time that the other side may take for its handshake.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// We called: say who we are, hear who they are.
pub(super) async fn hello(socket: &Socket, torrent: &TorrentTable) -> Result<Handshake, End> {
    answer(socket, torrent).await?;
    let theirs = hear(socket).await?;
    if theirs.info_hash != torrent.metainfo.info_hash {
        return Err(End::Misbehaved(format!("answered for another torrent ({})", theirs.info_hash)));
    }
    if theirs.peer_id == torrent.session.peer_id {
        return Err(End::Myself);
    }
    Ok(theirs)
}

/// Sends our handshake.
pub(super) async fn answer(socket: &Socket, torrent: &TorrentTable) -> Result<(), End> {
    echo(socket, &Handshake::new(torrent.metainfo.info_hash, torrent.session.peer_id)).await
}

/// Sends this handshake.
pub(crate) async fn echo(socket: &Socket, handshake: &Handshake) -> Result<(), End> {
    let mut writer = socket;
    clock::timeout(LIMIT, writer.write_all(&handshake.encode())).await.map_err(End::from)?.map_err(End::from)
}

/// Reads a handshake.
pub(crate) async fn hear(socket: &Socket) -> Result<Handshake, End> {
    clock::timeout(LIMIT, read(socket)).await.map_err(|_| End::Environment("no handshake within 10 s".to_owned()))?
}

async fn read(socket: &Socket) -> Result<Handshake, End> {
    let mut bytes = [0; Handshake::BYTES];
    let mut have = 0;
    let mut reader = socket;
    loop {
        match Handshake::decode(&bytes[..have]) {
            Err(error) => return Err(End::Misbehaved(error.to_string())),
            Ok(HandshakeDecoded::Done(handshake)) => return Ok(handshake),
            Ok(HandshakeDecoded::Partial { .. }) => {}
        }
        match reader.read(&mut bytes[have..]).await? {
            0 if have == 0 => return Err(End::Environment("hung up without a handshake".to_owned())),
            0 => return Err(End::Environment(format!("hung up after {have} of the handshake's 68 bytes"))),
            n => have += n,
        }
    }
}

/// Whom an incoming connection wants, for the log.
pub(crate) fn unknown(info_hash: InfoHash) -> String {
    format!("asked for a torrent that is not here ({info_hash})")
}
