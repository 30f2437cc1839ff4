//! Lets bytes through as fast as the limits allow: one for each direction of a connection.
//!
//! Part of `peer`. Whose turn it is is `protocol::bucket`'s decision; here somebody waits for it. It touches no socket.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;

use crate::protocol::bucket::{Flow, Taken};
use crate::rt::clock;

/// The limits that the bytes of one direction have to pass, all of them.
pub(super) struct Valve {
    flow: Flow,
    /// Bytes that may be moved, and are neither moved nor given back.
    open: u64,
    closed: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Valve {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, open: 0, closed: None }
    }

    /// Bytes that may move now, at least 1 and at most `wanted`; pending while the limits allow none.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let wanted = wanted as u64;
        while self.open == 0 {
            if let Some(closed) = &mut self.closed {
                futures::ready!(closed.poll_unpin(cx));
                self.closed = None;
            }
            match self.flow.take(wanted, clock::since_start()) {
                Taken::Now(bytes) => self.open = bytes,
                Taken::Wait(wait) => self.closed = Some(Box::pin(clock::sleep(wait))),
            }
        }
        Poll::Ready(wanted.min(self.open) as usize)
    }

    /// So many of the bytes that might have moved did; the others may be somebody else's.
    pub(super) fn moved(&mut self, bytes: usize) {
        let unused = std::mem::take(&mut self.open).saturating_sub(bytes as u64);
        self.flow.give_back(unused);
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.moved(0);
    }
}
