//! What AWS tells of an onboarding: its states by Step Functions, its roles by IAM, its calls by the functions' log,
//! its samples by the workspace. Touches nothing.

use super::{Calls, Known, Point, Run, Trust};
use crate::{
    account::Account,
    credentials::Credentials,
    document,
    execution::{self, Execution},
};
use ampxa::{
    Error, ingestion,
    pair::Pair,
    policy::{self, Gate},
    request::Request,
};
use anyhow::{Context, Result, bail};
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;
use std::collections::BTreeMap;

/// A plot has so many points at most.
const POINTS: f64 = 120.0;
/// So long after its end a run's samples are still shown, in minutes: the first ones take a minute or two.
const AFTERMATH_MINUTES: f64 = 5.0;
/// What an execution's last lines in the log may be late by, in seconds.
const LATE_SECONDS: f64 = 300.0;

/// Reads an execution of `ampxa-onboard`, by a clock on which a minute takes so many seconds.
///
/// # Errors
/// When the ARN is none of such an execution, or Step Functions does not answer. What else cannot be known is said
/// in its place.
pub async fn of_execution(credentials: &Credentials, arn: &str, minute: f64) -> Result<Run> {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "states", region, account, "execution", machine, _] = parts[..] else {
        bail!(
            "{arn} is no execution's ARN, such as arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:<name>"
        );
    };
    let Some(hub_name) = machine.strip_suffix("-onboard") else {
        bail!("{arn} is an execution of {machine}; a page shows one of ampxa-onboard");
    };
    let hub = credentials.account(account, region).await?;
    let execution = execution::look(&hub, arn).await;
    let execution = execution.with_context(|| format!("{arn} could not be read"))?;
    let mut run = Run::of(&execution, minute);
    run.calls = calls(&hub, &format!("/aws/lambda/{hub_name}"), &execution).await;
    match request(&execution) {
        Some(request) => {
            let pair = Pair {
                cluster: request.cluster_arn.clone(),
                workspace: request.workspace_arn.clone(),
            };
            run.trusts = trusts(credentials, &execution, &pair)
                .await
                .map_err(|why| format!("{why:#}"));
            let until = execution.seconds + AFTERMATH_MINUTES * minute;
            run.samples = samples(credentials, &execution, &request, until, minute).await;
        }
        None => {
            let refused = "the request was refused, and nobody looked at anything".to_owned();
            (run.trusts, run.samples) = (Err(refused.clone()), Err(refused));
        }
    }
    Ok(run)
}

/// The request as `Check request` completed it.
fn request(execution: &Execution) -> Option<Request> {
    let mut states = execution.states.iter();
    let completed = states.find(|state| state.name == "Check request")?.output.as_ref()?;
    Request::parse(&completed["request"]).ok()
}

async fn trusts(credentials: &Credentials, execution: &Execution, pair: &Pair) -> Result<Vec<Trust>> {
    let source = credentials
        .account(pair.cluster.account(), pair.cluster.region())
        .await?;
    let target = credentials
        .account(pair.workspace.account(), pair.workspace.region())
        .await?;
    let mut trusts = Vec::new();
    for (side, account, role, shut) in [
        (
            "source",
            source,
            pair.source_role_arn(),
            policy::source_trust(pair, Gate::Placeholder),
        ),
        (
            "target",
            target,
            pair.target_role_arn(),
            policy::target_trust(pair, Gate::Placeholder),
        ),
    ] {
        // A role is shut until the patch, unless it named this scraper already: then there was nothing to patch.
        let patched = execution.states.iter().any(|state| {
            let told = state.output.as_ref().map(|output| &output[side]);
            state.name.starts_with("Patch trust policies") && told == Some(&Value::Bool(true))
        });
        let now = document::trust(&account, &role).await?;
        let note = match (&now, patched) {
            (None, _) => "There is no such role now.",
            (_, true) => "Before: as ampxa keeps a role until the patch. After: as it is now.",
            (_, false) => "As it is now. This run changed nothing in it.",
        };
        trusts.push(Trust {
            role,
            before: patched.then_some(shut),
            after: now,
            note: Some(note.to_owned()),
        });
    }
    Ok(trusts)
}

/// The calls in the lines that an execution's steps left in the log.
async fn calls(hub: &Account, log_group: &str, execution: &Execution) -> Known<Vec<Calls>> {
    let name = execution.arn.rsplit(':').next().unwrap_or_default();
    let milliseconds = |seconds: f64| (seconds * 1000.0) as i64;
    let mut pages = hub
        .logs()
        .filter_log_events()
        .log_group_name(log_group)
        .filter_pattern(format!("\"{name}\""))
        .start_time(milliseconds(execution.began - 1.0))
        .end_time(milliseconds(execution.began + execution.seconds + LATE_SECONDS))
        .into_paginator()
        .send();
    let mut counts: BTreeMap<[String; 3], usize> = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|why| format!("the log {log_group} could not be read: {}", Error::from(why)))?;
        for event in page.events() {
            let line: Value = serde_json::from_str(event.message().unwrap_or_default()).unwrap_or_default();
            if line["execution"] == execution.arn.as_str() {
                count(&line, &hub.id, &mut counts);
            }
        }
    }
    if counts.is_empty() {
        return Err(format!("the log {log_group} has no lines of this execution"));
    }
    let calls = counts.into_iter().map(|([step, account, action], count)| Calls {
        step,
        account,
        action,
        count,
    });
    Ok(calls.collect())
}

/// Counts the calls of a step's line, by step, account and action.
fn count(line: &Value, hub: &str, counts: &mut BTreeMap<[String; 3], usize>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for call in line["calls"].as_array().into_iter().flatten() {
        let account = call["account"].as_str().unwrap_or(hub).to_owned();
        let action = format!("{}: {}", text(&call["service"]), text(&call["call"]));
        *counts.entry([text(&line["step"]), account, action]).or_default() += 1;
    }
}

/// What was in the workspace from the start of a run on, for so many seconds.
async fn samples(
    credentials: &Credentials,
    execution: &Execution,
    request: &Request,
    seconds: f64,
    minute: f64,
) -> Known<Vec<Point>> {
    let workspace = &request.workspace_arn;
    let account = credentials.account(workspace.account(), workspace.region()).await;
    let samples = account.map_err(|why| format!("{why:#}"))?.samples();
    let running = execution.status == ExecutionStatus::Running;
    let seconds = if running { execution.seconds } else { seconds };
    // No finer than a second of the clock.
    let every = (seconds / POINTS).max(minute / 60.0);
    let span = (execution.began, execution.began + seconds);
    let series = ingestion::series(request);
    let mut counts = Vec::new();
    for expression in [format!("count({series})"), format!("sum({series})")] {
        let told = samples.numbers(workspace.id(), &expression, span, every).await;
        counts.push(told.map_err(|why| Error::from(why).to_string())?);
    }
    // Where no series matched there is no number, which is none of the targets.
    let at = |numbers: &[(f64, f64)], when: f64| {
        let near = numbers.iter().find(|(told, _)| (told - when).abs() < every / 2.0);
        near.map_or(0.0, |(_, number)| *number)
    };
    let points = (0..=(seconds / every) as u32).map(|nth| {
        let since = f64::from(nth) * every;
        Point {
            minutes: since / minute,
            targets: at(&counts[0], execution.began + since),
            up: at(&counts[1], execution.began + since),
        }
    });
    Ok(points.collect())
}
