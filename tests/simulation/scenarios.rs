//! The scenarios of the generic tests, which run them with and without faults and compare the results. Together the
//! scenarios enter each task of both state machines.

use crate::{
    aws::amp::Creation,
    faults::{Fault, INVOKE},
    healthy,
    invariants::Snapshot,
    machine::End,
    world::{RecordedCall, Setup, World, machine_of, simulate},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Onboards a pair without existing resources, with the early patch of the trust policies.
    Fresh,
    /// Onboards a pair whose collector writes logs.
    Logging,
    /// Onboards a cluster that has to be prepared.
    Unprepared,
    /// Onboards a pair whose scraper ampxa did not create, and adopts it.
    Adopting,
    /// The same; the roles of the pair cannot write.
    AdoptingFails,
    /// Onboards a pair without existing resources; the creation of the scraper fails.
    Failing,
    /// Onboards a pair that is connected already.
    AlreadyOnboarded,
    /// Plans the onboarding of a pair that is connected already.
    Planned,
    /// Onboards a pair that is connected already, and expects the plan of [`Self::Planned`].
    Expecting,
    /// Onboards a connected pair with a different alias.
    OtherAlias,
    /// Onboards a pair whose scraper is CREATION_FAILED.
    FailedScraper,
    /// Offboards a connected pair.
    Offboard,
    /// Offboards all pairs of the cluster.
    OffboardAll,
    /// Plans the offboarding of all pairs of the cluster.
    OffboardPlanned,
    /// Offboards all pairs of the cluster, and expects the plan of [`Self::OffboardPlanned`].
    OffboardExpecting,
}

/// The result of a scenario.
#[derive(Debug)]
pub struct Outcome {
    pub end: End,
    pub before: Snapshot,
    pub after: Snapshot,
    /// All calls in order, including those of the second execution.
    pub calls: Vec<RecordedCall>,
    /// The number of planned faults that were injected.
    pub injected: usize,
    /// The end of the second execution, if the scenario was repeated.
    pub second_end: Option<End>,
}

impl Scenario {
    pub const ALL: [Self; 15] = [
        Self::Fresh,
        Self::Adopting,
        Self::AdoptingFails,
        Self::Logging,
        Self::Unprepared,
        Self::Failing,
        Self::AlreadyOnboarded,
        Self::Planned,
        Self::Expecting,
        Self::OtherAlias,
        Self::FailedScraper,
        Self::Offboard,
        Self::OffboardAll,
        Self::OffboardPlanned,
        Self::OffboardExpecting,
    ];

