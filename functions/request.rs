//! The request of an onboarding, and its parser. An error names the field.

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    configurations::{self, Named, OBJECT_FIELD},
    error::Error,
    input::{Fields, member, shown, text},
    scrape_configuration::{self, IDENTITY_LABEL},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// A minimal request, for messages.
const MINIMAL: &str = r#"{"clusterArn": "…", "workspaceArn": "…"}"#;

/// The field that names the version of this object.
const VERSION_FIELD: &str = "scrapeConfigurationVersion";
/// The value of `scrapeConfiguration` that names AMP's default configuration.
pub(crate) const DEFAULT_CONFIGURATION: &str = "DEFAULT";

/// The fields, in the order of [`Request`].
const FIELDS: [&str; 21] = [
    "clusterArn",
    "workspaceArn",
    "subnetIds",
    "securityGroupIds",
    "alias",
    "scrapeConfiguration",
    OBJECT_FIELD,
    VERSION_FIELD,
    "externalLabels",
    "labels",
    "tags",
    "adopt",
    "patchTrust",
    "clusterAccess",
    "prepareCluster",
    "activationTimeoutMinutes",
    "checkIngestion",
    "collectorLogs",
    "onFailure",
    "mode",
    "expectedPlan",
];

/// The request of an onboarding, with its defaults.
///
/// Only [`Request::parse`] creates it. Its JSON parses to the same request again, so that every step reads it from the
/// state machine with the same code. `statemachine/request.schema.json` has the same limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The EKS cluster to scrape. Required.
    pub cluster_arn: ClusterArn,
    /// The AMP workspace that receives the samples. Required. It is in the cluster's Region and partition (AMP user
    /// guide, cross-account collectors).
    pub workspace_arn: WorkspaceArn,
    /// The subnets of the scraper: 1 to 5, without duplicates (AMP API, EksConfiguration). Absent: selected from those
    /// of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_ids: Option<Vec<String>>,
    /// The security groups of the scraper: 1 to 5, without duplicates (AMP API, EksConfiguration). Absent: those of the
    /// cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group_ids: Option<Vec<String>>,
    /// The alias of the scraper: 1 to 100 letters, digits, `-`, `.` and `_`, starting with a letter or a digit (AMP
    /// API, ScraperAlias).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The scrape configuration: YAML, at most 64 KiB, decoded if it was base64; or `DEFAULT`. It meets
    /// AMP's rules and can be completed ([`scrape_configuration::complete`]). Absent: see [`Request::configuration`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_configuration: Option<String>,
    /// The key of an object of the hub's bucket with the scrape configuration. Not together with `scrape_configuration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_configuration_object: Option<String>,
    /// The version of this object. Absent: the current version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_configuration_version: Option<String>,
    /// Labels for every sample. They override those of [`scrape_configuration::labels`], without [`IDENTITY_LABEL`]. At
    /// most 32, with names of Prometheus' data model, and values of at most 1,024 bytes without control characters (the
    /// limits are ours, within AMP's).
    pub external_labels: BTreeMap<String, String>,
    /// Whether ampxa adds its labels to the configuration that an existing scraper keeps.
    #[serde(skip_serializing_if = "Labels::is_default")]
    pub labels: Labels,
    /// Tags for the roles and the scraper: at most 40, because AMP and IAM allow 50 and ampxa adds its own. Keys have 1
    /// to 128 characters, values at most 256: letters, digits, spaces and `_.:/=+-@` (IAM user guide, tag rules, which
    /// are stricter than AMP's).
    pub tags: BTreeMap<String, String>,
    /// Whether a scraper that connects the pair, and that ampxa did not create, is adopted. Default: no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
    /// When the scraper's ARN is written into the trust policies.
    pub patch_trust: PatchTrust,
    /// Who gives the scraper access to the cluster.
    pub cluster_access: ClusterAccess,
    /// The changes of the cluster that the execution may make if the scraper needs them, in the order of
    /// [`Preparation`]. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prepare_cluster: Vec<Preparation>,
    /// Minutes to wait for the scraper to become ACTIVE: 1 to 240, by default 60. It usually takes about 20.
    pub activation_timeout_minutes: u32,
    /// Whether the workspace is queried for samples, and whether the execution fails without samples.
    pub check_ingestion: CheckIngestion,
    /// When AMP's collector writes logs about its failures.
    pub collector_logs: CollectorLogs,
    /// What a failed execution does with the resources that it created.
    pub on_failure: OnFailure,
    /// Whether the execution makes changes.
    pub mode: Mode,
    /// The fingerprint of a plan. The execution makes no change if the plan has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_plan: Option<String>,
}

