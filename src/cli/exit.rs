//! How the program ends, as the number that the shell sees.
//!
//! Every path through `cli` returns one of these; nothing here prints, and nothing calls `exit` except
//! the second Ctrl-C (`run.rs`, `demo.rs`), which cannot wait for an orderly end.

use std::process::ExitCode;
use std::time::Duration;

use bt_erl::rt::clock;
use bt_erl::rt::signals::{Signal, Signals};

use super::fault::Fault;

/// The closed list of exit codes. `docs/cli.md` prints the same table; a test compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What was asked for is done.
    Complete = 0,
    /// It is not done; one sentence on stderr says why.
    Failed = 1,
    /// The command line is not understood.
    Usage = 2,
    /// The torrent file is not a torrent that can be downloaded (`EX_DATAERR` of `sysexits.h`).
    BadTorrent = 65,
    /// Nothing arrived for as long as `--exit-when-stalled` allows (`EX_UNAVAILABLE`).
    NothingToDownloadFrom = 69,
    /// SIGINT, by the shell's rule 128 + 2.
    Interrupted = 130,
    /// SIGTERM, by the shell's rule 128 + 15.
    Terminated = 143,
}

impl Ending {
    /// Every ending, in the order of its code.
    #[cfg(test)]
    pub(crate) const ALL: [Ending; 7] = [
        Ending::Complete,
        Ending::Failed,
        Ending::Usage,
        Ending::BadTorrent,
        Ending::NothingToDownloadFrom,
        Ending::Interrupted,
        Ending::Terminated,
    ];

    /// 0 to 255, as in `$?`.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// From here on Ctrl-C and SIGTERM are something to wait for, and do not end the program by themselves.
pub(crate) fn signals() -> Result<Signals, Fault> {
    Signals::new().map_err(|error| Fault::Signals { reason: error.to_string() })
}

/// Waits until somebody who has asked for the end already asks once more. What comes close behind the first signal is
/// its echo and not impatience: wrappers (`timeout`, for one) send it to the process and to its group.
pub(crate) async fn asked_again(signals: &mut Signals) -> Signal {
    const ECHO: Duration = Duration::from_millis(250);
    let begin = clock::now();
    loop {
        let signal = signals.next().await;
        if begin.elapsed() > ECHO {
            return signal;
        }
    }
}

impl From<Signal> for Ending {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Interrupt => Ending::Interrupted,
            Signal::Terminate => Ending::Terminated,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        ExitCode::from(ending.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Ending;

    #[test]
    fn the_documented_exit_codes_are_the_real_ones() {
        let page = include_str!("../../docs/cli.md");
        let documented: Vec<&str> = page
            .lines()
            .skip_while(|line| !line.starts_with("## Exit codes"))
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let real: Vec<String> = Ending::ALL.iter().map(|ending| ending.code().to_string()).collect();
        assert_eq!(documented, real);
    }
}
