//! The existing scrapers of a pair: the one to continue with, and stale ones to delete.

use super::{Adoption, role_configuration};
use crate::{
    arn::ClusterArn,
    error::Error,
    input::shown,
    pair::Pair,
    reconcile::finding,
    tags::{
        self, CLUSTER_TAG, CREATED_BY_TAG, LOGS_TAG, ONBOARD_TAG, ORIGIN_TAG, ORPHAN_TAG, RECOVERED, ROUTE,
        WORKSPACE_TAG,
    },
};
use aws_sdk_amp::{
    operation::list_scrapers::builders::ListScrapersFluentBuilder,
    primitives::DateTime,
    types::{Destination, ScraperStatusCode, ScraperSummary, Source},
};
use serde::Serialize;
use std::collections::BTreeSet;

/// The existing scrapers of a pair.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The scraper to continue with.
    pub scraper: Option<ExistingScraper>,
    /// Scrapers that must be deleted first.
    pub stale_scrapers: Vec<StaleScraper>,
}

/// The scraper of a pair, as AMP lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExistingScraper {
    /// The ARN.
    pub scraper_arn: String,
    #[serde(skip)]
    pub(super) status: ScraperStatusCode,
    #[serde(skip)]
    pub(super) role_arn: String,
    /// The time when ampxa switched its logs on, if it did.
    pub collector_logs_since: Option<String>,
    /// What it has now, if ampxa did not create it and the execution adopts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    #[serde(skip)]
    pub(super) created_by: Option<String>,
    #[serde(skip)]
    pub(super) has_other_roles: bool,
}

impl ExistingScraper {
    /// A scraper that the execution adopts.
    pub(crate) fn adopted(adoption: Adoption) -> Self {
        Self {
            scraper_arn: adoption.scraper_arn.to_string(),
            status: ScraperStatusCode::Active,
            role_arn: String::new(),
            collector_logs_since: None,
            adoption: Some(adoption),
            created_by: None,
            has_other_roles: true,
        }
    }
}

/// A scraper of the pair that must be deleted before the pair can be connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaleScraper {
    /// The ARN.
    pub scraper_arn: String,
    /// Why it is stale: the predicate of a sentence whose subject is the ARN.
    pub reason: String,
    /// Whether AMP already deletes it.
    #[serde(skip)]
    pub is_deleting: bool,
}

/// Sends a list call, and returns the scrapers of all pages.
///
/// # Errors
/// Those of the calls.
pub async fn list(call: ListScrapersFluentBuilder) -> Result<Vec<ScraperSummary>, Error> {
    let mut pages = call.into_paginator().items().send();
    let mut scrapers = Vec::new();
    while let Some(scraper) = pages.next().await {
        scrapers.push(scraper?);
    }
    Ok(scrapers)
}

/// Finds the scrapers of a pair in a list.
///
/// A scraper refers to its cluster by ARN and outlives the cluster (AMP user guide, "Using an AWS managed collector").
/// A scraper that is older than the cluster, which was created at `cluster_created_at`, served a deleted cluster of the
/// same name. A failed scraper cannot be restarted. Of several usable scrapers, an ACTIVE one is kept, or else the
/// oldest.
///
/// # Errors
/// `Conflict` if the pair has no usable scraper, and another scraper without its tags connects the same cluster to the
/// same workspace; `NotReady` if a scraper of the pair has a status that AMP did not have when this was written.
pub fn inventory(
    scrapers: &[ScraperSummary],
    pair: &Pair,
    cluster_created_at: Option<&DateTime>,
) -> Result<Inventory, Error> {
    match with_unmanaged(scrapers, pair, cluster_created_at)? {
        (_, unmanaged) if !unmanaged.is_empty() => Err(Error::Conflict(foreign_scraper(&unmanaged[0], pair))),
        (inventory, _) => Ok(inventory),
    }
}

