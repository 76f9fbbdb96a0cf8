//! Each refusal, by its name, with nothing made in any account.

use crate::world::{Place, SOURCE, TARGET, pair_of, text, with, world};
use aws_sdk_eks::types::AuthenticationMode;
use local::demo;
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
    let (cluster, workspace) = (text(&good["clusterArn"]), text(&good["workspaceArn"]));
    let region = &place.source.region;
    let yaml = |yaml: &str| with(&good, json!({ "scrapeConfiguration": yaml }));
    let job = |rest: &str| yaml(&format!("scrape_configs:\n- job_name: a\n  {rest}\n"));
    let many: Vec<String> = (0..6).map(|i| format!("subnet-0123456789abcde0{i}")).collect();
    for (request, says) in [
        (json!({}), "clusterArn"),
        (json!([good]), "clusterArn"),
        (json!({ "clusterArn": cluster }), "workspaceArn"),
        (with(&good, json!({ "clusterArn": "demo" })), "clusterArn: "),
        (with(&good, json!({ "workspaceArn": cluster })), "workspaceArn: "),
        (
            with(
                &good,
                json!({ "workspaceArn": workspace.replace(region.as_str(), "eu-isoe-west-1") }),
            ),
            "workspaceArn",
        ),
        (
            with(
                &good,
                json!({ "workspaceArn": workspace.replace(region.as_str(), "us-west-9") }),
            ),
            "Region",
        ),
        (
            with(
                &good,
                json!({ "workspaceArn": workspace.replace("arn:aws:", "arn:aws-cn:").replace(region.as_str(), "cn-north-1") }),
            ),
            "workspaceArn",
        ),
        (with(&good, json!({ "clusterarn": cluster })), "clusterarn"),
        (with(&good, json!({ "onFailure": "undo" })), "onFailure"),
        (with(&good, json!({ "subnetIds": many })), "subnetIds"),
        (with(&good, json!({ "subnetIds": [many[0], many[0]] })), "subnetIds[1]"),
        (with(&good, json!({ "securityGroupIds": "sg-1" })), "securityGroupIds"),
        (with(&good, json!({ "alias": "-a" })), "alias: "),
        (with(&good, json!({ "alias": "a".repeat(101) })), "alias: "),
        (with(&good, json!({ "tags": { "aws:team": "a" } })), "tags"),
        (with(&good, json!({ "tags": { "team": "a\u{0}b" } })), "tags"),
        (
            with(&good, json!({ "externalLabels": { "0team": "a" } })),
            "externalLabels",
        ),
        (with(&good, json!({ "patchTrust": "NEVER" })), "patchTrust"),
        (
            with(&good, json!({ "activationTimeoutMinutes": 0 })),
            "activationTimeoutMinutes",
        ),
        (
            yaml("scrape_configs: [{job_name: a, scrape_interval: 10s}]"),
            "scrape_configs[0].scrape_interval",
        ),
        (
            yaml("global: {scrape_interval: 29s}\nscrape_configs: [{job_name: a}]"),
            "global.scrape_interval",
        ),
        (
            yaml("remote_write: [{url: 'https://example.com'}]\nscrape_configs: [{job_name: a}]"),
            "remote_write",
        ),
        (yaml("rule_files: [a]\nscrape_configs: [{job_name: a}]"), "rule_files"),
        (job("ec2_sd_configs: [{region: us-west-2}]"), "ec2_sd_configs"),
        (
            job("static_configs: [{targets: ['example.com:9090']}]"),
            "static_configs[0].targets[0]",
        ),
        (
            job("authorization: {credentials_file: /etc/passwd}"),
            "credentials_file",
        ),
        (yaml("scrape_configs: ["), "scrapeConfiguration"),
    ] {
        refused(&place, &request, "InvalidRequest", says).await;
    }
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_scraped_is_refused_with_the_command_that_mends_it() {
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
    let wanted = |ids: &[&str]| with(&request, json!({ "subnetIds": ids }));
    let [a, b] = [&subnets[0], &subnets[1]];

    let ghost = "subnet-00000000000000000";
    refused(
        &place,
        &wanted(&[&a.id, ghost]),
        "InvalidRequest",
        "subnetIds[1]: subnet-00000000000000000 does not exist",
    )
    .await;
    refused(
        &place,
        &wanted(&[&a.id]),
        "InvalidRequest",
        "subnetIds: give subnets in at least two",
    )
    .await;
    let vpc = a.vpc.as_str();
    let twin = account
        .ec2(
            "CreateSubnet",
            &[
                ("VpcId", vpc),
                ("CidrBlock", "172.31.200.0/24"),
                ("AvailabilityZone", &a.zone),
            ],
        )
        .unwrap();
    let twin = demo::element(&twin, "subnetId").unwrap();
    refused(
        &place,
        &wanted(&[&a.id, &twin]),
        "InvalidRequest",
        "give one subnet a zone",
    )
    .await;
    free(&b.id, 0);
    refused(
        &place,
        &wanted(&[&a.id, &b.id]),
        "InvalidRequest",
        "has no free address",
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

    let dns = |name: &str, value: &str| {
        account
            .ec2(
                "ModifyVpcAttribute",
                &[("VpcId", vpc), (&format!("{name}.Value"), value)],
            )
            .unwrap();
    };
    for (name, option) in [
        ("EnableDnsSupport", "--enable-dns-support"),
        ("EnableDnsHostnames", "--enable-dns-hostnames"),
    ] {
        dns(name, "false");
        refused(&place, &request, "NotReady", option).await;
        dns(name, "true");
    }
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_full_quota_is_refused_before_anything_is_made() {
    let place = world().place(SOURCE, TARGET);
    for i in 0..10 {
        let request = with(
            &place.pair(&format!("full-{i}")).await,
            json!({ "activationTimeoutMinutes": 25 }),
        );
        let arn = local::execution::start(&place.hub, &world().onboard_arn, &request)
            .await
            .unwrap();
        if i == 9 {
            let pace = std::time::Duration::from_millis(50);
            local::execution::watch(&place.hub, &arn, pace, async |_| Ok(()))
                .await
                .unwrap();
        }
    }
    let eleventh = place.pair("full-11").await;
    refused(&place, &eleventh, "Refused", "10 scrapers").await;
    let roles = place
        .source
        .iam()
        .list_roles()
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .unwrap();
    assert!(
        !roles
            .iter()
            .any(|role| role.role_name().starts_with("ampxa-source-full-11"))
    );
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
    let trust = local::document::trust(&place.target, &pair.target_role_arn())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(trust, serde_json::from_str::<Value>(theirs).unwrap());
}
