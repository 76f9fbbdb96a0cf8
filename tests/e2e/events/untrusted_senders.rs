//! Events that must start nothing, and principals that must not put any.

use super::{
    examples,
    fixture::{AFT, MANAGEMENT, OUTSIDER, SOURCE, Wired, depth, exclusive, resource, shared},
};
use anyhow::{Context, Result, ensure};
use driver::{REGION, demo::Cluster};
use serde_json::{Value, json};

#[tokio::test]
async fn a_failed_create_cluster_call_starts_nothing() -> Result<()> {
    let wired = shared().await;
    let source = wired.account(SOURCE, REGION);
    let existing = Cluster::named("taken");
    let cluster = existing.make(&source).await?;
    wired.samples(&wired.workspace, &cluster).await?;
    let again = async || {
        let refused = existing
            .make(&source)
            .await
            .err()
            .context("EKS created a second cluster")?;
        ensure!(format!("{refused:?}").contains("ResourceInUse"), "{refused:?}");
        wired.put(SOURCE, REGION, &examples::failed_event("taken", "failed-call")?)
    };
    // The cloud sends an event of the refused call as well: neither may start an execution.
    wired.starts_nothing("taken", again).await
}

#[tokio::test]
async fn a_create_cluster_call_of_another_service_starts_nothing() -> Result<()> {
    let wired = shared().await;
    let mut others = Vec::new();
    for (source, service) in [
        ("aws.rds", "rds.amazonaws.com"),
        ("aws.eks", "rds.amazonaws.com"),
        ("aws.rds", "eks.amazonaws.com"),
    ] {
        let id = format!("other-service-{}", wired.number());
        let mut event = examples::create_event("other-service", &id)?;
        event["source"] = json!(source);
        event["detail"]["eventSource"] = json!(service);
        others.push(event);
    }
    let all = async || others.iter().try_for_each(|event| wired.put(SOURCE, REGION, event));
    wired.starts_nothing("other-service", all).await
}

/// Only the envelope, which EventBridge writes, is trusted; the detail must match it.
#[tokio::test]
async fn an_event_about_another_account_starts_nothing() -> Result<()> {
    let wired = exclusive().await?;
    let mut event = examples::create_event("not-theirs", "about-another-account")?;
    event["detail"]["responseElements"]["cluster"]["arn"] =
        json!(format!("arn:aws:eks:{REGION}:{MANAGEMENT}:cluster/not-theirs"));
    wired
        .starts_nothing("about-another-account", async || wired.put(SOURCE, REGION, &event))
        .await?;
    wired.take_undelivered(1).await
}

/// The template of a source account is deployed in the account and forwards its events. The hub's bus refuses them.
#[tokio::test]
async fn an_account_outside_the_organization_starts_nothing_and_keeps_its_event() -> Result<()> {
    let wired = shared().await;
    let outsider = wired.account(OUTSIDER, REGION);
    let queue = resource(&outsider, "ampxa-source", "UndeliveredEvents")?;
    let before = depth(&outsider, &queue)?;
    let create = async || {
        Cluster::named("outside").make(&outsider).await?;
        Ok(())
    };
    wired.starts_nothing("outside", create).await?;
    let kept = wired
        .until("event in the outsider's dead-letter queue", async || {
            let now = depth(&outsider, &queue)?;
            Ok((now > before).then_some(now - before))
        })
        .await?;
    ensure!(kept == 1, "{kept} events in the outsider's dead-letter queue, not 1");
    Ok(())
}

/// Puts an event onto the hub's bus as the root of an account.
fn put(wired: &Wired, account: &str, source: &str) -> Result<Value> {
    let entry = json!({
        "EventBusName": wired.output("EventBusArn")?,
        "Source": source,
        "DetailType": "Account provisioned",
        "Detail": json!({ "account": SOURCE }).to_string(),
    });
    let client = wired.account(account, REGION);
    client.json_api("events", "AWSEvents.PutEvents", &json!({ "Entries": [entry] }))
}

#[tokio::test]
async fn the_bus_refuses_events_that_their_sender_may_not_put() -> Result<()> {
    let wired = shared().await;
    for (account, source) in [
        (OUTSIDER, "ampxa.aft"),
        (SOURCE, "ampxa.aft"),
        (SOURCE, "our.own"),
        (AFT, "our.own"),
    ] {
        let answer = put(&wired, account, source);
        let why = answer
            .err()
            .with_context(|| format!("{account} put {source}"))?
            .to_string();
        ensure!(why.contains("AccessDenied"), "{account}, {source}: {why}");
    }
    // Sources that begin with `aws.` are reserved for AWS on every bus.
    for account in [OUTSIDER, SOURCE, AFT] {
        match put(&wired, account, "aws.eks") {
            Ok(answer) => ensure!(answer["FailedEntryCount"] == 1, "{account} put aws.eks: {answer}"),
            Err(why) => ensure!(why.to_string().contains("AccessDenied"), "{why}"),
        }
    }
    Ok(())
}
