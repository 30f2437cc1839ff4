//! Work that has come in and waits for its worker: while it is too much, nobody reads more.
//!
//! What the other side has sent stays in its socket meanwhile, and its TCP waits; so memory is full of what is being worked on, not of
//! what waits, and reading goes on in the moment that a worker is done. It counts, and wakes those who wait; it holds no work itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use event_listener::{Event, EventListener};
use futures::FutureExt;

/// How much waits. It is too much when it is both many jobs and many bytes.
#[derive(Debug)]
pub struct Backlog {
    most_jobs: usize,
    most_bytes: u64,
    jobs: AtomicUsize,
    bytes: AtomicU64,
    eased: Event,
}

/// One job in a [`Backlog`]; leaves it when dropped.
#[derive(Debug)]
pub struct Waiting {
    bytes: u64,
    backlog: Arc<Backlog>,
}

/// Somebody who waits until a [`Backlog`] is short.
#[derive(Debug, Default)]
pub struct Turnstile(Option<EventListener>);

impl Backlog {
    /// A backlog that is too long with more than `most_jobs` jobs that have `most_bytes` or more together.
    pub fn new(most_jobs: usize, most_bytes: u64) -> Arc<Self> {
        let (jobs, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Self { most_jobs, most_bytes, jobs, bytes, eased: Event::new() })
    }

    /// Counts a job of `bytes` from now on.
    pub fn add(self: &Arc<Self>, bytes: u64) -> Waiting {
        self.jobs.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Waiting { bytes, backlog: self.clone() }
    }

    /// True when nothing more should be read.
    pub fn is_long(&self) -> bool {
        self.jobs.load(Ordering::SeqCst) > self.most_jobs && self.bytes.load(Ordering::SeqCst) >= self.most_bytes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.backlog.jobs.fetch_sub(1, Ordering::SeqCst);
        if !self.backlog.is_long() {
            // Costs a load when nobody listens.
            self.backlog.eased.notify(usize::MAX);
        }
    }
}

impl Turnstile {
    /// Ready when the backlog is short.
    pub fn poll_pass(&mut self, cx: &mut Context<'_>, backlog: &Backlog) -> Poll<()> {
        while backlog.is_long() {
            match &mut self.0 {
                // It may have eased before we listened: look again.
                None => self.0 = Some(backlog.eased.listen()),
                Some(eased) => {
                    ready!(eased.poll_unpin(cx));
                    self.0 = None;
                }
            }
        }
        self.0 = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::poll_fn;
    use std::sync::{Mutex, PoisonError};

    #[test]
    fn many_small_jobs_and_few_large_ones_may_wait() {
        let backlog = Backlog::new(2, 100);
        let large: Vec<Waiting> = (0..2).map(|_| backlog.add(1000)).collect();
        assert!(!backlog.is_long());
        drop(large);
        let small: Vec<Waiting> = (0..9).map(|_| backlog.add(11)).collect();
        assert!(!backlog.is_long());
        let last = backlog.add(1);
        assert!(backlog.is_long());
        drop(small);
        assert!(!backlog.is_long());
        drop(last);
        assert_eq!(backlog.bytes.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn everybody_who_waits_is_woken_when_it_eases() {
        let backlog = Backlog::new(0, 1);
        let passed = Arc::new(Mutex::new(0));
        let job = backlog.add(1);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (backlog, passed) = (backlog.clone(), passed.clone());
                std::thread::spawn(move || {
                    let mut turnstile = Turnstile::default();
                    crate::rt::spawn::block_on(poll_fn(|cx| turnstile.poll_pass(cx, &backlog)));
                    *passed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                })
            })
            .collect();
        assert_eq!(*passed.lock().unwrap(), 0);
        drop(job);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*passed.lock().unwrap(), 4);
    }
}
