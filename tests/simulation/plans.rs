//! Plans of offboardings: an offboarding deletes exactly what its plan lists, and ends as the plan says.

use crate::{
    drift::{Change, changes, with},
    healthy,
    invariants::{Snapshot, WORKSPACE_TAG},
    machine::End,
    seeds,
    world::{Execution, Setup, World, simulate},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// The accounts whose roles cannot be assumed.
const UNREACHABLE: [&[&str]; 4] = [&[], &["source"], &["target"], &["source", "target"]];

/// The requests: of a pair, of a reconciliation, which leaves nothing in an account that cannot be reached, and of all
/// pairs.
const REQUESTS: [&str; 3] = ["pair", "reconciliation", "cluster"];

/// The drifts of the resources of a pair, and roles that do not carry its tags.
fn drifts() -> Vec<(&'static str, Change)> {
    let mut drifts = changes();
    drifts.retain(|(_, change)| !matches!(change, Change::Request(_)));
    drifts.extend([
        ("none", Change::Request(json!({}))),
        (
            "source: without the tag of the workspace",
            Change::SourceRole(|role| drop(role.tags.remove(WORKSPACE_TAG))),
        ),
        (
            "target: the tag of another workspace",
            Change::TargetRole(|role| drop(role.tags.insert(WORKSPACE_TAG.to_owned(), "other".to_owned()))),
        ),
    ]);
    drifts
}

/// Runs an offboarding, and returns the name of its error and its output.
async fn offboard(world: &Arc<World>, request: Value) -> (Value, Value) {
    let execution = world.start("offboard", request);
    world.wait_until_idle().await;
    ended(&execution)
}

fn ended(execution: &Execution) -> (Value, Value) {
    match execution.end() {
        Some(End::Succeeded(output)) => (Value::Null, output),
        Some(End::Failed(failure)) => (json!(failure.error), Value::Null),
        other => panic!("{other:?}"),
    }
}

fn snapshot(world: &World) -> Snapshot {
    Snapshot::of(&world.state().cloud, world.now())
}

/// Plans and makes an offboarding of a pair with a drift, and tries to keep to the plan once more. Returns the end that
/// was planned.
async fn check(world: &Arc<World>, drift: &Change, request: &str, unreachable: &[&str]) -> String {
    healthy::connect(world, &world.pair(1));
    healthy::connect(world, &world.pair(2));
    drift.apply(world);
    let request = match request {
        "pair" => world.request(1),
        "reconciliation" => with(&world.request(1), json!({ "origin": "RECONCILIATION" })),
        _ => json!({ "clusterArn": world.request(1)["clusterArn"] }),
    };
    let accounts = unreachable.iter().map(|side| match *side {
        "source" => world.source.clone(),
        _ => world.target.clone(),
    });
    world.state().cloud.unreachable = accounts.collect();

    let before = snapshot(world);
    let (error, plan) = offboard(world, with(&request, json!({ "mode": "PLAN" }))).await;
    assert_eq!(world.state().writes, [], "a plan wrote");
    if plan.is_null() {
        // The pairs of the cluster are only known in its account.
        assert_eq!(offboard(world, request).await.0, error);
        assert_eq!(world.state().writes, []);
        return format!("the plan failed as {error}");
    }
    assert_eq!(plan["outcome"], "PLANNED", "{plan}");
    let expecting = with(&request, json!({ "expectedPlan": plan["plan"] }));
    let (error, output) = offboard(world, expecting.clone()).await;
    assert_eq!(error, plan["wouldFailAs"], "{plan}");
    let is_failure = !plan["prerequisites"].as_array().unwrap().is_empty();
    assert_eq!(is_failure, !error.is_null(), "{plan}");
    let deletions = plan["changes"].as_array().unwrap().iter().map(|change| {
        assert_eq!(
            (&change["action"], &change["differences"]),
            (&json!("DELETE"), &json!([]))
        );
        let account = change["arn"].as_str().unwrap().split(':').nth(4);
        assert_eq!(change["accountId"].as_str(), account, "{change}");
        change["arn"].clone()
    });
    let deletions: Vec<Value> = deletions.collect();
    if error.is_null() {
        assert_eq!(json!(deletions), output["removed"], "{plan} {output}");
        let skipped = output["skipped"].as_array().unwrap();
        assert_eq!(
            plan["warnings"].as_array().unwrap().len(),
            skipped.len(),
            "{plan} {output}"
        );
    }
    let after = snapshot(world);
    // AMP was already deleting a scraper that was DELETING.
    let removed = before.0.into_iter().filter(|(arn, resource)| {
        let was_deleting = resource["state"] == "DELETING";
        !was_deleting && !after.0.contains_key(arn)
    });
    let removed: BTreeSet<String> = removed.map(|(arn, _)| arn).collect();
    let planned: BTreeSet<String> = deletions.iter().map(|arn| arn.as_str().unwrap().to_owned()).collect();
    assert_eq!(planned, removed, "{plan}");

    let writes = world.state().writes.len();
    assert_eq!(writes > 0, !deletions.is_empty(), "{plan}");
    let (again, _) = offboard(world, expecting).await;
    // If there was nothing to delete, the plan still applies.
    let expected = if deletions.is_empty() {
        error.clone()
    } else {
        json!("PlanChanged")
    };
    assert_eq!(again, expected, "{plan}");
    assert_eq!(world.state().writes.len(), writes, "an outdated plan was made");
    format!("{error}")
}

#[test]
fn an_offboarding_deletes_what_its_plan_lists_and_an_outdated_plan_deletes_nothing() {
    let drifts = drifts();
    let mut cases = Vec::new();
    for drift in &drifts {
        for request in REQUESTS {
            cases.extend(UNREACHABLE.map(|unreachable| (drift, request, unreachable)));
        }
    }
    let ends = std::sync::Mutex::new(BTreeSet::new());
    seeds::each("an_offboarding_deletes", cases.len() as u64, |seed| {
        let ((name, drift), request, unreachable) = &cases[seed as usize];
        println!("{name}, {request}, unreachable: {unreachable:?}");
        let end = simulate(&Setup::calm("removal", seed), async |world| {
            check(world, drift, request, unreachable).await
        });
        ends.lock().unwrap().insert(end);
    });
    let ends = ends.into_inner().unwrap();
    let expected = [
        "\"AccessDenied\"",
        "\"OffboardingIncomplete\"",
        "null",
        "the plan failed as \"AccessDenied\"",
    ];
    assert!(ends.iter().map(String::as_str).eq(expected), "{ends:?}");
}

#[test]
fn a_plan_names_the_execution_that_works_on_the_cluster() {
    for machine in ["onboard", "offboard"] {
        simulate(&Setup::calm("busy", 0), async |world| {
            healthy::connect(world, &world.pair(1));
            let running = world.start("offboard", world.request(1));
            // AMP deletes the scraper within 50 seconds.
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
            let plan = with(&world.request(1), json!({ "mode": "PLAN" }));
            let busy = world.start(machine, plan.clone());
            world.wait_until_idle().await;
            assert_eq!(ended(&busy).1["inProgress"], json!(running.arn), "{machine}");
            let idle = world.start(machine, plan);
            world.wait_until_idle().await;
            assert_eq!(ended(&idle).1["inProgress"], Value::Null, "{machine}");
        });
    }
}
