//! Updates an existing scraper to the request.

use super::{Scraper, completed_default, describe, named_configuration, role_configuration, status_code, warnings};
use crate::{
    arn::ScraperArn,
    aws::s3::Bucket,
    configurations::{self, Named},
    difference::Difference,
    error::Error,
    names,
    network::Network,
    pair::Pair,
    request::Labels,
    scrape_configuration, tags,
    task::Task,
};
use aws_sdk_amp::{
    Client,
    primitives::Blob,
    types::{EksConfiguration, RoleConfiguration, ScrapeConfiguration, ScraperDescription, ScraperStatusCode, Source},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The input of `update-scraper`, beside the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateInput {
    /// The ARN of the scraper.
    pub scraper_arn: ScraperArn,
    /// The subnets and security groups of the request.
    pub network: Network,
    /// Whether a person must grant the scraper access to the cluster.
    pub manual_access: bool,
    /// The location of the configuration that an earlier call stored.
    pub replaced_configuration: Option<String>,
}

/// What [`update`] did.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateOutput {
    /// The current state of the scraper.
    #[serde(flatten)]
    pub scraper: Scraper,
    /// The parts that this call updated.
    pub repaired: Vec<&'static str>,
    /// The location of the scrape configuration that is replaced: `s3://<bucket>/<key>`.
    pub replaced_configuration: Option<String>,
    /// Whether the comparison is complete. If not, the scraper was being changed, or only the configuration to replace
    /// was stored: call again when the scraper is ACTIVE.
    pub up_to_date: bool,
}

/// Compares a scraper with the request, and updates what differs.
///
/// Idempotent: a scraper that already matches is read, never written. A scraper that is being changed is not updated in
/// this call. Without an alias in the request, the existing alias is kept, and without a scrape configuration, the
/// existing configuration, whose labels are completed unless the request keeps them. A configuration that is replaced is stored in the bucket first, by
/// a call of its own, so that its location is known even if the answer to the update is lost. AMP cannot change subnets and security groups (AMP API reference, UpdateScraper): a difference is a warning.
///
/// # Errors
/// `NotVisibleYet` if AMP does not show the scraper; `InvalidRequest` if the object with the scrape configuration is not
/// valid; and those of the calls.
pub async fn update(amp: &Client, bucket: &Bucket, task: &Task<UpdateInput>) -> Result<UpdateOutput, Error> {
    use ScraperStatusCode::{Active, UpdateFailed, Updating};
    let arn = &task.input.scraper_arn;
    let is_identified = |yaml: &str| scrape_configuration::identifies(yaml, &task.pair.cluster);
    let found = describe(amp, arn).await?;
    let code = status_code(found.status.as_ref(), arn)?;
    let mut output = UpdateOutput {
        scraper: Scraper {
            scraper_arn: found.arn.clone(),
            status: code.clone(),
            status_reason: found.status_reason.clone(),
            created: false,
            has_other_roles: found.role_configuration != Some(role_configuration(&task.pair)),
            longest_interval: Some(scrape_configuration::longest_interval(current_configuration(&found))),
            identified: Some(is_identified(current_configuration(&found))),
            warnings: warnings(task.input.manual_access, &found.role_arn),
        },
        repaired: Vec::new(),
        replaced_configuration: None,
        up_to_date: false,
    };
    if !matches!(code, Active | UpdateFailed) {
        return Ok(output);
    }
    let comparison = compare(amp, bucket, &found, task, Some(&task.input.network)).await?;
    output.scraper.warnings.extend(comparison.warnings);
    let mut differences: Vec<&str> = comparison.differences.iter().map(|d| d.path).collect();
    if differences.contains(&TAGS) {
        let tags = missing_tags(&found, task).into_iter().collect();
        let call = amp.tag_resource().resource_arn(&found.arn).set_tags(Some(tags));
        call.send().await?;
        output.repaired.push(TAGS);
        differences.retain(|path| *path != TAGS);
    }
    let yaml = comparison.yaml;
    output.scraper.longest_interval = Some(scrape_configuration::longest_interval(&yaml));
    output.scraper.identified = Some(is_identified(&yaml));
    if differences.contains(&CONFIGURATION) {
        let replaced = configurations::Replaced::new(&task.execution, arn, current_configuration(&found));
        let location = replaced.location(bucket);
        let is_stored = task.input.replaced_configuration.as_ref() == Some(&location);
        output.replaced_configuration = Some(location);
        if !is_stored {
            replaced.store(bucket).await?;
            return Ok(output);
        }
    }
    if !differences.is_empty() {
        let answer = amp
            .update_scraper()
            .scraper_id(arn.id())
            .client_token(names::hash(&[&task.execution, &found.arn, "update"], 32))
            .set_alias(task.request.alias.clone().or(found.alias))
            .role_configuration(role_configuration(&task.pair))
            .scrape_configuration(ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml)))
            .send()
            .await?;
        output.scraper.status = answer.status.map_or(Updating, |status| status.status_code);
        output.scraper.status_reason = None;
        output.repaired.extend(differences);
    }
    output.up_to_date = true;
    Ok(output)
}