/// As [`inventory()`]. Other scrapers that connect the pair without its tags are a result instead of an error, if the pair
/// has no usable scraper.
///
/// # Errors
/// `NotReady`, as [`inventory()`].
pub(crate) fn with_unmanaged(
    scrapers: &[ScraperSummary],
    pair: &Pair,
    cluster_created_at: Option<&DateTime>,
) -> Result<(Inventory, Vec<ScraperSummary>), Error> {
    let (cluster, workspace) = (pair.cluster.to_string(), pair.workspace.to_string());
    let connects =
        |scraper: &&ScraperSummary| source(scraper) == Some(&cluster) && destination(scraper) == Some(&workspace);
    let (owned, foreign): (Vec<_>, Vec<_>) = scrapers.iter().filter(connects).partition(|s| has_tags_of(s, pair));
    if let Some(scraper) = owned.iter().find(|scraper| !is_usable(scraper) && !is_dead(scraper)) {
        return Err(Error::NotReady(format!(
            "The scraper {} of the pair has the status {}, which ampxa does not know. Delete the scraper, or wait \
             until it has another status, then start the execution again.",
            scraper.arn(),
            status(scraper)
        )));
    }
    let defect = |scraper: &ScraperSummary| {
        if cluster_created_at.is_some_and(|created_at| scraper.created_at() < created_at) {
            return Some("is older than the cluster: it served a deleted cluster of the same name".to_owned());
        }
        if is_dead(scraper) {
            return Some(format!("is {}", status(scraper)));
        }
        None
    };
    let kept = owned
        .iter()
        .filter(|scraper| defect(scraper).is_none())
        .min_by_key(|scraper| (status(scraper) != ScraperStatusCode::Active, *scraper.created_at()));
    let mut unmanaged: Vec<ScraperSummary> = Vec::new();
    if kept.is_none() {
        let others = foreign
            .into_iter()
            .filter(|other| status(other) != ScraperStatusCode::Deleting);
        unmanaged.extend(others.cloned());
    }
    let stale_scrapers = owned
        .iter()
        .filter(|scraper| kept.is_none_or(|kept| kept.arn() != scraper.arn()));
    let inventory = Inventory {
        scraper: kept.map(|scraper| ExistingScraper {
            scraper_arn: scraper.arn().to_owned(),
            status: status(scraper),
            role_arn: scraper.role_arn().to_owned(),
            collector_logs_since: tag(scraper, LOGS_TAG).cloned(),
            adoption: None,
            created_by: tag(scraper, CREATED_BY_TAG).cloned(),
            has_other_roles: scraper.role_configuration() != Some(&role_configuration(pair)),
        }),
        stale_scrapers: stale_scrapers
            .map(|scraper| StaleScraper {
                scraper_arn: scraper.arn().to_owned(),
                reason: defect(scraper).unwrap_or_else(|| "is a duplicate".to_owned()),
                is_deleting: status(scraper) == ScraperStatusCode::Deleting,
            })
            .collect(),
    };
    Ok((inventory, unmanaged))
}

/// The message about another scraper of the pair, which this product does not manage.
pub(crate) fn foreign_scraper(other: &ScraperSummary, pair: &Pair) -> String {
    let alias = other
        .alias()
        .map_or_else(String::new, |alias| format!(" (alias {})", shown(alias)));
    let tags = other.tags().into_iter().flatten();
    let adopt = match is_dead(other) {
        true => format!(
            "It is {}, so ampxa cannot adopt it: to connect the pair with ampxa, have those who manage the scraper disconnect \
             it with the tool that created it.",
            status(other)
        ),
        false => "To manage it with ampxa, without a gap in its samples, set \"adopt\": true in the request or in the rule of \
                  the routing table."
            .to_owned(),
    };
    format!(
        "The scraper {}{alias} already connects the cluster {} to the workspace {}, without the tags {CLUSTER_TAG} and \
         {WORKSPACE_TAG} of this pair: ampxa did not create it. {} It was not changed, and no second scraper was created: \
         both would write the same samples twice. {adopt} To keep it as it is, do not onboard this pair; the tag \
         {ONBOARD_TAG} = no of the cluster excludes the cluster from routing.",
        other.arn(),
        pair.cluster,
        pair.workspace,
        tags::manager(tags.map(|(key, value)| (key.as_str(), value.as_str()))),
    )
}

/// A scraper with the tags of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedScraper {
    /// The pair that its tags name.
    pub pair: Pair,
    /// The ARN.
    pub scraper_arn: String,
    /// The ARN of the reconciliation that found its cluster missing, if one did.
    pub orphan_since: Option<String>,
    /// Whether an event or a reconciliation connected the pair.
    pub is_routed: bool,
    /// Whether it collects samples: it is ACTIVE, or AMP updates it.
    pub is_active: bool,
}

