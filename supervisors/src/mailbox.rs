//! Mailboxes: typed queues whose address survives the restarts of whoever reads them.
//!
//! On flume. The child spec keeps a clone of the [`Mailbox`], so queued messages, order and address outlive an incarnation;
//! only the message in hand is lost with a crash.

mod messages;

use crate::{current, reader::Readers, rt, stash::Stash, sys};
use flume::{Receiver, Sender, TrySendError};
use futures::{
    channel::oneshot,
    future::{self, Either},
    stream::FusedStream,
};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

/// How full a mailbox is; kept by senders and readers without a lock.
#[derive(Default)]
struct Level {
    sent: AtomicUsize,
    taken: AtomicUsize,
    high: AtomicUsize,
    readers: Readers,
}

impl Level {
    fn sent(&self) {
        let sent = self.sent.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let len = sent.wrapping_sub(self.taken.load(Ordering::Relaxed));
        if len as isize > self.high.load(Ordering::Relaxed) as isize {
            self.high.fetch_max(len, Ordering::Relaxed);
        }
    }

    fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        let taken = self.taken.load(Ordering::Relaxed);
        let len = self.sent.load(Ordering::Relaxed).wrapping_sub(taken);
        // A message may be taken before its sender has counted it.
        (len as isize).max(0) as usize
    }
}

/// What the process table reads of a mailbox.
pub(crate) trait Gauge: Send + Sync {
    fn len(&self) -> usize;
    fn high_water(&self) -> usize;
    /// Ever sent; wraps around.
    fn sent(&self) -> usize;
    /// Ever taken; wraps around.
    fn taken(&self) -> usize;
}

impl Gauge for Level {
    fn len(&self) -> usize {
        Level::len(self)
    }
    fn high_water(&self) -> usize {
        self.high.load(Ordering::Relaxed)
    }
    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// A mailbox without a bound: [`Addr::cast`] never fails for lack of room.
pub fn mailbox<M: Send + 'static>() -> (Addr<M>, Mailbox<M>) {
    pair(flume::unbounded())
}

/// A mailbox for at most `capacity` messages (at least one).
pub fn bounded_mailbox<M: Send + 'static>(capacity: usize) -> (Addr<M>, Mailbox<M>) {
    pair(flume::bounded(capacity.max(1)))
}

fn pair<M>((tx, rx): (Sender<M>, Receiver<M>)) -> (Addr<M>, Mailbox<M>) {
    let level = Arc::new(Level::default());
    let addr = Addr { tx: tx.clone(), level: level.clone() };
    (addr, Mailbox { rx, _open: tx, level, stash: Arc::default() })
}

/// Where messages for a process go. Stays right across its restarts.
pub struct Addr<M> {
    tx: Sender<M>,
    level: Arc<Level>,
}

/// A message that could not be sent, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CastError<M> {
    /// The bounded mailbox has no room now.
    Full(M),
    /// Nobody will ever read this mailbox again.
    Closed(M),
}

impl<M> CastError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl<M> fmt::Display for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the mailbox is full",
            Self::Closed(_) => "the mailbox is closed",
        })
    }
}

impl<M> fmt::Debug for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<M> std::error::Error for CastError<M> {}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// None within the time; one that comes later is dropped.
    Timeout,
    /// The callee crashed over it, let it fall, or has ended and is not started again.
    Down,
    /// Nobody will ever read this mailbox again.
    Closed,
    /// The bounded mailbox has no room now.
    Full,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no answer in time",
            Self::Down => "the process that was called ended",
            Self::Closed => "the mailbox is closed",
            Self::Full => "the mailbox is full",
        })
    }
}

impl std::error::Error for CallError {}

/// The right to answer one call. Dropped unanswered, the caller gets [`CallError::Down`] at once.
#[derive(Debug)]
pub struct Reply<R>(oneshot::Sender<R>);

impl<R> Reply<R> {
    /// `false`: the caller no longer waits.
    pub fn send(self, answer: R) -> bool {
        sys::port::replied();
        self.0.send(answer).is_ok()
    }
}

impl<M> Addr<M> {
    /// Never waits.
    pub fn cast(&self, message: M) -> Result<(), CastError<M>> {
        match self.tx.try_send(message) {
            Ok(()) => {
                self.level.sent();
                Ok(())
            }
            Err(TrySendError::Full(message)) => Err(CastError::Full(message)),
            Err(TrySendError::Disconnected(message)) => Err(CastError::Closed(message)),
        }
    }

    /// Waits while the mailbox is full: back-pressure.
    pub async fn cast_wait(&self, message: M) -> Result<(), CastError<M>> {
        let message = match self.cast(message) {
            Err(CastError::Full(message)) => message,
            done => return done,
        };
        let sent = self.tx.send_async(message).await;
        sent.map(|()| self.level.sent()).map_err(|flume::SendError(message)| CastError::Closed(message))
    }

    /// As [`cast_wait`](Self::cast_wait), for a thread that may block.
    pub fn cast_blocking(&self, message: M) -> Result<(), CastError<M>> {
        let sent = self.tx.send(message);
        sent.map(|()| self.level.sent()).map_err(|flume::SendError(message)| CastError::Closed(message))
    }

