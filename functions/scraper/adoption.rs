//! Adopts a scraper of a pair that ampxa did not create, and gives it back what it had if the onboarding fails.
//!
//! An adoption changes tags first, because the permission to update a scraper depends on its tags, and a restoration changes
//! them last.

use super::{
    describe, inventory, inventory::status, list, of_pair, role_configuration, status_code,
    update::current_configuration,
};
use crate::{
    arn::ScraperArn,
    aws::{none_if, s3::Bucket},
    collector_logs, configurations,
    error::Error,
    names,
    pair::Pair,
    permission,
    routing::glob,
    scrape_configuration,
    tags::{self, CLUSTER_TAG, LOGS_TAG, ORIGIN_TAG, WORKSPACE_TAG},
    task::Task,
};
use aws_sdk_amp::{
    Client,
    primitives::{Blob, DateTime},
    types::{
        AmpConfiguration, Destination, RoleConfiguration, ScrapeConfiguration, ScraperDescription, ScraperStatusCode,
        ScraperSummary,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The tags of ampxa that an adoption writes.
const TAGS: [&str; 3] = [CLUSTER_TAG, WORKSPACE_TAG, ORIGIN_TAG];

/// What a scraper had before its adoption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// The scraper.
    pub scraper_arn: ScraperArn,
    /// Its source role. `None`: it has only AMP's service-linked role.
    pub source_role_arn: Option<String>,
    /// Its target role.
    pub target_role_arn: Option<String>,
    /// Its alias.
    pub alias: Option<String>,
    /// Those of its tags that the onboarding replaces.
    pub tags: BTreeMap<String, String>,
    /// Who manages it, as far as its tags say.
    pub manager: String,
}

/// The input of `adopt-scraper`, beside the request.
#[derive(Debug, Deserialize)]
pub struct AdoptInput {
    /// The scraper, as `check-cluster` found it.
    pub adoption: Adoption,
}

/// What [`adopt`] did.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptOutput {
    /// The ARN of the scraper.
    pub scraper_arn: ScraperArn,
    /// What a person must do.
    pub warnings: Vec<String>,
}

/// The input of `restore-scraper`, beside the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreInput {
    /// The scraper, as `check-cluster` found it.
    pub adoption: Adoption,
    /// The location of the configuration that the execution replaced.
    pub replaced_configuration: Option<String>,
}

/// The progress of a restoration.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreOutput {
    /// Whether the scraper is as it was before its adoption.
    pub restored: bool,
    /// The ARN of the scraper.
    pub scraper_arn: ScraperArn,
}

impl Adoption {
    fn roles(&self) -> Option<RoleConfiguration> {
        self.source_role_arn.as_ref().or(self.target_role_arn.as_ref())?;
        let roles = RoleConfiguration::builder().set_source_role_arn(self.source_role_arn.clone());
        Some(roles.set_target_role_arn(self.target_role_arn.clone()).build())
    }

    fn role_arns(&self) -> Vec<&str> {
        [&self.source_role_arn, &self.target_role_arn]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect()
    }

    /// What a person must do with the tool that created the scraper, and with the roles that it no longer uses.
    pub(crate) fn warnings(&self, pair: &Pair) -> Vec<String> {
        let roles = match self.roles() {
            Some(roles) if roles != role_configuration(pair) => format!(
                "Its former roles {} are kept: delete them with the tool that created them when no other scraper uses them. ",
                self.role_arns().join(" and ")
            ),
            _ => String::new(),
        };
        vec![format!(
            "ampxa adopts the scraper {}. {roles}The tool that created the scraper would change it back, or delete it, so \
             remove the scraper from that tool without deleting it. Terraform: terraform state rm of its \
             aws_prometheus_scraper, and remove the resource from the configuration. CloudFormation: set DeletionPolicy: \
             Retain and deploy, then remove the resource from the template. {}",
            self.scraper_arn, self.manager
        )]
    }
}

