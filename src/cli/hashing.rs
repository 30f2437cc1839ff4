//! Hashing for `create` and `check`: a bar while it lasts, and a signal ends it.
//!
//! Shows and waits; what is hashed, and what comes of it, is the library's and the command's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bt_erl::HashProgress;
use bt_erl::rt::clock;
use bt_erl::rt::signals::{Signal, Signals};
use futures::{FutureExt, pin_mut, select_biased};

use super::progress::Display;
use super::terminal::Screen;

/// How often the bar moves.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs `work` to its end, below a bar that is called `name`. `Err`: a signal came first.
pub(crate) async fn watch<T>(
    screen: &Screen,
    signals: &mut Signals,
    name: &str,
    work: impl AsyncFnOnce(Arc<HashProgress>) -> T,
) -> Result<T, Signal> {
    let progress = Arc::new(HashProgress::default());
    let (work, signal, bar) =
        (work(progress.clone()).fuse(), signals.next().fuse(), bar(screen, name, &progress).fuse());
    pin_mut!(work, signal, bar);
    loop {
        select_biased! {
            signal = signal => return Err(signal),
            done = work => return Ok(done),
            () = bar => {}
        }
    }
}

/// Never ends by itself.
async fn bar(screen: &Screen, name: &str, progress: &HashProgress) {
    let (mut display, mut ticker) = (None, clock::Ticker::new(LOOK_EVERY));
    loop {
        let total = progress.total.load(Ordering::Relaxed);
        if total > 0 {
            let display = display.get_or_insert_with(|| Display::of_bytes(screen, name, total));
            display.bytes(progress.hashed.load(Ordering::Relaxed));
        }
        ticker.tick().await;
    }
}
