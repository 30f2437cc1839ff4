//! What the processes of one magnet link share, until its torrent is known.
//!
//! As the other tables: wiring, and what a restarted process re-reads. No rules live here.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use supervisors::{Addr, SupervisorRef};

use super::{Mail, SessionTable};
use crate::events::{Event, TrackerOutcome};
use crate::process::{metadata, tracker};
use crate::protocol::book::Source;
use crate::protocol::extension::metadata::PIECE_BYTES;
use crate::protocol::{Book, InfoHash, Magnet};
use crate::session::Fetched;
use crate::tree::{Announced, Announcer};

pub(crate) struct MagnetTable {
    pub(crate) session: Arc<SessionTable>,
    pub(crate) magnet: Magnet,
    /// Written by `metadata` and `metadata_peer`: who may be called.
    pub(crate) book: Mutex<Book>,
    pub(crate) metadata: Mail<metadata::Msg>,
    pub(crate) metadata_peers_sup: SupervisorRef,
    pub(crate) trackers: Vec<Announcer>,
    /// Who waits for the torrent.
    pub(crate) answer: Addr<Fetched>,
    /// Nobody wants the torrent any more, so trackers are to hear `stopped`. Once it is known, it announces itself.
    pub(crate) unwanted: AtomicBool,
}

impl Announced for MagnetTable {
    fn session(&self) -> &SessionTable {
        &self.session
    }

    fn info_hash(&self) -> InfoHash {
        self.magnet.info_hash
    }

    fn trackers(&self) -> &[Announcer] {
        &self.trackers
    }
}

impl tracker::Subject for MagnetTable {
    /// How much is missing is not known yet; it is something.
    fn totals(&self) -> tracker::Totals {
        tracker::Totals { uploaded: 0, downloaded: 0, left: PIECE_BYTES.into() }
    }

    /// At the interval is soon enough.
    fn needs_peers(&self) -> bool {
        false
    }

    fn is_ending(&self) -> bool {
        self.unwanted.load(Ordering::Acquire) || self.session.is_stopping()
    }

    fn found(&self, addresses: Vec<SocketAddr>) {
        self.metadata.cast(metadata::Msg::Found { addresses, source: Source::Tracker });
    }

    fn tell(&self, url: &str, outcome: TrackerOutcome) {
        self.session.events.send(Event::Tracker { url: url.to_owned(), outcome });
    }
}
