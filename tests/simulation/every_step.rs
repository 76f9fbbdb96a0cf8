//! Each step is idempotent, and a failure of any step leaves nothing behind.

use crate::{
    faults::{Fault, INVOKE, Kind},
    invariants::{Snapshot, difference},
    machine::End,
    scenarios::{Outcome, Scenario, rollback_tasks},
    seeds,
    world::{Setup, simulate},
};

/// The snapshot without the creation times of scrapers.
fn without_times(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    for resource in snapshot.0.values_mut() {
        resource.as_object_mut().expect("an object").remove("createdAt");
    }
    snapshot
}

/// Asserts that two snapshots are equal, except for the creation times of scrapers.
pub fn assert_same(one: &Snapshot, other: &Snapshot) {
    let (one, other) = (without_times(one), without_times(other));
    assert!(one == other, "{}", difference(&one, &other));
}

#[test]
fn every_step_is_idempotent() {
    seeds::each("every_step_is_idempotent", Scenario::ALL.len() as u64, |seed| {
        let scenario = Scenario::ALL[seed as usize];
        let once = scenario.run(&Setup::calm("once", seed), &[], false);
        let twice = Setup {
            twice: true,
            ..Setup::calm("once", seed)
        };
        let twice = scenario.run(&twice, &[], false);
        assert_eq!(once.error(), twice.error(), "{scenario:?}");
        assert_eq!(once.error(), scenario.error());
        assert_same(&once.after, &twice.after);
    });
}

#[test]
fn a_failure_at_any_step_leaves_the_accounts_as_before() {
    let rollback_tasks = rollback_tasks();
    let mut cases = Vec::new();
    for scenario in Scenario::ALL {
        let tasks = scenario.run(&Setup::calm("plain", 0), &[], false).tasks();
        // Logs that cannot be switched on are a warning.
        for task in (&tasks - &rollback_tasks).into_iter().filter(|task| task != LOGS) {
            for kind in [Kind::ServerError, Kind::KilledAfter] {
                cases.push((scenario, task.clone(), kind));
            }
        }
    }
    assert!(cases.len() > 80, "{}", cases.len());
    seeds::each("a_failure_at_any_step", cases.len() as u64, |seed| {
        let (scenario, task, kind) = &cases[seed as usize];
        let repeat = scenario.machine() == "offboard";
        let fault = Fault::of(0, task, INVOKE, 0, usize::MAX, *kind);
        let outcome = scenario.run(&Setup::calm("failure", seed), &[fault], repeat);
        let name = match kind {
            Kind::ServerError => "Lambda.ServiceException",
            _ => "Runtime.ExitError",
        };
        assert_eq!(
            (outcome.injected, outcome.error()),
            (1, Some(name)),
            "{scenario:?} {task} {kind:?}"
        );
        match scenario {
            // The execution deletes the failed scraper and does not restore it. The roles remain.
            Scenario::FailedScraper => assert_same_roles(&outcome),
            // The second offboarding removes what the first one did not.
            Scenario::Offboard | Scenario::OffboardAll | Scenario::OffboardExpecting => {
                assert!(matches!(outcome.second_end, Some(End::Succeeded(_))), "{outcome:?}");
                assert_same(&outcome.after, &Snapshot::default());
            }
            // Repairs before the failure remain, but no resource is created or deleted.
            Scenario::OtherAlias => assert!(outcome.before.0.keys().eq(outcome.after.0.keys())),
            _ => assert_same(&outcome.before, &outcome.after),
        }
    });
}

/// Asserts that the roles are the same before and after, except for their trust policies.
fn assert_same_roles(outcome: &Outcome) {
    let roles = |snapshot: &Snapshot| {
        let mut snapshot = snapshot.clone();
        snapshot.0.retain(|arn, _| arn.contains(":role/"));
        // The placeholder trust replaces the scraper trust of the failed scraper.
        for role in snapshot.0.values_mut() {
            role.as_object_mut().expect("an object").remove("trust");
        }
        snapshot
    };
    assert_same(&roles(&outcome.before), &roles(&outcome.after));
}

#[test]
fn every_rollback_step_is_idempotent_and_retried() {
    let rollback_tasks: Vec<String> = rollback_tasks().into_iter().collect();
    let faults = [
        // The step succeeded, but the state machine receives no result and runs the step again.
        (Kind::KilledAfter, 1),
        (Kind::DisconnectedAfter, 1),
        // Several consecutive failures.
        (Kind::ServerError, 6),
        (Kind::AccessDenied, 6),
        (Kind::NoResponse, 3),
    ];
    let cases = rollback_tasks.len() * faults.len();
    seeds::each("every_rollback_step", cases as u64, |seed| {
        let task = &rollback_tasks[seed as usize / faults.len()];
        let (kind, times) = faults[seed as usize % faults.len()];
        let fault = Fault::of(0, task, INVOKE, 0, times, kind);
        let setup = Setup {
            twice: true,
            ..Setup::calm("undo", seed)
        };
        let scenario = match task.as_str() {
            "Restore scraper" => Scenario::AdoptingFails,
            _ => Scenario::Failing,
        };
        let outcome = scenario.run(&setup, &[fault], false);
        assert_eq!(
            (outcome.injected, outcome.error()),
            (1, scenario.error()),
            "{task} {kind:?}"
        );
        assert_same(&outcome.before, &outcome.after);
    });
}

/// The task whose failure is a warning.
const LOGS: &str = "Update collector logs";

#[test]
fn logs_that_cannot_be_switched_on_are_a_warning_and_do_not_fail_the_execution() {
    for kind in [Kind::ServerError, Kind::KilledAfter] {
        let fault = Fault::of(0, LOGS, INVOKE, 0, usize::MAX, kind);
        let outcome = Scenario::Logging.run(&Setup::calm("logs", 0), &[fault], false);
        let End::Succeeded(output) = &outcome.end else {
            panic!("{outcome:?}");
        };
        let warnings = output["warnings"].to_string();
        assert!(
            warnings.contains("The logs of the collector could not be changed. "),
            "{warnings}"
        );
        assert_eq!(outcome.injected, 1);
    }
}

#[test]
fn a_failed_check_of_ingestion_is_reported_and_does_not_fail_the_execution() {
    let fault = Fault::of(0, "Check ingestion", INVOKE, 0, usize::MAX, Kind::ServerError);
    let end = simulate(&Setup::calm("unseen", 1), async |world| {
        world.state().faults = vec![fault];
        let run = world.start("onboard", world.request(1));
        world.wait_until_idle().await;
        run.end().expect("it has ended")
    });
    let End::Succeeded(output) = end else { panic!("{end:?}") };
    assert_eq!(output["ingestion"]["result"], "NOT_CHECKED");
    assert!(
        output["ingestion"]["hints"][0]
            .as_str()
            .unwrap()
            .contains("Lambda.ServiceException")
    );
}
