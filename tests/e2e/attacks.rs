//! The attacks of `attacks.json`, decided by the local cloud with the deployed policies.
//!
//! The test writes the policies and the cases into the build directory, where an independent IAM simulator decides them
//! too (`.ci/simulate.mjs`).

use crate::{
    deployment::{Accounts, pair_of, text},
    events::fixture::{self, AFT, FLEET, MANAGEMENT, Machine, OUTSIDER, Wired},
};
use ampxa_cli::{account::Account, document};
use driver::{HUB, ORGANIZATION, REGION, TARGET, demo};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs};

/// A policy that allows everything, for principals of which only the policies of ampxa may deny anything.
const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// Creates a role that may do everything, and that its account may assume; returns its ARN.
async fn powerful_role(account: &Account, path: &str, name: &str, boundary: Option<&str>) -> String {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{}:root", account.id) }, "Action": "sts:AssumeRole",
    }] });
    let iam = account.iam();
    let create = iam.create_role().path(path).role_name(name);
    let create = create.set_permissions_boundary(boundary.map(str::to_owned));
    let created = create
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .unwrap();
    let put = iam.put_role_policy().role_name(name).policy_name("everything");
    put.policy_document(EVERYTHING).send().await.unwrap();
    created.role.unwrap().arn
}

/// Creates a role with the name of a target role that trusts an account; returns its ARN.
async fn trap(account: &Account, trusted: &str) -> String {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{trusted}:root") }, "Action": "sts:AssumeRole",
    }] });
    let create = account.iam().create_role().role_name("ampxa-target-trap");
    let created = create
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .unwrap();
    created.role.unwrap().arn
}

