//! What somebody did to a connected pair by hand: the next onboarding repairs it, and the one
//! after that finds nothing to do.

use crate::{
    aws::{
        amp::{GONE, Scraper},
        iam::Role,
    },
    healthy,
    machine::End,
    seeds,
    world::{CLUSTER_MADE, Setup, World, simulate},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const OTHER: &str = "arn:aws:iam::aws:policy/PowerUserAccess";

/// What is done by hand.
enum Hand {
    Source(fn(&mut Role)),
    Target(fn(&mut Role)),
    RemoveSource,
    RemoveTarget,
    Scraper(fn(&mut Scraper)),
    RemoveScraper,
    /// Nothing; the request asks for something else than is there.
    Ask(Value),
}

fn drifts() -> Vec<(&'static str, Hand)> {
    let state = |state: fn(&mut Scraper)| Hand::Scraper(state);
    vec![
        (
            "target: trusted without an id",
            Hand::Target(|role| role.trust["Statement"][0]["Condition"] = json!({})),
        ),
        (
            "target: trusts another scraper",
            Hand::Target(|role| role.trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = json!("x")),
        ),
        (
            "source: trusts another scraper",
            Hand::Source(|role| role.trust["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"] = json!("x")),
        ),
        ("target: policy detached", Hand::Target(|role| role.attached.clear())),
        ("source: inline policy gone", Hand::Source(|role| role.inline.clear())),
        (
            "source: inline policy allows more",
            Hand::Source(|role| role.inline.get_mut("ampxa").unwrap()["Statement"][0]["Resource"] = json!("*")),
        ),
        ("target: boundary gone", Hand::Target(|role| role.boundary = None)),
        (
            "source: another boundary",
            Hand::Source(|role| role.boundary = Some(OTHER.to_owned())),
        ),
        ("source: gone", Hand::RemoveSource),
        ("target: gone", Hand::RemoveTarget),
        (
            "source: made anew by hand",
            Hand::Source(|role| role.id = "AROAMADEBYHAND".to_owned()),
        ),
        ("scraper: gone", Hand::RemoveScraper),
        (
            "scraper: CREATION_FAILED",
            state(|scraper| scraper.states[0].1 = "CREATION_FAILED"),
        ),
        (
            "scraper: UPDATE_FAILED",
            state(|scraper| scraper.states[0].1 = "UPDATE_FAILED"),
        ),
        (
            "scraper: DELETION_FAILED",
            state(|scraper| scraper.states[0].1 = "DELETION_FAILED"),
        ),
        (
            "scraper: DELETING",
            state(|scraper| scraper.states = vec![(Duration::ZERO, "DELETING"), (Duration::from_secs(90), GONE)]),
        ),
        (
            "scraper: older than the cluster",
            state(|scraper| scraper.made_at = CLUSTER_MADE - 1000.0),
        ),
        (
            "scraper: other roles",
            state(|scraper| scraper.roles["sourceRoleArn"] = json!("arn:aws:iam::222222222222:role/other")),
        ),
        (
            "scraper: another configuration",
            state(|scraper| {
                scraper.configuration = aws_smithy_types::base64::encode("scrape_configs:\n  - job_name: other\n");
            }),
        ),
        (
            "other labels",
            Hand::Ask(json!({ "externalLabels": { "team": "payments" } })),
        ),
        ("another alias", Hand::Ask(json!({ "alias": "other" }))),
        ("more tags", Hand::Ask(json!({ "tags": { "team": "payments" } }))),
    ]
}

impl Hand {
    /// Does it; answers the request.
    fn lay(&self, world: &Arc<World>) -> Value {
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
            Self::RemoveScraper => {
                state.cloud.amp.scrapers.clear();
                return request;
            }
            Self::Ask(more) => {
                let more = more.as_object().unwrap().clone();
                request.as_object_mut().unwrap().extend(more);
                return request;
            }
            Self::Source(edit) => (source, source_role, Some(edit)),
            Self::Target(edit) => (target, target_role, Some(edit)),
            Self::RemoveSource => (source, source_role, None),
            Self::RemoveTarget => (target, target_role, None),
        };
        let iam = state.cloud.iam.get_mut(account).unwrap();
        let role = edit.map(|edit| {
            let mut role = iam.truth(&name).unwrap().clone();
            edit(&mut role);
            role
        });
        iam.set(&name, role, Duration::ZERO);
        request
    }
}

#[test]
fn whatever_was_done_by_hand_is_repaired_and_then_left_alone() {
    let drifts = drifts();
    seeds::each("whatever_was_done_by_hand", drifts.len() as u64, |seed| {
        let (what, hand) = &drifts[seed as usize];
        simulate(&Setup::calm("drift", seed), async |world| {
            healthy::connect(world, &world.pair(1));
            let request = hand.lay(world);
            let repair = world.start("onboard", request.clone());
            world.rest().await;
            // That all is as the request asks was looked at when it ended.
            let Some(End::Succeeded(output)) = repair.end() else {
                panic!("{what}: {:?}", repair.end());
            };
            let told = ["created", "repaired", "replaced"].map(|field| output[field].as_array().unwrap().len());
            assert!(
                told.iter().sum::<usize>() > 0 || output["trustPatched"] == true,
                "{what}: {output}"
            );
            let writes = world.state().writes.len();
            assert!(writes > 0, "{what}: nothing was done");

            let again = world.start("onboard", request);
            world.rest().await;
            let Some(End::Succeeded(output)) = again.end() else {
                panic!("{what}: {:?}", again.end());
            };
            assert_eq!(world.state().writes.len(), writes, "{what}: {output}");
            for field in ["created", "repaired", "replaced"] {
                assert_eq!(output[field], json!([]), "{what}: {output}");
            }
        });
    });
}
