//! Clusters whose scraper needs a mapping in aws-auth, which only a person can add.

use crate::deployment::{SOURCE, TARGET, deployment, text, with};
use aws_sdk_eks::types::AuthenticationMode;
use driver::{demo, onboard};
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
