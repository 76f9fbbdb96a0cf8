//! Which workspace gets which cluster: an ordered table of rules, which a platform team keeps in a
//! parameter of Systems Manager.
//!
//! The first rule that matches decides; where none does, the hub's default workspace; where there is
//! none, the cluster is left alone, with a reason. AMP scrapes only into a workspace of the cluster's
//! own Region, so a rule whose workspace lies elsewhere does not match. What a table may say stands in
//! `statemachine/routes.schema.json` too.

mod glob;
mod table;

pub use table::{Match, Onboarding, Routes, Rule};

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    aws::unless,
    error::Error,
    input::shown,
    request::{CheckIngestion, PatchTrust},
    tags::{CHOICE_TAG, ONBOARD_TAG},
};
use aws_sdk_organizations::types::ParentType;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

/// Where the table is, and what the hub's template says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The parameter that holds the table.
    pub parameter: String,
    /// The workspace of clusters that no rule matches; empty: none.
    pub default_workspace: String,
    /// Whether AWS Organizations may be asked for an account's organizational units.
    pub organizations: bool,
}

impl Settings {
    /// `AMPXA_ROUTES`, `AMPXA_DEFAULT_WORKSPACE`, `AMPXA_ORGANIZATIONS` (`yes` or `no`).
    pub fn from_environment() -> Self {
        Self {
            parameter: env::var("AMPXA_ROUTES").unwrap_or_default(),
            default_workspace: env::var("AMPXA_DEFAULT_WORKSPACE").unwrap_or_default(),
            organizations: env::var("AMPXA_ORGANIZATIONS").is_ok_and(|access| access == "yes"),
        }
    }
}

/// A cluster, as far as rules care.
#[derive(Debug)]
pub struct Cluster<'a> {
    /// Its ARN.
    pub arn: &'a ClusterArn,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
    /// The organizational units above its account, all the way up; empty where no rule names one.
    pub organizational_units: &'a [String],
    /// The workspace that its account was vended with, by id or ARN.
    pub workspace: Option<&'a str>,
}

/// What becomes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// It is connected to this workspace.
    Onboard(Onboarding),
    /// It is left alone, for this reason.
    Ignore(String),
}

impl Routes {
    /// Decides what becomes of a cluster.
    ///
    /// What keeps a cluster out comes first: its own tag, then a rule that ignores it. Then the cluster's
    /// own choice of a workspace, then its account's, then the first rule that matches, then the default.
    /// A choice takes its options from the first rule that matches and leads to that workspace.
    ///
    /// # Errors
    /// `InvalidRequest` when a workspace is chosen that the table does not allow, or none of the
    /// cluster's Region.
    pub fn route(&self, cluster: &Cluster<'_>) -> Result<Route, Error> {
        if cluster.tags.get(ONBOARD_TAG).is_some_and(|value| value == "no") {
            return Ok(Route::Ignore(format!("its tag {ONBOARD_TAG} says no")));
        }
        let matching = || self.rules.iter().enumerate().filter(|(_, rule)| rule.matches(cluster));
        let first = matching().next();
        if let Some((index, Rule::Ignore(_, why))) = first {
            return Ok(Route::Ignore(format!("rules[{index}] ignores it: {why}")));
        }
        let tag = cluster.tags.get(CHOICE_TAG).map(String::as_str);
        let chosen = match (tag, cluster.workspace) {
            (Some(tag), _) => Some((format!("the cluster's tag {CHOICE_TAG}"), tag)),
            (None, Some(vended)) => Some(("the workspace that the account was vended with".to_owned(), vended)),
            (None, None) => None,
        };
        if let Some((by, wanted)) = chosen {
            let workspace = self.allowed(cluster, &by, wanted)?;
            let with_options = matching().find_map(|(_, rule)| match rule {
                Rule::Onboard(_, onboarding) if onboarding.workspace == workspace => Some(onboarding.clone()),
                _ => None,
            });
            return Ok(Route::Onboard(
                with_options.unwrap_or_else(|| Onboarding::plain(workspace)),
            ));
        }
        if let Some((_, Rule::Onboard(_, onboarding))) = first {
            return Ok(Route::Onboard(onboarding.clone()));
        }
        Ok(match &self.default_workspace {
            Some(workspace) if same_place(cluster.arn, workspace) => {
                Route::Onboard(Onboarding::plain(workspace.clone()))
            }
            Some(workspace) => Route::Ignore(format!(
                "no rule matches it, and the default workspace {workspace} lies in another Region"
            )),
            None => Route::Ignore("no rule matches it, and there is no default workspace".to_owned()),
        })
    }

