//! What a cluster costs in a sweep, however many there are.

use super::{
    case::Seen,
    examples::counts,
    ground::{FLEET, Ground, Machine},
    sweep,
};
use crate::{HUB, REGION, demo::Cluster};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::SystemTime;

/// AMP's quota: so many scrapers in a Region of an account.
const PER_PLACE: usize = 10;
/// Fleets in Regions of their own, which tell of nothing: how many accounts, and in which Regions.
const FLEETS: [(usize, &[&str]); 3] = [
    (1, &["us-east-2"]),
    (2, &["ca-central-1", "sa-east-1"]),
    (3, &["eu-west-2", "eu-west-3", "eu-north-1", "ap-south-1"]),
];
/// The cost of a cluster may differ so much between fleets: a sweep itself costs something too, and a
/// run that finds IAM not ready asks again.
const EVEN: f64 = 1.3;
/// And the functions' time so much: the more run at once, the more processes begin.
const EVEN_TIME: f64 = 2.5;

/// The cost of one sweep, for each of its clusters.
struct Cost {
    clusters: usize,
    states: f64,
    calls: f64,
    /// Processor time of the functions: how long they take otherwise hangs on what else runs here.
    milliseconds: f64,
}

/// Ten, forty and a hundred and twenty clusters, each fleet swept twice.
pub async fn per_cluster(ground: &Ground) -> Result<Seen> {
    let (mut made, mut fine) = (Vec::new(), Vec::new());
    for (accounts, regions) in FLEETS {
        let (accounts, clusters) = (&FLEET[..accounts], accounts * regions.len() * PER_PLACE);
        sweep::route_by_region(ground, regions).await?;
        for account in accounts {
            for region in regions {
                for number in 0..PER_PLACE {
                    // How often a run asks whether its scraper is there hangs on how busy this machine is.
                    let cluster = Cluster::named(&format!("cost-{number}")).tag("local:activation-minutes", "0");
                    cluster.make(&ground.source(account, region)).await?;
                }
            }
        }
        let input = json!({ "accounts": accounts, "regions": regions });
        made.push(of_sweep(ground, &input, clusters, "ONBOARDED").await?);
        fine.push(of_sweep(ground, &input, clusters, "ALREADY_FINE").await?);
    }
    ground.clear_routes()?;
    let mut table = vec![format!(
        "{:<34}{:>9}{:>9}{:>9}{:>12}",
        "for each cluster", "clusters", "states", "calls", "Lambda ms"
    )];
    for (what, costs) in [("connected by the sweep", &made), ("found as it should be", &fine)] {
        for cost in costs {
            table.push(format!(
                "{what:<34}{:>9}{:>9.1}{:>9.1}{:>12.0}",
                cost.clusters, cost.states, cost.calls, cost.milliseconds
            ));
        }
        even(what, "states", EVEN, costs.iter().map(|cost| cost.states))?;
        even(what, "calls", EVEN, costs.iter().map(|cost| cost.calls))?;
        if ground.timed {
            let milliseconds = costs.iter().map(|cost| cost.milliseconds);
            even(what, "Lambda milliseconds", EVEN_TIME, milliseconds)?;
        }
    }
    Ok(Seen {
        words: "even".to_owned(),
        table,
    })
}

fn even(what: &str, name: &str, most_by: f64, costs: impl Iterator<Item = f64> + Clone) -> Result<()> {
    let (least, most) = (costs.clone().fold(f64::MAX, f64::min), costs.fold(0.0, f64::max));
    ensure!(
        most <= least * most_by,
        "{what}: from {least:.1} to {most:.1} {name} for a cluster"
    );
    Ok(())
}

async fn of_sweep(ground: &Ground, input: &Value, clusters: usize, outcome: &str) -> Result<Cost> {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
    let calls = ground.cloud.look("calls?since=9999999999")?["next"]
        .as_u64()
        .unwrap_or_default();
    let before = ground.cloud.look(&format!("costs/{HUB}/{REGION}?since={began}"))?;
    let run = ground.run(Machine::Sweep, input).await?.succeeded()?;
    ensure!(counts(&run)?[outcome] == clusters, "{}", run.output);
    let cost = ground.cloud.look(&format!("costs/{HUB}/{REGION}?since={began}"))?;
    let since = ground.cloud.look(&format!("calls?since={calls}"))?;
    // What this program asks while it waits is no cost of the sweep's.
    let ours = |call: &&Value| !call["principal"].as_str().unwrap_or_default().ends_with(":root");
    let calls = since["calls"]
        .as_array()
        .map_or(0, |all| all.iter().filter(ours).count());
    let each = |sum: f64| sum / clusters as f64;
    Ok(Cost {
        clusters,
        states: each(number(&cost, "states")),
        calls: each(calls as f64),
        milliseconds: each(number(&cost, "lambdaMilliseconds") - number(&before, "lambdaMilliseconds")),
    })
}

fn number(cost: &Value, name: &str) -> f64 {
    cost[name].as_f64().unwrap_or_default()
}
