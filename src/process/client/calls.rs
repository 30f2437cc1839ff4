//! Whom to call and whom to let in, and how fast it all goes.
//!
//! Part of `client`. Which address is next is the book's decision.

use super::*;

impl Client {
    pub(super) fn call(&mut self) {
        if self.pieces.is_complete() || self.torrent.session.is_stopping() {
            return;
        }
        let mut book = lock(&self.torrent.book);
        let room = (self.torrent.options.max_peers.saturating_sub(self.peers.len())).min(MAX_CALLING);
        while book.active().saturating_sub(self.peers.len()) < room
            && let Some(address) = book.call_next(clock::since_start())
        {
            self.torrent.peers_sup.cast_start_child(peers_sup::outgoing(&self.torrent, address));
        }
    }

    pub(super) fn incoming(&mut self, socket: Socket, address: SocketAddr, peer_id: PeerId) {
        let full = self.peers.len() >= self.torrent.options.max_peers;
        if full || lock(&self.torrent.book).is_banned(address) {
            return socket.shutdown();
        }
        self.torrent.peers_sup.cast_start_child(peers_sup::incoming(&self.torrent, socket, address, peer_id));
    }

    pub(super) fn tick(&mut self) {
        self.measure();
        self.call();
        self.freed = true;
        self.grant_freed();
        let few = !self.pieces.is_complete() && self.peers.len() < 10;
        for announcer in self.torrent.trackers.iter().filter(|_| few) {
            announcer.cast(tracker::Msg::NeedPeers);
        }
    }

    pub(super) fn measure(&mut self) {
        let (at, bytes) = (clock::since_start(), self.torrent.counts.downloaded.load(Ordering::Relaxed));
        let seconds = at.saturating_sub(self.measured.0).as_secs_f64();
        if seconds > 0.1 {
            let now = bytes.saturating_sub(self.measured.1) as f64 / seconds;
            let before = self.torrent.counts.download_rate.load(Ordering::Relaxed) as f64;
            let smooth = if before == 0.0 { now } else { 0.7 * before + 0.3 * now };
            self.torrent.counts.download_rate.store(smooth as u64, Ordering::Relaxed);
            self.measured = (at, bytes);
        }
    }
}
