//! A failed run deletes what it created, and nothing else.

use crate::deployment::{SOURCE, TARGET, deployment, text, with};
use driver::demo;
use serde_json::{Value, json};

/// A cluster whose scrapers all fail.
fn failing(name: &str) -> demo::Cluster {
    demo::Cluster::named(name).tag("local:activation-fails", "cannot reach the API")
}

#[tokio::test]
async fn a_failed_run_deletes_what_it_created_and_reports_it() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair_of(&failing("undone")).await;
    let run = accounts.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    let cause = run.cause.unwrap();
    assert!(cause.contains("CREATION_FAILED: cannot reach the API"), "{cause}");
    let report = "Nothing that this execution created is left; removed: arn:aws:aps:";
    assert!(cause.contains(report), "{cause}");
    for role in ["role/ampxa-target-undone-", "role/ampxa-source-undone-"] {
        assert!(cause.contains(role), "{cause}");
    }
    let order: Vec<&str> = run.states.iter().map(|state| state.name.as_str()).collect();
    let at = |name: &str| order.iter().rposition(|state| *state == name).unwrap();
    assert!(at("Remove scraper") < at("Remove target role") && at("Remove target role") < at("Remove source role"));
    assert_eq!(order.last(), Some(&"Onboarding failed"));
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn resources_that_a_failed_run_keeps_are_reported_and_can_be_offboarded() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair_of(&failing("kept")).await;
    let run = accounts
        .onboard(&with(&request, json!({ "onFailure": "DO_NOTHING" })))
        .await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    let cause = run.cause.unwrap();
    assert!(cause.contains("are kept") && cause.contains(&run.arn), "{cause}");
    let [(scraper, status)] = &accounts.scrapers().await[..] else {
        panic!("expected one scraper");
    };
    assert_eq!(status, "CREATION_FAILED");

    let output = accounts.offboarded(&request).await;
    let removed: Vec<&str> = output["removed"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(removed.len(), 3, "{removed:?}");
    assert_eq!(removed[0], scraper);
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn roles_of_an_earlier_run_are_kept_with_the_placeholder() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("earlier").await;
    let output = accounts.onboarded(&request).await;
    let (source, target) = accounts.roles(&output).await;
    accounts.delete_scraper(&output["scraperArn"]).await;
    // The next scraper of this cluster fails.
    let tags = [("local:activation-fails".to_owned(), "cannot reach the API".to_owned())];
    let tag = accounts
        .source
        .eks()
        .tag_resource()
        .resource_arn(text(&request["clusterArn"]));
    tag.set_tags(Some(tags.into())).send().await.unwrap();

    let run = accounts.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"));
    assert_eq!(accounts.scrapers().await, [], "the scraper of the failed run is left");
    let (source_now, target_now) = accounts.roles(&output).await;
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
        "the trust policy does not contain the placeholder: {external_id}"
    );
    let cause = run.cause.unwrap();
    assert!(!cause.contains("role/ampxa-"), "a role was removed: {cause}");
}

#[tokio::test]
async fn a_rollback_that_cannot_finish_lists_what_is_left() {
    let accounts = deployment().new_accounts();
    let iam = accounts.target.iam();
    let denial = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "iam:DeleteRole", "Resource": "*" }
    ] });
    let provisioner = "ampxa-provisioner-target";
    let put = iam.put_role_policy().role_name(provisioner).policy_name("denial");
    put.policy_document(denial.to_string()).send().await.unwrap();
    let request = accounts.pair_of(&failing("left")).await;
    let run = accounts.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("ScraperFailed"), "not the first error");
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
    assert_eq!(accounts.scrapers().await, []);

    iam.delete_role_policy()
        .role_name(provisioner)
        .policy_name("denial")
        .send()
        .await
        .unwrap();
    let output = accounts
        .offboarded(&json!({ "clusterArn": request["clusterArn"] }))
        .await;
    assert_eq!(output["removed"].as_array().map(Vec::len), Some(2), "{output}");
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn a_run_that_fails_before_it_creates_anything_is_not_rolled_back() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let mut request = accounts.pair("nothing").await;
    request["clusterArn"] = json!(text(&request["clusterArn"]).replace("nothing", "no-such-cluster"));
    let run = accounts.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("NotReady"));
    let cause = run.cause.unwrap();
    assert!(cause.ends_with(" Nothing was created."), "{cause}");
    let entered: Vec<&str> = run.states.iter().map(|state| state.name.as_str()).collect();
    assert!(!entered.contains(&"Is rollback requested?"), "{entered:?}");
    assert_eq!(Value::Null, run.output.unwrap_or_default());
}
