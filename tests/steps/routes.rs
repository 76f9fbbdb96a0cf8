//! From an event to an execution.

use crate::script::{Script, Turn, call};
use ampxa::{
    error::Error,
    event::Reading,
    route_event::{self, Clients, Machines, Routed},
    routing::Settings,
};
use serde_json::{Value, json};

/// Systems Manager, Step Functions and AWS Organizations all post to `/`.
const POST: &str = "POST /";
const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";
const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/payments-prod";

fn machine(name: &str) -> String {
    format!("arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-{name}")
}

pub fn settings() -> Settings {
    Settings {
        parameter: "/ampxa/routes".to_owned(),
        default_workspace: String::new(),
        organizations: true,
    }
}

fn example(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(format!("../golden/events/{name}.json")).unwrap()).unwrap()
}

async fn route(event: Value, turns: impl IntoIterator<Item = Turn>) -> Result<Routed, Error> {
    let script = Script::new(turns);
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
    let routed = route_event::route(&clients, &settings(), &machines, &reading).await;
    script.is_over();
    routed
}

/// A parameter is read.
pub fn parameter(name: &str, value: &str) -> Turn {
    let answer = json!({ "Parameter": { "Name": name, "Type": "String", "Value": value } });
    call(POST, 200, answer.to_string()).saying_only(json!({ "Name": name }))
}

/// The routing table is read.
pub fn table(table: Value) -> Turn {
    parameter("/ampxa/routes", &table.to_string())
}

pub fn refused(code: &str) -> Turn {
    call(POST, 400, json!({ "__type": code, "message": "because" }).to_string())
}

fn started(machine_name: &str, name: &str, input: &Value) -> Turn {
    let answer = json!({ "executionArn": "arn", "startDate": 0 });
    call(POST, 200, answer.to_string()).saying_only(json!({
        "stateMachineArn": machine(machine_name), "name": name, "input": input.to_string(),
    }))
}

const CREATED: &str = "create-payments-prod-eab22523-174a-499c-9dd6-91e7be3ff8e3";

fn one_rule() -> Turn {
    table(json!({ "rules": [{ "workspaceArn": WORKSPACE }] }))
}

fn smallest() -> Value {
    json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "patchTrust": "FINAL", "checkIngestion": "REPORT" })
}

#[tokio::test]
async fn a_new_cluster_is_onboarded_under_the_events_name() {
    let turns = [one_rule(), started("onboard", CREATED, &smallest())];
    let routed = route(example("eks-CreateCluster"), turns).await.unwrap();
    let execution = format!("arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:{CREATED}");
    assert_eq!(routed.execution, Some(execution));
    assert_eq!(routed.message, format!("Started {CREATED} of {}.", machine("onboard")));
}

#[tokio::test]
async fn an_event_that_is_told_again_is_no_error_and_starts_nothing() {
    let turns = [one_rule(), refused("ExecutionAlreadyExists")];
    let routed = route(example("eks-CreateCluster"), turns).await.unwrap();
    assert!(routed.message.ends_with("was started before."), "{}", routed.message);
    assert!(routed.execution.is_some());
}

#[tokio::test]
async fn a_rules_options_come_along_with_the_scrape_configuration_of_its_parameter() {
    let rule = json!({
        "workspaceArn": WORKSPACE, "externalLabels": { "team": "payments" }, "patchTrust": "EARLY",
        "checkIngestion": "SKIP", "scrapeConfigurationParameter": "/ampxa/scrape-configurations/pods",
    });
    let yaml = "scrape_configs: [{job_name: pods}]";
    let request = json!({
        "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "externalLabels": { "team": "payments" },
        "scrapeConfiguration": yaml, "patchTrust": "EARLY", "checkIngestion": "SKIP",
    });
    let turns = [
        table(json!({ "rules": [rule] })),
        parameter("/ampxa/scrape-configurations/pods", yaml),
        call(POST, 200, json!({ "executionArn": "arn", "startDate": 0 }).to_string()).saying(CREATED),
    ];
    route(example("eks-CreateCluster"), turns).await.unwrap();
    // The whole of what is started is a request that the onboarding takes.
    ampxa::request::Request::parse(&request).unwrap();
    let missing = [table(json!({ "rules": [rule] })), refused("ParameterNotFound")];
    let why = route(example("eks-CreateCluster"), missing).await.unwrap_err();
    assert_eq!(why.name(), "InvalidRequest");
    assert!(
        why.to_string().starts_with(
            "routes: scrapeConfigurationParameter: there is no parameter /ampxa/scrape-configurations/pods"
        ),
        "{why}"
    );
}

