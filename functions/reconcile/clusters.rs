//! Finds the clusters of a location, and its orphans.

use super::{
    accepted,
    finding::{self, Failure, Finding, Orphan, Role},
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

    /// Parses `{"account": "…", "region": "…", "first": …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// The maximum size of the findings of a location, in bytes. They must fit into Step Functions' payload of 256 KiB.
const MAX_FINDINGS: usize = 200 * 1024;

/// The inventory of a location.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Output {
    /// Whether the account has a reader that admits the hub.
    pub reachable: bool,
    /// Why it is not reachable.
    pub reason: Option<String>,
    /// The location, its clusters, and what needs attention.
    pub findings: Vec<Finding>,
}

/// Lists the clusters of a location, clusters that scrapers of ampxa serve and that do not exist, pairs whose workspace
/// does not accept the account, scrapers that ampxa did not create, and source roles that belong to no pair. Read-only.
/// `target` returns access to the account of a workspace.
///
/// An account without a reader is not an error, because it may have been vended minutes ago.
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
    let mut clusters: Vec<ClusterArn> = Vec::new();
    let mut names = source.eks().list_clusters().into_paginator().items().send();
    while let Some(name) = names.next().await {
        let arn = format!("{}{}", location.cluster_arn_prefix(), name?);
        clusters.push(arn.parse().map_err(|why| Error::invalid("eks:ListClusters", why))?);
    }
    let scrapers = scraper::list(source.amp().list_scrapers()).await?;
    let owned = scraper::owned(&scrapers);
    let roles = match location.first {
        true => roles::ownerless(&source.iam()).await?,
        false => Vec::new(),
    };
    let refusals = accepted::refusals(hub, consent, &location.account, &owned, target).await;
    let organizational_units = match clusters.is_empty() {
        true => Vec::new(),
        false => {
            let routes = routing::read(&hub.ssm(), settings).await?;
            routing::organizational_units(&hub.organizations(), &routes, &location.account).await?
        }
    };
    // If the findings do not fit, the last ones are missing. Clusters have no alarm.
    let orphans = orphans(&owned, &clusters, location).into_iter();
    let orphans = orphans.map(|orphan| Finding::Orphan(Box::new(orphan)));
    let others = (orphans.chain(refusals.into_iter().map(Finding::Pair)))
        .chain(scraper::unmanaged(&scrapers).into_iter().map(Finding::Scraper))
        .chain(roles.into_iter().map(|role_arn| Finding::Role(Role { role_arn })));
    Ok(Output {
        reachable: true,
        reason: None,
        findings: limited(
            location,
            others.chain(found(&owned, &clusters, &organizational_units)).collect(),
        ),
    })
}

/// The findings after the location itself, until their JSON has [`MAX_FINDINGS`] bytes. The location then says how many
/// are missing.
fn limited(location: &Location, all: Vec<Finding>) -> Vec<Finding> {
    let (mut bytes, number) = (0, all.len());
    let mut findings = Vec::with_capacity(number + 1);
    for finding in all {
        bytes += serde_json::to_string(&finding).map_or(0, |json| json.len());
        if bytes > MAX_FINDINGS {
            break;
        }
        findings.push(finding);
    }
    let failure = (findings.len() < number).then(|| Failure {
        error: "TooManyClusters".to_owned(),
        cause: Some(format!(
            "the location has {number} clusters and other findings, and a reconciliation reads only the first {}; \
             onboard the others by events or requests",
            findings.len()
        )),
    });
    let location = finding::Location {
        account: location.account.clone(),
        region: location.region.clone(),
        first: false,
        unreachable: None,
        has_pairs: false,
        failure,
    };
    findings.insert(0, Finding::Location(location));
    findings
}

/// The clusters, each with the workspaces that an event or a reconciliation connected it to.
fn found(
    scrapers: &[OwnedScraper],
    clusters: &[ClusterArn],
    organizational_units: &[String],
) -> impl Iterator<Item = Finding> {
    clusters.iter().map(|cluster| {
        let mut routed_workspaces = Vec::new();
        let its = scrapers.iter().filter(|scraper| scraper.pair.cluster == *cluster);
        for scraper in its.clone().filter(|scraper| scraper.is_routed) {
            if !routed_workspaces.contains(&scraper.pair.workspace) {
                routed_workspaces.push(scraper.pair.workspace.clone());
            }
        }
        Finding::Cluster(Box::new(finding::Cluster {
            connected: its.clone().any(|scraper| scraper.is_active),
            routed_workspaces,
            organizational_units: organizational_units.to_vec(),
            ..finding::Cluster::of(cluster)
        }))
    })
}

fn orphans(scrapers: &[OwnedScraper], clusters: &[ClusterArn], location: &Location) -> Vec<Orphan> {
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
            removal: None,
            result: None,
            failure: None,
        });
        orphan.scraper_arns.push(scraper.scraper_arn.clone());
        let since = &mut orphan.orphan_since;
        *since = since.take().or_else(|| scraper.orphan_since.clone());
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
