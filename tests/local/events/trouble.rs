//! What goes wrong, and who hears of it.

use super::{
    case::Seen,
    examples,
    ground::{Ground, Machine, SOURCE},
};
use crate::{REGION, demo::Cluster};
use anyhow::{Context, Result, ensure};
use aws_sdk_eks::types::AuthenticationMode;
use serde_json::{Value, json};

/// An alarm's message, as CloudWatch writes it.
fn alarm(message: &str) -> Option<(String, String)> {
    let told: Value = serde_json::from_str(message).ok()?;
    let text = |name: &str| Some(told[name].as_str()?.to_owned());
    (told["NewStateValue"] == "ALARM").then_some(())?;
    Some((text("AlarmName")?, text("AlarmDescription")?))
}

/// The alarm that was rung since so many messages, once it is.
async fn rung(ground: &Ground, since: usize, named: &str) -> Result<(String, String)> {
    ground
        .until(&format!("an alarm on {named}"), async || {
            let told = ground.alerts()?;
            let mut alarms = told.iter().skip(since).filter_map(|message| alarm(message));
            Ok(alarms.find(|(name, _)| name.contains(named)))
        })
        .await
}

/// A table with a word in it that no table has.
pub async fn malformed_table(ground: &Ground) -> Result<Seen> {
    let told = ground.alerts()?.len();
    ground.set_routes(r#"{"rules": [{"workspace": "ws-1"}]}"#)?;
    let event = examples::create_event("unrouted", &format!("unrouted-{}", ground.number()))?;
    ground
        .starts_nothing(async || ground.put(SOURCE, REGION, &event))
        .await?;
    let (name, what_to_do) = rung(ground, told, "ailed").await?;
    ensure!(!what_to_do.trim().is_empty(), "{name} does not say what to do");
    let swept = ground.run(Machine::Sweep, &json!({})).await?;
    ensure!(
        swept.status == "FAILED",
        "a sweep with a wrong table {}: {}",
        swept.status,
        swept.output
    );
    ensure!(
        swept.failure.contains("InvalidRequest") && swept.failure.contains("routes: rules[0]"),
        "a sweep with a wrong table failed with {}",
        swept.failure
    );
    ground.take_undelivered(1).await?;
    ground.clear_routes()?;
    Ok(Seen {
        words: format!("{name} rings"),
        table: vec![what_to_do],
    })
}

/// A cluster that cannot be connected until a person acts.
pub async fn failed_execution(ground: &Ground) -> Result<Seen> {
    ground.clear_routes()?;
    let told = ground.alerts()?.len();
    let mut old = Cluster::named("old-access");
    old.mode = AuthenticationMode::ConfigMap;
    old.make(&ground.source(SOURCE, REGION)).await?;
    let run = ground.started(Machine::Onboard, "create-old-access-").await?;
    ensure!(
        run.status == "FAILED" && run.failure.starts_with("NotReady"),
        "{} {}",
        run.status,
        run.failure
    );
    let sentence = ground
        .until("a sentence about the failed execution", async || {
            let mut sentences = ground
                .alerts()?
                .into_iter()
                .skip(told)
                .filter(|one| alarm(one).is_none());
            Ok(sentences.find(|one| one.contains(super::ground::name_of(&run.arn))))
        })
        .await?;
    let (name, what_to_do) = rung(ground, told, "").await.context("no alarm on failed executions")?;
    ensure!(!what_to_do.trim().is_empty(), "{name} does not say what to do");
    Ok(Seen {
        words: format!("{name} rings"),
        table: vec![sentence, what_to_do],
    })
}
