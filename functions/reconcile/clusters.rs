//! Finds the clusters of a location, and its orphans.

use super::{accepted, summary::Outcome};
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
pub struct Location {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
    /// Whether it is the first Region of the account. IAM is global, so roles are read only then.
    pub first: bool,
}

impl TryFrom<Value> for Location {
    type Error = Error;

    /// Parses `{"account": "…", "region": "…", "first": …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// The inventory of a location.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Whether the account has a provisioner that admits the hub.
    pub reachable: bool,
    /// Why it is not reachable.
    pub reason: Option<String>,
    /// All clusters.
    pub clusters: Vec<FoundCluster>,
    /// The organizational units above the account; empty if the routing table names none.
    pub organizational_units: Vec<String>,
    /// Clusters with scrapers of ampxa that are missing, or were missing and exist again.
    pub orphans: Vec<Orphan>,
    /// The outcomes of source roles that belong to no pair, and of pairs whose workspace does not accept the account.
    pub outcomes: Vec<Outcome>,
}

/// A cluster of a location.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundCluster {
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// The workspaces that an event or a reconciliation connected it to.
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
        let (partition, Location { account, region, .. }) = (Partition::of_region(&location.region), location);
        let arn = format!("arn:{partition}:eks:{region}:{account}:cluster/{}", name?);
        clusters.push(arn.parse().map_err(|why| Error::invalid("eks:ListClusters", why))?);
    }
    let scrapers = scraper::list(source.amp().list_scrapers()).await?;
    let ownerless = match location.first {
        true => roles::ownerless(&source.iam()).await?,
        false => Vec::new(),
    };
    let owned = scraper::owned(&scrapers);
    let refusals = accepted::refusals(hub, consent, &location.account, &owned, target).await?;
    let ownerless = ownerless.into_iter().map(Outcome::ownerless_role);
    let organizational_units = match clusters.is_empty() {
        true => Vec::new(),
        false => {
            let routes = routing::read(&hub.ssm(), settings).await?;
            routing::organizational_units(&hub.organizations(), &routes, &location.account).await?
        }
    };
    let found = with_routed_workspaces(&owned, &clusters);
    Ok(Output {
        reachable: true,
        reason: None,
        clusters: found,
        orphans: orphans(owned, &clusters, location),
        outcomes: ownerless.chain(refusals).collect(),
        organizational_units,
    })
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
        cluster_arn: cluster.clone(),
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
