//! Several executions for one cluster, in any order: one set-up or none, and nobody undoes another's work.

use crate::world::{SOURCE, TARGET, text, with, world};
use ampxa_cli::execution;
use aws_sdk_sfn::types::ExecutionStatus;
use driver::demo;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn two_onboardings_at_once_are_one() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("twins").await;
    let (first, second) = tokio::join!(place.onboarded(&request), place.onboarded(&request));
    assert_eq!(first["scraperArn"], second["scraperArn"]);
    let made = [&first["created"], &second["created"]].map(|made| made.as_array().unwrap().len());
    assert_eq!(
        made.iter().sum::<usize>(),
        3,
        "one of the two made everything: {made:?}"
    );
    assert_eq!(place.scrapers().await.len(), 1);
}

#[tokio::test]
async fn an_onboarding_and_an_offboarding_at_once_leave_all_or_nothing() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("both").await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        place.offboarded(&request).await
    };
    let (output, gone) = tokio::join!(place.onboarded(&request), later);
    match gone["removed"].as_array().unwrap().len() {
        3 => assert_eq!(place.scrapers().await, []),
        0 => {
            assert_eq!(place.scrapers().await.len(), 1);
            place.roles(&output).await;
            place.offboarded(&request).await;
        }
        other => panic!("{other} resources were removed: {gone}"),
    }
    place.nothing_was_made().await;
}

#[tokio::test]
async fn a_run_that_waits_too_long_for_the_lock_names_its_holder() {
    let place = world().place(SOURCE, TARGET);
    let cluster = demo::Cluster::named("busy").tag("local:activation-minutes", "100000");
    let request = place.pair_of(&cluster).await;
    let slow = with(&request, json!({ "activationTimeoutMinutes": 240 }));
    let first = execution::start(&place.hub, &world().onboard_arn, &slow).await.unwrap();
    // It has taken its turn when it is past the state that asks for it.
    let mut now = execution::look(&place.hub, &first).await.unwrap();
    while now.status == ExecutionStatus::Running && now.states.len() < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        now = execution::look(&place.hub, &first).await.unwrap();
    }
    let (second, third) = tokio::join!(place.offboard(&request), place.onboard(&request));
    assert_eq!(second.error.as_deref(), Some("ClusterBusy"));
    let cause = second.cause.unwrap();
    assert!(cause.contains(&first), "{cause}");
    assert_eq!(third.error.as_deref(), Some("ClusterBusy"));
    assert!(third.cause.unwrap().ends_with(" Nothing was created."));
    place
        .hub
        .sfn()
        .stop_execution()
        .execution_arn(first)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_run_that_a_person_stopped_is_finished_by_the_next() {
    let place = world().place(SOURCE, TARGET);
    // Near the end of the patience, for time to stop it in.
    let cluster = demo::Cluster::named("stopped").tag("local:activation-minutes", "50");
    let request = place.pair_of(&cluster).await;
    let first = execution::start(&place.hub, &world().onboard_arn, &request)
        .await
        .unwrap();
    let watched = execution::watch(&place.hub, &first, Duration::from_millis(20), async |now| {
        if now.states.iter().any(|state| state.name == "Wait for the scraper") {
            place.hub.sfn().stop_execution().execution_arn(&first).send().await?;
        }
        Ok(())
    });
    assert_eq!(watched.await.unwrap().status.as_str(), "ABORTED");
    let output = place.onboarded(&request).await;
    assert_eq!(output["created"], json!([]), "the stopped run had made everything");
    let attempt = crate::world::attempt(&output, text(&output["scraperArn"]));
    assert_eq!(attempt["written"], true, "{attempt}");
}
