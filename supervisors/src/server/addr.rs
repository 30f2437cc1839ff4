//! How a server is reached, and what it knows of itself.

use super::Server;
use crate::{
    mailbox::{Addr, CallError, CastError, Reply},
    process::Process,
};
use std::{fmt, ops::Deref, time::Duration};

/// What the mailbox of a server holds, in the order sent.
#[derive(Debug)]
pub enum Message<S: Server> {
    /// From [`ServerAddr::call`].
    Call(S::Call),
    /// From [`ServerAddr::cast`].
    Cast(S::Cast),
    /// From [`ServerAddr::info`], a monitor or a timer.
    Info(S::Info),
}

/// Where a server is called. Stays right across its restarts.
pub struct ServerAddr<S: Server> {
    pub(super) addr: Addr<Message<S>>,
}

impl<S: Server> ServerAddr<S> {
    /// Asks and waits for the answer, at most `timeout`: `counter.call(limit, Call::Count)`. `Down`: it crashed over this, or let it fall.
    pub async fn call<R>(&self, timeout: Duration, make: impl FnOnce(Reply<R>) -> S::Call) -> Result<R, CallError> {
        self.addr.call(timeout, |reply| Message::Call(make(reply))).await
    }

    /// Tells, and never waits.
    pub fn cast(&self, message: S::Cast) -> Result<(), CastError<Message<S>>> {
        self.addr.cast(Message::Cast(message))
    }

    /// As a message that is neither a call nor a cast.
    pub fn info(&self, message: S::Info) -> Result<(), CastError<Message<S>>> {
        self.addr.cast(Message::Info(message))
    }

    /// For whatever sends to an [`Addr`]: `monitor(pid, counter.addr(), |down| Message::Info(down))`.
    pub fn addr(&self) -> &Addr<Message<S>> {
        &self.addr
    }
}

impl<S: Server> Clone for ServerAddr<S> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone() }
    }
}

impl<S: Server> fmt::Debug for ServerAddr<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server{:?}", self.addr)
    }
}

/// Handed to every handler: a [`Process`] that knows its own address.
pub struct ServerProcess<S: Server> {
    pub(super) process: Process,
    pub(super) addr: ServerAddr<S>,
}

impl<S: Server> ServerProcess<S> {
    /// Its own.
    pub fn addr(&self) -> &ServerAddr<S> {
        &self.addr
    }
}

impl<S: Server> Deref for ServerProcess<S> {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl<S: Server> fmt::Debug for ServerProcess<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.process.fmt(f)
    }
}
