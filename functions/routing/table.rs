//! Parses the routing table, and matches its rules.

use super::{Cluster, Settings, glob, in_same_region};
use crate::{
    arn::{AccountId, Region, WorkspaceArn},
    configurations::OBJECT_FIELD,
    error::Error,
    input::{self, Fields, shown, text},
    request::{
        CheckIngestion, ClusterAccess, CollectorLogs, DEFAULT_CONFIGURATION, Labels, PatchTrust, Preparation,
        external_labels, labels, object, prepare_cluster,
    },
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The smallest valid rules, for messages.
const SMALLEST: &str = r#"{"workspaceArn": "…", "match": {"accounts": ["222222222222"]}} or {"ignore": "why"}"#;
/// The smallest valid item of the list `workspaces`, for messages.
const SMALLEST_CHOICE: &str = r#"{"workspaceArn": "…", "match": {"accounts": ["222222222222"]}}"#;
/// The form of a workspace ARN, for messages.
const WORKSPACE: &str = "arn:<partition>:aps:<region>:<account>:workspace/ws-<id>";

/// A routing table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// Workspaces that clusters may choose, in addition to those of the rules and the default.
    pub workspaces: Vec<Choice>,
    /// The workspace of clusters that no rule matches. It is open to every account.
    pub default_workspace: Option<WorkspaceArn>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Clusters that match are onboarded.
    Onboard(Match, Onboarding),
    /// Clusters that match are skipped, for this reason.
    Ignore(Match, String),
}

/// A workspace that clusters may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The accounts whose clusters may choose it. The other fields are absent.
    pub condition: Match,
    /// The workspace.
    pub workspace: WorkspaceArn,
}

/// The condition of a rule. Every given field must match. A list matches if one of its items does.
///
/// If a rule gives a workspace, or an item of `workspaces` opens one, and the condition has neither accounts nor
/// organizational units, then the table says `"anyAccount": true`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// Accounts.
    pub accounts: Option<Vec<AccountId>>,
    /// Organizational units. A unit matches all accounts below it.
    pub organizational_units: Option<Vec<String>>,
    /// Regions.
    pub regions: Option<Vec<Region>>,
    /// Patterns for the cluster's name: `*` matches any text, `?` matches one character.
    pub cluster_names: Option<Vec<String>>,
    /// Tags of the cluster. The values are patterns.
    pub tags: BTreeMap<String, String>,
}

/// The scrape configuration that a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configuration {
    /// AMP's default configuration.
    Default,
    /// The value of a Systems Manager parameter.
    Parameter(String),
    /// An object in the hub's bucket, by its key.
    Object(String),
}

/// How a cluster is onboarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onboarding {
    /// The workspace that receives the samples.
    pub workspace: WorkspaceArn,
    /// Labels for every sample, without the one that identifies the cluster.
    pub external_labels: BTreeMap<String, String>,
    /// The scrape configuration that the rule names, if any.
    pub scrape_configuration: Option<Configuration>,
    /// When the scraper's ARN is written into the trust policies.
    pub patch_trust: PatchTrust,
    /// Whether the last step checks that the workspace receives samples.
    pub check_ingestion: CheckIngestion,
    /// When AMP's collector writes logs about its failures.
    pub collector_logs: CollectorLogs,
    /// The changes of the cluster that the onboarding may make.
    pub prepare_cluster: Vec<Preparation>,
    /// Whether a scraper that ampxa did not create is adopted.
    pub adopt: bool,
    /// Whether ampxa adds its labels to the configuration that an existing scraper keeps.
    pub labels: Labels,
}

impl Onboarding {
    /// An onboarding with the default options.
    pub(super) fn without_options(workspace: WorkspaceArn) -> Self {
        Self {
            workspace,
            external_labels: BTreeMap::new(),
            scrape_configuration: None,
            patch_trust: PatchTrust::default(),
            check_ingestion: CheckIngestion::default(),
            collector_logs: CollectorLogs::default(),
            prepare_cluster: Vec::new(),
            adopt: false,
            labels: Labels::default(),
        }
    }
}