/// The desired configuration of an existing scraper: the one that the request names, or the `current` one with the
/// labels completed. The inner error is a warning: the current configuration cannot be rewritten, and stays.
async fn desired_configuration<I>(
    amp: &Client,
    bucket: &Bucket,
    task: &Task<I>,
    current: &str,
) -> Result<Result<String, String>, Error> {
    let request = &task.request;
    if let Some(named) = named_configuration(bucket, request).await? {
        return Ok(Ok(named));
    }
    if request.configuration() == Some(Named::Default) {
        return completed_default(amp, task).await.map(Ok);
    }
    if request.labels == Labels::Keep {
        scrape_configuration::check_identity(current, &task.pair.cluster)?;
        return Ok(Ok(current.to_owned()));
    }
    let labels = scrape_configuration::labels(&task.pair.cluster, &request.external_labels);
    let completed = scrape_configuration::complete_existing(current, &labels, &request.external_labels);
    Ok(completed.map_err(|why| {
        format!(
            "The scrape configuration of the scraper was left as it is, without the labels that ampxa adds, because it \
             cannot be rewritten: {why} Onboard the pair with a configuration."
        )
    }))
}

/// The part of a scraper that is its scrape configuration.
pub(crate) const CONFIGURATION: &str = "scrape configuration";

/// The state of an existing scraper that can be compared without its request.
#[derive(Debug)]
pub struct CurrentState {
    /// The longest scrape interval of its configuration, in seconds.
    pub longest_interval: u64,
    /// Whether the external labels of its configuration name the cluster.
    pub identified: bool,
    /// What differs from the desired state of any request: `failed update`, `roles`.
    pub drift: Vec<&'static str>,
}

/// Reads the current state of the scraper of a pair. Read-only.
///
/// # Errors
/// `NotVisibleYet` if AMP does not show the scraper; and those of the calls.
pub async fn current_state(amp: &Client, arn: &ScraperArn, pair: &Pair) -> Result<CurrentState, Error> {
    let found = describe(amp, arn).await?;
    Ok(CurrentState {
        longest_interval: scrape_configuration::longest_interval(current_configuration(&found)),
        identified: scrape_configuration::identifies(current_configuration(&found), &pair.cluster),
        drift: only_true(defects(&found, pair)),
    })
}

pub(super) fn current_configuration(found: &ScraperDescription) -> &str {
    match &found.scrape_configuration {
        Some(ScrapeConfiguration::ConfigurationBlob(blob)) => std::str::from_utf8(blob.as_ref()).unwrap_or_default(),
        _ => "",
    }
}

/// How an existing scraper differs from a request.
pub(crate) struct Comparison {
    /// What an execution writes, in its order.
    pub differences: Vec<Difference>,
    /// The desired scrape configuration.
    pub(super) yaml: String,
    /// What it cannot write.
    pub warnings: Vec<String>,
}

