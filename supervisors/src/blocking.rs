//! Processes that block: each on an OS thread of its own (Erlang's dirty schedulers).
//!
//! They cannot be killed. They are told to stop, and hear it whenever they wait for a message or look.

use crate::{
    current,
    mailbox::Mailbox,
    panics,
    process::{self, Process},
    reason::ExitReason,
    reports, rt,
    spec::BlockingStart,
    table::Entry,
};
use std::{
    fmt,
    future::poll_fn,
    ops::Deref,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

/// Handed to a blocking child's start function.
pub struct BlockingProcess {
    process: Process,
}

/// What every process knows of itself and can do. Exit signals that it traps, and its supervisor's, are heard by
/// [`recv`](BlockingProcess::recv) and [`check`](BlockingProcess::check).
impl Deref for BlockingProcess {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl BlockingProcess {
    /// The next message. `Err`: it was told to stop, and is to return that; messages that wait stay in the mailbox.
    ///
    /// # Panics
    /// When a panic is injected.
    #[track_caller]
    pub fn recv<M: Send + 'static>(&self, mailbox: &Mailbox<M>) -> Result<M, ExitReason> {
        match self.wait(mailbox, None)? {
            Some(message) => Ok(message),
            None => Err(ExitReason::Shutdown),
        }
    }

    /// As [`recv`](Self::recv); `Ok(None)`: nothing came within `limit`.
    ///
    /// # Panics
    /// When a panic is injected.
    #[track_caller]
    pub fn recv_timeout<M: Send + 'static>(
        &self,
        mailbox: &Mailbox<M>,
        limit: Duration,
    ) -> Result<Option<M>, ExitReason> {
        self.wait(mailbox, Some(rt::now() + limit))
    }

    /// For long work, between two steps. `Err`: it was told to stop.
    ///
    /// # Panics
    /// When a panic is injected.
    #[track_caller]
    pub fn check(&self) -> Result<(), ExitReason> {
        if !self.entry.is_signalled() {
            return Ok(());
        }
        if let Some(message) = self.entry.take_panic() {
            panic!("{message}");
        }
        if self.entry.is_killed() {
            return Err(ExitReason::Killed);
        }
        match self.entry.is_told_to_end() {
            true => Err(self.entry.exit_reason()),
            false => Ok(()),
        }
    }

    #[track_caller]
    fn wait<M: Send + 'static>(
        &self,
        mailbox: &Mailbox<M>,
        deadline: Option<Instant>,
    ) -> Result<Option<M>, ExitReason> {
        self.check()?;
        if let Some(message) = mailbox.try_recv() {
            return Ok(Some(message));
        }
        let got = {
            let mut next = pin!(mailbox.recv());
            let wait = poll_fn(|cx| {
                self.entry.waker.register(cx.waker());
                if self.entry.is_signalled() {
                    return Poll::Ready(None);
                }
                next.as_mut().poll(cx).map(Some)
            });
            rt::block_on(wait, deadline)
        };
        match got {
            Some(Some(message)) => Ok(Some(message)),
            // Signalled, so this is `Err`, or panics.
            Some(None) => self.check().map(|()| None),
            None => Ok(None),
        }
    }
}

impl fmt::Debug for BlockingProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.process.fmt(f)
    }
}

pub(crate) fn launch(entry: Arc<Entry>, start: BlockingStart) {
    let own = entry.clone();
    let body = move || {
        let _current = current::enter(own.pid);
        let process = BlockingProcess { process: Process { entry: own.clone() } };
        let early = own.is_told_to_end();
        let ended = panics::catch(|| if early { Ok(()) } else { start(process) });
        let reason = match ended {
            Ok(exit) => process::ended(&own, exit),
            Err(panic) => panic,
        };
        panics::discard(start);
        reports::process_ended(&own, &reason);
        own.finish(reason);
    };
    if let Err(error) = rt::thread(entry.role(), body) {
        entry.finish(ExitReason::environment(format_args!("no thread: {error}")));
    }
}
