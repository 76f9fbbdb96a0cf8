//! An execution, watched to its end.

use crate::account::Account;
use anyhow::Result;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use aws_smithy_types::DateTime;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// An execution, as it stands.
#[derive(Debug, Clone)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: ExecutionStatus,
    /// What it was started with.
    pub input: Value,
    /// Its output, when it has succeeded.
    pub output: Option<Value>,
    /// The name it failed under.
    pub error: Option<String>,
    /// Why it failed.
    pub cause: Option<String>,
    /// The states it entered, in order.
    pub states: Vec<Entered>,
    /// When it was started: seconds since the epoch.
    pub began: f64,
    /// Real seconds from its start to its end, or until now.
    pub seconds: f64,
}

/// A state that was entered, and the task result it left with.
#[derive(Debug, Clone)]
pub struct Entered {
    /// The state's name.
    pub name: String,
    /// When it was entered: seconds since the epoch.
    pub at: f64,
    /// When it was left.
    pub left: Option<f64>,
    /// What went in.
    pub input: Value,
    /// What came out, when it was left.
    pub output: Option<Value>,
}

/// Starts an execution; answers its ARN.
///
/// # Errors
/// When Step Functions refuses it.
pub async fn start(hub: &Account, machine: &str, input: &Value) -> Result<String> {
    let answer = hub
        .sfn()
        .start_execution()
        .state_machine_arn(machine)
        .input(input.to_string())
        .send()
        .await?;
    Ok(answer.execution_arn)
}

/// Watches an execution until it ends; `seen` is told of it again and again.
///
/// # Errors
/// When Step Functions does not answer.
pub async fn watch(
    hub: &Account,
    arn: &str,
    pace: Duration,
    mut seen: impl AsyncFnMut(&Execution) -> Result<()>,
) -> Result<Execution> {
    loop {
        let execution = look(hub, arn).await?;
        seen(&execution).await?;
        if execution.status != ExecutionStatus::Running {
            return Ok(execution);
        }
        tokio::time::sleep(pace).await;
    }
}

/// Starts an execution and waits for its end.
///
/// # Errors
/// When Step Functions refuses it or does not answer.
pub async fn run(hub: &Account, machine: &str, input: &Value) -> Result<Execution> {
    let arn = start(hub, machine, input).await?;
    loop {
        let status = hub.sfn().describe_execution().execution_arn(&arn).send().await?.status;
        if status != ExecutionStatus::Running {
            return look(hub, &arn).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An execution as it stands now.
///
/// # Errors
/// When Step Functions does not answer.
pub async fn look(hub: &Account, arn: &str) -> Result<Execution> {
    let sfn = hub.sfn();
    let now = sfn.describe_execution().execution_arn(arn).send().await?;
    let mut events = sfn
        .get_execution_history()
        .execution_arn(arn)
        .max_results(1000)
        .into_paginator()
        .items()
        .send();
    let mut states: Vec<Entered> = Vec::new();
    while let Some(event) = events.next().await {
        let event = event?;
        if let Some(entered) = event.state_entered_event_details() {
            states.push(Entered {
                name: entered.name().to_owned(),
                at: seconds(event.timestamp()),
                left: None,
                input: json(entered.input()),
                output: None,
            });
        } else if let (Some(exited), Some(state)) = (event.state_exited_event_details(), last(&mut states, &event)) {
            state.left = Some(seconds(event.timestamp()));
            state.output = Some(json(exited.output()));
        }
    }
    let end = now.stop_date().map_or(SystemTime::now().into(), |end| *end);
    let began = seconds(now.start_date());
    let succeeded = now.status == ExecutionStatus::Succeeded;
    Ok(Execution {
        arn: arn.to_owned(),
        input: json(now.input.as_deref()),
        seconds: (seconds(&end) - began).max(0.0),
        began,
        status: now.status,
        output: now.output.as_deref().filter(|_| succeeded).map(|text| json(Some(text))),
        error: now.error,
        cause: now.cause,
        states,
    })
}

/// The state that an exit event is about: the last one entered under its name.
fn last<'a>(states: &'a mut [Entered], event: &HistoryEvent) -> Option<&'a mut Entered> {
    let name = event.state_exited_event_details()?.name();
    states.iter_mut().rev().find(|state| state.name == name)
}

fn json(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn seconds(time: &DateTime) -> f64 {
    time.as_secs_f64()
}
