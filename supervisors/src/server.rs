//! A generic server, as OTP's `gen_server`: the loop is written here once, a [`Server`] says what happens in it.
//!
//! It is an ordinary worker with a mailbox: address, order and waiting messages survive its restarts, its state does not.
//! [`sys`](crate::sys) looks into it. There is no `hibernate`: a future that waits holds its state and nothing else.

use crate::{
    mailbox::{Addr, CallError, CastError, Mailbox, Reply, mailbox},
    panics,
    pid::Pid,
    process::Process,
    reason::{Exit, ExitReason},
    rt,
    spec::ChildSpec,
    sys::{Inspect, Port},
};
use futures::{FutureExt, StreamExt, select_biased};
use std::{
    any::Any,
    fmt::{self, Debug},
    future::{Future, poll_fn},
    ops::Deref,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

/// What a server does with what it gets. The value itself is the state.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use supervisors::{ExitReason, Flags, Init, Me, Next, Reply, Server, SupervisorSpec, ChildSpec, server, start, sys};
///
/// #[derive(Debug)]
/// struct Account { balance: u64 }
///
/// #[derive(Debug)]
/// enum Call {
///     /// Each call is answered through its own `Reply`, now or later.
///     Balance(Reply<u64>),
///     Withdraw { amount: u64, reply: Reply<Result<u64, &'static str>> },
/// }
///
/// impl Server for Account {
///     type Args = u64;
///     type Call = Call;
///     type Cast = u64;
///     type Info = Infallible;
///     type Continue = Infallible;
///
///     async fn init(balance: u64, _me: &Me<Self>) -> Result<Init<Self>, ExitReason> {
///         Ok(Init::Up(Account { balance }, Next::Wait))
///     }
///     async fn handle_call(&mut self, call: Call, _me: &Me<Self>) -> Next<Self> {
///         match call {
///             Call::Balance(reply) => _ = reply.send(self.balance),
///             Call::Withdraw { amount, reply } => _ = reply.send(match self.balance.checked_sub(amount) {
///                 Some(left) => { self.balance = left; Ok(left) }
///                 None => Err("not enough"),
///             }),
///         }
///         Next::Wait
///     }
///     async fn handle_cast(&mut self, deposit: u64, _me: &Me<Self>) -> Next<Self> {
///         self.balance += deposit;
///         Next::Wait
///     }
/// }
///
/// # async_std::task::block_on(async {
/// let (account, child) = server::<Account>("account", 10);
/// let system = start(ChildSpec::supervisor("bank_sup", move || SupervisorSpec {
///     flags: Flags::one_for_one(),
///     children: vec![child.clone()],
/// }));
/// account.cast(5).unwrap();
/// let second = Duration::from_secs(1);
/// let left = account.call(second, |reply| Call::Withdraw { amount: 12, reply }).await;
/// assert_eq!(left, Ok(Ok(3)));
/// assert_eq!(sys::get_state(account.pid().unwrap(), second).await.unwrap(), "Account { balance: 3 }");
/// # system.stop(second).await;
/// # });
/// ```
pub trait Server: Debug + Send + Sized + 'static {
    /// What every incarnation starts from.
    type Args: Clone + Send + Sync + 'static;
    /// What it is asked; each variant carries the [`Reply`] that answers it. A reply that is dropped tells the caller at once
    /// ([`CallError::Down`]); one that is kept answers later (OTP's `noreply` and `reply/2`).
    type Call: Debug + Send + 'static;
    /// What it is told.
    type Cast: Debug + Send + 'static;
    /// What comes from elsewhere: `Down` of a monitor, timers, signals of links. `Infallible` when nothing does.
    type Info: Debug + Send + 'static;
    /// What it goes on with by itself, before any message. `Infallible` when there is nothing.
    type Continue: Debug + Send + 'static;

    /// The supervisor waits for it. `Err`: the start has failed, and this is why.
    fn init(args: Self::Args, me: &Me<Self>) -> impl Future<Output = Result<Init<Self>, ExitReason>> + Send;

    /// Somebody waits for an answer.
    fn handle_call(&mut self, call: Self::Call, me: &Me<Self>) -> impl Future<Output = Next<Self>> + Send;

    /// Nobody waits.
    fn handle_cast(&mut self, cast: Self::Cast, me: &Me<Self>) -> impl Future<Output = Next<Self>> + Send;

    /// Without one of its own a server drops what it gets here, with a warning.
    fn handle_info(&mut self, info: Self::Info, me: &Me<Self>) -> impl Future<Output = Next<Self>> + Send {
        log::warn!(target: "sasl", "{me:?} got {info:?}, and does not handle it");
        async { Next::Wait }
    }

    /// After [`Next::Continue`].
    fn handle_continue(&mut self, _what: Self::Continue, _me: &Me<Self>) -> impl Future<Output = Next<Self>> + Send {
        async { Next::Wait }
    }

    /// Nothing came for as long as [`Next::Timeout`] said.
    fn handle_timeout(&mut self, _me: &Me<Self>) -> impl Future<Output = Next<Self>> + Send {
        async { Next::Wait }
    }

    /// The last it does: it was told to shut down, a handler stopped it, or a handler panicked (then the state is as the panic left it).
    /// Not called when it is killed.
    fn terminate(&mut self, _reason: &ExitReason, _me: &Me<Self>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The state for [`sys::get_state_json`](crate::sys::get_state_json), if it is to have one: `serde_json::to_value(self).ok()`.
    fn to_json(&self) -> Option<serde_json::Value> {
        None
    }
}

/// What an init comes to.
#[derive(Debug)]
pub enum Init<S: Server> {
    /// It is up.
    Up(S, Next<S>),
    /// There is nothing to do: no process, and no fault.
    Ignore,
}

/// What a server does next.
#[derive(Debug)]
pub enum Next<S: Server> {
    /// Waits for the next message.
    Wait,
    /// The same; when none comes in time, [`Server::handle_timeout`] is called.
    Timeout(Duration),
    /// Calls [`Server::handle_continue`] before any message.
    Continue(S::Continue),
    /// Ends, by way of [`Server::terminate`].
    Stop(ExitReason),
}

/// What is in a server's mailbox.
pub enum Message<S: Server> {
    /// Waits for an answer.
    Call(S::Call),
    /// Does not.
    Cast(S::Cast),
    /// From elsewhere.
    Info(S::Info),
}

impl<S: Server> Debug for Message<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(f, "call {call:?}"),
            Self::Cast(cast) => write!(f, "cast {cast:?}"),
            Self::Info(info) => write!(f, "info {info:?}"),
        }
    }
}

