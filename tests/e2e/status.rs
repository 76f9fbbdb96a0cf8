//! What operators are told of the pairs there are.

use crate::world::{SOURCE, TARGET, pair_of, text, with, world};
use local::status::{self, Standing, Way};
use serde_json::json;
use std::time::Duration;

async fn look(region: &str) -> Vec<Standing> {
    let way = Way::Local {
        url: world().cloud.url.clone(),
    };
    status::look(&way, &[SOURCE.to_owned()], &[region.to_owned()])
        .await
        .unwrap()
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
    let arrive = |all: &[Standing]| all.iter().any(|one| one.cluster_arn == fine_arn && one.is_fine());
    let mut all = look(region).await;
    for _ in 0..200 {
        if !arrive(&all) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            all = look(region).await;
        }
    }
    let of = |cluster: &str| all.iter().find(|one| one.cluster_arn == cluster).expect("it is listed");
    let good = of(fine_arn);
    assert_eq!(good.scraper_arn, text(&output["scraperArn"]));
    assert_eq!(
        (good.scraper_status.as_str(), &good.drift, &good.problems),
        ("ACTIVE", &vec![], &vec![])
    );
    assert!(good.is_fine() && good.age_hours < 24.0, "{good:?}");
    let bad = of(text(&drifted["clusterArn"]));
    let drift = [
        "source role: missing",
        "target role: trust policy",
        "target role: permissions boundary",
    ];
    assert_eq!(bad.drift, drift);
    assert!(!bad.is_fine() && bad.problems.is_empty(), "{bad:?}");

    let table = status::table(&all);
    assert!(
        table.contains("source role: missing; target role: trust policy") && table.contains("2 pairs, "),
        "{table}"
    );
    place.onboarded(&drifted).await;
    assert!(look(region).await.iter().all(|one| one.drift.is_empty()));
}
