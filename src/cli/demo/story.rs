//! The demo's voice: steps with a time, explanations, and a pace at which a person can read.
//!
//! What happens never waits for what is told: lines go through a queue, and the narrator rests between them only on a
//! terminal. The times that are printed are those of the events, not of the printing.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use bt_erl::rt::clock;

use crate::cli::terminal::{Paint, Screen};

/// How long a person looks at a step, and at a drawing.
const STEP_REST: Duration = Duration::from_millis(200);
const BLOCK_REST: Duration = Duration::from_millis(600);

/// Takes what is to be told.
pub(crate) struct Story {
    to_narrator: flume::Sender<Beat>,
    paint: Paint,
}

/// Tells it.
pub(crate) struct Narrator {
    beats: flume::Receiver<Beat>,
    screen: Screen,
}

/// Lines that belong together, and the rest after them.
struct Beat {
    lines: Vec<String>,
    rest: Duration,
}

pub(crate) fn new(screen: &Screen) -> (Story, Narrator) {
    let (to_narrator, beats) = flume::unbounded();
    let story = Story { to_narrator, paint: Paint::of_stdout() };
    (story, Narrator { beats, screen: screen.clone() })
}

impl Story {
    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Something happened, `at` this time after the download began.
    pub(crate) fn at(&self, at: Duration, text: &str) {
        let time = self.paint.cyan(format!("{:7.3} s", at.as_secs_f64()));
        self.tell(vec![format!("{time}  {text}")], STEP_REST);
    }

    /// Plain text, as wide as it is.
    pub(crate) fn line(&self, text: &str) {
        let rest = if text.is_empty() { Duration::ZERO } else { STEP_REST };
        self.tell(vec![text.to_owned()], rest);
    }

    /// A drawing or a report, with air around it.
    pub(crate) fn block(&self, lines: Vec<String>) {
        let air = std::iter::once(String::new());
        let lines = lines.into_iter().map(|line| format!("  {line}"));
        self.tell(air.clone().chain(lines).chain(air).collect(), BLOCK_REST);
    }

    /// What the block before this means.
    pub(crate) fn explain(&self, text: &str) {
        self.tell(vec![format!("  {}", self.paint.dim(text)), String::new()], STEP_REST);
    }

    fn tell(&self, lines: Vec<String>, rest: Duration) {
        // Without a narrator the program is about to end.
        let _ = self.to_narrator.send(Beat { lines, rest });
    }
}

/// What is told when there is nobody left to interrupt.
pub(crate) fn epilogue(screen: &Screen, lines: &[String]) {
    print(screen, lines);
}

/// A reader who went away misses the rest.
fn print(screen: &Screen, lines: &[String]) {
    screen.aside(|| {
        let mut out = io::stdout().lock();
        for line in lines {
            let _ = writeln!(out, "{line}");
        }
        let _ = out.flush();
    });
}

impl Narrator {
    /// Tells everything until the story has ended.
    pub(crate) async fn tell(self) {
        let in_no_hurry = io::stdout().is_terminal();
        while let Ok(beat) = self.beats.recv_async().await {
            print(&self.screen, &beat.lines);
            if in_no_hurry {
                clock::sleep(beat.rest).await;
            }
        }
    }
}
