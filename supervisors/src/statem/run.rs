//! The loop of a generic state machine.

use super::{
    Begin, Event, MachineAddr, MachineProcess, StateMachine, Step,
    queue::{Due, Queue, Which},
    step::Change,
};
use crate::{
    mailbox::Mailbox,
    process::Process,
    reason::{Exit, ExitReason},
    rt,
    sys::port::{Kind, Port, Subject, Woken},
};
use std::any::Any;

pub(super) async fn run<M: StateMachine>(process: Process, mailbox: Mailbox<Event<M>>, args: M::Args) -> Exit {
    process.shows(&mailbox);
    let mut port = Port::open(&process, mailbox.gauge());
    let addr = MachineAddr { addr: mailbox.addr() };
    let me = MachineProcess { process, addr };
    let Begin { with, step } = M::init(args, &me).await?;
    let Some((state, data)) = with else {
        return Ok(());
    };
    me.ready();
    let mut machine = Machine { state, data, queue: Queue::new(), me };
    let reason = machine.serve(&mailbox, &mut port, step).await;
    let Machine { state, data, me, .. } = machine;
    port.run(data.terminate(&reason, &state, &me)).await?;
    match reason {
        ExitReason::Normal => Ok(()),
        reason => Err(reason),
    }
}

struct Machine<M: StateMachine> {
    state: M::State,
    data: M,
    queue: Queue<Event<M>, M::Timer>,
    me: MachineProcess<M>,
}

impl<M: StateMachine> Machine<M> {
    /// Until it ends: why.
    async fn serve(&mut self, mailbox: &Mailbox<Event<M>>, port: &mut Port, first: Step<M>) -> ExitReason {
        let mut messages = mailbox.stream();
        let change = Change::Repeat;
        let mut step = Step { change, ..first };
        loop {
            if let Err(reason) = self.apply(step, port).await {
                return reason;
            }
            let event = loop {
                let deadline = match self.queue.next(rt::now) {
                    Due::Event(event) => break event,
                    Due::Timeout(which) => break timeout(which),
                    Due::Wait(deadline) => deadline,
                };
                let mut seen = Seen { state: &self.state, data: &mut self.data };
                match port.next(&self.me, &mut messages, deadline, &mut seen).await {
                    Woken::Message(event) => break event,
                    Woken::Timeout => {}
                    Woken::Exit(signal) => {
                        let reason = signal.reason.clone();
                        match M::trap(signal) {
                            Some(info) => break Event::Info(info),
                            None if reason == ExitReason::Normal => {}
                            None => return reason,
                        }
                    }
                    Woken::Shutdown => return self.me.entry.exit_reason(),
                }
            };
            step = match self.handle(event, port).await {
                Ok(step) => step,
                Err(reason) => return reason,
            };
        }
    }

    async fn handle(&mut self, event: Event<M>, port: &mut Port) -> Result<Step<M>, ExitReason> {
        let kind = match &event {
            Event::Call(_) => Kind::Call,
            Event::Cast(_) => Kind::Cast,
            Event::Info(_) => Kind::Info,
            Event::Internal(_) | Event::Enter => Kind::Internal,
            Event::StateTimeout | Event::EventTimeout | Event::Timeout(_) => Kind::Timeout,
        };
        port.saw(kind, &event);
        port.run(self.data.handle_event(event, &self.state, &self.me)).await.flatten()
    }

    /// A step, and the enter events that it leads to. `Err`: it ends.
    async fn apply(&mut self, step: Step<M>, port: &mut Port) -> Result<(), ExitReason> {
        let Step { change, postponed, next_events, mut timeouts } = step;
        let (mut enters, changed) = match change {
            Change::Stop(reason) => return Err(reason),
            Change::Keep => (false, false),
            Change::Repeat => (true, false),
            Change::Next(state) => {
                let changed = state != self.state;
                self.state = state;
                (changed, changed)
            }
        };
        while M::STATE_ENTER && enters {
            let Step { change, postponed, next_events, timeouts: more } = self.handle(Event::Enter, port).await?;
            enters = match change {
                Change::Stop(reason) => return Err(reason),
                Change::Repeat => true,
                Change::Next(state) if state != self.state => return Err(bad_enter()),
                Change::Keep | Change::Next(_) => false,
            };
            if postponed.is_some() || !next_events.is_empty() {
                return Err(bad_enter());
            }
            timeouts.extend(more);
        }
        self.queue.handled(changed, postponed, next_events);
        for (which, wait) in timeouts {
            self.queue.set(which, wait, rt::now);
        }
        Ok(())
    }
}

fn bad_enter() -> ExitReason {
    ExitReason::Error("bad_state_enter: it changes the state, postpones, or adds events".to_string())
}

fn timeout<M: StateMachine>(which: Which<M::Timer>) -> Event<M> {
    match which {
        Which::State => Event::StateTimeout,
        Which::Event => Event::EventTimeout,
        Which::Named(name) => Event::Timeout(name),
    }
}

/// A state machine as `sys` sees it.
struct Seen<'a, M: StateMachine> {
    state: &'a M::State,
    data: &'a mut M,
}

impl<M: StateMachine> Subject for Seen<'_, M> {
    fn text(&self) -> String {
        format!("({:?}, {:?})", self.state, self.data)
    }
    fn json(&self) -> Option<String> {
        self.data.state_json(self.state)
    }
    fn state(&mut self) -> &mut dyn Any {
        self.data
    }
}
