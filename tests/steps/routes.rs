//! `Route event`: from an event to an execution.

use crate::script::{Exchange, Script, call};
use ampxa::{
    error::Error,
    event::Reading,
    route_event::{self, Clients, Machines, Routed},
    routing::Settings,
};
use serde_json::{Value, json};

/// Calls of Systems Manager, Step Functions and AWS Organizations are all `POST /`.
const POST: &str = "POST /";
const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";
const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/payments-prod";

fn machine(name: &str) -> String {
    format!("arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-{name}")
}

pub fn settings() -> Settings {
    Settings {
        hub: "ampxa".to_owned(),
        parameter: "/ampxa/routes".to_owned(),
        default_workspace: String::new(),
        default_workspace_any_account: false,
        organizations: true,
    }
}

fn example(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(format!("../golden/events/{name}.json")).unwrap()).unwrap()
}

async fn route(event: Value, exchanges: impl IntoIterator<Item = Exchange>) -> Result<Routed, Error> {
    let script = Script::new(exchanges);
    let hub = script.account();
    let clients = Clients {
        ssm: hub.ssm(),
        sfn: hub.sfn(),
        organizations: hub.organizations(),
    };
    let machines = Machines {
        onboard: machine("onboard"),
        offboard: machine("offboard"),
        reconcile: machine("reconcile"),
    };
    let reading = Reading::try_from(event).unwrap();
    let result = route_event::route(&clients, &settings(), &machines, &reading).await;
    script.assert_finished();
    result
}

/// GetParameter with its value.
pub fn parameter(name: &str, value: &str) -> Exchange {
    let response = json!({ "Parameter": { "Name": name, "Type": "String", "Value": value } });
    call(POST, 200, response.to_string()).with_body(json!({ "Name": name }))
}

/// GetParameter of the routing table.
pub fn table(table: Value) -> Exchange {
    parameter("/ampxa/routes", &table.to_string())
}

/// A call that fails.
pub fn failed(code: &str) -> Exchange {
    call(POST, 400, json!({ "__type": code, "message": "because" }).to_string())
}

fn started(machine_name: &str, name: &str, input: &Value) -> Exchange {
    let response = json!({ "executionArn": "arn", "startDate": 0 });
    call(POST, 200, response.to_string()).with_body(json!({
        "stateMachineArn": machine(machine_name), "name": name, "input": input.to_string(),
    }))
}

const CREATED: &str = "create-payments-prod-eab22523-174a-499c-9dd6-91e7be3ff8e3";

fn one_rule() -> Exchange {
    table(json!({ "rules": [{ "match": { "accounts": ["111122223333"] }, "workspaceArn": WORKSPACE }] }))
}

fn minimal_request() -> Value {
    json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "patchTrust": "FINAL", "checkIngestion": "REPORT" })
}

#[tokio::test]
async fn a_new_cluster_is_onboarded_by_an_execution_named_after_the_event() {
    let exchanges = [one_rule(), started("onboard", CREATED, &minimal_request())];
    let routed = route(example("eks-CreateCluster"), exchanges).await.unwrap();
    let execution = format!("arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:{CREATED}");
    assert_eq!(routed.execution, Some(execution));
    assert_eq!(routed.message, format!("Started {CREATED} of {}.", machine("onboard")));
}

#[tokio::test]
async fn a_duplicate_event_is_no_error_and_starts_nothing() {
    let exchanges = [one_rule(), failed("ExecutionAlreadyExists")];
    let routed = route(example("eks-CreateCluster"), exchanges).await.unwrap();
    assert!(routed.message.ends_with("was started before."), "{}", routed.message);
    assert!(routed.execution.is_some());
}

