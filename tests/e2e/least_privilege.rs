//! Least privilege is real: without any single action of any policy, some run fails and names it.

use crate::world::{BREAKABLE_SOURCE, BREAKABLE_TARGET, Place, pair_of, text, with, world};
use aws_sdk_iam::Client;
use local::{demo, deploy, execution, project::Project, terminal::Report};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

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

/// A pair on which, all together, every action is needed: everything to be made, or to be repaired.
async fn every_action_fails_somewhere(place: &Place, policy: &Policy, drifted: &mut Drifted) {
    for (action, less) in policy.without_each_action() {
        assert!(
            !action.contains('*'),
            "{}: {action} allows more than one action",
            policy.role
        );
        policy.write(&less).await;
        let fresh = drifted.next_fresh(place).await;
        let mut runs = vec![place.onboard(&fresh).await];
        if runs[0].error.is_none() {
            // Not needed to make anything: then to repair something.
            runs.push(place.onboard(&drifted.spoil(place).await).await);
        }
        policy.write(&policy.document).await;
        let last = runs.last().unwrap();
        let cause = last.cause.clone().unwrap_or_default();
        assert_eq!(
            last.error.as_deref(),
            Some("Refused"),
            "{} works without {action}: {cause}",
            policy.role
        );
        assert!(cause.contains(&action), "the cause does not name {action}: {cause}");
    }
}

/// Pairs to try with: fresh ones, and an onboarded one that is spoiled anew each time.
struct Drifted {
    request: Value,
    fresh: usize,
}

impl Drifted {
    async fn make(place: &Place, name: &str) -> Self {
        let request = place.pair(name).await;
        place.onboarded(&request).await;
        Self { request, fresh: 0 }
    }

    async fn next_fresh(&mut self, place: &Place) -> Value {
        self.fresh += 1;
        // A scraper that came of an earlier try would fill the quota.
        let amp = place.source.amp();
        for scraper in amp.list_scrapers().send().await.unwrap().scrapers {
            let kept = scraper.tags().and_then(|tags| tags.get("ampxa:cluster"))
                == Some(&text(&self.request["clusterArn"]).to_owned());
            if !kept {
                let _ = amp.delete_scraper().scraper_id(scraper.scraper_id()).send().await;
            }
        }
        let cluster = demo::Cluster::named(&format!("try-{}-{}", self.fresh, place.source.region));
        let request = place.pair_of(&cluster.tag("local:activation-minutes", "0")).await;
        let group = demo::security_group(&place.source).unwrap();
        with(
            &request,
            json!({ "securityGroupIds": [group], "tags": { "try": self.fresh.to_string() } }),
        )
    }

    /// The onboarded pair, with everything of its roles that can drift drifted.
    async fn spoil(&self, place: &Place) -> Value {
        let pair = pair_of(&self.request);
        for (account, name) in [
            (&place.source, pair.source_role_name()),
            (&place.target, pair.target_role_name()),
        ] {
            let iam = account.iam();
            let _ = iam.delete_role_permissions_boundary().role_name(&name).send().await;
        }
        self.request.clone()
    }
}

#[tokio::test]
async fn every_action_of_the_provisioners_is_needed() {
    let place = world().place(BREAKABLE_SOURCE, BREAKABLE_TARGET);
    let mut drifted = Drifted::make(&place, "least").await;
    for side in ["source", "target"] {
        let account = if side == "source" { &place.source } else { &place.target };
        let policy = Policy::read(&account.iam(), &format!("ampxa-{side}-provisioner"), "provision").await;
        every_action_fails_somewhere(&place, &policy, &mut drifted).await;
    }
    assert!(
        place.onboarded(&drifted.request).await["scraperArn"].is_string(),
        "and with all of them it works"
    );
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
    let deployed = deploy::deploy(&project, &python, &world().cloud, &accounts)
        .await
        .unwrap();
    let place = Place {
        hub: world().cloud.account(hub_id, local::REGION),
        ..world().place(source, target)
    };
    let request = place.pair("functions").await;

    let iam = place.hub.iam();
    let mut policies = Vec::new();
    for role in iam
        .list_roles()
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .unwrap()
    {
        let names = iam
            .list_role_policies()
            .role_name(role.role_name())
            .send()
            .await
            .unwrap()
            .policy_names;
        for name in names
            .iter()
            .filter(|_| role.path() == "/ampxa/" && role.role_name().contains("Role"))
        {
            policies.push(Policy::read(&iam, role.role_name(), name).await);
        }
    }
    policies.retain(|policy| policy.document.to_string().contains("sts:AssumeRole"));
    for policy in &policies {
        for (action, _) in policy.without_each_action() {
            assert_eq!(action, "sts:AssumeRole", "{}", policy.role);
        }
        policy
            .iam
            .delete_role_policy()
            .role_name(&policy.role)
            .policy_name(&policy.name)
            .send()
            .await
            .unwrap();
    }
    for function in [
        "CheckCluster",
        "EnsureSourceRole",
        "EnsureTargetRole",
        "CreateScraper",
        "CheckScraper",
        "PatchTrustPolicies",
    ] {
        let run = execution::run(&place.hub, &deployed.onboard_arn, &request)
            .await
            .unwrap();
        let cause = run.cause.unwrap_or_default();
        assert_eq!(
            run.error.as_deref(),
            Some("Refused"),
            "{function} works without its policy"
        );
        assert!(cause.contains("sts:AssumeRole") && cause.contains(function), "{cause}");
        let its = policies
            .iter()
            .find(|policy| policy.role.contains(function))
            .expect(function);
        its.write(&its.document).await;
    }
    let run = execution::run(&place.hub, &deployed.onboard_arn, &request)
        .await
        .unwrap();
    assert!(run.output.is_some(), "and with all of them it works: {:?}", run.cause);
    assert_eq!(policies.len(), 6, "each function but check-request has one policy");
}
