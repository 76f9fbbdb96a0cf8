//! Clusters that come and go, and what follows with no other action.

use super::{
    case::Seen,
    examples,
    ground::{Ground, Machine, SOURCE},
};
use crate::{REGION, demo::Cluster};
use anyhow::{Result, ensure};

/// Making a cluster ends with its samples in the workspace, deleting it with nothing left.
pub async fn born_and_deleted(ground: &Ground) -> Result<Seen> {
    ground.clear_routes()?;
    let source = ground.source(SOURCE, REGION);
    let cluster = Cluster::named("born").make(&source).await?;
    let series = ground.samples(&ground.workspace, &cluster).await?;
    source.eks().delete_cluster().name("born").send().await?;
    ground.started(Machine::Offboard, "delete-born-").await?.succeeded()?;
    let left = ground.left_of(&cluster, &ground.workspace)?;
    ensure!(left.is_empty(), "left after the cluster was deleted: {left:?}");
    Ok(format!("{series} series, then nothing").into())
}

/// CloudTrail may repeat itself.
pub async fn three_times(ground: &Ground) -> Result<Seen> {
    ground.clear_routes()?;
    let cluster = Cluster::named("thrice").make(&ground.source(SOURCE, REGION)).await?;
    ground.samples(&ground.workspace, &cluster).await?;
    let id = format!("told-{}", ground.number());
    let event = examples::create_event("thrice", &id)?;
    let before = ground.executions(Machine::Onboard).await?;
    ground.put(SOURCE, REGION, &event)?;
    ground.put(SOURCE, REGION, &event)?;
    let run = ground.started(Machine::Onboard, &id).await?.succeeded()?;
    // And once more when that has ended: a name is remembered.
    ground
        .starts_nothing(async || ground.put(SOURCE, REGION, &event))
        .await?;
    let after = ground.executions(Machine::Onboard).await?;
    let more: Vec<_> = after.difference(&before).collect();
    ensure!(more == [&run.arn], "three deliveries started {more:?}");
    let lost = ground.undelivered().await?;
    ensure!(lost == 0, "{lost} events lie in the dead-letter queues");
    Ok("one execution".to_owned().into())
}