/// Whether an execution makes changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// It makes them.
    #[default]
    Apply,
    /// It only reads, and its output says what an execution would change.
    Plan,
}

impl Mode {
    /// The values, by their names in requests.
    pub(crate) const ALL: [(&str, Self); 2] = [("APPLY", Self::Apply), ("PLAN", Self::Plan)];

    /// Whether this is the default.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether ampxa adds its labels to the configuration that an existing scraper keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Labels {
    /// Those that it does not have are added, which changes the identity of its series.
    #[default]
    Complete,
    /// It keeps its labels.
    Keep,
}

impl Labels {
    /// The values, by their names in requests.
    pub(crate) const ALL: [(&str, Self); 2] = [("COMPLETE", Self::Complete), ("KEEP", Self::Keep)];

    /// Whether this is the default.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When the scraper's ARN is written into the trust policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PatchTrust {
    /// When the scraper is ACTIVE.
    #[default]
    Final,
    /// As soon as the scraper is created, and again when it is ACTIVE.
    Early,
}

/// Who gives the scraper access to the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterAccess {
    /// AMP, with an access entry. The cluster's authentication mode must support access entries.
    #[default]
    Automatic,
    /// A person, with the ConfigMap `aws-auth`.
    Manual,
}

/// A change of a cluster that a scraper may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Preparation {
    /// Private access to the cluster's endpoint is enabled.
    PrivateEndpoint,
    /// The authentication mode is changed from `CONFIG_MAP` to `API_AND_CONFIG_MAP`. EKS cannot revert this.
    AccessEntries,
}

impl Preparation {
    /// The values, by their names in requests, in the order in which they are made.
    pub(crate) const ALL: [(&str, Self); 2] = [
        ("PRIVATE_ENDPOINT", Self::PrivateEndpoint),
        ("ACCESS_ENTRIES", Self::AccessEntries),
    ];

    /// The name in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrivateEndpoint => "PRIVATE_ENDPOINT",
            Self::AccessEntries => "ACCESS_ENTRIES",
        }
    }
}

/// Whether the workspace is queried for samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckIngestion {
    /// It is queried, and the output has the result.
    #[default]
    Report,
    /// It is queried, and the execution fails without samples.
    Require,
    /// It is not queried.
    Skip,
}

impl CheckIngestion {
    /// The values, by their names in requests.
    pub(crate) const ALL: [(&str, Self); 3] = [
        ("REPORT", Self::Report),
        ("REQUIRE", Self::Require),
        ("SKIP", Self::Skip),
    ];
}

/// When AMP's collector writes logs about its failures. The step that checks the samples decides it, so nothing changes with
/// [`CheckIngestion::Skip`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CollectorLogs {
    /// From a check that finds no samples, until samples have arrived for a day.
    #[default]
    OnFailure,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl CollectorLogs {
    /// The values, by their names in requests.
    pub(crate) const ALL: [(&str, Self); 3] = [
        ("ON_FAILURE", Self::OnFailure),
        ("ALWAYS", Self::Always),
        ("NEVER", Self::Never),
    ];

    /// Whether this is the default.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a failed execution does with the resources that it created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnFailure {
    /// It deletes them, and nothing else.
    #[default]
    Rollback,
    /// It keeps them for inspection.
    DoNothing,
}

