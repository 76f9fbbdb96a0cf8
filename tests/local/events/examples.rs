//! The examples of events, each as AWS sends it but for names that a case must have for itself.

use super::{
    case::Seen,
    ground::{Ended, Ground, MANAGEMENT, Machine, SOURCE, TOLD_IN},
};
use crate::{REGION, demo::Cluster};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const CREATE: &str = include_str!("../../golden/events/eks-CreateCluster.json");
const CREATE_WITH_CLUSTER_NAME: &str = include_str!("../../golden/events/eks-CreateCluster-clusterName.json");
const CREATE_FAILED: &str = include_str!("../../golden/events/eks-CreateCluster-failed.json");
const DELETE: &str = include_str!("../../golden/events/eks-DeleteCluster.json");
const CONTROL_TOWER: &str = include_str!("../../golden/events/controltower-CreateManagedAccount.json");
const ORGANIZATIONS: &str = include_str!("../../golden/events/organizations-CreateAccountResult.json");
const ORGANIZATIONS_FAILED: &str = include_str!("../../golden/events/organizations-CreateAccountResult-failed.json");

/// What the cluster of the examples is called.
const CLUSTER: &str = "payments-prod";
/// The management account of the examples, which this cloud holds for a stranger's by its first digit.
const THEIR_MANAGEMENT: &str = "999988887777";

/// An example about another cluster and with another id.
fn about(example: &str, cluster: &str, id: &str) -> Result<Value> {
    let text = example.replace(CLUSTER, cluster).replace(THEIR_MANAGEMENT, MANAGEMENT);
    let mut event: Value = serde_json::from_str(&text)?;
    event["detail"]["eventID"] = json!(id);
    Ok(event)
}

/// That a cluster was made.
pub fn create_event(cluster: &str, id: &str) -> Result<Value> {
    about(CREATE, cluster, id)
}

/// That making a cluster failed.
pub fn failed_event(cluster: &str, id: &str) -> Result<Value> {
    about(CREATE_FAILED, cluster, id)
}

/// That a cluster was deleted.
pub fn delete_event(cluster: &str, id: &str) -> Result<Value> {
    about(DELETE, cluster, id)
}

/// Makes a cluster of which the cloud tells too, and waits until it is connected.
async fn connected(ground: &Ground, name: &str) -> Result<String> {
    ground.clear_routes()?;
    let cluster = Cluster::named(name).make(&ground.source(SOURCE, REGION)).await?;
    ground.samples(&ground.workspace, &cluster).await?;
    Ok(cluster)
}

async fn onboards(ground: &Ground, example: &str, name: &str) -> Result<Seen> {
    let cluster = connected(ground, name).await?;
    let id = format!("example-{}", ground.number());
    ground.put(SOURCE, REGION, &about(example, name, &id)?)?;
    let run = ground.started(Machine::Onboard, &id).await?.succeeded()?;
    ensure!(run.input["clusterArn"] == cluster.as_str(), "it was for {}", run.input);
    Ok(format!("onboard: {}", super::ground::name_of(&run.arn)).into())
}

/// The name is in `name`.
pub async fn create(ground: &Ground) -> Result<Seen> {
    onboards(ground, CREATE, "payments-1").await
}

/// The name is in `clusterName`.
pub async fn create_with_cluster_name(ground: &Ground) -> Result<Seen> {
    onboards(ground, CREATE_WITH_CLUSTER_NAME, "payments-2").await
}

/// The call failed.
pub async fn create_failed(ground: &Ground) -> Result<Seen> {
    let id = format!("example-{}", ground.number());
    let event = about(CREATE_FAILED, "payments-3", &id)?;
    ground
        .starts_nothing(async || ground.put(SOURCE, REGION, &event))
        .await?;
    Ok("nothing started".to_owned().into())
}

/// A connected cluster is deleted.
pub async fn delete(ground: &Ground) -> Result<Seen> {
    let cluster = connected(ground, "payments-4").await?;
    let id = format!("example-{}", ground.number());
    ground.put(SOURCE, REGION, &delete_event("payments-4", &id)?)?;
    let run = ground.started(Machine::Offboard, &id).await?.succeeded()?;
    ensure!(run.input["clusterArn"] == cluster.as_str(), "it was for {}", run.input);
    let left = ground.left_of(&cluster, &ground.workspace)?;
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(format!("offboard: {}", super::ground::name_of(&run.arn)).into())
}

async fn sweeps(ground: &Ground, example: &str) -> Result<Seen> {
    let id = format!("example-{}", ground.number());
    let (account, region) = TOLD_IN;
    ground.put(account, region, &about(example, CLUSTER, &id)?)?;
    let run = ground.started(Machine::Sweep, &id).await?.succeeded()?;
    ensure!(run.input["accounts"] == json!([SOURCE]), "it was for {}", run.input);
    let counts = counts(&run)?;
    Ok(format!("sweep: {counts}").into())
}

/// The summary of a sweep.
pub fn counts(run: &Ended) -> Result<&Value> {
    let counts = run.output.get("counts");
    counts.with_context(|| format!("the sweep's output has no counts: {}", run.output))
}

/// Control Tower has made an account.
pub async fn control_tower(ground: &Ground) -> Result<Seen> {
    sweeps(ground, CONTROL_TOWER).await
}

/// Organizations has made an account.
pub async fn organizations(ground: &Ground) -> Result<Seen> {
    sweeps(ground, ORGANIZATIONS).await
}

/// Organizations could not make an account.
pub async fn organizations_failed(ground: &Ground) -> Result<Seen> {
    let id = format!("example-{}", ground.number());
    let event = about(ORGANIZATIONS_FAILED, CLUSTER, &id)?;
    let (account, region) = TOLD_IN;
    ground
        .starts_nothing(async || ground.put(account, region, &event))
        .await?;
    Ok("nothing started".to_owned().into())
}
