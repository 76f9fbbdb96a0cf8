//! Sweeps over many accounts: what is missing is made, what is broken is named, what is gone goes.

use super::{
    case::Seen,
    examples::counts,
    ground::{Ended, FLEET, Ground, Machine, SCHEDULED},
};
use crate::{
    REGION, TARGET,
    demo::{self, Cluster},
};
use ampxa::pair::Pair;
use anyhow::{Context, Result, ensure};
use aws_sdk_eks::types::AuthenticationMode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Regions that tell of nothing: only a sweep finds their clusters.
const SILENT: [&str; 2] = ["eu-central-1", "ap-southeast-2"];
/// So many clusters, of which the first five are broken.
const CLUSTERS: usize = 40;

/// How a cluster is broken, and the name it must be reported under.
const BROKEN: [(&str, &str); 5] = [
    ("lets nobody in but by aws-auth", "NotReady"),
    ("has no private endpoint", "NotReady"),
    ("has no free address", "NotReady"),
    ("somebody else's role in its place", "Conflict"),
    ("chooses a workspace that is not for it", "InvalidRequest"),
];

/// A workspace in each Region, and a table that sends a Region's clusters there.
pub async fn route_by_region(ground: &Ground, regions: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut workspaces = BTreeMap::new();
    for region in regions {
        workspaces.insert((*region).to_owned(), ground.workspace_in(region).await?);
    }
    // How often samples are looked for hangs on how busy this machine is.
    let rule = |(region, workspace)| json!({ "match": { "regions": [region] }, "workspaceArn": workspace, "checkIngestion": "SKIP" });
    let rules: Vec<Value> = workspaces.iter().map(rule).collect();
    ground.set_routes(&json!({ "rules": rules }).to_string())?;
    Ok(workspaces)
}

/// The sum of all that a sweep counted.
pub fn sum(counts: &Value) -> u64 {
    counts
        .as_object()
        .map_or(0, |all| all.values().filter_map(Value::as_u64).sum())
}

fn count(run: &Ended, outcome: &str) -> Result<u64> {
    Ok(counts(run)?[outcome].as_u64().unwrap_or_default())
}

/// Forty clusters in three accounts and two Regions.
pub async fn forty(ground: &Ground) -> Result<Seen> {
    let workspaces = route_by_region(ground, &SILENT).await?;
    let mut broken = BTreeMap::new();
    let mut whole = BTreeSet::new();
    for number in 0..CLUSTERS {
        // The number of places and that of accounts have no common part: all places get their share.
        let (account, region) = (FLEET[number % FLEET.len()], SILENT[number / FLEET.len() % SILENT.len()]);
        let arn = make(ground, number, account, region, &workspaces[region]).await?;
        match BROKEN.get(number) {
            Some((_, error)) => _ = broken.insert(arn, (*error).to_owned()),
            None => _ = whole.insert(arn),
        }
    }
    let input = json!({ "accounts": FLEET, "regions": SILENT });
    let first = ground.run(Machine::Sweep, &input).await?.succeeded()?;
    ensure!(count(&first, "ONBOARDED")? == whole.len() as u64, "{}", first.output);
    ensure!(
        sum(counts(&first)?) == CLUSTERS as u64,
        "some were lost: {}",
        first.output
    );
    let reported = failed(&first)?;
    ensure!(reported == broken, "reported: {reported:#?}\nbroken: {broken:#?}");
    let connected = scraped(ground).await?;
    ensure!(connected == whole, "connected: {connected:#?}\nwhole: {whole:#?}");

    let before = there(ground)?;
    let second = ground.run(Machine::Sweep, &input).await?.succeeded()?;
    ensure!(
        count(&second, "ALREADY_FINE")? == whole.len() as u64,
        "{}",
        second.output
    );
    ensure!(failed(&second)? == broken, "{}", second.output);
    ensure!(there(ground)? == before, "a second sweep changed something");
    let size = first.output.to_string().len();
    let ways = BROKEN.iter().map(|(way, error)| format!("{error:<15} {way}"));
    ground.clear_routes()?;
    Ok(Seen {
        words: format!("{} right, {} named, {size} bytes", whole.len(), broken.len()),
        table: ways.collect(),
    })
}

