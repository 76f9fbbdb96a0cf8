//! Offboarding deletes all resources of a pair that exist, and nothing else.

use crate::deployment::{BOTH, SOURCE, TARGET, deployment, text, with};
use ampxa_cli::account::Account;
use driver::demo;
use serde_json::{Value, json};

fn name_of(arn: &Value) -> &str {
    text(arn).rsplit('/').next().unwrap()
}

#[tokio::test]
async fn an_offboarded_pair_is_deleted_completely_and_can_be_onboarded_again() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("leaving").await;
    let output = accounts.onboarded(&request).await;
    let offboarded = accounts.offboarded(&request).await;
    let removed = json!([output["scraperArn"], output["targetRoleArn"], output["sourceRoleArn"]]);
    assert_eq!(offboarded["removed"], removed);
    assert_eq!(offboarded["skipped"], json!([]));
    let pair = json!({
        "clusterArn": request["clusterArn"],
        "workspaceArn": request["workspaceArn"],
        "removed": removed,
        "skipped": [],
    });
    assert_eq!(offboarded["pairs"], json!([pair]));
    accounts.assert_nothing_was_created().await;

    let again = accounts.offboarded(&request).await;
    assert_eq!(
        (&again["removed"], &again["skipped"]),
        (&json!([]), &json!([])),
        "a second offboarding found something to remove"
    );
    let second = accounts.onboarded(&request).await;
    assert_eq!(second["created"], json!(["source role", "target role", "scraper"]));
    assert_ne!(second["scraperArn"], output["scraperArn"]);
}

#[tokio::test]
async fn a_request_without_a_workspace_offboards_all_pairs_of_the_cluster() {
    let accounts = deployment().accounts(BOTH, BOTH);
    let request = accounts.pair("many").await;
    let other_workspace = demo::workspace(&accounts.target, "second").await.unwrap();
    let other = with(&request, json!({ "workspaceArn": other_workspace }));
    let unrelated = accounts.onboarded(&accounts.pair("many2").await).await;
    accounts.onboarded(&request).await;
    let second = accounts.onboarded(&other).await;
    // One pair has no scraper any more. It is found by the tags of its source role.
    accounts.delete_scraper(&second["scraperArn"]).await;
    let offboarded = accounts
        .offboarded(&json!({ "clusterArn": request["clusterArn"] }))
        .await;
    assert_eq!(offboarded["pairs"].as_array().map(Vec::len), Some(2), "{offboarded}");
    let scrapers = accounts.scrapers().await;
    assert_eq!(
        scrapers,
        [(text(&unrelated["scraperArn"]).to_owned(), "ACTIVE".to_owned())]
    );
    for role in [&second["sourceRoleArn"], &second["targetRoleArn"]] {
        let found = accounts.source.iam().get_role().role_name(name_of(role)).send().await;
        assert!(found.is_err(), "{role} was not deleted");
    }
    accounts.roles(&unrelated).await;
}

#[tokio::test]
async fn an_offboarding_succeeds_without_the_target_role_and_the_cluster() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("half").await;
    let output = accounts.onboarded(&request).await;
    let name = name_of(&output["targetRoleArn"]);
    let iam = accounts.target.iam();
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
    accounts
        .source
        .eks()
        .delete_cluster()
        .name("half")
        .send()
        .await
        .unwrap();
    let offboarded = accounts.offboarded(&request).await;
    assert_eq!(
        offboarded["removed"],
        json!([output["scraperArn"], output["sourceRoleArn"]])
    );
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn policies_that_were_added_to_our_roles_are_removed_with_them() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("attached").await;
    let output = accounts.onboarded(&request).await;
    let name = name_of(&output["sourceRoleArn"]);
    let iam = accounts.source.iam();
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
    accounts.offboarded(&request).await;
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn a_role_without_our_tags_is_skipped_and_reported() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("theirs").await;
    let output = accounts.onboarded(&request).await;
    let name = name_of(&output["targetRoleArn"]);
    let untag = accounts
        .target
        .iam()
        .untag_role()
        .role_name(name)
        .tag_keys("ampxa:workspace");
    untag.send().await.unwrap();
    let offboarded = accounts.offboarded(&request).await;
    assert_eq!(
        offboarded["removed"],
        json!([output["scraperArn"], output["sourceRoleArn"]])
    );
    let skipped = offboarded["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1);
    assert!(
        text(&skipped[0]).starts_with(text(&output["targetRoleArn"])),
        "{skipped:?}"
    );
    assert!(accounts.target.iam().get_role().role_name(name).send().await.is_ok());
}

#[tokio::test]
async fn an_invalid_request_fails_with_the_path_of_its_field() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    for (request, field) in [
        (json!({}), "clusterArn: missing"),
        (json!({ "clusterArn": "demo" }), "clusterArn: "),
        (
            json!({ "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/a", "alias": "a" }),
            "alias: unknown field",
        ),
    ] {
        let run = accounts.offboard(&request).await;
        assert_eq!(run.error.as_deref(), Some("InvalidRequest"));
        let cause = run.cause.unwrap();
        assert!(cause.starts_with(field), "{cause}");
        assert_eq!(run.states.len(), 2, "a state ran after the check of the request");
    }
}

