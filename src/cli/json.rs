//! `--json`: one JSON object per event, one per line, on stdout.
//!
//! This enum is the contract that `docs/cli.md` prints, apart from the library's own events, so that those can
//! change without breaking a script. Every line is flushed. A reader that goes away is no error: the lines
//! stop, the download goes on.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;

use bt_erl::{DiskChange, Event, PeerChange, PeerStats, Progress, TrackerOutcome, Wasted};
use serde::Serialize;

use super::progress::{eta, ratio};
use super::run::{Seeded, Summary};

/// One line. `event` is the name of the variant in lower case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line {
    /// First line: what will be downloaded, where to, and on which port we listen.
    Started {
        name: String,
        /// 40 hex digits.
        info_hash: String,
        pieces: u32,
        bytes: u64,
        dir: String,
        port: Option<u16>,
    },
    /// What was in the folder already is checked; `finished` pieces of it are right.
    Checked { finished: u32, pieces: u32 },
    /// Once a second.
    Progress {
        state: State,
        pieces: u32,
        /// Those that the wanted files take.
        pieces_wanted: u32,
        finished: u32,
        bytes: u64,
        bytes_wanted: u64,
        bytes_finished: u64,
        /// Only grows while `state` is `checking`.
        bytes_checked: u64,
        downloaded: u64,
        uploaded: u64,
        /// Of earlier runs, as far as they are remembered.
        downloaded_before: u64,
        uploaded_before: u64,
        /// Sent, for each byte of wanted content; earlier runs included.
        ratio: f64,
        /// All of `wasted`.
        refetched: u64,
        /// Bytes that came in vain, by reason.
        wasted: Wasted,
        /// Bytes per second that come, over the last seconds.
        rate: u64,
        /// Bytes per second that go out, over the last seconds.
        upload_rate: u64,
        /// At this rate; null when nothing arrives.
        eta_secs: Option<u64>,
        peers_connected: u32,
        /// Those of them that we do not choke.
        peers_unchoked: u32,
        peers_known: u32,
        restarts: u64,
        /// Why, when `state` is `paused` or `failed`.
        reason: Option<String>,
    },
    /// After a second, then every ten: how each connection stands.
    Peers { peers: Vec<PeerStats> },
    /// This piece passed its SHA-1 check and is on disk.
    Finished { piece: u32 },
    /// A connection came or went.
    Peer {
        address: SocketAddr,
        #[serde(flatten)]
        change: PeerChange,
    },
    /// A tracker answered, or did not.
    Tracker {
        url: String,
        #[serde(flatten)]
        outcome: TrackerOutcome,
    },
    /// A supervisor restarted a process.
    Restart { path: String, reason: String },
    /// The disk refused something (the torrent waits and goes on by itself when it can), or works again.
    Disk { state: DiskChange, message: String },
    /// Everything is on disk. Last line, unless `--seed`.
    Complete {
        bytes: u64,
        downloaded: u64,
        /// From the end of the check to completion.
        secs: f64,
        /// Bytes per second in that time.
        rate: u64,
        /// Addresses that were connected at any time.
        peers: u32,
        restarts: u64,
        /// All of `wasted`.
        refetched: u64,
        wasted: Wasted,
        uploaded: u64,
    },
    /// Seeding ended. Last line, unless a signal ended it.
    Seeded {
        /// In this run.
        uploaded: u64,
        /// From completion.
        secs: f64,
        /// Earlier runs included.
        ratio: f64,
        /// That got something.
        peers: u32,
    },
    /// Ended by a signal (`exit` 130 or 143). Last line.
    Stopped { exit: u8, bytes_finished: u64 },
    /// Ended without completing. Last line; the same sentence is on stderr.
    Error { exit: u8, message: String },
}

