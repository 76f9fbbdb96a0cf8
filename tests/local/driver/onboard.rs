//! `onboard`: the demo, from an empty local cloud to samples in the workspace.

use crate::{
    HUB, REGION, SOURCE, TARGET,
    cloud::{Cloud, Options},
    demo, deploy,
    project::Project,
};
use ampxa_cli::{
    account::Account,
    document,
    execution::{self, Entered, Execution},
    page::{self, Point},
    plan::Plan,
    progress::States,
    terminal::{Report, change, clock},
};
use anyhow::{Context, Result};
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The poll interval while a scraper usually becomes ACTIVE, in seconds of the cloud's clock: `Wait for the scraper` in
/// statemachine/onboard.asl.yaml.
const POLL_SECONDS: f64 = 15.0;

/// The result of an onboarding.
#[derive(Debug)]
pub struct Outcome {
    /// The JSON document of `--json`.
    pub document: Value,
    /// Whether it succeeded and the workspace receives samples.
    pub succeeded: bool,
}

/// Builds the functions, starts the cloud, deploys the product, onboards a demo cluster, reads the result, and writes
/// the page of the run to `page_file`, by default `target/onboard.html`.
///
/// # Errors
/// If the execution could not be started or read. An execution that fails is an [`Outcome`].
pub async fn onboard(options: Options, json_only: bool, page_file: Option<PathBuf>) -> Result<Outcome> {
    let report = Report::new();
    let began = Instant::now();
    let mut seconds = serde_json::Map::new();
    let mut lap = {
        let mut last = began;
        move |seconds: &mut serde_json::Map<String, Value>, name: &str| {
            seconds.insert(name.to_owned(), rounded(last.elapsed().as_secs_f64()));
            last = Instant::now();
        }
    };

    let project = Project::here()?;
    let python = project.python(&report)?;
    lap(&mut seconds, "build");
    let activity = report.start("Starting the local cloud and deploying infra/ into three accounts");
    let cloud = Cloud::start(&project, &python, options)?;
    let deployed = deploy::deploy(&project, &python, &cloud, &deploy::Accounts::default()).await?;
    activity.finish();
    lap(&mut seconds, "deploy");

    let (hub, source, target) = (
        cloud.account(HUB, REGION),
        cloud.account(SOURCE, REGION),
        cloud.account(TARGET, REGION),
    );
    let cluster = demo::Cluster::named("demo").make(&source).await?;
    let workspace = demo::workspace_that_accepts(&target, "demo", Some(SOURCE)).await?;
    let input = json!({ "clusterArn": cluster, "workspaceArn": workspace });
    let prometheus = cloud.look("data-plane")?["prometheus"].clone();
    report.print(&match prometheus.as_str() {
        Some(version) => format!("Workspaces: Prometheus {version}."),
        None => "Workspaces: a stand-in. With prometheus on the PATH, they are real Prometheus servers.".to_owned(),
    });
    report.print(&format!(
        "\nThe owner of the workspace accepts the account of the cluster:\n  workspace {workspace}\n  tag       \
         ampxa:accept = {SOURCE}"
    ));
    report.print("\nWhat ampxa-onboard would do (\"mode\": \"PLAN\"):");
    let plan = plan(&hub, &deployed.onboard_arn, &input).await?;
    for change in &plan.changes {
        report.print(&format!("  + {} in account {}", change.words(), change.account_id));
    }
    lap(&mut seconds, "plan");
    let mut input = input;
    input["expectedPlan"] = json!(plan.plan);
    report.print(&format!("\nStarting ampxa-onboard in account {HUB} with\n  {input}\n"));
    let mut run = run_execution(&cloud, &hub, &source, &target, &deployed.onboard_arn, &input, &report).await?;
    lap(&mut seconds, "execution");
    seconds.extend(timing(&run.execution, &cloud));

    let mut document = json!({
        "status": run.execution.status.as_str(),
        "executionArn": run.execution.arn,
        "output": run.execution.output,
        "error": run.execution.error,
        "cause": run.execution.cause,
        "workspaceArn": workspace,
        "plan": plan,
        "prometheus": prometheus,
    });
    let samples = match &run.execution.output {
        Some(output) => {
            let arn = |name: &str| output[name].as_str().unwrap_or_default().to_owned();
            document["scraperArn"] = json!(arn("scraperArn"));
            document["roles"] = json!({
                "source": document::role(&source, &arn("sourceRoleArn")).await?,
                "target": document::role(&target, &arn("targetRoleArn")).await?,
            });
            wait_for_samples(&cloud, &target, &workspace, &cluster).await?
        }
        None => Vec::new(),
    };
    lap(&mut seconds, "samples");
    seconds.insert("total".to_owned(), rounded(began.elapsed().as_secs_f64()));
    document["samples"] = json!(samples);
    document["calls"] = calls(&cloud)?;
    document["seconds"] = seconds.into();
    let succeeded = run.execution.status == ExecutionStatus::Succeeded && !samples.is_empty();
    run.samples.push(targets_now(
        &target,
        &input,
        run.execution.seconds / cloud.options.minute,
    )?);
    let file = page_file.unwrap_or_else(|| project.root.join("target/onboard.html"));
    fs::write(&file, page::page(&page_of(&run, &cloud, &document)?))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    document["page"] = json!(file);
    if !json_only {
        print_result(&document, &run.before, &samples);
        println!(
            "\nPage of the run (states, policies, calls, samples, output):\n{}",
            file.display()
        );
    }
    drop(cloud);
    Ok(Outcome { document, succeeded })
}

