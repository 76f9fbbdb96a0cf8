//! The routing table: each cluster is created in an account and goes to the workspace that the table gives.

use super::fixture::{FLEET, Machine, REGIONS, alone, unit_of};
use anyhow::{Context, Result, bail, ensure};
use driver::demo::Cluster;
use serde_json::json;

/// The expected result of routing a cluster.
enum Goes<'a> {
    To(&'a str),
    Nowhere,
    Failed,
}

/// A cluster and its expected route.
struct Row<'a> {
    account: &'static str,
    region: &'static str,
    name: &'static str,
    tags: Vec<(&'static str, &'a str)>,
    goes: Goes<'a>,
}

/// Every kind of rule, both kinds of tags, and clusters that no rule matches.
#[tokio::test]
async fn each_cluster_goes_to_the_workspace_that_the_table_gives() -> Result<()> {
    let wired = alone().await?;
    let [here, there] = REGIONS;
    let payments = wired.workspace_in(here).await?;
    let production = wired.workspace_in(here).await?;
    let abroad = wired.workspace_in(there).await?;
    let chosen = wired.workspace_in(here).await?;
    let closed = wired.workspace_in(here).await?;
    let table = json!({
        "rules": [
            { "match": { "clusterNames": ["legacy-*"] }, "ignore": "being retired" },
            {
                "match": { "accounts": [FLEET[1]], "regions": [here], "tags": { "team": "pay*" } },
                "workspaceArn": payments,
                "externalLabels": { "team": "payments" },
            },
            { "match": { "organizationalUnits": [unit_of(FLEET[0])] }, "workspaceArn": production },
            { "match": { "regions": [there] }, "workspaceArn": abroad },
        ],
        "workspaces": [chosen],
    });
    wired.set_routes(&table.to_string())?;
    let id = |workspace: &str| workspace.rsplit('/').next().unwrap_or_default().to_owned();
    let (chosen_id, closed_id) = (id(&chosen), id(&closed));
    let row = |account, region, name, tags, goes| Row {
        account,
        region,
        name,
        tags,
        goes,
    };
    let rows = [
        row(
            FLEET[1],
            here,
            "route-tag",
            vec![("team", "payments")],
            Goes::To(&payments),
        ),
        row(
            FLEET[1],
            here,
            "route-other-tag",
            vec![("team", "search")],
            Goes::To(&wired.workspace),
        ),
        row(FLEET[0], here, "route-unit", vec![], Goes::To(&production)),
        row(FLEET[2], there, "route-region", vec![], Goes::To(&abroad)),
        row(FLEET[0], there, "route-abroad", vec![], Goes::To(&abroad)),
        row(FLEET[0], here, "legacy-route", vec![], Goes::Nowhere),
        row(
            FLEET[2],
            here,
            "route-out",
            vec![("ampxa:onboard", "no")],
            Goes::Nowhere,
        ),
        row(
            FLEET[2],
            here,
            "route-chosen",
            vec![("ampxa:workspace", &chosen_id)],
            Goes::To(&chosen),
        ),
        row(
            FLEET[2],
            here,
            "route-closed",
            vec![("ampxa:workspace", &closed_id)],
            Goes::Failed,
        ),
    ];
    for row in &rows {
        let tagged = |cluster: Cluster, (key, value): &(&str, &str)| cluster.tag(key, value);
        let cluster = row.tags.iter().fold(Cluster::named(row.name), tagged);
        cluster.make(&wired.account(row.account, row.region)).await?;
    }
    for row in &rows {
        let Goes::To(workspace) = row.goes else { continue };
        let named = format!("create-{}-", row.name);
        let run = wired.started(Machine::Onboard, &named).await?.succeeded()?;
        let went = run.input["workspaceArn"].as_str().context("no workspace")?;
        ensure!(went == workspace, "{} went to {went}, not to {workspace}", row.name);
        if workspace == payments {
            let labels = &run.input["externalLabels"];
            ensure!(labels["team"] == "payments", "the input is {}", run.input);
        }
    }
    wired.take_undelivered(1).await.context("the event of route-closed")?;
    for row in rows.iter().filter(|row| !matches!(row.goes, Goes::To(_))) {
        let all = wired.executions(Machine::Onboard).await?;
        if let Some(run) = all.iter().find(|arn| arn.contains(&format!("create-{}-", row.name))) {
            bail!("{} started {run}", row.name);
        }
    }
    Ok(())
}
