//! Runs the state machines with the real steps against a simulated AWS, in one process and in virtual time: thousands
//! of races, faults at each call, and killed functions.
//!
//! `AMPXA_SEED=<n>` runs only that seed and prints a trace of the states and calls.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adopt;
mod aws;
mod drift;
mod every_call;
mod every_step;
mod faults;
mod healthy;
mod invariants;
mod machine;
mod plans;
mod prepare;
mod races;
mod random_plans;
mod scenarios;
mod seeds;
mod steps;
mod world;

use machine::End;
use world::{Setup, simulate};

#[test]
fn a_pair_is_onboarded_and_offboarded() {
    simulate(&Setup::calm("first", 0), async |world| {
        let onboard = world.start("onboard", world.request(1));
        world.wait_until_idle().await;
        assert!(matches!(onboard.end(), Some(End::Succeeded(_))), "{onboard:?}");
        let offboard = world.start("offboard", world.request(1));
        world.wait_until_idle().await;
        assert!(matches!(offboard.end(), Some(End::Succeeded(_))), "{offboard:?}");
    });
}