/// Plans the onboarding.
async fn plan(hub: &Account, machine: &str, input: &Value) -> Result<Plan> {
    let mut input = input.clone();
    input["mode"] = json!("PLAN");
    let arn = execution::start(hub, machine, &input).await?;
    let planned = execution::watch(hub, &arn, Duration::from_millis(100), async |_| Ok(())).await?;
    let output = planned
        .output
        .with_context(|| format!("the plan failed: {:?} {:?}", planned.error, planned.cause))?;
    Ok(serde_json::from_value(output)?)
}

/// An execution, the trust policies before the patch, and the targets in the workspace over time.
struct Run {
    execution: Execution,
    before: [Option<Value>; 2],
    samples: Vec<Point>,
}

/// Starts the execution and watches it to its end.
async fn run_execution(
    cloud: &Cloud,
    hub: &Account,
    source: &Account,
    target: &Account,
    machine: &str,
    input: &Value,
    report: &Report,
) -> Result<Run> {
    let arn = execution::start(hub, machine, input).await?;
    let began = Instant::now();
    let activity = report.start("Check request");
    let interval = Duration::from_millis(200).min(cloud.minutes(0.2));
    let mut before = [None, None];
    let mut states = States::default();
    let mut samples = Vec::new();
    let execution = execution::watch(hub, &arn, interval, async |now| {
        let minutes = began.elapsed().as_secs_f64() / cloud.options.minute;
        samples.push(targets_now(target, input, minutes)?);
        states.update(now, cloud.options.minute, &activity, "");
        let waiting = now.states.iter().any(|state| state.name == "Wait for the scraper");
        let patched = now.states.iter().any(|state| state.name == "Patch trust policies");
        if waiting && !patched && before[0].is_none() {
            let completed = now
                .states
                .iter()
                .find(|s| s.name == "Check request")
                .and_then(|s| s.output.as_ref());
            let arn = |name: &str| completed.and_then(|output| output[name].as_str()).unwrap_or_default();
            before = [
                document::trust(source, arn("sourceRoleArn")).await?,
                document::trust(target, arn("targetRoleArn")).await?,
            ];
        }
        Ok(())
    })
    .await?;
    let minutes = execution.seconds / cloud.options.minute;
    activity.finish_with(&format!("{}  {}", clock(minutes), execution.status));
    Ok(Run {
        execution,
        before,
        samples,
    })
}

/// Queries the targets of the cluster in the workspace.
fn targets_now(target: &Account, input: &Value, minutes: f64) -> Result<Point> {
    let text = |name: &str| input[name].as_str().unwrap_or_default();
    let id = text("workspaceArn").rsplit('/').next().unwrap_or_default();
    let series = target.query(id, &format!("up{{clusterArn=\"{}\"}}", text("clusterArn")))?;
    let up = series.iter().filter(|sample| sample["value"][1] == "1").count();
    Ok(Point {
        minutes,
        targets: series.len() as f64,
        up: up as f64,
    })
}

/// The page of the run: the execution, the roles, all calls to AWS, and the targets over time.
fn page_of(run: &Run, cloud: &Cloud, document: &Value) -> Result<page::Run> {
    let mut page = page::Run::of(&run.execution, cloud.options.minute);
    let roles = ["source", "target"].map(|side| &document["roles"][side]);
    let trusts = roles.into_iter().zip(&run.before).map(|(role, before)| {
        Some(page::Trust {
            role: role["arn"].as_str()?.to_owned(),
            before: before.clone(),
            after: Some(role["trustPolicy"].clone()),
            note: None,
        })
    });
    let trusts: Option<_> = trusts.collect();
    page.trusts = trusts.ok_or_else(|| "the execution failed, and its roles were rolled back".to_owned());
    let by_step = all_calls(cloud)?
        .into_iter()
        .map(|((step, account, action), count)| page::Calls {
            step,
            account,
            action,
            count,
        });
    page.calls = Ok(by_step.collect());
    page.samples = Ok(run.samples.clone());
    Ok(page)
}

