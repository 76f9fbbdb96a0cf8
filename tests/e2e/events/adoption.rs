//! Scrapers that were made by hand, beside roles of their own: they are adopted without a missing sample, and a failure gives
//! them back what they had.

use super::fixture::{Exclusive, FLEET, Machine, exclusive};
use crate::least_privilege::Policy;
use ampxa_cli::account::Account;
use anyhow::{Context, Result, ensure};
use aws_sdk_amp::{
    primitives::Blob,
    types::{
        AmpConfiguration, Destination, EksConfiguration, RoleConfiguration, ScrapeConfiguration, ScraperDescription,
        Source,
    },
};
use driver::{REGION, TARGET, demo};
use serde_json::{Value, json};
use std::time::Duration;

/// The provisioner of a source account, and its policy that names the roles.
const PROVISIONER: &str = "ampxa-provisioner-source";
const PERMISSION: &str = "adopt-scrapers";
/// The roles of scrapers that were made by hand: their path and names.
pub const ROLES: [&str; 2] = ["/by-hand/scraper", "/by-hand/writer"];
const CONFIGURATION: &str = "scrape_configs: [{job_name: pods, kubernetes_sd_configs: [{role: pod}]}]";

/// Creates a role with a policy that allows an action, unless it exists.
async fn make_role(account: &Account, path: &str, trust: Value, action: &str) -> Result<()> {
    let (folder, name) = path.rsplit_once('/').context("no path")?;
    let iam = account.iam();
    let trust = json!({ "Version": "2012-10-17", "Statement": [trust] });
    let create = iam.create_role().role_name(name).path(format!("{folder}/"));
    if let Err(error) = create.assume_role_policy_document(trust.to_string()).send().await {
        ensure!(
            error.into_service_error().is_entity_already_exists_exception(),
            "the role {name} could not be created"
        );
    }
    let policy = json!({
        "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }],
    });
    let put = iam.put_role_policy().role_name(name).policy_name("all");
    put.policy_document(policy.to_string()).send().await?;
    Ok(())
}

/// Creates a scraper as a person would: with roles of its own, or with AMP's service-linked role alone. Waits until it is
/// ACTIVE.
pub async fn make_scraper(
    wired: &Exclusive,
    account: &Account,
    cluster: &str,
    workspace: &str,
    roles: bool,
) -> Result<String> {
    let id = account.id.clone();
    let [source, target] =
        [(&*id, ROLES[0]), (TARGET, ROLES[1])].map(|(id, path)| format!("arn:aws:iam::{id}:role{path}"));
    let trust = json!({
        "Effect": "Allow", "Principal": { "Service": "scraper.aps.amazonaws.com" }, "Action": "sts:AssumeRole",
    });
    make_role(account, ROLES[0], trust, "sts:AssumeRole").await?;
    let principals: Vec<String> = FLEET.iter().map(|id| format!("arn:aws:iam::{id}:root")).collect();
    let trust = json!({ "Effect": "Allow", "Principal": { "AWS": principals }, "Action": "sts:AssumeRole" });
    make_role(&wired.account(TARGET, REGION), ROLES[1], trust, "aps:RemoteWrite").await?;
    let subnets = demo::default_subnets(account)?.into_iter().map(|subnet| subnet.id);
    let eks = EksConfiguration::builder()
        .cluster_arn(cluster)
        .set_subnet_ids(Some(subnets.collect()));
    let amp = AmpConfiguration::builder().workspace_arn(workspace);
    let configuration = RoleConfiguration::builder()
        .source_role_arn(source)
        .target_role_arn(target);
    let create = account
        .amp()
        .create_scraper()
        .alias("by-hand")
        .source(Source::EksConfiguration(eks.build()?))
        .destination(Destination::AmpConfiguration(amp.build()?))
        .set_role_configuration(roles.then(|| configuration.build()))
        .scrape_configuration(ScrapeConfiguration::ConfigurationBlob(Blob::new(CONFIGURATION)))
        .tags("managed-by", "terraform");
    let arn = create.send().await?.arn;
    wired
        .until(&format!("{arn} is ACTIVE"), async || {
            let found = describe(account, &arn).await?;
            let status = found.status.context("no status")?.status_code;
            Ok((status.as_str() == "ACTIVE").then_some(()))
        })
        .await?;
    Ok(arn)
}

