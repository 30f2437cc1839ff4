//! What [`predict`] says and what the real runtime then does, over random trees and random exits. Both run the same state machine; what
//! is tested is everything around it: that a snapshot holds all that matters, and that processes do what the machine decides.

mod common;
mod prediction_support;
use common::*;
use prediction_support::*;
use proptest::prelude::*;

/// Each case is a tree and up to six exits, one after another.
const CASES: u32 = 1500;

fn config() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn small_trees_do_what_was_predicted(plan in flat(), exits in exits()) {
        run(&plan, &exits)?;
    }

    #[test]
    fn nested_trees_do_what_was_predicted(plan in nested(), exits in exits()) {
        run(&plan, &exits)?;
    }

    #[test]
    fn unforgiving_trees_do_what_was_predicted(plan in unforgiving(), exits in exits()) {
        run(&plan, &exits)?;
    }
}

fn run(plan: &Plan, exits: &[Exits]) -> Result<(), TestCaseError> {
    wait(observe(plan, exits)).map_err(TestCaseError::fail)
}
