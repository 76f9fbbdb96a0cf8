//! The routing table, played as a table: each cluster is made in an account, and goes where it says.

use super::{
    case::Seen,
    ground::{FLEET, Ground, Machine, REGIONS, unit_of},
};
use crate::demo::Cluster;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

/// What must become of a cluster.
enum Goes<'a> {
    To(&'a str),
    Nowhere,
    Refused,
}

/// A cluster, and where it goes.
struct Row<'a> {
    account: &'static str,
    region: &'static str,
    name: &'static str,
    tags: Vec<(&'static str, &'a str)>,
    goes: Goes<'a>,
}

/// Every kind of rule, both kinds of tags, and what no rule is for.
pub async fn table(ground: &Ground) -> Result<Seen> {
    let [here, there] = REGIONS;
    let payments = ground.workspace_in(here).await?;
    let production = ground.workspace_in(here).await?;
    let abroad = ground.workspace_in(there).await?;
    let chosen = ground.workspace_in(here).await?;
    let closed = ground.workspace_in(here).await?;
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
    ground.set_routes(&table.to_string())?;
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
            Goes::To(&ground.workspace),
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
            Goes::Refused,
        ),
    ];
    for row in &rows {
        let tagged = |cluster: Cluster, (key, value): &(&str, &str)| cluster.tag(key, value);
        let cluster = row.tags.iter().fold(Cluster::named(row.name), tagged);
        cluster.make(&ground.source(row.account, row.region)).await?;
    }
    let mut lines = Vec::new();
    for row in &rows {
        let goes = match row.goes {
            Goes::To(workspace) => {
                let run = ground
                    .started(Machine::Onboard, &format!("create-{}-", row.name))
                    .await?
                    .succeeded()?;
                let went = run.input["workspaceArn"].as_str().context("no workspace")?;
                ensure!(went == workspace, "{} went to {went}, not to {workspace}", row.name);
                if workspace == payments {
                    ensure!(
                        run.input["externalLabels"]["team"] == "payments",
                        "options: {}",
                        run.input
                    );
                }
                id(went)
            }
            Goes::Nowhere => "ignored".to_owned(),
            Goes::Refused => "refused".to_owned(),
        };
        let tags: Vec<String> = row.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(format!(
            "{} {:<10} {:<18} {:<58} {goes}",
            row.account,
            row.region,
            row.name,
            tags.join(" ")
        ));
    }
    ground.take_undelivered(1).await.context("the one of route-closed")?;
    for row in rows.iter().filter(|row| !matches!(row.goes, Goes::To(_))) {
        let all = ground.executions(Machine::Onboard).await?;
        if let Some(run) = all.iter().find(|arn| arn.contains(&format!("create-{}-", row.name))) {
            bail!("{} started {run}", row.name);
        }
    }
    ground.clear_routes()?;
    Ok(Seen {
        words: format!("{} clusters", rows.len()),
        table: lines,
    })
}
