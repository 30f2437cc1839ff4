//! The log: fern behind the `log` crate, so that every process only ever calls `log::…!`.
//!
//! stderr gets what `-v` asks for, as lines that leave the progress bar whole; `--log-file` gets everything down
//! to debug, each with the time in UTC. Set up once, before the first process starts.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bt_erl::rt::wall;
use log::{Level, LevelFilter, Record};

use super::args::LogArgs;
use super::terminal::{Paint, Screen, Talk, clean};

/// Why there is no log.
#[derive(Debug)]
pub(crate) enum LoggingError {
    /// `--log-file` cannot be written.
    LogFile { path: PathBuf, reason: io::Error },
    /// Somebody set up a log before.
    AlreadySet,
}

impl fmt::Display for LoggingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoggingError::LogFile { path, reason } => write!(
                f,
                "cannot write the log file {}: {reason}; name another with --log-file, or leave it out",
                path.display()
            ),
            LoggingError::AlreadySet => write!(f, "the log is already set up"),
        }
    }
}

/// Sends the log where `args` says. Call once.
pub(crate) fn start(args: &LogArgs, screen: &Screen) -> Result<(), LoggingError> {
    set(args, screen, LevelFilter::Trace)
}

/// The same, but without the crash reports on stderr: the demo tells them itself, unless `-v` asks for the log.
pub(crate) fn start_for_demo(args: &LogArgs, screen: &Screen) -> Result<(), LoggingError> {
    let sasl = if args.verbose == 0 { LevelFilter::Off } else { LevelFilter::Trace };
    set(args, screen, sasl)
}

/// `sasl`: what of the supervisors' reports may go to stderr, at most.
fn set(args: &LogArgs, screen: &Screen, sasl: LevelFilter) -> Result<(), LoggingError> {
    let level = stderr_level(args.verbose, screen.talk());
    let to_screen = screen.clone();
    let mut log = fern::Dispatch::new().chain(
        others_quiet(fern::Dispatch::new().level(level), level).level_for("sasl", level.min(sasl)).chain(
            fern::Output::call(move |record| {
                to_screen.print(&screen_line(record, level, to_screen.paint()));
            }),
        ),
    );
    if let Some(path) = &args.log_file {
        let file = fern::log_file(path).map_err(|reason| LoggingError::LogFile { path: path.clone(), reason })?;
        let level = level.max(LevelFilter::Debug);
        log = log.chain(
            others_quiet(fern::Dispatch::new().level(level), level)
                .format(|out, message, record| {
                    out.finish(format_args!(
                        "{} {:5} {} {}",
                        Utc(wall::unix_time()),
                        record.level(),
                        record.target(),
                        clean(&message.to_string())
                    ));
                })
                .chain(file),
        );
    }
    log.apply().map_err(|_| LoggingError::AlreadySet)
}

fn stderr_level(verbose: u8, talk: Talk) -> LevelFilter {
    match (verbose, talk) {
        (_, Talk::ErrorsOnly) => LevelFilter::Error,
        (0, _) => LevelFilter::Warn,
        (1, _) => LevelFilter::Info,
        (2, _) => LevelFilter::Debug,
        (3.., _) => LevelFilter::Trace,
    }
}

/// The crates below us speak only when something is wrong: bastion prints whole messages at debug level, and
/// nobody who debugs a download asked for the handshakes of TLS.
fn others_quiet(log: fern::Dispatch, level: LevelFilter) -> fern::Dispatch {
    const OTHERS: [&str; 9] =
        ["bastion", "lightproc", "async_io", "polling", "ureq", "ureq_proto", "rustls", "surf", "async_std"];
    OTHERS.into_iter().fold(log, |log, target| log.level_for(target, level.min(LevelFilter::Warn)))
}

/// `warning: tracker http://… is down`; from `-v` on with the place that says it.
fn screen_line(record: &Record<'_>, level: LevelFilter, paint: Paint) -> String {
    let message = record.args().to_string();
    let message = clean(&message);
    let word = match record.level() {
        Level::Error => paint.red("error:"),
        Level::Warn => paint.yellow("warning:"),
        Level::Info => paint.cyan("info:"),
        Level::Debug => paint.dim("debug:"),
        Level::Trace => paint.dim("trace:"),
    };
    if level <= LevelFilter::Warn {
        format!("{word} {message}")
    } else {
        format!("{word} {} {message}", paint.dim(record.target()))
    }
}

/// A span since 1970-01-01T00:00:00Z, printed as `2001-09-09T01:46:40.000Z`.
struct Utc(std::time::Duration);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let (year, month, day) = civil(secs / 86_400);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            secs / 3600 % 24,
            secs / 60 % 60,
            secs % 60,
            self.0.subsec_millis()
        )
    }
}

/// The day `days` after 1970-01-01, by counting in eras of 400 years that begin on 1 March (Howard Hinnant's
/// `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn more_v_is_more_log_and_quiet_is_errors_only() {
        use LevelFilter::{Debug, Error, Info, Trace, Warn};
        let levels = [0, 1, 2, 3, 9].map(|verbose| stderr_level(verbose, Talk::All));
        assert_eq!(levels, [Warn, Info, Debug, Trace, Trace]);
        assert_eq!(stderr_level(0, Talk::ErrorsOnly), Error);
        assert_eq!(stderr_level(0, Talk::NoProgress), Warn);
    }

    #[test]
    fn a_time_is_printed_in_utc() {
        let printed = [0, 951_782_399, 951_782_400, 1_000_000_000, 4_107_542_399]
            .map(|secs| Utc(Duration::from_secs(secs)).to_string());
        assert_eq!(
            printed,
            [
                "1970-01-01T00:00:00.000Z",
                "2000-02-28T23:59:59.000Z",
                "2000-02-29T00:00:00.000Z",
                "2001-09-09T01:46:40.000Z",
                "2100-02-28T23:59:59.000Z",
            ]
        );
    }

    #[test]
    fn a_line_of_the_log_cannot_steer_the_terminal() {
        let line = screen_line(
            &Record::builder().level(Level::Warn).args(format_args!("tracker says \u{1b}[2J")).build(),
            LevelFilter::Warn,
            Paint::Plain,
        );
        assert_eq!(line, "warning: tracker says \u{fffd}[2J");
    }
}