impl Routes {
    /// Parses a table. `None` is the empty table.
    ///
    /// # Errors
    /// `InvalidRequest` if a field is not valid: `routes: rules[2].match.regions[0]: …`; or if a workspace is open to
    /// clusters of every account, and the table or the hub's parameters do not say so.
    pub fn parse(table: Option<&str>, settings: &Settings) -> Result<Self, Error> {
        let default_workspace = match settings.default_workspace.as_str() {
            "" => None,
            arn => Some(arn.parse().map_err(|why| Error::invalid("DefaultWorkspaceArn", why))?),
        };
        if default_workspace.is_some() && !settings.default_workspace_any_account {
            return Err(Error::invalid(
                "DefaultWorkspaceArn",
                "it gives a workspace to clusters of every account; deploy the hub with \
                 DefaultWorkspaceAnyAccount=yes, or leave DefaultWorkspaceArn empty and name the workspace in a rule \
                 of the routing table",
            ));
        }
        let Some(table) = table else {
            return Ok(Self {
                default_workspace,
                ..Self::default()
            });
        };
        let table = input::json_text(table).map_err(|why| {
            let parameter = &settings.parameter;
            Error::invalid("routes", format!("the parameter {parameter} is not valid JSON: {why}"))
        })?;
        let smallest = r#"{"rules": []}"#;
        let fields = Fields::at("routes", "routes: ", &table, &["rules", "workspaces"], smallest)?;
        let rules = match fields.get("rules") {
            // Unlike other lists, this one may be empty: the default workspace then decides.
            Some(Value::Array(rules)) => rules
                .iter()
                .enumerate()
                .map(|(index, rule)| Rule::read(&format!("{}[{index}]", fields.path("rules")), rule, settings))
                .collect::<Result<_, _>>()?,
            _ => {
                fields.list("rules", SMALLEST, |_, _| Ok(()))?;
                Vec::new()
            }
        };
        let choice = |path: &str, value| Choice::read(path, value, settings);
        let workspaces = fields.list("workspaces", SMALLEST_CHOICE, choice)?;
        Ok(Self {
            rules,
            workspaces: workspaces.unwrap_or_default(),
            default_workspace,
        })
    }

    /// All workspaces that the table and the hub's parameters name.
    pub fn all_workspaces(&self) -> Vec<&WorkspaceArn> {
        let of_rules = self.rules.iter().filter_map(|rule| match rule {
            Rule::Onboard(_, onboarding) => Some(&onboarding.workspace),
            Rule::Ignore(..) => None,
        });
        let choices = self.workspaces.iter().map(|choice| &choice.workspace);
        of_rules.chain(choices).chain(&self.default_workspace).collect()
    }

    /// Whether a rule or an item of `workspaces` matches on organizational units.
    pub fn uses_organizational_units(&self) -> bool {
        let of_rules = self.rules.iter().map(Rule::condition);
        let mut conditions = of_rules.chain(self.workspaces.iter().map(|choice| &choice.condition));
        conditions.any(|condition| condition.organizational_units.is_some())
    }
}

impl Choice {
    fn read(path: &str, choice: &Value, settings: &Settings) -> Result<Self, Error> {
        if choice.is_string() {
            let why = format!(
                "expected an object that also names the accounts that may choose the workspace, such as \
                 {SMALLEST_CHOICE}, not a string"
            );
            return Err(Error::invalid(path, why));
        }
        let known = ["workspaceArn", "match", "anyAccount"];
        let fields = Fields::at(path, &format!("{path}."), choice, &known, SMALLEST_CHOICE)?;
        let condition = condition(&fields, &Match::OF_ACCOUNT, settings)?;
        let workspace = fields.arn("workspaceArn", WORKSPACE)?;
        let open = "it lets clusters of every account choose its workspace";
        require_accounts(path, fields.boolean("anyAccount")?, &condition, open)?;
        Ok(Self { condition, workspace })
    }
}

