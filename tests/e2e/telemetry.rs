//! The log of a run: one line for each step with its calls, and metrics.

use crate::{
    deployment::{Accounts, SOURCE, TARGET, deployment, text},
    events::fixture,
};
use serde_json::{Value, json};

/// The lines of JSON in the functions' log that belong to an execution.
fn lines(accounts: &Accounts, execution: &str) -> Vec<Value> {
    let name = execution.rsplit(':').next().unwrap();
    let group = fixture::resource(&accounts.hub, "ampxa", "FunctionLogs").unwrap();
    let body = json!({ "logGroupName": group, "filterPattern": format!("\"{name}\"") });
    let events = accounts
        .hub
        .json_api("logs", "Logs_20140328.FilterLogEvents", &body)
        .unwrap();
    events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(text(&event["message"])).ok())
        .filter(|line| line["execution"] == execution)
        .collect()
}

#[tokio::test]
async fn the_log_contains_calls_and_metrics() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("logged").await;
    let run = accounts.onboard(&request).await;
    let output = run.output.unwrap();
    let has = |all: &[Value], name: &str| all.iter().any(|line| !line[name].is_null() || line["step"] == name);
    let mut all = lines(&accounts, &run.arn);
    // A line that a function writes after its answer appears in the log with the next invocation.
    for _ in 0..60 {
        if has(&all, "ScraperQuotaPercent") && has(&all, "check-cluster") {
            break;
        }
        accounts.onboarded(&request).await;
        all = lines(&accounts, &run.arn);
    }
    let metrics: Vec<&Value> = all.iter().filter(|line| line["_aws"].is_object()).collect();
    let of = |name: &str| {
        metrics
            .iter()
            .find(|line| !line[name].is_null())
            .map(|line| &line[name])
    };
    assert_eq!(of("Executions"), Some(&json!(1)), "{all:#?}");
    assert_eq!(of("ActivationMinutes"), Some(&output["activationMinutes"]));
    assert_eq!(of("ActivationPolls"), Some(&output["polls"]));
    assert!(of("ScraperQuotaPercent").is_some_and(Value::is_number));

    let steps: Vec<&Value> = all.iter().filter(|line| line["step"].is_string()).collect();
    let step = steps.iter().find(|line| line["step"] == "check-cluster");
    let step = step.unwrap_or_else(|| panic!("no line of check-cluster: {all:#?}"));
    assert_eq!(
        (&step["clusterArn"], &step["workspaceArn"]),
        (&request["clusterArn"], &request["workspaceArn"])
    );
    let calls = step["calls"].as_array().unwrap();
    for service in ["eks", "ec2", "aps"] {
        let call = calls.iter().find(|call| call["service"] == service);
        assert!(
            call.is_some_and(|call| call["requestId"].is_string()),
            "{service}: {step:#}"
        );
    }
}
