//! Onboarding what is onboarded puts the scraper right too.

use crate::world::{Place, SOURCE, TARGET, attempt, text, with, world};
use aws_sdk_amp::{
    primitives::Blob,
    types::{RoleConfiguration, ScrapeConfiguration},
};
use driver::demo;
use serde_json::{Value, json};

fn id(output: &Value) -> &str {
    text(&output["scraperArn"]).rsplit('/').next().unwrap()
}

/// Samples get through this scraper and no other, and there is only this one.
async fn is_connected(place: &Place, output: &Value) {
    let arn = text(&output["scraperArn"]);
    assert_eq!(place.scrapers().await, [(arn.to_owned(), "ACTIVE".to_owned())]);
    let tried = attempt(output, arn);
    assert_eq!(tried["written"], true, "{tried}");
}

#[tokio::test]
async fn a_deleted_scraper_is_made_anew_and_the_old_one_trusted_no_more() {
    let place = world().place(SOURCE, TARGET);
    // Long enough to be seen by whoever comes next, and less than the hour that is waited for it.
    let cluster = demo::Cluster::named("deleted").tag("local:deleting-minutes", "45");
    let request = place.pair_of(&cluster).await;
    let first = place.onboarded(&request).await;
    place
        .source
        .amp()
        .delete_scraper()
        .scraper_id(id(&first))
        .send()
        .await
        .unwrap();
    // It is still being deleted: the run waits until it is gone.
    let second = place.onboarded(&request).await;
    assert_eq!(second["created"], json!(["scraper"]));
    assert_eq!(
        second["repaired"],
        json!(["source role: trust policy", "target role: trust policy"]),
        "shut, before another scraper was made"
    );
    let replaced = second["replaced"].as_array().unwrap();
    assert_eq!(
        replaced,
        &[json!(format!("{} is DELETING", text(&first["scraperArn"])))]
    );
    is_connected(&place, &second).await;
    assert_eq!(attempt(&second, text(&first["scraperArn"]))["written"], false);
}

#[tokio::test]
async fn a_failed_scraper_is_replaced() {
    let place = world().place(SOURCE, TARGET);
    let cluster = demo::Cluster::named("failed").tag("local:activation-fails", "no route");
    let request = place.pair_of(&cluster).await;
    let run = place
        .onboard(&with(&request, json!({ "onFailure": "DO_NOTHING" })))
        .await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    let eks = place.source.eks();
    let untag = eks
        .untag_resource()
        .resource_arn(text(&request["clusterArn"]))
        .tag_keys("local:activation-fails");
    untag.send().await.unwrap();
    let output = place.onboarded(&request).await;
    assert_eq!(output["created"], json!(["scraper"]));
    assert!(
        text(&output["replaced"][0]).ends_with(" is CREATION_FAILED"),
        "{output}"
    );
    is_connected(&place, &output).await;
}

#[tokio::test]
async fn a_new_cluster_under_an_old_ones_name_does_not_inherit_its_scraper() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("reborn").await;
    let first = place.onboarded(&request).await;
    place.source.eks().delete_cluster().name("reborn").send().await.unwrap();
    let arn = demo::Cluster::named("reborn").make(&place.source).await.unwrap();
    assert_eq!(arn, text(&request["clusterArn"]));
    let second = place.onboarded(&request).await;
    assert_ne!(second["scraperArn"], first["scraperArn"]);
    let replaced = text(&second["replaced"][0]);
    assert!(
        replaced.starts_with(text(&first["scraperArn"])) && replaced.contains("older than the cluster"),
        "{replaced}"
    );
    is_connected(&place, &second).await;
}

#[tokio::test]
async fn a_scraper_that_differs_from_the_request_is_updated() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("differs").await;
    let first = place.onboarded(&request).await;
    let yaml = "scrape_configs:\n  - job_name: pods\n    kubernetes_sd_configs:\n      - role: pod\n";
    let wanted = with(
        &request,
        json!({ "alias": "renamed", "scrapeConfiguration": yaml, "externalLabels": { "team": "payments" }, "tags": { "team": "payments" } }),
    );
    let second = place.onboarded(&wanted).await;
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
    let amp = place.source.amp();
    let shown = amp
        .describe_scraper()
        .scraper_id(id(&first))
        .send()
        .await
        .unwrap()
        .scraper
        .unwrap();
    assert_eq!(shown.alias(), Some("renamed"));
    assert_eq!(shown.tags().unwrap()["team"], "payments");
    let Some(ScrapeConfiguration::ConfigurationBlob(blob)) = shown.scrape_configuration() else {
        panic!("no configuration");
    };
    let there = String::from_utf8(blob.as_ref().to_vec()).unwrap();
    assert!(there.contains("pods") && there.contains("team"), "{there}");
    is_connected(&place, &second).await;
    let third = place.onboarded(&wanted).await;
    assert_eq!(
        (&third["repaired"], &third["activationMinutes"]),
        (&json!([]), &json!(0))
    );
}

#[tokio::test]
async fn a_scraper_that_was_given_other_roles_or_another_configuration_gets_its_own_back() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("by-hand").await;
    let output = place.onboarded(&request).await;
    let other = place.onboarded(&place.pair("neighbour").await).await;
    let amp = place.source.amp();
    let roles = RoleConfiguration::builder()
        .source_role_arn(text(&other["sourceRoleArn"]))
        .target_role_arn(text(&other["targetRoleArn"]))
        .build();
    let yaml = "scrape_configs:\n  - job_name: by-hand\n";
    let update = amp.update_scraper().scraper_id(id(&output)).role_configuration(roles);
    let configuration = ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml));
    update.scrape_configuration(configuration).send().await.unwrap();
    // It is UPDATING still: the run lets it settle first.
    let again = place.onboarded(&request).await;
    assert_eq!(
        again["repaired"],
        json!(["scraper: roles", "scraper: scrape configuration"])
    );
    let shown = amp
        .describe_scraper()
        .scraper_id(id(&output))
        .send()
        .await
        .unwrap()
        .scraper
        .unwrap();
    let roles = shown.role_configuration().unwrap();
    assert_eq!(roles.source_role_arn(), output["sourceRoleArn"].as_str());
    assert_eq!(roles.target_role_arn(), output["targetRoleArn"].as_str());
    assert_eq!(attempt(&output, text(&output["scraperArn"]))["written"], true);
}
