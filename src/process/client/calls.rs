//! Whom to call and whom to let in, and what is done by the clock.
//!
//! Part of `client`. Which address is next is the book's decision.

use super::*;

/// How often the client looks whether somebody who waits may be granted something, and how fast it goes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the rates of the connections are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// After so long everybody is told who has come or gone.
const TELL_FIRST: Duration = Duration::from_secs(1);
/// How often everybody is told who is connected, as long as that is news.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How often the least useful connections make room when there is none.
const TURN_OVER_EVERY: Duration = Duration::from_secs(300);
/// When there is no room for another connection in the session, it is looked for so much later.
const FULL_REST: Duration = Duration::from_secs(5);
/// With fewer connections than this, trackers are asked for more addresses.
const FEW_PEERS: usize = 10;

/// When what is done by the clock is done next. A torrent in which nothing happens is not looked at.
pub(super) struct Due {
    looked: Duration,
    measure: Duration,
    tell: Duration,
    /// Times that everybody is to be told who is connected.
    tellings: usize,
    turn_over: Duration,
    /// An address may be called then.
    call: Option<Duration>,
    /// Something happened that may be a reason to call one: looked at once after all that came together.
    call_asked: bool,
    /// Some connection moves bytes, or did lately.
    moving: bool,
}

impl Due {
    pub(super) fn new(now: Duration) -> Self {
        let turn_over = now + TURN_OVER_EVERY;
        Self {
            looked: now,
            measure: now,
            tell: now,
            tellings: 0,
            turn_over,
            call: None,
            call_asked: false,
            moving: false,
        }
    }

    /// There is room, or an address: it is looked whether somebody is to be called.
    pub(super) fn ask_to_call(&mut self) {
        self.call_asked = true;
    }

    /// Everybody is told so many times, not now but soon: several come together.
    pub(super) fn tell_times(&mut self, times: usize, now: Duration) {
        if self.tellings == 0 {
            self.tell = self.tell.max(now + TELL_FIRST);
        }
        self.tellings = times;
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
    /// When [`Client::look`] has something to do; `None`: not before another message.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let moving = self.due.moving || self.rates.are_above_zero() || self.picker.open_pieces() > 0;
        let every = match (self.hopeful || moving, self.choking.due()) {
            (true, _) => Some(LOOK_EVERY),
            // Whoever has a slot may begin to take at any time.
            (_, Some(_)) => Some(MEASURE_EVERY),
            _ => None,
        };
        let look = every.map(|every| self.due.looked + every);
        let tell = (self.due.tellings > 0).then_some(self.due.tell);
        let turn_over = self.may_be_full().then_some(self.due.turn_over);
        [look, self.choking.due(), tell, turn_over, self.due.call].into_iter().flatten().min()
    }

    /// Does what time has made due.
    pub(super) fn look(&mut self) {
        let now = clock::since_start();
        self.due.looked = now;
        self.measure(now);
        if comes(&mut self.due.measure, MEASURE_EVERY, now) {
            self.due.moving = self.measure_peers(now);
        }
        if self.due.tellings > 0 && comes(&mut self.due.tell, TELL_EVERY, now) {
            self.due.tellings -= 1;
            self.tell_of_swarm();
        }
        if comes(&mut self.due.turn_over, TURN_OVER_EVERY, now) {
            self.turn_over(now);
        }
        self.call();
        self.freed = true;
        self.grant_freed();
        self.rechoke_if_due();
    }

    /// Trackers hear it when few are connected, while something is wanted.
    pub(super) fn ask_trackers(&mut self) {
        let few = !self.pieces.is_complete() && self.peers.len() < FEW_PEERS;
        if std::mem::replace(&mut self.few, few) != few {
            self.torrent.counts.needs_peers.store(few, Ordering::Relaxed);
            for announcer in self.torrent.trackers.iter().filter(|_| few) {
                announcer.cast(tracker::Msg::NeedPeers);
            }
        }
    }

    /// Calls whoever may be called, if there was a reason to look.
    pub(super) fn call_if_asked(&mut self) {
        if self.due.call_asked {
            self.call();
        }
    }

    fn call(&mut self) {
        (self.due.call, self.due.call_asked) = (None, false);
        if self.torrent.session.is_stopping() {
            return;
        }
        let (mut book, now) = (lock(&self.torrent.book), clock::since_start());
        if self.torrent.session.is_full() {
            self.due.call = book.next_call(now).map(|at| at.max(now + FULL_REST));
            return;
        }
        let room = (self.torrent.options.max_peers.saturating_sub(self.peers.len())).min(MAX_CALLING);
        while book.active().saturating_sub(self.peers.len()) < room {
            let Some(address) = book.call_next(now) else {
                self.due.call = book.next_call(now);
                return;
            };
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
