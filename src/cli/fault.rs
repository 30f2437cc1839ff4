//! Why a command could not do what it was asked for: one sentence that says what, where, and what to do.
//!
//! The last stop of every error of the library on its way to a person; the exit code is decided here and
//! nowhere else.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bt_erl::protocol::SelectionError;
use bt_erl::rt::files::DiskError;
use bt_erl::{CreateError, FetchError, MetainfoError, SessionError};

use super::duration;
use super::exit::Ending;
use super::logging::LoggingError;
use super::terminal::clean;

/// Every way for a command to fail.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The log cannot be set up.
    Logging(LoggingError),
    /// The operating system does not let us hear Ctrl-C, so nothing is begun that Ctrl-C could not end.
    Signals { reason: String },
    /// What was asked for cannot be shown.
    Stdout { reason: String },
    /// The torrent file's name is wrong.
    NoSuchFile { path: PathBuf },
    /// A folder in place of the torrent file.
    NotATorrentFile { path: PathBuf },
    /// Missing rights on the torrent file.
    UnreadableTorrent { path: PathBuf },
    /// A file or folder of ours cannot be read or made.
    Disk(DiskError),
    /// The torrent file to be made is there already.
    Exists { path: PathBuf },
    /// No torrent can be made of this.
    Create(CreateError),
    /// The torrent file is larger than any torrent.
    TorrentTooLarge { path: PathBuf, at_most_bytes: usize },
    /// What is in the torrent file is no torrent that can be downloaded.
    BadTorrent { path: PathBuf, reason: MetainfoError },
    /// `--files` or `--only` names a file that the torrent does not have.
    Selection(SelectionError),
    /// Not one `-a` could be resolved, and nobody else can be asked.
    NoPeerFound { peers: Vec<String> },
    /// The session did not start, or did not take the torrent.
    Session(SessionError),
    /// The torrent of a magnet link was not to be had.
    Fetch(FetchError),
    /// The torrent cannot go on.
    Download { reason: String },
    /// Nothing arrived for as long as `--exit-when-stalled` allows.
    Stalled { limit: Duration, peers_connected: u32, peers_known: u32 },
    /// The disk let nothing through for as long as `--exit-when-stalled` allows.
    DiskRefuses { limit: Duration, reason: String },
    /// The demo's own.
    Demo { reason: String },
}

impl Fault {
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Fault::BadTorrent { .. } | Fault::TorrentTooLarge { .. } | Fault::Fetch(FetchError::BadTorrent(_)) => {
                Ending::BadTorrent
            }
            Fault::Selection(_) => Ending::Usage,
            Fault::Stalled { .. } | Fault::Fetch(FetchError::TimedOut { .. }) => Ending::NothingToDownloadFrom,
            Fault::Logging(_)
            | Fault::Signals { .. }
            | Fault::Stdout { .. }
            | Fault::NoSuchFile { .. }
            | Fault::NotATorrentFile { .. }
            | Fault::UnreadableTorrent { .. }
            | Fault::Disk(_)
            | Fault::Exists { .. }
            | Fault::Create(_)
            | Fault::NoPeerFound { .. }
            | Fault::Session(_)
            | Fault::Fetch(_)
            | Fault::Download { .. }
            | Fault::DiskRefuses { .. }
            | Fault::Demo { .. } => Ending::Failed,
        }
    }

    /// What goes to the terminal: the sentence, with nothing in it that steers one.
    pub(crate) fn sentence(&self) -> String {
        clean(&self.to_string()).into_owned()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Logging(error) => error.fmt(f),
            Fault::Signals { reason } => write!(f, "cannot listen for Ctrl-C and SIGTERM: {reason}; try again"),
            Fault::Stdout { reason } => write!(f, "cannot write to stdout: {reason}"),
            Fault::NoSuchFile { path } => {
                write!(f, "there is no file {}; check the name and the folder", path.display())
            }
            Fault::NotATorrentFile { path } => {
                write!(f, "{} is a folder; name the torrent file itself", path.display())
            }
            Fault::UnreadableTorrent { path } => {
                write!(f, "cannot read {}: permission denied; change its rights, or name a copy", path.display())
            }
            Fault::Disk(error) => error.fmt(f),
            Fault::Exists { path } => {
                write!(f, "{} exists already; name another file with -o, or replace it with --force", path.display())
            }
            Fault::Create(error) => error.fmt(f),
            Fault::TorrentTooLarge { path, at_most_bytes } => write!(
                f,
                "{} is not a torrent file: it has more than {} MiB; is it the content that a torrent names?",
                path.display(),
                at_most_bytes >> 20
            ),
            Fault::BadTorrent { path, reason } => write!(f, "cannot use {}: {reason}", path.display()),
            Fault::Selection(reason) => write!(f, "{reason}; bt-erl info shows the names and numbers of its files"),
            Fault::NoPeerFound { peers } => write!(
                f,
                "no address found for {}, and there is no tracker to ask; check the name, or name another peer with -a",
                peers.join(", ")
            ),
            Fault::Session(error) => error.fmt(f),
            Fault::Fetch(error) => error.fmt(f),
            Fault::Download { reason } | Fault::Demo { reason } => f.write_str(reason),
            Fault::Stalled { limit, peers_connected, peers_known } => {
                write!(f, "nothing arrived for {}: ", duration::short(*limit))?;
                match (peers_connected, peers_known) {
                    (0, 0) => write!(f, "no peer is known; name one with -a, or try again later"),
                    (0, 1) => {
                        write!(f, "the only known peer cannot be reached; name another with -a, or try again later")
                    }
                    (0, known) => {
                        write!(f, "none of {known} known peers can be reached; name others with -a, or try again later")
                    }
                    (1, _) => write!(f, "the connected peer sends nothing that is missing here; try again later"),
                    (connected, _) => write!(
                        f,
                        "none of {connected} connected peers sends anything that is missing here; try again later"
                    ),
                }
            }
            Fault::DiskRefuses { limit, reason } => {
                write!(f, "nothing could be written for {}: {reason}", duration::short(*limit))
            }
        }
    }
}

impl From<LoggingError> for Fault {
    fn from(error: LoggingError) -> Self {
        Fault::Logging(error)
    }
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Self {
        Fault::Disk(error)
    }
}

impl From<CreateError> for Fault {
    fn from(error: CreateError) -> Self {
        Fault::Create(error)
    }
}

impl From<FetchError> for Fault {
    fn from(error: FetchError) -> Self {
        Fault::Fetch(error)
    }
}

impl From<SessionError> for Fault {
    fn from(error: SessionError) -> Self {
        Fault::Session(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_download_says_whose_fault_it_is() {
        let sentence = |peers_connected, peers_known| {
            let limit = Duration::from_secs(30);
            Fault::Stalled { limit, peers_connected, peers_known }.to_string()
        };
        assert!(sentence(0, 0).contains("no peer is known"));
        assert!(sentence(0, 1).contains("the only known peer"));
        assert!(sentence(0, 7).contains("none of 7 known peers"));
        assert!(sentence(2, 7).contains("none of 2 connected peers"));
    }
}