/// The parts of the wall time, in real seconds.
///
/// Activation is the time until the scraper is ACTIVE, from the end of `Create scraper`. The poll lag is the time until
/// the state machine read this status, at most one poll interval. The rest is the overhead of the product.
fn timing(execution: &Execution, cloud: &Cloud) -> serde_json::Map<String, Value> {
    let activation = cloud.minutes(cloud.options.activation_minutes).as_secs_f64();
    let created = last(execution, "Create scraper").and_then(|state| state.left);
    let polled = last(execution, "Check scraper").map(|state| state.at);
    let mut times = vec![("wall", execution.seconds)];
    if let (Some(created), Some(polled)) = (created, polled) {
        let interval = cloud.minutes(POLL_SECONDS / 60.0).as_secs_f64();
        let lag = (polled - created - activation).clamp(0.0, interval);
        times.extend([
            ("activation", activation),
            ("pollLag", lag),
            ("overhead", execution.seconds - activation - lag),
        ]);
    }
    times
        .into_iter()
        .map(|(name, time)| (name.to_owned(), rounded(time)))
        .collect()
}

fn last<'a>(execution: &'a Execution, name: &str) -> Option<&'a Entered> {
    execution.states.iter().rfind(|state| state.name == name)
}

fn rounded(seconds: f64) -> Value {
    json!((seconds * 1000.0).round() / 1000.0)
}

/// Queries the workspace for `up` of this cluster until it has samples, for at most five minutes by the cloud's clock
/// (and at least two real minutes). Returns an empty list after that time.
///
/// # Errors
/// If a query fails.
pub async fn wait_for_samples(cloud: &Cloud, target: &Account, workspace: &str, cluster: &str) -> Result<Vec<Value>> {
    let id = workspace.rsplit('/').next().unwrap_or_default();
    let query = format!("up{{clusterArn=\"{cluster}\"}}");
    let timeout = cloud.minutes(5.0).max(Duration::from_secs(120));
    let began = Instant::now();
    loop {
        let samples = target.query(id, &query)?;
        if !samples.is_empty() || began.elapsed() > timeout {
            return Ok(samples);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The number of AWS calls of each step, by action.
fn calls(cloud: &Cloud) -> Result<Value> {
    let mut counts = serde_json::Map::new();
    for ((step, _, action), count) in all_calls(cloud)? {
        let actions = counts.entry(step).or_insert_with(|| json!({}));
        actions[&action] = json!(actions[&action].as_u64().unwrap_or(0) + count as u64);
    }
    Ok(counts.into())
}

/// The number of AWS calls of each step, by account and action. The step follows from the session name.
fn all_calls(cloud: &Cloud) -> Result<BTreeMap<(String, String, String), usize>> {
    let log = cloud.look("calls")?;
    let mut counts = BTreeMap::new();
    for call in log["calls"]
        .as_array()
        .context("the request log of the cloud has no field calls")?
    {
        // In the hub the session name is the name of the function, in other accounts the name of the step.
        let session = call["principal"]
            .as_str()
            .and_then(|principal| principal.rsplit_once("/ampxa-"));
        let (Some((_, step)), Some(action)) = (session, call["action"].as_str()) else {
            continue;
        };
        let account = call["account"].as_str().unwrap_or_default().to_owned();
        *counts.entry((step_of(step), account, action.to_owned())).or_default() += 1;
    }
    Ok(counts)
}

/// The step of a session name: `check-cluster` for `check-cluster` and for the function `CheckCluster-1A2B3C`.
fn step_of(session: &str) -> String {
    if session.starts_with(|c: char| c.is_ascii_lowercase()) {
        return session.to_owned();
    }
    let words = session.split('-').next().unwrap_or_default().chars();
    let kebab = words.flat_map(|c| {
        c.is_ascii_uppercase()
            .then_some('-')
            .into_iter()
            .chain([c.to_ascii_lowercase()])
    });
    kebab.skip(1).collect()
}

fn print_result(document: &Value, before: &[Option<Value>; 2], samples: &[Value]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if document["status"] != "SUCCEEDED" {
        println!("\n{}: {}\n", text(&document["error"]), text(&document["cause"]));
        return;
    }
    for (side, before) in ["source", "target"].into_iter().zip(before) {
        let role = &document["roles"][side];
        let pretty = |value: &Value| format!("{value:#}\n");
        let before = before.as_ref().map(pretty).unwrap_or_default();
        println!(
            "\nTrust policy of {}, before (-) and after (+) the patch:",
            text(&role["arn"])
        );
        let change = change(&before, &pretty(&role["trustPolicy"]));
        let changed = change
            .lines()
            .filter(|line| line.starts_with("  -") || line.starts_with("  +"));
        println!("{}", changed.collect::<Vec<_>>().join("\n"));
    }
    println!("\nSamples of the cluster in {}:", text(&document["workspaceArn"]));
    for sample in samples {
        let metric = &sample["metric"];
        let labels = metric
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != "__name__");
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        println!("  up{{{}}} {}", labels.join(", "), text(&sample["value"][1]));
    }
    if samples.is_empty() {
        println!("  none. The scraper is ACTIVE, but the workspace receives no samples.");
    }
    let seconds = &document["seconds"];
    println!(
        "\nThe execution took {} s: {} s activation of the scraper (20 minutes by the cloud's clock), {} s lag of the \
         last poll, {} s overhead.",
        seconds["wall"], seconds["activation"], seconds["pollLag"], seconds["overhead"]
    );
}