impl Request {
    /// Parses a request. A field that is `null` counts as absent.
    ///
    /// # Errors
    /// `InvalidRequest` for the first field that is not valid. The message begins with the path of the field, such as
    /// `subnetIds[2]: …`, and says what is expected.
    pub fn parse(value: &Value) -> Result<Self, Error> {
        let fields = Fields::of(value, &FIELDS, MINIMAL)?;
        let cluster_arn: ClusterArn =
            fields.arn("clusterArn", "arn:<partition>:eks:<region>:<account>:cluster/<name>")?;
        let workspace_arn: WorkspaceArn = fields.arn(
            "workspaceArn",
            "arn:<partition>:aps:<region>:<account>:workspace/ws-<id>",
        )?;
        check_same_region(&cluster_arn, &workspace_arn)?;
        let external_labels = external_labels(&fields, Some(&cluster_arn))?;
        let scrape_configuration = match fields.text("scrapeConfiguration")? {
            Some(DEFAULT_CONFIGURATION) => Some(DEFAULT_CONFIGURATION.to_owned()),
            Some(text) => {
                let yaml = scrape_configuration::decode(text, "scrapeConfiguration")?;
                // A configuration that cannot be completed is an error before anything is created.
                let labels = scrape_configuration::labels(&cluster_arn, &external_labels);
                scrape_configuration::complete(&yaml, &labels)?;
                Some(yaml)
            }
            None => None,
        };
        let cluster_access = fields.choice(
            "clusterAccess",
            [
                ("AUTOMATIC", ClusterAccess::Automatic),
                ("MANUAL", ClusterAccess::Manual),
            ],
        )?;
        Ok(Self {
            prepare_cluster: prepare_cluster(&fields, cluster_access)?,
            cluster_arn,
            workspace_arn,
            subnet_ids: fields.ec2_ids("subnetIds", "subnet-")?,
            security_group_ids: fields.ec2_ids("securityGroupIds", "sg-")?,
            alias: fields.text("alias")?.map(alias).transpose()?,
            scrape_configuration_object: object(&fields)?,
            scrape_configuration_version: version(&fields)?,
            scrape_configuration,
            external_labels,
            labels: labels(&fields)?,
            tags: tags(fields.strings("tags")?)?,
            adopt: fields.boolean("adopt")?,
            patch_trust: fields.choice(
                "patchTrust",
                [("FINAL", PatchTrust::Final), ("EARLY", PatchTrust::Early)],
            )?,
            cluster_access,
            activation_timeout_minutes: fields.whole_number("activationTimeoutMinutes", 1, 240)?.unwrap_or(60),
            check_ingestion: fields.choice("checkIngestion", CheckIngestion::ALL)?,
            collector_logs: fields.choice("collectorLogs", CollectorLogs::ALL)?,
            on_failure: fields.choice(
                "onFailure",
                [("ROLLBACK", OnFailure::Rollback), ("DO_NOTHING", OnFailure::DoNothing)],
            )?,
            mode: fields.choice("mode", Mode::ALL)?,
            expected_plan: expected_plan(&fields)?,
        })
    }
}

impl Request {
    /// The scrape configuration that the request names. `None`: an existing scraper keeps its own, and a new one gets
    /// AMP's default.
    pub fn configuration(&self) -> Option<Named<'_>> {
        match (&self.scrape_configuration, &self.scrape_configuration_object) {
            (Some(text), _) if text == DEFAULT_CONFIGURATION => Some(Named::Default),
            (Some(yaml), _) => Some(Named::Text(yaml)),
            (None, Some(key)) => Some(Named::Object(key, self.scrape_configuration_version.as_deref())),
            (None, None) => None,
        }
    }
}

/// The hex digits of a plan's fingerprint.
pub(crate) const FINGERPRINT_DIGITS: usize = 32;

pub(crate) fn expected_plan(fields: &Fields<'_>) -> Result<Option<String>, Error> {
    let Some(plan) = fields.text("expectedPlan")? else {
        return Ok(None);
    };
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if plan.len() != FINGERPRINT_DIGITS || !plan.chars().all(is_digit) {
        let why = format!(
            "{} is not valid; expected the field plan of the output of an execution with \"mode\": \"PLAN\", which has \
             {FINGERPRINT_DIGITS} hexadecimal digits",
            shown(plan)
        );
        return Err(Error::invalid("expectedPlan", why));
    }
    Ok(Some(plan.to_owned()))
}

