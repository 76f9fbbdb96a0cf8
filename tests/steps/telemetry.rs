//! The metrics of an ended execution.

use ampxa::telemetry::{self, Ended};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

/// The status-change event of an ended execution, as Step Functions sends it.
fn event(machine: &str, status: &str, more: Value) -> Value {
    let mut detail = json!({
        "executionArn": format!("arn:aws:states:us-west-2:111111111111:execution:{machine}:reconcile-one"),
        "stateMachineArn": format!("arn:aws:states:us-west-2:111111111111:stateMachine:{machine}"),
        "name": "reconcile-one",
        "status": status,
        "startDate": 1_790_000_000_000_u64,
        "stopDate": 1_790_001_230_500_u64,
        "output": null,
        "error": null,
    });
    detail
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "detail-type": "Step Functions Execution Status Change", "detail": detail })
}

/// All values by metric and dimensions, in the embedded metric format of CloudWatch.
fn values(event: Value) -> BTreeMap<String, f64> {
    let mut ended = Ended::try_from(event).unwrap();
    ended.hub = "ampxa".to_owned();
    values_of(&ended.lines())
}

fn values_of(lines: &[Value]) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for line in lines {
        assert_eq!(line["_aws"]["Timestamp"], 1_790_001_230_500_u64);
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], telemetry::NAMESPACE);
            for dimensions in directive["Dimensions"].as_array().unwrap() {
                let by: Vec<&str> = dimensions
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| line[name.as_str().unwrap()].as_str().expect("a dimension is a string"))
                    .collect();
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    assert!(["Count", "Seconds", "Percent", "None"].contains(&metric["Unit"].as_str().unwrap()));
                    let value = line[name].as_f64().expect("a metric is a number");
                    assert!(all.insert(format!("{name} {}", by.join("/")), value).is_none());
                }
            }
        }
    }
    all
}

/// The event of a successful onboarding, with the created resources and the number of scrapers.
fn onboarded(outcome: &str, created: Value, ingestion: &str, scrapers: u32) -> Value {
    let output = json!({
        "outcome": outcome,
        "clusterArn": "arn:aws:eks:eu-west-1:222222222222:cluster/payments",
        "created": created,
        "activationMinutes": 20.25,
        "polls": 50,
        "ingestion": { "result": ingestion },
        "scrapers": { "count": scrapers, "quota": 10 },
    });
    event("ampxa-onboard", "SUCCEEDED", json!({ "output": output.to_string() }))
}

