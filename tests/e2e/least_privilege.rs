//! Least privilege: every granted action is used, and a run that lacks one fails and names it.
//!
//! The cloud enforces IAM, so every test of this folder fails if a required action is not granted. The first test here
//! compares the granted actions with the calls in the cloud's request log, and fails if no call needs an action. The
//! other tests remove actions.

use crate::{
    deployment::{Accounts, deployment, pair_of, text, with},
    events::{
        adoption::make_scraper,
        fixture::{self, Exclusive, FLEET, Machine},
    },
};
use ampxa_cli::{account::Account, execution::Execution};
use aws_sdk_eks::types::AuthenticationMode;
use aws_sdk_iam::Client;
use driver::{HUB, ORGANIZATION, REGION, TARGET, demo};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Actions that AMP checks with its caller's permissions while it creates or deletes a scraper (AMP user guide, "Using
/// AWS managed collectors"). The functions do not call them: tests below remove each of them.
const CHECKED_BY_CREATE_SCRAPER: [&str; 7] = [
    "eks:DescribeCluster",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
    "iam:PassRole",
    "iam:CreateServiceLinkedRole",
    "eks:CreateAccessEntry",
    "eks:AssociateAccessPolicy",
];
const CHECKED_BY_DELETE_SCRAPER: [&str; 2] = ["eks:DeleteAccessEntry", "iam:DeleteServiceLinkedRole"];
/// Actions that CloudWatch Logs checks with the permissions of AMP's caller, who switches the logs of a scraper on or off.
const CHECKED_BY_LOGGING: [&str; 6] = [
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:DeleteLogDelivery",
];
/// Lambda itself sends an event that a function could not handle to the queue, with the permissions of the function's
/// role (Lambda developer guide, "Capturing records of Lambda asynchronous invocations").
const USED_BY_LAMBDA: &str = "sqs:SendMessage";

/// `prepare-cluster` calls it, too.
const CALLED_TOO: &str = "eks:DescribeCluster";
/// Two statements with different conditions allow it, each for one change of a cluster. The call log does not say which
/// one a call needs: a test below removes each of them.
const GRANTED_TWICE: &str = "eks:UpdateClusterConfig";
/// AMP also checks it on the workspace that a request names: a test below removes the statement.
const CHECKED_ON_WORKSPACES: &str = "aps:UpdateScraper";

/// What one role may do.
pub struct Policy {
    iam: Client,
    role: String,
    name: String,
    pub document: Value,
}

impl Policy {
    pub async fn read(iam: &Client, role: &str, name: &str) -> Self {
        let read = iam.get_role_policy().role_name(role).policy_name(name).send().await;
        let answer = read.unwrap();
        let text = percent_decode_str(&answer.policy_document).decode_utf8().unwrap();
        Self {
            iam: iam.clone(),
            role: role.to_owned(),
            name: name.to_owned(),
            document: serde_json::from_str(&text).unwrap(),
        }
    }

    /// The policy of an account's provisioner.
    async fn of_provisioner(account: &Account, side: &str) -> Self {
        Self::read(&account.iam(), &format!("ampxa-provisioner-{side}"), "provision").await
    }

    /// The policy of an account's reader.
    async fn of_reader(account: &Account, side: &str) -> Self {
        Self::read(&account.iam(), &format!("ampxa-reader-{side}"), "read").await
    }

    /// All statements of a function's role: its own and those of the managed policies of the hub.
    async fn of_function(iam: &Client, role: &str) -> Self {
        let mut statements = Vec::new();
        let inline = iam.list_role_policies().role_name(role).send().await.unwrap();
        for name in inline.policy_names {
            statements.extend(statements_of(Self::read(iam, role, &name).await.document));
        }
        let attached = iam.list_attached_role_policies().role_name(role).send().await.unwrap();
        for policy in attached.attached_policies() {
            let arn = policy.policy_arn().unwrap();
            if arn.contains(":iam::aws:") {
                continue;
            }
            let described = iam.get_policy().policy_arn(arn).send().await.unwrap().policy.unwrap();
            let version = iam.get_policy_version().policy_arn(arn);
            let version = version
                .version_id(described.default_version_id().unwrap())
                .send()
                .await
                .unwrap();
            let text = version.policy_version.unwrap().document.unwrap();
            let text = percent_decode_str(&text).decode_utf8().unwrap().into_owned();
            statements.extend(statements_of(serde_json::from_str(&text).unwrap()));
        }
        Self {
            iam: iam.clone(),
            role: role.to_owned(),
            name: "all".to_owned(),
            document: json!({ "Statement": statements }),
        }
    }

