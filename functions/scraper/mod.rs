//! The scraper: making it and watching it; `inventory` says which there are, `update` puts right what
//! an adopted one differs in, `removal` takes it away.

mod inventory;
mod removal;
mod update;

pub use inventory::{Found, Inventory, Ours, StaleScraper, inventory, list, ours, ours_of_cluster};
pub use removal::{RemoveInput, RemoveOutput, remove};
pub use update::{UpdateInput, UpdateOutput, Works, update, works};

use crate::{
    arn::ScraperArn,
    aws::unless,
    error::Error,
    names,
    network::Network,
    pair::Pair,
    scrape_configuration,
    tags::{self, CREATED_BY_TAG},
    task::Task,
};
use aws_sdk_amp::{
    Client,
    operation::list_scrapers::builders::ListScrapersFluentBuilder,
    primitives::Blob,
    types::{
        AmpConfiguration, Destination, EksConfiguration, RoleConfiguration, ScrapeConfiguration, ScraperDescription,
        Source,
    },
};
use serde::{Deserialize, Serialize};

/// What the state machine knows when it asks for a scraper.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateInput {
    /// Where its network interfaces go.
    pub network: Network,
    /// Whether a person must let it into the cluster.
    pub manual_access: bool,
}

/// What the state machine knows when it watches a scraper.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckInput {
    /// Its ARN.
    pub scraper_arn: ScraperArn,
    /// Whether a person must let it into the cluster.
    pub manual_access: bool,
}

/// A scraper as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scraper {
    /// Its ARN.
    pub scraper_arn: String,
    /// AMP's word for its state, such as `CREATING` or `ACTIVE`.
    pub status: String,
    /// AMP's reason, where it gives one.
    pub status_reason: Option<String>,
    /// Whether this execution made it.
    pub created: bool,
    /// What a person has yet to do.
    pub warnings: Vec<String>,
}

/// Makes the pair's scraper, or adopts the one it has.
///
/// Safe to repeat: a call that was made before is answered as before, by its client token.
///
/// # Errors
/// As [`inventory()`], and as AWS answers; `NotVisibleYet` while an old scraper is still there.
pub async fn create(amp: &Client, task: &Task<CreateInput>) -> Result<Scraper, Error> {
    let (pair, request, plan) = (&task.pair, &task.request, &task.input);
    let inventory = inventory(&list(of_pair(amp, pair)).await?, pair, None)?;
    if let Some(found) = inventory.scraper {
        return Ok(Scraper {
            warnings: warnings(plan.manual_access, &found.role_arn),
            scraper_arn: found.scraper_arn,
            status: found.status,
            status_reason: None,
            // A step that died after it made the scraper finds it, and goes on.
            created: found.created_by.as_ref() == Some(&task.execution),
        });
    }
    if let Some(old) = inventory.stale_scrapers.first() {
        return Err(Error::NotVisibleYet(format!(
            "The scraper {} {} and is still there.",
            old.scraper_arn, old.reason
        )));
    }
    let yaml = configuration(amp, task).await?;
    let mut tags = tags::of_pair(task);
    tags.insert(CREATED_BY_TAG.to_owned(), task.execution.clone());
    let answer = amp
        .create_scraper()
        .client_token(names::hash(&[&task.execution, &pair.source_role_arn()], 32))
        .set_alias(request.alias.clone())
        .source(Source::EksConfiguration(eks(pair, &plan.network)?))
        .destination(Destination::AmpConfiguration(
            AmpConfiguration::builder()
                .workspace_arn(pair.workspace.to_string())
                .build()
                .map_err(|error| Error::invalid("workspaceArn", error))?,
        ))
        .role_configuration(role_configuration(pair))
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
        created: true,
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

fn role_configuration(pair: &Pair) -> RoleConfiguration {
    RoleConfiguration::builder()
        .source_role_arn(pair.source_role_arn())
        .target_role_arn(pair.target_role_arn())
        .build()
}

/// The scrapers that connect the pair, or once did.
fn of_pair(amp: &Client, pair: &Pair) -> ListScrapersFluentBuilder {
    amp.list_scrapers()
        .filters("sourceArn", vec![pair.cluster.to_string()])
        .filters("destinationArn", vec![pair.workspace.to_string()])
}

/// The scrape configuration that the request asks for, or AMP's default, with its labels.
async fn configuration<K>(amp: &Client, task: &Task<K>) -> Result<String, Error> {
    let labels = scrape_configuration::labels(&task.pair.cluster, &task.request.external_labels);
    match &task.request.scrape_configuration {
        Some(yaml) => scrape_configuration::complete(yaml, &labels),
        None => scrape_configuration::complete_default(&default_configuration(amp).await?, &labels),
    }
}

async fn default_configuration(amp: &Client) -> Result<String, Error> {
    let answer = amp.get_default_scraper_configuration().send().await?;
    String::from_utf8(answer.configuration.into_inner())
        .map_err(|error| Error::Transient(format!("AMP's default scrape configuration is not UTF-8: {error}.")))
}

/// Looks at a scraper once. The state machine does the waiting.
///
/// # Errors
/// `NotVisibleYet` when AMP does not show the scraper; and as AWS answers.
pub async fn check(amp: &Client, task: &Task<CheckInput>) -> Result<Scraper, Error> {
    let scraper = describe(amp, &task.input.scraper_arn).await?;
    Ok(Scraper {
        scraper_arn: scraper.arn,
        status: scraper
            .status
            .map_or_else(String::new, |status| status.status_code.to_string()),
        // It stands within a sentence.
        status_reason: scraper
            .status_reason
            .map(|reason| reason.trim_end_matches('.').to_owned()),
        created: false,
        warnings: warnings(task.input.manual_access, &scraper.role_arn),
    })
}

async fn describe(amp: &Client, arn: &ScraperArn) -> Result<ScraperDescription, Error> {
    let answer = amp.describe_scraper().scraper_id(arn.id()).send().await;
    unless(answer, |e| e.is_resource_not_found_exception())?
        .and_then(|answer| answer.scraper)
        .ok_or_else(|| Error::NotVisibleYet(format!("AMP shows no scraper {arn}.")))
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
