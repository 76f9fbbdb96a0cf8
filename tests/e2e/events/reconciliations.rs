//! Reconciliations of several accounts: new clusters are onboarded, broken ones reported, deleted ones offboarded.

use super::{
    examples::counts,
    fixture::{Ended, FLEET, Machine, SCHEDULED, Wired, exclusive, shared},
};
use ampxa::pair::Pair;
use anyhow::{Context, Result, ensure};
use aws_sdk_eks::types::AuthenticationMode;
use driver::{
    HUB, REGION, TARGET,
    demo::{self, Cluster},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Regions without event rules: only a reconciliation finds their clusters.
const WITHOUT_RULES: [&str; 2] = ["eu-central-1", "ap-southeast-2"];
/// Two clusters for each of the six locations. The first five are broken.
const CLUSTERS: usize = 12;

/// The error that each broken cluster is reported with.
const ERRORS: [&str; 5] = ["NotReady", "NotReady", "NotReady", "Conflict", "InvalidRequest"];

/// Creates a workspace in each Region, and a table that sends the Region's clusters there.
async fn route_by_region(wired: &Wired, regions: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut workspaces = BTreeMap::new();
    for region in regions {
        workspaces.insert((*region).to_owned(), wired.workspace_in(region).await?);
    }
    // The number of polls for samples depends on the load of this machine, so the check is skipped.
    let rule = |(region, workspace)| {
        json!({
            "match": { "regions": [region] },
            "anyAccount": true,
            "workspaceArn": workspace,
            "checkIngestion": "SKIP",
        })
    };
    let rules: Vec<Value> = workspaces.iter().map(rule).collect();
    wired.set_routes(&json!({ "rules": rules }).to_string())?;
    Ok(workspaces)
}

/// The sum of a reconciliation's counts.
fn sum(counts: &Value) -> u64 {
    counts
        .as_object()
        .map_or(0, |all| all.values().filter_map(Value::as_u64).sum())
}

fn count(run: &Ended, outcome: &str) -> Result<u64> {
    Ok(counts(run)?[outcome].as_u64().unwrap_or_default())
}

#[tokio::test]
async fn a_reconciliation_onboards_every_sound_cluster_reports_every_broken_one_and_is_idempotent() -> Result<()> {
    let wired = exclusive().await?;
    let workspaces = route_by_region(&wired, &WITHOUT_RULES).await?;
    let (mut broken, mut sound) = (BTreeMap::new(), BTreeSet::new());
    for number in 0..CLUSTERS {
        let (account, region) = (
            FLEET[number % FLEET.len()],
            WITHOUT_RULES[number / FLEET.len() % WITHOUT_RULES.len()],
        );
        let arn = create(&wired, number, account, region, &workspaces[region]).await?;
        match ERRORS.get(number) {
            Some(error) => _ = broken.insert(arn, (*error).to_owned()),
            None => _ = sound.insert(arn),
        }
    }
    let input = json!({ "accounts": FLEET, "regions": WITHOUT_RULES });
    let first = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    ensure!(count(&first, "ONBOARDED")? == sound.len() as u64, "{}", first.output);
    ensure!(sum(counts(&first)?) == CLUSTERS as u64, "{}", first.output);
    let reported = failed(&first)?;
    ensure!(reported == broken, "reported: {reported:#?}\nbroken: {broken:#?}");
    let connected = scraped(&wired).await?;
    ensure!(connected == sound, "connected: {connected:#?}\nsound: {sound:#?}");

    let before = resources(&wired)?;
    let second = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    let unchanged = count(&second, "UNCHANGED")?;
    ensure!(unchanged == sound.len() as u64, "{}", second.output);
    ensure!(failed(&second)? == broken, "{}", second.output);
    ensure!(
        resources(&wired)? == before,
        "a second reconciliation changed something"
    );
    Ok(())
}

/// Creates a cluster; each of the first five is broken in its own way.
async fn create(wired: &Wired, number: usize, account: &str, region: &str, workspace: &str) -> Result<String> {
    let source = wired.account(account, region);
    let mut cluster = Cluster::named(&format!("fleet-{number}"));
    match number {
        // Only aws-auth grants access.
        0 => cluster.mode = AuthenticationMode::ConfigMap,
        1 => cluster.private_access = false,
        // No free addresses.
        2 => {
            let vpc = demo::default_subnets(&source)?
                .first()
                .context("no subnet")?
                .vpc
                .clone();
            for (block, zone) in [("172.31.200.0/28", "a"), ("172.31.201.0/28", "b")] {
                let zone = format!("{region}{zone}");
                let parameters = [
                    ("VpcId", vpc.as_str()),
                    ("CidrBlock", block),
                    ("AvailabilityZone", &zone),
                ];
                let xml = source.ec2("CreateSubnet", &parameters)?;
                let id = demo::element(&xml, "subnetId").context("EC2's answer could not be read")?;
                let full =
                    json!({ "account": account, "region": region, "subnetId": id, "availableIpAddressCount": 0 });
                wired.cloud.tell("subnets", &full)?;
                cluster.subnets.push(id);
            }
        }
        // A workspace that the table does not allow.
        4 => {
            let closed = wired.workspace_in(region).await?;
            cluster = cluster.tag("ampxa:workspace", closed.rsplit('/').next().unwrap_or_default());
        }
        _ => {}
    }
    let arn = cluster.make(&source).await?;
    // A role that is not the product's has the name of the source role.
    if number == 3 {
        let pair = Pair {
            cluster: arn.parse().map_err(|why| anyhow::anyhow!("{why}"))?,
            workspace: workspace.parse().map_err(|why| anyhow::anyhow!("{why}"))?,
        };
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let create = source.iam().create_role().role_name(pair.source_role_name());
        create.assume_role_policy_document(trust).send().await?;
    }
    Ok(arn)
}

/// The clusters that a reconciliation reports as failed, with their errors.
fn failed(run: &Ended) -> Result<BTreeMap<String, String>> {
    let list = run.output["failed"]
        .as_array()
        .context("a reconciliation without its failures")?;
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let named = list.iter().map(|one| (text(one, "clusterArn"), text(one, "error")));
    Ok(named.collect())
}

/// The clusters of the fleet that have a scraper.
async fn scraped(wired: &Wired) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for account in FLEET {
        for region in WITHOUT_RULES {
            all.extend(wired.scrapers(account, region).await?.into_keys());
        }
    }
    Ok(all)
}

