//! Events that must start nothing, and who may not put any.

use super::{
    case::Seen,
    examples,
    ground::{AFT, Ground, MANAGEMENT, SOURCE, STRANGER, depth, resource},
};
use crate::{REGION, demo::Cluster};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

fn nothing() -> Seen {
    "nothing started".to_owned().into()
}

/// The cloud itself tells of a call that EKS refused.
pub async fn failed_call(ground: &Ground) -> Result<Seen> {
    ground.clear_routes()?;
    let source = ground.source(SOURCE, REGION);
    let taken = Cluster::named("taken");
    let cluster = taken.make(&source).await?;
    ground.samples(&ground.workspace, &cluster).await?;
    let again = async || {
        let refused = taken.make(&source).await.err().context("a name was given twice")?;
        ensure!(format!("{refused:?}").contains("ResourceInUse"), "{refused:?}");
        ground.put(SOURCE, REGION, &examples::failed_event("taken", "failed-call")?)
    };
    ground.starts_nothing(again).await?;
    Ok(nothing())
}

/// Other services make clusters too.
pub async fn another_service(ground: &Ground) -> Result<Seen> {
    let mut others = Vec::new();
    for (source, service) in [
        ("aws.rds", "rds.amazonaws.com"),
        ("aws.eks", "rds.amazonaws.com"),
        ("aws.rds", "eks.amazonaws.com"),
    ] {
        let mut event = examples::create_event("other", &format!("other-{}", ground.number()))?;
        event["source"] = json!(source);
        event["detail"]["eventSource"] = json!(service);
        others.push(event);
    }
    let all = async || others.iter().try_for_each(|event| ground.put(SOURCE, REGION, event));
    ground.starts_nothing(all).await?;
    Ok(nothing())
}

/// An account may speak for itself only: the envelope, which AWS writes, has the last word.
pub async fn about_another_account(ground: &Ground) -> Result<Seen> {
    let mut event = examples::create_event("theirs", "about-another-account")?;
    event["detail"]["responseElements"]["cluster"]["arn"] =
        json!(format!("arn:aws:eks:{REGION}:{MANAGEMENT}:cluster/theirs"));
    ground
        .starts_nothing(async || ground.put(SOURCE, REGION, &event))
        .await?;
    ground.take_undelivered(1).await?;
    Ok(nothing())
}

/// The stranger has deployed our template and forwards to our bus; what it refuses, the stranger keeps.
pub async fn outside(ground: &Ground) -> Result<Seen> {
    let stranger = ground.source(STRANGER, REGION);
    let queue = resource(&stranger, "ampxa-source", "UndeliveredEvents")?;
    let before = depth(&stranger, &queue)?;
    let make = async || {
        Cluster::named("strange").make(&stranger).await?;
        Ok(())
    };
    ground.starts_nothing(make).await?;
    let kept = ground.until("the event in the stranger's queue", async || {
        let now = depth(&stranger, &queue)?;
        Ok((now > before).then_some(now - before))
    });
    let kept = kept.await?;
    ensure!(kept == 1, "{kept} events in the stranger's queue, not 1");
    Ok(nothing())
}

/// Each entry as a client of an account's puts it.
fn put(ground: &Ground, account: &str, source: &str) -> Result<Value> {
    let entry = json!({
        "EventBusName": ground.output("EventBusArn")?,
        "Source": source,
        "DetailType": "Account provisioned",
        "Detail": json!({ "account": SOURCE }).to_string(),
    });
    let client = ground.source(account, REGION);
    client.json_api("events", "AWSEvents.PutEvents", &json!({ "Entries": [entry] }))
}

/// A stranger, and members of the organization that put what is not theirs to put.
pub async fn refused_by_the_bus(ground: &Ground) -> Result<Seen> {
    let mut refused = Vec::new();
    for (account, source) in [
        (STRANGER, "ampxa.aft"),
        (SOURCE, "ampxa.aft"),
        (SOURCE, "our.own"),
        (AFT, "our.own"),
    ] {
        let answer = put(ground, account, source);
        let why = answer
            .err()
            .with_context(|| format!("{account} put {source}"))?
            .to_string();
        ensure!(why.contains("AccessDenied"), "{account}, {source}: {why}");
        refused.push(format!("{account} as {source}"));
    }
    // Nobody speaks in the name of AWS, wherever.
    for account in [STRANGER, SOURCE, AFT] {
        match put(ground, account, "aws.eks") {
            Ok(answer) => ensure!(answer["FailedEntryCount"] == 1, "{account} put aws.eks: {answer}"),
            Err(why) => ensure!(why.to_string().contains("AccessDenied"), "{why}"),
        }
        refused.push(format!("{account} as aws.eks"));
    }
    Ok(format!("{} refused", refused.len()).into())
}
