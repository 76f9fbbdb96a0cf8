//! The scraper: finding the pair's own, making it, watching it.

use crate::{
    arn::ScraperArn,
    cluster::Network,
    error::Error,
    pair::{self, Pair},
    roles::{self, CLUSTER_TAG, MADE_BY_TAG, WORKSPACE_TAG},
    scrape_configuration,
    task::Task,
};
use aws_sdk_amp::{
    Client,
    operation::list_scrapers::builders::ListScrapersFluentBuilder,
    primitives::Blob,
    types::{
        AmpConfiguration, Destination, EksConfiguration, RoleConfiguration, ScrapeConfiguration, ScraperStatusCode,
        ScraperSummary, Source,
    },
};
use serde::{Deserialize, Serialize};

/// The pair's own scraper, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Its ARN.
    pub scraper_arn: String,
    #[serde(skip)]
    status: String,
    #[serde(skip)]
    role_arn: String,
    #[serde(skip)]
    made_by: Option<String>,
}

/// What the state machine knows when it asks for a scraper.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Where its network interfaces go.
    pub network: Network,
    /// Whether a person must let it into the cluster.
    pub manual_access: bool,
}

/// What the state machine knows when it watches a scraper.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Its ARN.
    pub scraper_arn: ScraperArn,
    /// Whether a person must let it into the cluster.
    pub manual_access: bool,
}

/// A scraper as it stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scraper {
    /// Its ARN.
    pub scraper_arn: String,
    /// AMP's word for its state, such as `CREATING` or `ACTIVE`.
    pub status: String,
    /// AMP's reason, where it gives one.
    pub status_reason: Option<String>,
    /// Whether this execution made it.
    pub made: bool,
    /// What a person has yet to do.
    pub warnings: Vec<String>,
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

/// The pair's own scraper among others.
///
/// # Errors
/// `Conflict` when a scraper connects the pair and is not ours; `NotReady` when ours is in a state
/// that leads nowhere.
pub fn own(scrapers: &[ScraperSummary], pair: &Pair) -> Result<Option<Found>, Error> {
    let (cluster, workspace) = (pair.cluster.to_string(), pair.workspace.to_string());
    let connects =
        |scraper: &&ScraperSummary| source(scraper) == Some(&cluster) && destination(scraper) == Some(&workspace);
    let tag = |scraper: &ScraperSummary, key| scraper.tags().and_then(|tags| tags.get(key)).cloned();
    let ours = |scraper: &ScraperSummary| {
        tag(scraper, CLUSTER_TAG).as_ref() == Some(&cluster) && tag(scraper, WORKSPACE_TAG).as_ref() == Some(&workspace)
    };
    // Of several, one of ours that works goes before any other.
    let best = scrapers
        .iter()
        .filter(connects)
        .min_by_key(|scraper| !(ours(scraper) && works(scraper)));
    let Some(scraper) = best else {
        return Ok(None);
    };
    let arn = scraper.arn();
    if !ours(scraper) {
        return Err(Error::Conflict(format!(
            "The scraper {arn} connects this cluster to this workspace already and does not carry the tags \
             {CLUSTER_TAG} and {WORKSPACE_TAG}: it is not ours, and was left alone. Delete it, and start again."
        )));
    }
    let status = scraper.status().map_or_else(
        || "in no known state".to_owned(),
        |status| status.status_code().to_string(),
    );
    if !works(scraper) {
        return Err(Error::NotReady(format!(
            "The pair's scraper {arn} is {status}, which leads nowhere. Delete it, wait until it is gone, and start again."
        )));
    }
    Ok(Some(Found {
        scraper_arn: arn.to_owned(),
        status,
        role_arn: scraper.role_arn().to_owned(),
        made_by: tag(scraper, MADE_BY_TAG),
    }))
}