/// What the names of `attacks.json` stand for.
async fn names(wired: &Wired, accounts: &Accounts) -> BTreeMap<&'static str, String> {
    let source = accounts.source.id.as_str();
    let cluster = demo::Cluster::named("attacked").tag("local:activation-minutes", "0");
    let cluster = cluster.make(&accounts.source).await.unwrap();
    let workspace = wired.workspace_in(REGION).await.unwrap();
    let request = json!({ "clusterArn": cluster, "workspaceArn": workspace });
    let run = wired
        .run(Machine::Onboard, &request)
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    let pair = pair_of(&request);
    let boundary = |side: &str, account: &str| format!("arn:aws:iam::{account}:policy/ampxa-{side}-boundary");
    let entry =
        |role: &str| format!("arn:aws:eks:{REGION}:{source}:access-entry/attacked/role/{source}/{role}/0a1b2c3d");
    let of_template = |account: &str, name: &str| format!("arn:aws:iam::{account}:role/ampxa-{name}");
    let role = async |account: &Account, path: &str, name: &str| powerful_role(account, path, name, None).await;
    let root = |id: &str| wired.account(id, REGION);
    let unbounded = accounts.source.iam();
    let unbounded = unbounded.create_role().role_name("ampxa-source-unbounded");
    let unbounded = unbounded.assume_role_policy_document(r#"{"Version":"2012-10-17","Statement":[]}"#);
    let bounded = boundary("target", TARGET);
    let role_of = |path: &str, name: &str| {
        let role = wired.resource(&format!("{name}Role")).unwrap();
        format!("arn:aws:iam::{HUB}:role/ampxa/{path}/{role}")
    };
    let function = |name: &str| role_of("write", name);
    let function_that_reads = |name: &str| role_of("read", name);
    let queue = wired.resource("FailedEvents").unwrap();
    let queue_arn = format!("arn:aws:sqs:{REGION}:{HUB}:{}", queue.rsplit('/').next().unwrap());
    let forwarder = fixture::resource(&accounts.source, "ampxa-source", "EventForwarder").unwrap();
    BTreeMap::from([
        ("source", source.to_owned()),
        ("target", TARGET.to_owned()),
        ("strangerAccount", OUTSIDER.to_owned()),
        ("writer", role(&accounts.hub, "/ampxa/write/", "attacker-w").await),
        ("reader", role(&accounts.hub, "/ampxa/read/", "attacker-r").await),
        ("outside", role(&accounts.hub, "/ampxa/", "attacker-o").await),
        ("member", role(&accounts.source, "/", "attacker-m").await),
        ("stranger", role(&root(OUTSIDER), "/", "attacker-s").await),
        ("management", role(&root(MANAGEMENT), "/", "attacker-g").await),
        ("aft", role(&root(AFT), "/", "attacker-a").await),
        (
            "bounded",
            powerful_role(&accounts.target, "/", "ampxa-target-bounded", Some(&bounded)).await,
        ),
        (
            "bounded-source",
            powerful_role(
                &accounts.source,
                "/",
                "ampxa-source-bounded",
                Some(&boundary("source", source)),
            )
            .await,
        ),
        ("trap", trap(&root(OUTSIDER), source).await),
        ("trap-inside", trap(&accounts.target, source).await),
        ("unbounded", unbounded.send().await.unwrap().role.unwrap().arn),
        ("provisioner-source", of_template(source, "provisioner-source")),
        ("provisioner-target", of_template(TARGET, "provisioner-target")),
        ("reader-source", of_template(source, "reader-source")),
        ("reader-target", of_template(TARGET, "reader-target")),
        // The key of an encrypted workspace. It need not exist: its policy is the default one.
        (
            "key",
            format!("arn:aws:kms:{REGION}:{TARGET}:key/0a1b2c3d-4e5f-6789-abcd-ef0123456789"),
        ),
        ("boundary-source", boundary("source", source)),
        ("boundary-target", bounded),
        (
            "forwarder",
            format!("arn:aws:iam::{source}:role/ampxa/events/{forwarder}"),
        ),
        ("source-role", pair.source_role_arn()),
        ("target-role", pair.target_role_arn()),
        ("scraper", text(&run.output["scraperArn"]).to_owned()),
        ("entry-of-amp", entry("AWSServiceRoleForAmazonPrometheusScraper_1a2b")),
        ("entry-of-other", entry("attacker-m")),
        ("other-workspace", wired.workspace.clone()),
        (
            "bus",
            format!("arn:aws:events:{REGION}:{HUB}:event-bus/{}", fixture::STACK),
        ),
        ("function-create-scraper", function("CreateScraper")),
        ("function-check-request", function_that_reads("CheckRequest")),
        ("function-update-scraper", function("UpdateScraper")),
        ("function-restore-scraper", function("RestoreScraper")),
        (
            "bucket",
            format!("arn:aws:s3:::{}", wired.output("BucketName").unwrap()),
        ),
        ("function-check-cluster", function_that_reads("CheckCluster")),
        ("function-route-event", function_that_reads("RouteEvent")),
        ("provisioner-of-stranger", of_template(OUTSIDER, "provisioner-source")),
        ("reader-of-stranger", of_template(OUTSIDER, "reader-source")),
        ("hub", HUB.to_owned()),
        ("queue", queue_arn),
        ("workspace", workspace),
        ("cluster", cluster),
    ])
}

/// A text with the names in braces replaced.
fn resolved(names: &BTreeMap<&'static str, String>, template: &str) -> String {
    let mut text = template.to_owned();
    for (name, value) in names {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    assert!(!text.contains('{'), "an unknown name in {template}");
    text
}

/// Each combination of principal, action and resource of a case.
fn requests_of(case: &Value, names: &BTreeMap<&'static str, String>) -> Vec<Value> {
    let list = |field: &str| match &case[field] {
        Value::Array(all) => all.iter().map(|one| resolved(names, text(one))).collect::<Vec<_>>(),
        one => vec![resolved(names, text(one))],
    };
    let context: Map<String, Value> = case["context"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| match value {
            Value::String(one) => (key.clone(), json!(resolved(names, one))),
            other => (key.clone(), other.clone()),
        })
        .collect();
    let session_policy = case["sessionPolicy"].as_str().map(|workspace| {
        let workspace = resolved(names, workspace).parse().unwrap();
        ampxa::policy::query_permissions(&workspace)
    });
    let mut requests = Vec::new();
    for principal in list("principal") {
        for action in list("action") {
            for resource in list("resource") {
                requests.push(json!({
                    "attack": case["attack"], "title": case["title"], "want": case["want"],
                    "principal": principal, "action": action, "resource": resource,
                    "context": context, "sessionPolicy": session_policy,
                }));
            }
        }
    }
    requests
}

/// The organization of an account of the local cloud.
fn organization_of(account: &str) -> Option<&'static str> {
    (!account.starts_with('9')).then_some(ORGANIZATION)
}