/// The changes in the field `prepareCluster`, in the order in which they are made.
pub(crate) fn prepare_cluster(fields: &Fields<'_>, access: ClusterAccess) -> Result<Vec<Preparation>, Error> {
    let changes = fields.choices("prepareCluster", Preparation::ALL)?;
    if access == ClusterAccess::Manual && changes.contains(&Preparation::AccessEntries) {
        let why = "\"ACCESS_ENTRIES\" is not allowed together with \"clusterAccess\": \"MANUAL\", which needs no access \
                   entry; remove one of the two";
        return Err(Error::invalid(&fields.path("prepareCluster"), why));
    }
    Ok(changes)
}

/// The field `labels`. A configuration that the request names replaces what `KEEP` would keep.
pub(crate) fn labels(fields: &Fields<'_>) -> Result<Labels, Error> {
    let labels = fields.choice("labels", Labels::ALL)?;
    let replacing = ["scrapeConfiguration", "scrapeConfigurationParameter", OBJECT_FIELD];
    match replacing.into_iter().find(|other| fields.get(other).is_some()) {
        Some(other) if labels == Labels::Keep => Err(Error::invalid(
            &fields.path("labels"),
            format!(
                "\"KEEP\" is not allowed together with {other}, which replaces what it keeps; remove one of the two"
            ),
        )),
        _ => Ok(labels),
    }
}

/// The key of the object with the scrape configuration.
pub(crate) fn object(fields: &Fields<'_>) -> Result<Option<String>, Error> {
    let Some(key) = fields.text(OBJECT_FIELD)? else {
        return Ok(None);
    };
    let path = fields.path(OBJECT_FIELD);
    if !configurations::is_key(key) {
        let expected = "expected the key of an object of the hub's bucket, such as configurations/pods.yaml: at most \
                        256 letters, digits and \"/_.-\"";
        return Err(Error::invalid(
            &path,
            format!("{} is not valid; {expected}", shown(key)),
        ));
    }
    for other in ["scrapeConfiguration", "scrapeConfigurationParameter"] {
        if fields.get(other).is_some() {
            return Err(Error::invalid(
                &path,
                format!("not allowed together with {other}; remove one of the two"),
            ));
        }
    }
    Ok(Some(key.to_owned()))
}

