//! Which scrapers a pair has: the one to go on with, and those in its way.

use crate::{
    arn::ClusterArn,
    error::Error,
    pair::Pair,
    tags::{CLUSTER_TAG, CREATED_BY_TAG, ORPHAN_TAG, WORKSPACE_TAG},
};
use aws_sdk_amp::{
    operation::list_scrapers::builders::ListScrapersFluentBuilder,
    primitives::DateTime,
    types::{Destination, ScraperStatusCode, ScraperSummary, Source},
};
use serde::Serialize;

/// What stands where a pair's scraper should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The scraper to go on with.
    pub scraper: Option<Found>,
    /// Scrapers of ours that have to go first.
    pub stale_scrapers: Vec<StaleScraper>,
}

/// The pair's own scraper, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Its ARN.
    pub scraper_arn: String,
    #[serde(skip)]
    pub(super) status: String,
    #[serde(skip)]
    pub(super) role_arn: String,
    #[serde(skip)]
    pub(super) created_by: Option<String>,
}

/// A scraper of ours that has to go before the pair can be connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaleScraper {
    /// Its ARN.
    pub scraper_arn: String,
    /// Why it has to go, to be read after its name.
    pub reason: String,
}

/// All scrapers that a list gives, page by page.
///
/// # Errors
/// As AWS answers.
pub async fn list(call: ListScrapersFluentBuilder) -> Result<Vec<ScraperSummary>, Error> {
    let mut pages = call.into_paginator().items().send();
    let mut all = Vec::new();
    while let Some(scraper) = pages.next().await {
        all.push(scraper?);
    }
    Ok(all)
}

/// Sorts a pair's scrapers out of a list.
///
/// A scraper is tied to its cluster's ARN and outlives the cluster (AMP user guide, "Using an AWS
/// managed collector"): one that is older than the cluster, made at `cluster_created_at`, served a dead
/// one of the same name. A failed one cannot be retried. Of several that work, the first to be
/// ACTIVE and then the oldest is kept.
///
/// # Errors
/// `Conflict` when none of ours works and one that is not ours connects the pair; `NotReady` when one
/// of ours is in a state that AMP did not have when this was written.
pub fn inventory(
    scrapers: &[ScraperSummary],
    pair: &Pair,
    cluster_created_at: Option<&DateTime>,
) -> Result<Inventory, Error> {
    let (cluster, workspace) = (pair.cluster.to_string(), pair.workspace.to_string());
    let connects =
        |scraper: &&ScraperSummary| source(scraper) == Some(&cluster) && destination(scraper) == Some(&workspace);
    let (ours, others): (Vec<_>, Vec<_>) = scrapers.iter().filter(connects).partition(|s| is_ours(s, pair));
    if let Some(strange) = ours.iter().find(|scraper| !works(scraper) && !is_dead(scraper)) {
        return Err(Error::NotReady(format!(
            "The pair's scraper {} is {}, which says nothing about whether it works. Delete it, or wait until it is \
             in another state, and start again.",
            strange.arn(),
            status(strange)
        )));
    }
    let trouble = |scraper: &ScraperSummary| {
        if cluster_created_at.is_some_and(|created_at| scraper.created_at() < created_at) {
            return Some("is older than the cluster: it served another one of the same name".to_owned());
        }
        is_dead(scraper).then(|| format!("is {}", status(scraper)))
    };
    let kept = ours
        .iter()
        .filter(|scraper| trouble(scraper).is_none())
        .min_by_key(|scraper| (status(scraper) != "ACTIVE", *scraper.created_at()));
    if let (None, Some(other)) = (kept, others.iter().find(|other| status(other) != "DELETING")) {
        return Err(Error::Conflict(format!(
            "The scraper {} connects this cluster to this workspace already and does not carry the tags \
             {CLUSTER_TAG} and {WORKSPACE_TAG}: it is not ours, and was left alone. Delete it, and start again.",
            other.arn()
        )));
    }
    let stale_scrapers = ours
        .iter()
        .filter(|scraper| kept.is_none_or(|kept| kept.arn() != scraper.arn()));
    Ok(Inventory {
        scraper: kept.map(|scraper| Found {
            scraper_arn: scraper.arn().to_owned(),
            status: status(scraper),
            role_arn: scraper.role_arn().to_owned(),
            created_by: tag(scraper, CREATED_BY_TAG).cloned(),
        }),
        stale_scrapers: stale_scrapers
            .map(|scraper| StaleScraper {
                scraper_arn: scraper.arn().to_owned(),
                reason: trouble(scraper).unwrap_or_else(|| "is one too many".to_owned()),
            })
            .collect(),
    })
}

