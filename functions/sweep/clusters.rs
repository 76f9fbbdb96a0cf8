//! The clusters of one account and Region, and where each belongs.

use crate::{
    arn::{ClusterArn, Partition, is_account, is_region},
    aws::{Account, unless},
    error::Error,
    event::execution_name,
    input::{Fields, shown},
    names,
    routing::{self, Route, Settings},
    scraper,
};
use aws_sdk_eks::types::ClusterStatus;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An account in a Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The account, 12 digits.
    pub account: String,
    /// The Region.
    pub region: String,
}

impl TryFrom<Value> for Place {
    type Error = Error;

    /// Reads `{"account": "…", "region": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        let read = |name: &str, valid: fn(&str) -> bool, right: &str| match input[name].as_str() {
            Some(text) if valid(text) => Ok(text.to_owned()),
            Some(text) => Err(Error::invalid(
                name,
                format!("{} is none; expected {right}", shown(text)),
            )),
            None => Err(Error::invalid(name, format!("missing; expected {right}"))),
        };
        Ok(Self {
            account: read("account", is_account, "12 digits")?,
            region: read("region", is_region, "a Region such as us-west-2")?,
        })
    }
}

/// What there is in a place.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Whether the account has a provisioner that the hub may use.
    pub reachable: bool,
    /// Why not.
    pub reason: Option<String>,
    /// All clusters.
    pub clusters: Vec<ClusterArn>,
    /// The organizational units above the account; empty where no rule names one.
    pub organizational_units: Vec<String>,
    /// Clusters that are gone and have scrapers of ours, and those that are back.
    pub absences: Vec<Absence>,
}

/// A cluster that scrapers of ours serve, and that is gone, or was seen gone and is there.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Absence {
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// Its scrapers.
    pub scraper_arns: Vec<String>,
    /// Whether it is gone.
    pub absent: bool,
    /// The sweep that saw it gone before, by the scrapers' tag.
    pub seen_by: Option<String>,
}

/// Lists the clusters of a place, and the scrapers of ours whose cluster is not among them. Touches nothing.
///
/// An account without a provisioner is no error: it may have been vended minutes ago.
///
/// # Errors
/// `InvalidRequest` when the routing table is wrong; and as AWS answers.
pub async fn find(
    hub: &Account,
    source: Result<Account, Error>,
    settings: &Settings,
    place: &Place,
) -> Result<Found, Error> {
    let source = match source {
        Ok(source) => source,
        Err(Error::Refused(why)) => {
            return Ok(Found {
                reason: Some(why),
                ..Found::default()
            });
        }
        Err(error) => return Err(error),
    };
    let mut clusters = Vec::new();
    let mut names = source.eks().list_clusters().into_paginator().items().send();
    while let Some(name) = names.next().await {
        let (partition, Place { account, region }) = (Partition::of_region(&place.region), place);
        let arn = format!("arn:{partition}:eks:{region}:{account}:cluster/{}", name?);
        clusters.push(arn.parse().map_err(|why| Error::invalid("eks:ListClusters", why))?);
    }
    let scrapers = scraper::list(source.amp().list_scrapers()).await?;
    let organizational_units = match clusters.is_empty() {
        true => Vec::new(),
        false => {
            let routes = routing::read(&hub.ssm(), settings).await?;
            routing::organizational_units(&hub.organizations(), &routes, &place.account).await?
        }
    };
    Ok(Found {
        reachable: true,
        reason: None,
        absences: absences(&scrapers, &clusters, place),
        clusters,
        organizational_units,
    })
}

fn absences(scrapers: &[aws_sdk_amp::types::ScraperSummary], clusters: &[ClusterArn], place: &Place) -> Vec<Absence> {
    let there: BTreeSet<String> = clusters.iter().map(ToString::to_string).collect();
    let mut by_cluster: BTreeMap<String, Absence> = BTreeMap::new();
    for served in scraper::ours(scrapers) {
        let cluster = &served.pair.cluster;
        if (cluster.account(), cluster.region()) != (&place.account, &place.region) {
            continue;
        }
        let absence = by_cluster.entry(cluster.to_string()).or_insert_with(|| Absence {
            cluster_arn: cluster.clone(),
            scraper_arns: Vec::new(),
            absent: !there.contains(&cluster.to_string()),
            seen_by: None,
        });
        absence.scraper_arns.push(served.scraper_arn);
        absence.seen_by = absence.seen_by.take().or(served.gone);
    }
    let all = by_cluster.into_values();
    all.filter(|absence| absence.absent || absence.seen_by.is_some())
        .collect()
}

