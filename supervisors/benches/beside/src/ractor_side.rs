//! ractor: it has supervision events, and leaves the restart to the supervising actor.

use crate::Count;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

struct Short;

impl Actor for Short {
    type Msg = ();
    type State = ();
    type Arguments = Count;

    async fn pre_start(&self, myself: ActorRef<()>, count: Count) -> Result<(), ActorProcessingErr> {
        count.down();
        myself.stop(None);
        Ok(())
    }
}

/// Starts what it is asked for, as a child.
struct Top;

impl Actor for Top {
    type Msg = Count;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Count>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Count>, count: Count, (): &mut ()) -> Result<(), ActorProcessingErr> {
        Actor::spawn_linked(None, Short, count, myself.get_cell()).await?;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Count>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

pub fn spawn(count: &Count, n: u64) {
    let top = block_on(async { Actor::spawn(None, Top, ()).await.unwrap().0 });
    for _ in 0..n {
        top.cast(count.clone()).unwrap();
    }
}

/// Fails at its first message, which it sends itself.
struct Again;

impl Actor for Again {
    type Msg = ();
    type State = Count;
    type Arguments = Count;

    async fn pre_start(&self, myself: ActorRef<()>, count: Count) -> Result<Count, ActorProcessingErr> {
        myself.cast(())?;
        Ok(count)
    }

    async fn handle(&self, _: ActorRef<()>, (): (), count: &mut Count) -> Result<(), ActorProcessingErr> {
        match count.down() {
            1 => Ok(()),
            _ => Err("again".into()),
        }
    }
}

struct Restarts;

impl Actor for Restarts {
    type Msg = ();
    type State = Count;
    type Arguments = Count;

    async fn pre_start(&self, myself: ActorRef<()>, count: Count) -> Result<Count, ActorProcessingErr> {
        Actor::spawn_linked(None, Again, count.clone(), myself.get_cell()).await?;
        Ok(count)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        count: &mut Count,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            Actor::spawn_linked(None, Again, count.clone(), myself.get_cell()).await?;
        }
        Ok(())
    }
}

pub fn restarts(count: &Count) {
    block_on(async { drop(Actor::spawn(None, Restarts, count.clone()).await.unwrap()) });
}

struct Counts;

impl Actor for Counts {
    type Msg = Count;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Count>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Count>, count: Count, (): &mut ()) -> Result<(), ActorProcessingErr> {
        count.down();
        Ok(())
    }
}

pub struct Echo(ActorRef<Count>);

impl Echo {
    pub fn start() -> Self {
        Self(block_on(async { Actor::spawn(None, Counts, ()).await.unwrap().0 }))
    }

    pub fn cast(&self, count: &Count) {
        self.0.cast(count.clone()).unwrap();
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(work)
}
