//! Whom to call and whom to let in, and what is done by the clock.
//!
//! Part of `client`. Which address is next is the book's decision.

use super::*;

/// How often the rates of the connections are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How often everybody is told who is connected.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How often the least useful connections make room when there is none.
const TURN_OVER_EVERY: Duration = Duration::from_secs(300);
/// With fewer connections than this, trackers are asked for more addresses.
const FEW_PEERS: usize = 10;

/// When what is done by the clock is done next.
pub(super) struct Due {
    measure: Duration,
    tell: Duration,
    turn_over: Duration,
}

impl Due {
    pub(super) fn new(now: Duration) -> Self {
        Self { measure: now, tell: now + MEASURE_EVERY, turn_over: now + TURN_OVER_EVERY }
    }
}

/// True when `at` has come; then it is next `every` later.
fn comes(at: &mut Duration, every: Duration, now: Duration) -> bool {
    let due = now >= *at;
    if due {
        *at = now + every;
    }
    due
}

impl Client {
    pub(super) fn tick(&mut self) {
        let now = clock::since_start();
        self.measure(now);
        if comes(&mut self.due.measure, MEASURE_EVERY, now) {
            self.measure_peers(now);
        }
        if comes(&mut self.due.tell, TELL_EVERY, now) {
            self.tell_of_swarm();
        }
        if comes(&mut self.due.turn_over, TURN_OVER_EVERY, now) {
            self.turn_over(now);
        }
        self.call();
        self.freed = true;
        self.grant_freed();
        self.rechoke_if_due();
        let few = !self.pieces.is_complete() && self.peers.len() < FEW_PEERS;
        for announcer in self.torrent.trackers.iter().filter(|_| few) {
            announcer.cast(tracker::Msg::NeedPeers);
        }
    }

    pub(super) fn call(&mut self) {
        if self.torrent.session.is_stopping() || self.torrent.session.is_full() {
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

    pub(super) fn incoming(&mut self, socket: Socket, address: SocketAddr, theirs: Handshake) {
        if lock(&self.torrent.book).is_banned(address, clock::since_start()) {
            return socket.shutdown();
        }
        self.torrent.peers_sup.cast_start_child(peers_sup::incoming(&self.torrent, socket, address, theirs));
    }
}