#[tokio::test]
async fn a_deleted_cluster_is_offboarded_whatever_the_table_says() {
    let name = "delete-payments-prod-eab22523-174a-499c-9dd6-91e7be3ff8e5";
    let turns = [started("offboard", name, &json!({ "clusterArn": CLUSTER }))];
    route(example("eks-DeleteCluster"), turns).await.unwrap();
}

#[tokio::test]
async fn a_vended_account_is_reconciled_with_patience() {
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
        ampxa::reconcile::Request::try_from(json!({ "request": request })).unwrap();
    }
}

#[tokio::test]
async fn an_account_that_aft_vends_brings_its_workspace() {
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
    ampxa::reconcile::Request::try_from(json!({ "request": request })).unwrap();
}

#[tokio::test]
async fn what_failed_or_is_of_another_service_calls_nobody() {
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
            routed.message.starts_with("The event is not one of ours: "),
            "{}",
            routed.message
        );
    }
}

#[tokio::test]
async fn a_cluster_that_belongs_nowhere_is_left_alone_and_the_log_says_why() {
    for (turn, why) in [
        (
            refused("ParameterNotFound"),
            "no rule matches it, and there is no default workspace",
        ),
        (
            table(json!({ "rules": [{ "ignore": "we do not scrape" }] })),
            "rules[0] ignores it: we do not scrape",
        ),
    ] {
        let routed = route(example("eks-CreateCluster"), [turn]).await.unwrap();
        assert_eq!(routed.message, format!("The cluster {CLUSTER} is left alone: {why}."));
    }
}

#[tokio::test]
async fn a_wrong_table_is_an_error_and_starts_nothing() {
    let turn = parameter("/ampxa/routes", "rules: none");
    let why = route(example("eks-CreateCluster"), [turn]).await.unwrap_err();
    assert_eq!(why.name(), "InvalidRequest");
    assert!(
        why.to_string()
            .starts_with("routes: the parameter /ampxa/routes does not hold JSON"),
        "{why}"
    );
}

fn parent(child: &str, parent: &str, kind: &str) -> Turn {
    let answer = json!({ "Parents": [{ "Id": parent, "Type": kind }] });
    call(POST, 200, answer.to_string()).saying_only(json!({ "ChildId": child }))
}

#[tokio::test]
async fn organizational_units_are_asked_for_up_to_the_root_and_only_where_a_rule_names_one() {
    let rules = json!({ "rules": [
        { "match": { "organizationalUnits": ["ou-a1b2-top00000"] }, "workspaceArn": WORKSPACE },
    ] });
    let turns = [
        table(rules.clone()),
        parent("111122223333", "ou-a1b2-prod0000", "ORGANIZATIONAL_UNIT"),
        parent("ou-a1b2-prod0000", "ou-a1b2-top00000", "ORGANIZATIONAL_UNIT"),
        parent("ou-a1b2-top00000", "r-a1b2", "ROOT"),
        started("onboard", CREATED, &smallest()),
    ];
    route(example("eks-CreateCluster"), turns).await.unwrap();
    let why = route(
        example("eks-CreateCluster"),
        [table(rules), refused("AccessDeniedException")],
    )
    .await
    .unwrap_err();
    assert_eq!(why.name(), "AccessDenied");
    assert!(
        why.to_string().starts_with("organizations:ListParents answered "),
        "{why}"
    );
}

#[tokio::test]
async fn what_aws_refuses_is_told() {
    for (code, name) in [
        ("AccessDeniedException", "AccessDenied"),
        ("ThrottlingException", "Transient"),
        ("ExecutionLimitExceeded", "QuotaExceeded"),
    ] {
        let why = route(example("eks-CreateCluster"), [one_rule(), refused(code)])
            .await
            .unwrap_err();
        assert_eq!(why.name(), name, "{code}");
        assert!(why.to_string().starts_with("states:StartExecution answered "), "{why}");
        let why = route(example("eks-CreateCluster"), [refused(code)]).await.unwrap_err();
        assert_eq!(why.name(), name, "{code}");
        assert!(why.to_string().starts_with("ssm:GetParameter answered "), "{why}");
    }
}
