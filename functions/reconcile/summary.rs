//! The totals of a reconciliation: how many clusters have which outcome, and which failed or were skipped.
//!
//! A summary's size is bounded, whatever the size of the organization: it counts every cluster, and lists the first of
//! those that failed and of those that were skipped, and the first accounts that are unreachable.

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
    /// The maximum length of each list of the summary.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `ONBOARDED`, `REPAIRED`, `UNCHANGED`, `SKIPPED`, `FAILED`, `OFFBOARDED`, `ORPHAN_SEEN`, `ORPHAN_RECOVERED`; for an
    /// account, [`UNREACHABLE`] or [`UNREACHABLE_WITH_PAIRS`]; for a pair, [`NOT_ACCEPTED`] or [`CONSENT_UNKNOWN`]; or for a role,
    /// [`OWNERLESS_ROLE`].
    pub outcome: String,
    /// Pairs of the cluster that the routing table no longer names. Each counts as [`UNROUTED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrouted: Vec<Listed>,
    /// What the summary lists.
    #[serde(flatten)]
    pub listed: Listed,
}

impl Outcome {
    /// The outcome of a role that belongs to no pair.
    pub(super) fn ownerless_role(arn: String) -> Self {
        Self {
            outcome: OWNERLESS_ROLE.to_owned(),
            unrouted: Vec::new(),
            listed: Listed {
                role_arn: Some(arn),
                ..Listed::default()
            },
        }
    }
}

/// A cluster, pair, location, account or role in a list of the summary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_arn: Option<String>,
    /// The workspace of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_arn: Option<String>,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
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
    /// Why it was skipped, is unreachable, or is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether an unreachable account has pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_pairs: Option<bool>,
}

/// The totals. Lists that are empty are left out, so that the summaries of all batches fit into a payload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The number of clusters by outcome; accounts that are unreachable count too.
    pub counts: BTreeMap<String, usize>,
    /// The first clusters and locations that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Listed>,
    /// The first clusters that were skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Listed>,
    /// The first accounts that are unreachable, those with pairs before the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<Listed>,
    /// The first pairs that the routing table no longer names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrouted: Vec<Listed>,
    /// The first pairs whose workspace does not accept the account of their cluster, or could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_accepted: Vec<Listed>,
    /// The first roles that belong to no pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ownerless_roles: Vec<Listed>,
    /// How many more failed than `failed` lists.
    pub more_failed: usize,
    /// How many batches did not finish.
    pub lost: usize,
}

/// The outcome of a cluster or location that failed.
const FAILED: &str = "FAILED";
/// The outcome of a cluster that the routing table or its tags leave out.
const SKIPPED: &str = "SKIPPED";
/// The outcome of an account whose roles the hub may not assume, and that has no pairs.
pub const UNREACHABLE: &str = "UNREACHABLE";
/// The outcome of an account whose roles the hub may not assume, and that has pairs, or may have some.
pub const UNREACHABLE_WITH_PAIRS: &str = "UNREACHABLE_WITH_PAIRS";
/// The outcome of a pair that an event or a reconciliation connected, and that the routing table no longer names.
pub const UNROUTED: &str = "UNROUTED";
/// The outcome of a pair whose workspace could not be read, so that it is not known whether it accepts the account.
pub const CONSENT_UNKNOWN: &str = "CONSENT_UNKNOWN";
/// The outcome of a pair whose workspace does not accept the account of its cluster.
pub const NOT_ACCEPTED: &str = "NOT_ACCEPTED";
/// The outcome of a role that has the name of a pair's role and belongs to no pair.
pub const OWNERLESS_ROLE: &str = "OWNERLESS";

