//! The check of ingestion: whether samples arrive, and the hints if they do not.

use crate::deployment::{Accounts, BOTH, SOURCE, TARGET, deployment, pair_of, text, with};
use ampxa_cli::{
    account::Account,
    execution::{self, Execution},
};
use aws_sdk_amp::types::{LimitsPerLabelSet, LimitsPerLabelSetEntry};
use aws_sdk_eks::types::AuthenticationMode;
use driver::demo;
use serde_json::{Value, json};

/// Onboards repeatedly until samples arrive: on a slow machine, the first ones are late by the cloud's clock.
async fn receiving(accounts: &Accounts, request: &Value) -> Value {
    for _ in 0..60 {
        let ingestion = accounts.onboarded(request).await["ingestion"].clone();
        if ingestion["result"] == "RECEIVING" {
            return ingestion;
        }
    }
    panic!("no samples arrived");
}

#[tokio::test]
async fn samples_that_arrive_are_counted() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let ingestion = receiving(&accounts, &accounts.pair("counted").await).await;
    assert_eq!(
        (&ingestion["hints"], &ingestion["up"]),
        (&json!([]), &ingestion["targets"])
    );
    assert!(ingestion["up"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn samples_of_another_cluster_in_the_workspace_do_not_count() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("first").await;
    let mut second = demo::Cluster::named("second");
    second.mode = AuthenticationMode::ConfigMap;
    let second = second.make(&accounts.source).await.unwrap();
    let second = json!({ "clusterArn": second, "workspaceArn": request["workspaceArn"], "clusterAccess": "MANUAL" });
    receiving(&accounts, &request).await;
    let ingestion = &accounts.onboarded(&second).await["ingestion"];
    assert_eq!(ingestion["result"], "NONE", "samples of the other cluster were counted");
}

/// A configuration that sets the label `clusterArn`, as the sample of AWS's user guide does, would make the samples of
/// two clusters indistinguishable.
#[tokio::test]
async fn a_fixed_label_that_identifies_the_cluster_is_refused_before_anything_is_created() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let yaml = "global:\n  scrape_interval: 30s\n  external_labels: {clusterArn: shared}\nscrape_configs:\n  - job_name: pods\n    \
         kubernetes_sd_configs: [{role: pod}]\n";
    let more = json!({ "clusterAccess": "MANUAL", "checkIngestion": "REQUIRE", "scrapeConfiguration": yaml });
    let request = with(&accounts.pair("shared-label").await, more);
    let run = accounts.onboard(&request).await;
    let cause = run.cause.unwrap();
    assert_eq!(run.error.as_deref(), Some("InvalidRequest"), "{cause}");
    assert!(
        cause.contains("clusterArn") && cause.contains("identifies the cluster"),
        "{cause}"
    );
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn samples_of_a_cluster_that_differs_only_in_account_case_or_a_part_of_the_name_do_not_count() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let scraped = demo::Cluster::named("twin-a").tag("local:activation-minutes", "0");
    let request = with(
        &accounts.pair_of(&scraped).await,
        json!({ "externalLabels": { "cluster": "twin", "accountId": "shared", "region": "shared" } }),
    );
    receiving(&accounts, &request).await;
    let other_account = deployment().accounts_in(BOTH, TARGET, &accounts.source.region);
    for (owner, name) in [
        (&other_account, "twin-a"),
        (&accounts, "twin-A"),
        (&accounts, "twin-a-2"),
        (&accounts, "twin"),
        (&accounts, "twin_a"),
    ] {
        let mut cluster = demo::Cluster::named(name).tag("local:activation-minutes", "0");
        cluster.mode = AuthenticationMode::ConfigMap;
        let arn = cluster.make(&owner.source).await.unwrap();
        let unscraped = with(&request, json!({ "clusterArn": arn, "clusterAccess": "MANUAL" }));
        let ingestion = &owner.onboarded(&unscraped).await["ingestion"];
        assert_eq!(ingestion["result"], "NONE", "{arn}: {ingestion}");
        assert_eq!((&ingestion["targets"], &ingestion["up"]), (&json!(0), &json!(0)));
        // It is what `ampxa status` and a reconciliation see, too: both call the same function.
        let pair = pair_of(&unscraped);
        let counted = ampxa::ingestion::count(&owner.target.samples(), &pair, 30)
            .await
            .unwrap();
        assert_eq!(counted, (0, 0), "{arn}");
    }
    let still = receiving(&accounts, &request).await;
    assert!(still["up"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_request_may_skip_the_check_of_samples() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = with(&accounts.pair("unseen").await, json!({ "checkIngestion": "SKIP" }));
    let run = accounts.onboard(&request).await;
    assert_eq!(run.output.unwrap()["ingestion"]["result"], "SKIPPED");
    assert!(run.states.iter().all(|state| state.name != "Check ingestion"));
}

/// Creates a copy of the deployed state machine without the patch; returns its ARN.
pub async fn machine_without_the_patch(hub: &Account, onboard_arn: &str, name: &str) -> String {
    let sfn = hub.sfn();
    let deployed = sfn
        .describe_state_machine()
        .state_machine_arn(onboard_arn)
        .send()
        .await
        .unwrap();
    let mut definition: Value = serde_json::from_str(&deployed.definition).unwrap();
    let patch = &mut definition["States"]["Patch trust policies"];
    let unpatched = json!({ "source": false, "target": false });
    *patch = json!({
        "Type": "Pass", "Output": unpatched, "Assign": { "patched": unpatched, "changed": true }, "Next": patch["Next"],
    });
    let name = format!("without-the-patch-{name}");
    let create = sfn
        .create_state_machine()
        .name(name)
        .role_arn(deployed.role_arn)
        .definition(definition.to_string());
    create.send().await.unwrap().state_machine_arn
}

async fn run_without_the_patch(accounts: &Accounts, request: &Value) -> Execution {
    let machine = machine_without_the_patch(&accounts.hub, &deployment().onboard_arn, &accounts.source.region).await;
    execution::run(&accounts.hub, &machine, request).await.unwrap()
}

#[tokio::test]
async fn without_the_patch_no_samples_arrive_and_the_hints_name_both_roles() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("unpatched").await;
    let run = run_without_the_patch(&accounts, &request).await;
    let output = run.output.expect("the run failed");
    assert_eq!(output["ingestion"]["result"], "NONE");
    for (index, role) in ["sourceRoleArn", "targetRoleArn"].into_iter().enumerate() {
        let hint = text(&output["ingestion"]["hints"][index]);
        assert!(hint.starts_with("The trust policy of the role "), "{hint}");
        assert!(hint.contains(text(&output[role])), "{hint}");
        assert!(hint.contains(text(&output["scraperArn"])), "{hint}");
    }
}

#[tokio::test]
async fn a_policy_that_denies_writing_and_a_limit_of_the_workspace_are_named_in_the_hints() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("denied").await;
    let (cluster, amp) = (text(&request["clusterArn"]), accounts.target.amp());
    let workspace = text(&request["workspaceArn"]).rsplit('/').next().unwrap();
    let role = format!(
        "arn:aws:iam::{}:role/{}",
        accounts.target.id,
        pair_of(&request).target_role_name()
    );
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Sid": "NoWrites", "Effect": "Deny", "Principal": "*", "Action": "aps:RemoteWrite", "Resource": "*",
    }] });
    let put = amp.put_resource_policy().workspace_id(workspace);
    put.policy_document(policy.to_string()).send().await.unwrap();
    let limit = |name: &str, value: &str, max| {
        let limits = LimitsPerLabelSetEntry::builder().max_series(max).build();
        let set = LimitsPerLabelSet::builder().label_set(name, value);
        set.limits(limits).build().unwrap()
    };
    let update = amp.update_workspace_configuration().workspace_id(workspace);
    let update = update.limits_per_label_set(limit("clusterArn", cluster, 1_000));
    let update = update.limits_per_label_set(limit("team", "another", 2_000));
    update.send().await.unwrap();

    let ingestion = &accounts.onboarded(&request).await["ingestion"];
    assert_eq!(ingestion["result"], "NONE", "{ingestion}");
    let hints: Vec<&str> = ingestion["hints"].as_array().unwrap().iter().map(text).collect();
    for part in ["denies aps:RemoteWrite in the statement NoWrites", &role] {
        assert!(hints[0].contains(part), "{hints:#?}");
    }
    let limits: Vec<&&str> = hints
        .iter()
        .filter(|hint| hint.contains("limits the active series"))
        .collect();
    let [limit] = limits[..] else {
        panic!("expected one limit: {hints:#?}");
    };
    assert!(
        limit.contains(&format!("{{clusterArn=\"{cluster}\"}} to 1000")),
        "{limit}"
    );

    // The policy alone kept the samples out.
    amp.delete_resource_policy()
        .workspace_id(workspace)
        .send()
        .await
        .unwrap();
    receiving(&accounts, &request).await;
}

#[tokio::test]
async fn required_samples_that_do_not_arrive_fail_the_run_and_roll_it_back() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = with(&accounts.pair("required").await, json!({ "checkIngestion": "REQUIRE" }));
    let run = run_without_the_patch(&accounts, &request).await;
    let cause = run.cause.unwrap();
    assert_eq!(run.error.as_deref(), Some("NoSamples"), "{cause}");
    assert!(
        cause.contains("The trust policy of the role ")
            && cause.contains("Nothing that this execution created is left"),
        "{cause}"
    );
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn a_missing_mapping_in_aws_auth_is_named_in_the_hints() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let mut cluster = demo::Cluster::named("unmapped");
    cluster.mode = AuthenticationMode::ConfigMap;
    let request = with(&accounts.pair_of(&cluster).await, json!({ "clusterAccess": "MANUAL" }));
    let output = accounts.onboarded(&request).await;
    let ingestion = &output["ingestion"];
    assert_eq!(ingestion["result"], "NONE");
    let first = text(&ingestion["hints"][0]);
    assert!(
        first.contains(text(&request["clusterArn"])) && first.contains("ConfigMap aws-auth"),
        "{first}"
    );
    assert_eq!(output["warnings"].as_array().unwrap().len(), 1);
}