    /// The name of the error with which the execution fails and rolls back without a fault.
    pub fn error(self) -> Option<&'static str> {
        match self {
            Self::Failing => Some("ScraperFailed"),
            Self::AdoptingFails => Some("NoSamples"),
            _ => None,
        }
    }

    pub fn machine(self) -> &'static str {
        match self {
            Self::Offboard | Self::OffboardAll | Self::OffboardPlanned | Self::OffboardExpecting => "offboard",
            _ => "onboard",
        }
    }

    /// Creates the resources that exist before the execution, and returns its input.
    fn set_up(self, world: &Arc<World>) -> Value {
        let mut input = world.request(1);
        if self.machine() == "onboard" {
            input["checkIngestion"] = json!("REQUIRE");
        }
        let connects_new_pair = matches!(
            self,
            Self::Fresh | Self::Logging | Self::Unprepared | Self::Failing | Self::Adopting | Self::AdoptingFails
        );
        if !connects_new_pair {
            healthy::connect(world, &world.pair(1));
        }
        let pair = world.pair(1);
        let mut state = world.state();
        match self {
            Self::Fresh => input["patchTrust"] = json!("EARLY"),
            Self::Adopting | Self::AdoptingFails => {
                input["adopt"] = json!(true);
                state.cloud.adoptable_roles = healthy::foreign_roles(&pair).to_vec();
                healthy::add_foreign_scraper(&mut state.cloud, &pair);
                if self == Self::AdoptingFails {
                    input["alias"] = json!("other");
                    input["collectorLogs"] = json!("NEVER");
                    state.cloud.denies_pair_roles = true;
                }
            }
            Self::Logging => input["collectorLogs"] = json!("ALWAYS"),
            Self::Unprepared => {
                input["prepareCluster"] = json!(["PRIVATE_ENDPOINT", "ACCESS_ENTRIES"]);
                for cluster in state.cloud.clusters.values_mut() {
                    cluster.has_private_endpoint = false;
                    cluster.authentication_mode = "CONFIG_MAP".to_owned();
                }
            }
            Self::Failing => state.cloud.amp.creations.push_back(Creation {
                duration: Duration::from_secs(70),
                fails: true,
            }),
            Self::Planned => input["mode"] = json!("PLAN"),
            Self::OtherAlias => input["alias"] = json!("other"),
            Self::FailedScraper => state.cloud.amp.scrapers[0].states[0].1 = "CREATION_FAILED",
            Self::OffboardAll | Self::OffboardPlanned | Self::OffboardExpecting => {
                drop(state);
                healthy::connect(world, &world.pair(2));
                input.as_object_mut().expect("an object").remove("workspaceArn");
                if self == Self::OffboardPlanned {
                    input["mode"] = json!("PLAN");
                }
            }
            Self::AlreadyOnboarded | Self::Expecting | Self::Offboard => {}
        }
        input
    }

    /// Runs the scenario with faults; if `repeat`, also runs a second execution without faults.
    pub fn run(self, setup: &Setup, faults: &[Fault], repeat: bool) -> Outcome {
        // The plan is made in another world with the same names: the execution of the scenario is the first of its world.
        let planned = match self {
            Self::Expecting => Some(Self::Planned),
            Self::OffboardExpecting => Some(Self::OffboardPlanned),
            _ => None,
        };
        let expected_plan = planned.map(|planned| planned.run(setup, &[], false).output()["plan"].clone());
        simulate(setup, async |world| {
            let mut input = self.set_up(world);
            if let Some(plan) = &expected_plan {
                input["expectedPlan"] = plan.clone();
            }
            let snapshot = |world: &World| Snapshot::of(&world.state().cloud, world.now());
            let before = snapshot(world);
            world.state().faults = faults.to_vec();
            let first = world.start(self.machine(), input.clone());
            world.wait_until_idle().await;
            let faults = std::mem::take(&mut world.state().faults);
            let second = match repeat {
                true => {
                    // The first execution may have made a part of the plan.
                    input.as_object_mut().expect("an object").remove("expectedPlan");
                    let second = world.start(self.machine(), input);
                    world.wait_until_idle().await;
                    Some(second)
                }
                false => None,
            };
            Outcome {
                end: first.end().expect("it has ended"),
                before,
                after: snapshot(world),
                calls: world.state().calls.clone(),
                injected: faults.iter().filter(|fault| fault.was_injected()).count(),
                second_end: second.and_then(|second| second.end()),
            }
        })
    }
}

impl Outcome {
    /// The names of the tasks that were entered.
    pub fn tasks(&self) -> BTreeSet<String> {
        let invocations = self.calls.iter().filter(|call| call.action == INVOKE);
        invocations.map(|call| call.state.clone()).collect()
    }

    /// The output of an execution that succeeded.
    fn output(&self) -> &Value {
        match &self.end {
            End::Succeeded(output) => output,
            end => panic!("{end:?}"),
        }
    }

    /// The name of the error, if the execution failed.
    pub fn error(&self) -> Option<&str> {
        match &self.end {
            End::Failed(failure) => Some(&failure.error),
            _ => None,
        }
    }
}

/// The names of the rollback's tasks: those that only the failing scenarios enter.
pub fn rollback_tasks() -> BTreeSet<String> {
    let tasks = |scenario: Scenario| scenario.run(&Setup::calm("undoing", 0), &[], false).tasks();
    let of_failing = &tasks(Scenario::Failing) | &tasks(Scenario::AdoptingFails);
    &of_failing - &(&tasks(Scenario::Fresh) | &tasks(Scenario::Adopting))
}

/// The names of all tasks of a state machine, including those in Map states.
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
            .flat_map(|scenario| scenario.run(&Setup::calm("entered", 0), &[], false).tasks())
            .collect();
        assert_eq!(entered, tasks_of(machine));
    }
    assert_eq!(rollback_tasks().len(), 4, "{:?}", rollback_tasks());
}
