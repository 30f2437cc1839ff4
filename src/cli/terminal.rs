//! What a person sees: lines on stderr that never tear the progress bar, and colour only where it is wanted.
//!
//! Every line for people goes through here. Text from outside (names, URLs, reasons) passes `clean` first, so
//! that no torrent file can steer the terminal.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use console::{Style, Term};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

/// Columns assumed when there is no terminal to ask.
const PLAIN_WIDTH: usize = 100;

/// Colours, or none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// ANSI colours.
    Colour,
    /// Not a terminal, `TERM=dumb`, or `NO_COLOR` is set.
    Plain,
}

impl Paint {
    /// For stdout.
    pub(crate) fn of_stdout() -> Self {
        Self::decide(io::stdout().is_terminal())
    }

    /// For stderr.
    pub(crate) fn of_stderr() -> Self {
        Self::decide(io::stderr().is_terminal())
    }

    /// `NO_COLOR` counts when it is not empty (no-color.org).
    fn decide(is_terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_terminal && !dumb && !set("NO_COLOR") { Paint::Colour } else { Paint::Plain }
    }

    fn style(self, style: Style, text: impl Display) -> String {
        style.force_styling(self == Paint::Colour).apply_to(text).to_string()
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.style(Style::new().bold(), text)
    }

    pub(crate) fn dim(self, text: impl Display) -> String {
        self.style(Style::new().dim(), text)
    }

    pub(crate) fn red(self, text: impl Display) -> String {
        self.style(Style::new().red().bold(), text)
    }

    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.style(Style::new().yellow(), text)
    }

    pub(crate) fn green(self, text: impl Display) -> String {
        self.style(Style::new().green(), text)
    }

    pub(crate) fn cyan(self, text: impl Display) -> String {
        self.style(Style::new().cyan(), text)
    }
}

/// How much of stderr is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Progress, summary, warnings, errors.
    All,
    /// Only warnings and errors: somebody else reads stdout.
    NoProgress,
    /// Only errors.
    ErrorsOnly,
}

/// stderr, shared by the log and the progress bar.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    bars: MultiProgress,
    is_terminal: bool,
    paint: Paint,
    talk: Talk,
}

impl Screen {
    pub(crate) fn new(talk: Talk) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let target =
            if is_terminal && talk == Talk::All { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Screen { bars: MultiProgress::with_draw_target(target), is_terminal, paint: Paint::of_stderr(), talk }
    }

    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    pub(crate) fn talk(&self) -> Talk {
        self.talk
    }

    /// A bar can be drawn.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Columns of the terminal now (it may be resized at any time).
    pub(crate) fn width(&self) -> usize {
        if self.is_terminal {
            Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns))
        } else {
            PLAIN_WIDTH
        }
    }

    /// Puts `bar` at the bottom of the terminal; lines scroll above it.
    pub(crate) fn add_bar(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    /// A line for a person, unless there is none.
    pub(crate) fn say(&self, line: &str) {
        if self.talk == Talk::All {
            self.print(line);
        }
    }

    /// A line of the log, or an error; never held back. A stderr that is gone is nobody's fault and nobody's
    /// news.
    pub(crate) fn print(&self, line: &str) {
        self.aside(|| {
            let mut stderr = io::stderr().lock();
            let _ = writeln!(stderr, "{line}");
        });
    }

    /// Leaves the bar as it stands and goes to a fresh line below it. After Ctrl-C the terminal has written `^C` somewhere,
    /// so a bar that is drawn or cleared once more would miss its place.
    pub(crate) fn freeze(&self) {
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        if self.is_terminal && self.talk == Talk::All {
            let _ = writeln!(io::stderr());
        }
    }

    /// Does `print` while no bar is drawn.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }

    /// Why the program ends without having done what it was asked for.
    pub(crate) fn error(&self, message: impl Display) {
        self.print(&format!("{} {message}", self.paint.red("error:")));
    }
}

/// Text from outside without anything that steers a terminal: control characters, and the marks that turn
/// the direction of writing, become U+FFFD.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(steers) { Cow::Owned(text.replace(steers, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// `text` in at most `columns` columns, its end replaced by an ellipsis when it is longer.
pub(crate) fn shorten(text: &str, columns: usize) -> Cow<'_, str> {
    console::truncate_str(text, columns, "…")
}

/// Columns that `text` takes; colours take none.
pub(crate) fn columns(text: &str) -> usize {
    console::measure_text_width(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_torrent_cannot_steer_the_terminal() {
        assert_eq!(clean("plain name.iso"), "plain name.iso");
        assert_eq!(clean("a\u{1b}[2Jb\u{9b}c\r\nd"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}d");
        assert_eq!(clean("exe.\u{202e}gpj"), "exe.\u{fffd}gpj");
    }

    #[test]
    fn long_text_is_shortened_to_its_columns() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(columns(&shorten("日本語のファイル", 7)), 7);
    }

    #[test]
    fn plain_paint_adds_nothing() {
        assert_eq!(Paint::Plain.red("x"), "x");
        assert_eq!(columns(&Paint::Colour.red("x")), 1);
        assert_ne!(Paint::Colour.red("x"), "x");
    }
}
