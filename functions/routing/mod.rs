//! The routing table: an ordered list of rules that assigns a workspace to each cluster. It is stored in a Systems
//! Manager parameter.
//!
//! The first rule that matches decides. If no rule matches, the cluster gets the hub's default workspace. Without a
//! default workspace, it is skipped with a reason. AMP scrapes only into a workspace in the cluster's Region, so a rule
//! whose workspace is in another Region does not match. The schema of the table is `statemachine/routes.schema.json`.

pub(crate) mod glob;
mod table;

pub(crate) use table::is_organizational_unit;
pub use table::{Choice, Configuration, Match, Onboarding, Routes, Rule};

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    aws::none_if,
    environment,
    error::Error,
    input::shown,
    request::{CheckIngestion, CollectorLogs, DEFAULT_CONFIGURATION, Labels, PatchTrust, Preparation},
    tags::{CHOICE_TAG, ONBOARD_TAG},
};
use aws_sdk_organizations::types::ParentType;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The parameters of the hub's template that concern routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the hub's stack, for metrics.
    pub hub: String,
    /// The name of the Systems Manager parameter that contains the table.
    pub parameter: String,
    /// The ARN of the workspace of clusters that no rule matches. Empty: such clusters are skipped.
    pub default_workspace: String,
    /// Whether clusters of every account may get this workspace. Otherwise it must be empty.
    pub default_workspace_any_account: bool,
    /// Whether the hub has access to AWS Organizations.
    pub organizations: bool,
}

impl Settings {
    /// Reads `AMPXA_HUB`, `AMPXA_ROUTES`, `AMPXA_DEFAULT_WORKSPACE`, and, each `yes` or `no`,
    /// `AMPXA_DEFAULT_WORKSPACE_ANY_ACCOUNT` and `AMPXA_ORGANIZATIONS`.
    ///
    /// # Errors
    /// [`environment::Missing`] if one of them is not set.
    pub fn from_environment() -> Result<Self, environment::Missing> {
        Ok(Self {
            parameter: environment::required("AMPXA_ROUTES")?,
            hub: environment::required("AMPXA_HUB")?,
            default_workspace: environment::required("AMPXA_DEFAULT_WORKSPACE")?,
            default_workspace_any_account: environment::required("AMPXA_DEFAULT_WORKSPACE_ANY_ACCOUNT")? == "yes",
            organizations: environment::required("AMPXA_ORGANIZATIONS")? == "yes",
        })
    }
}

/// The properties of a cluster that rules can match.
#[derive(Debug)]
pub struct Cluster<'a> {
    /// The ARN.
    pub arn: &'a ClusterArn,
    /// The tags.
    pub tags: &'a BTreeMap<String, String>,
    /// All organizational units above its account. May be empty if the table names none.
    pub organizational_units: &'a [String],
    /// The field `workspace` of the reconciliation: an id or an ARN. AFT sets it for an account that it vends.
    pub workspace: Option<&'a str>,
}

/// The route of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The cluster is onboarded with these options.
    Onboard(Onboarding),
    /// The cluster is skipped, for this reason.
    Ignore(String),
    /// The cluster is skipped, because its tag [`CHOICE_TAG`] chooses no workspace that is open to it. It is not an error:
    /// whoever can tag a cluster could otherwise hold an alarm.
    InvalidChoice(String),
}

