//! The table as it is written, and what of it is wrong.

use super::{Cluster, Settings, glob, same_place};
use crate::{
    arn::{WorkspaceArn, is_account, is_region},
    error::Error,
    input::{Fields, shown, text},
    request::{CheckIngestion, PatchTrust, external_labels},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The least rule that works, for messages.
const LEAST: &str = r#"{"workspaceArn": "…"} or {"ignore": "why"}"#;
const WORKSPACE: &str = "arn:<partition>:aps:<region>:<account>:workspace/ws-<id>";

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Its rules, in order.
    pub rules: Vec<Rule>,
    /// Workspaces that a cluster or an account may choose, beside those of the rules and the default.
    pub workspaces: Vec<WorkspaceArn>,
    /// The workspace of clusters that no rule matches.
    pub default_workspace: Option<WorkspaceArn>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Clusters that match are connected.
    Onboard(Match, Onboarding),
    /// Clusters that match are left alone, for this reason.
    Ignore(Match, String),
}

/// Which clusters a rule matches: all that is given must hold, and of a list one item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// Accounts, 12 digits each.
    pub accounts: Option<Vec<String>>,
    /// Organizational units; one matches all accounts below it, however deep.
    pub organizational_units: Option<Vec<String>>,
    /// Regions.
    pub regions: Option<Vec<String>>,
    /// Patterns for the cluster's name: `*` is any text, `?` any one character.
    pub cluster_names: Option<Vec<String>>,
    /// Tags of the cluster, their values patterns too.
    pub tags: BTreeMap<String, String>,
}

/// How a cluster is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onboarding {
    /// The workspace that receives its samples.
    pub workspace: WorkspaceArn,
    /// Labels for every sample.
    pub external_labels: BTreeMap<String, String>,
    /// The parameter that holds the scrape configuration; absent: AMP's default.
    pub scrape_configuration_parameter: Option<String>,
    /// When the trust policies are first given the scraper's ARN.
    pub patch_trust: PatchTrust,
    /// Whether samples are looked for at the end.
    pub check_ingestion: CheckIngestion,
}

impl Onboarding {
    /// Into a workspace, with no options.
    pub(super) fn plain(workspace: WorkspaceArn) -> Self {
        Self {
            workspace,
            external_labels: BTreeMap::new(),
            scrape_configuration_parameter: None,
            patch_trust: PatchTrust::default(),
            check_ingestion: CheckIngestion::default(),
        }
    }
}

impl Routes {
    /// Reads a table, or says of the first thing that is wrong what would be right.
    ///
    /// # Errors
    /// `InvalidRequest`, as `routes: rules[2].match.regions[0]: …`.
    pub fn parse(table: Option<&str>, settings: &Settings) -> Result<Self, Error> {
        let default_workspace = match settings.default_workspace.as_str() {
            "" => None,
            arn => Some(arn.parse().map_err(|why| Error::invalid("DefaultWorkspaceArn", why))?),
        };
        let Some(table) = table else {
            return Ok(Self {
                default_workspace,
                ..Self::default()
            });
        };
        let table: Value = serde_json::from_str(table).map_err(|why| {
            let parameter = &settings.parameter;
            Error::invalid("routes", format!("the parameter {parameter} does not hold JSON: {why}"))
        })?;
        let least = r#"{"rules": []}"#;
        let fields = Fields::at("routes", "routes: ", &table, &["rules", "workspaces"], least)?;
        let rules = match fields.get("rules") {
            // An empty list is a table too: the default then decides.
            Some(Value::Array(rules)) => rules
                .iter()
                .enumerate()
                .map(|(index, rule)| Rule::read(&format!("{}[{index}]", fields.path("rules")), rule, settings))
                .collect::<Result<_, _>>()?,
            _ => {
                fields.list("rules", LEAST, |_, _| Ok(()))?;
                Vec::new()
            }
        };
        let workspace = |path: &str, value| text(path, value)?.parse().map_err(|why| Error::invalid(path, why));
        let workspaces = fields.list("workspaces", &format!("\"{WORKSPACE}\""), workspace)?;
        Ok(Self {
            rules,
            workspaces: workspaces.unwrap_or_default(),
            default_workspace,
        })
    }

    /// Whether a rule asks for organizational units.
    pub fn name_organizational_units(&self) -> bool {
        self.rules.iter().any(|rule| rule.its().organizational_units.is_some())
    }
}