/// Leads to a server, across its restarts.
pub struct ServerRef<S: Server> {
    addr: Addr<Message<S>>,
    /// 0: none yet.
    pid: Arc<AtomicU64>,
}

impl<S: Server> Clone for ServerRef<S> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone(), pid: self.pid.clone() }
    }
}

impl<S: Server> Debug for ServerRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerRef({} waiting)", self.addr.len())
    }
}

impl<S: Server> ServerRef<S> {
    /// Sends what `make` makes of a [`Reply`], and waits for the answer, at most `timeout`.
    pub async fn call<R>(&self, timeout: Duration, make: impl FnOnce(Reply<R>) -> S::Call) -> Result<R, CallError> {
        self.addr.call(timeout, |reply| Message::Call(make(reply))).await
    }

    /// Never waits.
    pub fn cast(&self, cast: S::Cast) -> Result<(), CastError<Message<S>>> {
        self.addr.cast(Message::Cast(cast))
    }

    /// Never waits.
    pub fn info(&self, info: S::Info) -> Result<(), CastError<Message<S>>> {
        self.addr.cast(Message::Info(info))
    }

    /// For monitors, links and timers, which wrap what they send: `|down| Message::Info(Info::Down(down))`.
    pub fn addr(&self) -> &Addr<Message<S>> {
        &self.addr
    }