    /// The workspace that somebody chose, if the table allows it.
    fn allowed(&self, cluster: &Cluster<'_>, by: &str, wanted: &str) -> Result<WorkspaceArn, Error> {
        let of_rules = self.rules.iter().filter_map(|rule| match rule {
            Rule::Onboard(_, onboarding) => Some(&onboarding.workspace),
            Rule::Ignore(..) => None,
        });
        let all = of_rules.chain(&self.workspaces).chain(&self.default_workspace);
        let here: BTreeSet<String> = all
            .filter(|workspace| same_place(cluster.arn, workspace))
            .map(ToString::to_string)
            .collect();
        let allowed = here.iter().filter_map(|arn| arn.parse::<WorkspaceArn>().ok());
        let mut found = allowed.filter(|workspace| workspace.id() == wanted || workspace.to_string() == wanted);
        match (found.next(), found.next()) {
            (Some(workspace), None) => Ok(workspace),
            (Some(_), Some(_)) => Err(Error::invalid(
                by,
                format!("{} is the id of more than one workspace; name its ARN", shown(wanted)),
            )),
            _ => Err(Error::invalid(
                by,
                format!(
                    "{} is none of the workspaces that the routing table allows for the cluster {}: {}. Choose one of \
                     these, or add it to \"workspaces\" of the table",
                    shown(wanted),
                    cluster.arn,
                    match here.is_empty() {
                        true => "there is none in its Region".to_owned(),
                        false => here.into_iter().take(5).collect::<Vec<_>>().join(", "),
                    }
                ),
            )),
        }
    }
}

fn same_place(cluster: &ClusterArn, workspace: &WorkspaceArn) -> bool {
    (cluster.partition(), cluster.region()) == (workspace.partition(), workspace.region())
}

/// Reads the table. Where there is no such parameter, it is empty.
///
/// # Errors
/// `InvalidRequest` beginning with `routes: ` and the place in the table that is wrong; and as AWS answers.
pub async fn read(ssm: &aws_sdk_ssm::Client, settings: &Settings) -> Result<Routes, Error> {
    let text = parameter(ssm, &settings.parameter).await?;
    Routes::parse(text.as_deref(), settings)
}

/// A parameter's value, if there is such a parameter.
async fn parameter(ssm: &aws_sdk_ssm::Client, name: &str) -> Result<Option<String>, Error> {
    let answer = ssm.get_parameter().name(name).send().await;
    let found = unless(answer, |e| e.is_parameter_not_found())?;
    Ok(found.and_then(|found| found.parameter?.value))
}

/// The organizational units above an account, the nearest first; asked for only where a rule names one.
///
/// # Errors
/// As AWS answers: only the management account and delegated administrators may ask (AWS Organizations
/// API reference, ListParents).
pub async fn organizational_units(
    organizations: &aws_sdk_organizations::Client,
    routes: &Routes,
    account: &str,
) -> Result<Vec<String>, Error> {
    let mut units = Vec::new();
    if !routes.name_organizational_units() {
        return Ok(units);
    }
    let mut child = account.to_owned();
    loop {
        let answer = organizations.list_parents().child_id(&child).send().await?;
        // A child has one parent (AWS Organizations API reference, ListParents).
        let parent = answer.parents().first();
        let unit = parent.filter(|parent| parent.r#type() == Some(&ParentType::OrganizationalUnit));
        match unit.and_then(|unit| unit.id()) {
            Some(unit) if !units.iter().any(|known| known == unit) => {
                units.push(unit.to_owned());
                unit.clone_into(&mut child);
            }
            _ => return Ok(units),
        }
    }
}

/// The request of a cluster that is to be onboarded, in the words of the onboarding machine.
///
/// # Errors
/// `InvalidRequest` when the rule names a scrape configuration parameter that is not there; and as AWS answers.
pub async fn request(ssm: &aws_sdk_ssm::Client, cluster: &ClusterArn, onboarding: &Onboarding) -> Result<Value, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        cluster_arn: &'a ClusterArn,
        workspace_arn: &'a WorkspaceArn,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        external_labels: &'a BTreeMap<String, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        scrape_configuration: Option<String>,
        patch_trust: PatchTrust,
        check_ingestion: CheckIngestion,
    }
    let scrape_configuration = match &onboarding.scrape_configuration_parameter {
        None => None,
        Some(name) => Some(parameter(ssm, name).await?.ok_or_else(|| {
            Error::invalid(
                "routes: scrapeConfigurationParameter",
                format!("there is no parameter {name} in the hub's account and Region; make it, or name another"),
            )
        })?),
    };
    Ok(json!(Request {
        cluster_arn: cluster,
        workspace_arn: &onboarding.workspace,
        external_labels: &onboarding.external_labels,
        scrape_configuration,
        patch_trust: onboarding.patch_trust,
        check_ingestion: onboarding.check_ingestion,
    }))
}

#[cfg(test)]
mod tests;