/// Whether the scraper that connects a pair without its tags can be adopted: what it has now. Read-only.
///
/// `unmanaged` are the scrapers that connect the pair without its tags. Only a scraper whose former roles ampxa could
/// give back is adopted: the roles of the pair, those that the account allows, or AMP's service-linked role alone.
///
/// # Errors
/// `Conflict` or `NotReady` with the reason if it cannot be adopted; and those of the call to IAM.
pub(crate) async fn adoptable<I>(
    source_iam: &aws_sdk_iam::Client,
    unmanaged: &[ScraperSummary],
    task: &Task<I>,
    cluster_created_at: Option<&DateTime>,
) -> Result<Adoption, Error> {
    let [found] = unmanaged else {
        let arns: Vec<&str> = unmanaged.iter().map(ScraperSummary::arn).collect();
        return Err(Error::Conflict(format!(
            "The scrapers {} already connect the cluster {} to the workspace {}, and ampxa adopts one scraper only, so no \
             scraper was changed. Have those who manage them keep one of them, then start the execution again.",
            arns.join(" and "),
            task.pair.cluster,
            task.pair.workspace
        )));
    };
    let cannot = |why: String| {
        format!(
            "The scraper {} already connects the cluster {} to the workspace {}, and cannot be adopted: {why} No scraper was \
             changed.",
            found.arn(),
            task.pair.cluster,
            task.pair.workspace
        )
    };
    if cluster_created_at.is_some_and(|created_at| found.created_at() < created_at) {
        let why = "it is older than the cluster, so it served a deleted cluster of the same name.";
        return Err(Error::Conflict(cannot(why.to_owned())));
    }
    match status(found) {
        ScraperStatusCode::Active => {}
        status => {
            let why = format!("it is {status}. Start the execution again when it is ACTIVE.");
            return Err(Error::NotReady(cannot(why)));
        }
    }
    let adoption = adoption_of(found, task)?;
    match adoption.roles() {
        None => return Ok(adoption),
        Some(roles) if roles == role_configuration(&task.pair) => return Ok(adoption),
        Some(_) => {}
    }
    let allowed = permission::adoptable_roles(source_iam).await?;
    let mut roles = adoption.role_arns();
    roles.retain(|role| !allowed.iter().any(|pattern| glob::matches(pattern, role)));
    if roles.is_empty() {
        return Ok(adoption);
    }
    Err(Error::Conflict(cannot(format!(
        "if the onboarding failed, ampxa could not give it back the roles that it has now, because the account {} does not \
         allow ampxa to pass {}. Deploy the stack of infra/source-account.yaml in the account with \
         AdoptableRoleArns={}.",
        task.pair.cluster.account(),
        roles.join(" and "),
        adoption.role_arns().join(",")
    ))))
}

