//! `fleet`: measures what a plan and a reconciliation of many accounts cost for each cluster.

use crate::{
    HUB, ORGANIZATION, REGION, TARGET,
    cloud::{Cloud, Options},
    demo::{self, Cluster},
    deploy::{self, Wiring},
    project::Project,
};
use ampxa::{
    Error, patch,
    roles::{self, EnsureInput},
    scraper::{self, CreateInput},
    task::Task,
};
use ampxa_cli::{execution, terminal::Report};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

/// The real seconds of a minute of the cloud's clock. With fewer, all onboardings would start at the same time. The clock of a
/// large fleet is slower, because a task that takes longer than its timeout is repeated.
fn minute(clusters: usize) -> f64 {
    (clusters as f64 / 50.0).max(1.0)
}

/// The first account of a fleet.
const FIRST_ACCOUNT: u64 = 500_000_000_000;

/// What one execution cost.
#[derive(Debug)]
struct Cost {
    what: &'static str,
    seconds: f64,
    /// Calls of the functions to AWS.
    calls: f64,
    /// States that executions entered.
    states: f64,
    invocations: f64,
    /// The processor time of the functions.
    milliseconds: f64,
    report_bytes: f64,
    output: Value,
}

/// Measures fleets of these numbers of accounts, and prints a line for each execution. Only fleets of at most
/// `max_applied` clusters are connected by a reconciliation, because the local cloud makes each of the 80 calls of an
/// onboarding. The pairs of larger fleets are created here, and a reconciliation finds them unchanged.
///
/// # Errors
/// If an execution fails, or does not have one line per cluster in its report.
pub async fn run(accounts: &[usize], clusters: usize, max_applied: usize) -> Result<()> {
    println!(
        "{:>8}  {:>8}  {:21}  {:>7}  {:>8}  | for each cluster: {:>6}  {:>11}  {:>9}  {:>6}  {:>12}",
        "accounts",
        "clusters",
        "execution",
        "seconds",
        "output B",
        "states",
        "invocations",
        "CPU ms",
        "calls",
        "report bytes"
    );
    for number in accounts {
        measure(*number, clusters, number * clusters <= max_applied).await?;
    }
    Ok(())
}

/// Prints what an execution cost.
fn print(accounts: usize, clusters: usize, cost: &Cost) {
    let per_cluster = |value: f64| value / clusters as f64;
    println!(
        "{accounts:>8}  {clusters:>8}  {:21}  {:>7.1}  {:>8}  | {:>24.1}  {:>11.1}  {:>9.1}  {:>6.1}  {:>12.0}",
        cost.what,
        cost.seconds,
        cost.output.to_string().len(),
        per_cluster(cost.states),
        per_cluster(cost.invocations),
        per_cluster(cost.milliseconds),
        per_cluster(cost.calls),
        per_cluster(cost.report_bytes),
    );
}

async fn measure(accounts: usize, clusters: usize, applies: bool) -> Result<()> {
    let report = Report::new();
    let project = Project::here()?;
    let python = project.python(&report)?;
    let activity = report.start(&format!(
        "Deploying ampxa into {accounts} accounts with {clusters} clusters each"
    ));
    let options = Options {
        minute: minute(accounts * clusters),
        ..Options::default()
    };
    let cloud = Cloud::start(&project, &python, options)?;
    let hub = deploy::Accounts {
        sources: Vec::new(),
        ..deploy::Accounts::default()
    };
    let machines = deploy::deploy_wired(&project, &python, &cloud, &hub, &Wiring::default()).await?;
    let ids: Vec<String> = (0..accounts as u64)
        .map(|number| (FIRST_ACCOUNT + number).to_string())
        .collect();
    let members: BTreeMap<&String, &str> = ids.iter().map(|id| (id, "r-abcd")).collect();
    cloud.tell(
        "organization",
        &json!({ "management": "444455556666", "administrators": [HUB], "root": "r-abcd", "units": {}, "accounts": members }),
    )?;
    let template = fs::read_to_string(project.root.join("infra/source-account.yaml"))?;
    for id in &ids {
        create(&cloud, id, &template, clusters, applies).await?;
    }
    let account = cloud.account(HUB, REGION);
    let workspace = demo::workspace(&cloud.account(TARGET, REGION), "fleet").await?;
    let rule = json!({ "match": {}, "anyAccount": true, "workspaceArn": workspace, "checkIngestion": "SKIP" });
    let table = json!({ "Name": "/ampxa/routes", "Type": "String", "Value": json!({ "rules": [rule] }).to_string() });
    account.json_api("ssm", "AmazonSSM.PutParameter", &table)?;
    activity.finish();
    let executions: &[(&str, &str)] = match applies {
        true => &[
            ("plan", "PLAN"),
            ("first reconciliation", "APPLY"),
            ("second reconciliation", "APPLY"),
        ],
        false => &[("plan", "PLAN"), ("second reconciliation", "APPLY")],
    };
    for (what, mode) in executions {
        if !applies && *mode == "APPLY" {
            let activity = report.start(&format!("Creating the pairs of {} clusters", accounts * clusters));
            connect(&cloud, &workspace, &ids, clusters).await?;
            activity.finish();
        }
        let activity = report.start(&format!("Running the {what} of {} clusters", accounts * clusters));
        let cost = one(
            &cloud,
            &machines.reconcile_arn,
            what,
            &json!({ "accounts": ids, "mode": mode }),
        )
        .await?;
        activity.finish();
        let counts = &cost.output["counts"];
        ensure!(
            cost.output["coverage"]["seen"] == accounts * clusters,
            "not every cluster was found: {counts}"
        );
        ensure!(
            counts["FAILED"].is_null() && counts["WOULD_FAIL"].is_null(),
            "clusters failed: {}",
            cost.output
        );
        print(accounts, accounts * clusters, &cost);
    }
    Ok(())
}

