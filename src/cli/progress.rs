//! How far a download is: a bar on a terminal, a line every few seconds elsewhere.
//!
//! Only draws what it is given; `run.rs` decides when. The text is made by pure functions of the figures and the
//! width, so that 80 columns are a unit test.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bt_erl::{Progress, State};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::args::Ratio;
use super::duration;
use super::size::{ByteSize, grouped, rate};
use super::terminal::{self, Paint, Screen, Talk, clean, columns};

/// Between two lines where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Draws progress on stderr until it is dropped.
pub(crate) struct Display {
    screen: Screen,
    shape: Shape,
}

enum Shape {
    Bar { bar: ProgressBar, name: String, facts: Facts },
    Lines { next: Duration },
    Nothing,
}

impl Display {
    /// `name` is the torrent's, as it came from outside.
    pub(crate) fn new(screen: &Screen, name: &str) -> Self {
        let shape = match (screen.talk(), screen.is_terminal()) {
            (Talk::All, true) => {
                let facts = Facts::default();
                let bar = screen.add_bar(ProgressBar::new(1));
                bar.set_style(bar_style(screen.paint(), facts.clone()));
                Shape::Bar { bar, name: clean(name).into_owned(), facts }
            }
            (Talk::All, false) => Shape::Lines { next: Duration::ZERO },
            _ => Shape::Nothing,
        };
        Display { screen: screen.clone(), shape }
    }

    /// For work that is counted in bytes and nothing else.
    pub(crate) fn of_bytes(screen: &Screen, name: &str, bytes: u64) -> Self {
        let display = Self::new(screen, name);
        if let Shape::Bar { bar, name, .. } = &display.shape {
            bar.set_prefix(name.clone());
            bar.set_length(bytes.max(1));
        }
        display
    }

    /// So many bytes are done.
    pub(crate) fn bytes(&mut self, done: u64) {
        if let Shape::Bar { bar, facts, .. } = &self.shape {
            facts.set(ByteSize(done).to_string());
            move_to(bar, (done, bar.length().unwrap_or(1)));
        }
    }

    /// Shows `progress`. `since_start` is any clock that only goes forward.
    pub(crate) fn show(&mut self, progress: &Progress, since_start: Duration) {
        match &mut self.shape {
            Shape::Bar { bar, name, facts: line } => {
                let width = self.screen.width();
                line.set(facts(progress, width.saturating_sub(2)));
                // Indent, bar of at least 20 columns, percentage.
                let name = terminal::shorten(name, width.saturating_sub(30).max(8));
                if bar.prefix() != name {
                    bar.set_prefix(name.into_owned());
                }
                move_to(bar, bar_position(progress));
            }
            Shape::Lines { next } if since_start >= *next => {
                *next = since_start + PLAIN_EVERY;
                let percent = percent(progress);
                let facts = facts(progress, self.screen.width().saturating_sub(6));
                self.screen.say(&format!("{percent:3}%  {facts}"));
            }
            Shape::Lines { .. } | Shape::Nothing => {}
        }
    }

    /// Leaves the bar where it is, for good.
    pub(crate) fn freeze(&mut self) {
        if let Shape::Bar { .. } = &self.shape {
            self.screen.freeze();
        }
        self.shape = Shape::Nothing;
    }