/// The account of an ARN; empty for a service principal.
fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// Writes requests, with the policies of all roles that they name, for the independent simulator.
pub async fn write_for_the_simulator(wired: &Wired, file: &str, mut requests: Vec<Value>, resources: Value) {
    let mut roles = BTreeMap::new();
    for request in &mut requests {
        for arn in [
            text(&request["principal"]).to_owned(),
            text(&request["resource"]).to_owned(),
        ] {
            if arn.contains(":role/") && !roles.contains_key(&arn) {
                // A role that is only a resource need not exist.
                if let Ok(role) = document::role(&wired.account(account_of(&arn), REGION), &arn).await {
                    roles.insert(arn, role);
                }
            }
        }
        let (principal, resource) = (text(&request["principal"]), text(&request["resource"]));
        let of_role = |value: &str| (!account_of(principal).is_empty()).then(|| value.to_owned());
        let global = json!({
            "aws:PrincipalArn": of_role(principal),
            "aws:PrincipalAccount": of_role(account_of(principal)),
            "aws:PrincipalOrgID": of_role(organization_of(account_of(principal)).unwrap_or_default()),
            "aws:ResourceAccount": resource.split(':').nth(4),
            "aws:ResourceOrgID": resource.split(':').nth(4).and_then(organization_of),
        });
        let global = global
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null() && *value != "");
        let global: Map<String, Value> = global.map(|(key, value)| (key.clone(), value.clone())).collect();
        request["context"].as_object_mut().unwrap().extend(global);
    }
    let document = json!({ "roles": roles, "resourcePolicies": resources, "requests": requests });
    fs::write(format!("{}/{file}", env!("CARGO_TARGET_TMPDIR")), document.to_string()).unwrap();
}

#[tokio::test]
async fn the_local_cloud_decides_every_attack_as_wanted() {
    let wired = fixture::exclusive().await.unwrap();
    let accounts = Accounts {
        hub: wired.hub(),
        source: wired.account(FLEET[1], REGION),
        target: wired.account(TARGET, REGION),
    };
    let names = names(&wired, &accounts).await;
    let attacks: Value = serde_json::from_str(include_str!("attacks.json")).unwrap();
    let cases = attacks["cases"].as_array().unwrap();
    let requests: Vec<Value> = cases.iter().flat_map(|case| requests_of(case, &names)).collect();
    let mut wrong = Vec::new();
    for request in &requests {
        let mut question = request.clone();
        for field in ["attack", "title", "want"] {
            question.as_object_mut().unwrap().remove(field);
        }
        let answer = wired.cloud.tell("decisions", &question).unwrap();
        let allowed = answer["decision"] == "Allowed";
        if allowed != (request["want"] == "Allowed") {
            wrong.push(format!("{request} is {}", answer["decision"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let bus = accounts.hub.json_api(
        "events",
        "AWSEvents.DescribeEventBus",
        &json!({ "Name": fixture::STACK }),
    );
    let policy: Value = serde_json::from_str(text(&bus.unwrap()["Policy"])).unwrap();
    let url = wired.resource("FailedEvents").unwrap();
    let body = json!({ "QueueUrl": url, "AttributeNames": ["Policy"] });
    let queue = accounts
        .hub
        .json_api("sqs", "AmazonSQS.GetQueueAttributes", &body)
        .unwrap();
    let queue_policy: Value = serde_json::from_str(text(&queue["Attributes"]["Policy"])).unwrap();
    // The default key policy (KMS developer guide, "Default key policy"): policies of the account decide.
    let key_policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{TARGET}:root") }, "Action": "kms:*", "Resource": "*",
    }] });
    let resources = json!({
        names["bus"].as_str(): policy,
        names["queue"].as_str(): queue_policy,
        names["key"].as_str(): key_policy,
    });
    write_for_the_simulator(&wired, "attacks.json", requests, resources).await;
    // A reconciliation would report these roles.
    for name in ["bounded", "unbounded", "bounded-source", "trap", "trap-inside"] {
        let (account, role) = (account_of(&names[name]), names[name].rsplit('/').next().unwrap());
        let iam = wired.account(account, REGION).iam();
        let policy = iam.delete_role_policy().role_name(role).policy_name("everything");
        // Not every one of them has the policy.
        let _ = policy.send().await;
        iam.delete_role().role_name(role).send().await.unwrap();
    }
}
