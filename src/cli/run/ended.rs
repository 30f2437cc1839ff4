//! The lines that are left on the screen when a download, or seeding, has ended.
//!
//! Pure text.

use std::path::Path;
use std::time::Duration;

use bt_erl::rt::signals::Signal;
use bt_erl::{Progress, Wasted};

use super::shown;
use crate::cli::args::Ratio;
use crate::cli::duration::short;
use crate::cli::progress::count;
use crate::cli::size::{ByteSize, grouped, rate};
use crate::cli::terminal::Paint;

/// A complete download in figures. Bytes, unless named otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Size of the wanted content.
    pub(crate) bytes: u64,
    /// What came from peers; the rest was here before.
    pub(crate) downloaded: u64,
    /// From the end of the check of what was here to completion.
    pub(crate) took: Duration,
    /// Addresses that were connected at any time.
    pub(crate) peers: u32,
    /// In the whole tree.
    pub(crate) restarts: u64,
    /// What was sent to peers meanwhile.
    pub(crate) uploaded: u64,
    /// What came in vain, and why; part of `downloaded`.
    pub(crate) wasted: Wasted,
}

impl Summary {
    /// Useful bytes that came.
    fn fetched(&self) -> u64 {
        self.downloaded.saturating_sub(self.wasted.total()).min(self.bytes)
    }

    /// Useful bytes per second.
    pub(crate) fn rate(&self) -> u64 {
        (self.fetched() as f64 / self.took.as_secs_f64().max(0.001)) as u64
    }
}

/// `complete: 300 MiB in 9.4 s (32 MiB/s), 4 peers, 3 MiB uploaded, 1 restart, 16 KiB wasted: ./debian.iso`
pub(crate) fn summary_line(summary: &Summary, place: &Path, paint: Paint) -> String {
    let place = shown(place);
    if summary.downloaded == 0 {
        let bytes = ByteSize(summary.bytes);
        return format!("{} all {bytes} are here and right: {place}", paint.green("already complete:"));
    }
    let uploaded = match summary.uploaded {
        0 => String::new(),
        bytes => format!(", {} uploaded", ByteSize(bytes)),
    };
    format!(
        "{} {} in {} ({}), {}{uploaded}, {}, {} wasted: {place}",
        paint.green("complete:"),
        ByteSize(summary.fetched()),
        short(summary.took),
        rate(summary.rate()),
        count(u64::from(summary.peers), "peer"),
        count(summary.restarts, "restart"),
        ByteSize(summary.wasted.total()),
    )
}

/// What was given to others, in figures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seeded {
    /// Bytes sent in this run, also while downloading.
    pub(crate) uploaded: u64,
    /// From completion to the end.
    pub(crate) took: Duration,
    /// Bytes sent for each byte of wanted content, earlier runs included.
    pub(crate) ratio: Ratio,
    /// Peers that got something.
    pub(crate) peers: u32,
}

/// `seeded for 3 min 2 s: 1.2 GiB uploaded to 7 peers, ratio 1.20`
pub(crate) fn seeded_line(seeded: &Seeded, paint: Paint) -> String {
    let (took, uploaded, ratio) = (short(seeded.took), ByteSize(seeded.uploaded), seeded.ratio);
    let peers = count(u64::from(seeded.peers), "peer");
    format!("{} {took}: {uploaded} uploaded to {peers}, ratio {ratio}", paint.green("seeded for"))
}

/// `interrupted: 600 of 1,500 pieces finished; the same command goes on from here`
pub(crate) fn interrupted_line(signal: Signal, progress: &Progress) -> String {
    if progress.pieces_finished == progress.pieces_wanted {
        return format!("{signal}: the download is complete");
    }
    format!(
        "{signal}: {} of {} finished; the same command goes on from here",
        grouped(progress.pieces_finished.into()),
        count(u64::from(progress.pieces_wanted), "piece"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            bytes: 300 << 20,
            downloaded: (300 << 20) + 16384,
            took: Duration::from_millis(9400),
            peers: 4,
            restarts: 1,
            uploaded: 3 << 20,
            wasted: Wasted { twice: 16384, ..Wasted::default() },
        }
    }

    #[test]
    fn the_summary_has_every_figure_in_one_line() {
        assert_eq!(
            summary_line(&summary(), Path::new("./debian.iso"), Paint::Plain),
            "complete: 300 MiB in 9.4 s (31.9 MiB/s), 4 peers, 3 MiB uploaded, 1 restart, 16 KiB wasted: ./debian.iso"
        );
    }

    #[test]
    fn a_torrent_that_was_here_already_is_not_praised_for_its_speed() {
        let nothing = Summary { downloaded: 0, ..summary() };
        assert_eq!(
            summary_line(&nothing, Path::new("x"), Paint::Plain),
            "already complete: all 300 MiB are here and right: x"
        );
    }

    #[test]
    fn seeding_ends_with_what_it_gave() {
        let seeded = Seeded { uploaded: 3 << 29, took: Duration::from_secs(182), ratio: Ratio(1.2), peers: 7 };
        assert_eq!(seeded_line(&seeded, Paint::Plain), "seeded for 3 min 2 s: 1.5 GiB uploaded to 7 peers, ratio 1.20");
    }

    #[test]
    fn a_download_that_took_no_time_has_a_rate_all_the_same() {
        let instant = Summary { took: Duration::ZERO, ..summary() };
        assert_eq!(instant.rate(), (300 << 20) * 1000);
    }
}
