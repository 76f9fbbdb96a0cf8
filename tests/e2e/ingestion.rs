//! Whether samples arrive, and what is said when they do not.

use crate::world::{Place, SOURCE, TARGET, text, with, world};
use ampxa_cli::execution::{self, Execution};
use aws_sdk_eks::types::AuthenticationMode;
use driver::demo;
use serde_json::{Value, json};

/// Onboards again until samples have had the time to arrive: this machine may be slower than its cloud's clock.
async fn arriving(place: &Place, request: &Value) -> Value {
    for _ in 0..60 {
        let ingestion = place.onboarded(request).await["ingestion"].clone();
        if ingestion["result"] == "RECEIVING" {
            return ingestion;
        }
    }
    panic!("no samples arrive");
}

#[tokio::test]
async fn samples_that_arrive_are_counted() {
    let place = world().place(SOURCE, TARGET);
    let ingestion = arriving(&place, &place.pair("counted").await).await;
    assert_eq!(
        (&ingestion["hints"], &ingestion["up"]),
        (&json!([]), &ingestion["targets"])
    );
    assert!(ingestion["up"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn samples_of_another_cluster_in_the_workspace_do_not_count() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("first").await;
    let mut second = demo::Cluster::named("second");
    second.mode = AuthenticationMode::ConfigMap;
    let second = second.make(&place.source).await.unwrap();
    let second = json!({ "clusterArn": second, "workspaceArn": request["workspaceArn"], "clusterAccess": "MANUAL" });
    arriving(&place, &request).await;
    let ingestion = &place.onboarded(&second).await["ingestion"];
    assert_eq!(
        ingestion["result"], "NONE",
        "the other cluster's samples are not its own"
    );
}

#[tokio::test]
async fn a_request_may_skip_the_check_of_samples() {
    let place = world().place(SOURCE, TARGET);
    let request = with(&place.pair("unseen").await, json!({ "checkIngestion": "SKIP" }));
    let run = place.onboard(&request).await;
    assert_eq!(run.output.unwrap()["ingestion"]["result"], "SKIPPED");
    assert!(run.states.iter().all(|state| state.name != "Check ingestion"));
}

/// The machine as it is deployed, but for the patch, which is left out.
async fn without_the_patch(place: &Place) -> String {
    let sfn = place.hub.sfn();
    let deployed = sfn
        .describe_state_machine()
        .state_machine_arn(&world().onboard_arn)
        .send()
        .await
        .unwrap();
    let mut definition: Value = serde_json::from_str(&deployed.definition).unwrap();
    let patch = &mut definition["States"]["Patch trust policies"];
    let nothing = json!({ "source": false, "target": false });
    *patch = json!({
        "Type": "Pass", "Output": nothing, "Assign": { "patched": nothing }, "Next": patch["Next"],
    });
    let name = format!("without-the-patch-{}", place.source.region);
    let made = sfn
        .create_state_machine()
        .name(name)
        .role_arn(deployed.role_arn)
        .definition(definition.to_string());
    made.send().await.unwrap().state_machine_arn
}

async fn run_without_the_patch(place: &Place, request: &Value) -> Execution {
    let machine = without_the_patch(place).await;
    execution::run(&place.hub, &machine, request).await.unwrap()
}

#[tokio::test]
async fn without_the_patch_nothing_arrives_and_the_trust_is_named() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("unpatched").await;
    let run = run_without_the_patch(&place, &request).await;
    let output = run.output.expect("it reports, and succeeds");
    assert_eq!(output["ingestion"]["result"], "NONE");
    for (index, role) in ["sourceRoleArn", "targetRoleArn"].into_iter().enumerate() {
        let sentence = text(&output["ingestion"]["hints"][index]);
        assert!(sentence.starts_with("The trust policy of the role "), "{sentence}");
        assert!(sentence.contains(text(&output[role])), "{sentence}");
        assert!(sentence.contains(text(&output["scraperArn"])), "{sentence}");
    }
}

#[tokio::test]
async fn samples_that_are_required_and_do_not_arrive_fail_the_run_and_undo_it() {
    let place = world().place(SOURCE, TARGET);
    let request = with(&place.pair("required").await, json!({ "checkIngestion": "REQUIRE" }));
    let run = run_without_the_patch(&place, &request).await;
    let cause = run.cause.unwrap();
    assert_eq!(run.error.as_deref(), Some("NoSamples"), "{cause}");
    assert!(
        cause.contains("The trust policy of the role ")
            && cause.contains("Nothing that this execution created is left"),
        "{cause}"
    );
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_cluster_that_waits_for_its_mapping_is_named() {
    let place = world().place(SOURCE, TARGET);
    let mut cluster = demo::Cluster::named("unmapped");
    cluster.mode = AuthenticationMode::ConfigMap;
    let request = with(&place.pair_of(&cluster).await, json!({ "clusterAccess": "MANUAL" }));
    let output = place.onboarded(&request).await;
    let ingestion = &output["ingestion"];
    assert_eq!(ingestion["result"], "NONE");
    let first = text(&ingestion["hints"][0]);
    assert!(
        first.contains(text(&request["clusterArn"])) && first.contains("ConfigMap aws-auth"),
        "{first}"
    );
    assert_eq!(output["warnings"].as_array().unwrap().len(), 1);
}
