//! The state for Account Factory for Terraform, inside machines shaped like those that call it.
//!
//! AFT's framework runs `aft-account-provisioning-customizations` and waits for it; what an account's
//! platform team puts into that machine stands between AFT's own states (AFT's documentation, "Account
//! provisioning customizations"). Both are JSONPath machines.

use super::{
    case::Seen,
    ground::{AFT, Ground, Machine, SOURCE, STACK, name_of},
};
use crate::{HUB, REGION, account::Account};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const INPUT: &str = include_str!("../../golden/events/aft-account-provisioning.json");
const STATE: &str = include_str!("../../../infra/aft/ampxa-state.asl.json");
const POLICY: &str = include_str!("../../../infra/aft/policy.json");
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"states.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// What a machine needs to wait for another one.
const NESTS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["states:StartExecution","states:DescribeExecution","states:StopExecution","events:PutTargets","events:PutRule","events:DescribeRule"],"Resource":"*"}]}"#;

/// Fills in where the hub's bus is, as the files ask for it.
fn filled(text: &str) -> String {
    let bus = format!("arn:aws:events:{REGION}:{HUB}:event-bus/{STACK}");
    text.replace("${EventBusArn}", &bus)
}

/// AFT's two machines, with the state between two of theirs.
struct Pipeline {
    aft: Account,
    framework: String,
}

impl Pipeline {
    /// Makes it; the customizations' role has this policy.
    async fn make(ground: &Ground, state: &str, policy: &str) -> Result<Self> {
        let aft = ground.cloud.account(AFT, REGION);
        let number = ground.number();
        let fragment: Value = serde_json::from_str(state)?;
        let (name, state) = fragment
            .as_object()
            .and_then(|all| all.iter().next())
            .context("no state")?;
        let mut state = state.clone();
        state["Next"] = json!("Theirs after");
        for catcher in state["Catch"].as_array_mut().into_iter().flatten() {
            catcher["Next"] = json!("Theirs after");
        }
        let customizations = json!({
            "StartAt": "Theirs before",
            "States": {
                "Theirs before": { "Type": "Pass", "Next": name },
                name: state,
                "Theirs after": { "Type": "Pass", "End": true },
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
        let framework = machine(&aft, &format!("framework-{number}"), &framework, NESTS).await?;
        Ok(Self { aft, framework })
    }

    /// Runs it; answers what the customizations handed on.
    async fn run(&self, input: &Value) -> Result<Value> {
        let run = crate::execution::run(&self.aft, &self.framework, input).await?;
        let failure = || format!("{:?}: {}", run.error, run.cause.clone().unwrap_or_default());
        let output = run
            .output
            .clone()
            .with_context(|| format!("the pipeline failed: {}", failure()))?;
        Ok(output["customized"]["Output"].clone())
    }
}

/// Makes a machine and its role; answers its ARN.
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
    let made = sfn
        .create_state_machine()
        .name(name)
        .role_arn(format!("arn:aws:iam::{}:role/{name}", account.id))
        .definition(definition.to_string())
        .send()
        .await?;
    Ok(made.state_machine_arn)
}

/// An account is vended with a workspace; AFT runs its pipeline again and again.
pub async fn works(ground: &Ground) -> Result<Seen> {
    let chosen = ground.workspace_in(REGION).await?;
    ground.set_routes(&json!({ "workspaces": [chosen] }).to_string())?;
    let pipeline = Pipeline::make(ground, &filled(STATE), &filled(POLICY)).await?;
    let mut input: Value = serde_json::from_str(INPUT)?;
    let id = chosen.rsplit('/').next().unwrap_or_default();
    input["account_request"]["custom_fields"] = json!(json!({ "amp_workspace": id }).to_string());
    let mut sweeps = Vec::new();
    for _ in 0..2 {
        let before = ground.executions(Machine::Sweep).await?;
        ensure!(
            pipeline.run(&input).await? == input,
            "the state changed what it was given"
        );
        let arn = ground
            .until("a sweep of the vended account", async || {
                let now = ground.executions(Machine::Sweep).await?;
                Ok(now.difference(&before).next().cloned())
            })
            .await?;
        let sweep = ground.ended(&arn).await?.succeeded()?;
        ensure!(sweep.input["accounts"] == json!([SOURCE]), "it was for {}", sweep.input);
        ensure!(
            sweep.input["workspace"] == id,
            "the workspace was lost: {}",
            sweep.input
        );
        sweeps.push(name_of(&arn).to_owned());
    }
    ground.clear_routes()?;
    Ok(format!("sweeps: {}", sweeps.join(", ")).into())
}

/// No right, no bus, no fields, and fields that hold no JSON.
pub async fn fails(ground: &Ground) -> Result<Seen> {
    let (state, policy) = (filled(STATE), filled(POLICY));
    let elsewhere = state.replace(&format!("event-bus/{STACK}"), "event-bus/nobody");
    let other = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sns:Publish","Resource":"*"}]}"#;
    let any = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"events:PutEvents","Resource":"*"}]}"#;
    let whole: Value = serde_json::from_str(INPUT)?;
    let mut odd = whole.clone();
    odd["account_request"]["custom_fields"] = json!("not JSON");
    let mut none = whole.clone();
    none["account_request"]["custom_fields"] = Value::Null;
    let mut bare = whole.clone();
    bare["account_request"]
        .as_object_mut()
        .context("no request")?
        .remove("custom_fields");
    let cases = [
        ("no right", &state, other, whole.clone()),
        ("no bus", &elsewhere, any, whole),
        ("no custom fields", &state, &policy, bare),
        ("custom fields of null", &state, &policy, none),
        ("custom fields without JSON", &state, &policy, odd),
        ("no account", &state, &policy, json!({ "account_info": {} })),
        ("nothing at all", &state, &policy, json!({})),
    ];
    let mut table = Vec::new();
    for (what, state, policy, input) in cases {
        let pipeline = Pipeline::make(ground, state, policy).await?;
        let handed_on = pipeline.run(&input).await.with_context(|| what.to_owned())?;
        ensure!(handed_on == input, "{what}: handed on {handed_on}");
        table.push(what.to_owned());
    }
    // What was no JSON or named no account is told to people, not to the pipeline.
    ground.take_undelivered(3).await?;
    Ok(Seen {
        words: format!("{} ways, the pipeline goes on", table.len()),
        table,
    })
}