    /// Takes the bar away, so that the summary stands alone.
    pub(crate) fn clear(&mut self) {
        if let Shape::Bar { bar, .. } = &self.shape {
            bar.finish_and_clear();
        }
        self.shape = Shape::Nothing;
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The line below the bar. indicatif draws at every change but not too often, so two changes after one another would be drawn
/// apart: this one waits for the next move of the bar.
#[derive(Clone, Default)]
struct Facts(Arc<Mutex<String>>);

impl Facts {
    fn set(&self, line: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    fn write(&self, out: &mut dyn Write) {
        let _ = out.write_str(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One change, so one drawing.
fn move_to(bar: &ProgressBar, (position, length): (u64, u64)) {
    bar.update(|state| {
        state.set_pos(position);
        state.set_len(length);
    });
}

fn bar_style(paint: Paint, facts: Facts) -> ProgressStyle {
    let bar = match paint {
        Paint::Colour => "{wide_bar:.cyan/blue.dim}",
        Paint::Plain => "{wide_bar}",
    };
    // indicatif's own `percent` rounds up to 100 before the end.
    let whole = |state: &ProgressState, out: &mut dyn Write| {
        let _ = write!(out, "{:>3}%", whole_percent(state.pos(), state.len().unwrap_or(1)));
    };
    ProgressStyle::with_template(&format!("  {{prefix}} {bar} {{whole}}\n  {{facts}}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("whole", whole)
        .with_key("facts", move |_: &ProgressState, out: &mut dyn Write| facts.write(out))
        .progress_chars("━╸─")
}

/// What the bar shows: bytes on disk, or bytes looked at while checking.
fn bar_position(progress: &Progress) -> (u64, u64) {
    let (position, length) = match progress.state {
        State::Checking => (progress.bytes_checked, progress.bytes_total),
        _ => (progress.bytes_finished, progress.bytes_wanted),
    };
    (position.min(length), length.max(1))
}

/// 100 only when nothing is missing.
fn percent(progress: &Progress) -> u64 {
    let (position, length) = bar_position(progress);
    whole_percent(position, length)
}

fn whole_percent(position: u64, length: u64) -> u64 {
    u64::try_from(u128::from(position) * 100 / u128::from(length.max(1))).unwrap_or(100)
}

/// Time left at the present rate; `None` when nothing arrives or nothing is missing.
pub(crate) fn eta(progress: &Progress) -> Option<Duration> {
    const NEVER_SECS: f64 = 100.0 * 86_400.0;
    let left = progress.bytes_wanted.saturating_sub(progress.bytes_finished);
    let secs = left as f64 / progress.download_rate as f64;
    (left > 0 && progress.download_rate > 0 && secs < NEVER_SECS).then(|| Duration::from_secs_f64(secs))
}

/// Bytes sent for each byte of wanted content, in this run and in those before that are remembered.
pub(crate) fn ratio(progress: &Progress) -> Ratio {
    let uploaded = progress.uploaded_before.saturating_add(progress.uploaded);
    Ratio(uploaded as f64 / progress.bytes_wanted.max(1) as f64)
}

/// The figures in at most `width` columns: the least important ones are left out until they fit.
fn facts(progress: &Progress, width: usize) -> String {
    let finished = grouped(progress.pieces_finished.into());
    let pieces = grouped(progress.pieces_wanted.into());
    // Those who call us are not always known by an address that could be called.
    let peers = match u64::from(progress.peers_connected) {
        connected if connected < progress.peers_known.into() => format!("{connected}/{} peers", progress.peers_known),
        connected => count(connected, "peer"),
    };
    let bytes = format!("{} of {}", ByteSize(progress.bytes_finished), ByteSize(progress.bytes_wanted));
    let unchoked = format!("{} unchoked", progress.peers_unchoked);
    let restarts = count(progress.restarts, "restart");
    // Importance first, then the text; printed in this order.
    let mut facts: Vec<(u8, String)> = match (&progress.paused, &progress.state) {
        (Some(paused), State::Checking | State::Downloading) => vec![
            (0, format!("paused: {}", clean(&paused.reason))),
            (1, format!("{finished}/{pieces} pieces")),
            (3, bytes),
            (2, peers),
        ],
        (_, State::Checking) => vec![
            (0, "checking what is here".to_owned()),
            (1, format!("{finished}/{pieces} pieces right")),
            (2, format!("{} of {}", ByteSize(progress.bytes_checked), ByteSize(progress.bytes_total))),
        ],
        (_, State::Failed { message }) => {
            vec![(0, format!("failed: {}", clean(message))), (1, format!("{finished}/{pieces} pieces")), (2, peers)]
        }
        (_, State::Complete) => vec![
            (0, "seeding".to_owned()),
            (1, format!("↑ {}", rate(progress.upload_rate))),
            (2, format!("ratio {}", ratio(progress))),
            (5, format!("{} uploaded", ByteSize(progress.uploaded))),
            (3, peers),
            (4, unchoked),
            (6, restarts),
        ],
        (_, State::Downloading) => {
            let mut facts = vec![(0, format!("{finished}/{pieces} pieces")), (8, bytes)];
            if progress.download_rate > 0 {
                facts.push((1, format!("↓ {}", rate(progress.download_rate))));
            }
            if progress.upload_rate > 0 {
                facts.push((4, format!("↑ {}", rate(progress.upload_rate))));
            }
            facts.push(match eta(progress) {
                Some(eta) => (3, format!("{} left", duration::short(eta))),
                None if progress.peers_connected == 0 => (3, "waiting for peers".to_owned()),
                None => (3, "nothing arrives".to_owned()),
            });
            facts.extend([(2, peers), (7, unchoked), (5, restarts)]);
            if progress.wasted.total() > 0 {
                facts.push((6, format!("{} wasted", ByteSize(progress.wasted.total()))));
            }
            facts
        }
    };
    loop {
        let line = facts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" · ");
        if columns(&line) <= width || facts.len() == 1 {
            return terminal::shorten(&line, width).into_owned();
        }
        let least = facts.iter().map(|(importance, _)| *importance).max();
        facts.retain(|(importance, _)| Some(*importance) != least);
    }
}

/// `0 restarts`, `1 restart`, `2 restarts`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn downloading() -> Progress {
        Progress {
            state: State::Downloading,
            paused: None,
            pieces: 2048,
            pieces_wanted: 2048,
            pieces_finished: 1234,
            bytes_total: 2 << 30,
            bytes_wanted: 2 << 30,
            bytes_finished: 1234 << 20,
            bytes_checked: 2 << 30,
            downloaded: 1250 << 20,
            uploaded: 3 << 20,
            uploaded_before: 0,
            downloaded_before: 0,
            wasted: bt_erl::Wasted { twice: 65536, ..Default::default() },
            upload_rate: 3 << 20,
            peers_unchoked: 2,
            peers_served: 1,
            peers_connected: 4,
            peers_known: 12,
            restarts: 1,
            download_rate: 412 << 20,
        }
    }

    #[test]
    fn eighty_columns_have_what_matters_and_140_have_all() {
        assert_eq!(facts(&downloading(), 78), "1,234/2,048 pieces · ↓ 412 MiB/s · ↑ 3 MiB/s · 2.0 s left · 4/12 peers");
        assert_eq!(
            facts(&downloading(), 138),
            "1,234/2,048 pieces · 1.2 GiB of 2 GiB · ↓ 412 MiB/s · ↑ 3 MiB/s · 2.0 s left · 4/12 peers · 2 unchoked · \
             1 restart · 64 KiB wasted"
        );
        let seeding = Progress { state: State::Complete, uploaded_before: 1 << 30, uploaded: 2 << 30, ..downloading() };
        assert_eq!(facts(&seeding, 78), "seeding · ↑ 3 MiB/s · ratio 1.50 · 2 GiB uploaded · 4/12 peers · 2 unchoked");
        assert_eq!(facts(&seeding, 40), "seeding · ↑ 3 MiB/s · ratio 1.50");
    }

    #[test]
    fn the_largest_figures_fit_any_width() {
        let progress = Progress {
            pieces: 2_000_000,
            pieces_wanted: 2_000_000,
            pieces_finished: 1_999_999,
            peers_connected: 200,
            peers_known: 20_000,
            restarts: 1_000_000,
            ..downloading()
        };
        for width in 1..200 {
            assert!(columns(&facts(&progress, width)) <= width, "{width}");
        }
    }

    #[test]
    fn a_download_that_stands_still_promises_nothing() {
        let still = Progress { download_rate: 0, upload_rate: 0, peers_connected: 0, ..downloading() };
        assert_eq!(eta(&still), None);
        assert_eq!(facts(&still, 78), "1,234/2,048 pieces · waiting for peers · 0/12 peers · 1 restart");
        let trickle = Progress { download_rate: 1, ..still };
        assert_eq!(eta(&trickle), None, "more than a hundred days is no estimate");
    }

    #[test]
    fn files_that_nobody_wants_are_not_waited_for() {
        let part = Progress { pieces_wanted: 1300, bytes_wanted: 1300 << 20, download_rate: 66 << 20, ..downloading() };
        assert_eq!((percent(&part), eta(&part)), (94, Some(Duration::from_secs(1))));
        assert!(facts(&part, 138).starts_with("1,234/1,300 pieces · 1.2 GiB of 1.3 GiB"));
    }

    #[test]
    fn a_hundred_percent_is_everything() {
        let nearly = Progress { bytes_finished: (2 << 30) - 1, ..downloading() };
        assert_eq!(percent(&nearly), 99);
        let all = Progress { bytes_finished: 2 << 30, ..downloading() };
        assert_eq!(percent(&all), 100);
    }

    #[test]
    fn a_reason_from_outside_cannot_steer_the_terminal() {
        let failed = Progress { state: State::Failed { message: "disk \u{1b}[2J gone".into() }, ..downloading() };
        assert!(!facts(&failed, 78).contains('\u{1b}'));
    }
}