fn expected(all: &[(&str, f64)]) -> BTreeMap<String, f64> {
    all.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn a_new_pair_has_metrics_of_its_activation() {
    assert_eq!(
        values(onboarded(
            "ONBOARDED",
            json!(["source role", "scraper"]),
            "RECEIVING",
            8
        )),
        expected(&[
            ("Executions ampxa/onboard/ONBOARDED", 1.0),
            ("WithoutSamples ampxa", 0.0),
            ("IngestionNotChecked ampxa", 0.0),
            ("Drift ampxa", 0.0),
            ("ActivationMinutes ampxa", 20.25),
            ("ActivationPolls ampxa", 50.0),
            ("SecondsToFirstSample ampxa", 1230.5),
            ("ScraperQuotaPercent ampxa", 80.0),
            ("ScraperQuotaPercent ampxa/222222222222/eu-west-1", 80.0),
        ])
    );
}

#[test]
fn repairs_of_a_reconciliation_count_as_drift_and_missing_samples_are_counted() {
    for ingestion in ["NONE", "TARGETS_DOWN"] {
        let all = values(onboarded("REPAIRED", json!([]), ingestion, 1));
        assert_eq!((all["WithoutSamples ampxa"], all["Drift ampxa"]), (1.0, 1.0));
        assert_eq!(all["IngestionNotChecked ampxa"], 0.0);
        assert!(!all.contains_key("ActivationMinutes ampxa") && !all.contains_key("SecondsToFirstSample ampxa"));
    }
    for (ingestion, not_checked) in [("SKIPPED", 0.0), ("NOT_CHECKED", 1.0)] {
        let all = values(onboarded("UNCHANGED", json!([]), ingestion, 1));
        assert_eq!((all["WithoutSamples ampxa"], all["Drift ampxa"]), (0.0, 0.0));
        assert_eq!(all["IngestionNotChecked ampxa"], not_checked);
    }
    let mut manual = onboarded("REPAIRED", json!([]), "RECEIVING", 1);
    manual["detail"]["name"] = json!("manual");
    assert_eq!(values(manual)["Drift ampxa"], 0.0);
}

#[test]
fn an_execution_that_did_not_succeed_is_counted_by_its_error_name() {
    for (machine, status, error, outcome, name) in [
        ("onboard", "FAILED", json!("NotReady"), "FAILED", "NotReady"),
        (
            "reconcile",
            "FAILED",
            json!("InvalidRequest"),
            "FAILED",
            "InvalidRequest",
        ),
        (
            "onboard",
            "TIMED_OUT",
            json!("States.Timeout"),
            "TIMED_OUT",
            "States.Timeout",
        ),
        ("offboard", "ABORTED", json!(null), "ABORTED", "ABORTED"),
    ] {
        let all = values(event(&format!("ampxa-{machine}"), status, json!({ "error": error })));
        let expected = [
            (format!("Executions ampxa/{machine}/{outcome}"), 1.0),
            (format!("Failures ampxa/{name}"), 1.0),
        ];
        assert_eq!(all, BTreeMap::from(expected));
    }
}

#[test]
fn a_reconciliation_has_metrics_of_its_unreachable_accounts() {
    let reconciled = |counts: Value| {
        let output = json!({ "outcome": "RECONCILED", "counts": counts, "isWhole": false }).to_string();
        values(event("ampxa-reconcile", "SUCCEEDED", json!({ "output": output })))
    };
    for (counts, all, with_pairs) in [
        (json!({ "UNCHANGED": 3 }), 0.0, 0.0),
        (json!({ "UNREACHABLE": 2 }), 2.0, 0.0),
        (json!({ "UNREACHABLE": 2, "UNREACHABLE_WITH_PAIRS": 1 }), 3.0, 1.0),
    ] {
        let values = reconciled(counts);
        assert_eq!(values["Executions ampxa/reconcile/RECONCILED"], 1.0);
        assert_eq!(values["AccountsUnreachable ampxa"], all);
        assert_eq!(values["AccountsWithPairsUnreachable ampxa"], with_pairs);
        assert_eq!(
            (values["UnroutedPairs ampxa"], values["OwnerlessRoles ampxa"]),
            (0.0, 0.0)
        );
    }
    let values = reconciled(json!({ "UNROUTED": 2, "OWNERLESS": 3, "NOT_ACCEPTED": 4 }));
    assert_eq!(values["NotAcceptedPairs ampxa"], 4.0);
    assert_eq!(
        (values["UnroutedPairs ampxa"], values["OwnerlessRoles ampxa"]),
        (2.0, 3.0)
    );
}

#[test]
fn the_coverage_is_a_metric_of_reconciliations_of_all_accounts_and_regions() {
    let ended = |outcome: &str, whole: bool| {
        let coverage = json!({ "seen": 8, "connected": 6, "percent": 75.0 });
        let output = json!({ "outcome": outcome, "counts": {}, "isWhole": whole, "coverage": coverage }).to_string();
        values(event("ampxa-reconcile", "SUCCEEDED", json!({ "output": output })))
    };
    let coverage = |values: BTreeMap<String, f64>| {
        ["ClustersSeen", "ClustersConnected", "CoveragePercent"]
            .map(|name| values.get(&format!("{name} ampxa")).copied())
    };
    assert_eq!(coverage(ended("RECONCILED", true)), [Some(8.0), Some(6.0), Some(75.0)]);
    assert_eq!(coverage(ended("RECONCILED", false)), [None; 3]);
    // A plan finds the same drift as the next reconciliation, so it has no metrics of drift.
    assert_eq!(
        ended("PLANNED", true),
        expected(&[("Executions ampxa/reconcile/PLANNED", 1.0)])
    );
}

#[test]
fn a_cluster_with_an_invalid_tag_is_counted_and_named() {
    let cluster = "arn:aws:eks:eu-west-1:222222222222:cluster/payments";
    let now = UNIX_EPOCH + Duration::from_millis(1_790_001_230_500);
    let line = telemetry::invalid_choice("ampxa", &cluster.parse().unwrap(), now);
    assert_eq!(line["clusterArn"], cluster);
    assert_eq!(values_of(&[line]), expected(&[("InvalidChoices ampxa", 1.0)]));
}

#[test]
fn other_machines_and_an_event_without_output_count_as_done() {
    let done = values(event("ampxa-offboard", "SUCCEEDED", json!({ "output": "{}" })));
    assert_eq!(done, expected(&[("Executions ampxa/offboard/DONE", 1.0)]));
    for outcome in ["OFFBOARDED", "SKIPPED"] {
        let output = json!({ "outcome": outcome }).to_string();
        let ended = values(event("ampxa-offboard", "SUCCEEDED", json!({ "output": output })));
        assert_eq!(ended[&format!("Executions ampxa/offboard/{outcome}")], 1.0);
    }
    let without_output = values(event(
        "ampxa-onboard",
        "SUCCEEDED",
        json!({ "outputDetails": { "included": false } }),
    ));
    assert_eq!(without_output["Executions ampxa/onboard/DONE"], 1.0);
    assert!(Ended::try_from(json!({ "detail": {} })).is_err());
}
