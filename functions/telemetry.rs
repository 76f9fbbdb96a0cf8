//! CloudWatch metrics of ended executions, and of clusters whose tag chooses no valid workspace.
//!
//! An execution that fails, times out or is stopped has no last step that could emit metrics. So the metrics follow
//! from the status-change events of Step Functions, which are delivered on a best-effort basis (Step Functions
//! developer guide, "Automating event delivery with EventBridge"). They are written to the log in the embedded metric
//! format, without a call to CloudWatch (CloudWatch user guide, "Embedding metrics within logs").

use crate::{arn::ClusterArn, error::Error, reconcile::report::Verdict};
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "ampxa";
/// The number of ended executions, by `Machine` and `Outcome`.
pub const EXECUTIONS: &str = "Executions";
/// The number of executions that did not succeed, by `Error`: the name of the error.
pub const FAILURES: &str = "Failures";
/// Minutes until a new scraper was ACTIVE.
pub const ACTIVATION: &str = "ActivationMinutes";
/// The number of polls until a new scraper was ACTIVE.
pub const POLLS: &str = "ActivationPolls";
/// Seconds from the start to the end of an execution that created a scraper, if the workspace received samples.
pub const FIRST_SAMPLE: &str = "SecondsToFirstSample";
/// The number of onboardings after which the workspace received no sample of a target that is up.
pub const WITHOUT_SAMPLES: &str = "WithoutSamples";
/// The number of onboardings whose check of ingestion failed.
pub const NOT_CHECKED: &str = "IngestionNotChecked";
/// The number of pairs that a reconciliation repaired.
pub const DRIFT: &str = "Drift";
/// The used part of the scraper quota in percent, by `Account` and `Region`.
pub const QUOTA: &str = "ScraperQuotaPercent";
/// The number of accounts that a reconciliation could not reach.
pub const UNREACHABLE: &str = "AccountsUnreachable";
/// The number of those accounts that have pairs, or may have some.
pub const UNREACHABLE_WITH_PAIRS: &str = "AccountsWithPairsUnreachable";
/// The number of clusters in the accounts and Regions that the hub is configured for.
pub const CLUSTERS_SEEN: &str = "ClustersSeen";
/// The number of those clusters that a scraper of ampxa serves.
pub const CLUSTERS_CONNECTED: &str = "ClustersConnected";
/// The same in percent.
pub const COVERAGE: &str = "CoveragePercent";
/// The number of pairs that a reconciliation found, and that the routing table no longer names.
pub const UNROUTED: &str = "UnroutedPairs";
/// The number of pairs that a reconciliation found, and whose workspace does not accept the account of their cluster.
pub const NOT_ACCEPTED: &str = "NotAcceptedPairs";
/// The number of roles that a reconciliation found, and that belong to no pair.
pub const OWNERLESS: &str = "OwnerlessRoles";
/// The number of times that a cluster was skipped, because its tag chooses no workspace that is open to it.
pub const INVALID_CHOICES: &str = "InvalidChoices";

/// The end of an execution.
#[derive(Debug)]
pub struct Ended {
    /// The name of the hub's stack.
    pub hub: String,
    detail: Value,
}

impl TryFrom<Value> for Ended {
    type Error = Error;

    /// Reads the event `Step Functions Execution Status Change`. `hub` stays empty.
    fn try_from(event: Value) -> Result<Self, Error> {
        let detail = &event["detail"];
        if !detail["stateMachineArn"].is_string() || !detail["status"].is_string() {
            return Err(Error::invalid(
                "detail",
                "no stateMachineArn or status; expected an event \"Step Functions Execution Status Change\"",
            ));
        }
        Ok(Self {
            hub: String::new(),
            detail: detail.clone(),
        })
    }
}

/// A line of the log in the embedded metric format.
pub type Line = Value;

impl Ended {
    /// The log lines with the metrics of the execution.
    pub fn lines(&self) -> Vec<Line> {
        let detail = &self.detail;
        let output = json_in(&detail["output"]);
        let name = text(&detail["stateMachineArn"]).rsplit(':').next().unwrap_or_default();
        let machine = name.strip_prefix(&format!("{}-", self.hub)).unwrap_or(name);
        let failed = detail["status"] != "SUCCEEDED";
        let outcome = match (failed, machine) {
            (true, _) => text(&detail["status"]),
            (_, "onboard" | "offboard" | "reconcile") if output["outcome"].is_string() => text(&output["outcome"]),
            _ => "DONE",
        };
        let dimensions = [("Machine", machine), ("Outcome", outcome)];
        let mut lines = vec![self.line(&dimensions, &[(EXECUTIONS, "Count", json!(1))])];
        if failed {
            let error = match text(&detail["error"]) {
                "" => outcome,
                error => error,
            };
            lines.push(self.line(&[("Error", error)], &[(FAILURES, "Count", json!(1))]));
        } else if machine == "onboard" {
            lines.push(self.line(&[], &self.onboarding_metrics(&output)));
            lines.extend(self.quota_lines(&output));
        } else if machine == "reconcile" && outcome == "RECONCILED" {
            lines.push(self.line(&[], &reconciliation_metrics(&output)));
        }
        lines
    }

