//! Clusters that are created and deleted: their events alone start the executions.

use super::{
    examples,
    fixture::{Machine, SOURCE, shared},
};
use anyhow::{Result, ensure};
use driver::{REGION, demo::Cluster};

#[tokio::test]
async fn a_new_cluster_is_onboarded_and_a_deleted_one_offboarded() -> Result<()> {
    let wired = shared().await;
    let source = wired.account(SOURCE, REGION);
    let cluster = Cluster::named("created").make(&source).await?;
    wired.samples(&wired.workspace, &cluster).await?;
    source.eks().delete_cluster().name("created").send().await?;
    let run = wired.started(Machine::Offboard, "delete-created-").await?.succeeded()?;
    ensure!(run.output["outcome"] == "OFFBOARDED", "{}", run.output);
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left.is_empty(), "left after the cluster was deleted: {left:?}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_delivered_three_times_starts_one_execution() -> Result<()> {
    let wired = shared().await;
    let cluster = Cluster::named("repeated").make(&wired.account(SOURCE, REGION)).await?;
    wired.samples(&wired.workspace, &cluster).await?;
    let id = format!("repeated-event-{}", wired.number());
    let event = examples::create_event("repeated", &id)?;
    wired.put(SOURCE, REGION, &event)?;
    wired.put(SOURCE, REGION, &event)?;
    let run = wired.started(Machine::Onboard, &id).await?.succeeded()?;
    // Step Functions refuses the name of an execution that has ended, too.
    wired
        .starts_nothing(&id, async || wired.put(SOURCE, REGION, &event))
        .await?;
    let all = wired.executions(Machine::Onboard).await?;
    let started: Vec<_> = all.iter().filter(|arn| arn.contains(&id)).collect();
    ensure!(started == [&run.arn], "three deliveries started {started:?}");
    let undelivered = wired.undelivered().await?;
    ensure!(undelivered == 0, "{undelivered} events are in the dead-letter queue");
    Ok(())
}
