//! Plans of pairs with several drifts at once, with and without a fault: an onboarding changes only what its plan lists.

use crate::{
    drift::{assert_planned, changes, plan, with},
    faults::{Fault, Kind},
    healthy,
    invariants::Snapshot,
    machine::End,
    seeds,
    world::{Setup, World, simulate},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

/// The number of scenarios.
const SCENARIOS: u64 = 1_000;
/// The largest number of drifts of a pair.
const MAX_DRIFTS: usize = 5;
/// The largest number of calls before the fault. An onboarding makes about as many.
const MAX_CALLS: usize = 60;

fn setup(seed: u64, random: &mut fastrand::Rng) -> Setup {
    Setup {
        latency_ms: [20, 400, 3000][random.usize(..3)],
        one_account: random.u8(..4) == 0,
        deletion_duration: Duration::from_secs(random.u64(20..400)),
        ..Setup::calm("plans", seed)
    }
}

/// Connects a pair, makes some drifts, and returns their names and the request of the next onboarding.
fn drifted(world: &Arc<World>, random: &mut fastrand::Rng) -> (Vec<&'static str>, Value) {
    healthy::connect(world, &world.pair(1));
    let (mut names, mut request) = (Vec::new(), world.request(1));
    let mut all = changes();
    random.shuffle(&mut all);
    for (name, change) in all.into_iter().take(random.usize(..=MAX_DRIFTS)) {
        if change.is_possible(world) {
            names.push(name);
            request = with(&request, change.apply(world));
        }
    }
    (names, request)
}

fn snapshot(world: &World) -> Snapshot {
    Snapshot::of(&world.state().cloud, world.now())
}

/// Asserts that the resources that differ are those that the plan changes.
fn assert_only_planned(plan: &Value, before: &Snapshot, after: &Snapshot) {
    let all: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    let without_state = |snapshot: &Snapshot, arn: &String| {
        let mut resource = snapshot.0.get(arn).cloned().unwrap_or_default();
        // A scraper that AMP was deleting is deleted meanwhile.
        resource.as_object_mut().map(|resource| resource.remove("state"));
        resource
    };
    let was_deleting = |arn: &String| {
        before
            .0
            .get(arn)
            .is_some_and(|resource| resource["state"] == "DELETING")
    };
    let differ = all
        .into_iter()
        .filter(|arn| without_state(before, arn) != without_state(after, arn));
    let changes: Vec<&Value> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["action"] != "NONE")
        .collect();
    for arn in differ.filter(|arn| !was_deleting(arn)) {
        let is_planned = changes.iter().any(|change| match change["arn"].as_str() {
            Some(planned) => planned == arn,
            // AMP chooses the ARN of a new scraper.
            None => arn.contains(":scraper/") && !before.0.contains_key(arn),
        });
        assert!(is_planned, "{arn} is not in the plan {plan}");
    }
}

/// Plans and makes an onboarding, with a fault or without. Returns its end in words.
async fn check(world: &Arc<World>, fault: Option<Fault>, random: &mut fastrand::Rng) -> String {
    let (names, request) = drifted(world, random);
    let before = snapshot(world);
    let planned = plan(world, &request).await;
    let expecting = with(&request, json!({ "expectedPlan": planned["plan"] }));
    let is_faulty = fault.is_some();
    world.state().faults = fault.into_iter().collect();
    let apply = world.start("onboard", expecting);
    world.wait_until_idle().await;
    let was_injected = world.state().faults.iter().any(Fault::was_injected);
    world.state().faults.clear();
    assert_only_planned(&planned, &before, &snapshot(world));
    let end = match apply.end() {
        Some(End::Succeeded(output)) => {
            if !was_injected {
                assert_planned(&names.join(", "), &planned, &output);
            }
            "succeeded".to_owned()
        }
        Some(End::Failed(failure)) if is_faulty => {
            // The rollback deleted what this execution created, except for roles that an existing scraper uses.
            let cause = failure.cause.clone().unwrap_or_default();
            let keeps_roles = cause.contains("The roles of the pair are kept, because the scraper");
            let after = snapshot(world);
            let created = planned["changes"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|change| change["action"] == "CREATE");
            for arn in created.filter_map(|change| change["arn"].as_str()) {
                let is_kept = keeps_roles && arn.contains(":role/");
                assert!(
                    !after.0.contains_key(arn) || is_kept,
                    "{names:?}: {arn} is left after {failure:?}"
                );
            }
            failure.error
        }
        other => panic!("{names:?}: {other:?}"),
    };
    // A further onboarding makes what is left of the plan, and then there is nothing left. One in four is enough.
    if end == "succeeded" && random.u8(..4) > 0 {
        return end;
    }
    let rest = plan(world, &request).await;
    let apply = world.start("onboard", with(&request, json!({ "expectedPlan": rest["plan"] })));
    world.wait_until_idle().await;
    assert!(
        matches!(apply.end(), Some(End::Succeeded(_))),
        "{names:?}: {:?}",
        apply.end()
    );
    let last = plan(world, &request).await;
    let actions = last["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["action"]);
    assert!(actions.clone().all(|action| action == "NONE"), "{names:?}: {last}");
    end
}

#[test]
fn an_onboarding_changes_only_what_its_plan_lists_for_any_drifts_and_faults() {
    let ends: Mutex<BTreeMap<String, usize>> = Mutex::default();
    seeds::each("an_onboarding_changes_only_what", SCENARIOS, |seed| {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9));
        let setup = setup(seed, &mut random);
        let kind = Kind::ALL[random.usize(..Kind::ALL.len())];
        // The plan is the first execution, and the onboarding the second one.
        let fault = random.bool().then(|| Fault::at(1, random.usize(..MAX_CALLS), kind));
        let end = simulate(&setup, async |world| check(world, fault, &mut random).await);
        *ends.lock().unwrap().entry(end).or_default() += 1;
    });
    let ends = ends.into_inner().unwrap();
    println!("{ends:?}");
    if std::env::var_os("AMPXA_SEED").is_none() {
        assert!(ends["succeeded"] > 500 && ends.contains_key("AccessDenied"), "{ends:?}");
    }
}