async fn describe(account: &Account, arn: &str) -> Result<ScraperDescription> {
    let id = arn.rsplit('/').next().unwrap_or_default();
    let answer = account.amp().describe_scraper().scraper_id(id).send().await?;
    answer.scraper.context("no scraper")
}

/// What an adoption must not change for good.
async fn state(account: &Account, arn: &str) -> Result<Value> {
    let found = describe(account, arn).await?;
    let yaml = found
        .scrape_configuration
        .and_then(|c| c.as_configuration_blob().ok().cloned());
    Ok(json!({
        "alias": found.alias, "tags": found.tags, "status": found.status.map(|s| s.status_code.to_string()),
        "roles": found.role_configuration.map(|roles| [roles.source_role_arn, roles.target_role_arn]),
        "configuration": yaml.map(|blob| String::from_utf8_lossy(blob.as_ref()).into_owned()),
    }))
}

/// A cluster whose scrapers are ACTIVE at once and take ten minutes to update, and a workspace.
async fn cluster(wired: &Exclusive, account: &Account, name: &str, more: &[(&str, &str)]) -> Result<(String, Value)> {
    wired.ignore_events()?;
    let mut cluster = demo::Cluster::named(name)
        .tag("local:activation-minutes", "0")
        .tag("local:updating-minutes", "10");
    for (key, value) in more {
        cluster = cluster.tag(key, value);
    }
    let cluster = cluster.make(account).await?;
    let request = json!({ "clusterArn": cluster, "workspaceArn": wired.workspace, "adopt": true });
    Ok((cluster, request))
}

