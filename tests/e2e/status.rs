//! `ampxa status`: the list of pairs and their drift.

use crate::deployment::{SOURCE, TARGET, deployment, pair_of, text, with};
use ampxa_cli::{
    credentials::{Credentials, Source},
    status::{self, Fleet, Standing},
    terminal::Report,
};
use driver::http::{self, Server};
use serde_json::json;
use std::time::Duration;

/// The result of `ampxa status` for the source account.
async fn fleet(url: &str, regions: &[&str]) -> Fleet {
    let credentials = Credentials::new(Source::LocalCloud { url: url.to_owned() }).unwrap();
    let regions: Vec<String> = regions.iter().map(|region| (*region).to_owned()).collect();
    status::look(&credentials, &[SOURCE.to_owned()], &regions, &Report::quiet()).await
}

/// The pairs in a Region of the source account.
async fn pairs_in(region: &str) -> Vec<Standing> {
    let fleet = fleet(&deployment().cloud.url, &[region]).await;
    assert!(fleet.not_checked.is_empty(), "{fleet:?}");
    fleet.pairs
}

#[tokio::test]
async fn every_pair_is_listed_with_its_drift() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let region = accounts.source.region.as_str();
    assert!(pairs_in(region).await.is_empty());

    let (fine, drifted) = (accounts.pair("fine").await, accounts.pair("drifted").await);
    let fine = with(&fine, json!({ "externalLabels": { "cluster": "another name" } }));
    let output = accounts.onboarded(&fine).await;
    accounts
        .onboarded(&with(&drifted, json!({ "tags": { "team": "a" } })))
        .await;
    let (pair, target) = (pair_of(&drifted), accounts.target.iam());
    let name = pair.target_role_name();
    target
        .delete_role_permissions_boundary()
        .role_name(&name)
        .send()
        .await
        .unwrap();
    let empty = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let trust = target.update_assume_role_policy().role_name(&name);
    trust.policy_document(empty).send().await.unwrap();
    let source = pair.source_role_name();
    let policy = accounts
        .source
        .iam()
        .delete_role_policy()
        .role_name(&source)
        .policy_name("ampxa");
    policy.send().await.unwrap();
    accounts
        .source
        .iam()
        .delete_role()
        .role_name(&source)
        .send()
        .await
        .unwrap();

    let fine_arn = text(&fine["clusterArn"]);
    let receives = |all: &[Standing]| all.iter().any(|one| one.cluster_arn == fine_arn && one.fine);
    let mut all = pairs_in(region).await;
    for _ in 0..200 {
        if !receives(&all) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            all = pairs_in(region).await;
        }
    }
    let of = |cluster: &str| {
        all.iter()
            .find(|one| one.cluster_arn == cluster)
            .expect("the pair is not listed")
    };
    let healthy = of(fine_arn);
    assert_eq!(healthy.scraper_arn.as_deref(), Some(text(&output["scraperArn"])));
    assert_eq!(
        (healthy.scraper_status.as_str(), &healthy.drift, &healthy.problems),
        ("ACTIVE", &vec![], &vec![])
    );
    assert!(healthy.fine && healthy.age_hours.unwrap() < 24.0, "{healthy:?}");
    let broken = of(text(&drifted["clusterArn"]));
    let drift = [
        "source role: missing",
        "target role: permissions boundary",
        "target role: trust policy",
    ];
    assert_eq!(broken.drift, drift);
    assert!(!broken.fine && broken.problems.is_empty(), "{broken:?}");

    let fleet = fleet(&deployment().cloud.url, &[region]).await;
    let table = fleet.table();
    assert!(
        table.contains("source role: missing; target role: permissions boundary")
            && table.contains("2 pairs in account 222222222222, "),
        "{table}"
    );
    accounts.onboarded(&drifted).await;
    assert!(pairs_in(region).await.iter().all(|one| one.drift.is_empty()));
}

#[tokio::test]
async fn a_pair_without_its_scraper_is_listed_as_drift() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("bereft").await;
    let output = accounts.onboarded(&request).await;
    accounts.delete_scraper(&output["scraperArn"]).await;
    let region = accounts.source.region.as_str();
    for _ in 0..600 {
        if accounts.scrapers().await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = pairs_in(region).await;
    let [only] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(only.cluster_arn, text(&request["clusterArn"]));
    assert_eq!(
        (only.scraper_arn.as_deref(), only.scraper_status.as_str()),
        (None, "NONE")
    );
    assert_eq!(only.drift, ["scraper: missing"]);
    assert!(!only.fine && only.problems.is_empty(), "{only:?}");
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_listed() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    accounts.onboarded(&accounts.pair("seen").await).await;
    // Nothing listens at the URL: the cloud has stopped after the command found it.
    let cloud = Server::start(|_, connection| http::answer(connection, "200 OK", &[], b"{}")).unwrap();
    let url = format!("http://{}", cloud.address);
    let credentials = Credentials::new(Source::LocalCloud { url }).unwrap();
    drop(cloud);
    let regions = [accounts.source.region.clone()];
    let fleet = status::look(&credentials, &[SOURCE.to_owned()], &regions, &Report::quiet()).await;
    assert!(fleet.pairs.is_empty() && !fleet.is_whole(), "{fleet:?}");
    assert!(
        fleet.table().contains(&format!("NOT CHECKED: account {SOURCE}")),
        "{}",
        fleet.table()
    );
}
