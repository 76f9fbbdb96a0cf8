//! What a reconciliation finds, plans and does: the items that its Maps pass on, one line of JSON each.

use crate::arn::{AccountId, ClusterArn, Region, WorkspaceArn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One item. The plan and the outcome of a cluster are added to the item of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "UPPERCASE")]
pub enum Finding {
    /// A location that was looked at, or could not be.
    Location(Location),
    /// A cluster that exists.
    Cluster(Box<Cluster>),
    /// A cluster with scrapers of ampxa that is missing, or was missing and exists again.
    Orphan(Box<Orphan>),
    /// A pair whose workspace does not accept the account of its cluster, or could not be read.
    Pair(Pair),
    /// A scraper of a cluster that ampxa did not create.
    Scraper(Scraper),
    /// A role that has the name of a pair's role and belongs to no pair.
    Role(Role),
}

/// A location: an account in a Region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
    /// Whether it is the first Region of the account. IAM is global, so roles are read only then.
    #[serde(default, skip_serializing_if = "is_false")]
    pub first: bool,
    /// Why the account cannot be reached. Only in its first Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// Whether the account has pairs, or may have some.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_pairs: bool,
    /// Why it was not looked at, or only in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A cluster that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// Whether a scraper of ampxa that is ACTIVE, or is being updated, serves it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub connected: bool,
    /// The workspaces that an event or a reconciliation connected it to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routed_workspaces: Vec<WorkspaceArn>,
    /// The organizational units above its account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub organizational_units: Vec<String>,
    /// The request of its onboarding, if the routing table selects it.
    #[serde(default, skip_serializing)]
    pub request: Option<Requested>,
    /// `ONBOARD` or `SKIP`. `None` if it is disconnected.
    #[serde(default, skip_serializing)]
    pub action: Option<String>,
    /// Why it is skipped, or not disconnected.
    #[serde(default, skip_serializing)]
    pub reason: Option<String>,
    /// Pairs that the routing table no longer names: to report.
    #[serde(default, skip_serializing)]
    pub unrouted: Vec<Removal>,
    /// The same: to offboard.
    #[serde(default, skip_serializing)]
    pub removals: Vec<Removal>,
    /// What an onboarding would change.
    #[serde(default, skip_serializing)]
    pub plan: Option<Plan>,
    /// What an offboarding of all pairs would delete.
    #[serde(default, skip_serializing)]
    pub removal: Option<Plan>,
    /// What the onboarding or offboarding did.
    #[serde(default, skip_serializing)]
    pub result: Option<Done>,
    /// The pairs of `removals` that were offboarded, or could not be.
    #[serde(default, skip_serializing)]
    pub removed: Vec<Removal>,
    /// Why it was not routed, planned or onboarded.
    #[serde(default, skip_serializing)]
    pub failure: Option<Failure>,
}

impl Cluster {
    /// A cluster about which nothing else is known.
    pub fn of(cluster: &ClusterArn) -> Self {
        Self {
            cluster_arn: cluster.clone(),
            connected: false,
            routed_workspaces: Vec::new(),
            organizational_units: Vec::new(),
            request: None,
            action: None,
            reason: None,
            unrouted: Vec::new(),
            removals: Vec::new(),
            plan: None,
            removal: None,
            result: None,
            removed: Vec::new(),
            failure: None,
        }
    }
}

/// The part of an onboarding's request that a report names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requested {
    /// The workspace of the route.
    pub workspace_arn: String,
}

/// A pair that an event or a reconciliation connected, and that the routing table no longer names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// The workspace.
    pub workspace_arn: String,
    /// The execution that offboarded the pair.
    pub execution_arn: Option<String>,
    /// Why it did not.
    pub failure: Option<Failure>,
}

/// The part of a plan that a report contains.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The changes, as in [`crate::plan::Change`].
    pub changes: Vec<Value>,
    /// The prerequisites that are not met.
    pub prerequisites: Vec<String>,
    /// The name of the error with which an execution would end.
    pub would_fail_as: Option<String>,
    /// The running execution that holds the lock of the cluster.
    pub in_progress: Option<String>,
    /// Differences that an execution does not change.
    pub warnings: Vec<String>,
    /// The fingerprint of the changes.
    pub plan: String,
}

/// The part of an execution's output that a report contains.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// `ONBOARDED`, `REPAIRED`, `UNCHANGED`, `OFFBOARDED`, `ORPHAN_SEEN` or `ORPHAN_RECOVERED`.
    pub outcome: String,
    /// The execution.
    pub execution_arn: Option<String>,
    /// Resources that it created.
    #[serde(default)]
    pub created: Vec<String>,
    /// Parts that it repaired.
    #[serde(default)]
    pub repaired: Vec<String>,
    /// Stale scrapers that it replaced, and why.
    #[serde(default)]
    pub replaced: Vec<String>,
    /// Differences that it did not change.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whether samples arrive.
    pub ingestion: Option<Ingestion>,
}

