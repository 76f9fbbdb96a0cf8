//! Scrape configurations at events and reconciliations: a route names an object of the hub's bucket, or none.

use super::{
    examples::counts,
    fixture::{FLEET, Machine, SCHEDULED, Wired, exclusive},
};
use anyhow::{Context, Result, ensure};
use aws_sdk_amp::{
    primitives::Blob,
    types::{ScrapeConfiguration, ScraperDescription},
};
use driver::{REGION, demo::Cluster};
use serde_json::{Value, json};

/// A configuration as large as AWS's own largest one: 58 KB.
fn large() -> String {
    let job = |number: u32| {
        format!(
            "  - job_name: job-{number:03}\n    kubernetes_sd_configs: [{{role: pod}}]\n    relabel_configs: [{{action: keep, \
             source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], regex: application-{number:03}}}]\n"
        )
    };
    let yaml: String = (0..300).map(job).collect();
    format!("global: {{scrape_interval: 30s}}\nscrape_configs:\n{yaml}")
}

/// Writes an object of the hub's bucket.
async fn upload(wired: &Wired, key: &str, yaml: &str) -> Result<()> {
    let bucket = wired.output("BucketName")?;
    Ok(wired.hub().bucket(&bucket).put(key, yaml).await?)
}

/// The only scraper of a cluster.
async fn scraper(wired: &Wired, account: &str, region: &str, cluster: &str) -> Result<ScraperDescription> {
    let scraper = wired.scrapers(account, region).await?.remove(cluster);
    let (arn, _) = scraper.context("no scraper")?;
    let id = arn.rsplit('/').next().unwrap_or_default();
    let amp = wired.account(account, region).amp();
    let described = amp.describe_scraper().scraper_id(id).send().await?;
    described.scraper.context("no scraper")
}

/// The configuration of the only scraper of a cluster.
async fn configuration(wired: &Wired, account: &str, region: &str, cluster: &str) -> Result<String> {
    match scraper(wired, account, region, cluster).await?.scrape_configuration {
        Some(ScrapeConfiguration::ConfigurationBlob(blob)) => Ok(String::from_utf8(blob.into_inner())?),
        other => anyhow::bail!("{other:?}"),
    }
}

/// Changes the configuration of the only scraper of a cluster, as a person would.
async fn change(wired: &Wired, account: &str, region: &str, cluster: &str, yaml: &str) -> Result<()> {
    let scraper = scraper(wired, account, region, cluster).await?;
    let amp = wired.account(account, region).amp();
    let update = amp.update_scraper().scraper_id(scraper.scraper_id);
    let blob = ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml));
    let update = update.set_role_configuration(scraper.role_configuration);
    update.scrape_configuration(blob).send().await?;
    Ok(())
}

#[tokio::test]
async fn an_object_of_58_kb_onboards_a_cluster_by_event() -> Result<()> {
    let wired = exclusive().await?;
    let yaml = large();
    ensure!(yaml.len() > 58_000 && yaml.len() <= 64 * 1024, "{} bytes", yaml.len());
    upload(&wired, "configurations/large.yaml", &yaml).await?;
    let workspace = wired.workspace_in(REGION).await?;
    let rule = json!({
        "match": { "accounts": [FLEET[2]], "clusterNames": ["with-large"] }, "workspaceArn": workspace,
        "scrapeConfigurationObject": "configurations/large.yaml", "checkIngestion": "SKIP",
    });
    wired.set_routes(&json!({ "rules": [rule] }).to_string())?;
    let cluster = Cluster::named("with-large")
        .make(&wired.account(FLEET[2], REGION))
        .await?;
    let run = wired
        .started(Machine::Onboard, "create-with-large-")
        .await?
        .succeeded()?;
    ensure!(run.output["outcome"] == "ONBOARDED", "{}", run.output);
    let found = configuration(&wired, FLEET[2], REGION, &cluster).await?;
    ensure!(found.contains("job-299") && found.contains(&cluster), "{found}");
    Ok(())
}

/// The table of the README, "Which scrape configuration a scraper gets".
#[tokio::test]
async fn five_reconciliations_change_a_configuration_only_if_the_route_names_one() -> Result<()> {
    let wired = exclusive().await?;
    let region = "ap-southeast-2";
    let workspace = wired.workspace_in(region).await?;
    let cluster = Cluster::named("changed-by-hand")
        .make(&wired.account(SCHEDULED, region))
        .await?;
    let route = |more: Value| {
        let mut rule = json!({
            "match": { "accounts": [SCHEDULED], "clusterNames": ["changed-by-hand"] },
            "workspaceArn": workspace, "checkIngestion": "SKIP",
        });
        if let (Some(rule), Value::Object(more)) = (rule.as_object_mut(), more) {
            rule.extend(more);
        }
        wired.set_routes(&json!({ "rules": [rule] }).to_string())
    };
    let input = json!({ "accounts": [SCHEDULED], "regions": [region] });
    let reconcile = async |outcomes: &[&str]| {
        for outcome in outcomes {
            let run = wired.run(Machine::Reconcile, &input).await?.succeeded()?;
            ensure!(counts(&run)? == &json!({ *outcome: 1 }), "{}", run.output);
        }
        Ok(())
    };
    let (unchanged, by_hand) = (
        "UNCHANGED",
        "scrape_configs: [{job_name: by-hand, params: {token: [x1y2z3]}}]\n",
    );
    route(json!({}))?;
    reconcile(&["ONBOARDED"]).await?;
    // Without a route that names one, the configuration survives, and only its labels are completed, once.
    change(&wired, SCHEDULED, region, &cluster, by_hand).await?;
    reconcile(&["REPAIRED", unchanged, unchanged, unchanged, unchanged]).await?;
    let kept = configuration(&wired, SCHEDULED, region, &cluster).await?;
    ensure!(kept.contains("job_name: by-hand") && kept.contains(&cluster), "{kept}");
    // A route that names one sets it.
    upload(&wired, "configurations/team.yaml", "scrape_configs: [{job_name: team}]").await?;
    route(json!({ "scrapeConfigurationObject": "configurations/team.yaml" }))?;
    reconcile(&["REPAIRED"]).await?;
    change(&wired, SCHEDULED, region, &cluster, by_hand).await?;
    reconcile(&["REPAIRED", unchanged, unchanged, unchanged, unchanged]).await?;
    ensure!(
        configuration(&wired, SCHEDULED, region, &cluster)
            .await?
            .contains("job_name: team")
    );
    // Without it, the last one stays. DEFAULT sets AMP's.
    route(json!({}))?;
    reconcile(&[unchanged]).await?;
    route(json!({ "scrapeConfiguration": "DEFAULT" }))?;
    reconcile(&["REPAIRED", unchanged]).await?;
    let default = configuration(&wired, SCHEDULED, region, &cluster).await?;
    ensure!(
        !default.contains("job_name: team") && default.contains(&cluster),
        "{default}"
    );
    Ok(())
}
