//! Reconciliations of several accounts: new clusters are onboarded, broken ones reported, deleted ones offboarded.

use super::{
    examples::counts,
    fixture::{Ended, FLEET, Machine, REGIONS, SCHEDULED, Wired, exclusive, shared},
    fleet_plans::report,
};
use ampxa::pair::Pair;
use ampxa_cli::account::Account;
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
/// Two clusters for each of the six locations. The first four are broken, and the fifth has a tag that is not valid.
const CLUSTERS: usize = 12;

/// The error that each broken cluster is reported with.
const ERRORS: [&str; 4] = ["NotReady", "NotReady", "NotReady", "Conflict"];
/// The number of the cluster whose tag chooses a workspace that the table does not open to it.
const INVALID_CHOICE: usize = 4;

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
    let (mut broken, mut sound, mut invalid_choice) = (BTreeMap::new(), BTreeSet::new(), String::new());
    for number in 0..CLUSTERS {
        let (account, region) = (
            FLEET[number % FLEET.len()],
            WITHOUT_RULES[number / FLEET.len() % WITHOUT_RULES.len()],
        );
        let arn = create(&wired, number, account, region, &workspaces[region]).await?;
        match ERRORS.get(number) {
            Some(error) => _ = broken.insert(arn, (*error).to_owned()),
            None if number == INVALID_CHOICE => invalid_choice = arn,
            None => _ = sound.insert(arn),
        }
    }
    let input = json!({ "accounts": FLEET, "regions": WITHOUT_RULES });
    let first = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    ensure!(count(&first, "ONBOARDED")? == sound.len() as u64, "{}", first.output);
    // The role that is not the product's belongs to no pair.
    ensure!(
        sum(counts(&first)?) == CLUSTERS as u64 + 1 && count(&first, "OWNERLESS")? == 1,
        "{}",
        first.output
    );
    let reported = failed(&first)?;
    ensure!(reported == broken, "reported: {reported:#?}\nbroken: {broken:#?}");
    let skipped = first.output["skipped"].as_array().context("no skipped clusters")?;
    let reason = skipped[0]["reason"].as_str().unwrap_or_default();
    ensure!(
        skipped.len() == 1
            && skipped[0]["clusterArn"] == invalid_choice.as_str()
            && reason.starts_with("its tag ampxa:workspace is not valid: "),
        "{}",
        first.output
    );
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

/// Creates a cluster; each of the first four is broken in its own way.
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
        INVALID_CHOICE => {
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
    switch_rules(&source, "DisableRule")?;
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
    switch_rules(&source, "EnableRule")
}

/// Enables or disables the rules that forward the events of an account.
fn switch_rules(account: &Account, action: &str) -> Result<()> {
    let rules = account.json_api("events", "AWSEvents.ListRules", &json!({}))?;
    let rules = rules["Rules"].as_array().context("no rules")?;
    let target = format!("AWSEvents.{action}");
    rules.iter().try_for_each(|rule| {
        let body = json!({ "Name": rule["Name"] });
        account.json_api("events", &target, &body).map(drop)
    })
}