    /// Sends what `make` makes and waits for the answer, at most `timeout`.
    ///
    /// The call outlives an incarnation of the callee, as the message does: when the callee crashes before it has taken the message,
    /// its next incarnation answers. [`CallError::Down`] comes at once when it crashes over this very message, when it has ended or
    /// ends without answering and its supervisor does not start it again, and when it had ended so before: then nothing is sent.
    /// The callee is whoever has read the mailbox so far; of several readers it is the last that counts.
    pub async fn call<R>(&self, timeout: Duration, make: impl FnOnce(Reply<R>) -> M) -> Result<R, CallError> {
        if self.level.readers.are_gone() {
            return Err(CallError::Down);
        }
        let (reply, answer) = oneshot::channel();
        self.cast(make(Reply(reply))).map_err(|error| match error {
            CastError::Full(_) => CallError::Full,
            CastError::Closed(_) => CallError::Closed,
        })?;
        let gone = pin!(self.level.readers.gone());
        match rt::timeout(timeout, future::select(answer, gone)).await {
            Some(Either::Left((Ok(answer), _))) => Ok(answer),
            Some(Either::Left((Err(oneshot::Canceled), _))) => Err(CallError::Down),
            // Whoever answers and ends has answered, also when both happen between two looks.
            Some(Either::Right(((), mut answer))) => answer.try_recv().ok().flatten().ok_or(CallError::Down),
            None => Err(CallError::Timeout),
        }
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.level.len()
    }

    /// No message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most messages that ever waited.
    pub fn high_water(&self) -> usize {
        Gauge::high_water(&*self.level)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tx.is_disconnected()
    }

    /// Both lead to the same mailbox.
    pub fn same(&self, other: &Self) -> bool {
        self.tx.same_channel(&other.tx)
    }
}

impl<M> Clone for Addr<M> {
    fn clone(&self) -> Self {
        let (tx, level) = (self.tx.clone(), self.level.clone());
        Self { tx, level }
    }
}

impl<M> fmt::Debug for Addr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Addr({} waiting)", self.len())
    }
}

/// The reading end. Clones read from the same queue, each message going to one of them.
pub struct Mailbox<M> {
    rx: Receiver<M>,
    /// Keeps the queue open when every address is gone: a process waits for ever rather than being told.
    _open: Sender<M>,
    level: Arc<Level>,
    stash: Arc<Stash<M>>,
}

impl<M: Send + 'static> Mailbox<M> {
    /// The next message, in the order sent. Dropping the future loses nothing. A process that was sent a signal that ends it reads no
    /// message that came after it.
    pub async fn recv(&self) -> M {
        self.level.readers.reads();
        let mut next = pin!(self.rx.recv_async());
        let next = poll_fn(|cx| match current::is_ending() {
            true => Poll::Pending,
            false => match self.stash.pop() {
                Some(message) => Poll::Ready(Ok(message)),
                None => next.as_mut().poll(cx),
            },
        });
        match next.await {
            Ok(message) => {
                self.level.taken();
                message
            }
            // `_open` is a sender: not reached.
            Err(_) => futures::future::pending().await,
        }
    }

    /// A message that is there already.
    pub fn try_recv(&self) -> Option<M> {
        self.level.readers.reads();
        let message = self.stash.pop().or_else(|| self.rx.try_recv().ok())?;
        self.level.taken();
        Some(message)
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.level.len()
    }

    /// No message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The messages for `select!` loops: made once, polled often, never ends. Dropping it loses nothing.
    pub fn stream(&self) -> impl FusedStream<Item = M> + Unpin + Send + use<M> {
        let (inner, level) = (self.rx.clone().into_stream(), self.level.clone());
        messages::Messages { inner, level, stash: self.stash.clone() }
    }

    /// Throws away what waits.
    pub fn drain(&self) {
        while self.try_recv().is_some() {}
    }

    /// Takes out those of the messages that wait that `which` likes, in the order sent; the others stay, and in theirs. For the one process
    /// that reads this mailbox, while it is not about to.
    pub fn take_if(&self, mut which: impl FnMut(&M) -> bool) -> Vec<M> {
        let taken = self.stash.keep(self.rx.drain(), |message| !which(message));
        taken.iter().for_each(|_| self.level.taken());
        taken
    }

    /// An address that leads here.
    pub(crate) fn addr(&self) -> Addr<M> {
        Addr { tx: self._open.clone(), level: self.level.clone() }
    }

    pub(crate) fn gauge(&self) -> Arc<dyn Gauge> {
        self.level.clone()
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        let (rx, _open) = (self.rx.clone(), self._open.clone());
        Self { rx, _open, level: self.level.clone(), stash: self.stash.clone() }
    }
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        // The last reader: who waits for an answer to a message in here hears `Down` now.
        if self.rx.receiver_count() == 1 {
            drop(self.rx.drain());
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({} waiting)", self.level.len())
    }
}
