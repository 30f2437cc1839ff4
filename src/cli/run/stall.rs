//! `--exit-when-stalled`: when has nothing arrived for too long?
//!
//! Pure; time is a parameter.

use std::time::Duration;

use bt_erl::{Progress, State};

use crate::cli::fault::Fault;

/// Watches the figures for signs of life.
#[derive(Debug)]
pub(crate) struct StallWatch {
    limit: Duration,
    life: (u64, u64, u64),
    since: Duration,
}

impl StallWatch {
    /// `now` counts from any moment, as long as it is always the same one.
    pub(crate) fn new(limit: Duration, now: Duration) -> Self {
        StallWatch { limit, life: (0, 0, 0), since: now }
    }

    /// The reason to give up, if there is one. Checking what is here counts as life, and so does every byte
    /// that arrives; a connection alone does not. A complete torrent never stalls.
    pub(crate) fn observe(&mut self, progress: &Progress, now: Duration) -> Option<Fault> {
        let life = (progress.bytes_checked, progress.bytes_finished, progress.downloaded);
        if life != self.life || progress.state == State::Complete {
            self.life = life;
            self.since = now;
        }
        if now.saturating_sub(self.since) < self.limit {
            return None;
        }
        Some(match &progress.paused {
            Some(paused) => Fault::DiskRefuses { limit: self.limit, reason: paused.message.clone() },
            None => Fault::Stalled {
                limit: self.limit,
                peers_connected: progress.peers_connected,
                peers_known: progress.peers_known,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use bt_erl::Paused;

    use super::*;
    use crate::cli::exit::Ending;

    fn progress(state: State, checked: u64, downloaded: u64) -> Progress {
        Progress {
            state,
            paused: None,
            pieces: 8,
            pieces_wanted: 8,
            pieces_finished: 0,
            bytes_total: 1000,
            bytes_wanted: 1000,
            bytes_finished: 0,
            bytes_checked: checked,
            downloaded,
            uploaded: 0,
            uploaded_before: 0,
            downloaded_before: 0,
            wasted: bt_erl::Wasted::default(),
            upload_rate: 0,
            peers_unchoked: 0,
            peers_served: 0,
            peers_connected: 1,
            peers_known: 3,
            restarts: 0,
            download_rate: 0,
        }
    }

    fn ending_of(watch: &mut StallWatch, secs: u64, downloaded: u64, paused: bool) -> Option<Ending> {
        let why = || Paused { reason: "no space left".into(), message: "cannot write x: no space left".into() };
        let progress = Progress { paused: paused.then(why), ..progress(State::Downloading, 1000, downloaded) };
        let fault = watch.observe(&progress, Duration::from_secs(secs));
        fault.map(|fault| fault.ending())
    }

    /// Figures once a second with a limit of three: the ending, and when.
    fn ending(figures: impl IntoIterator<Item = Progress>) -> Option<(usize, Ending)> {
        let mut watch = StallWatch::new(Duration::from_secs(3), Duration::ZERO);
        figures.into_iter().enumerate().find_map(|(second, progress)| {
            let fault = watch.observe(&progress, Duration::from_secs(second as u64))?;
            Some((second, fault.ending()))
        })
    }

    #[test]
    fn a_download_that_gets_nothing_is_given_up_after_the_limit() {
        let still = (0..9).map(|_| progress(State::Downloading, 1000, 0));
        assert_eq!(ending(still), Some((3, Ending::NothingToDownloadFrom)));
    }

    #[test]
    fn one_byte_in_time_keeps_a_download_alive() {
        let slow = (0..9).map(|second| progress(State::Downloading, 1000, second / 2));
        assert_eq!(ending(slow), None);
    }

    #[test]
    fn a_slow_check_is_no_stall() {
        let checking = (0..9).map(|second| progress(State::Checking, 100 * second, 0));
        assert_eq!(ending(checking), None);
    }

    #[test]
    fn a_full_disk_is_no_lack_of_peers() {
        let mut watch = StallWatch::new(Duration::from_secs(3), Duration::ZERO);
        assert_eq!(ending_of(&mut watch, 0, 1, true), None);
        assert_eq!(ending_of(&mut watch, 3, 1, true), Some(Ending::Failed));
        assert_eq!(ending_of(&mut watch, 4, 2, false), None);
        assert_eq!(ending_of(&mut watch, 7, 2, false), Some(Ending::NothingToDownloadFrom));
    }

    #[test]
    fn a_complete_torrent_is_served_for_ever() {
        let complete = (0..9).map(|_| progress(State::Complete, 1000, 5));
        assert_eq!(ending(complete), None);
    }
}