/// The tag of an earlier reconciliation stays, because AWS denies its removal.
#[tokio::test]
async fn a_cluster_whose_orphan_tag_cannot_be_removed_is_offboarded_only_when_it_is_missing_twice() -> Result<()> {
    let wired = exclusive().await?;
    let source = wired.account(SCHEDULED, REGION);
    let cluster = Cluster::named("back").make(&source).await?;
    let onboarded = wired.started(Machine::Onboard, "create-back-").await?.succeeded()?;
    let amp = source.amp();
    let scraper = onboarded.output["scraperArn"].as_str().context("no scraper")?;
    let tag = amp.tag_resource().resource_arn(scraper);
    tag.tags("ampxa:orphan-since", "an earlier reconciliation")
        .send()
        .await?;
    let deny = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "aps:UntagResource", "Resource": "*" },
    ] });
    let (iam, provisioner) = (source.iam(), "ampxa-provisioner-source");
    let put = iam.put_role_policy().role_name(provisioner).policy_name("deny");
    put.policy_document(deny.to_string()).send().await?;
    let reconcile = async || {
        let input = json!({ "accounts": [SCHEDULED], "regions": [REGION] });
        wired.run(Machine::Reconcile, &input).await?.succeeded()
    };
    let recovered = reconcile().await?;
    ensure!(count(&recovered, "ORPHAN_RECOVERED")? == 1, "{}", recovered.output);
    let tags = amp.list_tags_for_resource().resource_arn(scraper).send().await?.tags;
    let tags = tags.context("no tags")?;
    ensure!(tags["ampxa:orphan-since"] == "recovered", "{tags:?}");

    switch_rules(&source, "DisableRule")?;
    source.eks().delete_cluster().name("back").send().await?;
    let first = reconcile().await?;
    let (orphans, offboarded) = (count(&first, "ORPHAN_SEEN")?, count(&first, "OFFBOARDED")?);
    ensure!((orphans, offboarded) == (1, 0), "{}", first.output);
    let second = reconcile().await?;
    ensure!(count(&second, "OFFBOARDED")? == 1, "{}", second.output);
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left.is_empty(), "left after two reconciliations: {left:?}");
    iam.delete_role_policy()
        .role_name(provisioner)
        .policy_name("deny")
        .send()
        .await?;
    switch_rules(&source, "EnableRule")
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
    // Two Regions of an account are one unreachable account.
    let input = json!({ "accounts": ["777788889999"], "regions": REGIONS, "provisionerTimeoutMinutes": 15 });
    let run = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    ensure!(counts(&run)? == &json!({ "UNREACHABLE": 1 }), "{}", run.output);
    let listed = &run.output["unreachable"];
    ensure!(
        listed[0]["account"] == "777788889999"
            && listed[0]["hasPairs"] == false
            && listed.as_array().map(Vec::len) == Some(1),
        "{}",
        run.output
    );
    Ok(())
}

/// The account left the fleet, but a target role still admits its scraper.
#[tokio::test]
async fn an_unreachable_account_that_a_target_role_names_is_reported_as_one_with_pairs() -> Result<()> {
    let wired = exclusive().await?;
    let (left, new) = ("777788880001", "777788880002");
    let iam = wired.account(TARGET, REGION).iam();
    let role = "ampxa-target-left-0a1b2c3d";
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{TARGET}:root") }, "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "sts:ExternalId": format!("arn:aws:aps:{REGION}:{left}:scraper/s-1") } },
    }] });
    let create = iam.create_role().role_name(role);
    create.assume_role_policy_document(trust.to_string()).send().await?;
    let input = json!({ "accounts": [new, left], "regions": REGIONS });
    let run = wired.run(Machine::Reconcile, &input).await;
    iam.delete_role().role_name(role).send().await?;
    let run = run?.succeeded()?;
    let expected = json!({ "UNREACHABLE": 1, "UNREACHABLE_WITH_PAIRS": 1, "OWNERLESS": 1 });
    ensure!(counts(&run)? == &expected, "{}", run.output);
    let first = &run.output["unreachable"][0];
    ensure!(first["account"] == left && first["hasPairs"] == true, "{}", run.output);
    // The role has the name of a pair's role, but trusts no source role.
    let ownerless = json!([{ "roleArn": format!("arn:aws:iam::{TARGET}:role/{role}") }]);
    ensure!(run.output["ownerlessRoles"] == ownerless, "{}", run.output);
    Ok(())
}

