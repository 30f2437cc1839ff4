//! A process: a future that is polled where nothing it does can hurt anyone else.
//!
//! Sits between [`slots`] and the body. Panics (in the start function, in the body, in a destructor), exit signals, kills and
//! injected panics all become one exit reason, reported after everything of the body has been dropped.

use crate::{
    blocking, current, driver,
    link::{self, ExitSignal},
    mailbox::{Addr, Mailbox},
    monitor::{self, Down, Monitor},
    panics,
    pid::Pid,
    reason::{Exit, ExitReason},
    reports, rt, slots,
    spec::Start,
    table::Entry,
    timer::{self, Timer},
};
use futures::future::BoxFuture;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Handed to a worker's start function, and inside [`BlockingProcess`](crate::BlockingProcess) to a blocking one's: what the process knows of itself.
#[derive(Clone)]
pub struct Process {
    pub(crate) entry: Arc<Entry>,
}

impl Process {
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

    /// The init is done: who waits for it ([`ChildSpec::awaits_init`](crate::ChildSpec::awaits_init)) goes on.
    pub fn ready(&self) {
        self.entry.ready();
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

    /// `to` gets `message` after `wait`, unless this process has ended or the timer is cancelled. A full mailbox is tried again every 10 ms.
    pub fn send_after<M: Send + 'static>(&self, wait: Duration, to: &Addr<M>, message: M) -> Timer {
        timer::send_after(&self.entry, wait, to, message)
    }

    /// `to` gets a clone of `message` after each `every` (at least 1 ms) until this process has ended or the timer is cancelled. A full
    /// mailbox misses one.
    pub fn send_interval<M: Clone + Send + 'static>(&self, every: Duration, to: &Addr<M>, message: M) -> Timer {
        timer::send_interval(&self.entry, every, to, message)
    }

    /// Erlang's `process_flag(trap_exit, true)`: from now on an exit signal, through a link, by [`exit`](crate::exit) or from its
    /// supervisor, does not end this process; `to` gets what `wrap` makes of it. Only [`kill`](crate::kill) still ends it.
    /// Its supervisor's is also heard by [`shutdown_requested`](Self::shutdown_requested).
    ///
    /// Signals that come before this call are not trapped; [`ChildSpec::trap_exit`](crate::ChildSpec::trap_exit) traps them from the start.
    pub fn trap_exits<M: Send + 'static>(&self, to: &Addr<M>, wrap: impl Fn(ExitSignal) -> M + Send + Sync + 'static) {
        link::trap_exits(&self.entry, to, wrap);
    }

    /// Resolves when the exit signal of the supervisor has come, if this process traps exits, by its spec or by
    /// [`trap_exits`](Self::trap_exits); never otherwise.
    pub async fn shutdown_requested(&self) {
        self.entry.shutdown_requested().await;
    }

    /// The table shows the length of `mailbox` for this process.
    pub fn shows<M: Send + 'static>(&self, mailbox: &Mailbox<M>) {
        self.entry.shows(mailbox.gauge());
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path(), self.pid())
    }
}

/// Starts what `entry` stands for. Returns at once; whatever goes wrong is its exit reason.
pub(crate) fn launch(entry: Arc<Entry>, start: Start) {
    match start {
        // For measuring only: the body as a plain task. Nobody catches its panics, and it hears no signal.
        Start::Worker(start) if cfg!(unsupervised) => slots::run(Box::pin(async move {
            let process = Process { entry: entry.clone() };
            let exit = start(process).await;
            entry.finish(ended(&entry, exit));
        })),
        Start::Worker(start) => slots::run(Box::pin(async move {
            let process = Process { entry: entry.clone() };
            let reason = Guarded::new(entry.clone(), move || start(process)).await;
            reports::process_ended(&entry, &reason);
            entry.finish(reason);
        })),
        Start::Supervisor { init, at } => slots::run(Box::pin(driver::run(entry, init, at))),
        Start::Blocking(start) => blocking::launch(entry, start),
    }
}

type Make = Box<dyn FnOnce() -> BoxFuture<'static, Exit> + Send>;

enum Body {
    Unmade(Make),
    Made(BoxFuture<'static, Exit>),
    Gone,
}

/// Polls a body until it ends or is ended. Never panics.
pub(crate) struct Guarded {
    entry: Arc<Entry>,
    body: Body,
}

impl Guarded {
    pub(crate) fn new(entry: Arc<Entry>, make: impl FnOnce() -> BoxFuture<'static, Exit> + Send + 'static) -> Self {
        let body = Body::Unmade(Box::new(make));
        Self { entry, body }
    }

    /// Drops the body. A destructor that panics spoils a normal end, and only that.
    fn end(&mut self, reason: ExitReason) -> Poll<ExitReason> {
        let body = std::mem::replace(&mut self.body, Body::Gone);
        match panics::catch(move || drop(body)) {
            Err(panic) if reason == ExitReason::Normal => Poll::Ready(panic),
            _ => Poll::Ready(reason),
        }
    }

    fn on_signal(&mut self) -> Option<ExitReason> {
        if self.entry.is_killed() {
            return Some(ExitReason::Killed);
        }
        if let Some(message) = self.entry.take_panic() {
            let caught = panics::catch(|| panic!("{message}")).err();
            // The place of an injected panic is this line, which helps nobody.
            let location = String::new();
            return caught.map(|_| ExitReason::Panic { message, location });
        }
        self.entry.dies().then(|| self.entry.exit_reason())
    }
}

impl Future for Guarded {
    type Output = ExitReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ExitReason> {
        let this = &mut *self;
        let _current = current::enter(this.entry.pid);
        this.entry.waker.register(cx.waker());
        if this.entry.is_signalled()
            && let Some(reason) = this.on_signal()
        {
            return this.end(reason);
        }
        if let Body::Unmade(_) = this.body
            && let Body::Unmade(make) = std::mem::replace(&mut this.body, Body::Gone)
        {
            match panics::catch(make) {
                Ok(body) => this.body = Body::Made(body),
                Err(panic) => return this.end(panic),
            }
        }
        let Body::Made(body) = &mut this.body else {
            return Poll::Ready(ExitReason::Normal);
        };
        let begin = rt::now();
        let polled = panics::catch(|| body.as_mut().poll(cx));
        this.entry.polled(begin.elapsed());
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(exit)) => {
                let reason = ended(&this.entry, exit);
                this.end(reason)
            }
            Err(panic) => this.end(panic),
        }
    }
}

/// A process that was asked to shut down and then returns `Ok(())` ended with `shutdown`.
pub(crate) fn ended(entry: &Entry, exit: Exit) -> ExitReason {
    match exit {
        Ok(()) if entry.is_killed() => ExitReason::Killed,
        Ok(()) if entry.is_told_to_end() => entry.exit_reason(),
        Ok(()) => ExitReason::Normal,
        Err(reason) => reason,
    }
}