/// Compares an existing scraper with a request. Read-only.
///
/// # Errors
/// `InvalidRequest` if the object with the scrape configuration is not valid; and those of the calls.
pub(crate) async fn compare<I>(
    amp: &Client,
    bucket: &Bucket,
    found: &ScraperDescription,
    task: &Task<I>,
    network: Option<&Network>,
) -> Result<Comparison, Error> {
    let mut warnings: Vec<String> = network
        .and_then(|network| network_warning(found, task, network))
        .into_iter()
        .collect();
    let current = current_configuration(found);
    let yaml = match desired_configuration(amp, bucket, task, current).await? {
        Ok(yaml) => yaml,
        Err(warning) => {
            warnings.push(warning);
            current.to_owned()
        }
    };
    let mut differences = Vec::new();
    let mut differs = |path, before: Value, after: Value| differences.push(Difference { path, before, after });
    let missing = missing_tags(found, task);
    if !missing.is_empty() {
        let current = |key: &String| found.tags.as_ref().and_then(|tags| tags.get(key));
        let before: BTreeMap<_, _> = missing.keys().map(|key| (key, current(key))).collect();
        differs(TAGS, json!(before), json!(missing));
    }
    for defect in only_true(defects(found, &task.pair)) {
        match defect {
            ROLES => differs(
                ROLES,
                roles(found.role_configuration.as_ref()),
                roles(Some(&role_configuration(&task.pair))),
            ),
            other => differs(other, json!(found.status_reason), Value::Null),
        }
    }
    if task.request.alias.is_some() && task.request.alias != found.alias {
        differs("alias", json!(found.alias), json!(task.request.alias));
    }
    if !scrape_configuration::same_meaning(current, &yaml) {
        differs(CONFIGURATION, json!(current), json!(yaml));
    }
    Ok(Comparison {
        differences,
        yaml,
        warnings,
    })
}

const TAGS: &str = "tags";
const ROLES: &str = "roles";

pub(super) fn roles(configuration: Option<&RoleConfiguration>) -> Value {
    json!({
        "source": configuration.and_then(RoleConfiguration::source_role_arn),
        "target": configuration.and_then(RoleConfiguration::target_role_arn),
    })
}

/// What differs from the desired state of any request.
fn defects(found: &ScraperDescription, pair: &Pair) -> [(bool, &'static str); 2] {
    let has_failed = found.status.as_ref().map(|s| &s.status_code) == Some(&ScraperStatusCode::UpdateFailed);
    let other_roles = found.role_configuration != Some(role_configuration(pair));
    [(has_failed, "failed update"), (other_roles, ROLES)]
}

/// The names whose condition is true.
fn only_true(conditions: impl IntoIterator<Item = (bool, &'static str)>) -> Vec<&'static str> {
    let true_ones = conditions.into_iter().filter(|(condition, _)| *condition);
    true_ones.map(|(_, name)| name).collect()
}

fn missing_tags<I>(found: &ScraperDescription, task: &Task<I>) -> BTreeMap<String, String> {
    let current = |key: &str| Some(found.tags.as_ref()?.get(key)?.as_str());
    let expected = tags::of_pair(task).into_iter();
    expected
        .filter(|(key, value)| !tags::is_expected(key, current(key), value))
        .collect()
}

/// A warning, if the request names subnets or security groups that the scraper does not have.
fn network_warning<I>(found: &ScraperDescription, task: &Task<I>, network: &Network) -> Option<String> {
    let Some(Source::EksConfiguration(eks)) = &found.source else {
        return None;
    };
    let request = &task.request;
    let differs = (request.subnet_ids.is_some() && !same_set(eks.subnet_ids(), &network.subnet_ids))
        || (request.security_group_ids.is_some() && !same_set(groups(eks), &network.security_group_ids));
    if !differs {
        return None;
    }
    Some(format!(
        "The scraper {} keeps its subnets {} and security groups {}: AMP cannot change them. To move the scraper to \
         those of the request, offboard the pair and onboard it again.",
        found.arn,
        eks.subnet_ids().join(", "),
        groups(eks).join(", ")
    ))
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
