//! Starts, reads and watches executions of Step Functions.

use crate::account::Account;
use anyhow::Result;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use aws_smithy_types::DateTime;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The current state of an execution.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The ARN of the execution.
    pub arn: String,
    /// The status.
    pub status: ExecutionStatus,
    /// The input.
    pub input: Value,
    /// The output, if the execution succeeded.
    pub output: Option<Value>,
    /// The name of the error, if the execution failed.
    pub error: Option<String>,
    /// The cause of the error.
    pub cause: Option<String>,
    /// The states that the execution entered, in order.
    pub states: Vec<Entered>,
    /// The time of the start, in seconds since the epoch.
    pub began: f64,
    /// Real seconds from the start to the end, or until now.
    pub seconds: f64,
}

/// A state that was entered, with its input and output.
#[derive(Debug, Clone)]
pub struct Entered {
    /// The name of the state.
    pub name: String,
    /// The time at which the execution entered the state, in seconds since the epoch.
    pub at: f64,
    /// The time at which the execution left the state, if it did.
    pub left: Option<f64>,
    /// The input of the state.
    pub input: Value,
    /// The output of the state, if the execution left it.
    pub output: Option<Value>,
}

/// Starts an execution; returns its ARN.
///
/// # Errors
/// If the call fails.
pub async fn start(hub: &Account, machine: &str, input: &Value) -> Result<String> {
    let response = hub
        .sfn()
        .start_execution()
        .state_machine_arn(machine)
        .input(input.to_string())
        .send()
        .await
        .map_err(ampxa::Error::from)?;
    Ok(response.execution_arn)
}

/// Reads an execution repeatedly until it ends, and calls `on_update` after each read. Waits `interval` between reads.
///
/// # Errors
/// If a call to Step Functions or `on_update` fails.
pub async fn watch(
    hub: &Account,
    arn: &str,
    interval: Duration,
    mut on_update: impl AsyncFnMut(&Execution) -> Result<()>,
) -> Result<Execution> {
    loop {
        let execution = look(hub, arn).await?;
        on_update(&execution).await?;
        if execution.status != ExecutionStatus::Running {
            return Ok(execution);
        }
        tokio::time::sleep(interval).await;
    }
}

/// Starts an execution and waits for its end.
///
/// # Errors
/// If a call to Step Functions fails.
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

/// Reads the current state of an execution, with its history.
///
/// # Errors
/// If a call to Step Functions fails.
pub async fn look(hub: &Account, arn: &str) -> Result<Execution> {
    let sfn = hub.sfn();
    let described = sfn.describe_execution().execution_arn(arn).send().await?;
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
    let end = described.stop_date().map_or(SystemTime::now().into(), |end| *end);
    let began = seconds(described.start_date());
    let succeeded = described.status == ExecutionStatus::Succeeded;
    Ok(Execution {
        arn: arn.to_owned(),
        input: json(described.input.as_deref()),
        seconds: (seconds(&end) - began).max(0.0),
        began,
        status: described.status,
        output: described
            .output
            .as_deref()
            .filter(|_| succeeded)
            .map(|text| json(Some(text))),
        error: described.error,
        cause: described.cause,
        states,
    })
}

/// The state that an exit event belongs to: the last one that was entered under its name.
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