impl Rule {
    fn read(path: &str, rule: &Value, settings: &Settings) -> Result<Self, Error> {
        let options = [
            "externalLabels",
            "scrapeConfiguration",
            "scrapeConfigurationParameter",
            OBJECT_FIELD,
            "patchTrust",
            "checkIngestion",
            "collectorLogs",
            "prepareCluster",
            "adopt",
            "labels",
        ];
        let known = [&["match", "anyAccount", "workspaceArn", "ignore"][..], &options].concat();
        let fields = Fields::at(path, &format!("{path}."), rule, &known, SMALLEST)?;
        let condition = condition(&fields, &Match::ALL, settings)?;
        let any_account = fields.boolean("anyAccount")?;
        if let Some(reason) = fields.text("ignore")? {
            let mut others = ["workspaceArn"].into_iter().chain(options);
            let other = others.find(|name| fields.get(name).is_some());
            if let Some(other) = other.or_else(|| any_account.then_some("anyAccount")) {
                let why = "not allowed in a rule with \"ignore\"; remove this field or \"ignore\"";
                return Err(Error::invalid(&fields.path(other), why));
            }
            if reason.trim().is_empty() || reason.len() > 500 {
                let why = "expected a reason of 1 to 500 bytes";
                return Err(Error::invalid(&fields.path("ignore"), why));
            }
            return Ok(Self::Ignore(condition, reason.to_owned()));
        }
        let onboarding = Onboarding {
            workspace: fields.arn("workspaceArn", WORKSPACE)?,
            external_labels: external_labels(&fields, None)?,
            scrape_configuration: configuration(&fields, settings)?,
            patch_trust: fields.choice(
                "patchTrust",
                [("FINAL", PatchTrust::Final), ("EARLY", PatchTrust::Early)],
            )?,
            check_ingestion: fields.choice("checkIngestion", CheckIngestion::ALL)?,
            collector_logs: fields.choice("collectorLogs", CollectorLogs::ALL)?,
            prepare_cluster: prepare_cluster(&fields, ClusterAccess::Automatic)?,
            adopt: fields.boolean("adopt")?,
            labels: labels(&fields)?,
        };
        let open = "it gives a workspace to clusters of every account";
        require_accounts(path, any_account, &condition, open)?;
        Ok(Self::Onboard(condition, onboarding))
    }

    fn condition(&self) -> &Match {
        match self {
            Self::Onboard(condition, _) | Self::Ignore(condition, _) => condition,
        }
    }

    /// Whether the rule matches a cluster.
    pub(super) fn matches(&self, cluster: &Cluster<'_>) -> bool {
        let same_region = match self {
            Self::Onboard(_, onboarding) => in_same_region(cluster.arn, &onboarding.workspace),
            Self::Ignore(..) => true,
        };
        same_region && self.condition().matches(cluster)
    }
}

/// The condition in the field `match` of a rule or of an item of `workspaces`, which may have the `known` fields.
fn condition(fields: &Fields<'_>, known: &[&'static str], settings: &Settings) -> Result<Match, Error> {
    match fields.get("match") {
        None => Ok(Match::default()),
        Some(value) => Match::read(&fields.path("match"), value, known, settings),
    }
}

/// Checks that a workspace is open to clusters of every account only if the table says so.
///
/// The creator of a cluster chooses its Region, name and tags. So a condition without accounts and organizational units
/// does not limit whose clusters it matches. `effect` begins the error message.
fn require_accounts(path: &str, any_account: bool, condition: &Match, effect: &str) -> Result<(), Error> {
    let given = match condition {
        Match { accounts: Some(_), .. } => Some("accounts"),
        Match {
            organizational_units: Some(_),
            ..
        } => Some("organizationalUnits"),
        _ => None,
    };
    match (any_account, given) {
        (true, Some(given)) => {
            let why = format!("not allowed together with match.{given}; remove one of the two");
            Err(Error::invalid(&format!("{path}.anyAccount"), why))
        }
        (false, None) => {
            let why = format!(
                "{effect}, because match has neither accounts nor organizationalUnits; add one of them, or \
                 \"anyAccount\": true"
            );
            Err(Error::invalid(path, why))
        }
        (true, None) | (false, Some(_)) => Ok(()),
    }
}

impl Match {
    /// The fields of the condition of a rule.
    const ALL: [&str; 5] = ["accounts", "organizationalUnits", "regions", "clusterNames", "tags"];
    /// The fields of the condition of an item of `workspaces`.
    const OF_ACCOUNT: [&str; 2] = ["accounts", "organizationalUnits"];