fn adoption_of<I>(found: &ScraperSummary, task: &Task<I>) -> Result<Adoption, Error> {
    let arn: ScraperArn = found
        .arn()
        .parse()
        .map_err(|why| Error::invalid("aps:ListScrapers", why))?;
    let roles = found.role_configuration();
    let current = found.tags().into_iter().flatten();
    let replaced = tags::of_pair(task);
    Ok(Adoption {
        scraper_arn: arn,
        source_role_arn: roles.and_then(RoleConfiguration::source_role_arn).map(str::to_owned),
        target_role_arn: roles.and_then(RoleConfiguration::target_role_arn).map(str::to_owned),
        alias: found.alias().map(str::to_owned),
        tags: current
            .clone()
            .filter(|(key, _)| replaced.contains_key(*key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        manager: tags::manager(current.map(|(key, value)| (key.as_str(), value.as_str()))),
    })
}

/// Writes the tags of the pair to a scraper that ampxa did not create. The following steps then treat it as an existing
/// scraper of the pair.
///
/// Idempotent.
///
/// # Errors
/// `Conflict` if the scraper has other roles than when it was checked; `NotVisibleYet` if AMP does not show the scraper or
/// its tags; and those of the calls.
pub async fn adopt(amp: &Client, task: &Task<AdoptInput>) -> Result<AdoptOutput, Error> {
    let adoption = &task.input.adoption;
    let arn = &adoption.scraper_arn;
    let found = describe(amp, arn).await?;
    if found.role_configuration != adoption.roles() {
        return Err(Error::Conflict(format!(
            "The roles of the scraper {arn} were changed while this execution checked the pair. It was not adopted. Start \
             the execution again."
        )));
    }
    let mut expected = tags::of_pair(task);
    expected.retain(|key, value| TAGS.contains(&key.as_str()) && !tags::is_expected(key, tag(&found, key), value));
    if !expected.is_empty() {
        let call = amp.tag_resource().resource_arn(arn.to_string());
        call.set_tags(Some(expected.into_iter().collect())).send().await?;
    }
    let inventory = inventory(&list(of_pair(amp, &task.pair)).await?, &task.pair, None);
    let is_listed = |scraper: super::ExistingScraper| scraper.scraper_arn == arn.to_string();
    if !inventory.is_ok_and(|inventory| inventory.scraper.is_some_and(is_listed)) {
        return Err(Error::NotVisibleYet(format!(
            "The scraper {arn} was tagged, but AMP does not list its tags yet."
        )));
    }
    Ok(AdoptOutput {
        scraper_arn: arn.clone(),
        warnings: adoption.warnings(&task.pair),
    })
}

/// Gives an adopted scraper its former roles, alias, configuration and logging, then its former tags. The state machine
/// polls, because AMP takes minutes for an update. Tags that the request names and the scraper did not have are kept.
///
/// Idempotent. A scraper without the tags of the pair is restored, or was never adopted.
///
/// # Errors
/// Those of the calls.
pub async fn restore(amp: &Client, bucket: &Bucket, task: &Task<RestoreInput>) -> Result<RestoreOutput, Error> {
    let adoption = &task.input.adoption;
    let arn = &adoption.scraper_arn;
    let progress = |restored| RestoreOutput {
        restored,
        scraper_arn: arn.clone(),
    };
    let answer = amp.describe_scraper().scraper_id(arn.id()).send().await;
    let found = none_if(answer, |e| e.is_resource_not_found_exception())?.and_then(|answer| answer.scraper);
    let Some(found) = found.filter(|found| has_tags_of(found, &task.pair)) else {
        return Ok(progress(true));
    };
    let failed = match status_code(found.status.as_ref(), arn)? {
        ScraperStatusCode::Active => false,
        ScraperStatusCode::UpdateFailed => true,
        ScraperStatusCode::Updating | ScraperStatusCode::Creating => return Ok(progress(false)),
        // It is being deleted.
        _ => return Ok(progress(true)),
    };
    if write_former(amp, bucket, task, &found, failed).await? {
        return Ok(progress(false));
    }
    if tag(&found, LOGS_TAG).is_some() {
        collector_logs::stop(amp, arn.id()).await?;
        collector_logs::untag(amp, arn).await?;
    }
    let resource = arn.to_string();
    // A failure between the two calls keeps the tags of the pair, so that the next attempt continues.
    let (last, former): (HashMap<_, _>, HashMap<_, _>) = adoption
        .tags
        .clone()
        .into_iter()
        .partition(|(key, _)| TAGS.contains(&key.as_str()));
    if !former.is_empty() {
        let call = amp.tag_resource().resource_arn(&resource).set_tags(Some(former));
        call.send().await?;
    }
    if !last.is_empty() {
        let call = amp.tag_resource().resource_arn(&resource).set_tags(Some(last.clone()));
        call.send().await?;
    }
    let added: Vec<String> = TAGS
        .iter()
        .filter(|key| !last.contains_key(**key))
        .map(|key| (*key).to_owned())
        .collect();
    if !added.is_empty() {
        let call = amp.untag_resource().resource_arn(&resource).set_tag_keys(Some(added));
        call.send().await?;
    }
    Ok(progress(true))
}

/// Writes the former roles, alias and configuration if they differ or if the last update failed. Returns whether it did.
async fn write_former(
    amp: &Client,
    bucket: &Bucket,
    task: &Task<RestoreInput>,
    found: &ScraperDescription,
    failed: bool,
) -> Result<bool, Error> {
    let RestoreInput {
        adoption,
        replaced_configuration,
    } = &task.input;
    let current = current_configuration(found);
    let yaml = match replaced_configuration {
        Some(location) => configurations::read_replaced(bucket, location).await?,
        None => current.to_owned(),
    };
    let roles = adoption.roles();
    // AMP cannot remove an alias.
    let has_alias = adoption.alias.is_none() || adoption.alias == found.alias;
    if !failed && found.role_configuration == roles && has_alias && scrape_configuration::same_meaning(current, &yaml) {
        return Ok(false);
    }
    // AMP uses the service-linked role if a request names a destination and no roles (AMP user guide, "Cross-account
    // setup").
    let destination = match roles {
        Some(_) => None,
        None => Some(Destination::AmpConfiguration(
            AmpConfiguration::builder()
                .workspace_arn(task.pair.workspace.to_string())
                .build()
                .map_err(|error| Error::invalid("workspaceArn", error))?,
        )),
    };
    let modified = found.last_modified_at.secs().to_string();
    amp.update_scraper()
        .scraper_id(adoption.scraper_arn.id())
        // A further attempt after a failed update has another token.
        .client_token(names::hash(&[&task.execution, &found.arn, "restore", &modified], 32))
        .set_alias(adoption.alias.clone().or_else(|| found.alias.clone()))
        .set_role_configuration(roles)
        .set_destination(destination)
        .scrape_configuration(ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml)))
        .send()
        .await?;
    Ok(true)
}

fn has_tags_of(found: &ScraperDescription, pair: &Pair) -> bool {
    tag(found, CLUSTER_TAG) == Some(&pair.cluster.to_string())
        && tag(found, WORKSPACE_TAG) == Some(&pair.workspace.to_string())
}

fn tag<'a>(found: &'a ScraperDescription, key: &str) -> Option<&'a str> {
    found.tags.as_ref()?.get(key).map(String::as_str)
}
