//! Adopts a scraper of a pair that ampxa did not create, and gives it back what it had if the onboarding fails.
//!
//! An adoption changes tags first, because the permission to update a scraper depends on its tags, and a restoration changes
//! them last.

use super::{
    describe, destination, find, inventory,
    inventory::{is_dead, status},
    list, of_pair, role_configuration, status_code,
    update::current_configuration,
};
use crate::{
    arn::ScraperArn,
    aws::s3::Bucket,
    collector_logs, configurations,
    error::Error,
    names,
    pair::Pair,
    permission,
    request::{CheckIngestion, Labels},
    routing::glob,
    scrape_configuration::{self, IDENTITY_LABEL},
    tags::{self, CLUSTER_TAG, LOGS_TAG, ORIGIN_TAG, WORKSPACE_TAG},
    task::Task,
};
use aws_sdk_amp::{
    Client,
    primitives::{Blob, DateTime},
    types::{RoleConfiguration, ScrapeConfiguration, ScraperDescription, ScraperStatusCode, ScraperSummary},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The tags of ampxa that an adoption writes.
const TAGS: [&str; 3] = [CLUSTER_TAG, WORKSPACE_TAG, ORIGIN_TAG];

/// The most tags of a resource (AMP API reference, TagResource).
const MAX_TAGS: usize = 50;

/// The tags that a scraper may get later: that of its logs, and that of an orphan.
const LATER_TAGS: usize = 2;

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
    /// Whether ampxa had switched its logs on, if ampxa managed it before.
    pub has_logs: bool,
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
    /// Whether the execution switched its logs on.
    pub collector_logs_enabled: bool,
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
    fn of<I>(
        arn: ScraperArn,
        roles: Option<&RoleConfiguration>,
        alias: Option<&str>,
        current: Option<&HashMap<String, String>>,
        task: &Task<I>,
    ) -> Self {
        let current = current.into_iter().flatten();
        let replaced = tags::of_pair(task);
        Self {
            scraper_arn: arn,
            source_role_arn: roles.and_then(RoleConfiguration::source_role_arn).map(str::to_owned),
            target_role_arn: roles.and_then(RoleConfiguration::target_role_arn).map(str::to_owned),
            alias: alias.map(str::to_owned),
            has_logs: current.clone().any(|(key, _)| key == LOGS_TAG),
            manager: tags::manager(current.clone().map(|(key, value)| (key.as_str(), value.as_str()))),
            tags: current
                .filter(|(key, _)| replaced.contains_key(*key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

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
                "Its former roles {} are kept: you need them to give the scraper back. ",
                self.role_arns().join(" and ")
            ),
            _ => String::new(),
        };
        vec![format!(
            "ampxa adopts the scraper {}. {roles}The next run of the tool that created the scraper changes it back or deletes \
             it, unless you first remove the scraper from that tool without deleting it. Terraform: replace its resource \
             aws_prometheus_scraper by a removed block with destroy = false, or remove the resource and run terraform state \
             rm. CloudFormation: set DeletionPolicy: Retain and deploy, then remove the resource from the template. {}",
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
/// `Conflict` or `NotReady` with the reason if it cannot be adopted; `InvalidRequest` if its configuration does not admit
/// the fields `labels` and `checkIngestion` of the request; and those of the calls.
pub(crate) async fn adoptable<I>(
    source_iam: &aws_sdk_iam::Client,
    source_amp: &Client,
    unmanaged: &[ScraperSummary],
    task: &Task<I>,
    cluster_created_at: Option<&DateTime>,
) -> Result<Adoption, Error> {
    let connects = format!(
        "already connects the cluster {} to the workspace {}",
        task.pair.cluster, task.pair.workspace
    );
    let alive: Vec<&ScraperSummary> = unmanaged.iter().filter(|scraper| !is_dead(scraper)).collect();
    let [found] = alive[..] else {
        let arns: Vec<&str> = unmanaged.iter().map(ScraperSummary::arn).collect();
        let why = match alive[..] {
            [] => "can never become ACTIVE again, so it cannot be adopted",
            _ => "and ampxa adopts only one scraper of a pair",
        };
        return Err(Error::Conflict(format!(
            "{} {connects}, {why}. No scraper was changed. Have those who manage them disconnect all that should not stay, \
             with the tool that created them, then start the execution again.",
            arns.join(" and ")
        )));
    };
    let cannot = |why: String| {
        format!(
            "The scraper {} {connects}, and cannot be adopted: {why} No scraper was changed.",
            found.arn()
        )
    };
    if cluster_created_at.is_some_and(|created_at| found.created_at() < created_at) {
        let why = "it is older than the cluster, so it served a deleted cluster of the same name. Have those who manage it \
                   disconnect it with the tool that created it, then start the execution again.";
        return Err(Error::Conflict(cannot(why.to_owned())));
    }
    match status(found) {
        ScraperStatusCode::Active => {}
        status => {
            let why = format!("it is {status}. Start the execution again when it is ACTIVE.");
            return Err(Error::NotReady(cannot(why)));
        }
    }
    let keys = found.tags().into_iter().flatten().map(|(key, _)| key.clone());
    let mut keys: BTreeSet<String> = keys.filter(|key| !key.starts_with("aws:")).collect();
    keys.extend(tags::of_pair(task).into_keys());
    if keys.len() + LATER_TAGS > MAX_TAGS {
        let why = format!(
            "with the tags of ampxa and of the request it would have {} tags, and AMP allows {MAX_TAGS}. Remove tags of the \
             scraper, or of the field tags.",
            keys.len() + LATER_TAGS
        );
        return Err(Error::Conflict(cannot(why)));
    }
    let arn: ScraperArn = found
        .arn()
        .parse()
        .map_err(|why| Error::invalid("aps:ListScrapers", why))?;
    let adoption = Adoption::of(arn, found.role_configuration(), found.alias(), found.tags(), task);
    check_permission(source_iam, &adoption, task, cannot).await?;
    check_labels(source_amp, &adoption, task).await?;
    Ok(adoption)
}

/// Checks that the account allows to give the scraper its roles back.
async fn check_permission<I>(
    source_iam: &aws_sdk_iam::Client,
    adoption: &Adoption,
    task: &Task<I>,
    cannot: impl Fn(String) -> String,
) -> Result<(), Error> {
    if adoption
        .roles()
        .is_none_or(|roles| roles == role_configuration(&task.pair))
    {
        return Ok(());
    }
    let allowed = permission::adoptable_roles(source_iam).await?;
    let mut roles = adoption.role_arns();
    roles.retain(|role| !allowed.iter().any(|pattern| glob::matches(pattern, role)));
    if roles.is_empty() {
        return Ok(());
    }
    let now = match allowed.is_empty() {
        true => "which is empty now".to_owned(),
        false => format!("which has {} now", allowed.join(",")),
    };
    Err(Error::Conflict(cannot(format!(
        "after a failure, ampxa could not give it its present roles back, because the account {} does not allow ampxa to pass \
         {}. Add {} to the parameter AdoptableRoleArns of the stack of infra/source-account.yaml in this account, {now}.",
        task.pair.cluster.account(),
        roles.join(" and "),
        roles.join(",")
    ))))
}

/// Checks that the configuration that the scraper keeps has the label that the request relies on.
async fn check_labels<I>(source_amp: &Client, adoption: &Adoption, task: &Task<I>) -> Result<(), Error> {
    if task.request.labels != Labels::Keep {
        return Ok(());
    }
    let found = describe(source_amp, &adoption.scraper_arn).await?;
    let yaml = current_configuration(&found);
    scrape_configuration::check_identity(yaml, &task.pair.cluster)?;
    let is_identified = scrape_configuration::identifies(yaml, &task.pair.cluster);
    if task.request.check_ingestion == CheckIngestion::Require && !is_identified {
        return Err(Error::invalid(
            "checkIngestion",
            format!(
                "\"REQUIRE\" is not possible with \"labels\": \"KEEP\" for the scraper {}, whose configuration has no external \
                 label {IDENTITY_LABEL}: its samples cannot be distinguished from those of other clusters; expected \"REPORT\" \
                 or \"SKIP\"",
                adoption.scraper_arn
            ),
        ));
    }
    Ok(())
}

/// Writes the tags of the pair to a scraper that ampxa did not create. The following steps then treat it as an existing
/// scraper of the pair.
///
/// Idempotent.
///
/// # Errors
/// `Conflict` if the scraper has changed since it was checked; `NotVisibleYet` if AMP does not show the scraper or its
/// tags; and those of the calls.
pub async fn adopt(amp: &Client, task: &Task<AdoptInput>) -> Result<AdoptOutput, Error> {
    let adoption = &task.input.adoption;
    let arn = &adoption.scraper_arn;
    let found = describe(amp, arn).await?;
    let roles = found.role_configuration.as_ref();
    let current = Adoption::of(arn.clone(), roles, found.alias.as_deref(), found.tags.as_ref(), task);
    let is_tagged = has_tags_of(&found, &task.pair);
    if !is_tagged && (current != *adoption || status_code(found.status.as_ref(), arn)? != ScraperStatusCode::Active) {
        return Err(Error::Conflict(format!(
            "Someone changed the scraper {arn} while this execution checked the pair, so it was not adopted. Start the \
             execution again."
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
/// polls, because AMP takes minutes for an update. Tags that the request names and the scraper did not have are kept, and
/// so is an alias that it did not have, because AMP cannot remove one.
///
/// Idempotent. A scraper without the tags of the pair is restored, or was never adopted, unless it has the roles of the
/// pair: someone then removed the tags.
///
/// # Errors
/// `Transient` while AMP changes the logging; and those of the calls.
pub async fn restore(amp: &Client, bucket: &Bucket, task: &Task<RestoreInput>) -> Result<RestoreOutput, Error> {
    let adoption = &task.input.adoption;
    let arn = &adoption.scraper_arn;
    let progress = |restored| RestoreOutput {
        restored,
        scraper_arn: arn.clone(),
    };
    let Some(found) = find(amp, arn).await? else {
        return Ok(progress(true));
    };
    // AMP does not document which roles it shows during an update.
    let code = status_code(found.status.as_ref(), arn)?;
    if matches!(code, ScraperStatusCode::Updating | ScraperStatusCode::Creating) {
        return Ok(progress(false));
    }
    let of_pair = Some(role_configuration(&task.pair));
    if !has_tags_of(&found, &task.pair) {
        if found.role_configuration != of_pair || adoption.roles() == of_pair {
            return Ok(progress(true));
        }
        let call = amp.tag_resource().resource_arn(arn.to_string());
        let call = call.tags(CLUSTER_TAG, task.pair.cluster.to_string());
        call.tags(WORKSPACE_TAG, task.pair.workspace.to_string()).send().await?;
    }
    let has_failed = match code {
        ScraperStatusCode::Active => false,
        ScraperStatusCode::UpdateFailed => true,
        // It is being deleted.
        _ => return Ok(progress(true)),
    };
    if write_former(amp, bucket, task, &found, has_failed).await? {
        return Ok(progress(false));
    }
    let has_logs = tag(&found, LOGS_TAG).is_some() || task.input.collector_logs_enabled;
    if has_logs && !adoption.has_logs {
        collector_logs::switch_off(amp, arn).await?;
    }
    write_former_tags(amp, adoption).await?;
    Ok(progress(true))
}

/// Writes the former values of tags, and removes those that the scraper did not have. The tags of the pair are last, so that
/// an attempt after a failure continues.
async fn write_former_tags(amp: &Client, adoption: &Adoption) -> Result<(), Error> {
    let resource = adoption.scraper_arn.to_string();
    let write = async |tags: HashMap<String, String>| {
        if !tags.is_empty() {
            let call = amp.tag_resource().resource_arn(&resource).set_tags(Some(tags));
            call.send().await?;
        }
        Ok::<_, Error>(())
    };
    let remove = async |keys: Vec<String>| {
        if !keys.is_empty() {
            let call = amp.untag_resource().resource_arn(&resource).set_tag_keys(Some(keys));
            call.send().await?;
        }
        Ok::<_, Error>(())
    };
    let names_pair = |key: &str| [CLUSTER_TAG, WORKSPACE_TAG].contains(&key);
    let (last, first): (HashMap<_, _>, HashMap<_, _>) =
        adoption.tags.clone().into_iter().partition(|(key, _)| names_pair(key));
    let added = TAGS.iter().filter(|key| !adoption.tags.contains_key(**key));
    let (added_last, added_first): (Vec<String>, Vec<String>) =
        added.map(|key| (*key).to_owned()).partition(|key| names_pair(key));
    write(first).await?;
    remove(added_first).await?;
    // One of the two calls is empty if the scraper had both tags of a pair, or none.
    write(last).await?;
    remove(added_last).await
}

/// Writes the former roles, alias and configuration if they differ or if the last update failed. Returns whether it did.
async fn write_former(
    amp: &Client,
    bucket: &Bucket,
    task: &Task<RestoreInput>,
    found: &ScraperDescription,
    has_failed: bool,
) -> Result<bool, Error> {
    let RestoreInput {
        adoption,
        replaced_configuration,
        ..
    } = &task.input;
    let current = current_configuration(found);
    let yaml = match replaced_configuration {
        Some(location) => configurations::read_replaced(bucket, location).await?,
        None => current.to_owned(),
    };
    let roles = adoption.roles();
    // A configuration without roles is none.
    let now = found.role_configuration.clone();
    let now = now.filter(|roles| roles.source_role_arn().or(roles.target_role_arn()).is_some());
    let has_alias = adoption.alias.is_none() || adoption.alias == found.alias;
    if !has_failed && now == roles && has_alias && scrape_configuration::same_meaning(current, &yaml) {
        return Ok(false);
    }
    // AMP uses the service-linked role if a request names a destination and no roles (AMP user guide, "Cross-account
    // setup").
    let destination = match roles {
        Some(_) => None,
        None => Some(destination(&task.pair)?),
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
