//! Onboarding what is onboarded: repairs drift, changes nothing else.

use crate::world::{Place, SOURCE, TARGET, text, world};
use serde_json::{Value, json};

/// The actions that a run of a step took since a point of the cloud's log, by Region-free name.
fn writes_since(point: u64, execution_region: &str) -> Vec<String> {
    let log = world().cloud.look(&format!("calls?since={point}")).unwrap();
    let calls = log["calls"].as_array().unwrap();
    let ours = calls.iter().filter(|call| {
        let principal = call["principal"].as_str().unwrap_or_default();
        principal.contains("-provisioner/ampxa-") && call["resource"].to_string().contains(execution_region)
    });
    let action = |call: &Value| text(&call["action"]).split(':').nth(1).unwrap().to_owned();
    let reads = |action: &String| {
        ["Get", "List", "Describe", "Query"]
            .iter()
            .any(|verb| action.starts_with(verb))
    };
    ours.map(action).filter(|action| !reads(action)).collect()
}

fn now() -> u64 {
    world().cloud.look("calls").unwrap()["next"].as_u64().unwrap()
}

async fn repaired(place: &Place, request: &Value) -> Value {
    let output = place.onboarded(request).await;
    assert_eq!(output["created"], json!([]), "{output}");
    assert_eq!(output["activationMinutes"], 0);
    output["repaired"].clone()
}

#[tokio::test]
async fn a_second_run_finds_everything_and_changes_nothing() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("again").await;
    let first = place.onboarded(&request).await;
    let before = place.roles(&first).await;
    let point = now();
    let second = place.onboarded(&request).await;
    assert_eq!(second["scraperArn"], first["scraperArn"]);
    assert_eq!(second["existing"], json!(["source role", "target role", "scraper"]));
    assert_eq!(second["created"], json!([]));
    assert_eq!(second["repaired"], json!([]));
    assert_eq!(second["trustPatched"], json!({ "source": false, "target": false }));
    assert_eq!(place.roles(&second).await, before);
    for name in ["ampxa-source-again-", "ampxa-target-again-", &place.source.region] {
        assert_eq!(writes_since(point, name), [""; 0], "a second run wrote");
    }
}

#[tokio::test]
async fn drift_of_a_role_is_repaired_and_named() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("drift").await;
    let output = place.onboarded(&request).await;
    let right = place.roles(&output).await;
    let name = |side: &str| {
        text(&output[format!("{side}RoleArn")])
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let (source, target) = (name("source"), name("target"));
    let nobody = r#"{"Version":"2012-10-17","Statement":[]}"#;

    place
        .source
        .iam()
        .update_assume_role_policy()
        .role_name(&source)
        .policy_document(nobody)
        .send()
        .await
        .unwrap();
    place
        .target
        .iam()
        .delete_role_permissions_boundary()
        .role_name(&target)
        .send()
        .await
        .unwrap();
    place
        .target
        .iam()
        .delete_role_policy()
        .role_name(&target)
        .policy_name("ampxa")
        .send()
        .await
        .unwrap();
    let managed = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";
    place
        .target
        .iam()
        .detach_role_policy()
        .role_name(&target)
        .policy_arn(managed)
        .send()
        .await
        .unwrap();
    assert_eq!(
        repaired(&place, &request).await,
        json!([
            "source role: trust policy",
            "target role: permissions boundary",
            "target role: permissions",
            "target role: managed policy"
        ])
    );
    assert_eq!(place.roles(&output).await, right);

    place
        .source
        .iam()
        .delete_role_permissions_boundary()
        .role_name(&source)
        .send()
        .await
        .unwrap();
    let widened =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;
    let put = place
        .source
        .iam()
        .put_role_policy()
        .role_name(&source)
        .policy_name("ampxa")
        .policy_document(widened);
    put.send().await.unwrap();
    assert_eq!(
        repaired(&place, &request).await,
        json!(["source role: permissions boundary", "source role: permissions"])
    );
    assert_eq!(place.roles(&output).await, right);
}

#[tokio::test]
async fn a_target_role_that_trusts_a_deleted_source_role_is_repaired() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("aroa").await;
    let output = place.onboarded(&request).await;
    let name = text(&output["sourceRoleArn"]).rsplit('/').next().unwrap();
    let iam = place.source.iam();
    iam.delete_role_policy()
        .role_name(name)
        .policy_name("ampxa")
        .send()
        .await
        .unwrap();
    iam.delete_role().role_name(name).send().await.unwrap();
    let trust = ampxa_cli::document::trust(&place.target, text(&output["targetRoleArn"]))
        .await
        .unwrap()
        .unwrap();
    let principal = text(&trust["Statement"][0]["Principal"]["AWS"]);
    assert!(
        principal.starts_with("AROA"),
        "IAM shows the id of the deleted role: {principal}"
    );

    let again = place.onboarded(&request).await;
    assert_eq!(again["created"], json!(["source role"]));
    assert_eq!(again["scraperArn"], output["scraperArn"]);
    let trust = ampxa_cli::document::trust(&place.target, text(&output["targetRoleArn"]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(trust["Statement"][0]["Principal"]["AWS"], output["sourceRoleArn"]);
    assert_eq!(
        trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"],
        output["scraperArn"]
    );
    let attempt = crate::world::attempt(&output, text(&output["scraperArn"]));
    assert_eq!(attempt["written"], true, "{attempt}");
}
