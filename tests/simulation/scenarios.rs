//! The runs that the generic tests repeat, break and compare: together they enter every task of
//! both machines.

use crate::{
    aws::amp::Creation,
    faults::{Fault, INVOKE},
    healthy,
    invariants::Snapshot,
    machine::End,
    world::{Made, Setup, World, machine_of, simulate},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing is there yet; the trust is asked for early.
    Fresh,
    /// Nothing is there yet, and the scraper fails.
    Failing,
    /// All is there already.
    Again,
    /// All is there, with another alias than is asked for.
    OtherAlias,
    /// The pair's scraper has failed long ago.
    DeadScraper,
    /// The pair is taken apart.
    Offboard,
    /// All pairs of the cluster are.
    OffboardAll,
}

/// What came of a run.
#[derive(Debug)]
pub struct Played {
    pub end: End,
    pub before: Snapshot,
    pub after: Snapshot,
    /// All calls, in order; with those of a second run, if there was one.
    pub calls: Vec<Made>,
    /// How many of the planned faults happened.
    pub struck: usize,
    /// The end of the second run.
    pub again: Option<End>,
}

impl Scenario {
    pub const ALL: [Self; 7] = [
        Self::Fresh,
        Self::Failing,
        Self::Again,
        Self::OtherAlias,
        Self::DeadScraper,
        Self::Offboard,
        Self::OffboardAll,
    ];

    pub fn machine(self) -> &'static str {
        match self {
            Self::Offboard | Self::OffboardAll => "offboard",
            _ => "onboard",
        }
    }

    /// Lays out what is there before; answers the input.
    fn set(self, world: &Arc<World>) -> Value {
        let mut input = world.request(1);
        if self.machine() == "onboard" {
            input["checkIngestion"] = json!("REQUIRE");
        }
        if !matches!(self, Self::Fresh | Self::Failing) {
            healthy::connect(world, &world.pair(1));
        }
        let mut state = world.state();
        match self {
            Self::Fresh => input["patchTrust"] = json!("EARLY"),
            Self::Failing => state.cloud.amp.creations.push_back(Creation {
                takes: Duration::from_secs(70),
                fails: true,
            }),
            Self::OtherAlias => input["alias"] = json!("other"),
            Self::DeadScraper => state.cloud.amp.scrapers[0].states[0].1 = "CREATION_FAILED",
            Self::OffboardAll => {
                drop(state);
                healthy::connect(world, &world.pair(2));
                input.as_object_mut().expect("an object").remove("workspaceArn");
            }
            Self::Again | Self::Offboard => {}
        }
        input
    }

    /// Runs it while faults happen, and if `again`, once more after they are over.
    pub fn play(self, setup: &Setup, faults: &[Fault], again: bool) -> Played {
        simulate(setup, async |world| {
            let input = self.set(world);
            let snapshot = |world: &World| Snapshot::of(&world.state().cloud, world.now());
            let before = snapshot(world);
            world.state().faults = faults.to_vec();
            let first = world.start(self.machine(), input.clone());
            world.rest().await;
            let faults = std::mem::take(&mut world.state().faults);
            let second = match again {
                true => {
                    let second = world.start(self.machine(), input);
                    world.rest().await;
                    Some(second)
                }
                false => None,
            };
            Played {
                end: first.end().expect("it has ended"),
                before,
                after: snapshot(world),
                calls: world.state().calls.clone(),
                struck: faults.iter().filter(|fault| fault.has_struck()).count(),
                again: second.and_then(|second| second.end()),
            }
        })
    }
}

impl Played {
    /// The tasks that were entered.
    pub fn tasks(&self) -> BTreeSet<String> {
        let invoked = self.calls.iter().filter(|made| made.action == INVOKE);
        invoked.map(|made| made.state.clone()).collect()
    }

    /// The name it failed under.
    pub fn error(&self) -> Option<&str> {
        match &self.end {
            End::Failed(failure) => Some(&failure.error),
            _ => None,
        }
    }
}

/// The tasks that undo, found by what only a failing run enters.
pub fn undoing() -> BTreeSet<String> {
    let tasks = |scenario: Scenario| scenario.play(&Setup::calm("undoing", 0), &[], false).tasks();
    &tasks(Scenario::Failing) - &tasks(Scenario::Fresh)
}

/// All tasks of a machine, wherever they stand.
pub fn tasks_of(machine: &str) -> BTreeSet<String> {
    fn collect(states: &Value, tasks: &mut BTreeSet<String>) {
        for (name, state) in states.as_object().expect("states") {
            if state["Type"] == "Task" {
                tasks.insert(name.clone());
            }
            if state["Type"] == "Map" {
                collect(&state["ItemProcessor"]["States"], tasks);
            }
        }
    }
    let mut tasks = BTreeSet::new();
    collect(&machine_of(machine)["States"], &mut tasks);
    tasks
}

#[test]
fn the_scenarios_enter_every_task_of_both_machines() {
    for machine in ["onboard", "offboard"] {
        let scenarios = Scenario::ALL
            .into_iter()
            .filter(|scenario| scenario.machine() == machine);
        let entered: BTreeSet<String> = scenarios
            .flat_map(|scenario| scenario.play(&Setup::calm("entered", 0), &[], false).tasks())
            .collect();
        assert_eq!(entered, tasks_of(machine));
    }
    assert_eq!(undoing().len(), 3, "{:?}", undoing());
}