impl Line {
    /// The line for an event of the library. `None` for its last ones: `run.rs` knows more about the end.
    pub(crate) fn of_event(event: &Event) -> Option<Self> {
        let line = match event.clone() {
            Event::Checked { finished, pieces } => Line::Checked { finished, pieces },
            Event::Finished { piece } => Line::Finished { piece },
            Event::Peer { address, change } => Line::Peer { address, change },
            Event::Tracker { url, outcome } => Line::Tracker { url, outcome },
            Event::Restart { path, reason } => Line::Restart { path, reason },
            Event::Disk { change, message } => Line::Disk { state: change, message },
            Event::Complete | Event::Failed { .. } => return None,
        };
        Some(line)
    }

    /// The line for the figures of this moment.
    pub(crate) fn of_progress(progress: &Progress) -> Self {
        use bt_erl::State as Now;
        let (state, reason) = match (&progress.paused, &progress.state) {
            (Some(paused), Now::Checking | Now::Downloading) => (State::Paused, Some(paused.message.clone())),
            (_, Now::Checking) => (State::Checking, None),
            (_, Now::Downloading) => (State::Downloading, None),
            (_, Now::Complete) => (State::Complete, None),
            (_, Now::Failed { message }) => (State::Failed, Some(message.clone())),
        };
        Line::Progress {
            state,
            pieces: progress.pieces,
            pieces_wanted: progress.pieces_wanted,
            finished: progress.pieces_finished,
            bytes: progress.bytes_total,
            bytes_wanted: progress.bytes_wanted,
            bytes_finished: progress.bytes_finished,
            bytes_checked: progress.bytes_checked,
            downloaded: progress.downloaded,
            uploaded: progress.uploaded,
            downloaded_before: progress.downloaded_before,
            uploaded_before: progress.uploaded_before,
            ratio: to_thousandths(ratio(progress).0),
            refetched: progress.wasted.total(),
            wasted: progress.wasted,
            rate: progress.download_rate,
            upload_rate: progress.upload_rate,
            eta_secs: eta(progress).map(|eta| eta.as_secs()),
            peers_connected: progress.peers_connected,
            peers_unchoked: progress.peers_unchoked,
            peers_known: progress.peers_known,
            restarts: progress.restarts,
            reason,
        }
    }

    /// The line for the end of a download.
    pub(crate) fn of_summary(summary: &Summary) -> Self {
        Line::Complete {
            bytes: summary.bytes,
            downloaded: summary.downloaded,
            secs: to_thousandths(summary.took.as_secs_f64()),
            rate: summary.rate(),
            peers: summary.peers,
            restarts: summary.restarts,
            refetched: summary.wasted.total(),
            wasted: summary.wasted,
            uploaded: summary.uploaded,
        }
    }

    /// The line for the end of seeding.
    pub(crate) fn of_seeded(seeded: &Seeded) -> Self {
        Line::Seeded {
            uploaded: seeded.uploaded,
            secs: to_thousandths(seeded.took.as_secs_f64()),
            ratio: to_thousandths(seeded.ratio.0),
            peers: seeded.peers,
        }
    }
}

/// Nobody needs more digits.
fn to_thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// What the torrent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Checking,
    Downloading,
    /// The disk refuses.
    Paused,
    Complete,
    Failed,
}

/// Where the lines go.
pub(crate) struct JsonLines<W> {
    out: W,
    state: ReaderState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReaderState {
    Reading,
    Gone,
}

impl<W: Write> JsonLines<W> {
    pub(crate) fn new(out: W) -> Self {
        JsonLines { out, state: ReaderState::Reading }
    }

    /// Writes and flushes one line. An interrupted write is tried again; any other failure ends the output
    /// for good, and a failure other than a reader that went away is told once in the log.
    pub(crate) fn write(&mut self, line: &Line) {
        if self.state == ReaderState::Gone {
            return;
        }
        let mut text = match serde_json::to_vec(line) {
            Ok(text) => text,
            Err(error) => {
                log::error!("an event cannot be written as JSON ({error}): {line:?}");
                return;
            }
        };
        text.push(b'\n');
        if let Err(error) = self.out.write_all(&text).and_then(|()| self.out.flush()) {
            self.state = ReaderState::Gone;
            if error.kind() != ErrorKind::BrokenPipe {
                log::error!("cannot write events to stdout ({error}): going on without them");
            }
        }
    }
}

#[cfg(test)]
mod tests;
