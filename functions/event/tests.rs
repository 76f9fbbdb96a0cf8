use super::*;
use proptest::prelude::*;
use serde_json::json;

fn example(name: &str) -> Value {
    let path = format!("{}/tests/golden/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// An example with one thing changed.
fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut event = example(name);
    *event.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    event
}

fn ours(event: Value) -> Event {
    match Reading::try_from(event).unwrap() {
        Reading::Recognized(event) => event,
        Reading::Ignored(why) => panic!("{why}"),
    }
}

fn not_ours(event: Value) -> String {
    match Reading::try_from(event).unwrap() {
        Reading::Ignored(why) => why,
        Reading::Recognized(event) => panic!("{event:?}"),
    }
}

fn refused(event: Value) -> String {
    let error = Reading::try_from(event).unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
    error.to_string()
}

fn cluster() -> ClusterArn {
    "arn:aws:eks:us-west-2:111122223333:cluster/payments-prod"
        .parse()
        .unwrap()
}

#[test]
fn a_new_cluster_is_read_under_either_word_for_its_name() {
    for name in ["eks-CreateCluster", "eks-CreateCluster-clusterName"] {
        let right = Event::ClusterCreated {
            cluster: cluster(),
            tags: BTreeMap::from([("team".to_owned(), "payments".to_owned())]),
            id: "eab22523-174a-499c-9dd6-91e7be3ff8e3".to_owned(),
        };
        assert_eq!(ours(example(name)), right, "{name}");
        let without_answer = ours(with(name, "/detail/responseElements", json!(null)));
        assert_eq!(without_answer, right, "{name}, built of the envelope and the name");
    }
    let untagged = with("eks-CreateCluster", "/detail/requestParameters/tags", json!(null));
    assert!(matches!(ours(untagged), Event::ClusterCreated { tags, .. } if tags.len() == 1));
}

#[test]
fn a_deleted_cluster_is_read() {
    let right = Event::ClusterDeleted {
        cluster: cluster(),
        id: "eab22523-174a-499c-9dd6-91e7be3ff8e5".to_owned(),
    };
    assert_eq!(ours(example("eks-DeleteCluster")), right);
}

#[test]
fn what_failed_starts_nothing() {
    let why = not_ours(example("eks-CreateCluster-failed"));
    assert_eq!(why, "the call failed with \"ResourceInUseException\"");
    let why = not_ours(example("organizations-CreateAccountResult-failed"));
    assert_eq!(why, "the account's vending is \"FAILED\"");
    for state in ["FAILED", "IN_PROGRESS"] {
        let path = "/detail/serviceEventDetails/createManagedAccountStatus/state";
        let why = not_ours(with("controltower-CreateManagedAccount", path, json!(state)));
        assert!(why.contains(state), "{why}");
    }
}

#[test]
fn what_others_do_starts_nothing() {
    for (pointer, value) in [
        ("/source", "aws.ecs"),
        ("/source", "payments.eks"),
        ("/detail/eventSource", "ecs.amazonaws.com"),
        ("/detail/eventSource", "redshift.amazonaws.com"),
        ("/detail/eventName", "UpdateClusterConfig"),
        ("/detail/eventName", "CreateNodegroup"),
        ("/detail/eventName", "createcluster"),
    ] {
        not_ours(with("eks-CreateCluster", pointer, json!(value)));
    }
    for event in [
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        json!({ "source": 1, "detail": [] }),
    ] {
        not_ours(event);
    }
}

#[test]
fn an_account_tells_of_its_own_clusters_only() {
    for (pointer, value) in [
        ("/account", "999988887777"),
        ("/region", "eu-west-1"),
        ("/region", "cn-north-1"),
        (
            "/detail/responseElements/cluster/arn",
            "arn:aws:eks:us-west-2:999988887777:cluster/payments-prod",
        ),
        (
            "/detail/responseElements/cluster/arn",
            "arn:aws:eks:us-west-1:111122223333:cluster/payments-prod",
        ),
        (
            "/detail/responseElements/cluster/arn",
            "arn:aws:ecs:us-west-2:111122223333:cluster/a",
        ),
    ] {
        for name in ["eks-CreateCluster", "eks-DeleteCluster"] {
            let why = refused(with(name, pointer, json!(value)));
            assert!(why.starts_with("detail.responseElements.cluster.arn: "), "{why}");
        }
    }
    // Without an answer, the name is all that the caller says.
    let mut named = with("eks-DeleteCluster", "/detail/responseElements", json!(null));
    named["detail"]["requestParameters"]["name"] = json!("a:b/../c");
    refused(named);
}

fn vended(account: &str, workspace: Option<&str>, id: &str) -> Event {
    Event::AccountVended {
        account: account.to_owned(),
        workspace: workspace.map(str::to_owned),
        id: id.to_owned(),
    }
}

#[test]
fn a_vended_account_is_read_from_control_tower_and_from_organizations() {
    let created = "0000000-0000-0000-1111-123456789012";
    let right = vended("111122223333", None, created);
    assert_eq!(ours(example("controltower-CreateManagedAccount")), right);
    let mut updated = with(
        "controltower-CreateManagedAccount",
        "/detail/eventName",
        json!("UpdateManagedAccount"),
    );
    let details = updated["detail"]["serviceEventDetails"].as_object_mut().unwrap();
    let status = details.remove("createManagedAccountStatus").unwrap();
    details.insert("updateManagedAccountStatus".to_owned(), status);
    assert_eq!(ours(updated), right);
    for detail_type in ["AWS Service Event via CloudTrail", "AWS API Call via CloudTrail"] {
        let event = with("organizations-CreateAccountResult", "/detail-type", json!(detail_type));
        let right = vended("111122223333", None, "e5e20ada-7d1c-434d-bac2-32e156df4d93");
        assert_eq!(ours(event), right);
    }
}

#[test]
fn a_success_without_an_account_is_refused_and_names_the_place() {
    for (name, status, account) in [
        (
            "controltower-CreateManagedAccount",
            "createManagedAccountStatus",
            "/account/accountId",
        ),
        ("organizations-CreateAccountResult", "createAccountStatus", "/accountId"),
    ] {
        let pointer = format!("/detail/serviceEventDetails/{status}{account}");
        let right = format!("detail.serviceEventDetails.{status}{}: ", account.replace('/', "."));
        for wrong in [json!(null), json!("1111"), json!(111_122_223_333_u64)] {
            let why = refused(with(name, &pointer, wrong));
            assert!(why.starts_with(&right), "{why}");
        }
        let why = refused(with(name, "/detail/serviceEventDetails", json!({})));
        assert!(
            why.starts_with(&format!("detail.serviceEventDetails.{status}: ")),
            "{why}"
        );
    }
}

/// The event that the state of `infra/aft` puts for AFT's own input.
fn aft(custom_fields: Value) -> Value {
    let input = example("aft-account-provisioning");
    json!({
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "Account provisioned",
        "source": "ampxa.aft",
        "account": "555566667777",
        "region": "us-west-2",
        "detail": { "account": input["account_info"]["account"]["id"], "customFields": custom_fields },
    })
}

#[test]
fn afts_custom_fields_are_a_text_that_holds_json_and_may_name_a_workspace() {
    let id = "6a7e8feb-b491-4cf7-a9f1-bf3703467718";
    let example = example("aft-account-provisioning")["account_request"]["custom_fields"].clone();
    let workspace = "ws-0a1b2c3d-0000-0000-0000-000000000000";
    assert_eq!(ours(aft(example)), vended("111122223333", Some(workspace), id));
    for nothing in [
        json!(null),
        json!(""),
        json!("{}"),
        json!("null"),
        json!({}),
        json!(r#"{"other": 1}"#),
        json!(r#"{"amp_workspace": ""}"#),
    ] {
        assert_eq!(
            ours(aft(nothing.clone())),
            vended("111122223333", None, id),
            "{nothing}"
        );
    }
    for (wrong, place) in [
        (json!("{"), "detail.customFields: expected a text that holds JSON"),
        (
            json!(r#"{"amp_workspace": ["ws-1"]}"#),
            "detail.customFields.amp_workspace: expected a workspace's id or ARN, not an array",
        ),
    ] {
        let why = refused(aft(wrong));
        assert!(why.starts_with(place), "{why}");
    }
}

#[test]
fn the_same_event_gives_the_same_name_and_another_event_another() {
    let names: Vec<String> = [
        "eks-CreateCluster",
        "eks-DeleteCluster",
        "controltower-CreateManagedAccount",
        "organizations-CreateAccountResult",
    ]
    .into_iter()
    .map(|name| ours(example(name)).execution_name())
    .collect();
    assert_eq!(
        names,
        [
            "create-payments-prod-eab22523-174a-499c-9dd6-91e7be3ff8e3",
            "delete-payments-prod-eab22523-174a-499c-9dd6-91e7be3ff8e5",
            "account-111122223333-0000000-0000-0000-1111-123456789012",
            "account-111122223333-e5e20ada-7d1c-434d-bac2-32e156df4d93",
        ]
    );
    // EventBridge's id of a repeated event is another one; CloudTrail's is not.
    let again = ours(with("eks-CreateCluster", "/id", json!("another"))).execution_name();
    assert_eq!(again, names[0]);
}

#[test]
fn an_event_without_any_id_is_refused() {
    let mut event = with("eks-CreateCluster", "/detail/eventID", json!(null));
    assert_eq!(
        ours(event.clone()).execution_name(),
        "create-payments-prod-6a7e8feb-b491-4cf7-a9f1-bf3703467718"
    );
    event["id"] = json!("");
    assert!(refused(event).starts_with("detail.eventID: missing"));
}

proptest! {
    #[test]
    fn every_name_is_one_that_step_functions_takes(name in "[0-9A-Za-z][-_0-9A-Za-z]{0,99}", id in any::<String>()) {
        let cluster: ClusterArn = format!("arn:aws:eks:us-west-2:111122223333:cluster/{name}").parse().unwrap();
        let tags = BTreeMap::new();
        let events = [
            Event::ClusterCreated { cluster: cluster.clone(), tags, id: id.clone() },
            Event::ClusterDeleted { cluster, id: id.clone() },
            vended("111122223333", None, &id),
        ];
        for event in events {
            let name = event.execution_name();
            prop_assert!((1..=80).contains(&name.len()), "{}", name);
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{}", name);
        }
    }

    #[test]
    fn reading_never_panics_and_never_takes_anothers_cluster(
        account in "[0-9]{12}",
        told in prop::option::of("arn:aws:eks:us-west-[12]:[12]{12}:cluster/a"),
    ) {
        let mut event = with("eks-CreateCluster", "/account", json!(account));
        event["detail"]["responseElements"]["cluster"]["arn"] = json!(told);
        if let Ok(Reading::Recognized(Event::ClusterCreated { cluster, .. })) = Reading::try_from(event) {
            prop_assert_eq!((cluster.account(), cluster.region()), (account.as_str(), "us-west-2"));
        }
    }
}
