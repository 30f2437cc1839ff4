//! Catches panics of supervised code and keeps their text and place, silently.
//!
//! The panic hook is chained: a panic outside a process is shown as before. Never ends a process itself.

use crate::reason::ExitReason;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

thread_local! {
    /// This thread runs supervised code right now.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Text and place of the panic that is unwinding.
    static SEEN: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Chains our panic hook before the one that is set. Later calls do nothing.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let outer = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !watched(info) {
                outer(info);
            }
        }));
    });
}

/// Keeps what `info` says. `false`: not supervised code, or the second panic of one unwinding (the OS process is
/// about to abort), so it has to be shown.
fn watched(info: &PanicHookInfo<'_>) -> bool {
    if !WATCHED.try_with(Cell::get).unwrap_or(false) {
        return false;
    }
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    SEEN.try_with(|seen| {
        let first = seen.borrow_mut().replace((text(info.payload()), place));
        first.is_none()
    })
    .unwrap_or(false)
}

fn text(payload: &(dyn Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(ToString::to_string);
    let formatted = || payload.downcast_ref::<String>().cloned();
    literal.or_else(formatted).unwrap_or_else(|| "a panic without text".to_string())
}

/// Runs `f`; a panic becomes an exit reason.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, ExitReason> {
    let outer = (WATCHED.replace(true), SEEN.take());
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    let seen = SEEN.take();
    WATCHED.set(outer.0);
    if outer.1.is_some() {
        // We are in a destructor, amid an unwinding.
        SEEN.set(outer.1);
    }
    result.map_err(|payload| {
        let payload = match payload.downcast::<Exiting>() {
            Ok(exiting) => return exiting.0,
            Err(payload) => payload,
        };
        let (message, location) = seen.unwrap_or_else(|| (text(&*payload), String::new()));
        discard(payload);
        ExitReason::Panic { message, location }
    })
}

/// What unwinds when a process ends itself.
struct Exiting(ExitReason);

/// Erlang's `exit/1`: unwinds the process that runs on this thread, which ends with `reason`. Not for other threads.
pub(crate) fn unwind_with(reason: ExitReason) -> ! {
    panic::resume_unwind(Box::new(Exiting(reason)))
}

/// Drops what may panic while it is dropped.
pub(crate) fn discard<T>(value: T) {
    let outer = (WATCHED.replace(true), SEEN.take());
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // Its destructor could be the next to panic.
        std::mem::forget(payload);
    }
    WATCHED.set(outer.0);
    SEEN.set(outer.1);
}