impl Routes {
    /// Determines the route of a cluster.
    ///
    /// In this order: the cluster's tag [`ONBOARD_TAG`] excludes it; the first rule that matches excludes it; the
    /// cluster's tag [`CHOICE_TAG`] chooses a workspace; the reconciliation chooses a workspace; the first rule that
    /// matches names a workspace; the default workspace. A chosen workspace gets the options of the first rule that
    /// matches and names it.
    ///
    /// # Errors
    /// `InvalidRequest` if the reconciliation chooses a workspace that is not open to the cluster's account in its Region.
    pub fn route(&self, cluster: &Cluster<'_>) -> Result<Route, Error> {
        if cluster.tags.get(ONBOARD_TAG).is_some_and(|value| value == "no") {
            return Ok(Route::Ignore(format!("its tag {ONBOARD_TAG} has the value no")));
        }
        let matching = || self.rules.iter().enumerate().filter(|(_, rule)| rule.matches(cluster));
        let first = matching().next();
        if let Some((index, Rule::Ignore(_, reason))) = first {
            return Ok(Route::Ignore(format!("rules[{index}] ignores it: {reason}")));
        }
        let chosen = match (cluster.tags.get(CHOICE_TAG), cluster.workspace) {
            (Some(chosen), _) => match self.chosen(cluster, chosen) {
                Ok(workspace) => Some(workspace),
                Err(why) => {
                    return Ok(Route::InvalidChoice(format!(
                        "its tag {CHOICE_TAG} is not valid: {why}"
                    )));
                }
            },
            (None, Some(chosen)) => match self.chosen(cluster, chosen) {
                Ok(workspace) => Some(workspace),
                Err(why) => return Err(Error::invalid("the reconciliation's field workspace", why)),
            },
            (None, None) => None,
        };
        if let Some(workspace) = chosen {
            let rule = matching().find_map(|(_, rule)| match rule {
                Rule::Onboard(_, onboarding) if onboarding.workspace == workspace => Some(onboarding.clone()),
                _ => None,
            });
            return Ok(Route::Onboard(match rule {
                Some(onboarding) => onboarding,
                None => Onboarding::without_options(workspace),
            }));
        }
        if let Some((_, Rule::Onboard(_, onboarding))) = first {
            return Ok(Route::Onboard(onboarding.clone()));
        }
        Ok(match &self.default_workspace {
            Some(workspace) if in_same_region(cluster.arn, workspace) => {
                Route::Onboard(Onboarding::without_options(workspace.clone()))
            }
            Some(workspace) => Route::Ignore(format!(
                "no rule matches it, and the default workspace {workspace} is in another Region"
            )),
            None => Route::Ignore("no rule matches it, and there is no default workspace".to_owned()),
        })
    }

    /// The chosen workspace, if it is open to the cluster, or why it is not.
    fn chosen(&self, cluster: &Cluster<'_>, chosen: &str) -> Result<WorkspaceArn, String> {
        let open = self.open_to(cluster);
        let mut found = open
            .iter()
            .filter(|workspace| workspace.id() == chosen || workspace.to_string() == chosen);
        match (found.next(), found.next()) {
            (Some(&workspace), None) => Ok(workspace.clone()),
            (Some(_), Some(_)) => Err(format!(
                "{} is the id of more than one workspace; use the ARN",
                shown(chosen)
            )),
            (None, _) => {
                let mut why = format!(
                    "the workspace {} is not open to account {} in {}; add the account to a rule with this workspace \
                     or to \"workspaces\" in the routing table",
                    shown(chosen),
                    cluster.arn.account(),
                    cluster.arn.region(),
                );
                if !open.is_empty() {
                    let first: Vec<String> = open.iter().take(5).map(ToString::to_string).collect();
                    why += &format!(", or choose an open workspace, such as {}", first.join(", "));
                }
                Err(why)
            }
        }
    }

    /// The workspaces that a cluster may choose: those in its Region that a rule or an item of `workspaces` opens to its
    /// account, and the default workspace, which is open to every account.
    ///
    /// The Regions, names and tags of a rule need not match, because they do not limit whose clusters it matches.
    fn open_to(&self, cluster: &Cluster<'_>) -> Vec<&WorkspaceArn> {
        let of_rules = self.rules.iter().filter_map(|rule| match rule {
            Rule::Onboard(condition, onboarding) => Some((condition, &onboarding.workspace)),
            Rule::Ignore(..) => None,
        });
        let choices = self.workspaces.iter();
        let all = of_rules.chain(choices.map(|choice| (&choice.condition, &choice.workspace)));
        let of_account = all.filter(|(condition, _)| condition.matches_account(cluster));
        let mut open = Vec::new();
        for workspace in of_account
            .map(|(_, workspace)| workspace)
            .chain(&self.default_workspace)
        {
            if in_same_region(cluster.arn, workspace) && !open.contains(&workspace) {
                open.push(workspace);
            }
        }
        open
    }
}

