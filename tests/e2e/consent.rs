//! Consent: no account is connected to a workspace whose owner has not accepted it.

use crate::{
    command::{commands_of, run_command},
    deployment::{Accounts, deployment, text},
};
use aws_sdk_iam::types::Tag;
use driver::demo;
use serde_json::{Value, json};

/// A cluster that can be scraped, and a workspace with a value of the tag `ampxa:accept`, or without the tag.
async fn pair_with(accounts: &Accounts, name: &str, accept: Option<&str>) -> Value {
    let cluster = demo::Cluster::named(name).make(&accounts.source).await.unwrap();
    let workspace = demo::workspace_that_accepts(&accounts.target, name, accept)
        .await
        .unwrap();
    json!({ "clusterArn": cluster, "workspaceArn": workspace })
}

/// Onboards; asserts that the execution ends as `NotAccepted`; returns the cause.
async fn not_accepted(accounts: &Accounts, request: &Value) -> String {
    let before = accounts.resources();
    let run = accounts.onboard(request).await;
    let cause = run.cause.unwrap_or_default();
    assert_eq!(run.error.as_deref(), Some("NotAccepted"), "{cause}");
    assert_eq!(accounts.resources(), before, "resources were changed");
    cause
}

/// Runs the command of a cause with the AWS CLI, as the root user of the target account.
fn run_command_of(accounts: &Accounts, cause: &str) {
    let command = *commands_of(cause).first().expect("the cause contains no command");
    run_command(&accounts.target, command).unwrap();
}

#[tokio::test]
async fn a_workspace_is_connected_only_after_its_owner_has_run_the_command_of_the_cause() {
    let accounts = deployment().new_accounts();
    for (name, accept, reason) in [
        ("untagged", None, "it has no tag ampxa:accept."),
        ("other", Some("777777777777 777777777778"), "does not name the account"),
    ] {
        let request = pair_with(&accounts, name, accept).await;
        let cause = not_accepted(&accounts, &request).await;
        assert!(
            cause.contains(reason) && cause.contains("Nothing was created."),
            "{cause}"
        );
        accounts.assert_nothing_was_created().await;
        run_command_of(&accounts, &cause);
        let workspace = text(&request["workspaceArn"]);
        let id = workspace.rsplit('/').next().unwrap();
        let described = accounts.target.amp().describe_workspace().workspace_id(id).send().await;
        let tags = described.unwrap().workspace.unwrap().tags.unwrap();
        let expected = [accept.unwrap_or_default(), &accounts.source.id].join(" ");
        assert_eq!(tags["ampxa:accept"], expected.trim());
        accounts.onboarded(&request).await;
        accounts.offboarded(&request).await;
    }
}

#[tokio::test]
async fn a_pair_that_is_not_accepted_any_more_is_reported_and_kept_until_it_is_offboarded() {
    let accounts = deployment().new_accounts();
    let request = pair_with(&accounts, "revoked", Some(&accounts.source.id)).await;
    accounts.onboarded(&request).await;
    let amp = accounts.target.amp();
    let untag = amp.untag_resource().resource_arn(text(&request["workspaceArn"]));
    untag.tag_keys("ampxa:accept").send().await.unwrap();
    let cause = not_accepted(&accounts, &request).await;
    assert!(cause.contains("its scraper still writes to the workspace"), "{cause}");
    let offboarding = cause.split("start ampxa-offboard with ").nth(1).expect(&cause);
    let offboarding = offboarding.split('}').next().unwrap();
    let offboarding: Value = serde_json::from_str(&format!("{offboarding}}}")).unwrap();
    assert_eq!(offboarding, request);
    accounts.offboarded(&offboarding).await;
}

/// The tag on the reader is the parameter `WorkspaceConsent` of the template.
#[tokio::test]
async fn consent_is_required_unless_the_template_of_the_target_account_makes_it_optional() {
    let accounts = deployment().new_accounts();
    let iam = accounts.target.iam();
    let tags = iam
        .list_role_tags()
        .role_name("ampxa-reader-target")
        .send()
        .await
        .unwrap()
        .tags;
    let consent = |value: &str| {
        Tag::builder()
            .key("ampxa:workspace-consent")
            .value(value)
            .build()
            .unwrap()
    };
    assert!(tags.contains(&consent("REQUIRED")), "{tags:?}");
    let untagged = pair_with(&accounts, "untagged", None).await;
    not_accepted(&accounts, &untagged).await;

    let tag = iam
        .tag_role()
        .role_name("ampxa-reader-target")
        .tags(consent("OPTIONAL"));
    tag.send().await.unwrap();
    let other = pair_with(&accounts, "other", Some("777777777777")).await;
    not_accepted(&accounts, &other).await;
    accounts.onboarded(&untagged).await;
}
