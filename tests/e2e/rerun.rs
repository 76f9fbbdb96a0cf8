//! A repeated onboarding repairs drift of the roles and changes nothing else.

use crate::deployment::{Accounts, SOURCE, TARGET, deployment, text};
use serde_json::{Value, json};

/// The writing actions that steps called as a provisioner since a position in the request log, on resources whose ARN
/// contains a text.
pub fn writes_since(position: u64, resource: &str) -> Vec<String> {
    let log = deployment().cloud.look(&format!("calls?since={position}")).unwrap();
    let calls = log["calls"].as_array().unwrap();
    let of_provisioner = calls.iter().filter(|call| {
        let principal = call["principal"].as_str().unwrap_or_default();
        principal.contains("/ampxa-provisioner-") && call["resource"].to_string().contains(resource)
    });
    let action = |call: &Value| text(&call["action"]).split(':').nth(1).unwrap().to_owned();
    let reads = |action: &String| {
        ["Get", "List", "Describe", "Query"]
            .iter()
            .any(|verb| action.starts_with(verb))
    };
    of_provisioner.map(action).filter(|action| !reads(action)).collect()
}

/// The next position in the request log.
pub fn log_position() -> u64 {
    deployment().cloud.look("calls?since=9999999999").unwrap()["next"]
        .as_u64()
        .unwrap()
}

/// Onboards an onboarded pair; returns what was repaired.
async fn repaired(accounts: &Accounts, request: &Value) -> Value {
    let output = accounts.onboarded(request).await;
    assert_eq!(output["created"], json!([]), "{output}");
    assert_eq!(output["activationMinutes"], 0);
    output["repaired"].clone()
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("again").await;
    let first = accounts.onboarded(&request).await;
    let before = accounts.roles(&first).await;
    let position = log_position();
    let second = accounts.onboarded(&request).await;
    assert_eq!(second["scraperArn"], first["scraperArn"]);
    assert_eq!(second["existing"], json!(["source role", "target role", "scraper"]));
    assert_eq!(second["created"], json!([]));
    assert_eq!(second["repaired"], json!([]));
    assert_eq!(second["trustPatched"], json!({ "source": false, "target": false }));
    assert_eq!(accounts.roles(&second).await, before);
    for name in ["ampxa-source-again-", "ampxa-target-again-", &accounts.source.region] {
        assert_eq!(writes_since(position, name), [""; 0], "the second run changed {name}");
    }
}

#[tokio::test]
async fn drift_of_a_role_is_repaired_and_reported() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("drift").await;
    let output = accounts.onboarded(&request).await;
    let expected = accounts.roles(&output).await;
    let name = |side: &str| {
        text(&output[format!("{side}RoleArn")])
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let (source, target) = (name("source"), name("target"));
    let empty = r#"{"Version":"2012-10-17","Statement":[]}"#;

    accounts
        .source
        .iam()
        .update_assume_role_policy()
        .role_name(&source)
        .policy_document(empty)
        .send()
        .await
        .unwrap();
    accounts
        .target
        .iam()
        .delete_role_permissions_boundary()
        .role_name(&target)
        .send()
        .await
        .unwrap();
    accounts
        .target
        .iam()
        .delete_role_policy()
        .role_name(&target)
        .policy_name("ampxa")
        .send()
        .await
        .unwrap();
    let managed = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";
    accounts
        .target
        .iam()
        .detach_role_policy()
        .role_name(&target)
        .policy_arn(managed)
        .send()
        .await
        .unwrap();
    assert_eq!(
        repaired(&accounts, &request).await,
        json!([
            "source role: trust policy",
            "target role: permissions boundary",
            "target role: permissions",
            "target role: managed policy"
        ])
    );
    assert_eq!(accounts.roles(&output).await, expected);

    accounts
        .source
        .iam()
        .delete_role_permissions_boundary()
        .role_name(&source)
        .send()
        .await
        .unwrap();
    let widened =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;
    let put = accounts
        .source
        .iam()
        .put_role_policy()
        .role_name(&source)
        .policy_name("ampxa")
        .policy_document(widened);
    put.send().await.unwrap();
    assert_eq!(
        repaired(&accounts, &request).await,
        json!(["source role: permissions boundary", "source role: permissions"])
    );
    assert_eq!(accounts.roles(&output).await, expected);
}

#[tokio::test]
async fn a_target_role_that_trusts_a_deleted_source_role_is_repaired() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("aroa").await;
    let output = accounts.onboarded(&request).await;
    let name = text(&output["sourceRoleArn"]).rsplit('/').next().unwrap();
    let iam = accounts.source.iam();
    iam.delete_role_policy()
        .role_name(name)
        .policy_name("ampxa")
        .send()
        .await
        .unwrap();
    iam.delete_role().role_name(name).send().await.unwrap();
    let trust = ampxa_cli::document::trust(&accounts.target, text(&output["targetRoleArn"]))
        .await
        .unwrap()
        .unwrap();
    let principal = text(&trust["Statement"][0]["Principal"]["AWS"]);
    assert!(
        principal.starts_with("AROA"),
        "IAM does not show the id of the deleted role: {principal}"
    );

    // A role of this name that the administrator of the account creates: IAM does not trust it, and ampxa does not use it.
    let service = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "Service": "scraper.aps.amazonaws.com" }, "Action": "sts:AssumeRole" },
    ] });
    let everything = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
    ] });
    let create = iam.create_role().role_name(name);
    create
        .assume_role_policy_document(service.to_string())
        .send()
        .await
        .unwrap();
    let put = iam.put_role_policy().role_name(name).policy_name("everything");
    put.policy_document(everything.to_string()).send().await.unwrap();
    let attempt = crate::deployment::attempt(&output, text(&output["scraperArn"]));
    assert_eq!(attempt["written"], false, "{attempt}");
    let hops = attempt["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| (text(&hop["step"]), hop["ok"] == true));
    assert_eq!(
        hops.collect::<Vec<_>>(),
        [("assume source role", true), ("assume target role", false)]
    );
    let conflict = accounts.onboard(&request).await;
    assert_eq!(conflict.error.as_deref(), Some("Conflict"), "{:?}", conflict.cause);
    let delete = iam.delete_role_policy().role_name(name).policy_name("everything");
    delete.send().await.unwrap();
    iam.delete_role().role_name(name).send().await.unwrap();

    let again = accounts.onboarded(&request).await;
    assert_eq!(again["created"], json!(["source role"]));
    assert_eq!(again["scraperArn"], output["scraperArn"]);
    let trust = ampxa_cli::document::trust(&accounts.target, text(&output["targetRoleArn"]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(trust["Statement"][0]["Principal"]["AWS"], output["sourceRoleArn"]);
    assert_eq!(
        trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"],
        output["scraperArn"]
    );
    let attempt = crate::deployment::attempt(&output, text(&output["scraperArn"]));
    assert_eq!(attempt["written"], true, "{attempt}");
}
