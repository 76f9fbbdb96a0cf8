//! The adoption of scrapers that ampxa did not create: without a gap in the samples, and only if their former roles can be
//! given back.

use crate::{
    aws::amp::Scraper,
    drift::{assert_planned, plan, with},
    faults::{Fault, INVOKE, Kind},
    healthy,
    invariants::Snapshot,
    machine::End,
    seeds,
    world::{Setup, World, simulate},
};
use serde_json::{Value, json};
use std::{cell::RefCell, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Adds a scraper that ampxa did not create, and returns the request that adopts it.
fn set_up(world: &World) -> Value {
    let pair = world.pair(1);
    let cloud = &mut world.state().cloud;
    cloud.adoptable_roles = healthy::foreign_roles(&pair).to_vec();
    healthy::add_foreign_scraper(cloud, &pair);
    with(&world.request(1), json!({ "adopt": true, "checkIngestion": "REQUIRE" }))
}

async fn onboard(world: &Arc<World>, request: &Value) -> End {
    let execution = world.start("onboard", request.clone());
    world.wait_until_idle().await;
    execution.end().expect("it has ended")
}

/// Starts an onboarding, and stops it after some seconds.
async fn stop_after(world: &Arc<World>, request: &Value, seconds: u64) {
    let execution = world.start("onboard", request.clone());
    sleep(Duration::from_secs(seconds)).await;
    world.stop(&execution);
}

/// Queries the samples every 30 seconds until the executions have ended, and returns the times without samples.
async fn gaps(world: &Arc<World>, ends: impl Future<Output = ()>) -> Vec<u64> {
    let missing = RefCell::new(Vec::new());
    let queries = async {
        loop {
            {
                let (state, now, pair) = (world.state(), world.now(), world.pair(1));
                if !state.cloud.writes_samples(&state.cloud.amp.scrapers[0], &pair, now) {
                    missing.borrow_mut().push(now.as_secs());
                }
            }
            sleep(Duration::from_secs(30)).await;
        }
    };
    tokio::select! {
        () = ends => {}
        () = queries => {}
    }
    missing.into_inner()
}

/// IAM takes up to 30 seconds to propagate, and AMP ten minutes to update.
fn slow(seed: u64) -> Setup {
    Setup {
        iam_lag_ms: 30_000,
        update_duration: Duration::from_secs(600),
        shows_former_roles: seed % 2 == 1,
        ..Setup::calm("gap", seed)
    }
}

#[test]
fn an_adoption_has_no_gap_in_the_samples() {
    seeds::each("an_adoption_has_no_gap", 40, |seed| {
        simulate(&slow(seed), async |world| {
            let request = set_up(world);
            let execution = world.start("onboard", request.clone());
            assert_eq!(gaps(world, world.wait_until_idle()).await, [0; 0]);
            let Some(End::Succeeded(output)) = execution.end() else {
                panic!("{:?}", execution.end());
            };
            assert_eq!(output["outcome"], "ONBOARDED", "{output}");
            assert_eq!(output["existing"], json!(["scraper"]), "{output}");
            let [source, target] = healthy::foreign_roles(&world.pair(1));
            let former = json!({ "sourceRoleArn": source, "targetRoleArn": target, "alias": "by-hand" });
            assert_eq!(output["adopted"], former, "{output}");
            let warnings = output["warnings"].to_string();
            for part in [&source, &target, "terraform state rm", "DeletionPolicy", "managed-by"] {
                assert!(warnings.contains(part), "{part}: {warnings}");
            }
            let writes = world.state().writes.len();
            let End::Succeeded(output) = onboard(world, &request).await else {
                panic!("the second execution failed");
            };
            assert_eq!(
                (&output["outcome"], &output["adopted"]),
                (&json!("UNCHANGED"), &Value::Null)
            );
            assert_eq!(output["warnings"], json!([]));
            assert_eq!(world.state().writes.len(), writes, "the second execution wrote");
        });
    });
}

#[test]
fn a_failed_adoption_restores_the_scraper_without_a_gap() {
    let tasks = [
        "Ensure target role",
        "Create scraper",
        "Update scraper",
        "Check scraper",
        "Patch trust policies",
    ];
    seeds::each("a_failed_adoption_restores", tasks.len() as u64 * 4, |seed| {
        let task = tasks[seed as usize % tasks.len()];
        simulate(&slow(seed), async |world| {
            let request = set_up(world);
            let snapshot = |world: &World| Snapshot::of(&world.state().cloud, world.now());
            let before = snapshot(world);
            let lasting = Fault::of(0, task, INVOKE, 0, usize::MAX, Kind::ServerError);
            world.state().faults = vec![lasting];
            let execution = world.start("onboard", request);
            assert_eq!(gaps(world, world.wait_until_idle()).await, [0; 0]);
            let Some(End::Failed(failure)) = execution.end() else {
                panic!("{task}: {:?}", execution.end());
            };
            let cause = failure.cause.unwrap_or_default();
            assert!(
                cause.contains("is as it was before. Nothing that this execution created is left"),
                "{cause}"
            );
            crate::every_step::assert_same(&before, &snapshot(world));
        });
    });
}

#[test]
fn an_adoption_that_was_stopped_is_completed_by_the_next_onboarding() {
    seeds::each("an_adoption_that_was_stopped", 60, |seed| {
        simulate(&slow(seed), async |world| {
            let request = set_up(world);
            let ends = async {
                stop_after(world, &request, 5 + seed * 15).await;
                let second = world.start("onboard", request.clone());
                world.wait_until_idle().await;
                assert!(matches!(second.end(), Some(End::Succeeded(_))), "{:?}", second.end());
            };
            assert_eq!(gaps(world, ends).await, [0; 0]);
        });
    });
}

#[test]
fn an_adoption_makes_exactly_the_planned_changes() {
    for labels in ["COMPLETE", "KEEP"] {
        simulate(&Setup::calm("adopt", 0), async |world| {
            let request = with(&set_up(world), json!({ "labels": labels, "checkIngestion": "REPORT" }));
            let planned = plan(world, &request).await;
            let changes = planned["changes"].to_string();
            assert_eq!(
                changes.contains("scrape configuration"),
                labels == "COMPLETE",
                "{changes}"
            );
            let warnings = planned["warnings"].to_string();
            assert!(warnings.contains("ampxa adopts the scraper"), "{warnings}");
            assert_eq!(
                warnings.contains("identity of each series"),
                labels == "COMPLETE",
                "{warnings}"
            );
            let expecting = with(&request, json!({ "expectedPlan": planned["plan"] }));
            let End::Succeeded(output) = onboard(world, &expecting).await else {
                panic!("it failed");
            };
            // The step `Adopt scraper` writes the tags.
            let mut made = output.clone();
            made["repaired"]
                .as_array_mut()
                .expect("a list")
                .push(json!("scraper: tags"));
            assert_planned(labels, &planned, &made);
            // Without the label, the samples cannot be distinguished from those of other clusters.
            let expected = if labels == "KEEP" { "SKIPPED" } else { "RECEIVING" };
            assert_eq!(output["ingestion"]["result"], expected, "{output}");
        });
    }
}

#[test]
fn an_adoption_whose_roles_cannot_write_is_rolled_back_although_former_samples_are_recent() {
    for check in ["REPORT", "REQUIRE"] {
        simulate(&Setup::calm("adopt", 0), async |world| {
            let request = with(&set_up(world), json!({ "checkIngestion": check }));
            {
                // The former samples of this scraper name the cluster.
                let cloud = &mut world.state().cloud;
                cloud.denies_pair_roles = true;
                let cluster = world.pair(1).cluster.to_string();
                let scraper = &mut cloud.amp.scrapers[0];
                let labels = format!("global:\n  external_labels:\n    clusterArn: {cluster}\n");
                let yaml = scraper.yaml().replacen("global:\n", &labels, 1);
                scraper.configuration = aws_smithy_types::base64::encode(yaml);
            }
            let before = Snapshot::of(&world.state().cloud, world.now());
            let End::Failed(failure) = onboard(world, &request).await else {
                panic!("it succeeded");
            };
            assert_eq!(failure.error, "NoSamples");
            crate::every_step::assert_same(&before, &Snapshot::of(&world.state().cloud, world.now()));
        });
    }
}

#[test]
fn a_failure_after_a_stopped_adoption_keeps_the_roles_that_the_scraper_uses() {
    seeds::each("a_failure_after_a_stopped_adoption", 60, |seed| {
        simulate(&slow(seed), async |world| {
            let request = set_up(world);
            let ends = async {
                stop_after(world, &request, 5 + seed * 15).await;
                let lasting = Fault::of(1, "Patch trust policies", INVOKE, 0, usize::MAX, Kind::ServerError);
                world.state().faults = vec![lasting];
                let second = world.start("onboard", request.clone());
                world.wait_until_idle().await;
                world.state().faults.clear();
                let Some(End::Failed(failure)) = second.end() else {
                    panic!("{:?}", second.end());
                };
                println!("{seed}: {}", failure.cause.unwrap_or_default());
            };
            assert_eq!(gaps(world, ends).await, [0; 0]);
            assert!(matches!(onboard(world, &request).await, End::Succeeded(_)));
        });
    });
}

#[test]
fn a_scraper_whose_tags_were_removed_meanwhile_is_restored_too() {
    seeds::each("a_scraper_whose_tags_were_removed", 40, |seed| {
        remove_tags_meanwhile(seed)
    });
}

fn remove_tags_meanwhile(seed: u64) {
    simulate(&slow(seed), async |world| {
        let request = set_up(world);
        let before = Snapshot::of(&world.state().cloud, world.now());
        let task = if seed.is_multiple_of(3) {
            "Check scraper"
        } else {
            "Patch trust policies"
        };
        let lasting = Fault::of(0, task, INVOKE, 0, usize::MAX, Kind::ServerError);
        world.state().faults = vec![lasting];
        let ends = async {
            let execution = world.start("onboard", request);
            // While AMP updates the scraper, or later, Terraform removes tags that it does not know.
            sleep(Duration::from_secs(150 + 30 * seed)).await;
            world.state().cloud.amp.scrapers[0]
                .tags
                .retain(|key, _| !key.starts_with("ampxa:"));
            world.wait_until_idle().await;
            assert!(matches!(execution.end(), Some(End::Failed(_))));
        };
        assert_eq!(gaps(world, ends).await, [0; 0]);
        crate::every_step::assert_same(&before, &Snapshot::of(&world.state().cloud, world.now()));
    });
}

/// A scraper that is not adopted: what changes it or the request, the name of the error, and a part of its cause.
type Case = (&'static str, fn(&World, &mut Value), &'static str, &'static str);

fn edit(world: &World, change: fn(&mut Scraper)) {
    change(world.state().cloud.amp.scrapers.last_mut().expect("a scraper"));
}

#[test]
fn a_scraper_that_cannot_be_adopted_is_not_changed_and_the_plan_says_why() {
    let cases: [Case; 11] = [
        (
            "not requested",
            |_, request| request["adopt"] = json!(false),
            "Conflict",
            "\"adopt\": true",
        ),
        (
            "roles that the account does not allow",
            |world, _| world.state().cloud.adoptable_roles.clear(),
            "Conflict",
            "Add arn:aws:iam::222222222222:role/monitoring/scraper,arn:aws:iam::333333333333:role/writer to the parameter \
             AdoptableRoleArns of the stack of infra/source-account.yaml in this account, which is empty now.",
        ),
        (
            "one role that the account does not allow",
            |world, _| drop(world.state().cloud.adoptable_roles.pop()),
            "Conflict",
            "Add arn:aws:iam::333333333333:role/writer to the parameter AdoptableRoleArns of the stack of \
             infra/source-account.yaml in this account, which has arn:aws:iam::222222222222:role/monitoring/scraper now.",
        ),
        (
            "two scrapers",
            |world, _| {
                let pair = world.pair(1);
                healthy::add_foreign_scraper(&mut world.state().cloud, &pair);
            },
            "Conflict",
            "ampxa adopts only one scraper of a pair",
        ),
        (
            "two scrapers, of which one works",
            |world, _| {
                let pair = world.pair(1);
                healthy::add_foreign_scraper(&mut world.state().cloud, &pair);
                edit(world, |scraper| scraper.states[0].1 = "CREATION_FAILED");
            },
            "",
            "",
        ),
        (
            "CREATION_FAILED",
            |world, _| edit(world, |scraper| scraper.states[0].1 = "CREATION_FAILED"),
            "Conflict",
            "can never become ACTIVE again, so it cannot be adopted",
        ),
        (
            "49 tags",
            |world, _| {
                edit(world, |scraper| {
                    let tags = (0..48).map(|number| (format!("tag-{number}"), String::new()));
                    scraper.tags.extend(tags);
                });
            },
            "Conflict",
            "it would have 54 tags, and AMP allows 50",
        ),
        (
            "samples that are required and cannot be identified",
            |_, request| request["labels"] = json!("KEEP"),
            "InvalidRequest",
            "checkIngestion: \"REQUIRE\" is not possible with \"labels\": \"KEEP\"",
        ),
        (
            "older than the cluster",
            |world, _| edit(world, |scraper| scraper.created_at = 1.0),
            "Conflict",
            "older than the cluster",
        ),
        (
            "UPDATING",
            |world, _| edit(world, |scraper| scraper.states[0].1 = "UPDATING"),
            "NotReady",
            "it is UPDATING",
        ),
        (
            "the label of another cluster",
            |world, request| {
                request["labels"] = json!("KEEP");
                edit(world, |scraper| {
                    let labels = "global:\n  external_labels:\n    clusterArn: other\n";
                    let yaml = scraper.yaml().replacen("global:\n", labels, 1);
                    scraper.configuration = aws_smithy_types::base64::encode(yaml);
                });
            },
            "InvalidRequest",
            "which is another cluster",
        ),
    ];
    for (name, change, error, part) in cases {
        simulate(&Setup::calm("adopt", 0), async |world| {
            let mut request = set_up(world);
            change(world, &mut request);
            let End::Succeeded(planned) = onboard(world, &with(&request, json!({ "mode": "PLAN" }))).await else {
                panic!("{name}: the plan failed");
            };
            if error.is_empty() {
                assert_eq!(planned["wouldFailAs"], Value::Null, "{name}: {planned}");
                return;
            }
            assert_eq!(planned["wouldFailAs"], error, "{name}: {planned}");
            let prerequisites = planned["prerequisites"][0].as_str().unwrap_or_default();
            assert!(prerequisites.contains(part), "{name}: {prerequisites}");
            assert!(!prerequisites.contains("elete it"), "{name}: {prerequisites}");
            let before = Snapshot::of(&world.state().cloud, world.now());
            let End::Failed(failure) = onboard(world, &request).await else {
                panic!("{name}: it succeeded");
            };
            let cause = failure.cause.unwrap_or_default();
            assert_eq!(failure.error, error, "{name}: {cause}");
            assert!(cause.contains(part), "{name}: {cause}");
            assert_eq!(world.state().writes, [], "{name}");
            crate::every_step::assert_same(&before, &Snapshot::of(&world.state().cloud, world.now()));
        });
    }
}

#[test]
fn a_scraper_with_the_roles_of_the_pair_or_only_the_service_linked_role_needs_no_permission() {
    let edits: [fn(&World); 2] = [
        |world| edit(world, |scraper| scraper.roles = Value::Null),
        |world| {
            let pair = world.pair(1);
            let roles = json!({ "sourceRoleArn": pair.source_role_arn(), "targetRoleArn": pair.target_role_arn() });
            world.state().cloud.amp.scrapers[0].roles = roles;
        },
    ];
    for (number, change) in edits.into_iter().enumerate() {
        for failing_updates in [0, 1] {
            let setup = Setup {
                one_account: number == 0,
                ..Setup::calm("adopt", number as u64)
            };
            simulate(&setup, async |world| {
                let request = set_up(world);
                change(world);
                {
                    let cloud = &mut world.state().cloud;
                    cloud.adoptable_roles.clear();
                    cloud.amp.failing_updates = failing_updates;
                }
                let before = Snapshot::of(&world.state().cloud, world.now());
                match (onboard(world, &request).await, failing_updates) {
                    (End::Succeeded(output), 0) => assert_eq!(output["outcome"], "ONBOARDED"),
                    (End::Failed(failure), 1) => {
                        assert_eq!(failure.error, "ScraperFailed");
                        let mut after = Snapshot::of(&world.state().cloud, world.now());
                        if number == 1 {
                            // The scraper has the roles of the pair, so they are kept.
                            assert_eq!(after.0.len(), 3);
                            after.0.retain(|arn, _| arn.contains(":scraper/"));
                            let cause = failure.cause.unwrap_or_default();
                            assert!(cause.contains("The roles of the pair are kept"), "{cause}");
                        }
                        crate::every_step::assert_same(&before, &after);
                    }
                    other => panic!("{other:?}"),
                }
            });
        }
    }
}
