//! The routing table: each new cluster is connected to the workspace that the table determines.

use super::fixture::{FLEET, Machine, REGIONS, exclusive, unit_of};
use anyhow::{Context, Result, bail, ensure};
use driver::demo::Cluster;
use serde_json::json;

/// The expected result of routing a cluster.
enum Expected<'a> {
    Workspace(&'a str),
    NotOnboarded,
}

/// A cluster and its expected route.
struct Row<'a> {
    account: &'static str,
    region: &'static str,
    name: &'static str,
    tags: Vec<(&'static str, &'a str)>,
    expected: Expected<'a>,
}

/// Every kind of rule, both kinds of tags, and clusters that no rule matches.
#[tokio::test]
async fn each_cluster_is_connected_to_the_workspace_that_the_table_determines() -> Result<()> {
    let wired = exclusive().await?;
    let [first, second] = REGIONS;
    let payments = wired.workspace_in(first).await?;
    let production = wired.workspace_in(first).await?;
    let abroad = wired.workspace_in(second).await?;
    let chosen = wired.workspace_in(first).await?;
    let closed = wired.workspace_in(first).await?;
    let table = json!({
        "rules": [
            { "match": { "clusterNames": ["legacy-*"] }, "ignore": "being retired" },
            {
                "match": { "accounts": [FLEET[1]], "regions": [first], "tags": { "team": "pay*" } },
                "workspaceArn": payments,
                "externalLabels": { "team": "payments" },
            },
            { "match": { "organizationalUnits": [unit_of(FLEET[0])] }, "workspaceArn": production },
            { "match": { "regions": [second] }, "anyAccount": true, "workspaceArn": abroad },
        ],
        "workspaces": [{ "workspaceArn": chosen, "match": { "organizationalUnits": [unit_of(FLEET[2])] } }],
    });
    wired.set_routes(&table.to_string())?;
    let id = |workspace: &str| workspace.rsplit('/').next().unwrap_or_default().to_owned();
    let (chosen_id, closed_id, payments_id) = (id(&chosen), id(&closed), id(&payments));
    let row = |account, region, name, tags, expected| Row {
        account,
        region,
        name,
        tags,
        expected,
    };
    let rows = [
        row(
            FLEET[1],
            first,
            "route-tag",
            vec![("team", "payments")],
            Expected::Workspace(&payments),
        ),
        row(
            FLEET[1],
            first,
            "route-other-tag",
            vec![("team", "search")],
            Expected::Workspace(&wired.workspace),
        ),
        row(FLEET[0], first, "route-unit", vec![], Expected::Workspace(&production)),
        row(FLEET[2], second, "route-region", vec![], Expected::Workspace(&abroad)),
        row(FLEET[0], second, "route-abroad", vec![], Expected::Workspace(&abroad)),
        row(FLEET[0], first, "legacy-route", vec![], Expected::NotOnboarded),
        row(
            FLEET[2],
            first,
            "route-out",
            vec![("ampxa:onboard", "no")],
            Expected::NotOnboarded,
        ),
        row(
            FLEET[2],
            first,
            "route-chosen",
            vec![("ampxa:workspace", &chosen_id)],
            Expected::Workspace(&chosen),
        ),
        row(
            FLEET[2],
            first,
            "route-closed",
            vec![("ampxa:workspace", &closed_id)],
            Expected::NotOnboarded,
        ),
        // The Region and the tag match the rule of this workspace, and the account does not.
        row(
            FLEET[2],
            first,
            "route-foreign",
            vec![("team", "payments"), ("ampxa:workspace", &payments_id)],
            Expected::NotOnboarded,
        ),
    ];
    for row in &rows {
        let tagged = |cluster: Cluster, (key, value): &(&str, &str)| cluster.tag(key, value);
        let cluster = row.tags.iter().fold(Cluster::named(row.name), tagged);
        cluster.make(&wired.account(row.account, row.region)).await?;
    }
    for row in &rows {
        let Expected::Workspace(workspace) = row.expected else {
            continue;
        };
        let named = format!("create-{}-", row.name);
        let run = wired.started(Machine::Onboard, &named).await?.succeeded()?;
        let actual = run.input["workspaceArn"].as_str().context("no workspace")?;
        ensure!(
            actual == workspace,
            "{} was routed to {actual}, not to {workspace}",
            row.name
        );
        if workspace == payments {
            let labels = &run.input["externalLabels"];
            ensure!(labels["team"] == "payments", "the input is {}", run.input);
        }
    }
    // All earlier events have been handled when this ends, with their retries.
    wired.starts_nothing("no-such-name", async || Ok(())).await?;
    let undelivered = wired.undelivered().await?;
    ensure!(undelivered == 0, "{undelivered} events are in the dead-letter queue");
    for row in rows.iter().filter(|row| matches!(row.expected, Expected::NotOnboarded)) {
        let all = wired.executions(Machine::Onboard).await?;
        if let Some(run) = all.iter().find(|arn| arn.contains(&format!("create-{}-", row.name))) {
            bail!("{} started {run}", row.name);
        }
    }
    Ok(())
}