impl Rule {
    fn read(path: &str, rule: &Value, settings: &Settings) -> Result<Self, Error> {
        let options = [
            "externalLabels",
            "scrapeConfigurationParameter",
            "patchTrust",
            "checkIngestion",
        ];
        let known = [&["match", "workspaceArn", "ignore"][..], &options].concat();
        let fields = Fields::at(path, &format!("{path}."), rule, &known, LEAST)?;
        let its = match fields.get("match") {
            None => Match::default(),
            Some(value) => Match::read(&fields.path("match"), value, settings)?,
        };
        if let Some(why) = fields.text("ignore")? {
            let other = ["workspaceArn"].into_iter().chain(options);
            if let Some(other) = other.into_iter().find(|name| fields.get(name).is_some()) {
                let why = "a rule that ignores connects nothing; leave this out, or leave out \"ignore\"";
                return Err(Error::invalid(&fields.path(other), why));
            }
            if why.trim().is_empty() || why.len() > 500 {
                let right = "expected the reason, in 1 to 500 bytes";
                return Err(Error::invalid(&fields.path("ignore"), right));
            }
            return Ok(Self::Ignore(its, why.to_owned()));
        }
        let scrape_configuration_parameter = match fields.text("scrapeConfigurationParameter")? {
            None => None,
            Some(name) => Some(parameter_name(
                &fields.path("scrapeConfigurationParameter"),
                name,
                settings,
            )?),
        };
        Ok(Self::Onboard(
            its,
            Onboarding {
                workspace: fields.arn("workspaceArn", WORKSPACE)?,
                external_labels: external_labels(&fields.path("externalLabels"), fields.texts("externalLabels")?)?,
                scrape_configuration_parameter,
                patch_trust: fields.choice(
                    "patchTrust",
                    [("FINAL", PatchTrust::Final), ("EARLY", PatchTrust::Early)],
                )?,
                check_ingestion: fields.choice("checkIngestion", CheckIngestion::ALL)?,
            },
        ))
    }

    fn its(&self) -> &Match {
        match self {
            Self::Onboard(its, _) | Self::Ignore(its, _) => its,
        }
    }

    /// Whether the rule is the cluster's.
    pub(super) fn matches(&self, cluster: &Cluster<'_>) -> bool {
        let reachable = match self {
            Self::Onboard(_, onboarding) => same_place(cluster.arn, &onboarding.workspace),
            Self::Ignore(..) => true,
        };
        reachable && self.its().holds(cluster)
    }
}

impl Match {
    fn read(path: &str, value: &Value, settings: &Settings) -> Result<Self, Error> {
        let known = ["accounts", "organizationalUnits", "regions", "clusterNames", "tags"];
        let fields = Fields::at(path, &format!("{path}."), value, &known, "{}")?;
        let list = |name, right: &str, valid: fn(&str) -> bool| {
            fields.list(name, &format!("\"{right}\""), |path, item| {
                let item = text(path, item)?;
                let wrong = || Error::invalid(path, format!("{} is none; expected such as {right}", shown(item)));
                valid(item).then(|| item.to_owned()).ok_or_else(wrong)
            })
        };
        let organizational_units = list("organizationalUnits", "ou-a1b2-c3d4e5f6", is_organizational_unit)?;
        if organizational_units.is_some() && !settings.organizations {
            return Err(Error::invalid(
                &fields.path("organizationalUnits"),
                "the hub may not ask AWS Organizations which accounts these are; update its stack with \
                 OrganizationsAccess=yes, in the management account or one that is a delegated administrator, or match \
                 on accounts",
            ));
        }
        let tags = fields.texts("tags")?;
        if fields.get("tags").is_some() && tags.is_empty() {
            let why = "it is empty; name at least one tag, such as {\"team\": \"payments\"}, or leave the field out";
            return Err(Error::invalid(&fields.path("tags"), why));
        }
        Ok(Self {
            accounts: list("accounts", "222222222222", is_account)?,
            organizational_units,
            regions: list("regions", "us-west-2", is_region)?,
            cluster_names: list("clusterNames", "prod-*", is_cluster_pattern)?,
            tags,
        })
    }

    fn holds(&self, cluster: &Cluster<'_>) -> bool {
        let one_of = |list: &Option<Vec<String>>, holds: &dyn Fn(&String) -> bool| {
            list.as_ref().is_none_or(|items| items.iter().any(holds))
        };
        one_of(&self.accounts, &|account| account == cluster.arn.account())
            && one_of(&self.organizational_units, &|unit| {
                cluster.organizational_units.contains(unit)
            })
            && one_of(&self.regions, &|region| region == cluster.arn.region())
            && one_of(&self.cluster_names, &|pattern| glob::matches(pattern, cluster.arn.id()))
            && self.tags.iter().all(|(key, pattern)| {
                let value = cluster.tags.get(key);
                value.is_some_and(|value| glob::matches(pattern, value))
            })
    }
}

/// `ou-a1b2-c3d4e5f6` (AWS Organizations API reference, OrganizationalUnit).
fn is_organizational_unit(text: &str) -> bool {
    let of = |part: Option<&str>, least| {
        part.is_some_and(|part| {
            (least..=32).contains(&part.len()) && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'))
        })
    };
    let mut parts = text.split('-');
    parts.next() == Some("ou") && of(parts.next(), 4) && of(parts.next(), 8) && parts.next().is_none()
}

fn is_cluster_pattern(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_*?".contains(c);
    (1..=100).contains(&text.len()) && text.chars().all(known)
}

/// A parameter beside the table: the functions may read no other.
fn parameter_name(path: &str, name: &str, settings: &Settings) -> Result<String, Error> {
    let folder = settings.parameter.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    match beside && name.len() <= 1011 && name.chars().all(valid) {
        true => Ok(name.to_owned()),
        false => Err(Error::invalid(
            path,
            format!("{} is none that may be read; expected {folder}/<name>", shown(name)),
        )),
    }
}