    fn onboarding_metrics(&self, output: &Value) -> Vec<(&'static str, &'static str, Value)> {
        let by_reconciliation = text(&self.detail["name"]).starts_with("reconcile-");
        let created_scraper = list(&output["created"]).iter().any(|created| *created == "scraper");
        let ingestion = &output["ingestion"]["result"];
        let without_samples = ["NONE", "TARGETS_DOWN"].contains(&text(ingestion));
        let drifted = by_reconciliation && output["outcome"] == "REPAIRED";
        let mut metrics = vec![
            (WITHOUT_SAMPLES, "Count", json!(u8::from(without_samples))),
            (NOT_CHECKED, "Count", json!(u8::from(ingestion == "NOT_CHECKED"))),
            (DRIFT, "Count", json!(u8::from(drifted))),
        ];
        if created_scraper {
            metrics.push((ACTIVATION, "None", output["activationMinutes"].clone()));
            metrics.push((POLLS, "Count", output["polls"].clone()));
            let milliseconds = number(&self.detail["stopDate"]) - number(&self.detail["startDate"]);
            if ingestion == "RECEIVING" {
                metrics.push((FIRST_SAMPLE, "Seconds", json!(milliseconds / 1000.0)));
            }
        }
        metrics.retain(|(_, _, value)| value.is_number());
        metrics
    }

    /// The used quota twice: without dimensions, for an alarm on the maximum, and by account and Region.
    fn quota_lines(&self, output: &Value) -> Vec<Line> {
        let percent = 100.0 * number(&output["scrapers"]["count"]) / number(&output["scrapers"]["quota"]);
        if !percent.is_finite() {
            return Vec::new();
        }
        let mut arn = text(&output["clusterArn"]).split(':').skip(3);
        let (region, account) = (arn.next().unwrap_or_default(), arn.next().unwrap_or_default());
        let metric = [(QUOTA, "Percent", json!(percent))];
        vec![
            self.line(&[], &metric),
            self.line(&[("Account", account), ("Region", region)], &metric),
        ]
    }

    /// A log line with metrics of the execution.
    fn line(&self, dimensions: &[(&str, &str)], metrics: &[(&str, &str, Value)]) -> Line {
        let mut line = line(&self.hub, number(&self.detail["stopDate"]) as u64, dimensions, metrics);
        line["execution"] = self.detail["executionArn"].clone();
        line
    }
}

fn reconciliation_metrics(output: &Value) -> Vec<(&'static str, &'static str, Value)> {
    let count = |verdict: Verdict| output["counts"][verdict.name()].as_u64().unwrap_or_default();
    let with_pairs = count(Verdict::UnreachableWithPairs);
    let all = with_pairs + count(Verdict::Unreachable);
    let mut metrics = vec![
        (UNREACHABLE, "Count", json!(all)),
        (UNREACHABLE_WITH_PAIRS, "Count", json!(with_pairs)),
        (UNROUTED, "Count", json!(count(Verdict::Unrouted))),
        (NOT_ACCEPTED, "Count", json!(count(Verdict::NotAccepted))),
        (OWNERLESS, "Count", json!(count(Verdict::Ownerless))),
    ];
    // The coverage of some accounts or Regions is not that of the organization.
    if output["isWhole"] == true {
        let coverage = &output["coverage"];
        metrics.push((CLUSTERS_SEEN, "Count", coverage["seen"].clone()));
        metrics.push((CLUSTERS_CONNECTED, "Count", coverage["connected"].clone()));
        metrics.push((COVERAGE, "Percent", coverage["percent"].clone()));
    }
    metrics
}

/// A log line with metrics at a time, in milliseconds since the epoch. The hub is a dimension of all metrics.
fn line(hub: &str, time: u64, dimensions: &[(&str, &str)], metrics: &[(&str, &str, Value)]) -> Line {
    let all = [("Hub", hub)].into_iter().chain(dimensions.iter().copied());
    let names: Vec<&str> = all.clone().map(|(name, _)| name).collect();
    let definitions: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": time,
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": definitions }],
        }),
    );
    line.extend(all.map(|(name, value)| (name.to_owned(), json!(value))));
    line.extend(
        metrics
            .iter()
            .map(|(name, _, value)| ((*name).to_owned(), value.clone())),
    );
    Value::Object(line)
}

/// The log line that counts a cluster whose tag chooses no workspace that is open to it.
pub fn invalid_choice(hub: &str, cluster: &ClusterArn, now: SystemTime) -> Line {
    let time = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or_default();
    let mut line = line(hub, milliseconds, &[], &[(INVALID_CHOICES, "Count", json!(1))]);
    line["clusterArn"] = json!(cluster);
    line
}

/// Writes the line of [`invalid_choice`] to the log.
pub(crate) fn record_invalid_choice(hub: &str, cluster: &ClusterArn) {
    println!("{}", invalid_choice(hub, cluster, SystemTime::now()));
}

/// Writes the metrics of an ended execution to the log.
///
/// # Errors
/// None. Values that are missing in the event are left out.
pub async fn record(ended: &Ended) -> Result<Value, Error> {
    let lines = ended.lines();
    for line in &lines {
        println!("{line}");
    }
    Ok(json!({ "lines": lines.len() }))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The JSON in a string.
fn json_in(value: &Value) -> Value {
    serde_json::from_str(text(value)).unwrap_or_default()
}