/// Runs an onboarding, and fails if the scraper could not write once meanwhile.
async fn run_without_gap(wired: &Exclusive, scraper: &str, request: &Value) -> Result<super::fixture::Ended> {
    let id = scraper.rsplit('/').next().unwrap_or_default();
    let (mut seen, mut missing) = (0, Vec::new());
    let watch = async {
        loop {
            let collections = wired.cloud.look(&format!("collections/{id}"))?;
            for collection in collections["collections"].as_array().context("no collections")? {
                let time = collection["time"].as_f64().unwrap_or_default();
                if time > f64::from_bits(seen) {
                    seen = time.to_bits();
                    if collection["written"] != true {
                        missing.push(collection.clone());
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let run = tokio::select! {
        run = wired.run(Machine::Onboard, request) => run?,
        error = watch => { let error: Result<()> = error; error?; unreachable!() }
    };
    ensure!(seen > 0, "the scraper wrote nothing");
    ensure!(missing.is_empty(), "{missing:?}");
    Ok(run)
}

#[tokio::test]
async fn a_scraper_made_by_hand_is_adopted_without_a_missing_sample() -> Result<()> {
    let wired = exclusive().await?;
    let account = wired.account(FLEET[1], REGION);
    let (cluster, request) = cluster(&wired, &account, "by-hand", &[]).await?;
    let scraper = make_scraper(&wired, &account, &cluster, &wired.workspace, true).await?;
    let with = |more: Value| crate::deployment::with(&request, more);
    let plan = wired
        .run(Machine::Onboard, &with(json!({ "mode": "PLAN" })))
        .await?
        .succeeded()?
        .output;
    let change = &plan["changes"][2];
    ensure!(
        change["action"] == "ADOPT" && change["arn"] == scraper.as_str(),
        "{plan}"
    );
    ensure!(plan["warnings"].to_string().contains("terraform state rm"), "{plan}");
    let expecting = with(json!({ "expectedPlan": plan["plan"], "checkIngestion": "REQUIRE" }));
    let output = run_without_gap(&wired, &scraper, &expecting).await?.succeeded()?.output;
    ensure!(
        output["outcome"] == "ONBOARDED" && output["scraperArn"] == scraper.as_str(),
        "{output}"
    );
    ensure!(output["existing"] == json!(["scraper"]), "{output}");
    ensure!(
        output["adopted"]["sourceRoleArn"] == format!("arn:aws:iam::{}:role{}", FLEET[1], ROLES[0]),
        "{output}"
    );
    wired.samples(&wired.workspace, &cluster).await?;
    let again = wired.run(Machine::Onboard, &request).await?.succeeded()?.output;
    ensure!(
        again["outcome"] == "UNCHANGED" && again["warnings"] == json!([]),
        "{again}"
    );
    wired.offboard(&request).await
}

#[tokio::test]
async fn a_failed_adoption_gives_the_scraper_back_what_it_had() -> Result<()> {
    let wired = exclusive().await?;
    let account = wired.account(FLEET[1], REGION);
    let (cluster, request) = cluster(&wired, &account, "given-back", &[("local:targets", "down")]).await?;
    let scraper = make_scraper(&wired, &account, &cluster, &wired.workspace, true).await?;
    let before = state(&account, &scraper).await?;
    let more = json!({ "checkIngestion": "REQUIRE", "alias": "ampxa", "collectorLogs": "ALWAYS" });
    let run = run_without_gap(&wired, &scraper, &crate::deployment::with(&request, more)).await?;
    ensure!(run.failure.starts_with("NoSamples"), "{}", run.failure);
    ensure!(
        run.failure
            .contains(&format!("The scraper {scraper} is as it was before.")),
        "{}",
        run.failure
    );
    let after = state(&account, &scraper).await?;
    ensure!(before == after, "{before} {after}");
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left == [scraper.clone()], "{left:?}");
    let id = scraper.rsplit('/').next().unwrap_or_default();
    let logging = account
        .amp()
        .describe_scraper_logging_configuration()
        .scraper_id(id)
        .send()
        .await;
    ensure!(
        logging.is_err_and(|error| error.into_service_error().is_resource_not_found_exception()),
        "the logs are still on"
    );
    account.amp().delete_scraper().scraper_id(id).send().await?;
    Ok(())
}

#[tokio::test]
async fn a_scraper_is_not_adopted_without_the_permission_of_the_account() -> Result<()> {
    let wired = exclusive().await?;
    let account = wired.account(FLEET[1], REGION);
    let (cluster, request) = cluster(&wired, &account, "not-allowed", &[]).await?;
    let scraper = make_scraper(&wired, &account, &cluster, &wired.workspace, true).await?;
    let before = state(&account, &scraper).await?;
    let iam = account.iam();
    let policy = Policy::read(&iam, PROVISIONER, PERMISSION).await;
    iam.delete_role_policy()
        .role_name(PROVISIONER)
        .policy_name(PERMISSION)
        .send()
        .await?;
    let plan = wired
        .run(
            Machine::Onboard,
            &crate::deployment::with(&request, json!({ "mode": "PLAN" })),
        )
        .await;
    let run = wired.run(Machine::Onboard, &request).await;
    policy.write(&policy.document).await;
    let (plan, run) = (plan?.succeeded()?.output, run?);
    for text in [plan["prerequisites"][0].as_str().unwrap_or_default(), &run.failure] {
        ensure!(
            text.contains("cannot be adopted") && text.contains("to the parameter AdoptableRoleArns"),
            "{text}"
        );
    }
    ensure!(
        run.failure.starts_with("Conflict") && plan["wouldFailAs"] == "Conflict",
        "{}",
        run.failure
    );
    ensure!(before == state(&account, &scraper).await?);
    ensure!(wired.left_of(&cluster, &wired.workspace)? == std::slice::from_ref(&scraper));
    let id = scraper.rsplit('/').next().unwrap_or_default();
    account.amp().delete_scraper().scraper_id(id).send().await?;
    Ok(())
}