#[tokio::test]
async fn an_unreachable_account_is_named_and_the_other_pairs_are_offboarded() {
    let accounts = deployment().accounts(BOTH, BOTH);
    let request = accounts.pair("reach").await;
    let output = accounts.onboarded(&request).await;
    // The tag of the scraper names a workspace in an account that has no provisioner.
    let unreachable = text(&request["workspaceArn"]).replace(BOTH, "999999999999");
    let amp = accounts.source.amp();
    let id = name_of(&output["scraperArn"]);
    let tags = [("ampxa:workspace".to_owned(), unreachable.clone())];
    let tag = amp.tag_resource().resource_arn(text(&output["scraperArn"]));
    tag.set_tags(Some(tags.into())).send().await.unwrap();
    let run = accounts.offboard(&json!({ "clusterArn": request["clusterArn"] })).await;
    assert_eq!(run.error.as_deref(), Some("AccessDenied"));
    let cause = run.cause.unwrap();
    assert!(
        cause.contains(&format!("Offboarding from {unreachable} stopped: ")),
        "{cause}"
    );
    assert!(cause.contains("infra/target-account.yaml"), "{cause}");
    let source_role = accounts
        .source
        .iam()
        .get_role()
        .role_name(name_of(&output["sourceRoleArn"]))
        .send()
        .await;
    assert!(source_role.is_err(), "the roles of the other pair were not deleted");
    assert_eq!(
        accounts.scrapers().await.len(),
        1,
        "the scraper {id} was deleted, although its tag names another workspace than its own"
    );
}

/// A trust policy that admits another principal than the hub, as after an account has left the organization.
const OTHER_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}]}"#;

async fn set_trust(account: &Account, role: &str, trust: &str) {
    let update = account.iam().update_assume_role_policy().role_name(role);
    update.policy_document(trust).send().await.unwrap();
}

/// Offboards a pair while a provisioner trusts another principal; returns the cause. Then offboards it again.
async fn incomplete(lost: &str) -> (Value, String) {
    let accounts = deployment().new_accounts();
    let request = accounts.pair("lost").await;
    let output = accounts.onboarded(&request).await;
    let (account, role) = match lost {
        "source" => (&accounts.source, "ampxa-provisioner-source"),
        _ => (&accounts.target, "ampxa-provisioner-target"),
    };
    let trust = account
        .iam()
        .get_role()
        .role_name(role)
        .send()
        .await
        .unwrap()
        .role
        .unwrap();
    let trust = ampxa::roles::document(trust.assume_role_policy_document().unwrap());
    set_trust(account, role, OTHER_TRUST).await;
    let run = accounts.offboard(&request).await;
    let cause = run.cause.unwrap_or_default();
    assert_eq!(run.error.as_deref(), Some("OffboardingIncomplete"), "{cause}");
    let attempt = crate::deployment::attempt(&output, text(&output["scraperArn"]));
    assert_eq!(attempt["written"], false, "{attempt}");
    set_trust(account, role, &trust.to_string()).await;
    accounts.offboarded(&request).await;
    accounts.assert_nothing_was_created().await;
    (output, cause)
}

#[tokio::test]
async fn a_lost_source_account_does_not_keep_the_target_role() {
    let (output, cause) = incomplete("source").await;
    for expected in [
        "this is left: the scraper of arn:aws:eks:",
        text(&output["sourceRoleArn"]),
        "ampxa-provisioner-source cannot be assumed",
        &format!(": {}.", text(&output["targetRoleArn"])),
    ] {
        assert!(cause.contains(expected), "{expected}: {cause}");
    }
}

#[tokio::test]
async fn a_lost_target_account_does_not_keep_the_scraper_and_the_source_role() {
    let (output, cause) = incomplete("target").await;
    for expected in [
        &format!("this is left: {}. ", text(&output["targetRoleArn"])),
        "ampxa-provisioner-target cannot be assumed",
        &format!(": {}, {}.", text(&output["scraperArn"]), text(&output["sourceRoleArn"])),
    ] {
        assert!(cause.contains(expected), "{expected}: {cause}");
    }
}

/// The scraper of a pair that is not named is found only in the source account, and nothing is removed without it.
#[tokio::test]
async fn a_request_without_a_workspace_keeps_everything_if_the_source_account_is_lost() {
    let accounts = deployment().new_accounts();
    let request = accounts.pair("unnamed").await;
    accounts.onboarded(&request).await;
    for role in ["ampxa-provisioner-source", "ampxa-reader-source"] {
        set_trust(&accounts.source, role, OTHER_TRUST).await;
    }
    let before = accounts.resources();
    let run = accounts.offboard(&json!({ "clusterArn": request["clusterArn"] })).await;
    assert_eq!(run.error.as_deref(), Some("AccessDenied"), "{:?}", run.cause);
    assert!(
        run.cause
            .unwrap_or_default()
            .contains("add the workspace to the request")
    );
    assert_eq!(accounts.resources(), before);
}