#[tokio::test]
async fn the_request_has_the_options_of_the_rule_and_the_scrape_configuration_of_its_parameter() {
    let rule = json!({
        "match": { "accounts": ["111122223333"] },
        "workspaceArn": WORKSPACE, "externalLabels": { "team": "payments" }, "patchTrust": "EARLY",
        "checkIngestion": "SKIP", "collectorLogs": "NEVER", "prepareCluster": ["ACCESS_ENTRIES"], "adopt": true,
        "scrapeConfigurationParameter": "/ampxa/scrape-configurations/pods",
    });
    let yaml = "scrape_configs: [{job_name: pods}]";
    let request = json!({
        "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "externalLabels": { "team": "payments" },
        "scrapeConfiguration": yaml, "patchTrust": "EARLY", "checkIngestion": "SKIP", "collectorLogs": "NEVER",
        "prepareCluster": ["ACCESS_ENTRIES"], "adopt": true,
    });
    let exchanges = [
        table(json!({ "rules": [rule] })),
        parameter("/ampxa/scrape-configurations/pods", yaml),
        call(POST, 200, json!({ "executionArn": "arn", "startDate": 0 }).to_string()).with_text(CREATED),
    ];
    route(example("eks-CreateCluster"), exchanges).await.unwrap();
    // The input of the execution is a valid request.
    ampxa::request::Request::parse(&request).unwrap();
    let missing = [table(json!({ "rules": [rule] })), failed("ParameterNotFound")];
    let error = route(example("eks-CreateCluster"), missing).await.unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
    assert!(
        error.to_string().starts_with(
            "routes: scrapeConfigurationParameter: the parameter /ampxa/scrape-configurations/pods does not exist"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn the_request_names_the_object_or_the_default_that_its_rule_names() {
    for (field, value) in [
        ("scrapeConfigurationObject", "configurations/pods.yaml"),
        ("scrapeConfiguration", "DEFAULT"),
    ] {
        let mut rule = json!({ "match": { "accounts": ["111122223333"] }, "workspaceArn": WORKSPACE });
        rule[field] = json!(value);
        let request = json!({
            "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, field: value, "patchTrust": "FINAL",
            "checkIngestion": "REPORT",
        });
        let exchanges = [table(json!({ "rules": [rule] })), started("onboard", CREATED, &request)];
        route(example("eks-CreateCluster"), exchanges).await.unwrap();
    }
}

#[tokio::test]
async fn a_deleted_cluster_is_offboarded_without_reading_the_table() {
    let name = "delete-payments-prod-eab22523-174a-499c-9dd6-91e7be3ff8e5";
    let exchanges = [started(
        "offboard",
        name,
        &json!({ "clusterArn": CLUSTER, "origin": "EVENT" }),
    )];
    route(example("eks-DeleteCluster"), exchanges).await.unwrap();
}

#[tokio::test]
async fn a_new_account_is_reconciled_with_a_provisioner_timeout() {
    for (event, name) in [
        (
            "controltower-CreateManagedAccount",
            "account-111122223333-0000000-0000-0000-1111-123456789012",
        ),
        (
            "organizations-CreateAccountResult",
            "account-111122223333-e5e20ada-7d1c-434d-bac2-32e156df4d93",
        ),
    ] {
        let request = json!({ "accounts": ["111122223333"], "provisionerTimeoutMinutes": 60 });
        route(example(event), [started("reconcile", name, &request)])
            .await
            .unwrap();
        ampxa::reconcile::Request::parse(&request).unwrap();
    }
}

#[tokio::test]
async fn an_account_of_aft_is_reconciled_with_its_workspace() {
    let input = example("aft-account-provisioning");
    let event = json!({
        "id": "1", "source": "ampxa.aft", "account": "555566667777",
        "detail": {
            "account": input["account_info"]["account"]["id"],
            "customFields": input["account_request"]["custom_fields"],
        },
    });
    let request = json!({
        "accounts": ["111122223333"], "provisionerTimeoutMinutes": 60, "workspace": "ws-0a1b2c3d-0000-0000-0000-000000000000",
    });
    route(event, [started("reconcile", "account-111122223333-1", &request)])
        .await
        .unwrap();
    ampxa::reconcile::Request::parse(&request).unwrap();
}

#[tokio::test]
async fn a_failed_or_foreign_event_makes_no_call() {
    let mut other = example("eks-CreateCluster");
    other["source"] = json!("aws.ecs");
    for event in [
        example("eks-CreateCluster-failed"),
        example("organizations-CreateAccountResult-failed"),
        other,
    ] {
        let routed = route(event, []).await.unwrap();
        assert_eq!(routed.execution, None);
        assert!(
            routed.message.starts_with("The event starts no execution: "),
            "{}",
            routed.message
        );
    }
}

#[tokio::test]
async fn a_cluster_without_a_matching_rule_is_skipped_with_a_reason() {
    for (exchange, reason) in [
        (
            failed("ParameterNotFound"),
            "no rule matches it, and there is no default workspace",
        ),
        (
            table(json!({ "rules": [{ "ignore": "we do not scrape" }] })),
            "rules[0] ignores it: we do not scrape",
        ),
    ] {
        let routed = route(example("eks-CreateCluster"), [exchange]).await.unwrap();
        assert_eq!(routed.message, format!("The cluster {CLUSTER} is skipped: {reason}."));
    }
}

#[tokio::test]
async fn a_cluster_whose_tag_is_not_valid_is_skipped_without_an_error() {
    for chosen in ["ws-9", "", "*"] {
        let mut event = example("eks-CreateCluster");
        event["detail"]["requestParameters"]["tags"] = json!({ "ampxa:workspace": chosen });
        let routed = route(event, [one_rule()]).await.unwrap();
        assert_eq!(routed.execution, None);
        let expected = format!("The cluster {CLUSTER} is skipped: its tag ampxa:workspace is not valid: ");
        assert!(routed.message.starts_with(&expected), "{}", routed.message);
    }
}

#[tokio::test]
async fn an_invalid_table_is_an_error_and_starts_nothing() {
    let exchange = parameter("/ampxa/routes", "rules: none");
    let error = route(example("eks-CreateCluster"), [exchange]).await.unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
    assert!(
        error
            .to_string()
            .starts_with("routes: the parameter /ampxa/routes is not valid JSON"),
        "{error}"
    );
}

fn parent(child: &str, parent: &str, kind: &str) -> Exchange {
    let response = json!({ "Parents": [{ "Id": parent, "Type": kind }] });
    call(POST, 200, response.to_string()).with_body(json!({ "ChildId": child }))
}

#[tokio::test]
async fn organizational_units_are_read_up_to_the_root_if_a_rule_names_one() {
    let rules = json!({ "rules": [
        { "match": { "organizationalUnits": ["ou-a1b2-top00000"] }, "workspaceArn": WORKSPACE },
    ] });
    let exchanges = [
        table(rules.clone()),
        parent("111122223333", "ou-a1b2-prod0000", "ORGANIZATIONAL_UNIT"),
        parent("ou-a1b2-prod0000", "ou-a1b2-top00000", "ORGANIZATIONAL_UNIT"),
        parent("ou-a1b2-top00000", "r-a1b2", "ROOT"),
        started("onboard", CREATED, &minimal_request()),
    ];
    route(example("eks-CreateCluster"), exchanges).await.unwrap();
    let error = route(
        example("eks-CreateCluster"),
        [table(rules), failed("AccessDeniedException")],
    )
    .await
    .unwrap_err();
    assert_eq!(error.name(), "AccessDenied");
    assert!(
        error.to_string().starts_with("organizations:ListParents failed with "),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_of_aws_is_returned() {
    for (code, name) in [
        ("AccessDeniedException", "AccessDenied"),
        ("ThrottlingException", "Transient"),
        ("ExecutionLimitExceeded", "QuotaExceeded"),
    ] {
        let error = route(example("eks-CreateCluster"), [one_rule(), failed(code)])
            .await
            .unwrap_err();
        assert_eq!(error.name(), name, "{code}");
        assert!(
            error.to_string().starts_with("states:StartExecution failed with "),
            "{error}"
        );
        let error = route(example("eks-CreateCluster"), [failed(code)]).await.unwrap_err();
        assert_eq!(error.name(), name, "{code}");
        assert!(
            error.to_string().starts_with("ssm:GetParameter failed with "),
            "{error}"
        );
    }
}