    pub async fn write(&self, document: &Value) {
        let put = self.iam.put_role_policy().role_name(&self.role).policy_name(&self.name);
        put.policy_document(document.to_string()).send().await.unwrap();
    }

    /// The document without one action.
    fn without(&self, action: &str) -> Value {
        let mut less = self.document.clone();
        let statements = less["Statement"].as_array_mut().unwrap();
        for statement in statements.iter_mut() {
            if list(&statement["Action"]).contains(&action) {
                let left: Vec<&str> = list(&statement["Action"])
                    .into_iter()
                    .filter(|one| *one != action)
                    .collect();
                statement["Action"] = json!(left);
            }
        }
        statements.retain(|statement| statement["Action"] != json!([]));
        assert_ne!(less, self.document, "{} does not allow {action}", self.role);
        less
    }

    /// Each action of each statement that allows it, with the statement's resources.
    fn grants(&self) -> Vec<(&str, Vec<&str>)> {
        let statements = self.document["Statement"].as_array().unwrap();
        let allows = statements.iter().filter(|statement| statement["Effect"] == "Allow");
        let grants = allows.flat_map(|statement| {
            let resources = list(&statement["Resource"]);
            list(&statement["Action"])
                .into_iter()
                .map(move |action| (action, resources.clone()))
        });
        grants.collect()
    }
}

fn statements_of(document: Value) -> Vec<Value> {
    match &document["Statement"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    }
}

/// The elements of a list, or the only element: a policy may contain it without a list.
fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

/// Whether a text matches a pattern in which `*` stands for any characters.
fn matches(pattern: &str, whole: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == whole,
        Some((start, rest)) => whole
            .strip_prefix(start)
            .is_some_and(|left| (0..=left.len()).any(|at| left.is_char_boundary(at) && matches(rest, &left[at..]))),
    }
}

#[test]
fn a_pattern_matches_as_iam_matches_it() {
    for (pattern, whole, expected) in [
        ("*", "anything", true),
        (
            "arn:aws:iam::1:role/ampxa-*",
            "arn:aws:iam::1:role/ampxa-source-a",
            true,
        ),
        ("arn:aws:iam::1:role/ampxa-*", "arn:aws:iam::1:role/other", false),
        ("a*c", "abc", true),
        ("a*c", "abcd", false),
    ] {
        assert_eq!(matches(pattern, whole), expected, "{pattern} {whole}");
    }
}

/// The policies of the functions that call AWS.
async fn policies_of_the_functions(iam: &Client) -> Vec<Policy> {
    let mut policies = Vec::new();
    let mut roles = iam.list_roles().into_paginator().items().send();
    while let Some(role) = roles.next().await {
        let role = role.unwrap();
        if !["/ampxa/read/", "/ampxa/write/"].contains(&role.path()) {
            continue;
        }
        policies.push(Policy::of_function(iam, role.role_name()).await);
    }
    policies.retain(|policy| {
        let document = policy.document.to_string();
        ["sts:AssumeRole", "dynamodb:", "ssm:", "s3:"]
            .iter()
            .any(|call| document.contains(call))
    });
    policies
}

/// Runs `ampxa status --live --readers` with a role that the parameter `ReaderPrincipalArns` admits.
async fn status_as_a_person(wired: &fixture::Wired, account: &str) {
    let person = crate::boundaries::hub_principal_of(&wired.hub(), "/people/", "operator").await;
    let credentials = person.credentials();
    let status = crate::command::ampxa(&[
        "status",
        "--live",
        "--readers",
        "--accounts",
        account,
        "--regions",
        REGION,
    ])
    .env("AWS_ENDPOINT_URL", &wired.cloud.url)
    .envs([
        ("AWS_ACCESS_KEY_ID", credentials.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key()),
        ("AWS_SESSION_TOKEN", credentials.session_token().unwrap_or_default()),
    ])
    .output()
    .unwrap();
    let printed = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && !printed.contains("NOT CHECKED"), "{printed}");
    for cluster in ["cluster/least ", "cluster/denied "] {
        let line = printed.lines().find(|line| line.contains(cluster)).expect(&printed);
        assert!(line.contains("ACTIVE") && !line.contains("missing"), "{line}");
    }
}

