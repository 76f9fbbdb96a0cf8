//! Finds the clusters of a location, and its orphans.

use super::{
    accepted,
    summary::{self, Outcome, Part, Summary},
};
use crate::{
    arn::{AccountId, ClusterArn, ExecutionArn, Partition, Region, WorkspaceArn},
    aws::Account,
    consent,
    error::Error,
    event, input, names, roles,
    routing::{self, Settings},
    scraper::{self, OwnedScraper},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A location: an account in a Region.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
    /// Whether it is the first Region of the account. IAM is global, so roles are read only then.
    pub first: bool,
    /// The last cluster of the inventory before, of which this one is the continuation; empty for the first inventory.
    pub after: String,
    /// The maximum length of each list of the summary.
    pub max_listed: usize,
}

impl Location {
    /// How the ARNs of its clusters begin.
    fn cluster_arn_prefix(&self) -> String {
        let (partition, Self { account, region, .. }) = (Partition::of_region(&self.region), self);
        format!("arn:{partition}:eks:{region}:{account}:cluster/")
    }
}

impl TryFrom<Value> for Location {
    type Error = Error;

    /// Parses `{"account": "…", "region": "…", "first": …, "after": "…", "maxListed": …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// The maximum size of a [`Group`]. The history of its child execution must fit into Step Functions' 25,000 events.
pub const MAX_GROUP: usize = 100;
/// The maximum size of the groups of an inventory, in bytes. With the results of the location, they must fit into Step
/// Functions' payload of 256 KiB.
pub const MAX_INVENTORY: usize = 100 * 1024;

/// The inventory of a location, or a part of it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Whether the account has a provisioner that admits the hub.
    pub reachable: bool,
    /// Why it is not reachable.
    pub reason: Option<String>,
    /// How the ARNs of its clusters begin.
    pub cluster_arn_prefix: String,
    /// The clusters, in groups that are reconciled one after the other.
    pub groups: Vec<Group>,
    /// The last cluster of `groups` if there are more clusters; empty if not.
    pub next: String,
    /// The organizational units above the account; empty if the routing table names none.
    pub organizational_units: Vec<String>,
    /// Source roles that belong to no pair, and pairs whose workspace does not accept the account. In the first
    /// inventory only.
    pub summary: Summary,
}

/// Clusters that one child execution reconciles. Each cluster, workspace and orphan counts towards [`MAX_GROUP`].
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Clusters that exist.
    pub clusters: Vec<FoundCluster>,
    /// Clusters with scrapers of ampxa that are missing, or were missing and exist again.
    pub orphans: Vec<Orphan>,
}

impl Group {
    fn size(&self) -> usize {
        let clusters = self.clusters.iter().map(|cluster| 1 + cluster.routed_workspaces.len());
        clusters.sum::<usize>() + self.orphans.len()
    }
}

/// A cluster of a location.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundCluster {
    /// Its name.
    pub name: String,
    /// The workspaces that an event or a reconciliation connected it to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routed_workspaces: Vec<WorkspaceArn>,
}

/// A cluster with scrapers of ampxa that is missing, or was missing and exists again.
#[derive(Debug, PartialEq, Eq, Serialize)]
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
}

/// Lists the clusters of a location, the clusters that scrapers of ampxa serve and that do not exist, and source roles
/// that belong to no pair, and pairs whose workspace does not accept the account. Read-only. `target` returns access to
/// the account of a workspace.
///
/// The order is that of the names, so that a following inventory continues where this one ends, whatever changed
/// meanwhile.
///
/// An account without a provisioner is not an error, because it may have been vended minutes ago.
///
/// # Errors
/// `InvalidRequest` if the routing table is not valid; and those of the calls.
pub async fn find(
    hub: &Account,
    source: Result<Account, Error>,
    target: impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
    (settings, consent): (&Settings, consent::Settings),
    location: &Location,
) -> Result<Output, Error> {
    let source = match source {
        Ok(source) => source,
        Err(Error::AccessDenied(why)) => {
            return Ok(Output {
                reason: Some(why),
                ..Output::default()
            });
        }
        Err(error) => return Err(error),
    };
    let mut clusters = Vec::new();
    let mut names = source.eks().list_clusters().into_paginator().items().send();
    while let Some(name) = names.next().await {
        let arn = format!("{}{}", location.cluster_arn_prefix(), name?);
        clusters.push(arn.parse().map_err(|why| Error::invalid("eks:ListClusters", why))?);
    }
    let scrapers = scraper::list(source.amp().list_scrapers()).await?;
    let is_continued = !location.after.is_empty();
    let ownerless = match location.first && !is_continued {
        true => roles::ownerless(&source.iam()).await?,
        false => Vec::new(),
    };
    let owned = scraper::owned(&scrapers);
    let refusals = match is_continued {
        true => Vec::new(),
        false => accepted::refusals(hub, consent, &location.account, &owned, target).await,
    };
    let outcomes = ownerless.into_iter().map(Outcome::ownerless_role).chain(refusals);
    let results: Vec<Part> = outcomes.map(Part::Outcome).collect();
    let organizational_units = match clusters.is_empty() {
        true => Vec::new(),
        false => {
            let routes = routing::read(&hub.ssm(), settings).await?;
            routing::organizational_units(&hub.organizations(), &routes, &location.account).await?
        }
    };
    let found = with_routed_workspaces(&owned, &clusters);
    let (groups, next) = groups(found, orphans(owned, &clusters, location), &location.after);
    Ok(Output {
        reachable: true,
        reason: None,
        cluster_arn_prefix: location.cluster_arn_prefix(),
        groups,
        next,
        organizational_units,
        summary: summary::summarize(summary::Input {
            expected: results.len(),
            results,
            max_listed: location.max_listed,
        }),
    })
}

