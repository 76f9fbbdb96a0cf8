//! The totals of a reconciliation: how many clusters have which outcome, and which failed or were skipped.
//!
//! A summary's size is bounded, whatever the size of the organization: it counts every cluster, and lists the first of
//! those that failed and of those that were skipped.

use crate::{error::Error, input};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The results to add up.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Outcomes of clusters, or summaries. Anything else is the result of a batch that did not finish.
    pub results: Vec<Part>,
    /// How many results there should be.
    pub expected: usize,
    /// The largest number of clusters that each list of the summary may have.
    pub max_listed: usize,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Parses `{"results": […], "expected": …, "maxListed": …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// The outcome of a cluster, or of a location as a whole.
    Outcome(Outcome),
    /// The totals of a location or a batch.
    Summary(Summary),
    /// A batch that did not finish.
    Lost(Value),
}

/// The outcome of one cluster, or of a location as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    /// `ONBOARDED`, `REPAIRED`, `UNCHANGED`, `SKIPPED`, `FAILED`, `OFFBOARDED`, `ORPHAN_SEEN`, `ORPHAN_RECOVERED`, or
    /// `UNREACHABLE` for a location.
    pub outcome: String,
    /// What the summary lists.
    #[serde(flatten)]
    pub listed: Listed,
}

/// A cluster or location in a list of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_arn: Option<String>,
    /// The account of a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The Region of a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The name of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The cause of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The number of clusters by outcome; locations that are unreachable count too.
    pub counts: BTreeMap<String, usize>,
    /// The first clusters and locations that failed.
    pub failed: Vec<Listed>,
    /// The first clusters and locations that were skipped.
    pub skipped: Vec<Listed>,
    /// How many more failed than `failed` lists.
    pub more_failed: usize,
    /// How many batches did not finish.
    pub lost: usize,
}

/// The outcome of a cluster or location that failed.
const FAILED: &str = "FAILED";
/// The outcome of a cluster that the routing table or its tags leave out.
const SKIPPED: &str = "SKIPPED";
/// The outcome of a location whose provisioner the hub may not assume.
const UNREACHABLE: &str = "UNREACHABLE";

/// Adds up results.
pub fn summarize(input: Input) -> Summary {
    let mut sum = Summary::default();
    let mut finished = 0;
    for part in input.results {
        match part {
            Part::Outcome(Outcome { outcome, listed }) => {
                match outcome.as_str() {
                    FAILED => sum.failed.push(listed),
                    SKIPPED | UNREACHABLE => sum.skipped.push(listed),
                    _ => {}
                }
                *sum.counts.entry(outcome).or_default() += 1;
            }
            Part::Summary(part) => {
                for (outcome, count) in part.counts {
                    *sum.counts.entry(outcome).or_default() += count;
                }
                sum.failed.extend(part.failed);
                sum.skipped.extend(part.skipped);
                sum.lost += part.lost;
            }
            Part::Lost(_) => continue,
        }
        finished += 1;
    }
    sum.lost += input.expected.saturating_sub(finished);
    sum.failed.truncate(input.max_listed);
    sum.skipped.truncate(input.max_listed);
    sum.more_failed = sum.counts.get(FAILED).map_or(0, |failed| failed - sum.failed.len());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sum(results: Value, expected: usize, max_listed: usize) -> Value {
        let input = json!({ "results": results, "expected": expected, "maxListed": max_listed });
        serde_json::to_value(summarize(Input::try_from(input).unwrap())).unwrap()
    }

    #[test]
    fn outcomes_are_counted_and_the_first_failed_and_skipped_are_listed() {
        let failed =
            |n: u32| json!({ "clusterArn": format!("c{n}"), "outcome": "FAILED", "error": "NotReady", "cause": "why" });
        let all = json!([
            { "clusterArn": "a", "outcome": "UNCHANGED" },
            { "clusterArn": "b", "outcome": "UNCHANGED" },
            { "clusterArn": "s", "outcome": "SKIPPED", "reason": "no rule" },
            failed(1), failed(2), failed(3),
            { "account": "2", "region": "r", "outcome": "UNREACHABLE", "reason": "no provisioner" },
        ]);
        assert_eq!(
            sum(all, 7, 2),
            json!({
                "counts": { "FAILED": 3, "SKIPPED": 1, "UNCHANGED": 2, "UNREACHABLE": 1 },
                "failed": [
                    { "clusterArn": "c1", "error": "NotReady", "cause": "why" },
                    { "clusterArn": "c2", "error": "NotReady", "cause": "why" },
                ],
                "skipped": [
                    { "clusterArn": "s", "reason": "no rule" },
                    { "account": "2", "region": "r", "reason": "no provisioner" },
                ],
                "moreFailed": 1,
                "lost": 0,
            })
        );
    }

    #[test]
    fn summaries_are_added_up() {
        let part = |counts: Value, failed: Value| json!({ "counts": counts, "failed": failed, "skipped": [], "moreFailed": 7, "lost": 0 });
        let listed = json!({ "clusterArn": "c", "error": "E", "cause": "w" });
        let parts = json!([
            part(json!({ "FAILED": 8, "UNCHANGED": 1 }), json!([listed])),
            part(json!({ "UNCHANGED": 2 }), json!([])),
        ]);
        assert_eq!(
            sum(parts, 2, 50),
            json!({
                "counts": { "FAILED": 8, "UNCHANGED": 3 }, "failed": [listed], "skipped": [],
                "moreFailed": 7, "lost": 0,
            })
        );
    }

    #[test]
    fn a_batch_that_did_not_finish_is_lost_whether_its_result_is_an_error_or_missing() {
        let part = json!({ "counts": { "UNCHANGED": 1 }, "failed": [], "skipped": [], "moreFailed": 0, "lost": 0 });
        let error = json!({ "Error": "States.Timeout", "Cause": "" });
        assert_eq!(sum(json!([part, error]), 3, 150)["lost"], 2);
        assert_eq!(sum(json!([null]), 1, 150)["lost"], 1);
        assert_eq!(sum(json!([]), 0, 150)["lost"], 0);
    }

    #[test]
    fn an_error_in_the_input_begins_with_the_field() {
        let why = Input::try_from(json!({ "results": 1, "expected": 1, "maxListed": 1 })).unwrap_err();
        assert!(why.to_string().starts_with("results: "), "{why}");
    }
}
