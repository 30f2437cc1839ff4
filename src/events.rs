//! What a session tells whoever listens: facts, as they happen, for people (`cli`), machines (`--json`) and tests.
//!
//! Sending never waits: a listener that does not keep up loses the oldest events and is told how many. Nothing in here acts on them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::protocol::PieceIndex;

/// Events kept for a listener that does not keep up.
const RING: usize = 8192;

/// A fact about one session.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// What was on disk has been checked.
    Checked {
        /// Pieces that were there and passed their hash.
        finished: u32,
        /// Pieces of the torrent.
        pieces: u32,
    },
    /// A piece passed its hash and is on disk.
    Finished {
        /// Its index, from 0.
        piece: u32,
    },
    /// A connection changed.
    Peer {
        /// The other side.
        address: SocketAddr,
        /// What happened to it.
        #[serde(flatten)]
        change: PeerChange,
    },
    /// An announce was answered, or failed.
    Tracker {
        /// The announce URL.
        url: String,
        /// How it went.
        #[serde(flatten)]
        outcome: TrackerOutcome,
    },
    /// A process ended abnormally and its supervisor starts it again.
    Restart {
        /// The process's path in the tree.
        path: String,
        /// Its exit reason.
        reason: String,
    },
    /// The disk refused something, or works again.
    Disk {
        /// What has changed.
        #[serde(rename = "state")]
        change: DiskChange,
        /// One sentence: what, where, what to do.
        message: String,
    },
    /// Every piece is finished.
    Complete,
    /// The torrent cannot go on.
    Failed {
        /// One sentence: what, where, what to do.
        message: String,
    },
}

/// What the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskChange {
    /// It refuses: the torrent pauses, tries again by itself, and loses nothing.
    Refuses,
    /// It takes what it refused: the torrent goes on.
    Works,
    /// A file is not what was written to it any more: the torrent looks what is left of it.
    Lost,
    /// Finished pieces cannot be read for peers; the others are served.
    Unreadable,
}

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PeerChange {
    /// The handshake is done.
    Connected {
        /// The other side's peer id as text, odd bytes escaped.
        peer_id: String,
        /// True when we called; false when it called us.
        outgoing: bool,
    },
    /// The connection ended or could not be made.
    Disconnected {
        /// Why, in one phrase.
        reason: String,
    },
    /// It broke the protocol or lied; it is not called or let in again.
    Banned {
        /// What it did, in one phrase.
        reason: String,
    },
}

/// How an announce went.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TrackerOutcome {
    /// Answered.
    Announced {
        /// Addresses in the answer.
        peers: usize,
        /// Seconds until the next announce.
        interval_secs: u64,
        /// The tracker's warning message, if it sent one.
        #[serde(skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
    },
    /// No usable answer; tried again later.
    Failed {
        /// Why, in one phrase.
        reason: String,
        /// Seconds until the next try.
        retry_secs: u64,
    },
    /// The URL cannot be announced to at all.
    Unsupported {
        /// Why, in one phrase.
        reason: String,
    },
}

impl Event {
    pub(crate) fn finished(piece: PieceIndex) -> Self {
        Self::Finished { piece: piece.0 }
    }
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    missed: u64,
    closed: bool,
}

#[derive(Debug)]
struct Line {
    ring: Mutex<Ring>,
    wake: flume::Sender<()>,
}

/// Where a session's processes put events in.
#[derive(Debug, Default)]
pub(crate) struct Bus {
    closed: AtomicBool,
    lines: Mutex<Vec<Arc<Line>>>,
}

/// A listener's end. Hears every event since it was made.
#[derive(Debug)]
pub struct Events {
    line: Arc<Line>,
    woken: flume::Receiver<()>,
}

impl Bus {
    pub(crate) fn send(&self, event: Event) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| !line.wake.is_disconnected());
        for line in lines.iter() {
            let mut ring = line.lock();
            if ring.events.len() >= RING {
                ring.events.pop_front();
                ring.missed += 1;
            }
            ring.events.push_back(event.clone());
            drop(ring);
            // Full means that a wake-up is on its way already.
            let _ = line.wake.try_send(());
        }
    }

    pub(crate) fn listen(&self) -> Events {
        let (wake, woken) = flume::bounded(1);
        let ring = Ring { closed: self.closed.load(Ordering::Acquire), ..Ring::default() };
        let line = Arc::new(Line { ring: ring.into(), wake });
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
        Events { line, woken }
    }

    /// No event comes any more: listeners hear what is left, then `None`.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for line in self.lines.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            line.lock().closed = true;
            let _ = line.wake.try_send(());
        }
    }
}

impl Line {
    fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// The next event; `None` when the session has ended. Dropping the future loses nothing.
    pub async fn recv(&self) -> Option<Event> {
        loop {
            {
                let mut ring = self.line.lock();
                if let Some(event) = ring.events.pop_front() {
                    return Some(event);
                }
                if ring.closed {
                    return None;
                }
            }
            let _ = self.woken.recv_async().await;
        }
    }

    /// The next event, if one is there.
    pub fn try_recv(&self) -> Option<Event> {
        self.line.lock().events.pop_front()
    }

    /// Events lost because this listener did not keep up.
    pub fn missed(&self) -> u64 {
        self.line.lock().missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::spawn::block_on;

    #[test]
    fn a_listener_hears_what_happened_since_it_was_made_then_the_end() {
        let bus = Bus::default();
        bus.send(Event::Complete);
        let events = bus.listen();
        bus.send(Event::finished(PieceIndex(7)));
        bus.close();
        assert_eq!(block_on(events.recv()), Some(Event::Finished { piece: 7 }));
        assert_eq!(block_on(events.recv()), None);
        assert_eq!(block_on(bus.listen().recv()), None, "who comes late is told at once");
    }

    #[test]
    fn a_listener_that_does_not_keep_up_loses_the_oldest_and_is_told() {
        let bus = Bus::default();
        let events = bus.listen();
        for n in 0..RING as u32 + 3 {
            bus.send(Event::finished(PieceIndex(n)));
        }
        assert_eq!((events.missed(), events.try_recv()), (3, Some(Event::Finished { piece: 3 })));
    }
}