/// A changed table adds a second pair. The first one is reported, and removed only on request.
#[tokio::test]
async fn a_routed_pair_that_the_table_no_longer_names_is_reported_and_removed_only_on_request() -> Result<()> {
    let wired = exclusive().await?;
    let region = WITHOUT_RULES[0];
    let (first, second, by_hand) = (
        wired.workspace_in(region).await?,
        wired.workspace_in(region).await?,
        wired.workspace_in(region).await?,
    );
    let cluster = Cluster::named("rerouted")
        .make(&wired.account(SCHEDULED, region))
        .await?;
    let route = |workspace: &str| {
        let rule = json!({
            "match": { "accounts": [SCHEDULED], "clusterNames": ["rerouted"] },
            "workspaceArn": workspace, "checkIngestion": "SKIP",
        });
        wired.set_routes(&json!({ "rules": [rule] }).to_string())
    };
    let input = json!({ "accounts": [SCHEDULED], "regions": [region] });
    route(&first)?;
    let run = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    ensure!(count(&run, "ONBOARDED")? == 1, "{}", run.output);
    // A pair of a person's request is never one that the table no longer names.
    let request = json!({ "clusterArn": cluster, "workspaceArn": by_hand, "checkIngestion": "SKIP" });
    wired.run(Machine::Onboard, &request).await?.succeeded()?;

    route(&second)?;
    let run = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    let expected = json!([{ "clusterArn": cluster, "workspaceArn": first }]);
    ensure!(
        run.output["unrouted"] == expected && count(&run, "UNROUTED")? == 1 && count(&run, "ONBOARDED")? == 1,
        "{}",
        run.output
    );
    for workspace in [&first, &second, &by_hand] {
        let left = wired.left_of(&cluster, workspace)?;
        ensure!(left.len() == 3, "{workspace} has {left:?}");
    }

    let mut remove = input.clone();
    remove["removeUnrouted"] = json!(true);
    let run = wired.run(Machine::Reconcile, &remove).await?.succeeded()?;
    let expected = json!({ "UNCHANGED": 1, "OFFBOARDED": 1 });
    ensure!(counts(&run)? == &expected, "{}", run.output);
    for (workspace, number) in [(&first, 0), (&second, 3), (&by_hand, 3)] {
        let left = wired.left_of(&cluster, workspace)?;
        ensure!(left.len() == number, "{workspace} has {left:?}");
    }
    let run = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    ensure!(counts(&run)? == &json!({ "UNCHANGED": 1 }), "{}", run.output);

    // A pair that its workspace no longer accepts is reported whoever connected it, and never removed.
    let untag = wired.account(TARGET, region).amp().untag_resource();
    untag.resource_arn(&by_hand).tag_keys("ampxa:accept").send().await?;
    let run = wired.run(Machine::Reconcile, &remove).await?.succeeded()?;
    let reason = "it has no tag ampxa:accept";
    let expected = json!([{ "clusterArn": cluster, "workspaceArn": by_hand, "reason": reason }]);
    ensure!(
        run.output["notAccepted"] == expected && counts(&run)? == &json!({ "UNCHANGED": 1, "NOT_ACCEPTED": 1 }),
        "{}",
        run.output
    );
    ensure!(wired.left_of(&cluster, &by_hand)?.len() == 3, "a pair was changed");
    Ok(())
}

#[tokio::test]
async fn a_role_that_has_the_name_of_a_source_role_and_belongs_to_no_pair_is_reported() -> Result<()> {
    let wired = exclusive().await?;
    let iam = wired.account(FLEET[2], REGION).iam();
    let role = "ampxa-source-stranger-0a1b2c3d";
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{HUB}:root") }, "Action": "sts:AssumeRole",
    }] });
    let create = iam.create_role().role_name(role);
    create.assume_role_policy_document(trust.to_string()).send().await?;
    let input = json!({ "accounts": [FLEET[2]], "regions": WITHOUT_RULES });
    let run = wired.run(Machine::Reconcile, &input).await;
    iam.delete_role().role_name(role).send().await?;
    let run = run?.succeeded()?;
    let arn = format!("arn:aws:iam::{}:role/{role}", FLEET[2]);
    let listed = run.output["ownerlessRoles"].as_array().context("no list of roles")?;
    // The role of the broken cluster of another test may still exist.
    let found = listed.iter().filter(|one| one["roleArn"] == arn.as_str()).count();
    ensure!(found == 1, "{}", run.output);
    Ok(())
}

#[tokio::test]
async fn a_location_with_more_clusters_than_a_list_of_the_output_reports_each_of_them() -> Result<()> {
    const REGION_OF_ITS_OWN: &str = "sa-east-1";
    const CLUSTERS: u64 = 130;
    let wired = exclusive().await?;
    let account = wired.account(SCHEDULED, REGION_OF_ITS_OWN);
    for number in 0..CLUSTERS {
        let cluster = Cluster::named(&format!("one-of-many-{number:03}")).tag("ampxa:onboard", "no");
        cluster.make(&account).await?;
    }
    let input = json!({ "accounts": [SCHEDULED], "regions": [REGION_OF_ITS_OWN] });
    let run = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    ensure!(counts(&run)? == &json!({ "SKIPPED": CLUSTERS }), "{}", run.output);
    ensure!(
        run.output["skipped"]
            .as_array()
            .is_some_and(|listed| listed.len() < 130),
        "{}",
        run.output
    );
    let lines = report(&wired, &run).await?;
    let names: BTreeSet<&str> = lines.iter().filter_map(|line| line["clusterArn"].as_str()).collect();
    ensure!(names.len() as u64 == CLUSTERS, "{} clusters", names.len());
    for line in &lines {
        ensure!(line["reason"].is_string() && line["fix"].is_string(), "{line}");
    }
    Ok(())
}
