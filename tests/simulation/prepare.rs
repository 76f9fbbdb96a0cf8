//! The preparation of clusters: only the changes that the request and the account allow, in order, before anything else.

use crate::{
    drift::{assert_planned, plan, with},
    healthy,
    machine::End,
    seeds,
    world::{Setup, World, simulate},
};
use serde_json::{Value, json};
use std::sync::Arc;

const ENDPOINT: &str = "PRIVATE_ENDPOINT";
const ENTRIES: &str = "ACCESS_ENTRIES";

/// Removes what a scraper needs from the cluster.
fn remove(world: &World, missing: &[&str]) {
    for cluster in world.state().cloud.clusters.values_mut() {
        cluster.has_private_endpoint = !missing.contains(&ENDPOINT);
        cluster.authentication_mode = match missing.contains(&ENTRIES) {
            true => "CONFIG_MAP".to_owned(),
            false => "API_AND_CONFIG_MAP".to_owned(),
        };
    }
}

async fn onboard(world: &Arc<World>, request: &Value) -> End {
    let execution = world.start("onboard", request.clone());
    world.wait_until_idle().await;
    execution.end().expect("it has ended")
}

#[test]
fn a_cluster_gets_exactly_the_changes_that_the_request_allows() {
    let subsets: [&[&str]; 4] = [&[], &[ENDPOINT], &[ENTRIES], &[ENDPOINT, ENTRIES]];
    let mut cases = Vec::new();
    for missing in subsets {
        for allowed in subsets {
            cases.extend([true, false].map(|may_prepare| (missing, allowed, may_prepare)));
        }
    }
    seeds::each("a_cluster_gets_exactly", cases.len() as u64, |seed| {
        let (missing, allowed, may_prepare) = cases[seed as usize];
        println!("missing {missing:?}, allowed {allowed:?}, account {may_prepare}");
        simulate(&Setup::calm("prepare", seed), async |world| {
            remove(world, missing);
            world.state().cloud.may_prepare_clusters = may_prepare;
            let request = match allowed {
                [] => world.request(1),
                _ => with(&world.request(1), json!({ "prepareCluster": allowed })),
            };
            let is_requested = missing.iter().all(|change| allowed.contains(change));
            if missing.is_empty() || is_requested && may_prepare {
                let planned = plan(world, &request).await;
                let expecting = with(&request, json!({ "expectedPlan": planned["plan"] }));
                let End::Succeeded(output) = onboard(world, &expecting).await else {
                    panic!("it failed");
                };
                assert_planned("prepared", &planned, &output);
                assert_eq!(output["prepared"], json!(missing));
                let writes = world.state().writes.clone();
                let updates = writes.iter().take_while(|call| call.action == "UpdateClusterConfig");
                assert_eq!(updates.count(), missing.len(), "{writes:?}");
                let warnings = planned["warnings"].to_string();
                assert_eq!(
                    warnings.contains("cannot revert"),
                    missing.contains(&ENTRIES),
                    "{warnings}"
                );
                return;
            }
            let End::Failed(failure) = onboard(world, &request).await else {
                panic!("it succeeded");
            };
            let cause = failure.cause.unwrap_or_default();
            assert_eq!(failure.error, "NotReady", "{cause}");
            assert_eq!(world.state().writes, []);
            for part in ["aws eks update-cluster-config", "MayPrepareClusters=yes"] {
                assert!(cause.contains(part), "{cause}");
            }
            assert_eq!(cause.contains("prepareCluster"), !is_requested, "{cause}");
        });
    });
}

#[test]
fn a_failure_after_the_preparation_says_that_it_is_not_reverted() {
    simulate(&Setup::calm("prepare", 0), async |world| {
        remove(world, &[ENDPOINT]);
        world.state().cloud.amp.creations.push_back(crate::aws::amp::Creation {
            duration: std::time::Duration::from_secs(70),
            fails: true,
        });
        let request = with(&world.request(1), json!({ "prepareCluster": [ENDPOINT] }));
        let End::Failed(failure) = onboard(world, &request).await else {
            panic!("it succeeded");
        };
        let cause = failure.cause.unwrap_or_default();
        assert_eq!(failure.error, "ScraperFailed");
        assert!(
            cause.contains(
                "Changes of the cluster (PRIVATE_ENDPOINT), if they were made, are not reverted. Nothing that"
            ),
            "{cause}"
        );
    });
}

#[test]
fn a_cluster_is_not_prepared_for_a_role_that_cannot_be_ensured() {
    simulate(&Setup::calm("prepare", 0), async |world| {
        remove(world, &[ENTRIES]);
        let pair = world.pair(1);
        {
            let cloud = &mut world.state().cloud;
            healthy::add_source_role(cloud, &pair, &json!({ "Statement": [] }));
            let iam = cloud.iam.get_mut(&world.source).expect("an account");
            let name = pair.source_role_name();
            let mut role = iam.current(&name).expect("a role").clone();
            role.tags.clear();
            iam.set(&name, Some(role), std::time::Duration::ZERO);
        }
        let request = with(&world.request(1), json!({ "prepareCluster": [ENTRIES] }));
        let End::Failed(failure) = onboard(world, &request).await else {
            panic!("it succeeded");
        };
        assert_eq!(failure.error, "Conflict");
        assert_eq!(world.state().writes, []);
    });
}

#[test]
fn a_change_that_the_plan_does_not_contain_is_not_made() {
    simulate(&Setup::calm("prepare", 0), async |world| {
        remove(world, &[ENTRIES]);
        let request = with(&world.request(1), json!({ "prepareCluster": [ENDPOINT, ENTRIES] }));
        let planned = plan(world, &request).await;
        let expecting = with(&request, json!({ "expectedPlan": planned["plan"] }));
        let execution = world.start("onboard", expecting);
        // While EKS makes the first change, a person disables private access.
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        for cluster in world.state().cloud.clusters.values_mut() {
            cluster.has_private_endpoint = false;
        }
        world.wait_until_idle().await;
        let Some(End::Failed(failure)) = execution.end() else {
            panic!("it succeeded");
        };
        let cause = failure.cause.unwrap_or_default();
        assert_eq!(failure.error, "PlanChanged", "{cause}");
        assert!(cause.contains("now needs PRIVATE_ENDPOINT, which the plan"), "{cause}");
        assert!(
            cause.contains("(ACCESS_ENTRIES), if they were made, are not reverted"),
            "{cause}"
        );
        assert_eq!(world.state().writes.len(), 1);
    });
}
