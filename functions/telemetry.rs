//! What executions come to, as metrics of CloudWatch.
//!
//! A machine that fails or is stopped has no last step that could tell of it, so the events are counted that Step
//! Functions puts of its executions' ends: of nearly all of them, it promises no more. The metrics are written to
//! the log in the embedded metric format, and cost no call (CloudWatch user guide, "Embedding metrics within logs";
//! Step Functions developer guide, "Automating event delivery with EventBridge").

use crate::error::Error;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "ampxa";
/// Ends of executions, by `Machine` and `Outcome`.
pub const EXECUTIONS: &str = "Executions";
/// Executions that did not succeed, by `Error`: the name they failed under.
pub const FAILURES: &str = "Failures";
/// Minutes that a new scraper took to become ACTIVE.
pub const ACTIVATION: &str = "ActivationMinutes";
/// How often a new scraper was looked at until it was.
pub const POLLS: &str = "ActivationPolls";
/// Seconds from the start of an execution that made a scraper until samples were seen to arrive.
pub const FIRST_SAMPLE: &str = "SecondsToFirstSample";
/// Onboardings after which no sample of an endpoint that is up arrived.
pub const WITHOUT_SAMPLES: &str = "WithoutSamples";
/// Onboardings after which nobody could look whether samples arrive.
pub const NOT_CHECKED: &str = "IngestionNotChecked";
/// Pairs that a reconciliation had to repair.
pub const DRIFT: &str = "Drift";
/// How full a Region of an account is of scrapers, by `Account` and `Region`.
pub const QUOTA: &str = "ScraperQuotaPercent";

/// The end of an execution.
#[derive(Debug)]
pub struct Ended {
    /// The stack of the hub.
    pub hub: String,
    detail: Value,
}

impl TryFrom<Value> for Ended {
    type Error = Error;

    /// Reads the event `Step Functions Execution Status Change`; the hub's name is the environment's.
    fn try_from(event: Value) -> Result<Self, Error> {
        let detail = &event["detail"];
        if !detail["stateMachineArn"].is_string() || !detail["status"].is_string() {
            return Err(Error::invalid("detail", "expected the change of an execution's status"));
        }
        Ok(Self {
            hub: std::env::var("AMPXA_HUB").unwrap_or_default(),
            detail: detail.clone(),
        })
    }
}

/// One line of the log, which CloudWatch reads metrics from.
pub type Line = Value;

impl Ended {
    /// The lines that tell of it.
    pub fn lines(&self) -> Vec<Line> {
        let detail = &self.detail;
        let output = json_in(&detail["output"]);
        let machine = text(&detail["stateMachineArn"]).rsplit(':').next().unwrap_or_default();
        let machine = machine.strip_prefix(&format!("{}-", self.hub)).unwrap_or(machine);
        let failed = detail["status"] != "SUCCEEDED";
        let outcome = match (failed, machine) {
            (true, _) => text(&detail["status"]),
            (_, "onboard") if output["outcome"].is_string() => text(&output["outcome"]),
            _ => "DONE",
        };
        let of = [("Machine", machine), ("Outcome", outcome)];
        let mut lines = vec![self.line(&of, &[(EXECUTIONS, "Count", json!(1))])];
        if failed {
            let error = Some(text(&detail["error"])).filter(|error| !error.is_empty());
            let of = [("Error", error.unwrap_or(outcome))];
            lines.push(self.line(&of, &[(FAILURES, "Count", json!(1))]));
        } else if machine == "onboard" {
            lines.push(self.line(&[], &self.of_onboarding(&output)));
            lines.extend(self.quota(&output));
        }
        lines
    }

    fn of_onboarding(&self, output: &Value) -> Vec<(&'static str, &'static str, Value)> {
        let by_reconciliation = text(&self.detail["name"]).starts_with("reconcile-");
        let made = list(&output["created"]).iter().any(|made| *made == "scraper");
        let arrives = &output["ingestion"]["result"];
        let without = ["NONE", "TARGETS_DOWN"].contains(&text(arrives));
        let drifted = by_reconciliation && output["outcome"] == "REPAIRED";
        let mut metrics = vec![
            (WITHOUT_SAMPLES, "Count", json!(u8::from(without))),
            (NOT_CHECKED, "Count", json!(u8::from(arrives == "NOT_CHECKED"))),
            (DRIFT, "Count", json!(u8::from(drifted))),
        ];
        if made {
            metrics.push((ACTIVATION, "None", output["activationMinutes"].clone()));
            metrics.push((POLLS, "Count", output["polls"].clone()));
            let milliseconds = number(&self.detail["stopDate"]) - number(&self.detail["startDate"]);
            if arrives == "RECEIVING" {
                metrics.push((FIRST_SAMPLE, "Seconds", json!(milliseconds / 1000.0)));
            }
        }
        metrics.retain(|(_, _, value)| value.is_number());
        metrics
    }

    /// Of all places, for an alarm on the fullest, and of the one, for people.
    fn quota(&self, output: &Value) -> Vec<Line> {
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

    /// Metrics of the hub, by these dimensions too.
    fn line(&self, dimensions: &[(&str, &str)], metrics: &[(&str, &str, Value)]) -> Line {
        let all = [("Hub", self.hub.as_str())]
            .into_iter()
            .chain(dimensions.iter().copied());
        let names: Vec<&str> = all.clone().map(|(name, _)| name).collect();
        let definitions: Vec<Value> = metrics
            .iter()
            .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
            .collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": number(&self.detail["stopDate"]) as u64,
                "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": definitions }],
            }),
        );
        line.insert("execution".to_owned(), self.detail["executionArn"].clone());
        line.extend(all.map(|(name, value)| (name.to_owned(), json!(value))));
        line.extend(
            metrics
                .iter()
                .map(|(name, _, value)| ((*name).to_owned(), value.clone())),
        );
        Value::Object(line)
    }
}

/// Writes the lines of an end to the log.
///
/// # Errors
/// None: what cannot be counted is not.
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

/// The JSON that a text holds.
fn json_in(value: &Value) -> Value {
    serde_json::from_str(text(value)).unwrap_or_default()
}
