//! Failures, and the alarms and messages that report them.

use super::{
    examples,
    fixture::{Machine, SOURCE, Wired, exclusive, name_of},
};
use anyhow::{Context, Result, ensure};
use aws_sdk_eks::types::AuthenticationMode;
use driver::{REGION, demo::Cluster};
use serde_json::Value;

/// The name and the description in a message of CloudWatch about an alarm in ALARM.
fn alarm(message: &str) -> Option<(String, String)> {
    let alarm: Value = serde_json::from_str(message).ok()?;
    let text = |name: &str| Some(alarm[name].as_str()?.to_owned());
    (alarm["NewStateValue"] == "ALARM").then_some(())?;
    Some((text("AlarmName")?, text("AlarmDescription")?))
}

/// Waits for an alarm whose name contains a text, after this many messages; returns its description.
async fn description_of_alarm(wired: &Wired, since: usize, named: &str) -> Result<String> {
    let (name, description) = wired
        .until(&format!("alarm on {named}"), async || {
            let messages = wired.alerts()?;
            let mut alarms = messages.iter().skip(since).filter_map(|message| alarm(message));
            Ok(alarms.find(|(name, _)| name.contains(named)))
        })
        .await?;
    ensure!(!description.trim().is_empty(), "the description of {name} is empty");
    Ok(description)
}

#[tokio::test]
async fn a_routing_table_with_an_unknown_field_raises_the_alarm_and_fails_the_reconciliation() -> Result<()> {
    let wired = exclusive().await?;
    let sent = wired.alerts()?.len();
    wired.set_routes(r#"{"rules": [{"workspace": "ws-1"}]}"#)?;
    let id = format!("unrouted-{}", wired.number());
    let event = examples::create_event("unrouted", &id)?;
    wired
        .starts_nothing(&id, async || wired.put(SOURCE, REGION, &event))
        .await?;
    description_of_alarm(&wired, sent, "ailed").await?;
    let reconciliation = wired.run(Machine::Reconcile, &serde_json::json!({})).await?;
    ensure!(
        reconciliation.status == "FAILED",
        "the reconciliation {}: {}",
        reconciliation.status,
        reconciliation.output
    );
    ensure!(
        reconciliation.failure.contains("InvalidRequest") && reconciliation.failure.contains("routes: rules[0]"),
        "the reconciliation failed with {}",
        reconciliation.failure
    );
    wired.take_undelivered(1).await
}

/// One message must not hide the next one until it is purged.
#[tokio::test]
async fn each_failed_event_raises_the_alarm_while_the_message_of_an_earlier_one_is_in_the_queue() -> Result<()> {
    let wired = exclusive().await?;
    wired.set_routes("not JSON")?;
    for expected in [1, 2] {
        let sent = wired.alerts()?.len();
        let id = format!("failed-{}", wired.number());
        wired.put(SOURCE, REGION, &examples::create_event("failed", &id)?)?;
        description_of_alarm(&wired, sent, "failed-events").await?;
        wired.until_no_alarm().await?;
        let undelivered = wired.undelivered().await?;
        ensure!(
            undelivered == expected,
            "{undelivered} events in the queue, not {expected}"
        );
    }
    wired.take_undelivered(2).await
}

/// Whoever can tag a cluster must not be able to hold an alarm.
#[tokio::test]
async fn clusters_with_an_invalid_tag_raise_no_alarm() -> Result<()> {
    let wired = exclusive().await?;
    let sent = wired.alerts()?.len();
    for number in 0..2 {
        let id = format!("invalid-tag-{number}-{}", wired.number());
        let mut event = examples::create_event("invalid-tag", &id)?;
        event["detail"]["requestParameters"]["tags"] = serde_json::json!({ "ampxa:workspace": "ws-no-such" });
        wired
            .starts_nothing("invalid-tag", async || wired.put(SOURCE, REGION, &event))
            .await?;
    }
    let (undelivered, alerts) = (wired.undelivered().await?, wired.alerts()?);
    ensure!(undelivered == 0, "{undelivered} events are in the dead-letter queue");
    ensure!(alerts.len() == sent, "sent: {:?}", &alerts[sent..]);
    Ok(())
}

#[tokio::test]
async fn a_failed_execution_is_reported_in_a_sentence_and_raises_the_alarm() -> Result<()> {
    let wired = exclusive().await?;
    let sent = wired.alerts()?.len();
    let mut old = Cluster::named("old-access");
    old.mode = AuthenticationMode::ConfigMap;
    old.make(&wired.account(SOURCE, REGION)).await?;
    let run = wired.started(Machine::Onboard, "create-old-access-").await?;
    ensure!(
        run.status == "FAILED" && run.failure.starts_with("NotReady"),
        "{} {}",
        run.status,
        run.failure
    );
    wired
        .until("sentence about the failed execution", async || {
            let messages = wired.alerts()?;
            let mut sentences = messages.iter().skip(sent).filter(|one| alarm(one).is_none());
            Ok(sentences.any(|one| one.contains(name_of(&run.arn))).then_some(()))
        })
        .await?;
    description_of_alarm(&wired, sent, "")
        .await
        .context("failed executions")?;
    Ok(())
}
