//! From async code to blocking code and back.
//!
//! The blocking pool is for calls that may hang in the operating system for seconds (resolving names, HTTP). Steady
//! work on disk or CPU belongs to a blocking process of `storage_sup` instead. Never starts a process: that is
//! `supervisors`' part.

use std::future::Future;

/// Runs `work` on the blocking pool. When the returned future is dropped, `work` runs on to its end and its answer is
/// thrown away; a panic of `work` comes out here.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}

/// Runs `future` to its end on this thread. For `main`, tests and threads of their own, never inside async code.
pub fn block_on<F: Future>(future: F) -> F::Output {
    async_std::task::block_on(future)
}

/// Lets other processes have their turn.
pub async fn yield_now() {
    async_std::task::yield_now().await;
}