    /// Of the present incarnation, or of the last one while none runs; `None` before the first.
    pub fn pid(&self) -> Option<Pid> {
        let pid = self.pid.load(Ordering::Acquire);
        (pid != 0).then_some(Pid(pid))
    }
}

/// A server's own process and address, in its handlers.
pub struct Me<S: Server> {
    process: Process,
    server: ServerRef<S>,
}

impl<S: Server> Me<S> {
    /// Its own address.
    pub fn server(&self) -> &ServerRef<S> {
        &self.server
    }
}

impl<S: Server> Deref for Me<S> {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl<S: Server> Debug for Me<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.process.fmt(f)
    }
}

/// A server's address and its child spec: permanent, it traps exits, and its init is awaited.
pub fn server<S: Server>(id: impl Into<String>, args: S::Args) -> (ServerRef<S>, ChildSpec) {
    let (addr, mailbox) = mailbox();
    let server = ServerRef { addr, pid: Arc::default() };
    let own = server.clone();
    let spec = ChildSpec::worker(id, move |process| {
        own.pid.store(process.pid().0, Ordering::Release);
        run(Me { process, server: own.clone() }, mailbox.clone(), args.clone())
    });
    (server, spec.awaits_init().trap_exit())
}

struct Inside<'a, S>(&'a mut S);

impl<S: Server> Inspect for Inside<'_, S> {
    fn text(&self) -> String {
        format!("{:?}", self.0)
    }

    fn json(&self) -> Option<serde_json::Value> {
        self.0.to_json()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self.0
    }
}

/// A panic of `work` is its result.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, ExitReason> {
    let mut work = pin!(work);
    poll_fn(|cx| match panics::catch(|| work.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

async fn run<S: Server>(me: Me<S>, mailbox: Mailbox<Message<S>>, args: S::Args) -> Exit {
    let (mut state, mut next) = match S::init(args, &me).await? {
        Init::Up(state, next) => (state, next),
        Init::Ignore => return Ok(()),
    };
    me.shows(&mailbox);
    let mut port = Port::open(me.entry.clone());
    me.ready();
    let mut inbox = mailbox.stream();
    let shutdown = me.shutdown_requested().fuse();
    let mut shutdown = pin!(shutdown);
    let reason = loop {
        let limit = match next {
            Next::Stop(reason) => break reason,
            Next::Continue(what) => {
                next = match caught(state.handle_continue(what, &me)).await {
                    Ok(next) => next,
                    Err(panic) => break panic,
                };
                continue;
            }
            Next::Timeout(limit) => Some(limit),
            Next::Wait => None,
        };
        let suspended = port.is_suspended();
        let message = async { if suspended { std::future::pending().await } else { inbox.next().await } };
        let late = async {
            match limit {
                Some(limit) if !suspended => rt::sleep(limit).await,
                _ => std::future::pending().await,
            }
        };
        let handled = select_biased! {
            () = shutdown => break me.entry.exit_reason(),
            order = port.orders().next() => {
                if let Some(order) = order {
                    port.obey(order, &mut Inside(&mut state));
                }
                next = limit.map_or(Next::Wait, Next::Timeout);
                continue;
            }
            message = pin!(message.fuse()) => match message {
                Some(message) => {
                    port.on_message(&message);
                    match message {
                        Message::Call(call) => caught(state.handle_call(call, &me)).await,
                        Message::Cast(cast) => caught(state.handle_cast(cast, &me)).await,
                        Message::Info(info) => caught(state.handle_info(info, &me)).await,
                    }
                }
                // We hold a sender: not reached.
                None => break ExitReason::Normal,
            },
            () = pin!(late.fuse()) => caught(state.handle_timeout(&me)).await,
        };
        next = match handled {
            Ok(next) => next,
            Err(panic) => break panic,
        };
    };
    drop(port);
    caught(state.terminate(&reason, &me)).await?;
    match reason {
        ExitReason::Normal => Ok(()),
        reason => Err(reason),
    }
}