/// Creates the roles and the scrapers of all clusters, as an onboarding by a reconciliation leaves them.
async fn connect(cloud: &Cloud, workspace: &str, accounts: &[String], clusters: usize) -> Result<()> {
    let target = cloud.account(TARGET, REGION);
    for id in accounts {
        let source = cloud.account(id, REGION);
        let subnets: Vec<String> = demo::default_subnets(&source)?
            .into_iter()
            .map(|subnet| subnet.id)
            .collect();
        for number in 0..clusters {
            let mut input = json!({
                "request": {
                    "clusterArn": format!("arn:aws:eks:{REGION}:{id}:cluster/cluster-{number}"), "workspaceArn": workspace,
                },
                "execution": format!("arn:aws:states:{REGION}:{HUB}:execution:ampxa-onboard:reconcile-fleet"),
                "network": { "subnetIds": subnets, "securityGroupIds": [] }, "manualAccess": false,
            });
            let ensure = Task::<EnsureInput>::try_from(input.clone())?;
            visible(async || roles::ensure(&source.iam(), &roles::source(&ensure)).await).await?;
            visible(async || roles::ensure(&target.iam(), &roles::target(&ensure)).await).await?;
            let create = Task::<CreateInput>::try_from(input.clone())?;
            // A request that names no configuration reads no bucket.
            let bucket = source.bucket("none");
            let created = visible(async || scraper::create(&source.amp(), &bucket, &create).await).await?;
            input["scraperArn"] = json!(created.scraper_arn);
            let patched = Task::<EnsureInput>::try_from(input)?;
            visible(async || patch::patch(&source.iam(), &target.iam(), &patched).await).await?;
        }
    }
    Ok(())
}

/// Repeats a step until IAM and AMP show what was created before.
async fn visible<T>(step: impl AsyncFn() -> Result<T, Error>) -> Result<T> {
    for _ in 0..100 {
        match step().await {
            Err(Error::NotVisibleYet(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            result => return Ok(result?),
        }
    }
    Ok(step().await?)
}

/// Deploys the stack of a source account, and creates its clusters. Their scrapers are ACTIVE at once if no reconciliation
/// creates them.
async fn create(cloud: &Cloud, id: &str, template: &str, clusters: usize, applies: bool) -> Result<()> {
    let account = cloud.account(id, REGION);
    let parameters = [
        ("StackName", "ampxa-source"),
        ("TemplateBody", template),
        ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
        ("Parameters.member.1.ParameterKey", "HubAccountId"),
        ("Parameters.member.1.ParameterValue", HUB),
        ("Parameters.member.2.ParameterKey", "OrganizationId"),
        ("Parameters.member.2.ParameterValue", ORGANIZATION),
    ];
    account.cloudformation("CreateStack", &parameters)?;
    for number in 0..clusters {
        let mut cluster = Cluster::named(&format!("cluster-{number}"));
        if !applies {
            cluster = cluster.tag("local:activation-minutes", "0");
        }
        cluster.make(&account).await?;
    }
    Ok(())
}

async fn one(cloud: &Cloud, machine: &str, what: &'static str, input: &Value) -> Result<Cost> {
    let account = cloud.account(HUB, REGION);
    let since = cloud.look("calls?since=9999999999")?["next"]
        .as_u64()
        .context("no position")?;
    let usage = |moment: f64| cloud.look(&format!("usage/{HUB}/{REGION}?since={moment}"));
    let (before, start) = (usage(0.0)?, Instant::now());
    let arn = execution::start(&account, machine, input).await?;
    let ended = loop {
        let state = execution::look(&account, &arn).await?;
        if state.status.as_str() != "RUNNING" {
            break state;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let seconds = start.elapsed().as_secs_f64();
    let output = ended
        .output
        .with_context(|| format!("{what}: {:?} {:?}", ended.error, ended.cause))?;
    let log = cloud.look(&format!("calls?since={since}"))?;
    let calls = log["calls"].as_array().context("no calls")?.len();
    let after = usage(0.0)?;
    let used = |field: &str| after[field].as_f64().unwrap_or_default() - before[field].as_f64().unwrap_or_default();
    let location = output["report"].as_str().context("no report")?;
    let (bucket, key) = location.trim_start_matches("s3://").split_once('/').context("no key")?;
    let report = account.bucket(bucket).read(key).await?;
    Ok(Cost {
        what,
        seconds,
        calls: calls as f64,
        states: used("states"),
        invocations: used("invocations"),
        milliseconds: used("lambdaMilliseconds"),
        report_bytes: report.len() as f64,
        output,
    })
}
