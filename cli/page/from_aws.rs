//! Reads an onboarding from AWS: states from Step Functions, roles from IAM, calls from the functions' log group,
//! samples from the workspace. Read-only.

use super::{Available, Calls, Point, Run, Trust};
use crate::{
    account::Account,
    credentials::Credentials,
    document,
    execution::{self, Execution},
};
use ampxa::{
    Error,
    configurations::Named,
    ingestion,
    pair::Pair,
    policy::{self, Gate},
    request::Request,
    scrape_configuration,
};
use anyhow::{Context, Result, bail};
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;
use std::collections::BTreeMap;

/// The maximum number of points in the plot.
const MAX_POINTS: f64 = 120.0;
/// The plot ends this many minutes after the execution: the first samples take a minute or two.
const MINUTES_AFTER_END: f64 = 5.0;
/// The maximum delay of log events, in seconds.
const LOG_DELAY_SECONDS: f64 = 300.0;

/// Reads an execution of `ampxa-onboard`. `minute` is the number of real seconds in a minute of the cloud's clock.
///
/// # Errors
/// If the ARN is not of such an execution, or if Step Functions cannot be read. Any other error is reported in the
/// section that lacks the data.
pub async fn of_execution(credentials: &Credentials, arn: &str, minute: f64) -> Result<Run> {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "states", region, account, "execution", machine, _] = parts[..] else {
        bail!(
            "{arn} is not the ARN of an execution, such as arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:<name>"
        );
    };
    let Some(hub_name) = machine.strip_suffix("-onboard") else {
        bail!("{arn} is an execution of {machine}; a page shows one of ampxa-onboard");
    };
    let hub = credentials.hub(account, region).await?;
    let execution = execution::look(&hub, arn).await;
    let execution = execution.with_context(|| format!("{arn} cannot be read"))?;
    let mut run = Run::of(&execution, minute);
    run.calls = calls(&hub, hub_name, &execution).await;
    match request(&execution) {
        Some(request) => {
            let pair = Pair {
                cluster: request.cluster_arn.clone(),
                workspace: request.workspace_arn.clone(),
            };
            run.trusts = trusts(credentials, &execution, &pair)
                .await
                .map_err(|error| format!("{error:#}"));
            let seconds = execution.seconds + MINUTES_AFTER_END * minute;
            run.samples = samples(credentials, &execution, &request, seconds, minute).await;
        }
        None => {
            let reason = "Check request did not succeed, so the pair is unknown".to_owned();
            (run.trusts, run.samples) = (Err(reason.clone()), Err(reason));
        }
    }
    Ok(run)
}

/// The request with its defaults, from the output of `Check request`.
fn request(execution: &Execution) -> Option<Request> {
    let mut states = execution.states.iter();
    let completed = states.find(|state| state.name == "Check request")?.output.as_ref()?;
    Request::parse(&completed["request"]).ok()
}

async fn trusts(credentials: &Credentials, execution: &Execution, pair: &Pair) -> Result<Vec<Trust>> {
    let source = credentials
        .source(pair.cluster.account(), pair.cluster.region())
        .await?;
    let target = credentials
        .target(pair.workspace.account(), pair.workspace.region())
        .await?;
    let mut trusts = Vec::new();
    for (side, account, role, placeholder) in [
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
        // Before the patch a role has its placeholder trust, unless its trust policy already named this scraper: then
        // nothing was patched.
        let patched = execution.states.iter().any(|state| {
            let written = state.output.as_ref().map(|output| &output[side]);
            state.name.starts_with("Patch trust policies") && written == Some(&Value::Bool(true))
        });
        let current = document::trust(&account, &role).await?;
        let note = match (&current, patched) {
            (None, _) => "The role does not exist.",
            (_, true) => "Before: the placeholder trust policy. After: as it is now.",
            (_, false) => "The current policy. This execution did not change it.",
        };
        trusts.push(Trust {
            role,
            before: patched.then_some(placeholder),
            after: current,
            note: Some(note.to_owned()),
        });
    }
    Ok(trusts)
}

