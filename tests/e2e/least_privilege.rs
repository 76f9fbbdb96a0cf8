//! Least privilege is real: without any single action of any policy, some run fails and names it.

use crate::world::{BREAKABLE_SOURCE, BREAKABLE_TARGET, Place, pair_of, text, with, world};
use aws_sdk_iam::Client;
use local::{
    demo, deploy,
    execution::{self, Execution},
    project::Project,
    terminal::Report,
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::time::Duration;

/// One inline policy of one role.
struct Policy {
    iam: Client,
    role: String,
    name: String,
    document: Value,
}

impl Policy {
    async fn read(iam: &Client, role: &str, name: &str) -> Self {
        let answer = iam
            .get_role_policy()
            .role_name(role)
            .policy_name(name)
            .send()
            .await
            .unwrap();
        let text = percent_decode_str(&answer.policy_document).decode_utf8().unwrap();
        Self {
            iam: iam.clone(),
            role: role.to_owned(),
            name: name.to_owned(),
            document: serde_json::from_str(&text).unwrap(),
        }
    }

    async fn write(&self, document: &Value) {
        let put = self.iam.put_role_policy().role_name(&self.role).policy_name(&self.name);
        put.policy_document(document.to_string()).send().await.unwrap();
    }

    async fn delete(&self) {
        let delete = self
            .iam
            .delete_role_policy()
            .role_name(&self.role)
            .policy_name(&self.name);
        delete.send().await.unwrap();
    }

    /// The function whose role it is of, by the name that SAM gives the role: `<stack>-<function>Role-…`.
    fn function(&self) -> &str {
        let name = self
            .role
            .strip_prefix("ampxa-least-")
            .and_then(|rest| rest.rsplit_once("Role-"));
        name.expect("a role of the stack").0
    }

    /// The document without one action of one statement, for each; a statement whose only action
    /// it was goes whole.
    fn without_each_action(&self) -> Vec<(String, Value)> {
        let statements = self.document["Statement"].as_array().unwrap();
        let mut all = Vec::new();
        for (i, statement) in statements.iter().enumerate().filter(|(_, s)| s["Effect"] == "Allow") {
            let actions = match &statement["Action"] {
                Value::Array(actions) => actions.clone(),
                one => vec![one.clone()],
            };
            for action in &actions {
                let mut less = self.document.clone();
                let left: Vec<_> = actions.iter().filter(|other| *other != action).cloned().collect();
                if left.is_empty() {
                    less["Statement"].as_array_mut().unwrap().remove(i);
                } else {
                    less["Statement"][i]["Action"] = json!(left);
                }
                all.push((text(action).to_owned(), less));
            }
        }
        all
    }
}

/// Pairs to try with: a fresh one for each try, and an onboarded one that is spoiled anew each time.
struct Tries {
    drifted: Value,
    count: usize,
}

impl Tries {
    async fn make(place: &Place, name: &str) -> Self {
        let drifted = place.pair(name).await;
        place.onboarded(&drifted).await;
        Self { drifted, count: 0 }
    }

    /// Makes a pair, repairs one, sweeps both and removes one until something fails; all together need every action.
    async fn until_something_fails(&mut self, place: &Place) -> Execution {
        let fresh = self.fresh(place).await;
        let mut run = with_what_was_not_checked(place.onboard(&fresh).await);
        if run.error.is_none() {
            run = place.onboard(&self.spoiled(place).await).await;
        }
        if run.error.is_none() {
            run = self.swept(place).await;
        }
        if run.error.is_none() {
            hang_a_policy_on_the_source_role(place, &fresh).await;
            run = place.offboard(&json!({ "clusterArn": fresh["clusterArn"] })).await;
        }
        run
    }

    async fn fresh(&mut self, place: &Place) -> Value {
        self.count += 1;
        let cluster = demo::Cluster::named(&format!("try-{}-{}", self.count, place.source.region));
        let request = place.pair_of(&cluster.tag("local:activation-minutes", "0")).await;
        let group = demo::security_group(&place.source).unwrap();
        with(
            &request,
            json!({ "securityGroupIds": [group], "tags": { "try": self.count.to_string() } }),
        )
    }

    /// The onboarded pair, with everything that can drift drifted.
    async fn spoiled(&self, place: &Place) -> Value {
        let pair = pair_of(&self.drifted);
        for (account, name) in [
            (&place.source, pair.source_role_name()),
            (&place.target, pair.target_role_name()),
        ] {
            let iam = account.iam();
            let _ = iam.delete_role_permissions_boundary().role_name(&name).send().await;
        }
        with(&self.drifted, json!({ "alias": format!("try-{}", self.count) }))
    }

    /// A sweep of the place, in which the onboarded pair's cluster was missed once and is there again. The first
    /// thing that it reports as failed is its failure.
    async fn swept(&self, place: &Place) -> Execution {
        miss_once(place, &self.drifted).await;
        let input = json!({ "accounts": [place.source.id], "regions": [place.source.region] });
        let mut run = execution::run(&place.hub, &world().sweep_arn, &input).await.unwrap();
        if let Some(failed) = run.output.as_ref().and_then(|output| output["failed"].get(0)) {
            run.error = Some(text(&failed["error"]).to_owned());
            run.cause = Some(text(&failed["cause"]).to_owned());
        }
        run
    }

    /// Whatever a try left of its pair.
    async fn clean_up(&self, place: &Place) {
        let name = format!("try-{}-{}", self.count, place.source.region);
        let (region, account) = (&place.source.region, &place.source.id);
        let cluster = format!("arn:aws:eks:{region}:{account}:cluster/{name}");
        place.offboarded(&json!({ "clusterArn": cluster })).await;
    }
}

/// The same run, failed if it could not look for samples: of that it only tells.
fn with_what_was_not_checked(mut run: Execution) -> Execution {
    let ingestion = run.output.as_ref().map(|output| output["ingestion"].clone());
    if let Some(ingestion) = ingestion.filter(|ingestion| ingestion["result"] == "NOT_CHECKED") {
        run.error = Some("Refused".to_owned());
        run.cause = Some(text(&ingestion["lookAt"][0]).to_owned());
    }
    run
}

/// Only what people attached has to be detached from a source role.
async fn hang_a_policy_on_the_source_role(place: &Place, request: &Value) {
    let name = pair_of(request).source_role_name();
    let attach = place.source.iam().attach_role_policy().role_name(name);
    attach
        .policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess")
        .send()
        .await
        .unwrap();
}

/// Tags the scraper of a pair as a sweep does that misses its cluster.
async fn miss_once(place: &Place, request: &Value) {
    let amp = place.source.amp();
    let scrapers = amp.list_scrapers().send().await.unwrap().scrapers;
    let cluster = text(&request["clusterArn"]);
    let its = scrapers
        .iter()
        .find(|scraper| {
            scraper
                .tags()
                .and_then(|tags| tags.get("ampxa:cluster"))
                .is_some_and(|arn| arn == cluster)
        })
        .expect("a scraper of the pair");
    let tag = amp.tag_resource().resource_arn(its.arn());
    tag.tags("ampxa:gone", "an earlier sweep").send().await.unwrap();
}

#[tokio::test]
async fn every_action_of_the_provisioners_is_needed() {
    let place = world().place(BREAKABLE_SOURCE, BREAKABLE_TARGET);
    let mut tries = Tries::make(&place, "least").await;
    for side in ["source", "target"] {
        let account = if side == "source" { &place.source } else { &place.target };
        let policy = Policy::read(&account.iam(), &format!("ampxa-{side}-provisioner"), "provision").await;
        for (action, less) in policy.without_each_action() {
            assert!(
                !action.contains('*'),
                "{}: {action} allows more than one action",
                policy.role
            );
            policy.write(&less).await;
            let run = tries.until_something_fails(&place).await;
            policy.write(&policy.document).await;
            let cause = run.cause.unwrap_or_default();
            let error = run.error.as_deref();
            assert_eq!(
                error,
                Some("Refused"),
                "{} works without {action}: {cause}",
                policy.role
            );
            assert!(cause.contains(&action), "the cause does not name {action}: {cause}");
            tries.clean_up(&place).await;
        }
    }
    let run = tries.until_something_fails(&place).await;
    assert!(run.error.is_none(), "and with all of them it works: {:?}", run.cause);
}

/// A hub of its own: functions keep the sessions they have, so each must be new when it is tried.
#[tokio::test]
async fn every_action_of_the_functions_is_needed() {
    let (hub_id, source, target) = ("888888888888", "121212121212", "131313131313");
    let project = Project::here().unwrap();
    let python = project.python(&Report::quiet()).unwrap();
    let accounts = deploy::Accounts {
        hub: hub_id.to_owned(),
        // The cloud ends the processes of a function when one of the same name is deployed, in
        // whatever account; a stack of another name has functions of other names.
        stack: "ampxa-least".to_owned(),
        sources: vec![source.to_owned()],
        targets: vec![target.to_owned()],
    };
    let wiring = deploy::Wiring {
        parameters: vec!["OrganizationsAccess=yes".to_owned()],
        ..deploy::Wiring::default()
    };
    let deployed = deploy::deploy_wired(&project, &python, &world().cloud, &accounts, &wiring)
        .await
        .unwrap();
    let place = Place {
        hub: world().cloud.account(hub_id, local::REGION),
        ..world().place(source, target)
    };
    let request = place.pair("functions").await;

    let policies = policies_of_the_functions(&place.hub.iam()).await;
    let names: Vec<&str> = policies.iter().map(Policy::function).collect();
    assert_eq!(
        policies.len(),
        18,
        "each function that calls AWS has one policy: {names:?}"
    );
    for policy in &policies {
        policy.delete().await;
    }
    // Kept, so that what undoes is new when it is tried.
    let onboarding = with(&request, json!({ "onFailure": "KEEP" }));
    let offboarding = json!({ "clusterArn": request["clusterArn"] });
    for (function, machine, input) in [
        ("TakeTurn", &deployed.onboard_arn, &onboarding),
        ("CheckCluster", &deployed.onboard_arn, &onboarding),
        ("EnsureSourceRole", &deployed.onboard_arn, &onboarding),
        ("EnsureTargetRole", &deployed.onboard_arn, &onboarding),
        ("CreateScraper", &deployed.onboard_arn, &onboarding),
        ("CheckScraper", &deployed.onboard_arn, &onboarding),
        ("UpdateScraper", &deployed.onboard_arn, &onboarding),
        ("PatchTrustPolicies", &deployed.onboard_arn, &onboarding),
        ("CheckIngestion", &deployed.onboard_arn, &onboarding),
        ("FindPairs", &deployed.offboard_arn, &offboarding),
        ("RemoveScraper", &deployed.offboard_arn, &offboarding),
        ("RemoveTargetRole", &deployed.offboard_arn, &offboarding),
        ("RemoveSourceRole", &deployed.offboard_arn, &offboarding),
    ] {
        let its = policies
            .iter()
            .find(|policy| policy.function() == function)
            .expect(function);
        // Without each action, and then with them all: another function's turn to be refused.
        let mut lesser = its.without_each_action();
        if lesser.len() == 1 {
            lesser[0].1 = Value::Null;
        }
        for (action, less) in lesser {
            if !less.is_null() {
                its.write(&less).await;
            }
            let mut run = execution::run(&place.hub, machine, input).await.unwrap();
            if action == "states:DescribeExecution" {
                // Another execution's turn is needed, before one has to be looked at.
                run = execution::run(&place.hub, machine, input).await.unwrap();
            }
            let run = with_what_was_not_checked(run);
            let (error, cause) = (run.error.as_deref(), run.cause.unwrap_or_default());
            assert_eq!(error, Some("Refused"), "{function} works without {action}: {cause}");
            assert!(cause.contains(&action) && cause.contains(function), "{cause}");
        }
        its.write(&its.document).await;
    }
    every_action_of_what_starts_by_itself_is_needed(&place, &deployed, &policies, &request).await;
    let run = execution::run(&place.hub, &deployed.offboard_arn, &offboarding)
        .await
        .unwrap();
    assert!(run.output.is_some(), "and with all of them it works: {:?}", run.cause);
}

/// The sweep's functions and the router's, at a table that names an organizational unit. All other
/// functions have their policies.
async fn every_action_of_what_starts_by_itself_is_needed(
    place: &Place,
    deployed: &deploy::Hub,
    policies: &[Policy],
    request: &Value,
) {
    let organization = json!({
        "management": place.hub.id, "root": "r-abcd",
        "units": { "ou-abcd-workloads": "r-abcd" }, "accounts": { &place.source.id: "ou-abcd-workloads" },
    });
    world().cloud.tell("organization", &organization).unwrap();
    let rule =
        json!({ "match": { "organizationalUnits": ["ou-abcd-workloads"] }, "workspaceArn": request["workspaceArn"] });
    let table = json!({
        "Name": "/ampxa-least/routes", "Type": "String", "Value": json!({ "rules": [rule] }).to_string(),
    });
    place.hub.json_api("ssm", "AmazonSSM.PutParameter", &table).unwrap();
    let run = execution::run(&place.hub, &deployed.onboard_arn, request)
        .await
        .unwrap();
    assert!(run.output.is_some(), "{:?}", run.cause);

    let asked = [("StackName", "ampxa-least"), ("LogicalResourceId", "RouteEvent")];
    let router = place.hub.cloudformation("DescribeStackResource", &asked).unwrap();
    let router = demo::element(&router, "PhysicalResourceId").unwrap();
    let event = created(place, request);
    let sweep = json!({ "organization": true, "regions": [place.source.region] });
    for function in [
        "CheckSweep",
        "FindClusters",
        "RouteCluster",
        "RememberGone",
        "RouteEvent",
    ] {
        let of_it = |policy: &&Policy| policy.function() == function;
        let its = policies.iter().find(of_it).expect(function);
        if function == "RememberGone" {
            miss_once(place, request).await;
        }
        let lesser = its.without_each_action();
        let single = lesser.len() == 1;
        for (action, less) in lesser {
            if !single {
                its.write(&less).await;
            }
            let said = match function {
                "RouteEvent" => place.hub.invoke(&router, &event).unwrap(),
                _ => {
                    let run = execution::run(&place.hub, &deployed.sweep_arn, &sweep).await.unwrap();
                    json!([run.error, run.cause, run.output])
                }
            };
            let said = said.to_string();
            let refused = said.contains("Refused") || said.contains("nothing to do");
            assert!(
                refused && said.contains(&action),
                "{function} works without {action}: {said}"
            );
            // A summary cuts what was said before it names the function; what failed tells it too.
            let by_it = match function {
                "FindClusters" => !said.contains("clusterArn"),
                "RouteCluster" | "RememberGone" => said.contains("clusterArn"),
                _ => said.contains(function),
            };
            assert!(by_it, "{said}");
        }
        its.write(&its.document).await;
    }
    let run = execution::run(&place.hub, &deployed.sweep_arn, &sweep).await.unwrap();
    let counts = &run.output.as_ref().unwrap_or_else(|| panic!("{:?}", run.cause))["counts"];
    assert_eq!(*counts, json!({ "ALREADY_FINE": 1, "CAME_BACK": 1 }));
    let routed = place.hub.invoke(&router, &event).unwrap();
    let started = text(&routed["execution"]);
    assert!(started.contains(":ampxa-least-onboard:create-"), "{routed}");
    let pace = Duration::from_millis(100);
    let run = execution::watch(&place.hub, started, pace, async |_| Ok(()))
        .await
        .unwrap();
    assert!(run.output.is_some(), "{:?}", run.cause);
}

/// What the source account tells when the cluster of a request is made.
fn created(place: &Place, request: &Value) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../golden/events/eks-CreateCluster.json")).unwrap();
    for (path, value) in [
        ("/account", json!(place.source.id)),
        ("/region", json!(place.source.region)),
        ("/detail/awsRegion", json!(place.source.region)),
        ("/detail/responseElements/cluster/arn", request["clusterArn"].clone()),
    ] {
        *event.pointer_mut(path).expect(path) = value;
    }
    event
}

/// The policies of the functions that call AWS.
async fn policies_of_the_functions(iam: &Client) -> Vec<Policy> {
    let mut policies = Vec::new();
    let mut roles = iam.list_roles().into_paginator().items().send();
    while let Some(role) = roles.next().await {
        let role = role.unwrap();
        if role.path() != "/ampxa/" {
            continue;
        }
        let answer = iam
            .list_role_policies()
            .role_name(role.role_name())
            .send()
            .await
            .unwrap();
        for name in answer.policy_names {
            policies.push(Policy::read(iam, role.role_name(), &name).await);
        }
    }
    let calls = |policy: &Policy| {
        ["sts:AssumeRole", "dynamodb:", "ssm:"]
            .iter()
            .any(|call| policy.document.to_string().contains(call))
    };
    policies.retain(calls);
    policies
}