/// Onboards a cluster by its event, plans, causes and repairs drift, recovers the cluster from an orphan tag, and deletes it.
/// Each granted action must be needed by a call of these runs.
#[tokio::test]
async fn every_granted_action_is_needed_by_a_call() {
    let wired = fixture::exclusive().await.unwrap();
    let account = FLEET[0];
    // Its owner accepts a unit, so that the step that checks consent lists the parents of the account.
    let target = wired.account(TARGET, REGION);
    let accepts = Some(fixture::unit_of(account));
    let workspace = demo::workspace_that_accepts(&target, "least", accepts).await.unwrap();
    let table = json!({ "rules": [
        {
            "match": { "organizationalUnits": [fixture::unit_of(account)], "clusterNames": ["least"] },
            "workspaceArn": workspace,
            "scrapeConfigurationObject": "configurations/least.yaml",
            "prepareCluster": ["PRIVATE_ENDPOINT", "ACCESS_ENTRIES"],
        },
        { "match": { "clusterNames": ["*"] }, "ignore": "not the cluster of this test" },
    ] });
    wired.set_routes(&table.to_string()).unwrap();
    let accounts = Accounts {
        hub: wired.hub(),
        source: wired.account(account, REGION),
        target: wired.account(TARGET, REGION),
    };
    let bucket = wired.hub().bucket(&wired.output("BucketName").unwrap());
    let pods = "scrape_configs: [{job_name: pods, kubernetes_sd_configs: [{role: pod}]}]";
    bucket.put("configurations/least.yaml", pods).await.unwrap();
    let nodes = pods.replace("pod", "node");
    bucket.put("configurations/nodes.yaml", &nodes).await.unwrap();
    let nodes = bucket.get("configurations/nodes.yaml", None).await.unwrap().unwrap();
    let since = wired.cloud.look("calls?since=9999999999").unwrap()["next"]
        .as_u64()
        .unwrap();

    let mut cluster = demo::Cluster::named("least").tag("local:activation-minutes", "0");
    (cluster.mode, cluster.private_access) = (AuthenticationMode::ConfigMap, false);
    let cluster = cluster.make(&accounts.source).await.unwrap();
    wired
        .started(Machine::Onboard, "create-least-")
        .await
        .unwrap()
        .succeeded()
        .unwrap();

    let request = json!({ "clusterArn": cluster, "workspaceArn": workspace });
    let pair = pair_of(&request);
    for (account, role) in [
        (&accounts.source, pair.source_role_name()),
        (&accounts.target, pair.target_role_name()),
    ] {
        let iam = account.iam();
        iam.delete_role_permissions_boundary()
            .role_name(&role)
            .send()
            .await
            .unwrap();
    }
    let group = demo::security_group(&accounts.source).unwrap();
    let changed = json!({
        "alias": "changed", "tags": { "team": "a" }, "securityGroupIds": [group],
        "scrapeConfigurationObject": "configurations/nodes.yaml", "scrapeConfigurationVersion": nodes.version,
    });
    let changed = with(&request, changed);
    // A plan reads the object, or AMP's default configuration, and the status of the last holder of the lock.
    for planned in [&changed, &with(&request, json!({ "scrapeConfiguration": "DEFAULT" }))] {
        let plan = with(planned, json!({ "mode": "PLAN" }));
        wired.run(Machine::Onboard, &plan).await.unwrap().succeeded().unwrap();
    }
    let plan = with(&request, json!({ "mode": "PLAN" }));
    wired.run(Machine::Offboard, &plan).await.unwrap().succeeded().unwrap();
    // The second execution reads the status of the first one, which holds the lock.
    let (first, second) = tokio::join!(
        wired.run(Machine::Onboard, &changed),
        wired.run(Machine::Onboard, &changed)
    );
    first.unwrap().succeeded().unwrap();
    second.unwrap().succeeded().unwrap();

    let scraper = &wired.scrapers(account, REGION).await.unwrap()[cluster.as_str()].0;
    let tag = accounts.source.amp().tag_resource().resource_arn(scraper);
    tag.tags("ampxa:orphan-since", "an earlier reconciliation")
        .send()
        .await
        .unwrap();
    let input = json!({ "organization": true, "regions": [REGION] });
    let reconciliation = wired
        .run(Machine::Reconcile, &input)
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    assert_eq!(
        reconciliation.output["counts"]["ORPHAN_RECOVERED"], 1,
        "{}",
        reconciliation.output
    );

    // No samples arrive if the workspace denies them, so the functions read both roles, the access entry and the workspace,
    // with its resource policy, for the hints.
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "aps:RemoteWrite", "Resource": workspace,
    }] });
    let put = accounts.target.amp().put_resource_policy();
    let put = put.workspace_id(workspace.rsplit('/').next().unwrap());
    put.policy_document(policy.to_string()).send().await.unwrap();
    let denied = demo::Cluster::named("denied").tag("local:activation-minutes", "0");
    let denied = denied.make(&accounts.source).await.unwrap();
    let denied = json!({ "clusterArn": denied, "workspaceArn": workspace });
    let run = wired.run(Machine::Onboard, &denied).await.unwrap().succeeded().unwrap();
    assert_eq!(run.output["ingestion"]["result"], "NONE", "{}", run.output);
    // The collector's logs were switched on.
    let never = with(&denied, json!({ "collectorLogs": "NEVER" }));
    wired.run(Machine::Onboard, &never).await.unwrap().succeeded().unwrap();
    status_as_a_person(&wired, account).await;

    let attach = accounts
        .source
        .iam()
        .attach_role_policy()
        .role_name(pair.source_role_name());
    let managed = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    attach.policy_arn(managed).send().await.unwrap();
    accounts
        .source
        .eks()
        .delete_cluster()
        .name("least")
        .send()
        .await
        .unwrap();
    wired
        .started(Machine::Offboard, "delete-least-")
        .await
        .unwrap()
        .succeeded()
        .unwrap();

    for (name, roles) in [("least-roles", true), ("least-linked", false)] {
        let (scraper, failure) = adopt_in_vain(&wired, &accounts.source, name, roles).await;
        let restored = format!("The scraper {scraper} is as it was before.");
        assert!(failure.contains(&restored), "{failure}");
    }

    let log = wired.cloud.look("calls").unwrap();
    let calls = log["calls"].as_array().unwrap().iter().filter(|call| {
        // A function may still use a session from another test.
        call["n"].as_u64() > Some(since) || call["action"] == "sts:AssumeRole"
    });
    let calls: Vec<&Value> = calls.collect();
    let mut policies = policies_of_the_functions(&accounts.hub.iam()).await;
    let functions: Vec<&String> = policies.iter().map(|policy| &policy.role).collect();
    assert_eq!(
        functions.len(),
        26,
        "expected one policy for each function that calls AWS: {functions:#?}"
    );
    policies.push(Policy::of_provisioner(&accounts.source, "source").await);
    let iam = accounts.source.iam();
    for further in ["prepare-clusters", "adopt-scrapers", "collector-logs"] {
        policies.push(Policy::read(&iam, "ampxa-provisioner-source", further).await);
    }
    policies.push(Policy::of_provisioner(&accounts.target, "target").await);
    policies.push(Policy::of_reader(&accounts.source, "source").await);
    policies.push(Policy::of_reader(&accounts.target, "target").await);
    let checked = [
        &CHECKED_BY_CREATE_SCRAPER[..],
        &CHECKED_BY_DELETE_SCRAPER,
        &CHECKED_BY_LOGGING,
        &[USED_BY_LAMBDA, GRANTED_TWICE],
    ]
    .concat();
    let mut unused = Vec::new();
    for policy in &policies {
        let grants = policy.grants();
        let session = format!(":assumed-role/{}/", policy.role);
        let allowed_calls = calls.iter().filter(|call| {
            let allowed = call["status"].as_u64().is_some_and(|status| status < 300);
            allowed && text(&call["principal"]).contains(&session)
        });
        let mut needed = vec![false; grants.len()];
        for call in allowed_calls {
            let (action, resource) = (text(&call["action"]), call["resource"].as_str().unwrap_or("*"));
            let allow = |(granted, resources): &(&str, Vec<&str>)| {
                *granted == action && resources.iter().any(|pattern| matches(pattern, resource))
            };
            let allowing: Vec<usize> = (0..grants.len()).filter(|index| allow(&grants[*index])).collect();
            // A call that two grants allow needs neither of them.
            if let [only] = allowing[..] {
                needed[only] = true;
            }
        }
        for ((action, resources), needed) in grants.iter().zip(needed) {
            assert!(
                !action.contains('*'),
                "{}: {action} is more than one action",
                policy.role
            );
            let is_removed_below = checked.contains(action)
                || *action == CHECKED_ON_WORKSPACES && resources.iter().all(|arn| arn.ends_with(":workspace/*"));
            if !needed && !is_removed_below {
                unused.push(format!("{}: {action} on {resources:?}", policy.role));
            }
            // A function without these actions of the provisioner uses them as the reader.
            let is_called = needed && ![GRANTED_TWICE, CALLED_TOO].contains(action);
            let both = is_called && checked.contains(action) && policy.role.starts_with("ampxa-provisioner-");
            assert!(!both, "the functions call {action}: remove it from the constants above");
        }
    }
    assert!(unused.is_empty(), "no call needs {unused:#?}");
    write_legitimate_calls(&wired, &log, since).await;
}

