//! Concurrent executions of one cluster, interleaved differently by each of a thousand seeds.

use crate::{
    aws::amp::Creation,
    faults::{Fault, Kind},
    healthy,
    machine::End,
    seeds,
    world::{Setup, World, simulate},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

#[test]
fn a_thousand_interleavings_of_two_executions_leave_one_consistent_state() {
    seeds::each("a_thousand_interleavings", 1000, interleave);
}

fn interleave(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9));
    let setup = Setup {
        latency_ms: pick(&mut random, &[20, 400, 3000]),
        iam_lag_ms: pick(&mut random, &[0, 5000, 30_000]),
        iam_writes_lag: random.bool(),
        list_lag_ms: pick(&mut random, &[0, 2000, 8000]),
        states_lag_ms: pick(&mut random, &[0, 3000]),
        one_account: random.u8(..4) == 0,
        deletion_duration: Duration::from_secs(random.u64(20..400)),
        ..Setup::calm("races", seed)
    };
    simulate(&setup, async |world| {
        set_up(world, &mut random);
        let mut machines = match random.u8(..4) {
            0 | 1 => vec!["onboard", "onboard"],
            2 => vec!["onboard", "offboard"],
            _ => vec!["offboard", "offboard"],
        };
        if random.u8(..3) == 0 {
            machines.push(pick(&mut random, &["onboard", "offboard"]));
        }
        random.shuffle(&mut machines);
        if random.u8(..3) == 0 {
            let (execution, nth) = (random.usize(..machines.len()), random.usize(..60));
            let fault = Fault::at(execution, nth, pick(&mut random, &Kind::ALL));
            world.state().faults.push(fault);
        }
        let max_interval = pick(&mut random, &[2000, 200_000]);
        let mut executions = Vec::new();
        for machine in &machines {
            executions.push(world.start(machine, input(world, machine, &mut random)));
            sleep(Duration::from_millis(random.u64(..max_interval))).await;
        }
        if random.u8(..4) == 0 {
            let max_delay = pick(&mut random, &[3000, 500_000]);
            sleep(Duration::from_millis(random.u64(..max_delay))).await;
            world.stop(&executions[random.usize(..executions.len())]);
        }
        world.wait_until_idle().await;
        // One more execution repairs or removes everything that a stopped or failed execution left behind.
        world.state().cloud.amp.creations.clear();
        for workspace in [1, 2] {
            let machine = pick(&mut random, &["onboard", "offboard"]);
            let last = world.start(machine, world.request(workspace));
            world.wait_until_idle().await;
            assert!(
                matches!(last.end(), Some(End::Succeeded(_))),
                "the last execution: {last:?}"
            );
        }
    });
}

/// Creates the initial resources: none, a connected pair, or a pair with a failed scraper; sometimes a second pair.
fn set_up(world: &Arc<World>, random: &mut fastrand::Rng) {
    let pair = world.pair(1);
    match random.u8(..8) {
        0..4 => {}
        4..7 => {
            healthy::connect(world, &pair);
        }
        _ => {
            healthy::connect(world, &pair);
            let state = pick(random, &["CREATION_FAILED", "DELETION_FAILED", "UPDATE_FAILED"]);
            world.state().cloud.amp.scrapers[0].states[0].1 = state;
        }
    }
    if random.u8(..4) == 0 {
        healthy::connect(world, &world.pair(2));
    }
    for _ in 0..4 {
        world.state().cloud.amp.creations.push_back(Creation {
            duration: Duration::from_secs(random.u64(10..300)),
            fails: random.u8(..6) == 0,
        });
    }
}

fn input(world: &World, machine: &str, random: &mut fastrand::Rng) -> Value {
    let mut input = world.request(if random.u8(..5) == 0 { 2 } else { 1 });
    if machine == "offboard" {
        if random.u8(..3) == 0 {
            input.as_object_mut().expect("an object").remove("workspaceArn");
        }
        return input;
    }
    if random.u8(..4) == 0 {
        input["patchTrust"] = json!("EARLY");
    }
    if random.u8(..4) == 0 {
        input["alias"] = json!(format!("alias-{}", random.u8(..2)));
    }
    if random.u8(..8) == 0 {
        input["activationTimeoutMinutes"] = json!(1);
    }
    input
}

fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[T]) -> T {
    from[random.usize(..from.len())]
}
