//! Plans of an onboarding and an offboarding, and executions that keep to them.

use crate::{
    deployment::{Accounts, SOURCE, TARGET, deployment, text, with},
    rerun::{log_position, writes_since},
};
use driver::demo;
use serde_json::{Value, json};

async fn planned(accounts: &Accounts, request: &Value) -> Value {
    let position = log_position();
    let plan = accounts.onboarded(&with(request, json!({ "mode": "PLAN" }))).await;
    assert_eq!(plan["outcome"], "PLANNED", "{plan}");
    assert_nothing_was_written(accounts, request, position);
    plan
}

async fn planned_removal(accounts: &Accounts, request: &Value) -> Value {
    let position = log_position();
    let plan = accounts.offboarded(&with(request, json!({ "mode": "PLAN" }))).await;
    assert_eq!(plan["outcome"], "PLANNED", "{plan}");
    assert_nothing_was_written(accounts, request, position);
    plan
}

fn assert_nothing_was_written(accounts: &Accounts, request: &Value, position: u64) {
    let cluster = text(&request["clusterArn"]).rsplit('/').next().unwrap();
    for name in [cluster, &accounts.source.region] {
        assert_eq!(writes_since(position, name), [""; 0], "the execution changed {name}");
    }
}

/// The action and the changed parts of each resource.
fn changes(plan: &Value) -> Value {
    let changes = plan["changes"].as_array().unwrap().iter().map(|change| {
        let parts = change["differences"].as_array().unwrap().iter();
        let parts: Vec<&Value> = parts.map(|part| &part["path"]).collect();
        json!([change["action"], change["resource"], parts])
    });
    changes.collect()
}

#[tokio::test]
async fn an_onboarding_makes_the_changes_of_its_plan_and_stops_if_the_plan_has_changed() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("planned").await;
    let plan = planned(&accounts, &request).await;
    let role = ["trust policy", "permissions boundary", "tags", "permissions"];
    let with_managed_policy = [&role[..], &["managed policy"]].concat();
    assert_eq!(
        changes(&plan),
        json!([
            ["CREATE", "source role", role],
            ["CREATE", "target role", with_managed_policy],
            [
                "CREATE",
                "scraper",
                ["alias", "roles", "tags", "scrape configuration", "network"]
            ],
        ]),
        "{plan}"
    );
    assert_eq!(planned(&accounts, &request).await["plan"], plan["plan"]);
    accounts.assert_nothing_was_created().await;

    // Another execution connects the pair between the plan and its execution.
    let expecting = |plan: &Value| with(&request, json!({ "expectedPlan": plan["plan"] }));
    let position = log_position();
    let output = accounts.onboarded(&expecting(&plan)).await;
    assert!(writes_since(position, "ampxa-target-planned-").contains(&"CreateRole".to_owned()));
    assert_eq!(output["created"], json!(["source role", "target role", "scraper"]));
    let before = accounts.roles(&output).await;
    let position = log_position();
    let failed = accounts.onboard(&expecting(&plan)).await;
    assert_eq!(failed.error.as_deref(), Some("PlanChanged"), "{failed:?}");
    for name in [
        "ampxa-source-planned-",
        "ampxa-target-planned-",
        &accounts.source.region,
    ] {
        assert_eq!(writes_since(position, name), [""; 0], "the execution changed {name}");
    }
    assert_eq!(accounts.roles(&output).await, before);

    let unchanged = planned(&accounts, &request).await;
    let none: [&str; 0] = [];
    let expected = ["source role", "target role", "scraper"].map(|resource| json!(["NONE", resource, none]));
    assert_eq!(changes(&unchanged), json!(expected), "{unchanged}");
    assert_eq!(accounts.onboarded(&expecting(&unchanged)).await["outcome"], "UNCHANGED");
}

#[tokio::test]
async fn a_plan_lists_all_prerequisites_that_are_not_met_and_the_error_of_an_onboarding() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let mut cluster = demo::Cluster::named("unprepared");
    cluster.private_access = false;
    let request = accounts.pair_of(&cluster).await;
    let plan = planned(&accounts, &request).await;
    assert_eq!(plan["wouldFailAs"], "NotReady", "{plan}");
    let command = "--resources-vpc-config endpointPrivateAccess=true";
    assert!(text(&plan["prerequisites"][0]).contains(command), "{plan}");
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn an_offboarding_makes_the_deletions_of_its_plan_and_stops_if_the_plan_has_changed() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("condemned").await;
    let output = accounts.onboarded(&request).await;
    let plan = planned_removal(&accounts, &request).await;
    let deletion = |resource: &str, account: &str, field: &str| {
        json!({
            "action": "DELETE", "resource": resource, "accountId": account, "arn": output[field], "differences": [],
        })
    };
    let scraper = deletion("scraper", SOURCE, "scraperArn");
    let source_role = deletion("source role", SOURCE, "sourceRoleArn");
    let expected = [
        &scraper,
        &deletion("target role", TARGET, "targetRoleArn"),
        &source_role,
    ];
    assert_eq!(plan["changes"], json!(expected), "{plan}");
    for (field, value) in [
        ("reason", json!(null)),
        ("clusterArn", request["clusterArn"].clone()),
        ("prerequisites", json!([])),
        ("wouldFailAs", json!(null)),
        ("inProgress", json!(null)),
        ("warnings", json!([])),
    ] {
        assert_eq!(plan[field], value, "{field}: {plan}");
    }
    let whole_cluster = json!({ "clusterArn": request["clusterArn"] });
    assert_eq!(planned_removal(&accounts, &whole_cluster).await, plan);

    // Another person takes over the target role between the plan and its execution.
    let name = text(&output["targetRoleArn"]).rsplit('/').next().unwrap();
    let untag = accounts.target.iam().untag_role().role_name(name);
    untag.tag_keys("ampxa:workspace").send().await.unwrap();
    let expecting = |plan: &Value| with(&request, json!({ "expectedPlan": plan["plan"] }));
    let position = log_position();
    let failed = accounts.offboard(&expecting(&plan)).await;
    assert_eq!(failed.error.as_deref(), Some("PlanChanged"), "{failed:?}");
    assert_nothing_was_written(&accounts, &request, position);

    let plan = planned_removal(&accounts, &request).await;
    assert_eq!(plan["changes"], json!([scraper, source_role]), "{plan}");
    assert!(
        text(&plan["warnings"][0]).starts_with(text(&output["targetRoleArn"])),
        "{plan}"
    );
    let offboarded = accounts.offboarded(&expecting(&plan)).await;
    assert!(writes_since(position, "ampxa-source-condemned-").contains(&"DeleteRole".to_owned()));
    assert_eq!(
        offboarded["removed"],
        json!([output["scraperArn"], output["sourceRoleArn"]])
    );
    let failed = accounts.offboard(&expecting(&plan)).await;
    assert_eq!(failed.error.as_deref(), Some("PlanChanged"), "{failed:?}");
}