/// Whether a cluster and a workspace are in one Region, and so in one partition.
fn in_same_region(cluster: &ClusterArn, workspace: &WorkspaceArn) -> bool {
    (cluster.partition(), cluster.region()) == (workspace.partition(), workspace.region())
}

/// Reads the table. If the parameter does not exist, the table is empty.
///
/// # Errors
/// `InvalidRequest` if the table is not valid: the message begins with `routes: ` and the path of the field; and those
/// of the call.
pub async fn read(ssm: &aws_sdk_ssm::Client, settings: &Settings) -> Result<Routes, Error> {
    let text = parameter(ssm, &settings.parameter).await?;
    Routes::parse(text.as_deref(), settings)
}

/// The value of a parameter, if it exists.
async fn parameter(ssm: &aws_sdk_ssm::Client, name: &str) -> Result<Option<String>, Error> {
    let answer = ssm.get_parameter().name(name).send().await;
    let found = none_if(answer, |e| e.is_parameter_not_found())?;
    Ok(found.and_then(|found| found.parameter?.value))
}

/// The organizational units above an account, the nearest first. Empty, without a call, if the table names none.
///
/// # Errors
/// Those of the calls. Only the management account and delegated administrators may call ListParents (AWS Organizations
/// API reference, ListParents).
pub async fn organizational_units(
    organizations: &aws_sdk_organizations::Client,
    routes: &Routes,
    account: &str,
) -> Result<Vec<String>, Error> {
    match routes.uses_organizational_units() {
        true => units_above(organizations, account).await,
        false => Ok(Vec::new()),
    }
}

/// The organizational units above an account, the nearest first. AWS Organizations nests units five levels deep, so this
/// makes at most six calls.
///
/// # Errors
/// Those of the calls. Only the management account and delegated administrators may call ListParents (AWS Organizations
/// API reference, ListParents).
pub async fn units_above(organizations: &aws_sdk_organizations::Client, account: &str) -> Result<Vec<String>, Error> {
    let mut units = Vec::new();
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

/// The input of an execution of `ampxa-onboard` for a cluster.
///
/// # Errors
/// `InvalidRequest` if the rule names a parameter with a scrape configuration that does not exist; and those of the
/// call.
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
        #[serde(skip_serializing_if = "Option::is_none")]
        scrape_configuration_object: Option<&'a str>,
        patch_trust: PatchTrust,
        check_ingestion: CheckIngestion,
        #[serde(skip_serializing_if = "CollectorLogs::is_default")]
        collector_logs: CollectorLogs,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        prepare_cluster: &'a [Preparation],
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        adopt: bool,
        #[serde(skip_serializing_if = "Labels::is_default")]
        labels: Labels,
    }
    let scrape_configuration = match &onboarding.scrape_configuration {
        None | Some(Configuration::Object(_)) => None,
        Some(Configuration::Default) => Some(DEFAULT_CONFIGURATION.to_owned()),
        Some(Configuration::Parameter(name)) => Some(parameter(ssm, name).await?.ok_or_else(|| {
            Error::invalid(
                "routes: scrapeConfigurationParameter",
                format!(
                    "the parameter {name} does not exist in the hub's account and Region; create it, or name another"
                ),
            )
        })?),
    };
    Ok(json!(Request {
        cluster_arn: cluster,
        workspace_arn: &onboarding.workspace,
        external_labels: &onboarding.external_labels,
        scrape_configuration,
        scrape_configuration_object: match &onboarding.scrape_configuration {
            Some(Configuration::Object(key)) => Some(key),
            _ => None,
        },
        patch_trust: onboarding.patch_trust,
        check_ingestion: onboarding.check_ingestion,
        collector_logs: onboarding.collector_logs,
        prepare_cluster: &onboarding.prepare_cluster,
        adopt: onboarding.adopt,
        labels: onboarding.labels,
    }))
}

#[cfg(test)]
mod tests;