/// A scraper of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// What it connects, by its tags.
    pub pair: Pair,
    /// Its ARN.
    pub scraper_arn: String,
    /// The reconciliation that saw its cluster gone.
    pub orphan_since: Option<String>,
}

/// Those of some scrapers that carry our tags and are not being deleted.
pub fn ours(scrapers: &[ScraperSummary]) -> Vec<Ours> {
    let ours = scrapers.iter().filter_map(|scraper| {
        let pair = Pair {
            cluster: tag(scraper, CLUSTER_TAG)?.parse().ok()?,
            workspace: tag(scraper, WORKSPACE_TAG)?.parse().ok()?,
        };
        let serves_it = source(scraper) == Some(&pair.cluster.to_string());
        (serves_it && status(scraper) != "DELETING").then(|| Ours {
            pair,
            scraper_arn: scraper.arn().to_owned(),
            orphan_since: tag(scraper, ORPHAN_TAG).cloned(),
        })
    });
    ours.collect()
}

/// The pairs that a cluster's scrapers connect, as far as they carry our tags.
pub fn ours_of_cluster(scrapers: &[ScraperSummary], cluster: &ClusterArn) -> Vec<Pair> {
    let pairs = scrapers.iter().filter_map(|scraper| {
        let pair = Pair {
            cluster: cluster.clone(),
            workspace: tag(scraper, WORKSPACE_TAG)?.parse().ok()?,
        };
        is_ours(scraper, &pair).then_some(pair)
    });
    pairs.collect()
}

/// Whether a scraper carries the tags of the pair.
pub(super) fn is_ours(scraper: &ScraperSummary, pair: &Pair) -> bool {
    tag(scraper, CLUSTER_TAG) == Some(&pair.cluster.to_string())
        && tag(scraper, WORKSPACE_TAG) == Some(&pair.workspace.to_string())
}

pub(super) fn tag<'a>(scraper: &'a ScraperSummary, key: &str) -> Option<&'a String> {
    scraper.tags().and_then(|tags| tags.get(key))
}

/// AMP's word for a scraper's state.
pub(super) fn status(scraper: &ScraperSummary) -> String {
    scraper.status().map_or_else(
        || "in no known state".to_owned(),
        |status| status.status_code().to_string(),
    )
}

/// Whether a scraper is ACTIVE, or can still become so. A failed update leaves it as it was, and
/// can be tried again.
fn works(scraper: &ScraperSummary) -> bool {
    use ScraperStatusCode::{Active, Creating, UpdateFailed, Updating};
    matches!(
        scraper.status().map(|status| status.status_code()),
        Some(Active | Creating | Updating | UpdateFailed)
    )
}

/// Whether nothing can become of a scraper any more.
fn is_dead(scraper: &ScraperSummary) -> bool {
    use ScraperStatusCode::{CreationFailed, Deleting, DeletionFailed};
    matches!(
        scraper.status().map(|status| status.status_code()),
        Some(CreationFailed | Deleting | DeletionFailed)
    )
}

fn source(scraper: &ScraperSummary) -> Option<&str> {
    match scraper.source()? {
        Source::EksConfiguration(eks) => Some(eks.cluster_arn()),
        _ => None,
    }
}

fn destination(scraper: &ScraperSummary) -> Option<&str> {
    match scraper.destination()? {
        Destination::AmpConfiguration(amp) => Some(amp.workspace_arn()),
        _ => None,
    }
}
