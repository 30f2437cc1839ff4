//! Prediction equals observation along links.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
use common::*;
use supervisors::*;

/// Linear congruential: the same trees each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn along_random_links_those_die_who_were_predicted_to_and_no_others() {
    let (mut dice, mut deaths) = (Dice(7), 0);
    for round in 0..60 {
        let at = SupervisorRef::new();
        let system = start(empty("top", &at));
        wait(async {
            let mut puppets = Vec::new();
            for n in 0..16 {
                let traps = dice.below(4) == 0;
                let with = |spec: ChildSpec| if traps { spec.trap_exit() } else { spec };
                puppets.push(Puppet::start_with(&at, &n.to_string(), with).await);
            }
            for _ in 0..dice.below(24) {
                let (one, other) = (dice.below(16), dice.below(16));
                link(puppets[one].pid, puppets[other].pid);
            }
            let reason = match dice.below(4) {
                0 => ExitReason::Normal,
                1 => ExitReason::Killed,
                2 => ExitReason::Shutdown,
                _ => ExitReason::error("a bug"),
            };
            let target = puppets.swap_remove(dice.below(16));
            let prediction = predict(&system.snapshot(), target.pid, reason.clone()).unwrap();
            let dies: Vec<Pid> = prediction.dies.iter().map(|dying| dying.pid).collect();
            assert!(dies.contains(&target.pid));
            deaths += dies.len();
            target.ends(if reason == ExitReason::Normal { Ok(()) } else { Err(reason) }, &at).await;
            for &pid in &dies {
                gone(&at, pid).await;
            }
            for puppet in puppets {
                let fate = puppet.fate().await;
                assert_eq!(fate.is_some(), dies.contains(&puppet.pid), "round {round}: {fate:?}\n{prediction}");
            }
            system.stop(LONG).await;
        });
    }
    assert!(deaths > 120, "{deaths} deaths prove little");
}
