//! What a server does next: the return values of `gen_server`'s callbacks.

use crate::{mailbox::Reply, reason::ExitReason};
use std::{fmt, time::Duration};

/// What to do after a handler. `C` is [`Server::Continue`](crate::Server::Continue).
#[must_use]
pub struct Next<C> {
    pub(super) stop: Option<ExitReason>,
    pub(super) then: Option<C>,
    pub(super) timeout: Option<Duration>,
    /// Sent after `terminate`.
    pub(super) last: Option<Box<dyn FnOnce() + Send>>,
}

impl<C> Next<C> {
    /// Waits for the next message. Whoever called gets its answer when the [`Reply`] is sent.
    pub fn noreply() -> Self {
        Self { stop: None, then: None, timeout: None, last: None }
    }

    /// Answers a call, and waits for the next message.
    pub fn reply<R>(from: Reply<R>, answer: R) -> Self {
        from.send(answer);
        Self::noreply()
    }

    /// Ends the server with `reason`, after [`terminate`](crate::Server::terminate).
    pub fn stop(reason: ExitReason) -> Self {
        Self { stop: Some(reason), ..Self::noreply() }
    }

    /// [`handle_timeout`](crate::Server::handle_timeout) is called if no message comes for so long. Any message ends the wait.
    pub fn timeout(self, wait: Duration) -> Self {
        Self { timeout: Some(wait), ..self }
    }

    /// [`handle_continue`](crate::Server::handle_continue) is called with `work` before any other message.
    pub fn then(self, work: C) -> Self {
        Self { then: Some(work), ..self }
    }

    /// Answers a call when everything else is done: with [`stop`](Self::stop), after `terminate`, even if that panics.
    pub fn and_reply<R: Send + 'static>(mut self, from: Reply<R>, answer: R) -> Self {
        match self.stop {
            Some(_) => self.last = Some(Box::new(move || _ = from.send(answer))),
            None => _ = from.send(answer),
        }
        self
    }
}

impl<C: fmt::Debug> fmt::Debug for Next<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stop, then, timeout, .. } = self;
        let mut fields = f.debug_struct("Next");
        fields.field("stop", stop).field("then", then).field("timeout", timeout).finish_non_exhaustive()
    }
}

/// What `init` returns: a state to begin with, or nothing to do.
#[must_use]
#[derive(Debug)]
pub struct Init<S: crate::Server> {
    /// `None`: ignore.
    pub(super) state: Option<S>,
    pub(super) next: Next<S::Continue>,
}

impl<S: crate::Server> Init<S> {
    /// Begins with `state`.
    pub fn new(state: S) -> Self {
        Self { state: Some(state), next: Next::noreply() }
    }

    /// There is nothing to do: the child is known to its supervisor and does not run. OTP's `ignore`.
    pub fn ignore() -> Self {
        Self { state: None, next: Next::noreply() }
    }

    /// See [`Next::then`]. The supervisor does not wait for it.
    pub fn then(self, work: S::Continue) -> Self {
        Self { next: self.next.then(work), ..self }
    }

    /// See [`Next::timeout`].
    pub fn timeout(self, wait: Duration) -> Self {
        Self { next: self.next.timeout(wait), ..self }
    }
}

impl<S: crate::Server> From<S> for Init<S> {
    fn from(state: S) -> Self {
        Self::new(state)
    }
}
