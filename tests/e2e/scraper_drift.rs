//! A repeated onboarding repairs drift of the scraper.

use crate::{
    deployment::{Accounts, SOURCE, TARGET, attempt, deployment, text, with},
    events::fixture,
};
use aws_sdk_amp::{
    primitives::Blob,
    types::{RoleConfiguration, ScrapeConfiguration},
};
use driver::demo;
use serde_json::{Value, json};

fn id(output: &Value) -> &str {
    text(&output["scraperArn"]).rsplit('/').next().unwrap()
}

/// Asserts that this scraper is the only one, is ACTIVE, and can write.
async fn assert_connected(accounts: &Accounts, output: &Value) {
    let arn = text(&output["scraperArn"]);
    assert_eq!(accounts.scrapers().await, [(arn.to_owned(), "ACTIVE".to_owned())]);
    let own = attempt(output, arn);
    assert_eq!(own["written"], true, "{own}");
}

#[tokio::test]
async fn a_deleted_scraper_is_replaced_and_no_longer_trusted() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    // The deletion takes long enough for the next execution to see it, and less than the hour that the execution waits.
    let cluster = demo::Cluster::named("deleted").tag("local:deleting-minutes", "45");
    let request = accounts.pair_of(&cluster).await;
    let first = accounts.onboarded(&request).await;
    accounts.delete_scraper(&first["scraperArn"]).await;
    // The scraper is DELETING: the execution waits until it is deleted.
    let second = accounts.onboarded(&request).await;
    assert_eq!(second["created"], json!(["scraper"]));
    assert_eq!(
        second["repaired"],
        json!(["source role: trust policy", "target role: trust policy"]),
        "the trust policies were not reset to the placeholder"
    );
    let replaced = second["replaced"].as_array().unwrap();
    assert_eq!(
        replaced,
        &[json!(format!("{} is DELETING", text(&first["scraperArn"])))]
    );
    assert_connected(&accounts, &second).await;
    assert_eq!(attempt(&second, text(&first["scraperArn"]))["written"], false);
}

#[tokio::test]
async fn a_failed_scraper_is_replaced() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let cluster = demo::Cluster::named("failed").tag("local:activation-fails", "no route");
    let request = accounts.pair_of(&cluster).await;
    let run = accounts
        .onboard(&with(&request, json!({ "onFailure": "DO_NOTHING" })))
        .await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    let eks = accounts.source.eks();
    let untag = eks
        .untag_resource()
        .resource_arn(text(&request["clusterArn"]))
        .tag_keys("local:activation-fails");
    untag.send().await.unwrap();
    let output = accounts.onboarded(&request).await;
    assert_eq!(output["created"], json!(["scraper"]));
    assert!(
        text(&output["replaced"][0]).ends_with(" is CREATION_FAILED"),
        "{output}"
    );
    assert_connected(&accounts, &output).await;
}

#[tokio::test]
async fn the_scraper_of_a_deleted_cluster_of_the_same_name_is_replaced() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("reborn").await;
    let first = accounts.onboarded(&request).await;
    accounts
        .source
        .eks()
        .delete_cluster()
        .name("reborn")
        .send()
        .await
        .unwrap();
    let arn = demo::Cluster::named("reborn").make(&accounts.source).await.unwrap();
    assert_eq!(arn, text(&request["clusterArn"]));
    let second = accounts.onboarded(&request).await;
    assert_ne!(second["scraperArn"], first["scraperArn"]);
    let replaced = text(&second["replaced"][0]);
    assert!(
        replaced.starts_with(text(&first["scraperArn"])) && replaced.contains("older than the cluster"),
        "{replaced}"
    );
    assert_connected(&accounts, &second).await;
}

#[tokio::test]
async fn a_scraper_that_differs_from_the_request_is_updated() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("differs").await;
    let first = accounts.onboarded(&request).await;
    let yaml = "scrape_configs:\n  - job_name: pods\n    kubernetes_sd_configs:\n      - role: pod\n";
    let changed = with(
        &request,
        json!({
            "alias": "renamed",
            "scrapeConfiguration": yaml,
            "externalLabels": { "team": "payments" },
            "tags": { "team": "payments" },
        }),
    );
    let second = accounts.onboarded(&changed).await;
    assert_eq!(second["scraperArn"], first["scraperArn"]);
    assert_eq!(second["created"], json!([]));
    let repaired = json!([
        "source role: tags",
        "target role: tags",
        "scraper: tags",
        "scraper: alias",
        "scraper: scrape configuration"
    ]);
    assert_eq!(second["repaired"], repaired);
    let amp = accounts.source.amp();
    let scraper = amp
        .describe_scraper()
        .scraper_id(id(&first))
        .send()
        .await
        .unwrap()
        .scraper
        .unwrap();
    assert_eq!(scraper.alias(), Some("renamed"));
    assert_eq!(scraper.tags().unwrap()["team"], "payments");
    let Some(ScrapeConfiguration::ConfigurationBlob(blob)) = scraper.scrape_configuration() else {
        panic!("no configuration");
    };
    let current = String::from_utf8(blob.as_ref().to_vec()).unwrap();
    assert!(current.contains("pods") && current.contains("team"), "{current}");
    let stored = replaced_configuration(&accounts, &second).await;
    assert!(stored.contains("job_name") && !stored.contains("team"), "{stored}");
    assert_connected(&accounts, &second).await;
    let third = accounts.onboarded(&changed).await;
    assert_eq!(
        (&third["repaired"], &third["activationMinutes"]),
        (&json!([]), &json!(0))
    );
}