/// Writes the calls of these runs, with their contexts, for the independent simulator (`.ci/simulate.mjs`).
async fn write_legitimate_calls(wired: &fixture::Wired, log: &Value, since: u64) {
    let calls = ["calls", "forwarded"].map(|list| log[list].as_array().unwrap());
    let mut requests = BTreeMap::new();
    for call in calls.into_iter().flatten() {
        let allowed = call["status"].as_u64().is_some_and(|status| status < 300) || call["result"] == "allowed";
        let context = call["context"].as_object().unwrap();
        let role = context.get("aws:PrincipalArn").map(text).unwrap_or_default();
        let ours = [
            ":role/ampxa/write/",
            ":role/ampxa/read/",
            ":role/ampxa-provisioner-",
            ":role/ampxa-reader-",
        ];
        if !allowed || call["n"].as_u64() <= Some(since) || !ours.iter().any(|part| role.contains(part)) {
            continue;
        }
        let action = text(&call["action"]);
        let unit = format!(
            "arn:aws:organizations::{}:ou/{ORGANIZATION}/ou-abcd-workloads",
            fixture::MANAGEMENT
        );
        // The local cloud has one resource for all actions of AWS Organizations.
        let resource = match action {
            "organizations:ListParents" => &unit,
            "organizations:ListAccounts" => "*",
            _ => call["resource"].as_str().unwrap_or("*"),
        };
        // The service reference does not list these keys for these actions.
        let unknown = ["sessionPolicy", "dynamodb:Select"];
        let context: serde_json::Map<_, _> = context
            .iter()
            .filter(|(key, _)| !unknown.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let request = json!({
            "attack": "legitimate", "title": text(&call["principal"]), "want": "Allowed",
            "principal": role, "action": action, "resource": resource, "context": context, "sessionPolicy": null,
            // The policies of the caller alone authorize these calls, although the resource is in another account.
            "sameAccount": action == "aps:CreateScraper" || action.starts_with("organizations:"),
        });
        requests.insert((role.to_owned(), action.to_owned(), resource.to_owned()), request);
    }
    let requests: Vec<Value> = requests.into_values().collect();
    assert!(requests.len() > 80, "only {} different calls", requests.len());
    crate::attacks::write_for_the_simulator(wired, "legitimate.json", requests, json!({})).await;
}

/// Asserts that a run failed because an action was denied, and that its cause names the action.
fn assert_denied(run: &Execution, action: &str) {
    let cause = run.cause.as_deref().unwrap_or_default();
    assert_eq!(
        run.error.as_deref(),
        Some("AccessDenied"),
        "without {action} the run did not end with AccessDenied: {cause}"
    );
    assert!(cause.contains(action), "the cause does not name {action}: {cause}");
}

/// A cluster and a workspace in accounts that no other test uses.
async fn new_pair() -> (Accounts, Value) {
    let accounts = deployment().new_accounts();
    let cluster = demo::Cluster::named("least").tag("local:activation-minutes", "0");
    let request = accounts.pair_of(&cluster).await;
    (accounts, request)
}

#[tokio::test]
async fn an_onboarding_without_one_permission_fails_and_names_it() {
    let (accounts, request) = new_pair().await;
    let before = accounts.resources();
    let own_calls = [("source", "aps:CreateScraper"), ("target", "iam:AttachRolePolicy")];
    let checked = CHECKED_BY_CREATE_SCRAPER.map(|action| ("source", action));
    for (side, action) in checked.into_iter().chain(own_calls) {
        let account = if side == "source" {
            &accounts.source
        } else {
            &accounts.target
        };
        let policy = Policy::of_provisioner(account, side).await;
        policy.write(&policy.without(action)).await;
        let run = accounts.onboard(&request).await;
        policy.write(&policy.document).await;
        assert_denied(&run, action);
        assert_eq!(accounts.resources(), before, "without {action} resources are left");
    }
    accounts.onboarded(&request).await;
}

#[tokio::test]
async fn an_offboarding_without_one_permission_fails_and_names_it() {
    let (accounts, request) = new_pair().await;
    accounts.onboarded(&request).await;
    let policy = Policy::of_provisioner(&accounts.source, "source").await;
    for action in CHECKED_BY_DELETE_SCRAPER.into_iter().chain(["aps:DeleteScraper"]) {
        policy.write(&policy.without(action)).await;
        let run = accounts.offboard(&request).await;
        policy.write(&policy.document).await;
        assert_denied(&run, action);
        assert_eq!(
            accounts.scrapers().await.len(),
            1,
            "the scraper was deleted without {action}"
        );
    }
    accounts.offboarded(&request).await;
}

/// Adopts a scraper whose targets are down: with roles of its own, or with AMP's service-linked role alone. Returns the
/// scraper and the failure.
async fn adopt_in_vain(wired: &Exclusive, account: &Account, name: &str, roles: bool) -> (String, String) {
    let workspace = match roles {
        true => wired.workspace.clone(),
        false => demo::workspace(account, "own").await.unwrap(),
    };
    let cluster = demo::Cluster::named(name).tag("local:activation-minutes", "0");
    let cluster = cluster.tag("local:targets", "down").make(account).await.unwrap();
    let scraper = make_scraper(wired, account, &cluster, &workspace, roles).await.unwrap();
    let request = json!({
        "clusterArn": cluster, "workspaceArn": workspace, "adopt": true, "checkIngestion": "REQUIRE",
        "collectorLogs": "NEVER",
    });
    let run = wired.run(Machine::Onboard, &request).await.unwrap();
    assert!(run.failure.starts_with("NoSamples"), "{run:?}");
    // Other tests need the quota.
    let id = scraper.rsplit('/').next().unwrap();
    match run.failure.contains("The rollback did not finish") {
        true => wired.offboard(&request).await.unwrap(),
        false => drop(account.amp().delete_scraper().scraper_id(id).send().await.unwrap()),
    }
    (scraper, run.failure)
}

#[tokio::test]
async fn a_scraper_that_cannot_get_its_former_roles_keeps_those_of_the_pair_and_the_cause_says_so() {
    let wired = fixture::exclusive().await.unwrap();
    let account = wired.account(FLEET[0], REGION);
    wired.ignore_events().unwrap();
    for (policy, sid, roles) in [
        ("adopt-scrapers", "PassFormerRoles", true),
        ("provision", "RestoreTheServiceLinkedRole", false),
    ] {
        let policy = Policy::read(&account.iam(), "ampxa-provisioner-source", policy).await;
        let mut less = policy.document.clone();
        for statement in less["Statement"].as_array_mut().unwrap() {
            if statement["Sid"] == sid {
                // The ARNs stay: without them, the scraper would not be adopted.
                statement["Action"] = json!("aps:ListScrapers");
            }
        }
        policy.write(&less).await;
        let (scraper, failure) = adopt_in_vain(&wired, &account, &format!("kept-{roles}"), roles).await;
        policy.write(&policy.document).await;
        let denied = if roles { "iam:PassRole" } else { "aps:UpdateScraper" };
        for part in [
            "The rollback did not finish",
            denied,
            &format!("the scraper {scraper} as this execution changed it"),
        ] {
            assert!(failure.contains(part), "{part}: {failure}");
        }
    }
}

#[tokio::test]
async fn each_change_of_a_cluster_needs_its_own_statement() {
    let wired = fixture::exclusive().await.unwrap();
    let account = wired.account(FLEET[1], REGION);
    wired.ignore_events().unwrap();
    let policy = Policy::read(&account.iam(), "ampxa-provisioner-source", "prepare-clusters").await;
    for (sid, change, private, mode) in [
        (
            "EnablePrivateEndpointAccess",
            "PRIVATE_ENDPOINT",
            false,
            AuthenticationMode::Api,
        ),
        (
            "EnableAccessEntries",
            "ACCESS_ENTRIES",
            true,
            AuthenticationMode::ConfigMap,
        ),
    ] {
        let mut cluster = demo::Cluster::named(&format!("without-{}", change.to_lowercase()));
        (cluster.mode, cluster.private_access) = (mode, private);
        let cluster = cluster.make(&account).await.unwrap();
        let request = json!({ "clusterArn": cluster, "workspaceArn": wired.workspace, "prepareCluster": [change] });
        let mut less = policy.document.clone();
        less["Statement"]
            .as_array_mut()
            .unwrap()
            .retain(|statement| statement["Sid"] != sid);
        policy.write(&less).await;
        let run = wired.run(Machine::Onboard, &request).await.unwrap();
        policy.write(&policy.document).await;
        assert!(
            run.failure.starts_with("AccessDenied") && run.failure.contains("eks:UpdateClusterConfig"),
            "{run:?}"
        );
        let run = wired
            .run(Machine::Onboard, &request)
            .await
            .unwrap()
            .succeeded()
            .unwrap();
        assert_eq!(run.output["prepared"], json!([change]));
        wired.offboard(&request).await.unwrap();
    }
}

#[tokio::test]
async fn logs_that_one_missing_permission_prevents_are_a_warning_that_names_it() {
    let wired = fixture::exclusive().await.unwrap();
    let account = wired.account(FLEET[1], REGION);
    wired.ignore_events().unwrap();
    let cluster = demo::Cluster::named("unlogged").tag("local:activation-minutes", "0");
    let cluster = cluster.make(&account).await.unwrap();
    let request = |mode: &str| json!({ "clusterArn": cluster, "workspaceArn": wired.workspace, "collectorLogs": mode });
    let onboard = async |request: Value| {
        let run = wired.run(Machine::Onboard, &request).await.unwrap();
        run.succeeded().unwrap().output["warnings"].to_string()
    };
    onboard(request("NEVER")).await;
    let policy = Policy::read(&account.iam(), "ampxa-provisioner-source", "collector-logs").await;
    for action in CHECKED_BY_LOGGING {
        let mode = match action {
            "logs:DeleteLogDelivery" => {
                assert_eq!(onboard(request("ALWAYS")).await, "[]");
                "NEVER"
            }
            _ => "ALWAYS",
        };
        policy.write(&policy.without(action)).await;
        let warnings = onboard(request(mode)).await;
        policy.write(&policy.document).await;
        assert!(
            warnings.contains("The logs of the collector could not be changed.") && warnings.contains(action),
            "{warnings}"
        );
    }
    wired.offboard(&request("NEVER")).await.unwrap();
}

#[tokio::test]
async fn a_denied_query_for_samples_is_reported_with_the_missing_permission() {
    let (accounts, request) = new_pair().await;
    let policy = Policy::of_reader(&accounts.target, "target").await;
    policy.write(&policy.without("aps:QueryMetrics")).await;
    let output = accounts.onboarded(&request).await;
    assert_eq!(output["ingestion"]["result"], "NOT_CHECKED");
    let hint = text(&output["ingestion"]["hints"][0]);
    assert!(hint.contains("aps:QueryMetrics"), "{hint}");
}

/// The denial concerns only the role of this function and the provisioner of this account.
#[tokio::test]
async fn a_function_that_may_not_assume_the_provisioner_is_named_in_the_cause() {
    let (accounts, request) = new_pair().await;
    let hub = deployment().cloud.account(HUB, REGION);
    let role = fixture::resource(&hub, "ampxa", "EnsureTargetRoleRole").unwrap();
    let provisioner = format!("arn:aws:iam::{}:role/ampxa-provisioner-target", accounts.target.id);
    let denial = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "sts:AssumeRole", "Resource": provisioner }
    ] });
    let iam = hub.iam();
    let put = iam.put_role_policy().role_name(&role).policy_name("denial");
    put.policy_document(denial.to_string()).send().await.unwrap();
    let run = accounts.onboard(&request).await;
    iam.delete_role_policy()
        .role_name(&role)
        .policy_name("denial")
        .send()
        .await
        .unwrap();
    assert_denied(&run, "sts:AssumeRole");
    let cause = run.cause.unwrap();
    assert!(cause.contains("EnsureTargetRole"), "{cause}");
}
