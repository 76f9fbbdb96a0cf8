//! The tags of our resources, and the tags of clusters that are read. Keys that begin with `ampxa:` are reserved.

use crate::{arn::ExecutionArn, input::shown, task::Task};
use std::collections::BTreeMap;

/// On roles and scrapers: the ARN of the cluster that the resource serves.
pub const CLUSTER_TAG: &str = "ampxa:cluster";
/// On roles and scrapers: the ARN of the workspace that the resource serves. On a cluster: see [`CHOICE_TAG`].
pub const WORKSPACE_TAG: &str = "ampxa:workspace";
/// On roles and scrapers: the ARN of the execution that created the resource.
pub const CREATED_BY_TAG: &str = "ampxa:created-by";
/// On roles and scrapers: [`ROUTE`] or [`REQUEST`], from the first onboarding that found no such tag. It is never changed.
pub const ORIGIN_TAG: &str = "ampxa:origin";
/// The origin of a pair that an event or a reconciliation connected.
pub const ROUTE: &str = "route";
/// The origin of a pair that a person connected.
pub const REQUEST: &str = "request";
/// On a scraper: the ARN of the reconciliation that did not find its cluster.
pub const ORPHAN_TAG: &str = "ampxa:orphan-since";
/// The value of [`ORPHAN_TAG`] if the cluster exists again and AWS did not remove the tag.
pub const RECOVERED: &str = "recovered";
/// On a scraper: the start of the execution that switched its logs on.
pub const LOGS_TAG: &str = "ampxa:collector-logs-since";
/// On a workspace: the accounts that it accepts. Further tags continue the list: `ampxa:accept-2`, `ampxa:accept-3`, …
pub const ACCEPT_TAG: &str = "ampxa:accept";
/// On the reader of a target account: the parameter `WorkspaceConsent` of `infra/target-account.yaml`.
pub const CONSENT_TAG: &str = "ampxa:workspace-consent";
/// On the provisioners and the readers: the version of the template that created them.
pub const VERSION_TAG: &str = "ampxa:version";
/// On a cluster: the value `no` excludes the cluster from routing.
pub const ONBOARD_TAG: &str = "ampxa:onboard";
/// On a cluster: the id or ARN of its workspace, one of those that the routing table allows.
pub const CHOICE_TAG: &str = WORKSPACE_TAG;

/// The tags of a resource of the task's pair: those of the request, [`CLUSTER_TAG`], [`WORKSPACE_TAG`] and [`ORIGIN_TAG`].
pub fn of_pair<I>(task: &Task<I>) -> BTreeMap<String, String> {
    let mut tags = task.request.tags.clone();
    tags.insert(CLUSTER_TAG.to_owned(), task.pair.cluster.to_string());
    tags.insert(WORKSPACE_TAG.to_owned(), task.pair.workspace.to_string());
    tags.insert(ORIGIN_TAG.to_owned(), origin(&task.execution).to_owned());
    tags
}

/// How the name of an onboarding begins if the input of a reconciliation chose the workspace.
pub(crate) const CHOICE_PREFIX: &str = "reconcile-choice";

/// The origin of the pairs that an execution connects, from the name that the hub gives to executions of events and
/// reconciliations ([`event`](crate::event), [`reconcile`](crate::reconcile)).
///
/// Whoever starts an execution can give it such a name. The pair then only counts as one of the routing table.
fn origin(execution: &ExecutionArn) -> &'static str {
    let name = execution.rsplit(':').next().unwrap_or_default();
    if name
        .strip_prefix(CHOICE_PREFIX)
        .is_some_and(|rest| rest.starts_with('-'))
    {
        return REQUEST;
    }
    match ["create-", "reconcile-"].iter().any(|prefix| name.starts_with(prefix)) {
        true => ROUTE,
        false => REQUEST,
    }
}

/// Whether a tag of a resource is as it should be. Any origin is: the tag tells who connected the pair first.
pub(crate) fn is_expected(key: &str, found: Option<&str>, expected: &str) -> bool {
    match key {
        ORIGIN_TAG => found.is_some(),
        _ => found == Some(expected),
    }
}

/// Keys of tags that tell who manages a resource, in lower case and without punctuation.
const MANAGER_KEYS: [&str; 19] = [
    "awscloudformationstackname",
    "awsservicecatalogprovisionedproductarn",
    "awseksclustername",
    "eksclustername",
    "ampxacluster",
    "ampxaworkspace",
    "ampxacreatedby",
    "createdby",
    "managedby",
    "madeby",
    "provisionedby",
    "provisioner",
    "terraform",
    "terraformworkspace",
    "pulumiproject",
    "owner",
    "team",
    "application",
    "name",
];
/// The most tags that a message quotes.
const MAX_QUOTED: usize = 5;

/// A sentence with the tags of a resource that tell who manages it. Tags of AWS's own are first: only AWS can set them.
pub(crate) fn manager<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let rank = |key: &str| {
        let letters: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        MANAGER_KEYS
            .iter()
            .position(|known| letters.eq_ignore_ascii_case(known))
    };
    let mut ranked: Vec<_> = tags.filter_map(|(key, value)| Some((rank(key)?, key, value))).collect();
    ranked.sort_unstable();
    let quoted: Vec<String> = ranked
        .iter()
        .take(MAX_QUOTED)
        .map(|(_, key, value)| format!("{key} = {}", shown(value)))
        .collect();
    match quoted.is_empty() {
        true => "None of its tags says who manages it; CloudTrail says who created it.".to_owned(),
        false => format!("Its tags on who manages it: {}.", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_that_tell_who_manages_a_resource_are_quoted() {
        let tags = [
            ("cost-center", "12"),
            ("Owner", "platform"),
            ("ManagedBy", "terraform"),
            ("aws:cloudformation:stack-name", "monitoring"),
        ];
        assert_eq!(
            manager(tags.into_iter()),
            "Its tags on who manages it: aws:cloudformation:stack-name = \"monitoring\", ManagedBy = \"terraform\", \
             Owner = \"platform\"."
        );
        assert!(manager(tags[..1].iter().copied()).contains("CloudTrail says who created it"));
        let many: Vec<_> = (0..9).map(|_| ("team", "a")).collect();
        assert_eq!(manager(many.into_iter()).matches("team").count(), MAX_QUOTED);
    }

    #[test]
    fn the_origin_follows_from_the_name_of_the_execution() {
        for (name, expected) in [
            ("create-demo-1a2b", ROUTE),
            ("reconcile-demo-1a2b", ROUTE),
            ("reconcile-choice-demo-1a2b", REQUEST),
            ("0a1b2c3d", REQUEST),
            ("my-create-demo", REQUEST),
            ("reconciled", REQUEST),
        ] {
            let arn = format!("arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:{name}");
            assert_eq!(origin(&arn.parse().unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn an_origin_is_completed_and_never_changed() {
        assert!(!is_expected(ORIGIN_TAG, None, ROUTE));
        assert!(is_expected(ORIGIN_TAG, Some(REQUEST), ROUTE) && is_expected(ORIGIN_TAG, Some(ROUTE), REQUEST));
        assert!(!is_expected(WORKSPACE_TAG, Some("a"), "b") && is_expected(WORKSPACE_TAG, Some("b"), "b"));
    }
}
