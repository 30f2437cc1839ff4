//! The generic state machine: OTP's `gen_statem` (with `handle_event_function`) as a trait.
//!
//! Sits on processes and mailboxes, beside the generic server. `queue` has the rules of postponing and of timeouts, without a clock;
//! `run` is the loop.

mod addr;
mod queue;
mod run;
mod step;

pub use addr::{MachineAddr, MachineProcess};
pub use step::{Begin, Event, Step};

use crate::{
    link::ExitSignal,
    mailbox::{self, Mailbox},
    reason::ExitReason,
    spec::ChildSpec,
};
use std::{fmt::Debug, future::Future};

/// A process whose answer to an event depends on the state that it is in: `gen_statem`.
///
/// `Self` is the data; [`State`](Self::State) is the state, an enum as a rule. The order of things is `gen_statem`'s:
///
/// - An event that is [postponed](Step::postpone) is handled again after the next change of state, before all that still waits, the
///   oldest first. Rust has no copies to spare: who postpones gives the event back.
/// - [`next_event`](Step::next_event) goes before everything that waits, also before what was postponed.
/// - A [state timeout](Step::state_timeout) ends with its state, an [event timeout](Step::event_timeout) with the next event of any kind,
///   a [named one](Step::timeout) when it is cancelled. Setting one again starts it anew. One of zero comes before any message that was
///   not looked at yet, and after all events that wait inside.
/// - With [`STATE_ENTER`](Self::STATE_ENTER), [`Event::Enter`] is handled whenever a state is entered, before anything else; it may
///   neither change the state nor postpone nor add events.
///
/// A state change is one to a state that is not equal (`PartialEq`) to the present one. Only what was not yet looked at survives a crash:
/// postponed events are lost with the incarnation that held them back.
///
/// ```
/// use std::time::Duration;
/// use supervisors::{
///     Begin, ChildSpec, ExitReason, Flags, MachineEvent as Event, MachineProcess, Reply, StateMachine, Step, SupervisorSpec, start,
/// };
///
/// #[derive(Debug)]
/// struct Door {
///     code: u32,
/// }
///
/// #[derive(Clone, Debug, PartialEq)]
/// enum State {
///     Locked,
///     Open,
/// }
///
/// #[derive(Debug)]
/// enum Call {
///     /// From anyone: whether it opens.
///     Enter(u32, Reply<bool>),
/// }
///
/// impl StateMachine for Door {
///     type Args = u32;
///     type State = State;
///     type Call = Call;
///     type Cast = ();
///     type Info = ();
///     type Internal = ();
///     type Timer = ();
///
///     async fn init(code: u32, _: &MachineProcess<Self>) -> Result<Begin<Self>, ExitReason> {
///         Ok(Begin::new(State::Locked, Self { code }))
///     }
///
///     async fn handle_event(
///         &mut self,
///         event: Event<Self>,
///         state: &State,
///         _: &MachineProcess<Self>,
///     ) -> Result<Step<Self>, ExitReason> {
///         Ok(match (state, event) {
///             (State::Locked, Event::Call(Call::Enter(code, from))) if code == self.code => {
///                 Step::next(State::Open).reply(from, true).state_timeout(Duration::from_millis(10))
///             }
///             (State::Locked, Event::Call(Call::Enter(_, from))) => Step::keep().reply(from, false),
///             (State::Open, Event::StateTimeout) => Step::next(State::Locked),
///             // Somebody is in the door: whoever is next waits until it is locked again.
///             (State::Open, event @ Event::Call(_)) => Step::keep().postpone(event),
///             _ => Step::keep(),
///         })
///     }
/// }
///
/// let (door, mailbox) = Door::mailbox();
/// let system = start(ChildSpec::supervisor("top_sup", move || SupervisorSpec {
///     flags: Flags::one_for_one(),
///     children: vec![Door::child_spec("door", &mailbox, 42)],
/// }));
/// # async_std::task::block_on(async {
/// let limit = Duration::from_secs(1);
/// assert_eq!(door.call(limit, |from| Call::Enter(41, from)).await, Ok(false));
/// assert_eq!(door.call(limit, |from| Call::Enter(42, from)).await, Ok(true));
/// assert_eq!(door.call(limit, |from| Call::Enter(7, from)).await, Ok(false), "after the door was locked");
/// # system.stop(Duration::from_secs(5)).await;
/// # });
/// ```
pub trait StateMachine: Debug + Sized + Send + 'static {
    /// Given to every incarnation's `init`: the child spec keeps it.
    type Args: Clone + Send + Sync + 'static;
    /// What the machine is in.
    type State: PartialEq + Debug + Send + Sync + 'static;
    /// An enum of what can be asked; the [`Reply`](crate::Reply) in each variant says what the answer is.
    type Call: Debug + Send + 'static;
    /// What can be told.
    type Cast: Debug + Send + 'static;
    /// Everything else that comes: a monitor's `Down`, a timer.
    type Info: Debug + Send + 'static;
    /// What the machine tells itself, by [`Step::next_event`].
    type Internal: Debug + Send + 'static;
    /// The names of its timeouts, beside the state's and the event's.
    type Timer: Clone + PartialEq + Debug + Send + 'static;

    /// `true`: [`Event::Enter`] is handled when a state is entered, the first one too.
    const STATE_ENTER: bool = false;

    /// Makes state and data. The supervisor waits for it, and its `Err` or panic is a start that failed.
    fn init(
        args: Self::Args,
        machine: &MachineProcess<Self>,
    ) -> impl Future<Output = Result<Begin<Self>, ExitReason>> + Send;

    /// One event in one state. `Err` stops the machine as [`Step::stop`] does.
    fn handle_event(
        &mut self,
        event: Event<Self>,
        state: &Self::State,
        machine: &MachineProcess<Self>,
    ) -> impl Future<Output = Result<Step<Self>, ExitReason>> + Send;

    /// As [`Server::trap`](crate::Server::trap).
    fn trap(signal: ExitSignal) -> Option<Self::Info> {
        let _ = signal;
        None
    }

    /// The last act, when [`Server::terminate`](crate::Server::terminate) would be called.
    fn terminate(
        self,
        reason: &ExitReason,
        state: &Self::State,
        machine: &MachineProcess<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, state, machine);
        async {}
    }

    /// State and data for [`sys::get_state_json`](crate::sys::get_state_json). With both `Serialize`: `sys::json(&(state, self))`.
    fn state_json(&self, state: &Self::State) -> Option<String> {
        let _ = state;
        None
    }

    /// The address for callers, and the mailbox for [`child_spec`](Self::child_spec). Both outlive restarts.
    fn mailbox() -> (MachineAddr<Self>, Mailbox<Event<Self>>) {
        let (addr, mailbox) = mailbox::mailbox();
        (MachineAddr { addr }, mailbox)
    }

    /// A worker that runs this machine. It awaits `init` and traps exits; the rest is a child spec's default.
    fn child_spec(id: impl Into<String>, mailbox: &Mailbox<Event<Self>>, args: Self::Args) -> ChildSpec {
        let mailbox = mailbox.clone();
        let start = move |process| run::run::<Self>(process, mailbox.clone(), args.clone());
        ChildSpec::worker(id, start).awaits_init().trap_exit()
    }
}