/// A cluster that is to be routed.
#[derive(Debug)]
pub struct Asked {
    /// The cluster.
    pub cluster: ClusterArn,
    /// The organizational units above its account.
    pub organizational_units: Vec<String>,
    /// The workspace that its account was vended with.
    pub workspace: Option<String>,
    /// The sweep: the name of what it starts follows from it.
    pub sweep: String,
}

impl TryFrom<Value> for Asked {
    type Error = Error;

    /// Reads `{"clusterArn": "…", "organizationalUnits": […], "workspace": "…", "sweep": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        let known = ["clusterArn", "organizationalUnits", "workspace", "sweep", "execution"];
        let fields = Fields::of(&input, &known, r#"{"clusterArn": "…", "sweep": "…"}"#)?;
        let units = input["organizationalUnits"].as_array().into_iter().flatten();
        Ok(Self {
            cluster: fields.arn("clusterArn", "arn:<partition>:eks:<region>:<account>:cluster/<name>")?,
            organizational_units: units.filter_map(|unit| unit.as_str().map(str::to_owned)).collect(),
            workspace: fields.text("workspace")?.map(str::to_owned),
            sweep: sweep(&fields)?,
        })
    }
}

/// The ARN of the sweep's execution.
pub(super) fn sweep(fields: &Fields<'_>) -> Result<String, Error> {
    let sweep = fields.text("sweep")?.map(str::to_owned);
    sweep.ok_or_else(|| Error::invalid("sweep", "missing; expected the ARN of the sweep's execution"))
}

/// The name of what a sweep starts for a cluster: the same whenever the same sweep asks.
pub(super) fn name(what: &str, sweep: &str, cluster: &ClusterArn) -> String {
    execution_name(what, cluster.id(), &names::hash(&[sweep, &cluster.to_string()], 16))
}

/// What becomes of a cluster.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "UPPERCASE")]
pub enum Decision {
    /// It is connected.
    Onboard {
        /// The execution's name.
        name: String,
        /// The execution's input.
        request: Value,
    },
    /// It is left alone.
    Ignore {
        /// Why.
        reason: String,
    },
}

/// Decides where a cluster belongs, by its tags and the routing table. Touches nothing.
///
/// # Errors
/// `InvalidRequest` when the routing table is wrong, or a tag chooses a workspace that it does not allow;
/// and as AWS answers.
pub async fn route(
    ssm: &aws_sdk_ssm::Client,
    eks: &aws_sdk_eks::Client,
    settings: &Settings,
    asked: &Asked,
) -> Result<Decision, Error> {
    let ignore = |reason: &str| {
        Ok(Decision::Ignore {
            reason: reason.to_owned(),
        })
    };
    let answer = eks.describe_cluster().name(asked.cluster.id()).send().await;
    let answer = unless(answer, |e| e.is_resource_not_found_exception())?;
    let Some(described) = answer.and_then(|answer| answer.cluster) else {
        return ignore("it was deleted meanwhile");
    };
    if described.status() == Some(&ClusterStatus::Deleting) {
        return ignore("it is being deleted");
    }
    let tags = described.tags.unwrap_or_default().into_iter().collect();
    let cluster = routing::Cluster {
        arn: &asked.cluster,
        tags: &tags,
        organizational_units: &asked.organizational_units,
        workspace: asked.workspace.as_deref(),
    };
    match routing::read(ssm, settings).await?.route(&cluster)? {
        Route::Ignore(why) => ignore(&why),
        Route::Onboard(onboarding) => Ok(Decision::Onboard {
            name: name("sweep", &asked.sweep, &asked.cluster),
            request: routing::request(ssm, &asked.cluster, &onboarding).await?,
        }),
    }
}
