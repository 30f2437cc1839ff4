//! The generic server: OTP's `gen_server` as a trait.
//!
//! Sits on processes and mailboxes, and adds nothing to those who don't use it. Its loop never boxes what a handler returns, and never
//! decides about restarts: a server ends with a reason, its supervisor does the rest.

mod addr;
mod next;
mod run;

pub use addr::{Message, ServerAddr, ServerProcess};
pub use next::{Init, Next};

use crate::{
    link::ExitSignal,
    mailbox::{self, Mailbox},
    reason::ExitReason,
    spec::ChildSpec,
};
use std::{fmt::Debug, future::Future};

/// What a handler returns. `Err` stops the server as [`Next::stop`] does, so that `?` reads well.
pub type Verdict<S> = Result<Next<<S as Server>::Continue>, ExitReason>;

/// A process that answers calls, one message at a time: `gen_server`.
///
/// | gen_server | here |
/// | --- | --- |
/// | `{ok, State}`, `{ok, State, {continue, C}}`, `ignore`, `{stop, Reason}` | `Ok(state.into())`, `Ok(Init::new(state).then(c))`, `Ok(Init::ignore())`, `Err(reason)` |
/// | `{reply, Answer, State}` | `Ok(Next::reply(from, answer))`, typed by the call's [`Reply`](crate::Reply) |
/// | `{noreply, State}`, `{noreply, State, 500}`, `{noreply, State, {continue, C}}` | `Ok(Next::noreply())` and its `.timeout(…)`, `.then(c)` |
/// | `{stop, Reason, State}`, `{stop, Reason, Answer, State}` | `Ok(Next::stop(reason))` or `Err(reason)`, and `.and_reply(from, answer)` |
/// | `From` kept for a later `gen_server:reply` | keep the call's `Reply` and [`send`](crate::Reply::send) it at any time, from anywhere |
/// | `handle_info(timeout, …)` | [`handle_timeout`](Self::handle_timeout) |
/// | `hibernate` | nothing: it shrinks a process's heap, and a future that waits has none of its own |
///
/// The mailbox outlives a crash: what was queued is handled by the next incarnation, only the message in hand is lost. An order to shut
/// down does not queue behind messages, as it does in Erlang; they wait for the next incarnation.
///
/// ```
/// use std::time::Duration;
/// use supervisors::{ChildSpec, ExitReason, Flags, Init, Next, Reply, Server, ServerProcess, SupervisorSpec, Verdict, start};
///
/// #[derive(Debug)]
/// struct Counter {
///     count: u64,
/// }
///
/// #[derive(Debug)]
/// enum Call {
///     /// From anyone: the count so far.
///     Count(Reply<u64>),
/// }
///
/// impl Server for Counter {
///     type Args = u64;
///     type Call = Call;
///     type Cast = u64;
///     type Info = ();
///     type Continue = ();
///
///     async fn init(first: u64, _: &ServerProcess<Self>) -> Result<Init<Self>, ExitReason> {
///         Ok(Self { count: first }.into())
///     }
///
///     async fn handle_call(&mut self, Call::Count(from): Call, _: &ServerProcess<Self>) -> Verdict<Self> {
///         Ok(Next::reply(from, self.count))
///     }
///
///     async fn handle_cast(&mut self, more: u64, _: &ServerProcess<Self>) -> Verdict<Self> {
///         self.count += more;
///         Ok(Next::noreply())
///     }
/// }
///
/// let (counter, mailbox) = Counter::mailbox();
/// let system = start(ChildSpec::supervisor("top_sup", move || SupervisorSpec {
///     flags: Flags::one_for_one(),
///     children: vec![Counter::child_spec("counter", &mailbox, 40)],
/// }));
/// # async_std::task::block_on(async {
/// counter.cast(2).unwrap();
/// assert_eq!(counter.call(Duration::from_secs(1), Call::Count).await, Ok(42));
/// # system.stop(Duration::from_secs(5)).await;
/// # });
/// ```
pub trait Server: Debug + Sized + Send + 'static {
    /// Given to every incarnation's `init`: the child spec keeps it.
    type Args: Clone + Send + Sync + 'static;
    /// An enum of what can be asked; the [`Reply`](crate::Reply) in each variant says what the answer is.
    type Call: Debug + Send + 'static;
    /// What can be told.
    type Cast: Debug + Send + 'static;
    /// Everything else that comes: a monitor's `Down`, a timer.
    type Info: Debug + Send + 'static;
    /// Work that a handler leaves to be done next, before any other message.
    type Continue: Debug + Send + 'static;

    /// Makes the state. The supervisor waits for it, and its `Err` or panic is a start that failed.
    fn init(
        args: Self::Args,
        server: &ServerProcess<Self>,
    ) -> impl Future<Output = Result<Init<Self>, ExitReason>> + Send;

    /// Without it, a call stops the server with `bad_call`.
    fn handle_call(
        &mut self,
        call: Self::Call,
        server: &ServerProcess<Self>,
    ) -> impl Future<Output = Verdict<Self>> + Send {
        let _ = server;
        async move { Err(ExitReason::Error(format!("bad_call: {call:?}"))) }
    }

    /// Without it, a cast stops the server with `bad_cast`.
    fn handle_cast(
        &mut self,
        cast: Self::Cast,
        server: &ServerProcess<Self>,
    ) -> impl Future<Output = Verdict<Self>> + Send {
        let _ = server;
        async move { Err(ExitReason::Error(format!("bad_cast: {cast:?}"))) }
    }

    /// Without it, the message is logged and forgotten, as `gen_server` does.
    fn handle_info(
        &mut self,
        info: Self::Info,
        server: &ServerProcess<Self>,
    ) -> impl Future<Output = Verdict<Self>> + Send {
        log::warn!(target: "sasl", "{} {} has no handle_info and got {info:?}", server.path(), server.pid());
        async { Ok(Next::noreply()) }
    }

    /// After [`Next::then`] or [`Init::then`]. Without it, that stops the server.
    fn handle_continue(
        &mut self,
        work: Self::Continue,
        server: &ServerProcess<Self>,
    ) -> impl Future<Output = Verdict<Self>> + Send {
        let _ = server;
        async move { Err(ExitReason::Error(format!("bad_continue: {work:?}"))) }
    }

    /// No message came for as long as [`Next::timeout`] or [`Init::timeout`] said. Without it, nothing happens.
    fn handle_timeout(&mut self, server: &ServerProcess<Self>) -> impl Future<Output = Verdict<Self>> + Send {
        let _ = server;
        async { Ok(Next::noreply()) }
    }

    /// Makes a message of an exit signal, of a linked process or by [`exit`](crate::exit()): what `process_flag(trap_exit, true)` does for
    /// a `gen_server`. Without it the server ends with the signal's reason, after [`terminate`](Self::terminate); `normal` is ignored.
    fn trap(signal: ExitSignal) -> Option<Self::Info> {
        let _ = signal;
        None
    }

    /// The last act: after a stop, an error, a panic in a handler (the state is as the panic left it), and an order to shut down, which
    /// every server traps. Not after a kill, nor after an `init` that failed. A panic here becomes the exit reason.
    fn terminate(self, reason: &ExitReason, server: &ServerProcess<Self>) -> impl Future<Output = ()> + Send {
        let _ = (reason, server);
        async {}
    }

    /// The state for [`sys::get_state_json`](crate::sys::get_state_json). `None`: it has none. With a state that is `Serialize`:
    /// `sys::json(self)`.
    fn state_json(&self) -> Option<String> {
        None
    }

    /// The address for callers, and the mailbox for [`child_spec`](Self::child_spec). Both outlive restarts.
    fn mailbox() -> (ServerAddr<Self>, Mailbox<Message<Self>>) {
        let (addr, mailbox) = mailbox::mailbox();
        (ServerAddr { addr }, mailbox)
    }

    /// As [`mailbox`](Self::mailbox), for at most `capacity` waiting messages.
    fn bounded_mailbox(capacity: usize) -> (ServerAddr<Self>, Mailbox<Message<Self>>) {
        let (addr, mailbox) = mailbox::bounded_mailbox(capacity);
        (ServerAddr { addr }, mailbox)
    }

    /// A worker that runs this server. It awaits `init` and traps exits; the rest is a child spec's default.
    fn child_spec(id: impl Into<String>, mailbox: &Mailbox<Message<Self>>, args: Self::Args) -> ChildSpec {
        let mailbox = mailbox.clone();
        let start = move |process| run::run::<Self>(process, mailbox.clone(), args.clone());
        ChildSpec::worker(id, start).awaits_init().trap_exit()
    }
}
