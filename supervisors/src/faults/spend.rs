//! `almost_kill`: every supervisor is brought to its last restart, and none beyond.
//!
//! Goes from the root down, one supervisor after the other, and waits until each kill has been counted where it counts; a kill
//! that is on its way is reckoned as a restart already. After `chaos_monkey`'s function of this name.

use super::{
    census::{Census, Family, Kid},
    log::Action,
    monkey::Monkey,
};
use crate::{events, pid::Pid, rt, spec::Restart, table::lock};
use std::{collections::HashMap, time::Duration};

enum Next<'a> {
    Kill(&'a Family, &'a Kid),
    /// Something is about to end or to be up.
    Wait,
    Done,
}

impl Monkey {
    /// Spends the budget of every supervisor to the last restart without breaking one, and returns when all has been counted.
    /// Only children that are restarted are killed. Drop it to stop early: it waits for whoever takes long to end or to start.
    ///
    /// No supervisor gives up because of it, as long as nothing else fails meanwhile.
    pub async fn almost_kill(&self, root: Pid) -> Vec<Action> {
        /// That a child is up is no event.
        const LOOK: Duration = Duration::from_millis(2);
        let events = events::subscribe(root);
        let mut done = Vec::new();
        // Victims of each incarnation of a supervisor: with a short period, budgets come back while they are spent.
        let mut spent: HashMap<Pid, usize> = HashMap::new();
        while let Some(census) = Census::of(root) {
            match self.next_to_spend(&census, &spent) {
                Next::Kill(family, kid) => {
                    let mut memory = lock(&self.memory);
                    let way = self.choose_way(memory.kills + 1, kid, true);
                    *spent.entry(family.pid).or_default() += 1;
                    done.push(self.strike(&mut memory, family, kid, way));
                }
                Next::Wait => {
                    rt::timeout(LOOK, events.recv()).await;
                    while events.try_recv().is_some() {}
                }
                Next::Done => break,
            }
        }
        done
    }

    /// From the root down, because a supervisor that is started again has its whole budget again.
    fn next_to_spend<'a>(&self, census: &'a Census, spent: &HashMap<Pid, usize>) -> Next<'a> {
        let mut memory = lock(&self.memory);
        memory.forget_seen(census);
        let counts = |kid: &Kid| kid.restart != Restart::Temporary;
        for family in &census.families {
            let own = spent.get(&family.pid).copied().unwrap_or_default();
            let room = memory.room(family).min(family.intensity.saturating_sub(own));
            if !family.is_calm() || memory.waits_for(family) {
                return Next::Wait;
            }
            if room == 0 {
                continue;
            }
            let n = memory.kills + 1;
            if let Some(kid) = self.best(n, census, family, counts) {
                return Next::Kill(family, kid);
            }
        }
        Next::Done
    }
}
