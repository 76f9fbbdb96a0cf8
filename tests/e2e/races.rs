//! Concurrent executions for one cluster: they leave one complete pair or nothing, and none rolls back the work of
//! another.

use crate::deployment::{SOURCE, TARGET, deployment, text, with};
use ampxa_cli::execution;
use aws_sdk_sfn::types::ExecutionStatus;
use driver::demo;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn two_concurrent_onboardings_create_one_pair() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("twins").await;
    let (first, second) = tokio::join!(accounts.onboarded(&request), accounts.onboarded(&request));
    assert_eq!(first["scraperArn"], second["scraperArn"]);
    let created = [&first["created"], &second["created"]].map(|created| created.as_array().unwrap().len());
    assert_eq!(
        created.iter().sum::<usize>(),
        3,
        "the two executions did not create each resource once: {created:?}"
    );
    assert_eq!(accounts.scrapers().await.len(), 1);
}

#[tokio::test]
async fn a_concurrent_onboarding_and_offboarding_leave_everything_or_nothing() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("both").await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        accounts.offboarded(&request).await
    };
    let (output, offboarded) = tokio::join!(accounts.onboarded(&request), later);
    match offboarded["removed"].as_array().unwrap().len() {
        3 => assert_eq!(accounts.scrapers().await, []),
        0 => {
            assert_eq!(accounts.scrapers().await.len(), 1);
            accounts.roles(&output).await;
            accounts.offboarded(&request).await;
        }
        other => panic!("{other} resources were removed: {offboarded}"),
    }
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn a_run_that_waits_too_long_for_the_lock_names_its_holder() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let cluster = demo::Cluster::named("busy").tag("local:activation-minutes", "100000");
    let request = accounts.pair_of(&cluster).await;
    let slow = with(&request, json!({ "activationTimeoutMinutes": 240 }));
    let first = execution::start(&accounts.hub, &deployment().onboard_arn, &slow)
        .await
        .unwrap();
    // The execution holds the lock once it has left the state that acquires it.
    let mut now = execution::look(&accounts.hub, &first).await.unwrap();
    while now.status == ExecutionStatus::Running && now.states.len() < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        now = execution::look(&accounts.hub, &first).await.unwrap();
    }
    let (second, third) = tokio::join!(accounts.offboard(&request), accounts.onboard(&request));
    assert_eq!(second.error.as_deref(), Some("ClusterBusy"));
    let cause = second.cause.unwrap();
    assert!(cause.contains(&first), "{cause}");
    assert_eq!(third.error.as_deref(), Some("ClusterBusy"));
    assert!(third.cause.unwrap().ends_with(" Nothing was created."));
    accounts
        .hub
        .sfn()
        .stop_execution()
        .execution_arn(first)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stopped_run_is_finished_by_the_next_one() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    // The activation takes nearly as long as the timeout, so that there is time to stop the execution.
    let cluster = demo::Cluster::named("stopped").tag("local:activation-minutes", "50");
    let request = accounts.pair_of(&cluster).await;
    let first = execution::start(&accounts.hub, &deployment().onboard_arn, &request)
        .await
        .unwrap();
    let watched = execution::watch(&accounts.hub, &first, Duration::from_millis(20), async |now| {
        if now.states.iter().any(|state| state.name == "Wait for the scraper") {
            accounts.hub.sfn().stop_execution().execution_arn(&first).send().await?;
        }
        Ok(())
    });
    assert_eq!(watched.await.unwrap().status.as_str(), "ABORTED");
    let output = accounts.onboarded(&request).await;
    assert_eq!(
        output["created"],
        json!([]),
        "the stopped run had not created everything"
    );
    let attempt = crate::deployment::attempt(&output, text(&output["scraperArn"]));
    assert_eq!(attempt["written"], true, "{attempt}");
}
