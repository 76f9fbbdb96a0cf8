//! The gate: at no time does the target role admit anything but the final scraper.

use crate::deployment::deployment;
use ampxa::pair::Pair;
use serde_json::{Value, json};

/// The ARN of a scraper in the source account that does not exist.
pub fn other_scraper(pair: &Pair) -> String {
    scraper_arn(pair, "s-00000000-0000-4000-8000-000000000000")
}

fn scraper_arn(pair: &Pair, id: &str) -> String {
    let cluster = &pair.cluster;
    let (partition, region, account) = (cluster.partition(), cluster.region(), cluster.account());
    format!("arn:{partition}:aps:{region}:{account}:scraper/{id}")
}

/// Asserts that every version that the target role's trust policy ever had admits only the final scraper, through the
/// source role. The cloud's IAM evaluator decides, for other principals and other external ids as well.
pub fn assert_admits_no_other(pair: &Pair, scraper: Option<&str>) {
    let (source, target) = (pair.cluster.account(), pair.workspace.account());
    let session = |account: &str, role: &str| format!("arn:aws:sts::{account}:assumed-role/{role}/s");
    let collector = session(source, &pair.source_role_name());
    let other = other_scraper(pair);
    let own = scraper.unwrap_or(&other).to_owned();
    let role = pair.target_role_arn();
    let versions = evaluate(&role, &[]);
    assert!(!versions.is_empty(), "{role} never had a trust policy");
    // The external ids that any version requires, except that of the final scraper.
    let external_ids = versions.iter().map(|version| external_id(version).to_owned());
    let others = external_ids.filter(|id| Some(id.as_str()) != scraper);
    let mut attempts: Vec<(String, Value)> = others.map(|id| (collector.clone(), json!(id))).collect();
    attempts.extend([
        (collector.clone(), json!(other)),
        (collector.clone(), json!(pair.placeholder())),
        (collector.clone(), Value::Null),
        (collector.clone(), json!("x")),
        (collector.clone(), json!(scraper_arn(pair, ""))),
        (session(source, "ampxa-provisioner-source"), json!(own)),
        (session(source, "another-role"), json!(own)),
        (format!("arn:aws:iam::{source}:root"), json!(own)),
        (session(target, "another-role"), json!(own)),
        (format!("arn:aws:iam::{target}:root"), json!(own)),
        (session("999999999999", &pair.source_role_name()), json!(own)),
        (format!("arn:aws:iam::{source}:root"), Value::Null),
    ]);
    for (number, version) in evaluate(&role, &attempts).iter().enumerate() {
        let admits = version["admits"].as_array().expect("a version without decisions");
        assert_eq!(admits.len(), attempts.len());
        for ((principal, id), admitted) in attempts.iter().zip(admits) {
            assert_eq!(
                admitted, false,
                "version {number} of the target role's trust policy admits {principal} with {id}: {version:#}"
            );
        }
    }
    // The evaluator does not deny everything: it admits the final scraper.
    if let Some(scraper) = scraper {
        let own = evaluate(&role, &[(collector, json!(scraper))]);
        assert!(own.iter().any(|version| version["admits"][0] == true), "{own:#?}");
    }
}

/// The external id that a version requires; empty if it requires none.
fn external_id(version: &Value) -> &str {
    let condition = version.pointer("/document/Statement/0/Condition/StringEquals/sts:ExternalId");
    condition.and_then(Value::as_str).unwrap_or_default()
}

/// The versions of a role's trust policy, each with a decision for each principal and external id.
fn evaluate(role: &str, attempts: &[(String, Value)]) -> Vec<Value> {
    let attempts = attempts
        .iter()
        .map(|(principal, id)| json!({ "principal": principal, "externalId": id }));
    let request = json!({ "roleArn": role, "attempts": attempts.collect::<Vec<_>>() });
    let answer = deployment().cloud.tell("trusts", &request).expect("the control API");
    answer["versions"]
        .as_array()
        .expect("an answer without versions")
        .clone()
}
