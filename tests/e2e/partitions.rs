//! A hub in AWS GovCloud, in a cloud of its own, because a cloud has one partition.

use crate::deployment::text;
use ampxa_cli::{account::Account, execution, terminal::Report};
use driver::{
    HUB, SOURCE, TARGET,
    cloud::{Cloud, Options},
    demo, deploy, onboard,
    project::Project,
};
use serde_json::{Value, json};

const REGION: &str = "us-gov-west-1";

/// Runs an execution; returns its output, or the error's name and the cause.
async fn run(hub: &Account, machine: &str, input: &Value) -> Result<Value, String> {
    let run = execution::run(hub, machine, input).await.unwrap();
    run.output
        .ok_or_else(|| format!("{}: {}", run.error.unwrap_or_default(), run.cause.unwrap_or_default()))
}

#[tokio::test]
async fn a_hub_in_govcloud_onboards_reconciles_and_offboards() {
    let project = Project::here().unwrap();
    project.build().unwrap();
    let python = project.python(&Report::quiet()).unwrap();
    let options = Options {
        minute: 0.05,
        partition: "aws-us-gov",
        ..Options::default()
    };
    let cloud = Cloud::start(&project, &python, options).unwrap();
    let [hub, source, target] = [HUB, SOURCE, TARGET].map(|id| cloud.account(id, REGION));
    let workspace = demo::workspace(&target, "gov").await.unwrap();
    let wiring = deploy::Wiring {
        home: Some(REGION),
        parameters: vec![
            format!("DefaultWorkspaceArn={workspace}"),
            "DefaultWorkspaceAnyAccount=yes".to_owned(),
        ],
        ..deploy::Wiring::default()
    };
    let accounts = deploy::Accounts::default();
    let machines = deploy::deploy_wired(&project, &python, &cloud, &accounts, &wiring)
        .await
        .unwrap();
    assert!(machines.onboard_arn.starts_with("arn:aws-us-gov:states:us-gov-west-1:"));
    let cluster = demo::Cluster::named("gov").make(&source).await.unwrap();
    assert_eq!(cluster, format!("arn:aws-us-gov:eks:{REGION}:{SOURCE}:cluster/gov"));
    let request = json!({ "clusterArn": cluster, "workspaceArn": workspace });

    let output = run(&hub, &machines.onboard_arn, &request).await.unwrap();
    for field in ["sourceRoleArn", "targetRoleArn", "scraperArn"] {
        assert!(text(&output[field]).starts_with("arn:aws-us-gov:"), "{output}");
    }
    let samples = onboard::wait_for_samples(&cloud, &target, &workspace, &cluster).await;
    assert!(!samples.unwrap().is_empty(), "{output}");

    // The reconciliation finds the pair as it should be, in child executions.
    let reconciliation = json!({ "accounts": [SOURCE], "regions": [REGION] });
    let summary = run(&hub, &machines.reconcile_arn, &reconciliation).await.unwrap();
    assert_eq!(summary["counts"], json!({ "UNCHANGED": 1 }), "{summary}");

    // A commercial Region and the partition of China are refused.
    let commercial = json!({
        "clusterArn": format!("arn:aws:eks:us-west-2:{SOURCE}:cluster/a"),
        "workspaceArn": format!("arn:aws:aps:us-west-2:{TARGET}:workspace/ws-a"),
    });
    let failure = run(&hub, &machines.onboard_arn, &commercial).await.unwrap_err();
    assert!(failure.starts_with("InvalidRequest: "), "{failure}");
    assert!(failure.contains("Use a hub in the partition aws"), "{failure}");

    run(&hub, &machines.offboard_arn, &request).await.unwrap();
    for account in [&source, &target] {
        let mut roles = account.iam().list_roles().into_paginator().items().send();
        while let Some(role) = roles.next().await {
            let role = role.unwrap();
            let tags = account.iam().list_role_tags().role_name(role.role_name()).send().await;
            let of_pair = tags.unwrap().tags.iter().any(|tag| tag.key() == "ampxa:cluster");
            assert!(!of_pair, "{} is left", role.arn());
        }
    }
}
