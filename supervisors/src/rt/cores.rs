//! On which cores a thread may run.
//!
//! bastion pins each thread of its executor to a core, and a thread inherits the cores of the one that starts it: without this, all
//! blocking processes of a supervisor would share one core. Linux only; elsewhere nothing is inherited, and nothing is done.

use std::cell::Cell;

thread_local! {
    static FREE: Cell<bool> = const { Cell::new(false) };
}

/// What this thread may run on is what all may. Called before bastion has started a thread; later calls do nothing.
pub(crate) fn note() {
    #[cfg(target_os = "linux")]
    linux::note();
}

/// This thread may run on every core that the program may. Costs a load but for the first time.
pub(crate) fn unpin() {
    if !FREE.replace(true) {
        #[cfg(target_os = "linux")]
        linux::unpin();
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::sync::OnceLock;

    /// `None`: the system does not say.
    static CORES: OnceLock<Option<CpuSet>> = OnceLock::new();

    pub(super) fn note() {
        CORES.get_or_init(|| sched_getaffinity(None).ok());
    }

    pub(super) fn unpin() {
        if let Some(Some(cores)) = CORES.get() {
            // Refused: the thread stays where it is, which is slower and no worse.
            sched_setaffinity(None, cores).ok();
        }
    }
}