/// The scrapers that have the tags of a pair and are not being deleted.
pub fn owned(scrapers: &[ScraperSummary]) -> Vec<OwnedScraper> {
    let owned = scrapers.iter().filter_map(|scraper| {
        let pair = Pair {
            cluster: tag(scraper, CLUSTER_TAG)?.parse().ok()?,
            workspace: tag(scraper, WORKSPACE_TAG)?.parse().ok()?,
        };
        let serves_cluster = source(scraper) == Some(&pair.cluster.to_string());
        if !serves_cluster || status(scraper) == ScraperStatusCode::Deleting {
            return None;
        }
        Some(OwnedScraper {
            pair,
            scraper_arn: scraper.arn().to_owned(),
            orphan_since: tag(scraper, ORPHAN_TAG).filter(|since| *since != RECOVERED).cloned(),
            is_routed: tag(scraper, ORIGIN_TAG).is_some_and(|origin| origin == ROUTE),
            is_active: is_usable(scraper) && status(scraper) != ScraperStatusCode::Creating,
        })
    });
    owned.collect()
}

/// The scrapers of clusters that are not [`owned`] and are not being deleted. Others manage them.
pub fn unmanaged(scrapers: &[ScraperSummary]) -> Vec<finding::Scraper> {
    let owned: BTreeSet<String> = owned(scrapers).into_iter().map(|owned| owned.scraper_arn).collect();
    let foreign = scrapers.iter().filter_map(|scraper| {
        if owned.contains(scraper.arn()) || status(scraper) == ScraperStatusCode::Deleting {
            return None;
        }
        let tags = scraper.tags().into_iter().flatten();
        let roles = scraper.role_configuration();
        let roles = roles
            .into_iter()
            .flat_map(|roles| [roles.source_role_arn(), roles.target_role_arn()]);
        let roles: Vec<&str> = roles.flatten().collect();
        let roles = match roles.is_empty() {
            true => "It has only AMP's service-linked role.".to_owned(),
            false => format!("Its roles are {}.", roles.join(" and ")),
        };
        Some(finding::Scraper {
            scraper_arn: scraper.arn().to_owned(),
            cluster_arn: source(scraper)?.parse().ok()?,
            workspace_arn: destination(scraper).map(str::to_owned),
            reason: format!(
                "{} {roles}",
                tags::manager(tags.map(|(key, value)| (key.as_str(), value.as_str())))
            ),
        })
    });
    foreign.collect()
}

/// The pairs of a cluster that the tags of scrapers name.
pub fn pairs_of_cluster(scrapers: &[ScraperSummary], cluster: &ClusterArn) -> Vec<Pair> {
    let pairs = scrapers.iter().filter_map(|scraper| {
        let pair = Pair {
            cluster: cluster.clone(),
            workspace: tag(scraper, WORKSPACE_TAG)?.parse().ok()?,
        };
        if has_tags_of(scraper, &pair) { Some(pair) } else { None }
    });
    pairs.collect()
}

/// Whether a scraper has the tags of a pair.
pub(super) fn has_tags_of(scraper: &ScraperSummary, pair: &Pair) -> bool {
    tag(scraper, CLUSTER_TAG) == Some(&pair.cluster.to_string())
        && tag(scraper, WORKSPACE_TAG) == Some(&pair.workspace.to_string())
}

pub(super) fn tag<'a>(scraper: &'a ScraperSummary, key: &str) -> Option<&'a String> {
    scraper.tags().and_then(|tags| tags.get(key))
}

/// The status of a scraper. AMP always returns one (API reference, ScraperSummary); a missing one has an empty name.
pub(super) fn status(scraper: &ScraperSummary) -> ScraperStatusCode {
    let status = scraper.status().map(|status| status.status_code().clone());
    status.unwrap_or_else(|| ScraperStatusCode::from(""))
}

/// Whether a scraper is ACTIVE or can become ACTIVE. After a failed update it works as before, and can be updated
/// again.
fn is_usable(scraper: &ScraperSummary) -> bool {
    use ScraperStatusCode::{Active, Creating, UpdateFailed, Updating};
    matches!(status(scraper), Active | Creating | Updating | UpdateFailed)
}

/// Whether a scraper can never become ACTIVE again.
pub(super) fn is_dead(scraper: &ScraperSummary) -> bool {
    use ScraperStatusCode::{CreationFailed, Deleting, DeletionFailed};
    matches!(status(scraper), CreationFailed | Deleting | DeletionFailed)
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
