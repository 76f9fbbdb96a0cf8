//! Drift: someone changed a connected pair outside of ampxa. The next onboarding repairs it, and the one after that
//! changes nothing.

use crate::{
    aws::{
        amp::{DELETED, Scraper},
        iam::Role,
    },
    healthy,
    machine::End,
    seeds,
    world::{CLUSTER_CREATED_AT, Setup, World, simulate},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

pub const OTHER_CONFIGURATION: &str = "scrape_configs:\n  - job_name: other\n";

const OTHER: &str = "arn:aws:iam::aws:policy/PowerUserAccess";

/// The cause of a drift.
pub enum Change {
    SourceRole(fn(&mut Role)),
    TargetRole(fn(&mut Role)),
    DeleteSourceRole,
    DeleteTargetRole,
    Scraper(fn(&mut Scraper)),
    DeleteScraper,
    /// Another configuration of the scraper, and a request of AMP's default.
    Default(&'static str),
    /// Additional fields of the request; the resources are unchanged.
    Request(Value),
}

pub fn changes() -> Vec<(&'static str, Change)> {
    let scraper = |edit: fn(&mut Scraper)| Change::Scraper(edit);
    vec![
        (
            "target: trusted without an external id",
            Change::TargetRole(|role| role.trust["Statement"][0]["Condition"] = json!({})),
        ),
        (
            "target: trusts another scraper",
            Change::TargetRole(|role| {
                role.trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = json!("x")
            }),
        ),
        (
            "source: trusts another scraper",
            Change::SourceRole(|role| {
                role.trust["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"] = json!("x")
            }),
        ),
        (
            "target: policy detached",
            Change::TargetRole(|role| role.attached.clear()),
        ),
        (
            "source: inline policy deleted",
            Change::SourceRole(|role| role.inline.clear()),
        ),
        (
            "source: inline policy allows more",
            Change::SourceRole(|role| {
                let policy = role.inline.entry("ampxa".to_owned());
                policy.or_insert_with(|| json!({ "Statement": [{}] }))["Statement"][0]["Resource"] = json!("*");
            }),
        ),
        (
            "target: no permissions boundary",
            Change::TargetRole(|role| role.boundary = None),
        ),
        (
            "source: another permissions boundary",
            Change::SourceRole(|role| role.boundary = Some(OTHER.to_owned())),
        ),
        ("source: deleted", Change::DeleteSourceRole),
        ("target: deleted", Change::DeleteTargetRole),
        (
            "source: deleted and created again",
            Change::SourceRole(|role| role.id = "AROAMADEBYHAND".to_owned()),
        ),
        ("scraper: deleted", Change::DeleteScraper),
        (
            "scraper: CREATION_FAILED",
            scraper(|scraper| scraper.states[0].1 = "CREATION_FAILED"),
        ),
        (
            "scraper: UPDATE_FAILED",
            scraper(|scraper| scraper.states[0].1 = "UPDATE_FAILED"),
        ),
        (
            "scraper: DELETION_FAILED",
            scraper(|scraper| scraper.states[0].1 = "DELETION_FAILED"),
        ),
        (
            "scraper: DELETING",
            scraper(|scraper| scraper.states = vec![(Duration::ZERO, "DELETING"), (Duration::from_secs(90), DELETED)]),
        ),
        (
            "scraper: older than the cluster",
            scraper(|scraper| scraper.created_at = CLUSTER_CREATED_AT - 1000.0),
        ),
        (
            "scraper: other roles",
            scraper(|scraper| scraper.roles["sourceRoleArn"] = json!("arn:aws:iam::222222222222:role/other")),
        ),
        (
            "scraper: another configuration",
            scraper(|scraper| scraper.configuration = aws_smithy_types::base64::encode(OTHER_CONFIGURATION)),
        ),
        (
            "AMP's default configuration for a scraper with another one",
            Change::Default(OTHER_CONFIGURATION),
        ),
        (
            "other labels",
            Change::Request(json!({ "externalLabels": { "team": "payments" } })),
        ),
        ("another alias", Change::Request(json!({ "alias": "other" }))),
        ("more tags", Change::Request(json!({ "tags": { "team": "payments" } }))),
    ]
}

impl Change {
    /// Whether the resource that it changes exists.
    pub fn is_possible(&self, world: &World) -> bool {
        let (pair, state) = (world.pair(1), world.state());
        let has_role = |account: &str, name: &str| state.cloud.iam[account].current(name).is_some();
        match self {
            Self::SourceRole(_) | Self::DeleteSourceRole => has_role(pair.cluster.account(), &pair.source_role_name()),
            Self::TargetRole(_) | Self::DeleteTargetRole => {
                has_role(pair.workspace.account(), &pair.target_role_name())
            }
            // A scraper that AMP deletes does not change any more.
            Self::Scraper(_) | Self::DeleteScraper | Self::Default(_) => state
                .cloud
                .amp
                .scrapers
                .first()
                .is_some_and(|scraper| scraper.states.len() == 1),
            Self::Request(_) => true,
        }
    }

    /// Makes the change, and returns the request for the next onboarding.
    pub fn apply(&self, world: &Arc<World>) -> Value {
        let pair = world.pair(1);
        let mut request = world.request(1);
        let mut state = world.state();
        let (source, target) = (pair.cluster.account(), pair.workspace.account());
        let (source_role, target_role) = (pair.source_role_name(), pair.target_role_name());
        let (account, name, edit) = match self {
            Self::Scraper(edit) => {
                edit(&mut state.cloud.amp.scrapers[0]);
                return request;
            }
            Self::DeleteScraper => {
                state.cloud.amp.scrapers.clear();
                return request;
            }
            Self::Default(yaml) => {
                state.cloud.amp.scrapers[0].configuration = aws_smithy_types::base64::encode(yaml);
                request["scrapeConfiguration"] = json!("DEFAULT");
                return request;
            }
            Self::Request(fields) => return with(&request, fields.clone()),
            Self::SourceRole(edit) => (source, source_role, Some(edit)),
            Self::TargetRole(edit) => (target, target_role, Some(edit)),
            Self::DeleteSourceRole => (source, source_role, None),
            Self::DeleteTargetRole => (target, target_role, None),
        };
        let iam = state.cloud.iam.get_mut(&**account).unwrap();
        let role = edit.map(|edit| {
            let mut role = iam.current(&name).unwrap().clone();
            edit(&mut role);
            role
        });
        iam.set(&name, role, Duration::ZERO);
        request
    }
}

/// A request with further fields.
pub fn with(request: &Value, fields: Value) -> Value {
    let mut request = request.clone();
    let fields = fields.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    request
}

/// The plan of an onboarding, which writes nothing.
pub async fn plan(world: &Arc<World>, request: &Value) -> Value {
    let before = world.state().writes.len();
    let planned = world.start("onboard", with(request, json!({ "mode": "PLAN" })));
    world.wait_until_idle().await;
    let Some(End::Succeeded(plan)) = planned.end() else {
        panic!("{:?}", planned.end());
    };
    assert_eq!(world.state().writes.len(), before, "a plan wrote: {plan}");
    assert_eq!(plan["outcome"], "PLANNED", "{plan}");
    assert_eq!(plan["wouldFailAs"], Value::Null, "{plan}");
    plan
}

/// Asserts that an onboarding made the changes of its plan, and no others.
pub fn assert_planned(name: &str, plan: &Value, output: &Value) {
    let changes = plan["changes"].as_array().unwrap();
    let resources = |action: &str, field: &str| -> BTreeSet<String> {
        let of_action = changes.iter().filter(|change| change["action"] == action);
        of_action
            .map(|change| change[field].as_str().unwrap().to_owned())
            .collect()
    };
    let texts = |field: &str| -> BTreeSet<String> {
        let values = output[field].as_array().unwrap().iter();
        values.map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        resources("CREATE", "resource"),
        texts("created"),
        "{name}: {plan} {output}"
    );
    let replaced = texts("replaced");
    let replaced = replaced.iter().filter(|text| !text.ends_with(" is DELETING"));
    let replaced = replaced.map(|text| text.split(' ').next().unwrap().to_owned());
    assert_eq!(
        resources("DELETE", "arn"),
        replaced.collect(),
        "{name}: {plan} {output}"
    );
    let planned = changes
        .iter()
        .filter(|change| change["action"] == "UPDATE" || change["action"] == "ADOPT")
        .filter(|change| change["resource"] != "cluster")
        .flat_map(|change| {
            let parts = change["differences"].as_array().unwrap().iter();
            parts.map(|part| {
                format!(
                    "{}: {}",
                    change["resource"].as_str().unwrap(),
                    part["path"].as_str().unwrap()
                )
            })
        });
    // The trust policy of a role is repaired by the patch, and before it by the placeholder if the policy is wrong.
    let mut made = texts("repaired");
    for side in ["source", "target"] {
        if output["trustPatched"][side] == true && !texts("created").contains(&format!("{side} role")) {
            made.insert(format!("{side} role: trust policy"));
        }
    }
    assert_eq!(planned.collect::<BTreeSet<_>>(), made, "{name}: {plan} {output}");
}

#[test]
fn every_drift_is_repaired_and_the_next_onboarding_changes_nothing() {
    let changes = changes();
    seeds::each("every_drift_is_repaired", changes.len() as u64, |seed| {
        let (name, change) = &changes[seed as usize];
        simulate(&Setup::calm("drift", seed), async |world| {
            healthy::connect(world, &world.pair(1));
            let request = change.apply(world);
            let plan = plan(world, &request).await;
            let repair = world.start("onboard", with(&request, json!({ "expectedPlan": plan["plan"] })));
            world.wait_until_idle().await;
            // The invariants at the end of the execution check that the pair is connected as requested.
            let Some(End::Succeeded(output)) = repair.end() else {
                panic!("{name}: {:?}", repair.end());
            };
            assert_planned(name, &plan, &output);
            let reported = ["created", "repaired", "replaced"].map(|field| output[field].as_array().unwrap().len());
            assert!(
                reported.iter().sum::<usize>() > 0 || output["trustPatched"] == true,
                "{name}: {output}"
            );
            // Every configuration that is replaced is stored first.
            let objects = world.state().cloud.objects.clone();
            let location = output["replacedConfiguration"].as_str();
            assert_eq!(
                location.map(|location| location.trim_start_matches("s3://bucket/")),
                objects.keys().next().map(String::as_str),
                "{name}"
            );
            if let Change::Default(yaml) = change {
                assert_eq!(objects.values().next().map(String::as_str), Some(*yaml), "{name}");
            }
            let writes = world.state().writes.len();
            assert!(writes > 0, "{name}: nothing was repaired");

            let changed = plan["plan"].clone();
            let plan = self::plan(world, &request).await;
            let actions = plan["changes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|change| &change["action"]);
            assert_eq!(actions.collect::<Vec<_>>(), ["NONE"; 3], "{name}: {plan}");
            assert_ne!(plan["plan"], changed, "{name}");
            let outdated = world.start("onboard", with(&request, json!({ "expectedPlan": changed })));
            world.wait_until_idle().await;
            let Some(End::Failed(failure)) = outdated.end() else {
                panic!("{name}: {:?}", outdated.end());
            };
            assert_eq!(failure.error, "PlanChanged", "{name}");

            let again = world.start("onboard", request);
            world.wait_until_idle().await;
            let Some(End::Succeeded(output)) = again.end() else {
                panic!("{name}: {:?}", again.end());
            };
            assert_eq!(world.state().writes.len(), writes, "{name}: {output}");
            for field in ["created", "repaired", "replaced"] {
                assert_eq!(output[field], json!([]), "{name}: {output}");
            }
        });
    });
}
