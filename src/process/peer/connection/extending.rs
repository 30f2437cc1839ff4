//! The extension protocol on one connection (BEP 10): the info dictionary, peer exchange, lost pieces; and the fast pieces of BEP 6.
//!
//! Part of `peer`. What the messages look like and how many are too many is decided by `protocol::extension`.

use std::net::SocketAddr;

use super::*;
use crate::process::peer::CLIENT;
use crate::protocol::book::Source;
use crate::protocol::extension::metadata::{self, Metadata};
use crate::protocol::extension::pex::{Pace, Pex, SwarmPeer, Told, Verdict};
use crate::protocol::extension::{Extension, Hello, Ids, dont_have};
use crate::protocol::fast_set::{FAST_PIECES, fast_set};
use crate::protocol::upload::MAX_REQUESTS;
use crate::tables::lock;

/// Requests that a peer may reject in a row although it does not choke us.
const MAX_REJECTS: u32 = 50;
/// How often one peer may ask for the info dictionary.
const METADATA_TURNS: u32 = 4;

/// What the two sides have told each other.
#[derive(Default)]
pub(super) struct Extending {
    theirs: Hello,
    told: Told,
    pace: Pace,
    /// Pieces of the info dictionary that it got.
    metadata_given: u32,
}

impl Extending {
    /// The other side wants nothing more (BEP 21).
    pub(super) fn is_upload_only(&self) -> bool {
        self.theirs.upload_only == Some(true)
    }
}

