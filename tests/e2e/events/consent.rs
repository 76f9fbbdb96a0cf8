//! Consent holds whoever chooses the workspace: the tag of a cluster, or the input of a reconciliation.

use super::fixture::{FLEET, Machine, Wired, exclusive};
use anyhow::{Context, Result, ensure};
use driver::{REGION, TARGET, demo};
use serde_json::{Value, json};

/// A workspace that accepts another account, and a routing table that opens it to the account of the fleet.
async fn open_but_not_accepting(wired: &Wired) -> Result<String> {
    let target = wired.account(TARGET, REGION);
    let workspace = demo::workspace_that_accepts(&target, "closed", Some("777777777777")).await?;
    let table = json!({ "rules": [{
        "match": { "accounts": [FLEET[2]], "clusterNames": ["none-has-this-name"] }, "workspaceArn": workspace,
    }] });
    wired.set_routes(&table.to_string())?;
    Ok(workspace)
}

#[tokio::test]
async fn a_cluster_cannot_choose_a_workspace_that_does_not_accept_its_account() -> Result<()> {
    let wired = exclusive().await?;
    let workspace = open_but_not_accepting(&wired).await?;
    let cluster = demo::Cluster::named("choosy").tag("ampxa:workspace", &workspace);
    let cluster = cluster.make(&wired.account(FLEET[2], REGION)).await?;
    let ended = wired.started(Machine::Onboard, "create-choosy-").await?;
    ensure!(ended.failure.starts_with("NotAccepted: "), "{ended:?}");
    ensure!(ended.failure.contains("aws amp tag-resource "), "{ended:?}");
    let left = wired.left_of(&cluster, &workspace)?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn a_reconciliation_cannot_choose_a_workspace_that_does_not_accept_the_account() -> Result<()> {
    let wired = exclusive().await?;
    let workspace = open_but_not_accepting(&wired).await?;
    let cluster = demo::Cluster::named("passive").tag("ampxa:onboard", "no");
    let account = wired.account(FLEET[2], REGION);
    let cluster = cluster.make(&account).await?;
    // The event of its creation was ignored. Without the tag, the reconciliation routes the cluster.
    let untag = account.eks().untag_resource().resource_arn(&cluster);
    untag.tag_keys("ampxa:onboard").send().await?;
    let input = json!({ "accounts": [FLEET[2]], "regions": [REGION], "workspace": workspace });
    let ended = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    let failed = ended.output["failed"].as_array().context("no list of failures")?;
    let of_cluster = |item: &&Value| item.to_string().contains(&cluster);
    let item = failed
        .iter()
        .find(of_cluster)
        .with_context(|| format!("{}", ended.output))?;
    ensure!(item["error"] == "NotAccepted", "{item}");
    let left = wired.left_of(&cluster, &workspace)?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
