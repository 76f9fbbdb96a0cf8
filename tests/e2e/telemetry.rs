//! What a run leaves in the log: lines that tell of its calls, and metrics.

use crate::world::{Place, SOURCE, TARGET, text, world};
use serde_json::{Value, json};

/// The lines of JSON in the functions' log that tell of a run.
fn lines(place: &Place, execution: &str) -> Vec<Value> {
    let name = execution.rsplit(':').next().unwrap();
    let ask = json!({ "logGroupName": "/aws/lambda/ampxa", "filterPattern": format!("\"{name}\"") });
    let events = place
        .hub
        .json_api("logs", "Logs_20140328.FilterLogEvents", &ask)
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
async fn the_log_tells_of_calls_and_outcomes() {
    let place = world().place(SOURCE, TARGET);
    let request = place.pair("logged").await;
    let run = place.onboard(&request).await;
    let output = run.output.unwrap();
    let has = |all: &[Value], what: &str| all.iter().any(|line| !line[what].is_null() || line["step"] == what);
    let mut all = lines(&place, &run.arn);
    // A line that comes after its function's answer is in the log with the next one's.
    for _ in 0..60 {
        if has(&all, "ScraperQuotaPercent") && has(&all, "check-cluster") {
            break;
        }
        place.onboarded(&request).await;
        all = lines(&place, &run.arn);
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
