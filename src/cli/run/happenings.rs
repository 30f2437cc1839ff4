//! What a running download wakes up for, as one stream: signals, the outcome, events and a steady beat.
//!
//! Only brings it together; what follows from it is decided in `run.rs`.

use std::sync::Arc;
use std::time::Duration;

use bt_erl::rt::clock;
use bt_erl::rt::signals::{Questions, Signal, Signals};
use bt_erl::{Event, Events, Outcome, Torrent};
use futures::stream::{self, BoxStream, SelectAll, StreamExt};

/// How often the figures are looked at; a bar that moves ten times a second looks alive.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One of them.
pub(super) enum Happening {
    /// Time to look at the figures.
    Look,
    /// From the session.
    Event(Event),
    /// The download has ended.
    Outcome(Outcome),
    /// Somebody asks how the peers stand (SIGUSR1).
    Question,
    /// The program is asked to end.
    Signal(Signal, Signals),
}

/// All of them; never ends, because the beat does not.
pub(super) fn stream(
    signals: Signals,
    torrent: &Torrent,
    events: &Arc<Events>,
) -> SelectAll<BoxStream<'static, Happening>> {
    let signal = stream::once(async move {
        let mut signals = signals;
        let signal = signals.next().await;
        Happening::Signal(signal, signals)
    });
    let questions = stream::unfold(Questions::listen(), |mut questions| async move {
        questions.next().await;
        Some((Happening::Question, questions))
    });
    let torrent = torrent.clone();
    let outcome = stream::once(async move { Happening::Outcome(torrent.wait().await) });
    let events = stream::unfold(events.clone(), |events| async move {
        let event = events.recv().await?;
        Some((Happening::Event(event), events))
    });
    let looks = stream::unfold(clock::Ticker::new(LOOK_EVERY), |mut ticker| async move {
        ticker.tick().await;
        Some((Happening::Look, ticker))
    });
    stream::select_all([signal.boxed(), questions.boxed(), outcome.boxed(), events.boxed(), looks.boxed()])
}