/// The version of the object: an id that S3 assigns, at most 1,024 bytes (S3 user guide, "How S3 Versioning works").
fn version(fields: &Fields<'_>) -> Result<Option<String>, Error> {
    let Some(version) = fields.text(VERSION_FIELD)? else {
        return Ok(None);
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if version.is_empty() || version.len() > 1024 || !version.bytes().all(plain) {
        let expected = "expected the id of a version of the object, at most 1,024 letters, digits and \"_.-\"";
        return Err(Error::invalid(
            VERSION_FIELD,
            format!("{} is not valid; {expected}", shown(version)),
        ));
    }
    match fields.get(OBJECT_FIELD) {
        Some(_) => Ok(Some(version.to_owned())),
        None => Err(Error::invalid(
            VERSION_FIELD,
            format!("allowed only together with {OBJECT_FIELD}; remove it"),
        )),
    }
}

/// Checks that a cluster and a workspace are in the same partition and Region.
pub(crate) fn check_same_region(cluster: &ClusterArn, workspace: &WorkspaceArn) -> Result<(), Error> {
    let differ = |kind: &str, of_workspace: &str, of_cluster: &str| {
        let reason = format!(
            "the workspace is in the {kind} {of_workspace}, the cluster in the {kind} {of_cluster}; \
             expected a workspace in the {kind} of the cluster, because AMP scrapes only into such a workspace"
        );
        Err(Error::invalid("workspaceArn", reason))
    };
    let (of_workspace, of_cluster) = (workspace.partition(), cluster.partition());
    if of_workspace != of_cluster {
        return differ("partition", of_workspace.as_str(), of_cluster.as_str());
    }
    if workspace.region() != cluster.region() {
        return differ("Region", workspace.region(), cluster.region());
    }
    Ok(())
}

fn alias(text: &str) -> Result<String, Error> {
    let valid = text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if !valid {
        let expected = "expected 1 to 100 letters, digits, \"-\", \".\" and \"_\", starting with a letter or a digit";
        let reason = format!("{} is not a valid alias; {expected}", shown(text));
        return Err(Error::invalid("alias", reason));
    }
    Ok(text.to_owned())
}

/// The external labels in the field `externalLabels`, without [`IDENTITY_LABEL`]: its value may only be the ARN of the
/// `cluster`, if there is one. Null and an empty text count as absent. An error names the first label that is not valid.
pub(crate) fn external_labels(
    fields: &Fields<'_>,
    cluster: Option<&ClusterArn>,
) -> Result<BTreeMap<String, String>, Error> {
    const FIELD: &str = "externalLabels";
    let labels = fields.strings_except(FIELD, Some(IDENTITY_LABEL))?;
    let field = fields.path(FIELD);
    let identity = fields.get(FIELD).and_then(|given| given.get(IDENTITY_LABEL));
    let count = labels.len() + usize::from(identity.is_some());
    if count > 32 {
        return Err(Error::invalid(&field, format!("{count} labels; expected at most 32")));
    }
    if let Some(value) = identity.filter(|value| !value.is_null()) {
        let path = member(&field, IDENTITY_LABEL);
        let value = text(&path, value)?;
        match cluster {
            _ if value.is_empty() => {}
            Some(cluster) if value == cluster.to_string() => {}
            Some(_) => return Err(Error::invalid(&path, scrape_configuration::not_the_cluster(value))),
            None => {
                let why = "leave it out: ampxa sets this label to the ARN of each cluster, because it identifies the \
                           cluster";
                return Err(Error::invalid(&path, why));
            }
        }
    }
    for (name, value) in &labels {
        let path = member(&field, name);
        if !scrape_configuration::is_label_name(name) || name.starts_with("__") || name.len() > 128 {
            let expected = "expected at most 128 letters, digits and \"_\", not starting with a digit or \"__\"";
            return Err(Error::invalid(&path, format!("not a valid label name; {expected}")));
        }
        if value.len() > 1024 {
            let reason = format!("the value has {} bytes; expected at most 1,024", value.len());
            return Err(Error::invalid(&path, reason));
        }
        check_no_control_character(&path, value)?;
    }
    Ok(labels)
}

fn tags(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    const FIELD: &str = "tags";
    const EXPECTED: &str = "expected letters, digits, spaces and \"_.:/=+-@\"";
    if tags.len() > 40 {
        return Err(Error::invalid(
            FIELD,
            format!("{} tags; expected at most 40", tags.len()),
        ));
    }
    let allowed = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
    let mut seen = HashSet::new();
    for (key, value) in &tags {
        let path = member(FIELD, key);
        let invalid = |reason: String| Err(Error::invalid(&path, reason));
        let lower = key.to_lowercase();
        let (key_length, value_length) = (key.chars().count(), value.chars().count());
        if !(1..=128).contains(&key_length) {
            return invalid(format!("the key has {key_length} characters; expected 1 to 128"));
        }
        if value_length > 256 {
            return invalid(format!("the value has {value_length} characters; expected at most 256"));
        }
        if !allowed(key) {
            return invalid(format!(
                "the key has a character that AWS does not allow in a tag; {EXPECTED}"
            ));
        }
        if !allowed(value) {
            return invalid(format!(
                "the value has a character that AWS does not allow in a tag; {EXPECTED}"
            ));
        }
        // IAM user guide, tag rules: reserved in keys and in values, in any case.
        if lower.starts_with("aws:") || value.to_lowercase().starts_with("aws:") {
            return invalid("the prefix \"aws:\" is reserved by AWS; expected another key or value".to_owned());
        }
        if lower.starts_with("ampxa:") {
            return invalid("the prefix \"ampxa:\" is reserved by ampxa; expected another key".to_owned());
        }
        // IAM user guide, tag rules: keys that differ only in case are one key.
        if !seen.insert(lower) {
            return invalid("another key differs from this one only in case; IAM allows only one of them".to_owned());
        }
    }
    Ok(tags)
}

fn check_no_control_character(path: &str, text: &str) -> Result<(), Error> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(c) => Err(Error::invalid(
            path,
            format!("the value has the control character U+{:04X}; remove it", c as u32),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn with(name: &str, value: Value) -> Value {
        let mut request = json!({
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/payments",
            "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b",
        });
        request[name] = value;
        request
    }

    fn rejected(request: &Value) -> String {
        let error = Request::parse(request).unwrap_err();
        assert_eq!(error.name(), "InvalidRequest");
        error.to_string()
    }

    #[test]
    fn a_request_with_two_arns_gets_the_defaults() {
        let request = Request::parse(&with("alias", Value::Null)).unwrap();
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({
                "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/payments",
                "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b",
                "externalLabels": {},
                "tags": {},
                "patchTrust": "FINAL",
                "clusterAccess": "AUTOMATIC",
                "activationTimeoutMinutes": 60,
                "checkIngestion": "REPORT",
                "collectorLogs": "ON_FAILURE",
                "onFailure": "ROLLBACK",
                "mode": "APPLY",
            })
        );
    }

    #[test]
    fn cluster_and_workspace_may_be_in_one_account_of_any_supported_partition() {
        for (partition, region) in [("aws", "eu-central-1"), ("aws-us-gov", "us-gov-west-1")] {
            let request = json!({
                "clusterArn": format!("arn:{partition}:eks:{region}:222222222222:cluster/a"),
                "workspaceArn": format!("arn:{partition}:aps:{region}:222222222222:workspace/ws-1"),
            });
            Request::parse(&request).unwrap();
        }
    }

    #[test]
    fn the_json_of_a_request_parses_to_the_same_request() {
        for text in [
            include_str!("../statemachine/examples/smallest.json"),
            include_str!("../statemachine/examples/everything.json"),
            include_str!("../statemachine/examples/own-scrape-configuration.json"),
            include_str!("../statemachine/examples/manual-cluster-access.json"),
        ] {
            let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
            let json = serde_json::to_value(&request).unwrap();
            assert_eq!(Request::parse(&json), Ok(request));
        }
    }

    #[test]
    fn an_error_begins_with_the_field_and_says_what_is_expected() {
        let subnet = "subnet-0123456789abcdef0";
        let many: BTreeMap<String, String> = (0..41).map(|i| (format!("k{i}"), String::new())).collect();
        for (request, begin, content) in [
            (json!("{}"), "request: ", "not a string; pass the JSON itself"),
            (json!([]), "request: ", "expected an object, at least {\"clusterArn\""),
            (json!({}), "clusterArn: missing", "cluster/<name>"),
            (
                json!({ "clusterArn": 1 }),
                "clusterArn: ",
                "expected a string, not a number",
            ),
            (
                with("clusterArn", json!("payments")),
                "clusterArn: ",
                "expected arn:<partition>:eks:",
            ),
            (
                with("workspaceArn", Value::Null),
                "workspaceArn: missing",
                "workspace/ws-<id>",
            ),
            (
                with(
                    "workspaceArn",
                    json!("arn:aws:aps:eu-west-1:333333333333:workspace/ws-1"),
                ),
                "workspaceArn: ",
                "in the Region eu-west-1, the cluster in the Region us-west-2",
            ),
            (
                with(
                    "workspaceArn",
                    json!("arn:aws-us-gov:aps:us-gov-west-1:333333333333:workspace/ws-1"),
                ),
                "workspaceArn: ",
                "in the partition aws-us-gov, the cluster in the partition aws;",
            ),
            (
                with(
                    "clusterArn",
                    json!("arn:aws-cn:eks:cn-north-1:222222222222:cluster/payments"),
                ),
                "clusterArn: ",
                "Amazon Managed Service for Prometheus does not exist in the partition aws-cn",
            ),
            (
                with("cluster_arn", json!("")),
                "\"cluster_arn\": unknown field",
                "did you mean clusterArn?",
            ),
            (
                with("subnetIDs", json!([])),
                "subnetIDs: unknown field",
                "did you mean subnetIds?",
            ),
            (
                with("severity", json!("SKIP")),
                "severity: unknown field",
                "the fields are clusterArn, ",
            ),
            (
                with("adopt", json!("yes")),
                "adopt: expected true or false, not a string",
                "",
            ),
            (
                with("labels", json!("keep")),
                "labels: \"keep\"",
                "expected \"COMPLETE\" or \"KEEP\"",
            ),
            (
                {
                    let mut request = with("labels", json!("KEEP"));
                    request["scrapeConfiguration"] = json!("DEFAULT");
                    request
                },
                "labels: \"KEEP\" is not allowed together with scrapeConfiguration",
                "remove one of the two",
            ),
            (
                with("checkIngestion", json!("skip")),
                "checkIngestion: \"skip\"",
                "expected \"REPORT\" or \"REQUIRE\" or \"SKIP\"",
            ),
            (
                with("onFailure", json!("undo")),
                "onFailure: \"undo\"",
                "expected \"ROLLBACK\" or \"DO_NOTHING\"",
            ),
            (with("subnetIds", json!([])), "subnetIds: 0 ids given", "1 to 5"),
            (
                with("subnetIds", json!(vec![subnet; 6])),
                "subnetIds: 6 ids given",
                "1 to 5",
            ),
            (
                with("subnetIds", json!([subnet, subnet])),
                "subnetIds[1]: ",
                "is a duplicate of subnetIds[0]",
            ),
            (
                with("subnetIds", json!([subnet, 7])),
                "subnetIds[1]: ",
                "expected a string, not a number",
            ),
            (
                with("subnetIds", json!(["subnet-0123456"])),
                "subnetIds[0]: ",
                "such as subnet-0123456789abcdef0",
            ),
            (
                with("securityGroupIds", json!("sg-1")),
                "securityGroupIds: ",
                "expected an array",
            ),
            (
                with("securityGroupIds", json!([subnet])),
                "securityGroupIds[0]: ",
                "such as sg-0123456789abcdef0",
            ),
            (
                with("prepareCluster", json!(["ACCESS_ENTRY"])),
                "prepareCluster[0]: \"ACCESS_ENTRY\" is not valid; ",
                "expected \"PRIVATE_ENDPOINT\" or \"ACCESS_ENTRIES\"",
            ),
            (
                with("prepareCluster", json!("ACCESS_ENTRIES")),
                "prepareCluster: expected an array such as [\"PRIVATE_ENDPOINT\"], not a string",
                "",
            ),
            (with("alias", json!("")), "alias: ", "1 to 100"),
            (with("alias", json!("-a")), "alias: ", "starting with"),
            (with("alias", json!("é")), "alias: ", "letters"),
            (
                with("scrapeConfiguration", json!("%%%")),
                "scrapeConfiguration: ",
                "not valid base64",
            ),
            (
                with("scrapeConfiguration", json!({})),
                "scrapeConfiguration: ",
                "expected a string, not an object",
            ),
            (
                with("externalLabels", json!({ "0a": "b" })),
                "externalLabels.0a: ",
                "not starting with a digit",
            ),
            (
                with("externalLabels", json!({ "__a": "b" })),
                "externalLabels.__a: ",
                "or \"__\"",
            ),
            (
                with("externalLabels", json!({ "a": "b\u{7}" })),
                "externalLabels.a: ",
                "U+0007",
            ),
            (
                with("externalLabels", json!({ "a": "é".repeat(513) })),
                "externalLabels.a: ",
                "1026 bytes",
            ),
            (
                with("externalLabels", json!({ "a": 1 })),
                "externalLabels.a: ",
                "expected a string, not a number",
            ),
            (
                with("externalLabels", json!(many)),
                "externalLabels: 41 labels",
                "at most 32",
            ),
            (with("tags", json!(many)), "tags: 41 tags", "at most 40"),
            (with("tags", json!(["a"])), "tags: ", "expected an object"),
            (with("tags", json!({ "": "b" })), "tags[\"\"]: ", "1 to 128"),
            (with("tags", json!({ "Aws:a": "b" })), "tags.Aws:a: ", "reserved by AWS"),
            (with("tags", json!({ "a": "AWS:b" })), "tags.a: ", "reserved by AWS"),
            (
                with("tags", json!({ "ampxa:cluster": "b" })),
                "tags.ampxa:cluster: ",
                "reserved by ampxa",
            ),
            (
                with("tags", json!({ "team": "a", "Team": "b" })),
                "tags.team: ",
                "only in case",
            ),
            (with("tags", json!({ "a": "b*" })), "tags.a: the value", "_.:/=+-@"),
            (with("tags", json!({ "a*": "b" })), "tags[\"a*\"]: the key", "_.:/=+-@"),
            (
                with("patchTrust", json!("early")),
                "patchTrust: \"early\"",
                "expected \"FINAL\" or \"EARLY\"",
            ),
            (
                with("clusterAccess", json!(true)),
                "clusterAccess: ",
                "\"MANUAL\", not a boolean",
            ),
            (
                with("externalLabels", json!({ "clusterArn": "shared" })),
                "externalLabels.clusterArn: \"shared\" is not the ARN of the cluster; leave it out: ampxa sets this \
                 label, because it identifies the cluster",
                "",
            ),
            (
                with("externalLabels", json!({ "clusterArn": ["shared"] })),
                "externalLabels.clusterArn: ",
                "expected a string, not an array",
            ),
            (
                with("externalLabels", {
                    let mut labels: BTreeMap<String, String> = many.clone().into_iter().take(32).collect();
                    labels.insert("clusterArn".to_owned(), String::new());
                    json!(labels)
                }),
                "externalLabels: 33 labels",
                "at most 32",
            ),
            (
                with("activationTimeoutMinutes", json!(0)),
                "activationTimeoutMinutes: 0",
                "1 to 240",
            ),
            (
                with("activationTimeoutMinutes", json!(60.5)),
                "activationTimeoutMinutes: 60.5",
                "whole",
            ),
            (
                with("activationTimeoutMinutes", json!("60")),
                "activationTimeoutMinutes: ",
                "not a string",
            ),
        ] {
            let message = rejected(&request);
            assert!(message.starts_with(begin), "{message:?} does not begin with {begin:?}");
            assert!(message.contains(content), "{message:?} does not contain {content:?}");
        }
    }

    #[test]
    fn an_error_for_a_long_value_is_short() {
        let long = "x".repeat(200_000);
        for request in [
            with(&long, json!(1)),
            with("alias", json!(long)),
            with("clusterArn", json!(long)),
            with("subnetIds", json!([long])),
            with("tags", json!({ long.as_str(): "" })),
            with("externalLabels", json!({ long.as_str(): "" })),
            with("patchTrust", json!(long)),
            with("scrapeConfiguration", json!(long)),
        ] {
            assert!(rejected(&request).len() < 600);
        }
    }

    #[test]
    fn the_label_of_the_cluster_is_left_out_of_the_parsed_request() {
        for label in [
            Value::Null,
            json!(""),
            json!("arn:aws:eks:us-west-2:222222222222:cluster/payments"),
        ] {
            let request = with("externalLabels", json!({ "clusterArn": label, "team": "a" }));
            let labels = Request::parse(&request).unwrap().external_labels;
            assert_eq!(labels, BTreeMap::from([("team".to_owned(), "a".to_owned())]));
        }
    }

    #[test]
    fn a_whole_number_may_have_a_decimal_point() {
        let request = Request::parse(&with("activationTimeoutMinutes", json!(30.0))).unwrap();
        assert_eq!(request.activation_timeout_minutes, 30);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "(subnet|sg)-[0-9a-f]{8,17}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..7).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z_: ]{0,6}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_the_json_of_an_accepted_request_parses_again(
            value in any_json(),
            fields in prop::collection::btree_map(prop::sample::select(FIELDS.as_slice()), any_json(), 0..4),
        ) {
            let _ = Request::parse(&value);
            let mut request = with("alias", Value::Null);
            for (name, value) in fields {
                request[name] = value;
            }
            if let Ok(request) = Request::parse(&request) {
                let json = serde_json::to_value(&request).unwrap();
                prop_assert_eq!(Request::parse(&json), Ok(request));
            }
        }
    }
}
