//! Lets bytes through as fast as the limits allow: one for each direction of a connection.
//!
//! Part of `peer`. Whose turn it is is `protocol::Bucket`'s decision; here somebody waits for it. It touches no socket.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::FutureExt;

use crate::protocol::bucket::{Bucket, Turn};
use crate::rt::clock;
use crate::tables::lock;

/// The limits that the bytes of one direction have to pass, all of them.
pub(super) struct Valve {
    buckets: [Arc<Mutex<Bucket>>; 2],
    /// Bytes that may be moved, once `closed` is over.
    open: u64,
    closed: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Bytes that may be moved until the next [`refill`](Self::refill), and after it.
    allowance: Option<(u64, u64)>,
}

impl Valve {
    /// `allowance`: bytes between two [`refill`](Self::refill)s, beside the limits that are shared.
    pub(super) fn new(buckets: [Arc<Mutex<Bucket>>; 2], allowance: Option<u64>) -> Self {
        Self { buckets, open: 0, closed: None, allowance: allowance.map(|bytes| (bytes, bytes)) }
    }

    /// Bytes that may move now, at least 1 and at most `wanted`; pending while the limits allow none.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let wanted = (wanted as u64).min(self.allowance.map_or(u64::MAX, |(left, _)| left));
        if wanted == 0 {
            // The timer that refills it wakes whoever is here.
            return Poll::Pending;
        }
        if self.open == 0 {
            let mut buckets = self.buckets.each_ref().map(|bucket| lock(bucket));
            let turn = Bucket::reserve(buckets.iter_mut().map(|bucket| &mut **bucket), wanted, clock::since_start());
            let Turn { bytes, wait } = turn;
            self.open = bytes;
            self.closed = (!wait.is_zero()).then(|| Box::pin(clock::sleep(wait)) as Pin<Box<_>>);
        }
        if let Some(closed) = &mut self.closed {
            futures::ready!(closed.poll_unpin(cx));
            self.closed = None;
        }
        Poll::Ready(wanted.min(self.open) as usize)
    }

    /// So many of the bytes that might have moved did.
    pub(super) fn moved(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let unused = self.open.saturating_sub(bytes);
        self.open = 0;
        self.give_back(unused);
        if let Some((left, _)) = &mut self.allowance {
            *left = left.saturating_sub(bytes);
        }
    }

    /// A fresh allowance.
    pub(super) fn refill(&mut self) {
        if let Some((left, fresh)) = &mut self.allowance {
            *left = *fresh;
        }
    }

    fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            self.buckets.iter().for_each(|bucket| lock(bucket).give_back(bytes));
        }
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.give_back(self.open);
    }
}