fn works(scraper: &ScraperSummary) -> bool {
    use ScraperStatusCode::{Active, Creating, Updating};
    matches!(
        scraper.status().map(|status| status.status_code()),
        Some(Active | Creating | Updating)
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

/// Makes the pair's scraper, or adopts the one it has.
///
/// Safe to repeat: a call that was made before is answered as before, by its client token.
///
/// # Errors
/// As [`own`], and as AWS answers.
pub async fn create(amp: &Client, task: &Task<Plan>) -> Result<Scraper, Error> {
    let (pair, request, plan) = (&task.pair, &task.request, &task.known);
    let there = amp
        .list_scrapers()
        .filters("sourceArn", vec![pair.cluster.to_string()])
        .filters("destinationArn", vec![pair.workspace.to_string()]);
    if let Some(found) = own(&list(there).await?, pair)? {
        return Ok(Scraper {
            warnings: warnings(plan.manual_access, &found.role_arn),
            scraper_arn: found.scraper_arn,
            status: found.status,
            status_reason: None,
            // A step that died after it made the scraper finds it, and goes on.
            made: found.made_by.as_ref() == Some(&task.execution),
        });
    }
    let labels = scrape_configuration::labels(&pair.cluster, &request.external_labels);
    let yaml = match &request.scrape_configuration {
        Some(yaml) => scrape_configuration::complete(yaml, &labels)?,
        None => scrape_configuration::complete_default(&default_configuration(amp).await?, &labels)?,
    };
    let mut tags = roles::tags(task);
    tags.insert(MADE_BY_TAG.to_owned(), task.execution.clone());
    let answer = amp
        .create_scraper()
        .client_token(pair::hash(&[&task.execution, &pair.source_role_arn()], 32))
        .set_alias(request.alias.clone())
        .source(Source::EksConfiguration(eks(pair, &plan.network)?))
        .destination(Destination::AmpConfiguration(
            AmpConfiguration::builder()
                .workspace_arn(pair.workspace.to_string())
                .build()
                .map_err(|error| Error::invalid("workspaceArn", error))?,
        ))
        .role_configuration(
            RoleConfiguration::builder()
                .source_role_arn(pair.source_role_arn())
                .target_role_arn(pair.target_role_arn())
                .build(),
        )
        // The SDK encodes the blob: it takes plain YAML.
        .scrape_configuration(ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml)))
        .set_tags(Some(tags.into_iter().collect()))
        .send()
        .await?;
    Ok(Scraper {
        scraper_arn: answer.arn,
        status: answer
            .status
            .map_or_else(String::new, |status| status.status_code.to_string()),
        status_reason: None,
        made: true,
        warnings: Vec::new(),
    })
}

fn eks(pair: &Pair, network: &Network) -> Result<EksConfiguration, Error> {
    EksConfiguration::builder()
        .cluster_arn(pair.cluster.to_string())
        .set_subnet_ids(Some(network.subnet_ids.clone()))
        .set_security_group_ids((!network.security_group_ids.is_empty()).then(|| network.security_group_ids.clone()))
        .build()
        .map_err(|error| Error::invalid("clusterArn", error))
}

async fn default_configuration(amp: &Client) -> Result<String, Error> {
    let answer = amp.get_default_scraper_configuration().send().await?;
    String::from_utf8(answer.configuration.into_inner())
        .map_err(|error| Error::Refused(format!("AMP's default scrape configuration is no text: {error}.")))
}

/// Looks at a scraper once. The state machine does the waiting.
///
/// # Errors
/// `NotVisibleYet` when AMP does not show the scraper; and as AWS answers.
pub async fn check(amp: &Client, task: &Task<Made>) -> Result<Scraper, Error> {
    let arn = &task.known.scraper_arn;
    let absent = || Error::NotVisibleYet(format!("AMP shows no scraper {arn}."));
    let scraper = match amp.describe_scraper().scraper_id(arn.id()).send().await {
        Ok(answer) => answer.scraper.ok_or_else(absent)?,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_resource_not_found_exception()) =>
        {
            return Err(absent());
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Scraper {
        scraper_arn: scraper.arn,
        status: scraper
            .status
            .map_or_else(String::new, |status| status.status_code.to_string()),
        status_reason: scraper.status_reason,
        made: false,
        warnings: warnings(task.known.manual_access, &scraper.role_arn),
    })
}

/// What a person must apply to a cluster that AMP cannot enter by itself (AMP user guide, "Manually
/// configuring an Amazon EKS cluster for scraper access"). `aws-auth` takes no role ARN with a path.
fn warnings(manual_access: bool, role_arn: &str) -> Vec<String> {
    if !manual_access {
        return Vec::new();
    }
    let (account, name) = (
        role_arn.split('/').next().unwrap_or_default(),
        role_arn.rsplit('/').next(),
    );
    vec![format!(
        "Until a person lets the scraper into the cluster, it scrapes nothing. Apply AMP's ClusterRole and binding \
         `aps-collector-role` for the user `aps-collector-user`, and add to mapRoles in the ConfigMap aws-auth of \
         kube-system:\n- rolearn: {account}/{}\n  username: aps-collector-user",
        name.unwrap_or_default()
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_names_the_role_without_its_path() {
        let role = "arn:aws:iam::222222222222:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper_1a2b";
        let [warning] = &warnings(true, role)[..] else {
            panic!("one warning");
        };
        assert!(
            warning.contains("rolearn: arn:aws:iam::222222222222:role/AWSServiceRoleForAmazonPrometheusScraper_1a2b\n")
        );
        assert!(warnings(false, role).is_empty());
    }
}