/// The resources of the fleet and of the target account.
fn resources(wired: &Wired) -> Result<Vec<Value>> {
    let accounts = FLEET.into_iter().chain([TARGET]);
    accounts
        .map(|account| wired.cloud.look(&format!("accounts/{account}")))
        .collect()
}

/// The event of the deletion is lost: two scheduled reconciliations find that the cluster is missing.
#[tokio::test]
async fn the_schedule_offboards_a_cluster_that_is_missing_in_two_reconciliations() -> Result<()> {
    let wired = exclusive().await?;
    let source = wired.account(SCHEDULED, REGION);
    let cluster = Cluster::named("lost").make(&source).await?;
    wired.samples(&wired.workspace, &cluster).await?;
    wired.started(Machine::Onboard, "create-lost-").await?.succeeded()?;
    let rules = source.json_api("events", "AWSEvents.ListRules", &json!({}))?;
    let rules = rules["Rules"].as_array().context("no rules")?;
    let switch = |action: &str| {
        let target = format!("AWSEvents.{action}");
        rules.iter().try_for_each(|rule| {
            let body = json!({ "Name": rule["Name"] });
            source.json_api("events", &target, &body).map(drop)
        })
    };
    switch("DisableRule")?;
    source.eks().delete_cluster().name("lost").send().await?;
    let first = scheduled_reconciliation(&wired).await?;
    let (orphans, offboarded) = (count(&first, "ORPHAN_SEEN")?, count(&first, "OFFBOARDED")?);
    ensure!((orphans, offboarded) == (1, 0), "{}", first.output);
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left.len() == 3, "after one reconciliation only {left:?} are left");
    let second = scheduled_reconciliation(&wired).await?;
    ensure!(count(&second, "OFFBOARDED")? == 1, "{}", second.output);
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left.is_empty(), "left after two reconciliations: {left:?}");
    switch("EnableRule")
}

/// Invokes the schedule once; waits for the end of the reconciliation that it starts, and returns it.
async fn scheduled_reconciliation(wired: &Wired) -> Result<Ended> {
    let before = wired.executions(Machine::Reconcile).await?;
    let schedule = wired.only("AWS::Scheduler::Schedule")?;
    let run = json!({ "account": HUB, "region": REGION, "name": schedule });
    wired.cloud.tell("schedules", &run)?;
    let arn = wired
        .until("scheduled reconciliation", async || {
            let now = wired.executions(Machine::Reconcile).await?;
            Ok(now.difference(&before).next().cloned())
        })
        .await?;
    wired.ended(&arn).await?.succeeded()
}

#[tokio::test]
async fn an_account_without_a_provisioner_is_reported_as_unreachable() -> Result<()> {
    let wired = shared().await;
    let input = json!({ "accounts": ["777788889999"], "regions": [REGION], "provisionerTimeoutMinutes": 15 });
    let run = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    ensure!(count(&run, "UNREACHABLE")? == 1, "{}", run.output);
    Ok(())
}
