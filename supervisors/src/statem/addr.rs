//! How a state machine is reached, and what it knows of itself.

use super::{Event, StateMachine};
use crate::{
    mailbox::{Addr, CallError, CastError, Reply},
    process::Process,
};
use std::{fmt, ops::Deref, time::Duration};

/// Where a state machine is called. Stays right across its restarts.
pub struct MachineAddr<M: StateMachine> {
    pub(super) addr: Addr<Event<M>>,
}

impl<M: StateMachine> MachineAddr<M> {
    /// Asks and waits for the answer, at most `timeout`. An event that is postponed keeps its caller waiting.
    pub async fn call<R>(&self, timeout: Duration, make: impl FnOnce(Reply<R>) -> M::Call) -> Result<R, CallError> {
        self.addr.call(timeout, |reply| Event::Call(make(reply))).await
    }

    /// Tells, and never waits.
    pub fn cast(&self, message: M::Cast) -> Result<(), CastError<Event<M>>> {
        self.addr.cast(Event::Cast(message))
    }

    /// As a message that is neither a call nor a cast.
    pub fn info(&self, message: M::Info) -> Result<(), CastError<Event<M>>> {
        self.addr.cast(Event::Info(message))
    }

    /// For whatever sends to an [`Addr`]: `monitor(pid, door.addr(), |down| Event::Info(down))`.
    pub fn addr(&self) -> &Addr<Event<M>> {
        &self.addr
    }
}

impl<M: StateMachine> Clone for MachineAddr<M> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone() }
    }
}

impl<M: StateMachine> fmt::Debug for MachineAddr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine{:?}", self.addr)
    }
}

/// Handed to every callback: a [`Process`] that knows its own address.
pub struct MachineProcess<M: StateMachine> {
    pub(super) process: Process,
    pub(super) addr: MachineAddr<M>,
}

impl<M: StateMachine> MachineProcess<M> {
    /// Its own.
    pub fn addr(&self) -> &MachineAddr<M> {
        &self.addr
    }
}

impl<M: StateMachine> Deref for MachineProcess<M> {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl<M: StateMachine> fmt::Debug for MachineProcess<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.process.fmt(f)
    }
}
