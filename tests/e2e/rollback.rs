//! A failing run takes away what it made, and nothing else.

use crate::world::{SOURCE, TARGET, text, with, world};
use driver::demo;
use serde_json::{Value, json};

/// A cluster whose scrapers all fail.
fn failing(name: &str) -> demo::Cluster {
    demo::Cluster::named(name).tag("local:activation-fails", "cannot reach the API")
}

#[tokio::test]
async fn a_failing_run_leaves_the_accounts_as_they_were_and_says_so() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair_of(&failing("undone")).await;
    let run = place.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    let cause = run.cause.unwrap();
    assert!(cause.contains("CREATION_FAILED: cannot reach the API"), "{cause}");
    let undone = "Nothing that this execution created is left; removed: arn:aws:aps:";
    assert!(cause.contains(undone), "{cause}");
    for role in ["role/ampxa-target-undone-", "role/ampxa-source-undone-"] {
        assert!(cause.contains(role), "{cause}");
    }
    let order: Vec<&str> = run.states.iter().map(|state| state.name.as_str()).collect();
    let at = |name: &str| order.iter().rposition(|state| *state == name).unwrap();
    assert!(at("Remove scraper") < at("Remove target role") && at("Remove target role") < at("Remove source role"));
    assert_eq!(order.last(), Some(&"Onboarding failed"));
    place.nothing_was_made().await;
}

#[tokio::test]
async fn what_a_failed_run_keeps_is_reported_and_can_be_offboarded() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair_of(&failing("kept")).await;
    let run = place
        .onboard(&with(&request, json!({ "onFailure": "DO_NOTHING" })))
        .await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    let cause = run.cause.unwrap();
    assert!(cause.contains("are kept") && cause.contains(&run.arn), "{cause}");
    let [(scraper, status)] = &place.scrapers().await[..] else {
        panic!("one scraper is kept");
    };
    assert_eq!(status, "CREATION_FAILED");

    let output = place.offboarded(&request).await;
    let removed: Vec<&str> = output["removed"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(removed.len(), 3, "{removed:?}");
    assert_eq!(removed[0], scraper);
    place.nothing_was_made().await;
}

#[tokio::test]
async fn what_an_earlier_run_built_stays_and_stays_shut() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("earlier").await;
    let output = place.onboarded(&request).await;
    let (source, target) = place.roles(&output).await;
    let scraper = text(&output["scraperArn"]);
    let id = scraper.rsplit('/').next().unwrap();
    place.source.amp().delete_scraper().scraper_id(id).send().await.unwrap();
    // Whatever scraper comes next fails.
    let tags = [("local:activation-fails".to_owned(), "cannot reach the API".to_owned())];
    let tag = place
        .source
        .eks()
        .tag_resource()
        .resource_arn(text(&request["clusterArn"]));
    tag.set_tags(Some(tags.into())).send().await.unwrap();

    let run = place.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    assert_eq!(place.scrapers().await, [], "its own scraper is undone");
    let (source_now, target_now) = place.roles(&output).await;
    assert_eq!(
        (&source_now["tags"], &target_now["tags"]),
        (&source["tags"], &target["tags"])
    );
    assert_eq!(
        (&source_now["policies"], &target_now["policies"]),
        (&source["policies"], &target["policies"])
    );
    let external_id = &target_now["trustPolicy"]["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"];
    assert!(
        text(external_id).ends_with(":scraper/*"),
        "the gate is shut: {external_id}"
    );
    let cause = run.cause.unwrap();
    assert!(!cause.contains("role/ampxa-"), "no role was removed: {cause}");
}

#[tokio::test]
async fn an_undo_that_cannot_finish_says_what_is_left_and_where() {
    let place = world().fresh_place();
    let iam = place.target.iam();
    let denial = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "iam:DeleteRole", "Resource": "*" }
    ] });
    let provisioner = "ampxa-target-provisioner";
    let put = iam.put_role_policy().role_name(provisioner).policy_name("denial");
    put.policy_document(denial.to_string()).send().await.unwrap();
    let request = place.pair_of(&failing("left")).await;
    let run = place.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"), "the first error's name");
    let cause = run.cause.unwrap();
    assert!(cause.contains("CREATION_FAILED"), "{cause}");
    let (_, left) = cause.split_once("The rollback did not finish: ").expect(&cause);
    let (why, left) = left
        .split_once(" What is left, if this execution created it: ")
        .expect(&cause);
    assert!(why.contains("iam:DeleteRole"), "{why}");
    let names = ["role/ampxa-target-left-", "role/ampxa-source-left-"];
    assert!(
        names.iter().all(|name| left.contains(name)) && !left.contains("scraper"),
        "{left}"
    );
    assert_eq!(place.scrapers().await, []);

    iam.delete_role_policy()
        .role_name(provisioner)
        .policy_name("denial")
        .send()
        .await
        .unwrap();
    let output = place.offboarded(&json!({ "clusterArn": request["clusterArn"] })).await;
    assert_eq!(output["removed"].as_array().map(Vec::len), Some(2), "{output}");
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_run_that_is_refused_before_it_makes_anything_has_nothing_to_undo() {
    let place = world().place(SOURCE, TARGET);
    let mut request = place.pair("nothing").await;
    request["clusterArn"] = json!(text(&request["clusterArn"]).replace("nothing", "no-such-cluster"));
    let run = place.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("NotReady"));
    let cause = run.cause.unwrap();
    assert!(cause.ends_with(" Nothing was created."), "{cause}");
    let entered: Vec<&str> = run.states.iter().map(|state| state.name.as_str()).collect();
    assert!(!entered.contains(&"Is rollback requested?"), "{entered:?}");
    assert_eq!(Value::Null, run.output.unwrap_or_default());
}
