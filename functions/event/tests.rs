use super::*;
use proptest::prelude::*;
use serde_json::json;

fn example(name: &str) -> Value {
    let path = format!("{}/tests/golden/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// An example with one changed value.
fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut event = example(name);
    *event.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    event
}

fn recognized(event: Value) -> Event {
    match Reading::try_from(event).unwrap() {
        Reading::Recognized(event) => event,
        Reading::Ignored(why) => panic!("{why}"),
    }
}

fn ignored(event: Value) -> String {
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
fn the_event_of_a_new_cluster_may_have_either_field_for_its_name() {
    for name in ["eks-CreateCluster", "eks-CreateCluster-clusterName"] {
        let expected = Event::ClusterCreated {
            cluster: cluster(),
            tags: BTreeMap::from([("team".to_owned(), "payments".to_owned())]),
            id: "eab22523-174a-499c-9dd6-91e7be3ff8e3".to_owned(),
        };
        assert_eq!(recognized(example(name)), expected, "{name}");
        let without_response = recognized(with(name, "/detail/responseElements", json!(null)));
        assert_eq!(without_response, expected, "{name} without a response");
    }
    let untagged = with("eks-CreateCluster", "/detail/requestParameters/tags", json!(null));
    assert!(matches!(recognized(untagged), Event::ClusterCreated { tags, .. } if tags.len() == 1));
}

#[test]
fn the_event_of_a_deleted_cluster_is_recognized() {
    let expected = Event::ClusterDeleted {
        cluster: cluster(),
        id: "eab22523-174a-499c-9dd6-91e7be3ff8e5".to_owned(),
    };
    assert_eq!(recognized(example("eks-DeleteCluster")), expected);
}

#[test]
fn failed_calls_and_vendings_are_ignored() {
    let why = ignored(example("eks-CreateCluster-failed"));
    assert_eq!(why, "the call failed with \"ResourceInUseException\"");
    let why = ignored(example("organizations-CreateAccountResult-failed"));
    assert_eq!(why, "the state of the account vending is \"FAILED\"");
    for state in ["FAILED", "IN_PROGRESS"] {
        let path = "/detail/serviceEventDetails/createManagedAccountStatus/state";
        let why = ignored(with("controltower-CreateManagedAccount", path, json!(state)));
        assert!(why.contains(state), "{why}");
    }
}

#[test]
fn other_events_are_ignored() {
    for (pointer, value) in [
        ("/source", "aws.ecs"),
        ("/source", "payments.eks"),
        ("/detail/eventSource", "ecs.amazonaws.com"),
        ("/detail/eventSource", "redshift.amazonaws.com"),
        ("/detail/eventName", "UpdateClusterConfig"),
        ("/detail/eventName", "CreateNodegroup"),
        ("/detail/eventName", "createcluster"),
    ] {
        ignored(with("eks-CreateCluster", pointer, json!(value)));
    }
    for event in [
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        json!({ "source": 1, "detail": [] }),
    ] {
        ignored(event);
    }
}

#[test]
fn the_cluster_must_be_in_the_account_and_region_of_the_envelope() {
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
    // Without a response, the ARN is built from the name in the request.
    let mut named = with("eks-DeleteCluster", "/detail/responseElements", json!(null));
    named["detail"]["requestParameters"]["name"] = json!("a:b/../c");
    refused(named);
}

fn account_vended(account: &str, workspace: Option<&str>, id: &str) -> Event {
    Event::AccountVended {
        account: account.parse().unwrap(),
        workspace: workspace.map(str::to_owned),
        id: id.to_owned(),
    }
}

#[test]
fn vended_accounts_are_recognized_from_control_tower_and_organizations() {
    let created = "0000000-0000-0000-1111-123456789012";
    let expected = account_vended("111122223333", None, created);
    assert_eq!(recognized(example("controltower-CreateManagedAccount")), expected);
    let mut updated = with(
        "controltower-CreateManagedAccount",
        "/detail/eventName",
        json!("UpdateManagedAccount"),
    );
    let details = updated["detail"]["serviceEventDetails"].as_object_mut().unwrap();
    let status = details.remove("createManagedAccountStatus").unwrap();
    details.insert("updateManagedAccountStatus".to_owned(), status);
    assert_eq!(recognized(updated), expected);
    for detail_type in ["AWS Service Event via CloudTrail", "AWS API Call via CloudTrail"] {
        let event = with("organizations-CreateAccountResult", "/detail-type", json!(detail_type));
        let expected = account_vended("111122223333", None, "e5e20ada-7d1c-434d-bac2-32e156df4d93");
        assert_eq!(recognized(event), expected);
    }
}

#[test]
fn a_successful_vending_without_an_account_is_refused_with_the_path_of_the_field() {
    for (name, status, account) in [
        (
            "controltower-CreateManagedAccount",
            "createManagedAccountStatus",
            "/account/accountId",
        ),
        ("organizations-CreateAccountResult", "createAccountStatus", "/accountId"),
    ] {
        let pointer = format!("/detail/serviceEventDetails/{status}{account}");
        let expected = format!("detail.serviceEventDetails.{status}{}: ", account.replace('/', "."));
        for invalid in [json!(null), json!("1111"), json!(111_122_223_333_u64)] {
            let why = refused(with(name, &pointer, invalid));
            assert!(why.starts_with(&expected), "{why}");
        }
        let why = refused(with(name, "/detail/serviceEventDetails", json!({})));
        assert!(
            why.starts_with(&format!("detail.serviceEventDetails.{status}: ")),
            "{why}"
        );
    }
}

/// The event that the state of `infra/aft` sends for the input of AFT.
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
fn custom_fields_of_aft_are_json_in_a_string_and_may_name_a_workspace() {
    let id = "6a7e8feb-b491-4cf7-a9f1-bf3703467718";
    let example = example("aft-account-provisioning")["account_request"]["custom_fields"].clone();
    let workspace = "ws-0a1b2c3d-0000-0000-0000-000000000000";
    assert_eq!(
        recognized(aft(example)),
        account_vended("111122223333", Some(workspace), id)
    );
    for without_workspace in [
        json!(null),
        json!(""),
        json!("{}"),
        json!("null"),
        json!({}),
        json!(r#"{"other": 1}"#),
        json!(r#"{"amp_workspace": ""}"#),
    ] {
        assert_eq!(
            recognized(aft(without_workspace.clone())),
            account_vended("111122223333", None, id),
            "{without_workspace}"
        );
    }
    for (invalid, expected) in [
        (json!("{"), "detail.customFields: expected a string that contains JSON"),
        (
            json!(r#"{"amp_workspace": "ws-1", "amp_workspace": "ws-2"}"#),
            "detail.customFields: expected a string that contains JSON: duplicate key \"amp_workspace\"",
        ),
        (
            json!(r#"{"amp_workspace": ["ws-1"]}"#),
            "detail.customFields.amp_workspace: expected the id or ARN of a workspace, not an array",
        ),
    ] {
        let why = refused(aft(invalid));
        assert!(why.starts_with(expected), "{why}");
    }
}

#[test]
fn a_repeated_event_has_the_same_execution_name_and_another_event_another_one() {
    let names: Vec<String> = [
        "eks-CreateCluster",
        "eks-DeleteCluster",
        "controltower-CreateManagedAccount",
        "organizations-CreateAccountResult",
    ]
    .into_iter()
    .map(|name| recognized(example(name)).execution_name())
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
    // A repeated event has another id of EventBridge, but the same id of CloudTrail.
    let again = recognized(with("eks-CreateCluster", "/id", json!("another"))).execution_name();
    assert_eq!(again, names[0]);
}

#[test]
fn an_event_without_an_id_is_refused() {
    let mut event = with("eks-CreateCluster", "/detail/eventID", json!(null));
    assert_eq!(
        recognized(event.clone()).execution_name(),
        "create-payments-prod-6a7e8feb-b491-4cf7-a9f1-bf3703467718"
    );
    event["id"] = json!("");
    assert!(refused(event).starts_with("detail.eventID: missing"));
}

proptest! {
    #[test]
    fn execution_names_are_valid_in_step_functions(name in "[0-9A-Za-z][-_0-9A-Za-z]{0,99}", id in any::<String>()) {
        let cluster: ClusterArn = format!("arn:aws:eks:us-west-2:111122223333:cluster/{name}").parse().unwrap();
        let tags = BTreeMap::new();
        let events = [
            Event::ClusterCreated { cluster: cluster.clone(), tags, id: id.clone() },
            Event::ClusterDeleted { cluster, id: id.clone() },
            account_vended("111122223333", None, &id),
        ];
        for event in events {
            let name = event.execution_name();
            prop_assert!((1..=80).contains(&name.len()), "{}", name);
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{}", name);
        }
    }

    #[test]
    fn parsing_never_panics_and_never_accepts_a_cluster_of_another_account(
        account in "[0-9]{12}",
        arn in prop::option::of("arn:aws:eks:us-west-[12]:[12]{12}:cluster/a"),
    ) {
        let mut event = with("eks-CreateCluster", "/account", json!(account));
        event["detail"]["responseElements"]["cluster"]["arn"] = json!(arn);
        if let Ok(Reading::Recognized(Event::ClusterCreated { cluster, .. })) = Reading::try_from(event) {
            prop_assert_eq!((&**cluster.account(), &**cluster.region()), (account.as_str(), "us-west-2"));
        }
    }
}
