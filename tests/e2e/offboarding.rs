//! Offboarding: all of a pair goes, whatever of it is still there, and nothing else.

use crate::world::{BOTH, SOURCE, TARGET, text, with, world};
use driver::demo;
use serde_json::{Value, json};

fn name_of(arn: &Value) -> &str {
    text(arn).rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_pair_goes_whole_and_can_come_back() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("leaving").await;
    let output = place.onboarded(&request).await;
    let gone = place.offboarded(&request).await;
    let removed = json!([output["scraperArn"], output["targetRoleArn"], output["sourceRoleArn"]]);
    assert_eq!(gone["removed"], removed);
    assert_eq!(gone["skipped"], json!([]));
    let pair = json!({ "clusterArn": request["clusterArn"], "workspaceArn": request["workspaceArn"], "removed": removed, "skipped": [] });
    assert_eq!(gone["pairs"], json!([pair]));
    place.nothing_was_made().await;

    let again = place.offboarded(&request).await;
    assert_eq!(
        (&again["removed"], &again["skipped"]),
        (&json!([]), &json!([])),
        "what is gone is gone"
    );
    let back = place.onboarded(&request).await;
    assert_eq!(back["created"], json!(["source role", "target role", "scraper"]));
    assert_ne!(back["scraperArn"], output["scraperArn"]);
}

#[tokio::test]
async fn a_cluster_alone_is_disconnected_from_all_its_workspaces() {
    let place = world().place(BOTH, BOTH);
    let request = place.pair("many").await;
    let other_workspace = demo::workspace(&place.target, "second").await.unwrap();
    let other = with(&request, json!({ "workspaceArn": other_workspace }));
    let stays = place.onboarded(&place.pair("many2").await).await;
    place.onboarded(&request).await;
    let second = place.onboarded(&other).await;
    // Of one pair only the roles are left: they are found by the source role.
    let id = name_of(&second["scraperArn"]);
    place.source.amp().delete_scraper().scraper_id(id).send().await.unwrap();
    let gone = place.offboarded(&json!({ "clusterArn": request["clusterArn"] })).await;
    assert_eq!(gone["pairs"].as_array().map(Vec::len), Some(2), "{gone}");
    let scrapers = place.scrapers().await;
    assert_eq!(scrapers, [(text(&stays["scraperArn"]).to_owned(), "ACTIVE".to_owned())]);
    for role in [&second["sourceRoleArn"], &second["targetRoleArn"]] {
        let found = place.source.iam().get_role().role_name(name_of(role)).send().await;
        assert!(found.is_err(), "{role} is still there");
    }
    place.roles(&stays).await;
}

#[tokio::test]
async fn whatever_is_gone_already_is_no_hindrance() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("half").await;
    let output = place.onboarded(&request).await;
    let name = name_of(&output["targetRoleArn"]);
    let iam = place.target.iam();
    let managed = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";
    iam.detach_role_policy()
        .role_name(name)
        .policy_arn(managed)
        .send()
        .await
        .unwrap();
    iam.delete_role_policy()
        .role_name(name)
        .policy_name("ampxa")
        .send()
        .await
        .unwrap();
    iam.delete_role().role_name(name).send().await.unwrap();
    place.source.eks().delete_cluster().name("half").send().await.unwrap();
    let gone = place.offboarded(&request).await;
    assert_eq!(gone["removed"], json!([output["scraperArn"], output["sourceRoleArn"]]));
    place.nothing_was_made().await;
}

#[tokio::test]
async fn what_people_attached_to_our_roles_goes_with_them() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("attached").await;
    let output = place.onboarded(&request).await;
    let name = name_of(&output["sourceRoleArn"]);
    let iam = place.source.iam();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    iam.put_role_policy()
        .role_name(name)
        .policy_name("theirs")
        .policy_document(policy)
        .send()
        .await
        .unwrap();
    let managed = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam.attach_role_policy()
        .role_name(name)
        .policy_arn(managed)
        .send()
        .await
        .unwrap();
    place.offboarded(&request).await;
    place.nothing_was_made().await;
}

#[tokio::test]
async fn resources_without_our_tags_stay_and_are_reported() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("theirs").await;
    let output = place.onboarded(&request).await;
    let name = name_of(&output["targetRoleArn"]);
    let untag = place
        .target
        .iam()
        .untag_role()
        .role_name(name)
        .tag_keys("ampxa:workspace");
    untag.send().await.unwrap();
    let gone = place.offboarded(&request).await;
    assert_eq!(gone["removed"], json!([output["scraperArn"], output["sourceRoleArn"]]));
    let left = gone["skipped"].as_array().unwrap();
    assert_eq!(left.len(), 1);
    assert!(text(&left[0]).starts_with(text(&output["targetRoleArn"])), "{left:?}");
    assert!(place.target.iam().get_role().role_name(name).send().await.is_ok());
}

#[tokio::test]
async fn a_bad_request_is_refused_by_its_field() {
    let place = world().place(SOURCE, TARGET);
    for (request, field) in [
        (json!({}), "clusterArn: missing"),
        (json!({ "clusterArn": "demo" }), "clusterArn: "),
        (
            json!({ "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/a", "alias": "a" }),
            "alias: unknown field",
        ),
    ] {
        let run = place.offboard(&request).await;
        assert_eq!(run.error.as_deref(), Some("InvalidRequest"));
        let cause = run.cause.unwrap();
        assert!(cause.starts_with(field), "{cause}");
        assert_eq!(run.states.len(), 2, "nothing was touched");
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_reached_is_named_and_the_other_pairs_go() {
    let place = world().place(BOTH, BOTH);
    let request = place.pair("reach").await;
    let output = place.onboarded(&request).await;
    // A scraper of ours into an account that has no provisioner.
    let far = text(&request["workspaceArn"]).replace(BOTH, "999999999999");
    let amp = place.source.amp();
    let id = name_of(&output["scraperArn"]);
    let tags = [("ampxa:workspace".to_owned(), far.clone())];
    let tag = amp.tag_resource().resource_arn(text(&output["scraperArn"]));
    tag.set_tags(Some(tags.into())).send().await.unwrap();
    let run = place.offboard(&json!({ "clusterArn": request["clusterArn"] })).await;
    assert_eq!(run.error.as_deref(), Some("AccessDenied"));
    let cause = run.cause.unwrap();
    assert!(cause.contains(&format!("Offboarding from {far} stopped: ")), "{cause}");
    assert!(cause.contains("infra/target-account.yaml"), "{cause}");
    let roles = place
        .source
        .iam()
        .get_role()
        .role_name(name_of(&output["sourceRoleArn"]))
        .send()
        .await;
    assert!(roles.is_err(), "the other pair is gone");
    assert_eq!(
        place.scrapers().await.len(),
        1,
        "{id} goes to a workspace that its tag does not name: it stays"
    );
}