    fn read(path: &str, value: &Value, known: &[&'static str], settings: &Settings) -> Result<Self, Error> {
        let fields = Fields::at(path, &format!("{path}."), value, known, "{}")?;
        let list = |name, example: &str, valid: fn(&str) -> bool| {
            fields.list(name, &format!("\"{example}\""), |path, item| {
                let item = text(path, item)?;
                match valid(item) {
                    true => Ok(item.to_owned()),
                    false => {
                        let why = format!("{} is not valid; expected a value such as {example}", shown(item));
                        Err(Error::invalid(path, why))
                    }
                }
            })
        };
        let organizational_units = list("organizationalUnits", "ou-a1b2-c3d4e5f6", is_organizational_unit)?;
        if organizational_units.is_some() && !settings.organizations {
            return Err(Error::invalid(
                &fields.path("organizationalUnits"),
                "the hub has no access to AWS Organizations; deploy it with OrganizationsAccess=yes in the management \
                 account or a delegated administrator account, or match on accounts instead",
            ));
        }
        let tags = fields.strings("tags")?;
        if fields.get("tags").is_some() && tags.is_empty() {
            let why = "it is empty; name at least one tag, such as {\"team\": \"payments\"}, or leave the field out";
            return Err(Error::invalid(&fields.path("tags"), why));
        }
        Ok(Self {
            accounts: fields.identifiers("accounts", "222222222222")?,
            organizational_units,
            regions: fields.identifiers("regions", "us-west-2")?,
            cluster_names: list("clusterNames", "prod-*", is_cluster_pattern)?,
            tags,
        })
    }

    /// Whether the accounts and organizational units match the account of a cluster.
    pub(super) fn matches_account(&self, cluster: &Cluster<'_>) -> bool {
        any_of(&self.accounts, |account| account == cluster.arn.account())
            && any_of(&self.organizational_units, |unit| {
                cluster.organizational_units.contains(unit)
            })
    }

    fn matches(&self, cluster: &Cluster<'_>) -> bool {
        self.matches_account(cluster)
            && any_of(&self.regions, |region| region == cluster.arn.region())
            && any_of(&self.cluster_names, |pattern| glob::matches(pattern, cluster.arn.id()))
            && self.tags.iter().all(|(key, pattern)| {
                let value = cluster.tags.get(key);
                value.is_some_and(|value| glob::matches(pattern, value))
            })
    }
}

/// Whether a list is absent, or one of its items matches.
fn any_of<T>(list: &Option<Vec<T>>, matches: impl FnMut(&T) -> bool) -> bool {
    match list {
        Some(items) => items.iter().any(matches),
        None => true,
    }
}

/// Whether a text is an id such as `ou-a1b2-c3d4e5f6` (AWS Organizations API reference, OrganizationalUnit).
pub(crate) fn is_organizational_unit(text: &str) -> bool {
    let valid = |part: &str, shortest| {
        (shortest..=32).contains(&part.len()) && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'))
    };
    match text.split('-').collect::<Vec<_>>()[..] {
        ["ou", root, unit] => valid(root, 4) && valid(unit, 8),
        _ => false,
    }
}

fn is_cluster_pattern(text: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_*?".contains(c);
    (1..=100).contains(&text.len()) && text.chars().all(valid)
}

/// The scrape configuration that a rule names, in one of three fields.
fn configuration(fields: &Fields<'_>, settings: &Settings) -> Result<Option<Configuration>, Error> {
    let (default, parameter) = ("scrapeConfiguration", "scrapeConfigurationParameter");
    let named = fields.text(default)?;
    if named.is_some_and(|value| value != DEFAULT_CONFIGURATION) {
        let why = format!(
            "expected \"{DEFAULT_CONFIGURATION}\", AMP's default configuration; to give another one, use {OBJECT_FIELD} or \
             {parameter}"
        );
        return Err(Error::invalid(&fields.path(default), why));
    }
    if named.is_some() && fields.get(parameter).is_some() {
        let why = format!("not allowed together with {default}; remove one of the two");
        return Err(Error::invalid(&fields.path(parameter), why));
    }
    if let Some(key) = object(fields)? {
        return Ok(Some(Configuration::Object(key)));
    }
    Ok(match fields.text(parameter)? {
        Some(name) => Some(Configuration::Parameter(parameter_name(
            &fields.path(parameter),
            name,
            settings,
        )?)),
        None => named.map(|_| Configuration::Default),
    })
}

/// Checks the name of a parameter. The functions may read only parameters whose names begin like that of the table.
fn parameter_name(path: &str, name: &str, settings: &Settings) -> Result<String, Error> {
    let folder = settings.parameter.rsplit_once('/').map_or("", |(folder, _)| folder);
    let in_folder = name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    match in_folder && name.len() <= 1011 && name.chars().all(valid) {
        true => Ok(name.to_owned()),
        false => Err(Error::invalid(
            path,
            format!("{} is not valid; expected a parameter {folder}/<name>", shown(name)),
        )),
    }
}