/// The newest log group of the hub's functions: a stack that was deleted leaves its log group.
async fn log_group(hub: &Account, hub_name: &str) -> Available<String> {
    let prefix = format!("/aws/lambda/{hub_name}-");
    let list = hub.logs().describe_log_groups().log_group_name_prefix(&prefix);
    let found: Result<Vec<_>, _> = list.into_paginator().items().send().collect().await;
    let groups = found.map_err(|error| format!("the log groups cannot be listed: {}", Error::from(error)))?;
    // The suffix has 8 hexadecimal digits; a longer one is of another stack.
    let of_hub = groups.into_iter().filter(|group| {
        group
            .log_group_name()
            .is_some_and(|name| name.len() == prefix.len() + 8)
    });
    let newest = of_hub.max_by_key(|group| group.creation_time());
    let name = newest.and_then(|group| group.log_group_name);
    name.ok_or_else(|| {
        format!(
            "the account {} has no log group whose name begins with {prefix}",
            hub.id
        )
    })
}

/// The calls to AWS of an execution, from the log events of its steps.
async fn calls(hub: &Account, hub_name: &str, execution: &Execution) -> Available<Vec<Calls>> {
    let log_group = &log_group(hub, hub_name).await?;
    let name = execution.arn.rsplit(':').next().unwrap_or_default();
    let milliseconds = |seconds: f64| (seconds * 1000.0) as i64;
    let mut pages = hub
        .logs()
        .filter_log_events()
        .log_group_name(log_group)
        .filter_pattern(format!("\"{name}\""))
        .start_time(milliseconds(execution.began - 1.0))
        .end_time(milliseconds(execution.began + execution.seconds + LOG_DELAY_SECONDS))
        .into_paginator()
        .send();
    let mut counts: BTreeMap<[String; 3], usize> = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| format!("the log group {log_group} cannot be read: {}", Error::from(error)))?;
        for event in page.events() {
            let line: Value = serde_json::from_str(event.message().unwrap_or_default()).unwrap_or_default();
            if line["execution"] == execution.arn.as_str() {
                count(&line, &hub.id, &mut counts);
            }
        }
    }
    if counts.is_empty() {
        return Err(format!("the log group {log_group} has no events of this execution"));
    }
    let calls = counts.into_iter().map(|([step, account, action], count)| Calls {
        step,
        account,
        action,
        count,
    });
    Ok(calls.collect())
}

/// Adds the calls in one log line of a step, by step, account and action.
fn count(line: &Value, hub: &str, counts: &mut BTreeMap<[String; 3], usize>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for call in line["calls"].as_array().into_iter().flatten() {
        let account = call["account"].as_str().unwrap_or(hub).to_owned();
        let action = format!("{}: {}", text(&call["service"]), text(&call["call"]));
        *counts.entry([text(&line["step"]), account, action]).or_default() += 1;
    }
}

/// The targets in the workspace over time: from the start of the execution, for `seconds` real seconds.
async fn samples(
    credentials: &Credentials,
    execution: &Execution,
    request: &Request,
    seconds: f64,
    minute: f64,
) -> Available<Vec<Point>> {
    let workspace = &request.workspace_arn;
    let account = credentials.target(workspace.account(), workspace.region()).await;
    let samples = account.map_err(|error| format!("{error:#}"))?.samples();
    let running = execution.status == ExecutionStatus::Running;
    let seconds = if running { execution.seconds } else { seconds };
    // The step is at least one second of the cloud's clock.
    let step = (seconds / MAX_POINTS).max(minute / 60.0);
    let span = (execution.began, execution.began + seconds);
    // An interval that the request does not name is not known here. The query then covers five minutes.
    let interval = match request.configuration() {
        Some(Named::Text(yaml)) => scrape_configuration::longest_interval(yaml),
        _ => 0,
    };
    let series = ingestion::series(&request.cluster_arn, interval);
    let mut counts = Vec::new();
    for expression in [format!("count({series})"), format!("sum({series})")] {
        let numbers = samples.query_range(workspace.id(), &expression, span, step).await;
        counts.push(numbers.map_err(|error| Error::from(error).to_string())?);
    }
    // At a time without a matching series, the query returns no value: that is zero targets.
    let at = |numbers: &[(f64, f64)], time: f64| {
        let nearest = numbers
            .iter()
            .find(|(timestamp, _)| (timestamp - time).abs() < step / 2.0);
        nearest.map_or(0.0, |(_, number)| *number)
    };
    let points = (0..=(seconds / step) as u32).map(|nth| {
        let since = f64::from(nth) * step;
        Point {
            minutes: since / minute,
            targets: at(&counts[0], execution.began + since),
            up: at(&counts[1], execution.began + since),
        }
    });
    Ok(points.collect())
}
