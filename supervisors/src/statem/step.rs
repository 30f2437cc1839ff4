//! Events, and what a machine does after one: `gen_statem`'s transition actions.

use super::{StateMachine, queue::Which};
use crate::{mailbox::Reply, reason::ExitReason};
use std::{fmt, time::Duration};

/// What a state machine handles.
#[derive(Debug)]
pub enum Event<M: StateMachine> {
    /// From [`MachineAddr::call`](crate::MachineAddr::call).
    Call(M::Call),
    /// From [`MachineAddr::cast`](crate::MachineAddr::cast).
    Cast(M::Cast),
    /// From a monitor, a timer, or [`StateMachine::trap`].
    Info(M::Info),
    /// From [`Step::next_event`].
    Internal(M::Internal),
    /// The state was entered. Only with [`StateMachine::STATE_ENTER`].
    Enter,
    /// From [`Step::state_timeout`].
    StateTimeout,
    /// From [`Step::event_timeout`].
    EventTimeout,
    /// From [`Step::timeout`].
    Timeout(M::Timer),
}

pub(super) enum Change<S> {
    Keep,
    Repeat,
    Next(S),
    Stop(ExitReason),
}

/// What to do after an event: a change of state, and actions.
#[must_use]
pub struct Step<M: StateMachine> {
    pub(super) change: Change<M::State>,
    pub(super) postponed: Option<Event<M>>,
    pub(super) next_events: Vec<Event<M>>,
    /// `None`: cancelled.
    pub(super) timeouts: Vec<(Which<M::Timer>, Option<Duration>)>,
}

impl<M: StateMachine> Step<M> {
    fn new(change: Change<M::State>) -> Self {
        Self { change, postponed: None, next_events: Vec::new(), timeouts: Vec::new() }
    }

    /// Stays in this state.
    pub fn keep() -> Self {
        Self::new(Change::Keep)
    }

    /// Stays in this state, and enters it again: [`Event::Enter`] is handled, nothing that was postponed is.
    pub fn repeat() -> Self {
        Self::new(Change::Repeat)
    }

    /// Changes to `state`; one that is equal to the present state is no change.
    pub fn next(state: M::State) -> Self {
        Self::new(Change::Next(state))
    }

    /// Ends the machine with `reason`, after [`terminate`](StateMachine::terminate).
    pub fn stop(reason: ExitReason) -> Self {
        Self::new(Change::Stop(reason))
    }

    /// Answers a call, now.
    pub fn reply<R>(self, from: Reply<R>, answer: R) -> Self {
        from.send(answer);
        self
    }

    /// Keeps `event`, which is the one in hand, for after the next change of state.
    pub fn postpone(self, event: Event<M>) -> Self {
        Self { postponed: Some(event), ..self }
    }

    /// `event` is the next to be handled, after those that were added so before it.
    pub fn next_event(mut self, event: Event<M>) -> Self {
        self.next_events.push(event);
        self
    }

    /// [`Event::StateTimeout`] after `wait` in the state that this step leads to.
    pub fn state_timeout(self, wait: Duration) -> Self {
        self.timer(Which::State, Some(wait))
    }

    /// Takes the state timeout back.
    pub fn cancel_state_timeout(self) -> Self {
        self.timer(Which::State, None)
    }

    /// [`Event::EventTimeout`] if nothing is handled for `wait`.
    pub fn event_timeout(self, wait: Duration) -> Self {
        self.timer(Which::Event, Some(wait))
    }

    /// [`Event::Timeout`] with `name` after `wait`, whatever happens meanwhile.
    pub fn timeout(self, name: M::Timer, wait: Duration) -> Self {
        self.timer(Which::Named(name), Some(wait))
    }

    /// Takes the timeout `name` back.
    pub fn cancel_timeout(self, name: M::Timer) -> Self {
        self.timer(Which::Named(name), None)
    }

    fn timer(mut self, which: Which<M::Timer>, wait: Option<Duration>) -> Self {
        self.timeouts.push((which, wait));
        self
    }
}

impl<M: StateMachine> fmt::Debug for Step<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match &self.change {
            Change::Keep => "keep".to_string(),
            Change::Repeat => "repeat".to_string(),
            Change::Next(state) => format!("next {state:?}"),
            Change::Stop(reason) => format!("stop {reason}"),
        };
        let Self { postponed, next_events, timeouts, .. } = self;
        let mut fields = f.debug_struct("Step");
        fields.field("change", &change).field("postponed", postponed).field("next_events", next_events);
        fields.field("timeouts", timeouts).finish()
    }
}

/// What `init` returns: a state and data to begin with, or nothing to do.
#[must_use]
#[derive(Debug)]
pub struct Begin<M: StateMachine> {
    /// `None`: ignore.
    pub(super) with: Option<(M::State, M)>,
    pub(super) step: Step<M>,
}

impl<M: StateMachine> Begin<M> {
    /// Begins in `state` with `data`.
    pub fn new(state: M::State, data: M) -> Self {
        Self { with: Some((state, data)), step: Step::keep() }
    }

    /// There is nothing to do: the child is known to its supervisor and does not run. OTP's `ignore`.
    pub fn ignore() -> Self {
        Self { with: None, step: Step::keep() }
    }

    /// The timeouts and next events of `step`; the rest of it says nothing here.
    pub fn and(self, step: Step<M>) -> Self {
        Self { step, ..self }
    }
}
