//! A generic state machine: what an event means depends on the state.
//!
//! A turnstile takes coins. Who pushes while it is locked waits, without knowing, for the next coin; an open one locks itself again when
//! nobody comes.
//!
//! `cargo run -p supervisors --example state_machine`

use std::time::Duration;
use supervisors::{
    Begin, ChildSpec, ExitReason, Flags, MachineEvent as Event, MachineProcess, Reply, StateMachine, Step,
    SupervisorSpec, sys,
};

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Turnstile {
    passed: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Locked,
    Open,
}

#[derive(Debug)]
enum Call {
    /// From visitors: the answer is their number.
    Push(Reply<u32>),
}

/// From visitors.
#[derive(Debug)]
struct Coin;

impl StateMachine for Turnstile {
    type Args = ();
    type State = State;
    type Call = Call;
    type Cast = Coin;
    type Info = ();
    type Internal = ();
    type Timer = ();

    const STATE_ENTER: bool = true;

    async fn init((): (), _: &MachineProcess<Self>) -> Result<Begin<Self>, ExitReason> {
        Ok(Begin::new(State::Locked, Self::default()))
    }

    async fn handle_event(
        &mut self,
        event: Event<Self>,
        state: &State,
        _: &MachineProcess<Self>,
    ) -> Result<Step<Self>, ExitReason> {
        Ok(match (state, event) {
            (State::Locked, Event::Enter) => {
                println!("  locked");
                Step::keep()
            }
            (State::Open, Event::Enter) => {
                println!("  open");
                Step::keep().state_timeout(Duration::from_millis(50))
            }
            (State::Locked, Event::Cast(Coin)) => Step::next(State::Open),
            (State::Locked, push @ Event::Call(_)) => {
                println!("  somebody pushes, and waits");
                Step::keep().postpone(push)
            }
            (State::Open, Event::Call(Call::Push(from))) => {
                self.passed += 1;
                Step::next(State::Locked).reply(from, self.passed)
            }
            (State::Open, Event::StateTimeout) => {
                println!("  nobody came");
                Step::next(State::Locked)
            }
            _ => Step::keep(),
        })
    }

    async fn terminate(self, reason: &ExitReason, state: &State, _: &MachineProcess<Self>) {
        println!("  {reason}: {state:?} after {} visitors", self.passed);
    }
}

fn main() {
    println!("a coin and a push:");
    let (turnstile, mailbox) = Turnstile::mailbox();
    let system = supervisors::start(ChildSpec::supervisor("museum_sup", move || SupervisorSpec {
        flags: Flags::one_for_one(),
        children: vec![Turnstile::child_spec("turnstile", &mailbox, ())],
    }));
    let push = async || {
        let visitor = turnstile.call(LIMIT, Call::Push).await;
        // The answer comes before the next state is entered, and this after it.
        let snapshot = system.snapshot();
        let pid = snapshot.find("museum_sup/turnstile").first().and_then(|node| node.pid);
        let state = sys::get_state(pid?, LIMIT).await;
        Some((visitor.ok()?, state.ok()?))
    };
    let coin = async || drop(turnstile.cast(Coin));
    async_std::task::block_on(async {
        coin().await;
        println!("  {:?}", push().await);
        println!("a push and a coin:");
        println!("  {:?}", futures::join!(push(), coin()).0);
        println!("two coins, and time for one of them to be lost:");
        coin().await;
        async_std::task::sleep(Duration::from_millis(200)).await;
        coin().await;
        println!("  {:?}", push().await);
        println!("the end:");
        system.stop(LIMIT).await;
    });
}
