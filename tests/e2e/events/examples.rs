//! The example events, each as AWS sends it except for the names, which differ between tests.

use super::fixture::{EVENTS_REGION, Ended, MANAGEMENT, Machine, SOURCE, Wired, shared};
use anyhow::{Context, Result, ensure};
use driver::{REGION, demo::Cluster};
use serde_json::{Value, json};

const CREATE: &str = include_str!("../../golden/events/eks-CreateCluster.json");
const CREATE_WITH_CLUSTER_NAME: &str = include_str!("../../golden/events/eks-CreateCluster-clusterName.json");
const CREATE_FAILED: &str = include_str!("../../golden/events/eks-CreateCluster-failed.json");
const DELETE: &str = include_str!("../../golden/events/eks-DeleteCluster.json");
const CONTROL_TOWER: &str = include_str!("../../golden/events/controltower-CreateManagedAccount.json");
const ORGANIZATIONS: &str = include_str!("../../golden/events/organizations-CreateAccountResult.json");
const ORGANIZATIONS_FAILED: &str = include_str!("../../golden/events/organizations-CreateAccountResult-failed.json");

/// The name of the cluster in the examples.
const CLUSTER: &str = "payments-prod";
/// The management account of the examples; its first digit puts it outside the local cloud's organization.
const EXAMPLE_MANAGEMENT: &str = "999988887777";

/// An example with another cluster and another event id.
fn about(example: &str, cluster: &str, id: &str) -> Result<Value> {
    let text = example
        .replace(CLUSTER, cluster)
        .replace(EXAMPLE_MANAGEMENT, MANAGEMENT);
    let mut event: Value = serde_json::from_str(&text)?;
    event["detail"]["eventID"] = json!(id);
    Ok(event)
}

/// A cluster was created.
pub fn create_event(cluster: &str, id: &str) -> Result<Value> {
    about(CREATE, cluster, id)
}

/// The creation of a cluster failed.
pub fn failed_event(cluster: &str, id: &str) -> Result<Value> {
    about(CREATE_FAILED, cluster, id)
}

/// A cluster was deleted.
pub fn delete_event(cluster: &str, id: &str) -> Result<Value> {
    about(DELETE, cluster, id)
}

/// Creates a cluster and waits until it is connected, because the cloud sends the event of its creation as well.
async fn connected(wired: &Wired, name: &str) -> Result<String> {
    let cluster = Cluster::named(name).make(&wired.account(SOURCE, REGION)).await?;
    wired.samples(&wired.workspace, &cluster).await?;
    Ok(cluster)
}

async fn onboards(example: &str, name: &str) -> Result<()> {
    let wired = shared().await;
    let cluster = connected(&wired, name).await?;
    let id = format!("example-{name}-{}", wired.number());
    wired.put(SOURCE, REGION, &about(example, name, &id)?)?;
    let run = wired.started(Machine::Onboard, &id).await?.succeeded()?;
    ensure!(
        run.input["clusterArn"] == cluster.as_str(),
        "the input is {}",
        run.input
    );
    Ok(())
}

#[tokio::test]
async fn a_create_cluster_event_onboards_its_cluster() -> Result<()> {
    onboards(CREATE, "payments-1").await
}

#[tokio::test]
async fn a_create_cluster_event_with_the_field_cluster_name_onboards_its_cluster() -> Result<()> {
    onboards(CREATE_WITH_CLUSTER_NAME, "payments-2").await
}

/// The event of a deletion arrives when a cluster of the same name exists again.
#[tokio::test]
async fn a_late_delete_cluster_event_disconnects_no_cluster_that_exists() -> Result<()> {
    let wired = shared().await;
    let cluster = connected(&wired, "payments-4").await?;
    let onboarded = wired.started(Machine::Onboard, "create-payments-4-").await?;
    onboarded.succeeded()?;
    let before = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(before.len() == 3, "the pair has {before:?}");
    let id = format!("late-{}", wired.number());
    wired.put(SOURCE, REGION, &delete_event("payments-4", &id)?)?;
    let run = wired.started(Machine::Offboard, &id).await?.succeeded()?;
    ensure!(
        run.input["clusterArn"] == cluster.as_str(),
        "the input is {}",
        run.input
    );
    let reason = run.output["reason"].as_str().unwrap_or_default();
    ensure!(
        run.output["outcome"] == "SKIPPED" && reason.contains(&cluster) && reason.contains("ACTIVE"),
        "{}",
        run.output
    );
    ensure!(run.output["removed"] == json!([]), "{}", run.output);
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left == before, "left after a late event: {left:?}");
    // A request of a person does not depend on the cluster.
    let request = json!({ "clusterArn": cluster });
    let run = wired.run(Machine::Offboard, &request).await?.succeeded()?;
    ensure!(run.output["outcome"] == "OFFBOARDED", "{}", run.output);
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left.is_empty(), "left after a request: {left:?}");
    Ok(())
}

async fn reconciliations(example: &str, name: &str) -> Result<()> {
    let wired = shared().await;
    let id = format!("example-{name}-{}", wired.number());
    wired.put(MANAGEMENT, EVENTS_REGION, &about(example, CLUSTER, &id)?)?;
    let run = wired.started(Machine::Reconcile, &id).await?.succeeded()?;
    ensure!(run.input["accounts"] == json!([SOURCE]), "the input is {}", run.input);
    counts(&run)?;
    Ok(())
}

/// The counts in the output of a reconciliation.
pub fn counts(run: &Ended) -> Result<&Value> {
    let counts = run.output.get("counts");
    counts.with_context(|| format!("the reconciliation's output has no counts: {}", run.output))
}

#[tokio::test]
async fn an_account_that_control_tower_creates_is_reconciled() -> Result<()> {
    reconciliations(CONTROL_TOWER, "controltower").await
}

#[tokio::test]
async fn an_account_that_organizations_creates_is_reconciled() -> Result<()> {
    reconciliations(ORGANIZATIONS, "organizations").await
}

#[tokio::test]
async fn an_account_that_organizations_failed_to_create_starts_nothing() -> Result<()> {
    let wired = shared().await;
    let id = format!("example-failed-{}", wired.number());
    let event = about(ORGANIZATIONS_FAILED, CLUSTER, &id)?;
    wired
        .starts_nothing(&id, async || wired.put(MANAGEMENT, EVENTS_REGION, &event))
        .await
}