async fn make(ground: &Ground, number: usize, account: &str, region: &str, workspace: &str) -> Result<String> {
    let source = ground.source(account, region);
    let mut cluster = Cluster::named(&format!("fleet-{number}"));
    match number {
        0 => cluster.mode = AuthenticationMode::ConfigMap,
        1 => cluster.private_access = false,
        2 => {
            let vpc = demo::default_subnets(&source)?
                .first()
                .context("no subnet")?
                .vpc
                .clone();
            for (block, zone) in [("172.31.200.0/28", "a"), ("172.31.201.0/28", "b")] {
                let zone = format!("{region}{zone}");
                let asked = [
                    ("VpcId", vpc.as_str()),
                    ("CidrBlock", block),
                    ("AvailabilityZone", &zone),
                ];
                let xml = source.ec2("CreateSubnet", &asked)?;
                let id = demo::element(&xml, "subnetId").context("EC2's answer could not be read")?;
                let full =
                    json!({ "account": account, "region": region, "subnetId": id, "availableIpAddressCount": 0 });
                ground.cloud.tell("subnets", &full)?;
                cluster.subnets.push(id);
            }
        }
        4 => {
            let closed = ground.workspace_in(region).await?;
            cluster = cluster.tag("ampxa:workspace", closed.rsplit('/').next().unwrap_or_default());
        }
        _ => {}
    }
    let arn = cluster.make(&source).await?;
    if number == 3 {
        let pair = Pair {
            cluster: arn.parse().map_err(|why| anyhow::anyhow!("{why}"))?,
            workspace: workspace.parse().map_err(|why| anyhow::anyhow!("{why}"))?,
        };
        let theirs = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let create = source.iam().create_role().role_name(pair.source_role_name());
        create.assume_role_policy_document(theirs).send().await?;
    }
    Ok(arn)
}

/// The clusters that a sweep reports as failed, and under which name.
fn failed(run: &Ended) -> Result<BTreeMap<String, String>> {
    let list = run.output["failed"]
        .as_array()
        .context("a sweep without its failures")?;
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let named = list.iter().map(|one| (text(one, "clusterArn"), text(one, "error")));
    Ok(named.collect())
}

/// Every cluster of the fleet that has a scraper.
async fn scraped(ground: &Ground) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for account in FLEET {
        for region in SILENT {
            all.extend(ground.scrapers(account, region).await?.into_keys());
        }
    }
    Ok(all)
}

/// All that the accounts hold.
fn there(ground: &Ground) -> Result<Vec<Value>> {
    let accounts = FLEET.into_iter().chain([TARGET]);
    accounts
        .map(|account| ground.cloud.look(&format!("accounts/{account}")))
        .collect()
}

/// CloudTrail loses the end of a cluster: two sweeps of the schedule find it out.
pub async fn gone(ground: &Ground) -> Result<Seen> {
    ground.clear_routes()?;
    let source = ground.source(SCHEDULED, REGION);
    let cluster = Cluster::named("lost").make(&source).await?;
    ground.samples(&ground.workspace, &cluster).await?;
    ground.started(Machine::Onboard, "create-lost-").await?.succeeded()?;
    let rules = source.json_api("events", "AWSEvents.ListRules", &json!({}))?;
    let rules: Vec<&Value> = rules["Rules"]
        .as_array()
        .context("no rules")?
        .iter()
        .map(|rule| &rule["Name"])
        .collect();
    let turn = |action: &str| {
        let one = |rule: &&Value| source.json_api("events", &format!("AWSEvents.{action}"), &json!({ "Name": rule }));
        rules.iter().try_for_each(|rule| one(rule).map(drop))
    };
    turn("DisableRule")?;
    source.eks().delete_cluster().name("lost").send().await?;
    let first = fired(ground).await?;
    ensure!(
        count(&first, "GONE_ONCE")? == 1 && count(&first, "OFFBOARDED")? == 0,
        "{}",
        first.output
    );
    let left = ground.left_of(&cluster, &ground.workspace)?;
    ensure!(left.len() == 3, "after one sweep there is only {left:?}");
    let second = fired(ground).await?;
    ensure!(count(&second, "OFFBOARDED")? == 1, "{}", second.output);
    let left = ground.left_of(&cluster, &ground.workspace)?;
    ensure!(left.is_empty(), "left after two sweeps: {left:?}");
    turn("EnableRule")?;
    Ok("kept once, then removed".to_owned().into())
}

/// A sweep that the schedule starts.
async fn fired(ground: &Ground) -> Result<Ended> {
    let before = ground.executions(Machine::Sweep).await?;
    let schedule = ground.only("AWS::Scheduler::Schedule")?;
    let asked = json!({ "account": crate::HUB, "region": REGION, "name": schedule });
    ground.cloud.tell("schedules", &asked)?;
    let arn = ground
        .until("a sweep by the schedule", async || {
            let now = ground.executions(Machine::Sweep).await?;
            Ok(now.difference(&before).next().cloned())
        })
        .await?;
    ground.ended(&arn).await?.succeeded()
}

/// An account that nobody has deployed anything into.
pub async fn unreachable(ground: &Ground) -> Result<Seen> {
    let input = json!({ "accounts": ["777788889999"], "regions": [REGION], "patienceMinutes": 15 });
    let run = ground.run(Machine::Sweep, &input).await?.succeeded()?;
    ensure!(count(&run, "UNREACHABLE")? == 1, "{}", run.output);
    Ok(counts(&run)?.to_string().into())
}
