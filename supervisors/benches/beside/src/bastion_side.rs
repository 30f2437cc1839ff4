//! bastion 0.4.5 alone.

use crate::Count;
use bastion::prelude::*;

fn top() -> SupervisorRef {
    Bastion::init();
    Bastion::start();
    let always = RestartStrategy::default()
        .with_restart_policy(RestartPolicy::Always)
        .with_actor_restart_strategy(ActorRestartStrategy::Immediate);
    Bastion::supervisor(|top| top.with_restart_strategy(always)).unwrap()
}

/// A group for every process: there is no other way to start one at run time.
pub fn spawn(count: &Count, n: u64) {
    let top = top();
    for _ in 0..n {
        let count = count.clone();
        let made = top.children(|group| {
            group.with_exec(move |_: BastionContext| {
                let count = count.clone();
                async move {
                    count.down();
                    Ok(())
                }
            })
        });
        made.unwrap();
    }
}

pub fn restarts(count: &Count) {
    let count = count.clone();
    let made = top().children(|group| {
        group.with_exec(move |_: BastionContext| {
            let count = count.clone();
            async move {
                match count.down() {
                    1 => std::future::pending().await,
                    _ => Err(()),
                }
            }
        })
    });
    made.unwrap();
}

pub struct Echo(ChildRef);

impl Echo {
    pub fn start() -> Self {
        let group = top().children(|group| {
            group.with_exec(|ctx: BastionContext| async move {
                loop {
                    MessageHandler::new(ctx.recv().await?).on_tell(|count: Count, _| {
                        count.down();
                    });
                }
            })
        });
        Self(group.unwrap().elems().first().unwrap().clone())
    }

    pub fn cast(&self, count: &Count) {
        self.0.tell_anonymously(count.clone()).unwrap();
    }
}
