//! Processes that block: each on an OS thread of its own (Erlang's dirty schedulers).
//!
//! They cannot be killed. They are told to stop, and hear it whenever they wait for a message or look.

use crate::{
    current,
    link::{self, ExitSignal},
    mailbox::{Addr, Mailbox},
    monitor::{self, Down, Monitor},
    panics,
    pid::Pid,
    process,
    reason::ExitReason,
    reports, rt,
    spec::BlockingStart,
    table::Entry,
};
use std::{
    fmt,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

/// Handed to a blocking child's start function.
pub struct BlockingProcess {
    entry: Arc<Entry>,
}

impl BlockingProcess {
    /// Of this incarnation.
    pub fn pid(&self) -> Pid {
        self.entry.pid
    }

    /// The ids from the root down to this one, joined by `/`.
    pub fn path(&self) -> &str {
        &self.entry.path
    }

    /// How often this child was started before; 0 is the first time.
    pub fn incarnation(&self) -> u64 {
        self.entry.incarnation
    }

    /// The init is done: who waits for it goes on.
    pub fn ready(&self) {
        self.entry.ready();
    }

    /// The table shows the length of `mailbox` for this process.
    pub fn shows<M: Send + 'static>(&self, mailbox: &Mailbox<M>) {
        self.entry.shows(mailbox.gauge());
    }

    /// Links this process and `pid`, see [`link`](crate::link()).
    pub fn link(&self, pid: Pid) {
        link::link(self.pid(), pid);
    }

    /// Takes the link back, see [`unlink`](crate::unlink).
    pub fn unlink(&self, pid: Pid) {
        link::unlink(self.pid(), pid);
    }

    /// When `pid` ends, once, `to` gets what `wrap` makes of it, see [`monitor`](crate::monitor()). The monitor ends with this process.
    pub fn monitor<M: Send + 'static>(
        &self,
        pid: Pid,
        to: &Addr<M>,
        wrap: impl FnOnce(Down) -> M + Send + 'static,
    ) -> Monitor {
        monitor::watch(Some(&self.entry), pid, to, wrap)
    }

    /// Erlang's `process_flag(trap_exit, true)`: from now on an exit signal, through a link, by [`exit`](crate::exit) or from its
    /// supervisor, does not end this process; `to` gets what `wrap` makes of it. Only [`kill`](crate::kill) still ends it.
    /// /// Its supervisor's is also heard by [`recv`](Self::recv) and [`check`](Self::check).
    pub fn trap_exits<M: Send + 'static>(&self, to: &Addr<M>, wrap: impl Fn(ExitSignal) -> M + Send + Sync + 'static) {
        link::trap_exits(&self.entry, to, wrap);
    }

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
        write!(f, "{} {}", self.path(), self.pid())
    }
}

pub(crate) fn launch(entry: Arc<Entry>, start: BlockingStart) {
    let own = entry.clone();
    let body = move || {
        let _current = current::enter(own.pid);
        let process = BlockingProcess { entry: own.clone() };
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
