//! The commands of `ampxa`, each with its exit code.

mod console;
mod doctor;
mod fleet;
mod pair;
mod report;
mod routes;

use console::{confirm, emit, print_json, read, require_answer};

use crate::{
    account::Account,
    arguments::{self, Command},
    execution::{self, Execution},
    hub::Hub,
    page,
    progress::Follow,
    style::printable,
    terminal::Report,
};
use anyhow::{Context, Result, bail};
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use std::fmt;

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Success,
    /// A failure, or a finding of a check.
    Failure,
    /// An execution would fail, or the plan has changed.
    PlanFails,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::PlanFails => 3,
        }
    }

    fn of(fine: bool) -> Self {
        match fine {
            true => Self::Success,
            false => Self::Failure,
        }
    }
}

/// The exit code of arguments that are not valid, as that of clap.
pub const USAGE: u8 = 2;
/// The exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Arguments that are not valid together.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Usage {}

/// Runs a command.
///
/// # Errors
/// If it cannot be run to its end. An error of the type [`Usage`] means that the arguments are not valid.
pub async fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Plan(plan) if plan.cluster.is_some() => pair::plan(plan).await,
        Command::Plan(plan) => fleet::plan(plan).await,
        Command::Onboard(onboard) => pair::onboard(onboard).await,
        Command::Offboard(offboard) => pair::offboard(offboard).await,
        Command::Reconcile(reconcile) => fleet::reconcile(reconcile).await,
        Command::Follow(follow) => self::follow(follow).await,
        Command::Report(report) => report::report(report).await,
        Command::Status(status) => report::status(status).await,
        Command::Routes(routes) => routes::run(routes).await,
        Command::Doctor(doctor) => doctor::doctor(doctor).await,
        Command::Page(page) => write_page(page).await,
    }
}

async fn write_page(arguments: arguments::Page) -> Result<Exit> {
    let credentials = arguments.endpoint.credentials(Some(&arguments.roles))?;
    let run = page::from_aws::of_execution(&credentials, &arguments.execution, arguments.clock.minute).await?;
    let file = &arguments.page;
    std::fs::write(file, page::page(&run)).with_context(|| format!("{} cannot be written", file.display()))?;
    emit(&file.display().to_string())?;
    Ok(Exit::Success)
}

async fn follow(arguments: arguments::Follow) -> Result<Exit> {
    let parts: Vec<&str> = arguments.execution.split(':').collect();
    let [_, _, "states", region, account, "execution", _, _] = parts[..] else {
        let arn = &arguments.execution;
        bail!(Usage(format!(
            "{arn} is not the ARN of an execution, such as \
             arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:<name>"
        )));
    };
    let hub = arguments.endpoint.credentials(None)?.hub(account, region).await?;
    let follow = following(&arguments.endpoint, &arguments.clock);
    let execution = follow
        .to_end(&hub, &arguments.execution, "Following the execution")
        .await?;
    finish(&execution, arguments.json)
}

/// The hub of the arguments, and how its executions are followed.
async fn hub_of(arguments: &arguments::Hub) -> Result<(Hub, Follow)> {
    let credentials = arguments.endpoint.credentials(None)?;
    let hub = Hub::find(&credentials, arguments.region.as_deref(), &arguments.hub).await?;
    Ok((hub, following(&arguments.endpoint, &arguments.clock)))
}

fn following(endpoint: &arguments::Endpoint, clock: &arguments::Clock) -> Follow {
    let mut options = String::new();
    if let Some(url) = &endpoint.local_cloud {
        options = format!(" --local-cloud {url} --minute {}", clock.minute);
    } else if let Some(url) = &endpoint.endpoint_url {
        options = format!(" --endpoint-url {url}");
    }
    Follow {
        report: Report::new(),
        minute: clock.minute,
        options,
    }
}

/// Starts an execution and follows it to its end.
async fn run_execution(hub: &Account, follow: &Follow, machine: &str, input: &Value, what: &str) -> Result<Execution> {
    let arn = execution::start(hub, machine, input);
    let arn = arn.await.with_context(|| format!("{machine} cannot be started"))?;
    follow.report.print(&arn);
    follow.to_end(hub, &arn, what).await
}

/// Prints the result of an execution; returns its exit code.
fn finish(execution: &Execution, as_json: bool) -> Result<Exit> {
    if as_json {
        print_json(&result(execution))?;
    } else if let Some(output) = &execution.output {
        emit(&outcome(output))?;
    }
    if execution.status != ExecutionStatus::Succeeded {
        eprintln!("{}", failure(execution));
    }
    Ok(exit_of(execution))
}

fn exit_of(execution: &Execution) -> Exit {
    // A reconciliation succeeds although clusters fail.
    let failed = execution
        .output
        .as_ref()
        .map_or(0, |output| output["counts"]["FAILED"].as_u64().unwrap_or(0));
    match (&execution.status, execution.error.as_deref()) {
        (ExecutionStatus::Succeeded, _) if failed > 0 => Exit::Failure,
        (ExecutionStatus::Succeeded, _) => Exit::Success,
        (_, Some("PlanChanged")) => Exit::PlanFails,
        _ => Exit::Failure,
    }
}

/// An execution as JSON.
fn result(execution: &Execution) -> Value {
    json!({
        "executionArn": execution.arn,
        "status": execution.status.as_str(),
        "output": execution.output,
        "error": execution.error,
        "cause": execution.cause,
    })
}

/// The outcome of an execution, with the fields of its output that a person reads first.
fn outcome(output: &Value) -> String {
    let mut lines = vec![output["outcome"].as_str().unwrap_or("SUCCEEDED").to_owned()];
    for (field, name) in [
        ("scraperArn", "scraper"),
        ("sourceRoleArn", "source role"),
        ("targetRoleArn", "target role"),
        ("reason", "reason"),
        ("report", "report"),
        ("plan", "fingerprint"),
    ] {
        lines.extend(output[field].as_str().map(|text| format!("  {name:<12}{text}")));
    }
    let counts = output["counts"].as_object().into_iter().flatten();
    lines.extend(counts.map(|(verdict, count)| format!("  {verdict:<23} {count}")));
    if let Some(result) = output["ingestion"]["result"].as_str() {
        lines.push(format!("  {:<12}{result}", "samples"));
        let hints = output["ingestion"]["hints"].as_array().into_iter().flatten();
        lines.extend(hints.filter_map(Value::as_str).map(|hint| format!("  - {hint}")));
    }
    let warnings = output["warnings"].as_array().into_iter().flatten();
    lines.extend(
        warnings
            .filter_map(Value::as_str)
            .map(|text| format!("  warning: {text}")),
    );
    printable(&lines.join("\n"))
}

/// Why an execution did not succeed.
fn failure(execution: &Execution) -> String {
    let error = execution.error.as_deref().unwrap_or(execution.status.as_str());
    let cause = execution.cause.as_deref().unwrap_or("the execution has no cause");
    printable(&format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_has_its_resources_and_hints() {
        let output = json!({
            "outcome": "ONBOARDED",
            "scraperArn": "arn:s",
            "ingestion": { "result": "NONE", "hints": ["check the access entry"] },
            "warnings": ["the quota is nearly used"],
        });
        let expected = "ONBOARDED\n  scraper     arn:s\n  samples     NONE\n  - check the access entry\n  warning: the \
                        quota is nearly used";
        assert_eq!(outcome(&output), expected);
        assert_eq!(outcome(&json!({})), "SUCCEEDED");
    }
}
