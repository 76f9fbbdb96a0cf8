//! The tags of our resources, and the tags of clusters that are read. Keys that begin with `ampxa:` are reserved.

use crate::task::Task;
use std::collections::BTreeMap;

/// On roles and scrapers: the ARN of the cluster that the resource serves.
pub const CLUSTER_TAG: &str = "ampxa:cluster";
/// On roles and scrapers: the ARN of the workspace that the resource serves. On a cluster: see [`CHOICE_TAG`].
pub const WORKSPACE_TAG: &str = "ampxa:workspace";
/// On roles and scrapers: the ARN of the execution that created the resource.
pub const CREATED_BY_TAG: &str = "ampxa:created-by";
/// On a scraper: the ARN of the reconciliation that did not find its cluster.
pub const ORPHAN_TAG: &str = "ampxa:orphan-since";
/// On a workspace: the accounts that it accepts. Further tags continue the list: `ampxa:accept-2`, `ampxa:accept-3`, …
pub const ACCEPT_TAG: &str = "ampxa:accept";
/// On the reader of a target account: the parameter `WorkspaceConsent` of `infra/target-account.yaml`.
pub const CONSENT_TAG: &str = "ampxa:workspace-consent";
/// On a cluster: the value `no` excludes the cluster from routing.
pub const ONBOARD_TAG: &str = "ampxa:onboard";
/// On a cluster: the id or ARN of its workspace, one of those that the routing table allows.
pub const CHOICE_TAG: &str = WORKSPACE_TAG;

/// The tags of a resource of the task's pair: those of the request, [`CLUSTER_TAG`] and [`WORKSPACE_TAG`].
pub fn of_pair<I>(task: &Task<I>) -> BTreeMap<String, String> {
    let mut tags = task.request.tags.clone();
    tags.insert(CLUSTER_TAG.to_owned(), task.pair.cluster.to_string());
    tags.insert(WORKSPACE_TAG.to_owned(), task.pair.workspace.to_string());
    tags
}
