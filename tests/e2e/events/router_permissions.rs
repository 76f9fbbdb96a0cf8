//! The permissions of the function that routes events, tested with calls as its role.

use super::fixture::{Machine, SOURCE, STACK, Wired, exclusive};
use ampxa_cli::account::Account;
use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials;
use driver::{HUB, REGION};
use serde_json::{Value, json};

#[tokio::test]
async fn the_router_may_start_three_machines_and_read_its_parameters_and_nothing_else() -> Result<()> {
    let wired = exclusive().await?;
    let role = wired.resource("RouteEventRole")?;
    let iam = wired.hub().iam();
    let role_before = iam
        .get_role()
        .role_name(&role)
        .send()
        .await?
        .role
        .context("no such role")?;
    let trust = role_before
        .assume_role_policy_document()
        .context("a role without a trust policy")?;
    let trust = percent_encoding::percent_decode_str(trust).decode_utf8()?.into_owned();
    let hub_trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{HUB}:root") }, "Action": "sts:AssumeRole",
    }] });
    let update = |document: String| {
        iam.update_assume_role_policy()
            .role_name(&role)
            .policy_document(document)
            .send()
    };
    update(hub_trust.to_string()).await?;
    let tried = try_calls(&wired, role_before.arn()).await;
    update(trust).await?;
    tried
}

async fn try_calls(wired: &Wired, role: &str) -> Result<()> {
    let assume = wired
        .hub()
        .sts()
        .assume_role()
        .role_arn(role)
        .role_session_name("tried");
    let session = assume.send().await?.credentials.context("no credentials")?;
    let (key, secret, token) = (session.access_key_id, session.secret_access_key, session.session_token);
    let credentials = Credentials::new(key, secret, Some(token), None, "tried");
    let router = Account::with_credentials(&wired.cloud.url, HUB, REGION, credentials);
    let call = |service: &str, target: &str, body: Value| (target.to_owned(), router.json_api(service, target, &body));
    let start = |machine: &str, input: &str| {
        let body = json!({ "stateMachineArn": machine, "input": input });
        call("states", "AWSStepFunctions.StartExecution", body)
    };

    // Each state machine refuses this input in its first state, or does nothing.
    for machine in Machine::ALL {
        let (_, answer) = start(wired.arn(machine), r#"{"accounts":["000000000000"]}"#);
        answer.with_context(|| format!("the router may not start {machine:?}"))?;
    }
    let routes = format!("/{STACK}/routes");
    let (_, read) = call("ssm", "AmazonSSM.GetParameter", json!({ "Name": routes }));
    let missing = read
        .as_ref()
        .err()
        .is_some_and(|why| why.to_string().contains("ParameterNotFound"));
    ensure!(read.is_ok() || missing, "the router may not read {routes}: {read:?}");

    let running = wired
        .executions(Machine::Onboard)
        .await?
        .pop_first()
        .context("no execution")?;
    let another = wired
        .arn(Machine::Onboard)
        .replace(&format!("{STACK}-onboard"), "another");
    let onboard = wired.arn(Machine::Onboard);
    let denied = [
        start(&another, "{}"),
        call(
            "states",
            "AWSStepFunctions.StopExecution",
            json!({ "executionArn": running }),
        ),
        call(
            "states",
            "AWSStepFunctions.DescribeExecution",
            json!({ "executionArn": running }),
        ),
        call(
            "states",
            "AWSStepFunctions.ListExecutions",
            json!({ "stateMachineArn": onboard }),
        ),
        call(
            "states",
            "AWSStepFunctions.DeleteStateMachine",
            json!({ "stateMachineArn": onboard }),
        ),
        call("ssm", "AmazonSSM.GetParameter", json!({ "Name": "/another/routes" })),
        call(
            "ssm",
            "AmazonSSM.PutParameter",
            json!({ "Name": routes, "Value": "{}", "Type": "String" }),
        ),
        call("ssm", "AmazonSSM.DeleteParameter", json!({ "Name": routes })),
        call(
            "ssm",
            "AmazonSSM.GetParametersByPath",
            json!({ "Path": format!("/{STACK}") }),
        ),
        call(
            "events",
            "AWSEvents.PutEvents",
            json!({ "Entries": [{ "EventBusName": STACK, "Source": "a", "DetailType": "b", "Detail": "{}" }] }),
        ),
        call("events", "AWSEvents.DeleteRule", json!({ "Name": "a" })),
    ];
    for (action, answer) in &denied {
        let why = answer
            .as_ref()
            .err()
            .with_context(|| format!("the router may call {action}"))?
            .to_string();
        ensure!(why.contains("AccessDenied"), "{action}: {why}");
    }
    let list = router.iam().list_roles().send().await;
    ensure!(list.is_err(), "the router may list roles");
    let reader = format!("arn:aws:iam::{}:role/ampxa-reader-source", SOURCE);
    let assume = router
        .sts()
        .assume_role()
        .role_arn(reader)
        .role_session_name("tried")
        .send()
        .await;
    ensure!(assume.is_err(), "the router may assume a reader");
    Ok(())
}
