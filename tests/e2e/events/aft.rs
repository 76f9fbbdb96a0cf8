//! The state for Account Factory for Terraform (AFT), inside state machines that are built like those of AFT.
//!
//! AFT's framework runs `aft-account-provisioning-customizations` and waits for it; the states that a platform team
//! adds to that machine run between AFT's own states (AFT's documentation, "Account provisioning customizations").
//! Both are JSONPath machines.

use super::fixture::{AFT, Machine, SOURCE, STACK, Wired, exclusive};
use ampxa_cli::{account::Account, execution};
use anyhow::{Context, Result, ensure};
use driver::{HUB, REGION};
use serde_json::{Value, json};

const INPUT: &str = include_str!("../../golden/events/aft-account-provisioning.json");
const STATE: &str = include_str!("../../../infra/aft/ampxa-state.asl.json");
const POLICY: &str = include_str!("../../../infra/aft/policy.json");
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"states.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// The permissions of a state machine that waits for another one.
const NESTED_EXECUTIONS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["states:StartExecution","states:DescribeExecution","states:StopExecution","events:PutTargets","events:PutRule","events:DescribeRule"],"Resource":"*"}]}"#;

/// Replaces the placeholders of the partition and of the hub's event bus.
fn filled(text: &str) -> String {
    let bus = format!("arn:aws:events:{REGION}:{HUB}:event-bus/{STACK}");
    text.replace("${Partition}", "aws").replace("${EventBusArn}", &bus)
}

/// AFT's two state machines, with the product's state between two states of AFT.
struct Pipeline {
    aft: Account,
    framework: String,
}

impl Pipeline {
    /// Creates both state machines; the role of the customizations has this policy.
    async fn create(wired: &Wired, state: &str, policy: &str) -> Result<Self> {
        let aft = wired.account(AFT, REGION);
        let number = wired.number();
        let fragment: Value = serde_json::from_str(state)?;
        let (name, state) = fragment
            .as_object()
            .and_then(|all| all.iter().next())
            .context("no state")?;
        let mut state = state.clone();
        state["Next"] = json!("After");
        for catcher in state["Catch"].as_array_mut().into_iter().flatten() {
            catcher["Next"] = json!("After");
        }
        let customizations = json!({
            "StartAt": "Before",
            "States": {
                "Before": { "Type": "Pass", "Next": name },
                name: state,
                "After": { "Type": "Pass", "End": true },
            },
        });
        let inner = machine(&aft, &format!("customizations-{number}"), &customizations, policy).await?;
        let framework = json!({
            "StartAt": "Begin",
            "States": {
                "Begin": { "Type": "Pass", "Next": "Customize" },
                "Customize": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::states:startExecution.sync:2",
                    "Parameters": { "Input.$": "$", "StateMachineArn": inner },
                    "ResultPath": "$.customized",
                    "Next": "Done",
                },
                "Done": { "Type": "Pass", "End": true },
            },
        });
        let framework = machine(&aft, &format!("framework-{number}"), &framework, NESTED_EXECUTIONS).await?;
        Ok(Self { aft, framework })
    }

    /// Runs the pipeline; returns the output of the customizations.
    async fn run(&self, input: &Value) -> Result<Value> {
        let run = execution::run(&self.aft, &self.framework, input).await?;
        let failure = || format!("{:?}: {}", run.error, run.cause.clone().unwrap_or_default());
        let output = run
            .output
            .clone()
            .with_context(|| format!("the pipeline failed: {}", failure()))?;
        Ok(output["customized"]["Output"].clone())
    }
}

/// Creates a state machine and its role; returns its ARN.
async fn machine(account: &Account, name: &str, definition: &Value, policy: &str) -> Result<String> {
    let (iam, sfn) = (account.iam(), account.sfn());
    iam.create_role()
        .role_name(name)
        .assume_role_policy_document(TRUST)
        .send()
        .await?;
    iam.put_role_policy()
        .role_name(name)
        .policy_name("p")
        .policy_document(policy)
        .send()
        .await?;
    let created = sfn
        .create_state_machine()
        .name(name)
        .role_arn(format!("arn:aws:iam::{}:role/{name}", account.id))
        .definition(definition.to_string())
        .send()
        .await?;
    Ok(created.state_machine_arn)
}

#[tokio::test]
async fn the_pipeline_starts_a_reconciliation_and_continues_with_its_input() -> Result<()> {
    let wired = exclusive().await?;
    let chosen = wired.workspace_in(REGION).await?;
    let open = json!({ "workspaceArn": chosen, "match": { "accounts": [SOURCE] } });
    wired.set_routes(&json!({ "workspaces": [open] }).to_string())?;
    let pipeline = Pipeline::create(&wired, &filled(STATE), &filled(POLICY)).await?;
    let mut input: Value = serde_json::from_str(INPUT)?;
    let id = chosen.rsplit('/').next().unwrap_or_default();
    input["account_request"]["custom_fields"] = json!(json!({ "amp_workspace": id }).to_string());
    // AFT runs the pipeline again whenever an account's request changes.
    for _ in 0..2 {
        let before = wired.executions(Machine::Reconcile).await?;
        ensure!(pipeline.run(&input).await? == input, "the state changed its input");
        let arn = wired
            .until("reconciliation of the new account", async || {
                let now = wired.executions(Machine::Reconcile).await?;
                Ok(now.difference(&before).next().cloned())
            })
            .await?;
        let reconciliation = wired.ended(&arn).await?.succeeded()?;
        ensure!(
            reconciliation.input["accounts"] == json!([SOURCE]),
            "the input is {}",
            reconciliation.input
        );
        ensure!(
            reconciliation.input["workspace"] == id,
            "the input is {}",
            reconciliation.input
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_pipeline_continues_when_the_event_cannot_be_put_or_handled() -> Result<()> {
    let wired = exclusive().await?;
    let (state, policy) = (filled(STATE), filled(POLICY));
    let elsewhere = state.replace(&format!("event-bus/{STACK}"), "event-bus/no-such-bus");
    let other = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sns:Publish","Resource":"*"}]}"#;
    let any = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"events:PutEvents","Resource":"*"}]}"#;
    let whole: Value = serde_json::from_str(INPUT)?;
    let mut invalid = whole.clone();
    invalid["account_request"]["custom_fields"] = json!("not JSON");
    let mut null = whole.clone();
    null["account_request"]["custom_fields"] = Value::Null;
    let mut absent = whole.clone();
    absent["account_request"]
        .as_object_mut()
        .context("no request")?
        .remove("custom_fields");
    for (what, state, policy, input) in [
        ("no permission", &state, other, whole.clone()),
        ("no bus", &elsewhere, any, whole),
        ("no custom fields", &state, &policy, absent),
        ("custom fields of null", &state, &policy, null),
        ("custom fields without JSON", &state, &policy, invalid),
        ("no account", &state, &policy, json!({ "account_info": {} })),
        ("an empty input", &state, &policy, json!({})),
    ] {
        let pipeline = Pipeline::create(&wired, state, policy).await?;
        let output = pipeline.run(&input).await.with_context(|| what.to_owned())?;
        ensure!(output == input, "{what}: the output is {output}");
    }
    // The custom fields without JSON, and the two inputs without an account.
    wired.take_undelivered(3).await
}