/// Divides the clusters after a name into groups, until their JSON has [`MAX_INVENTORY`] bytes. Returns the groups, and
/// the name of the last cluster if there are more.
fn groups(clusters: Vec<FoundCluster>, orphans: Vec<Orphan>, after: &str) -> (Vec<Group>, String) {
    let mut by_name: BTreeMap<String, Group> = BTreeMap::new();
    for cluster in clusters {
        by_name.entry(cluster.name.clone()).or_default().clusters.push(cluster);
    }
    for orphan in orphans {
        let name = orphan.cluster_arn.id().to_owned();
        by_name.entry(name).or_default().orphans.push(orphan);
    }
    let mut groups: Vec<Group> = Vec::new();
    let (mut bytes, mut last) = (0, String::new());
    for (name, one) in by_name.into_iter().filter(|(name, _)| name.as_str() > after) {
        bytes += serde_json::to_string(&one).map_or(0, |json| json.len());
        if bytes > MAX_INVENTORY && !groups.is_empty() {
            return (groups, last);
        }
        last = name;
        match groups.last_mut() {
            Some(group) if group.size() + one.size() <= MAX_GROUP => {
                group.clusters.extend(one.clusters);
                group.orphans.extend(one.orphans);
            }
            _ => groups.push(one),
        }
    }
    (groups, String::new())
}

/// The clusters, each with the workspaces that an event or a reconciliation connected it to.
fn with_routed_workspaces(scrapers: &[OwnedScraper], clusters: &[ClusterArn]) -> Vec<FoundCluster> {
    let mut routed: BTreeMap<String, Vec<WorkspaceArn>> = BTreeMap::new();
    for scraper in scrapers.iter().filter(|scraper| scraper.is_routed) {
        let workspaces = routed.entry(scraper.pair.cluster.to_string()).or_default();
        if !workspaces.contains(&scraper.pair.workspace) {
            workspaces.push(scraper.pair.workspace.clone());
        }
    }
    let clusters = clusters.iter().map(|cluster| FoundCluster {
        name: cluster.id().to_owned(),
        routed_workspaces: routed.remove(&cluster.to_string()).unwrap_or_default(),
    });
    clusters.collect()
}

fn orphans(scrapers: Vec<OwnedScraper>, clusters: &[ClusterArn], location: &Location) -> Vec<Orphan> {
    let listed: BTreeSet<String> = clusters.iter().map(ToString::to_string).collect();
    let mut by_cluster: BTreeMap<String, Orphan> = BTreeMap::new();
    for scraper in scrapers {
        let cluster = &scraper.pair.cluster;
        if (cluster.account(), cluster.region()) != (&location.account, &location.region) {
            continue;
        }
        let orphan = by_cluster.entry(cluster.to_string()).or_insert_with(|| Orphan {
            cluster_arn: cluster.clone(),
            scraper_arns: Vec::new(),
            missing: !listed.contains(&cluster.to_string()),
            orphan_since: None,
        });
        orphan.scraper_arns.push(scraper.scraper_arn);
        orphan.orphan_since = orphan.orphan_since.take().or(scraper.orphan_since);
    }
    let all = by_cluster.into_values();
    all.filter(|orphan| orphan.missing || orphan.orphan_since.is_some())
        .collect()
}

/// The name of the execution that a reconciliation starts for a cluster. It is the same at each attempt, so that no
/// execution is started twice.
pub(super) fn execution_name(prefix: &str, reconciliation: &ExecutionArn, cluster: &ClusterArn) -> String {
    let hash = names::hash(&[reconciliation, &cluster.to_string()], 16);
    event::execution_name(prefix, cluster.id(), &hash)
}

/// The same for the execution that offboards one pair of a cluster.
pub(super) fn removal_name(reconciliation: &ExecutionArn, cluster: &ClusterArn, workspace: &WorkspaceArn) -> String {
    let hash = names::hash(&[reconciliation, &cluster.to_string(), &workspace.to_string()], 16);
    event::execution_name("reconcile-unrouted", cluster.id(), &hash)
}
