//! A mailbox as a stream, for `select!` loops.
//!
//! Part of [`mailbox`](super). Dropping it loses nothing.

use super::Level;
use crate::{current, stash::Stash};
use flume::r#async::RecvStream;
use futures::{Stream, stream::FusedStream};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Made once, polled often, never ends.
pub(super) struct Messages<M: 'static> {
    pub(super) inner: RecvStream<'static, M>,
    pub(super) level: Arc<Level>,
    pub(super) stash: Arc<Stash<M>>,
}

impl<M> Unpin for Messages<M> {}

impl<M> Stream for Messages<M> {
    type Item = M;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<M>> {
        if current::is_ending() {
            return Poll::Pending;
        }
        self.level.readers.reads();
        let next = match self.stash.pop() {
            Some(message) => Poll::Ready(Some(message)),
            None => Pin::new(&mut self.inner).poll_next(cx),
        };
        match next {
            Poll::Ready(Some(message)) => {
                self.level.taken();
                Poll::Ready(Some(message))
            }
            // Its `Mailbox` is gone and with it the last sender: nothing comes any more, and nobody is told.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<M> FusedStream for Messages<M> {
    fn is_terminated(&self) -> bool {
        false
    }
}
