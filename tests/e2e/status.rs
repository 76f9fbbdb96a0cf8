//! What operators are told of the pairs there are.

use crate::world::{SOURCE, TARGET, pair_of, text, with, world};
use ampxa_cli::{
    credentials::{Credentials, Source},
    status::{self, Fleet, Standing},
    terminal::Report,
};
use serde_json::json;
use std::time::Duration;

async fn fleet(url: &str, regions: &[&str]) -> Fleet {
    let credentials = Credentials::new(Source::LocalCloud { url: url.to_owned() }).unwrap();
    let regions: Vec<String> = regions.iter().map(|region| (*region).to_owned()).collect();
    status::look(&credentials, &[SOURCE.to_owned()], &regions, &Report::quiet()).await
}

async fn look(region: &str) -> Vec<Standing> {
    let fleet = fleet(&world().cloud.url, &[region]).await;
    assert!(fleet.not_looked_at.is_empty(), "{fleet:?}");
    fleet.pairs
}

#[tokio::test]
async fn every_pair_is_listed_with_its_drift() {
    let place = world().place(SOURCE, TARGET);
    let region = place.source.region.as_str();
    assert!(look(region).await.is_empty());

    let (fine, drifted) = (place.pair("fine").await, place.pair("drifted").await);
    let fine = with(&fine, json!({ "externalLabels": { "clusterArn": "another name" } }));
    let output = place.onboarded(&fine).await;
    place
        .onboarded(&with(&drifted, json!({ "tags": { "team": "a" } })))
        .await;
    let (pair, target) = (pair_of(&drifted), place.target.iam());
    let name = pair.target_role_name();
    target
        .delete_role_permissions_boundary()
        .role_name(&name)
        .send()
        .await
        .unwrap();
    let nobody = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let trust = target.update_assume_role_policy().role_name(&name);
    trust.policy_document(nobody).send().await.unwrap();
    let source = pair.source_role_name();
    let policy = place
        .source
        .iam()
        .delete_role_policy()
        .role_name(&source)
        .policy_name("ampxa");
    policy.send().await.unwrap();
    place
        .source
        .iam()
        .delete_role()
        .role_name(&source)
        .send()
        .await
        .unwrap();

    let fine_arn = text(&fine["clusterArn"]);
    let arrive = |all: &[Standing]| all.iter().any(|one| one.cluster_arn == fine_arn && one.fine);
    let mut all = look(region).await;
    for _ in 0..200 {
        if !arrive(&all) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            all = look(region).await;
        }
    }
    let of = |cluster: &str| all.iter().find(|one| one.cluster_arn == cluster).expect("it is listed");
    let good = of(fine_arn);
    assert_eq!(good.scraper_arn.as_deref(), Some(text(&output["scraperArn"])));
    assert_eq!(
        (good.scraper_status.as_str(), &good.drift, &good.problems),
        ("ACTIVE", &vec![], &vec![])
    );
    assert!(good.fine && good.age_hours.unwrap() < 24.0, "{good:?}");
    let bad = of(text(&drifted["clusterArn"]));
    let drift = [
        "source role: missing",
        "target role: trust policy",
        "target role: permissions boundary",
    ];
    assert_eq!(bad.drift, drift);
    assert!(!bad.fine && bad.problems.is_empty(), "{bad:?}");

    let fleet = fleet(&world().cloud.url, &[region]).await;
    let table = fleet.table();
    assert!(
        table.contains("source role: missing; target role: trust policy")
            && table.contains("2 pairs in account 222222222222, "),
        "{table}"
    );
    place.onboarded(&drifted).await;
    assert!(look(region).await.iter().all(|one| one.drift.is_empty()));
}

#[tokio::test]
async fn a_pair_that_lost_its_scraper_is_listed_as_such() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("bereft").await;
    let output = place.onboarded(&request).await;
    let id = text(&output["scraperArn"]).rsplit('/').next().unwrap();
    let removal = place.source.amp().delete_scraper().scraper_id(id).send().await;
    removal.unwrap();
    let region = place.source.region.as_str();
    for _ in 0..600 {
        if place.scrapers().await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = look(region).await;
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
async fn what_cannot_be_looked_at_is_listed() {
    let place = world().place(SOURCE, TARGET);
    place.onboarded(&place.pair("seen").await).await;
    // The cloud stops after the command has found it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let credentials = Credentials::new(Source::LocalCloud { url }).unwrap();
    drop(listener);
    let regions = [place.source.region.clone()];
    let nowhere = status::look(&credentials, &[SOURCE.to_owned()], &regions, &Report::quiet()).await;
    assert!(nowhere.pairs.is_empty() && !nowhere.is_whole(), "{nowhere:?}");
    assert!(
        nowhere.table().contains(&format!("NOT LOOKED AT: account {SOURCE}")),
        "{}",
        nowhere.table()
    );
}
