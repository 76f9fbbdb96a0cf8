//! Clusters that only a person can let the scraper into.

use crate::world::{SOURCE, TARGET, text, with, world};
use aws_sdk_eks::types::AuthenticationMode;
use driver::{demo, onboard};
use serde_json::json;

#[tokio::test]
async fn manual_access_ends_with_the_mapping_a_person_must_apply() {
    let place = world().place(SOURCE, TARGET);
    let mut cluster = demo::Cluster::named("by-hand").tag("local:aws-auth", "mapped");
    cluster.mode = AuthenticationMode::ConfigMap;
    let request = with(&place.pair_of(&cluster).await, json!({ "clusterAccess": "MANUAL" }));
    let output = place.onboarded(&request).await;
    let warnings = output["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let mapping = format!("rolearn: arn:aws:iam::{SOURCE}:role/AWSServiceRoleForAmazonPrometheusScraper");
    assert!(text(&warnings[0]).contains(&mapping), "{warnings:?}");
    let (workspace, cluster) = (text(&request["workspaceArn"]), text(&request["clusterArn"]));
    let samples = onboard::wait_for_samples(&world().cloud, &place.target, workspace, cluster)
        .await
        .unwrap();
    assert!(!samples.is_empty());
}