/// Whether samples arrive in the workspace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ingestion {
    /// `RECEIVING`, `NONE`, `TARGETS_DOWN`, `NOT_CHECKED` or `SKIPPED`.
    pub result: String,
    /// Why no sample arrives.
    #[serde(default)]
    pub hints: Vec<String>,
}

/// A cluster with scrapers of ampxa that is missing, or was missing and exists again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// Its scrapers.
    pub scraper_arns: Vec<String>,
    /// Whether the list of clusters lacks it.
    pub missing: bool,
    /// The ARN of the reconciliation that first did not find it, from the tag of the scrapers.
    pub orphan_since: Option<String>,
    /// What an offboarding of all pairs would delete.
    #[serde(default, skip_serializing)]
    pub removal: Option<Plan>,
    /// What was done.
    #[serde(default, skip_serializing)]
    pub result: Option<Done>,
    /// Why nothing was done.
    #[serde(default, skip_serializing)]
    pub failure: Option<Failure>,
}

/// A pair whose workspace does not accept the account of its cluster, or could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// The workspace.
    pub workspace_arn: WorkspaceArn,
    /// Whether it is known that the workspace does not accept the account.
    pub known: bool,
    /// Why.
    pub reason: String,
}

/// A scraper of a cluster that ampxa did not create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scraper {
    /// Its ARN.
    pub scraper_arn: String,
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// The workspace.
    pub workspace_arn: Option<String>,
    /// Who manages it, as far as its tags say, and its roles.
    pub reason: String,
}

/// A role that has the name of a pair's role and belongs to no pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Its ARN.
    pub role_arn: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The error of a task, as Step Functions passes it to `Catch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Failure {
    /// The name of the error.
    pub error: String,
    /// The cause. AWS may leave it out.
    pub cause: Option<String>,
}

/// A failure in plain terms: that of a function, or that of the execution that a task started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The name of the error.
    pub error: String,
    /// What happened.
    pub cause: String,
    /// The execution that failed.
    pub execution_arn: Option<String>,
}

/// The description of an execution, which is the cause of a task that waited for it (Step Functions developer guide,
/// "Integrate with other services": `.sync:2`).
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Execution {
    execution_arn: Option<String>,
    status: Option<String>,
    error: Option<String>,
    cause: Option<String>,
}

impl Failure {
    /// The error and cause that matter to a person. The names of AWS's errors contain a dot; those of ampxa's do not.
    pub fn explained(&self) -> Explained {
        let cause = self.cause.as_deref().unwrap_or("AWS gave no cause.");
        let execution: Option<Execution> = serde_json::from_str(cause).ok();
        let execution = execution.filter(|execution| execution.execution_arn.is_some());
        let Some(Execution {
            execution_arn: Some(arn),
            status,
            error,
            cause: inner,
        }) = execution
        else {
            return Explained {
                error: self.error.clone(),
                cause: self.cause_of_function(cause),
                execution_arn: None,
            };
        };
        let ended = || format!("The execution {arn} is {}.", status.as_deref().unwrap_or("not known"));
        Explained {
            cause: inner.unwrap_or_else(ended),
            error: error.unwrap_or_else(|| self.error.clone()),
            execution_arn: Some(arn),
        }
    }

    fn cause_of_function(&self, cause: &str) -> String {
        if self.error.contains('.') {
            return format!("{}: {cause}", self.error);
        }
        let function: Value = serde_json::from_str(cause).unwrap_or_default();
        function["errorMessage"].as_str().unwrap_or(cause).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_is_explained_by_the_function_or_by_the_execution_that_failed() {
        let described = |more: Value| {
            let mut description = json!({ "ExecutionArn": "arn:e", "Input": "{}", "Status": "FAILED" });
            description
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            description.to_string()
        };
        let function_error = json!({ "errorType": "NotReady", "errorMessage": "reason {\"a\": 1}" }).to_string();
        for (error, cause, expected) in [
            (
                "States.TaskFailed",
                Some(described(json!({ "Error": "NotReady", "Cause": "reason {\"a\": 1}" }))),
                ("NotReady", "reason {\"a\": 1}", Some("arn:e")),
            ),
            (
                "States.TaskFailed",
                Some(described(json!({ "Status": "ABORTED" }))),
                ("States.TaskFailed", "The execution arn:e is ABORTED.", Some("arn:e")),
            ),
            (
                "NotReady",
                Some(function_error),
                ("NotReady", "reason {\"a\": 1}", None),
            ),
            (
                "NotReady",
                Some("{ no JSON }".to_owned()),
                ("NotReady", "{ no JSON }", None),
            ),
            (
                "States.TaskFailed",
                Some("{\"ExecutionArn\": \"cut".to_owned()),
                ("States.TaskFailed", "States.TaskFailed: {\"ExecutionArn\": \"cut", None),
            ),
            (
                "States.Timeout",
                None,
                ("States.Timeout", "States.Timeout: AWS gave no cause.", None),
            ),
        ] {
            let error = error.to_owned();
            let explained = Failure { error, cause }.explained();
            let execution = explained.execution_arn.as_deref();
            assert_eq!((&*explained.error, &*explained.cause, execution), expected);
        }
    }
}
