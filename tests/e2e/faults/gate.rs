//! The gate: the target role admits nobody but the final scraper, at any moment.

use crate::world::world;
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

/// Every version that the target role's trust policy ever had is put to the cloud's IAM evaluator, with everybody who
/// might try. Only the final scraper, through the source role, may be admitted.
pub fn never_opened_for_others(pair: &Pair, scraper: Option<&str>) {
    let (source, target) = (pair.cluster.account(), pair.workspace.account());
    let session = |account: &str, role: &str| format!("arn:aws:sts::{account}:assumed-role/{role}/s");
    let collector = session(source, &pair.source_role_name());
    let other = other_scraper(pair);
    let own = scraper.unwrap_or(&other).to_owned();
    let role = pair.target_role_arn();
    let versions = judged(&role, &[]);
    assert!(!versions.is_empty(), "{role} never had a trust policy");
    // Any scraper that some version names, besides those that none should.
    let named = versions.iter().map(|version| external_id(version).to_owned());
    let others = named.filter(|id| Some(id.as_str()) != scraper);
    let mut attempts: Vec<(String, Value)> = others.map(|id| (collector.clone(), json!(id))).collect();
    attempts.extend([
        (collector.clone(), json!(other)),
        (collector.clone(), json!(pair.placeholder())),
        (collector.clone(), Value::Null),
        (collector.clone(), json!("x")),
        (collector.clone(), json!(scraper_arn(pair, ""))),
        (session(source, "ampxa-source-provisioner"), json!(own)),
        (session(source, "somebody"), json!(own)),
        (format!("arn:aws:iam::{source}:root"), json!(own)),
        (session(target, "somebody"), json!(own)),
        (format!("arn:aws:iam::{target}:root"), json!(own)),
        (session("999999999999", &pair.source_role_name()), json!(own)),
        (format!("arn:aws:iam::{source}:root"), Value::Null),
    ]);
    for (number, version) in judged(&role, &attempts).iter().enumerate() {
        let admits = version["admits"].as_array().expect("a judgement");
        assert_eq!(admits.len(), attempts.len());
        for ((principal, id), admitted) in attempts.iter().zip(admits) {
            assert_eq!(
                admitted, false,
                "version {number} of the target role's trust policy admits {principal} with {id}: {version:#}"
            );
        }
    }
    // The evaluator can admit somebody.
    if let Some(scraper) = scraper {
        let own = judged(&role, &[(collector, json!(scraper))]);
        assert!(own.iter().any(|version| version["admits"][0] == true), "{own:#?}");
    }
}

fn external_id(version: &Value) -> &str {
    let condition = version.pointer("/document/Statement/0/Condition/StringEquals/sts:ExternalId");
    condition.and_then(Value::as_str).unwrap_or_default()
}

fn judged(role: &str, attempts: &[(String, Value)]) -> Vec<Value> {
    let attempts = attempts
        .iter()
        .map(|(principal, id)| json!({ "principal": principal, "externalId": id }));
    let question = json!({ "roleArn": role, "attempts": attempts.collect::<Vec<_>>() });
    let answer = world().cloud.tell("trusts", &question).expect("the control API");
    answer["versions"].as_array().expect("versions").clone()
}