impl Connection<'_> {
    pub(super) fn say_hello(&mut self) {
        let exchange = self.torrent.exchanges_peers().then_some(Extension::PeerExchange);
        let offered: Vec<_> = [Extension::Metadata, Extension::DontHave].into_iter().chain(exchange).collect();
        let hello = Hello {
            ids: Ids::ours(&offered),
            client: Some(CLIENT.to_owned()),
            request_queue: Some(MAX_REQUESTS as u32),
            port: Some(self.torrent.session.port()).filter(|port| *port > 0),
            your_ip: Some(self.side.address.ip()),
            metadata_bytes: u32::try_from(self.torrent.metainfo.info_bytes().len()).ok(),
            upload_only: Some(self.torrent.wants_nothing()),
        };
        self.out.message(&Message::Extended { id: 0, payload: &hello.encode() });
    }

    pub(super) fn extended(&mut self, id: u8, payload: &[u8]) -> Result<(), End> {
        self.floods.extended()?;
        let bad = |what: &str, error| End::Misbehaved(format!("sent a bad {what}: {error}"));
        if id == 0 {
            self.extending.theirs.update(payload).map_err(|error| bad("extension handshake", error))?;
            return self.heard_hello();
        }
        match Extension::of_our_id(id) {
            Some(Extension::Metadata) => {
                let message = Metadata::decode(payload).map_err(|error| bad("metadata message", error))?;
                self.metadata(message);
            }
            Some(Extension::PeerExchange) => self.pex(payload)?,
            Some(Extension::DontHave) => {
                if let Some(piece) = dont_have::decode(payload, self.layout)
                    && self.theirs.clear(piece.0)
                {
                    self.haves.retain(|have| *have != piece);
                    self.torrent.client.cast(client::Msg::Lost { key: self.key, piece });
                }
            }
            None => log::trace!("peer {}: extension {id} is not one of ours", self.side.address),
        }
        Ok(())
    }

    fn heard_hello(&mut self) -> Result<(), End> {
        if let Some(client) = self.extending.theirs.client.clone().filter(|name| !name.is_empty()) {
            *lock(&self.counts.client) = client;
        }
        if let Some(requests) = self.extending.theirs.request_queue {
            self.pipeline.set_limit(requests);
        }
        if let Some(port) = self.extending.theirs.port {
            let address = SocketAddr::new(self.side.address.ip(), port);
            self.torrent.client.cast(client::Msg::Listens { key: self.key, address });
        }
        self.part_if_useless()
    }

    /// Whoever asks for the whole info dictionary again and again is not served for ever.
    fn metadata(&mut self, message: Metadata<'_>) {
        let Metadata::Request { piece } = message else { return };
        let Some(id) = self.extending.theirs.ids.get(Extension::Metadata) else { return };
        let info = self.torrent.metainfo.info_bytes();
        let pieces = (info.len() as u32).div_ceil(metadata::PIECE_BYTES);
        self.extending.metadata_given += 1;
        let enough = self.extending.metadata_given > METADATA_TURNS * pieces;
        let answer = if enough { Metadata::Reject { piece } } else { metadata::answer(info, piece) };
        self.out.message(&Message::Extended { id, payload: &answer.encode() });
    }

    fn pex(&mut self, payload: &[u8]) -> Result<(), End> {
        if !self.torrent.exchanges_peers() {
            return Ok(());
        }
        match self.extending.pace.heard(self.now) {
            Verdict::Flood => return Err(End::Misbehaved("floods us with peer exchange".to_owned())),
            Verdict::TooSoon => return Ok(()),
            Verdict::Read => {}
        }
        let pex =
            Pex::decode(payload).map_err(|error| End::Misbehaved(format!("sent a bad peer exchange: {error}")))?;
        let addresses = pex.added.iter().map(|peer| peer.address).collect();
        self.torrent.client.cast(client::Msg::Found { addresses, source: Source::PeerExchange });
        Ok(())
    }

    /// Who is connected, for a peer that wants to know.
    pub(super) fn tell_of_swarm(&mut self, peers: &[SwarmPeer]) {
        // Nobody needs to hear of itself.
        let port = self.extending.theirs.port.filter(|_| !self.side.outgoing).unwrap_or(self.side.address.port());
        let itself = SocketAddr::new(self.side.address.ip(), port);
        if let Some(id) = self.extending.theirs.ids.get(Extension::PeerExchange)
            && let Some(pex) = self.extending.told.news(peers, itself, self.now)
        {
            self.out.message(&Message::Extended { id, payload: &pex.encode() });
        }
    }

    /// A peer with next to nothing may ask for a few pieces while we choke it, so that it has something to give (BEP 6). Not when our upload
    /// is limited: what choked peers take would be missing to those that we serve.
    pub(super) fn offer_fast_pieces(&mut self) {
        if !self.side.fast || self.torrent.upload_is_scarce() || self.theirs.count() >= FAST_PIECES {
            return;
        }
        let info_hash = self.torrent.metainfo.info_hash;
        for piece in fast_set(self.side.address.ip(), info_hash, self.layout.pieces()) {
            if self.have.get(piece.0) && !self.theirs.get(piece.0) {
                self.upload.allow(piece);
                self.out.message(&Message::AllowedFast { piece });
            }
        }
    }

    pub(super) fn suggest(&mut self, pieces: &[PieceIndex]) {
        if self.side.fast {
            pieces.iter().for_each(|piece| self.out.message(&Message::Suggest { piece: *piece }));
        }
    }

    pub(super) fn suggested(&mut self, piece: PieceIndex) -> Result<(), End> {
        self.floods.extended()?;
        if self.side.fast && !self.have.get(piece.0) {
            self.torrent.client.cast(client::Msg::Suggested { key: self.key, piece });
        }
        Ok(())
    }

    pub(super) fn allowed_fast(&mut self, piece: PieceIndex) {
        if self.side.fast && self.pipeline.allow(piece) {
            self.torrent.client.cast(client::Msg::AllowedFast { key: self.key, piece });
        }
    }

    pub(super) fn rejected(&mut self, range: BlockRange) -> Result<(), End> {
        if !self.side.fast {
            return Err(End::Misbehaved("uses the fast extension, which its handshake did not claim".to_owned()));
        }
        match self.pipeline.rejected(range, self.now) {
            Ok(landed) => {
                self.rejects += u32::from(!self.am_choked);
                if self.rejects > MAX_REJECTS {
                    return Err(End::Goodbye("rejects what it says it has".to_owned()));
                }
                landed.into_iter().for_each(|landed| self.give_back(landed));
                Ok(())
            }
            Err(Stray::Late) => Ok(()),
            Err(Stray::Unrequested) => self.floods.vain_request(),
        }
    }
}
