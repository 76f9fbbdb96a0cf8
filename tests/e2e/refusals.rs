//! Each refusal, by its name, with nothing made in any account.

use crate::world::{Place, SOURCE, TARGET, pair_of, text, with, world};
use aws_sdk_eks::types::AuthenticationMode;
use driver::demo;
use serde_json::{Value, json};

async fn refused(place: &Place, request: &Value, name: &str, says: &str) {
    let run = place.onboard(request).await;
    let cause = run.cause.unwrap_or_default();
    assert_eq!(run.error.as_deref(), Some(name), "{request}: {cause}");
    assert!(cause.contains(says), "{request}: {cause:?} does not say {says:?}");
}

#[tokio::test]
async fn a_bad_request_is_refused_by_its_field() {
    let place = world().place(SOURCE, TARGET);
    let good = place.pair("refused").await;
    let job = "scrape_configs:\n- job_name: a\n  authorization: {credentials_file: /etc/passwd}\n";
    for (request, says) in [
        (json!([good]), "clusterArn"),
        (with(&good, json!({ "clusterarn": good["clusterArn"] })), "clusterarn"),
        (
            with(&good, json!({ "activationTimeoutMinutes": 0 })),
            "activationTimeoutMinutes",
        ),
        (with(&good, json!({ "scrapeConfiguration": job })), "credentials_file"),
    ] {
        refused(&place, &request, "InvalidRequest", says).await;
    }
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_scraped_is_refused_with_the_command_that_fixes_it() {
    let place = world().place(SOURCE, TARGET);
    let mut closed = demo::Cluster::named("closed");
    closed.private_access = false;
    refused(
        &place,
        &place.pair_of(&closed).await,
        "NotReady",
        "--resources-vpc-config endpointPrivateAccess=true",
    )
    .await;
    let mut old = demo::Cluster::named("old");
    old.mode = AuthenticationMode::ConfigMap;
    let request = place.pair_of(&old).await;
    refused(
        &place,
        &request,
        "NotReady",
        "--access-config authenticationMode=API_AND_CONFIG_MAP",
    )
    .await;
    refused(&place, &request, "NotReady", "\"clusterAccess\": \"MANUAL\"").await;
    let absent = text(&request["clusterArn"]).replace("/old", "/absent");
    refused(
        &place,
        &with(&request, json!({ "clusterArn": absent })),
        "NotReady",
        "There is no cluster",
    )
    .await;
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_workspace_that_takes_no_samples_is_refused() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("no-workspace").await;
    let workspace = text(&request["workspaceArn"]);
    let absent = format!("{}-0", &workspace[..workspace.len() - 2]);
    refused(
        &place,
        &with(&request, json!({ "workspaceArn": absent })),
        "NotReady",
        "There is no workspace",
    )
    .await;
    let made = place
        .target
        .amp()
        .create_workspace()
        .tags("local:creating-minutes", "100000")
        .send()
        .await
        .unwrap();
    refused(
        &place,
        &with(&request, json!({ "workspaceArn": made.arn })),
        "NotReady",
        "CREATING, not ACTIVE",
    )
    .await;
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_network_that_cannot_hold_a_scraper_is_refused() {
    let place = world().place(SOURCE, TARGET);
    let (account, region) = (&place.source, &place.source.region);
    let subnets = demo::default_subnets(account).unwrap();
    let free = |id: &str, count: u32| {
        let body = json!({ "account": account.id, "region": region, "subnetId": id, "availableIpAddressCount": count });
        world().cloud.tell("subnets", &body).unwrap();
    };
    let request = place.pair("network").await;
    let a = &subnets[0];

    let vpc = a.vpc.as_str();
    let absent = "subnet-00000000000000000";
    refused(
        &place,
        &with(&request, json!({ "subnetIds": [a.id, absent] })),
        "InvalidRequest",
        "subnetIds[1]: subnet-00000000000000000 does not exist",
    )
    .await;
    let groups = with(&request, json!({ "securityGroupIds": ["sg-00000000000000000"] }));
    refused(
        &place,
        &groups,
        "InvalidRequest",
        "securityGroupIds[0]: sg-00000000000000000 does not exist",
    )
    .await;

    for subnet in &subnets[1..] {
        free(&subnet.id, 0);
    }
    refused(&place, &request, "NotReady", "free address in 1 Availability Zone(s)").await;
    for subnet in &subnets[1..] {
        free(&subnet.id, 50);
    }

    let dns = |value: &str| {
        let parameters = [("VpcId", vpc), ("EnableDnsHostnames.Value", value)];
        account.ec2("ModifyVpcAttribute", &parameters).unwrap();
    };
    dns("false");
    refused(&place, &request, "NotReady", "--enable-dns-hostnames").await;
    dns("true");
    place.nothing_was_made().await;
}

#[tokio::test]
async fn what_somebody_else_made_is_left_alone() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("foreign").await;
    let pair = pair_of(&request);
    let theirs = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let name = pair.target_role_name();
    place
        .target
        .iam()
        .create_role()
        .role_name(&name)
        .assume_role_policy_document(theirs)
        .send()
        .await
        .unwrap();
    refused(&place, &request, "Conflict", &name).await;
    let trust = ampxa_cli::document::trust(&place.target, &pair.target_role_arn())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(trust, serde_json::from_str::<Value>(theirs).unwrap());
}
