//! Access that only a person can give: a mapping in aws-auth, and the Region of the hub.

use crate::deployment::{SOURCE, TARGET, deployment, text, with};
use aws_sdk_eks::types::AuthenticationMode;
use driver::{REGION, demo, onboard};
use serde_json::json;

#[tokio::test]
async fn manual_access_succeeds_with_a_warning_that_contains_the_mapping() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let mut cluster = demo::Cluster::named("by-hand").tag("local:aws-auth", "mapped");
    cluster.mode = AuthenticationMode::ConfigMap;
    let request = with(&accounts.pair_of(&cluster).await, json!({ "clusterAccess": "MANUAL" }));
    let output = accounts.onboarded(&request).await;
    let warnings = output["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let mapping = format!("rolearn: arn:aws:iam::{SOURCE}:role/AWSServiceRoleForAmazonPrometheusScraper");
    assert!(text(&warnings[0]).contains(&mapping), "{warnings:?}");
    let (workspace, cluster) = (text(&request["workspaceArn"]), text(&request["clusterArn"]));
    let samples = onboard::wait_for_samples(&deployment().cloud, &accounts.target, workspace, cluster)
        .await
        .unwrap();
    assert!(!samples.is_empty());
}

#[tokio::test]
async fn an_account_without_the_region_of_the_hub_is_denied_with_what_to_do() {
    let accounts = deployment().new_accounts();
    let request = accounts.pair("no-region").await;
    let set = |error: Option<&str>| {
        let region = json!({ "account": accounts.source.id, "region": REGION, "error": error });
        deployment().cloud.tell("regions", &region).unwrap();
    };
    set(Some("RegionDisabledException"));
    let run = accounts.onboard(&request).await;
    let cause = run.cause.unwrap();
    assert_eq!(run.error.as_deref(), Some("AccessDenied"), "{cause}");
    let advice = format!("Activate STS in {REGION}, the Region of this hub, in the IAM settings of its account.");
    assert!(
        cause.contains(&advice) && cause.contains("ampxa-reader-source"),
        "{cause}"
    );
    set(None);
    accounts.onboarded(&request).await;
}
