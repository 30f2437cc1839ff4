//! One per magnet link: puts the info dictionary together from what peers give, and calls them until it is whole (BEP 9).
//!
//! Parent: `magnet_sup`, first of its children. Restart: transient, and significant: when it ends in order, its supervisor does. Lost on
//! restart: the pieces that came and the connections (the processes after it are restarted with it); addresses and bans are in
//! the table. It touches no socket; whom to ask for which piece is decided by `protocol::extension::assembly`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use supervisors::{Addr, Down, Exit, Pid, Process};

use super::metadata_peer;
use crate::events::{Event, PeerChange};
use crate::protocol::Metainfo;
use crate::protocol::book::{Fault, Source};
use crate::protocol::extension::assembly::{Assembly, Received};
use crate::rt::{clock, spawn};
use crate::session::{FetchError, Fetched};
use crate::tables::{MagnetTable, lock};
use crate::tree::metadata_peers_sup;

/// Calls and connections at once.
const MAX_PEERS: usize = 40;
/// How often it looks whom it may call.
const TICK: Duration = Duration::from_millis(250);

/// What the process is told.
pub(crate) enum Msg {
    /// From `metadata_peers_sup`, when it starts: nobody is called yet; call.
    PeersUp,
    /// From `tracker` or the user: addresses where peers may be.
    Found { addresses: Vec<SocketAddr>, source: Source },
    /// From `metadata_peer`: the other side says that it has the info dictionary, of so many bytes.
    Joined { peer: Peer, total_bytes: u32 },
    /// From `metadata_peer`: a piece that it was asked for.
    Piece { address: SocketAddr, piece: u32, total_bytes: u32, bytes: Box<[u8]> },
    /// From `metadata_peer`: the other side broke the protocol.
    Misbehaved { address: SocketAddr, reason: String },
    /// From the process table: a `metadata_peer` ended.
    Down { address: SocketAddr, down: Down },
    /// From the user: nobody waits for the torrent any more.
    Unwanted,
}

/// A connection to somebody who has the info dictionary.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) pid: Pid,
    pub(crate) addr: Addr<metadata_peer::Msg>,
}

struct Metadata {
    magnet: Arc<MagnetTable>,
    assembly: Assembly<SocketAddr>,
    peers: BTreeMap<SocketAddr, Peer>,
    /// There is a supervisor for calls.
    up: bool,
}

/// What a message leads to.
enum Next {
    GoOn,
    /// The info dictionary is whole.
    Whole(Vec<u8>),
    End,
}

/// The process body.
pub(crate) async fn run(process: Process, magnet: Arc<MagnetTable>) -> Exit {
    let mailbox = magnet.metadata.mailbox.clone();
    process.shows(&mailbox);
    let mut inbox = mailbox.stream();
    let assembly = Assembly::new(magnet.magnet.info_hash);
    let mut metadata = Metadata { magnet: magnet.clone(), assembly, peers: BTreeMap::new(), up: false };
    let mut ticker = clock::Ticker::new(TICK);
    loop {
        let next = futures::select_biased! {
            message = inbox.next() => message.map_or(Next::End, |message| metadata.handle(message)),
            () = Box::pin(ticker.tick()).fuse() => Next::GoOn,
        };
        match next {
            Next::GoOn => metadata.call(),
            Next::End => return Ok(()),
            Next::Whole(info) => {
                let trackers = magnet.magnet.trackers.clone();
                let read = spawn::blocking(move || Metainfo::of_info(&info, &trackers)).await;
                magnet.unwanted.store(read.is_err(), Ordering::Release);
                let _ = magnet.answer.cast(Fetched::Torrent(read.map(Box::new).map_err(FetchError::BadTorrent)));
                return Ok(());
            }
        }
    }
}

impl Metadata {
    fn handle(&mut self, message: Msg) -> Next {
        match message {
            Msg::PeersUp => self.up = true,
            Msg::Found { addresses, source } => {
                let mut book = lock(&self.magnet.book);
                for address in addresses {
                    book.add(address, source, clock::since_start());
                }
            }
            Msg::Joined { peer, total_bytes } => self.joined(peer, total_bytes),
            Msg::Piece { address, piece, total_bytes, bytes } => {
                return self.received(address, piece, total_bytes, &bytes);
            }
            Msg::Misbehaved { address, reason } => self.ban(address, reason),
            Msg::Down { address, down } => {
                if self.peers.get(&address).is_some_and(|peer| peer.pid == down.pid) {
                    self.peers.remove(&address);
                    self.assembly.left(address);
                    self.ask_all();
                }
            }
            Msg::Unwanted => {
                self.magnet.unwanted.store(true, Ordering::Release);
                return Next::End;
            }
        }
        Next::GoOn
    }

    fn joined(&mut self, peer: Peer, total_bytes: u32) {
        let address = peer.address;
        if self.assembly.joined(address, total_bytes).is_err() {
            let _ = peer.addr.cast(metadata_peer::Msg::Close { reason: "not wanted" });
            return self.ban(address, format!("says that the info dictionary has {total_bytes} bytes"));
        }
        supervisors::monitor(peer.pid, &self.magnet.metadata.addr, move |down| Msg::Down { address, down });
        log::debug!("peer {address} has the info dictionary: {total_bytes} bytes");
        self.peers.insert(address, peer);
        self.ask(address);
    }

    fn received(&mut self, address: SocketAddr, piece: u32, total_bytes: u32, bytes: &[u8]) -> Next {
        match self.assembly.received(address, piece, total_bytes, bytes) {
            Received::Complete(info) => return Next::Whole(info),
            Received::Unasked => {}
            Received::Kept { dropped } => {
                for address in &dropped {
                    self.close(*address, "others have come further");
                }
                match dropped.is_empty() {
                    true => self.ask(address),
                    false => self.ask_all(),
                }
            }
            Received::WrongLength => {
                self.ban(address, "sent a piece of the info dictionary of another length than it announced".to_owned());
                self.ask_all();
            }
            Received::Failed { liars } => {
                log::warn!("an info dictionary of {total_bytes} bytes has not the hash that the link names");
                for liar in liars {
                    self.ban(liar, "sent an info dictionary that failed the hash".to_owned());
                }
                self.ask_all();
            }
        }
        Next::GoOn
    }

    fn ask(&mut self, address: SocketAddr) {
        let Some(peer) = self.peers.get(&address) else { return };
        while let Some(piece) = self.assembly.ask(address) {
            let _ = peer.addr.cast(metadata_peer::Msg::Ask { piece });
        }
    }

    fn ask_all(&mut self) {
        let addresses: Vec<SocketAddr> = self.peers.keys().copied().collect();
        addresses.into_iter().for_each(|address| self.ask(address));
    }

    fn ban(&mut self, address: SocketAddr, reason: String) {
        log::warn!("peer {address} is banned: {reason}");
        self.assembly.left(address);
        lock(&self.magnet.book).strike(address, Fault::FalseData, clock::since_start());
        self.close(address, "banned");
        self.magnet.session.events.send(Event::Peer { address, change: PeerChange::Banned { reason } });
    }

    fn close(&self, address: SocketAddr, reason: &'static str) {
        if let Some(peer) = self.peers.get(&address) {
            let _ = peer.addr.cast(metadata_peer::Msg::Close { reason });
        }
    }

    fn call(&self) {
        let mut book = lock(&self.magnet.book);
        while self.up
            && book.active() < MAX_PEERS
            && let Some(address) = book.call_next(clock::since_start())
        {
            self.magnet.metadata_peers_sup.cast_start_child(metadata_peers_sup::child(&self.magnet, address));
        }
    }
}
