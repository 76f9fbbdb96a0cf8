//! The gate: whether anybody but the pair's scraper could have assumed the target role, at any moment.

use super::ground::Place;
use ampxa::pair::Pair;
use anyhow::Result;
use serde_json::{Value, json};

/// A scraper of the source account that is not the pair's.
pub fn stranger(pair: &Pair) -> String {
    scraper_arn(pair, "s-00000000-0000-4000-8000-000000000000")
}

fn scraper_arn(pair: &Pair, id: &str) -> String {
    let cluster = &pair.cluster;
    let (partition, region, account) = (cluster.partition(), cluster.region(), cluster.account());
    format!("arn:{partition}:aps:{region}:{account}:scraper/{id}")
}

/// The moments at which somebody else could have got in: a sentence for each.
///
/// Every version that the target role's trust policy ever had is put to the cloud's IAM evaluator,
/// with everybody who might try. Only the pair's scraper, through the source role, is let off.
///
/// # Errors
/// When the cloud does not answer.
pub async fn open_moments(place: &Place, scraper: Option<&str>, others: &[String]) -> Result<Vec<String>> {
    let pair = &place.pair;
    let (source, target) = (pair.cluster.account(), pair.workspace.account());
    let session = |account: &str, role: &str| format!("arn:aws:sts::{account}:assumed-role/{role}/s");
    let collector = session(source, &pair.source_role_name());
    let stranger = stranger(pair);
    let own = scraper.unwrap_or(&stranger).to_owned();
    let mut tries: Vec<(String, Value)> = vec![
        (collector.clone(), json!(stranger)),
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
    ];
    let not_ours = others.iter().filter(|other| Some(other.as_str()) != scraper);
    tries.extend(not_ours.map(|other| (collector.clone(), json!(other))));
    let attempts: Vec<Value> = tries
        .iter()
        .map(|(principal, id)| json!({ "principal": principal, "externalId": id }))
        .collect();
    let asked = json!({ "roleArn": pair.target_role_arn(), "attempts": attempts });
    let judged = place.ground.tell("trusts", asked).await?;
    let mut open = Vec::new();
    for (number, version) in judged["versions"].as_array().into_iter().flatten().enumerate() {
        let admits = version["admits"].as_array().into_iter().flatten();
        for ((principal, id), _) in tries.iter().zip(admits).filter(|(_, admitted)| **admitted == true) {
            let by = &version["by"];
            open.push(format!(
                "version {} of the target role's trust policy ({by}) lets {principal} in with {id}",
                number + 1
            ));
        }
    }
    Ok(open)
}