/// The configuration that an execution replaced, from the hub's bucket.
async fn replaced_configuration(accounts: &Accounts, output: &Value) -> String {
    let location = text(&output["replacedConfiguration"]).strip_prefix("s3://").unwrap();
    let (bucket, key) = location.split_once('/').unwrap();
    let object = accounts.hub.bucket(bucket).get(key, None).await.unwrap().unwrap();
    String::from_utf8(object.content).unwrap()
}

/// The configuration of a pair's scraper.
async fn configuration(accounts: &Accounts, output: &Value) -> String {
    let scraper = accounts.source.amp().describe_scraper().scraper_id(id(output));
    let scraper = scraper.send().await.unwrap().scraper.unwrap();
    let Some(ScrapeConfiguration::ConfigurationBlob(blob)) = scraper.scrape_configuration() else {
        panic!("no configuration");
    };
    String::from_utf8(blob.as_ref().to_vec()).unwrap()
}

#[tokio::test]
async fn changed_roles_of_a_scraper_are_repaired_and_its_configuration_survives() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("by-hand").await;
    let output = accounts.onboarded(&request).await;
    let other = accounts.onboarded(&accounts.pair("neighbour").await).await;
    let amp = accounts.source.amp();
    let roles = RoleConfiguration::builder()
        .source_role_arn(text(&other["sourceRoleArn"]))
        .target_role_arn(text(&other["targetRoleArn"]))
        .build();
    let secret = "x1y2z3";
    let yaml = format!(
        "scrape_configs:\n  - job_name: by-hand\n    params: {{api_key: [{secret}]}}\n    \
         kubernetes_sd_configs: [{{role: pod}}]\n"
    );
    let update = amp.update_scraper().scraper_id(id(&output)).role_configuration(roles);
    let blob = ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml.as_str()));
    update.scrape_configuration(blob).send().await.unwrap();
    // The scraper is UPDATING: the execution waits until the update has ended. It completes the labels.
    let again = accounts.onboarded(&request).await;
    let repaired = json!(["scraper: roles", "scraper: scrape configuration"]);
    assert_eq!(again["repaired"], repaired);
    let kept = configuration(&accounts, &output).await;
    assert!(
        kept.contains("job_name: by-hand") && kept.contains(text(&request["clusterArn"])),
        "{kept}"
    );
    assert_eq!(replaced_configuration(&accounts, &again).await, yaml);
    let scraper = amp.describe_scraper().scraper_id(id(&output)).send().await.unwrap();
    let scraper = scraper.scraper.unwrap();
    let roles = scraper.role_configuration().unwrap();
    assert_eq!(roles.source_role_arn(), output["sourceRoleArn"].as_str());
    assert_eq!(roles.target_role_arn(), output["targetRoleArn"].as_str());
    assert_eq!(attempt(&output, text(&output["scraperArn"]))["written"], true);
    let third = accounts.onboarded(&request).await;
    assert_eq!(third["outcome"], "UNCHANGED");
    assert_eq!(third["replacedConfiguration"], Value::Null);
    // Only a request that says so replaces it by AMP's default.
    let default = with(&request, json!({ "scrapeConfiguration": "DEFAULT" }));
    let fourth = accounts.onboarded(&default).await;
    assert_eq!(fourth["repaired"], json!(["scraper: scrape configuration"]));
    assert!(!configuration(&accounts, &output).await.contains("job_name: by-hand"));
    assert_eq!(replaced_configuration(&accounts, &fourth).await, kept);
    for output in [&again, &third, &fourth] {
        assert!(!output.to_string().contains(secret), "{output}");
    }
    for log in ["FunctionLogs", "StateMachineLogs"] {
        let group = fixture::resource(&accounts.hub, "ampxa", log).unwrap();
        let body = json!({ "logGroupName": group, "filterPattern": format!("\"{secret}\"") });
        let found = accounts.hub.json_api("logs", "Logs_20140328.FilterLogEvents", &body);
        assert_eq!(found.unwrap()["events"], json!([]), "{log}");
    }
}
