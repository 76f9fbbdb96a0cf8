//! The logs of AMP's collector: pairs without samples lead to a hint that quotes the collector's own line and names the fix.

use super::fixture::{Exclusive, FLEET, Machine, exclusive};
use anyhow::{Context, Result, ensure};
use driver::{REGION, TARGET, demo};
use serde_json::{Value, json};

/// Creates a cluster and a workspace, and returns the request that connects them.
async fn request(wired: &Exclusive, cluster: &demo::Cluster) -> Result<Value> {
    wired.ignore_events()?;
    let source = wired.account(FLEET[2], REGION);
    let cluster = cluster.make(&source).await?;
    let target = wired.account(TARGET, REGION);
    let workspace = demo::workspace_that_accepts(&target, "logged", Some(FLEET[2])).await?;
    Ok(json!({ "clusterArn": cluster, "workspaceArn": workspace }))
}

fn cluster(name: &str) -> demo::Cluster {
    demo::Cluster::named(name).tag("local:activation-minutes", "0")
}

/// Asserts that a hint quotes a line of the collector and names the fix.
fn assert_quoted(ingestion: &Value, component: &str, line: &str, fix: &str) -> Result<()> {
    let hints = ingestion["hints"].as_array().context("no hints")?;
    let quoted = hints.iter().filter_map(Value::as_str).find(|hint| {
        hint.starts_with(&format!("The collector logs {component} at 20")) && hint.contains(line) && hint.contains(fix)
    });
    ensure!(quoted.is_some(), "{ingestion:#}");
    Ok(())
}

#[tokio::test]
async fn targets_that_are_down_or_behind_a_closed_security_group_are_quoted() -> Result<()> {
    let wired = exclusive().await?;
    for (targets, line, fix) in [
        (
            "down",
            "connect: connection refused",
            "start the target, or correct the port",
        ),
        (
            "unreachable",
            "context deadline exceeded",
            "must allow inbound traffic from the scraper's security groups",
        ),
    ] {
        let cluster = cluster(&format!("targets-{targets}")).tag("local:targets", targets);
        let request = request(&wired, &cluster).await?;
        let output = wired.run(Machine::Onboard, &request).await?.succeeded()?.output;
        ensure!(output["ingestion"]["result"] == "TARGETS_DOWN", "{output:#}");
        assert_quoted(&output["ingestion"], "COLLECTOR", line, fix)?;
        wired.offboard(&request).await?;
    }
    Ok(())
}

#[tokio::test]
async fn trust_policies_that_are_not_patched_are_quoted() -> Result<()> {
    let wired = exclusive().await?;
    let request = request(&wired, &cluster("logged-unpatched")).await?;
    let machine =
        crate::ingestion::machine_without_the_patch(&wired.hub(), wired.arn(Machine::Onboard), "logged").await;
    let run = ampxa_cli::execution::run(&wired.hub(), &machine, &request).await?;
    let output = run.output.with_context(|| format!("{:?}", run.cause))?;
    ensure!(output["ingestion"]["result"] == "NONE", "{output:#}");
    let line = "Failed to export to the target workspace";
    assert_quoted(
        &output["ingestion"],
        "EXPORTER",
        line,
        "Onboard the pair again, which patches both trust policies",
    )
}

#[tokio::test]
async fn an_access_entry_that_was_removed_is_named_and_quoted_and_the_logs_can_be_switched_off() -> Result<()> {
    let wired = exclusive().await?;
    let request = request(&wired, &cluster("entryless")).await?;
    let first = wired.run(Machine::Onboard, &request).await?.succeeded()?.output;
    wired
        .samples(
            request["workspaceArn"].as_str().unwrap_or_default(),
            first["clusterArn"].as_str().unwrap_or_default(),
        )
        .await?;
    let source = wired.account(FLEET[2], REGION);
    let amp = source.amp();
    let id = first["scraperArn"].as_str().and_then(|arn| arn.rsplit('/').next());
    let id = id.context("no scraper")?;
    let scraper = amp.describe_scraper().scraper_id(id).send().await?.scraper;
    let role = scraper.context("no scraper")?.role_arn;
    let delete = source.eks().delete_access_entry().cluster_name("entryless");
    delete.principal_arn(role).send().await?;
    // The workspace shows the last samples for five minutes.
    let mut output = Value::Null;
    for _ in 0..60 {
        output = wired.run(Machine::Onboard, &request).await?.succeeded()?.output;
        if output["ingestion"]["result"] == "NONE" {
            break;
        }
    }
    let fix = "offboard the pair, then onboard it again";
    let line = "Verify your scraper source permissions are valid";
    assert_quoted(&output["ingestion"], "SERVICE_DISCOVERY", line, fix)?;
    let first = output["ingestion"]["hints"][0].as_str().context("no hint")?;
    ensure!(first.contains("has no access entry") && first.contains(fix), "{first}");

    let described = amp
        .describe_scraper_logging_configuration()
        .scraper_id(id)
        .send()
        .await?;
    ensure!(described.scraper_components().len() == 3, "{described:?}");
    let mut never = request.clone();
    never["collectorLogs"] = json!("NEVER");
    let output = wired.run(Machine::Onboard, &never).await?.succeeded()?.output;
    ensure!(output["warnings"] == json!([]), "{output:#}");
    let described = amp
        .describe_scraper()
        .scraper_id(id)
        .send()
        .await?
        .scraper
        .context("no scraper")?;
    let tags = described.tags.unwrap_or_default();
    ensure!(!tags.contains_key("ampxa:collector-logs-since"), "{tags:?}");
    wired.offboard(&request).await
}
