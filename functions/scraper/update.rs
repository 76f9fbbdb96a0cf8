//! An adopted scraper gets what the request asks for.

use super::{Scraper, configuration, describe, role_configuration, warnings};
use crate::{
    arn::ScraperArn, error::Error, names, network::Network, pair::Pair, scrape_configuration, tags, task::Task,
};
use aws_sdk_amp::{
    Client,
    primitives::Blob,
    types::{EksConfiguration, ScrapeConfiguration, ScraperDescription, ScraperStatusCode, Source},
};
use serde::{Deserialize, Serialize};

/// What the state machine knows of a scraper that an earlier execution made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateInput {
    /// Its ARN.
    pub scraper_arn: ScraperArn,
    /// Where the request wants its network interfaces.
    pub network: Network,
    /// Whether a person must let it into the cluster.
    pub manual_access: bool,
}

/// What became of an adopted scraper.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateOutput {
    /// The scraper as it stands now.
    #[serde(flatten)]
    pub scraper: Scraper,
    /// What this call put right.
    pub repaired: Vec<&'static str>,
    /// Whether there is nothing left to compare; otherwise ask again when it has settled.
    pub up_to_date: bool,
}

/// Compares the scraper with the request and updates what differs.
///
/// Safe to repeat: what is right already is only read, and a scraper that changes is left to settle
/// first. An alias that the request does not name is left as it is. Subnets and security groups
/// cannot be changed (AMP API reference, UpdateScraper): a difference is a warning.
///
/// # Errors
/// `NotVisibleYet` when AMP does not show the scraper; and as AWS answers.
pub async fn update(amp: &Client, task: &Task<UpdateInput>) -> Result<UpdateOutput, Error> {
    use ScraperStatusCode::{Active, UpdateFailed};
    let arn = &task.input.scraper_arn;
    let found = describe(amp, arn).await?;
    let code = found.status.as_ref().map(|status| status.status_code.clone());
    let mut now = UpdateOutput {
        scraper: Scraper {
            scraper_arn: found.arn.clone(),
            status: code.as_ref().map_or_else(String::new, ToString::to_string),
            status_reason: found.status_reason.clone(),
            created: false,
            warnings: warnings(task.input.manual_access, &found.role_arn),
        },
        repaired: Vec::new(),
        up_to_date: false,
    };
    if !matches!(code, Some(Active | UpdateFailed)) {
        return Ok(now);
    }
    now.scraper.warnings.extend(unchangeable(&found, task));
    let tags = missing_tags(&found, task);
    if !tags.is_empty() {
        let call = amp.tag_resource().resource_arn(&found.arn).set_tags(Some(tags));
        call.send().await?;
        now.repaired.push("tags");
    }
    let yaml = configuration(amp, task).await?;
    let differs = differences(&found, task, &yaml);
    if !differs.is_empty() {
        let answer = amp
            .update_scraper()
            .scraper_id(arn.id())
            .client_token(names::hash(&[&task.execution, &found.arn, "update"], 32))
            .set_alias(task.request.alias.clone().or(found.alias))
            .role_configuration(role_configuration(&task.pair))
            .scrape_configuration(ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml)))
            .send()
            .await?;
        now.scraper.status = answer
            .status
            .map_or_else(String::new, |status| status.status_code.to_string());
        now.scraper.status_reason = None;
        now.repaired.extend(differs);
    }
    now.up_to_date = true;
    Ok(now)
}

/// How a pair's scraper works, whatever was asked for when it was made.
#[derive(Debug)]
pub struct Works {
    /// Its scrape configuration.
    pub configuration: String,
    /// What of it is not as it is for any request.
    pub drift: Vec<&'static str>,
}

/// Looks at how a pair's scraper works. Touches nothing.
///
/// # Errors
/// `NotVisibleYet` when AMP does not show the scraper; and as AWS answers.
pub async fn works(amp: &Client, arn: &ScraperArn, pair: &Pair) -> Result<Works, Error> {
    let found = describe(amp, arn).await?;
    Ok(Works {
        configuration: there(&found).to_owned(),
        drift: only_true(faults(&found, pair)),
    })
}

fn there(found: &ScraperDescription) -> &str {
    match &found.scrape_configuration {
        Some(ScrapeConfiguration::ConfigurationBlob(blob)) => std::str::from_utf8(blob.as_ref()).unwrap_or_default(),
        _ => "",
    }
}

/// What an update would change.
fn differences(found: &ScraperDescription, task: &Task<UpdateInput>, yaml: &str) -> Vec<&'static str> {
    let other_alias = task.request.alias.is_some() && task.request.alias != found.alias;
    let other_configuration = !scrape_configuration::same_meaning(there(found), yaml);
    let asked = [(other_alias, "alias"), (other_configuration, "scrape configuration")];
    only_true(faults(found, &task.pair).into_iter().chain(asked))
}

/// What is wrong whatever was asked for.
fn faults(found: &ScraperDescription, pair: &Pair) -> [(bool, &'static str); 2] {
    let has_failed = found.status.as_ref().map(|s| &s.status_code) == Some(&ScraperStatusCode::UpdateFailed);
    let other_roles = found.role_configuration != Some(role_configuration(pair));
    [(has_failed, "failed update"), (other_roles, "roles")]
}

fn only_true(all: impl IntoIterator<Item = (bool, &'static str)>) -> Vec<&'static str> {
    all.into_iter().filter_map(|(so, what)| so.then_some(what)).collect()
}

fn missing_tags(found: &ScraperDescription, task: &Task<UpdateInput>) -> std::collections::HashMap<String, String> {
    let there = |key: &String| found.tags.as_ref().and_then(|tags| tags.get(key));
    let wanted = tags::of_pair(task).into_iter();
    wanted.filter(|(key, value)| there(key) != Some(value)).collect()
}

/// What the request asks for and no update can give.
fn unchangeable(found: &ScraperDescription, task: &Task<UpdateInput>) -> Option<String> {
    let Some(Source::EksConfiguration(eks)) = &found.source else {
        return None;
    };
    let (request, network) = (&task.request, &task.input.network);
    let differs = (request.subnet_ids.is_some() && !same_set(eks.subnet_ids(), &network.subnet_ids))
        || (request.security_group_ids.is_some() && !same_set(groups(eks), &network.security_group_ids));
    differs.then(|| {
        format!(
            "The scraper {} keeps its subnets {} and security groups {}: AMP cannot move a scraper. To move it, \
             offboard the pair and onboard it again.",
            found.arn,
            eks.subnet_ids().join(", "),
            groups(eks).join(", ")
        )
    })
}

fn groups(eks: &EksConfiguration) -> &[String] {
    eks.security_group_ids()
}

fn same_set(a: &[String], b: &[String]) -> bool {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    sorted(a) == sorted(b)
}