/// Adds up results.
pub fn summarize(input: Input) -> Summary {
    let mut sum = Summary::default();
    let mut finished = 0;
    for part in input.results {
        match part {
            Part::Outcome(Outcome {
                outcome,
                unrouted,
                listed,
            }) => {
                if !unrouted.is_empty() {
                    *sum.counts.entry(UNROUTED.to_owned()).or_default() += unrouted.len();
                }
                sum.unrouted.extend(unrouted);
                match outcome.as_str() {
                    FAILED => sum.failed.push(listed),
                    SKIPPED => sum.skipped.push(listed),
                    NOT_ACCEPTED | CONSENT_UNKNOWN => sum.not_accepted.push(listed),
                    OWNERLESS_ROLE => sum.ownerless_roles.push(listed),
                    UNREACHABLE | UNREACHABLE_WITH_PAIRS => sum.unreachable.push(Listed {
                        has_pairs: Some(outcome == UNREACHABLE_WITH_PAIRS),
                        ..listed
                    }),
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
                sum.unreachable.extend(part.unreachable);
                sum.unrouted.extend(part.unrouted);
                sum.not_accepted.extend(part.not_accepted);
                sum.ownerless_roles.extend(part.ownerless_roles);
                sum.lost += part.lost;
            }
            Part::Lost(_) => continue,
        }
        finished += 1;
    }
    sum.lost += input.expected.saturating_sub(finished);
    sum.failed.truncate(input.max_listed);
    sum.skipped.truncate(input.max_listed);
    sum.unreachable.sort_by_key(|account| account.has_pairs != Some(true));
    sum.unreachable.truncate(input.max_listed);
    sum.unrouted.truncate(input.max_listed);
    sum.not_accepted.truncate(input.max_listed);
    sum.ownerless_roles.truncate(input.max_listed);
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
            { "account": "2", "outcome": "UNREACHABLE", "reason": "no reader" },
            { "account": "3", "outcome": "UNREACHABLE", "reason": "no reader" },
            { "account": "4", "outcome": "UNREACHABLE_WITH_PAIRS", "reason": "no reader" },
        ]);
        assert_eq!(
            sum(all, 9, 2),
            json!({
                "counts": {
                    "FAILED": 3, "SKIPPED": 1, "UNCHANGED": 2, "UNREACHABLE": 2, "UNREACHABLE_WITH_PAIRS": 1,
                },
                "failed": [
                    { "clusterArn": "c1", "error": "NotReady", "cause": "why" },
                    { "clusterArn": "c2", "error": "NotReady", "cause": "why" },
                ],
                "skipped": [
                    { "clusterArn": "s", "reason": "no rule" },
                ],
                "unreachable": [
                    { "account": "4", "reason": "no reader", "hasPairs": true },
                    { "account": "2", "reason": "no reader", "hasPairs": false },
                ],
                "moreFailed": 1,
                "lost": 0,
            })
        );
    }

    #[test]
    fn summaries_are_added_up() {
        let part =
            |counts: Value, failed: Value| json!({ "counts": counts, "failed": failed, "moreFailed": 7, "lost": 0 });
        let listed = json!({ "clusterArn": "c", "error": "E", "cause": "w" });
        let parts = json!([
            part(json!({ "FAILED": 8, "UNCHANGED": 1 }), json!([listed])),
            part(json!({ "UNCHANGED": 2 }), json!([])),
        ]);
        assert_eq!(
            sum(parts, 2, 50),
            json!({
                "counts": { "FAILED": 8, "UNCHANGED": 3 }, "failed": [listed], "moreFailed": 7, "lost": 0,
            })
        );
    }

    #[test]
    fn accounts_with_pairs_are_listed_before_other_unreachable_accounts_of_all_batches() {
        let part = |account: &str, has_pairs: bool| {
            json!({
                "counts": { "UNREACHABLE": 1 }, "moreFailed": 0, "lost": 0,
                "unreachable": [{ "account": account, "reason": "no reader", "hasPairs": has_pairs }],
            })
        };
        let all = sum(json!([part("1", false), part("2", true), part("3", false)]), 3, 2);
        assert_eq!(
            (&all["unreachable"][0]["account"], &all["unreachable"][1]["account"]),
            (&json!("2"), &json!("1"))
        );
        assert_eq!(all["unreachable"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn pairs_that_are_not_routed_or_not_accepted_and_roles_without_an_owner_are_counted_and_listed() {
        let unrouted = |workspace: &str| json!({ "clusterArn": "a", "workspaceArn": workspace, "name": "n" });
        let all = json!([
            { "clusterArn": "a", "outcome": "UNCHANGED", "unrouted": [unrouted("1"), unrouted("2")] },
            { "clusterArn": "b", "outcome": "UNCHANGED", "unrouted": [] },
            { "roleArn": "r", "outcome": "OWNERLESS" },
            { "clusterArn": "a", "workspaceArn": "3", "outcome": "NOT_ACCEPTED", "reason": "it has no tag" },
        ]);
        let once = sum(all, 4, 1);
        let expected = json!({
            "counts": { "NOT_ACCEPTED": 1, "OWNERLESS": 1, "UNCHANGED": 2, "UNROUTED": 2 },
            "notAccepted": [{ "clusterArn": "a", "workspaceArn": "3", "reason": "it has no tag" }],
            "unrouted": [{ "clusterArn": "a", "workspaceArn": "1" }],
            "ownerlessRoles": [{ "roleArn": "r" }], "moreFailed": 0, "lost": 0,
        });
        assert_eq!(once, expected);
        let twice = sum(json!([once, once]), 2, 50);
        assert_eq!(
            twice["counts"],
            json!({ "NOT_ACCEPTED": 2, "OWNERLESS": 2, "UNCHANGED": 4, "UNROUTED": 4 })
        );
        assert_eq!(twice["unrouted"].as_array().map(Vec::len), Some(2));
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
