//! The request: what a person asks for, parsed into types, completed, and refused by field.

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    error::Error,
    input::{Fields, member, shown},
    scrape_configuration,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// The least request that works, for messages.
const LEAST: &str = r#"{"clusterArn": "…", "workspaceArn": "…"}"#;

/// The fields, in the order of [`Request`].
const FIELDS: [&str; 13] = [
    "clusterArn",
    "workspaceArn",
    "subnetIds",
    "securityGroupIds",
    "alias",
    "scrapeConfiguration",
    "externalLabels",
    "tags",
    "patchTrust",
    "clusterAccess",
    "activationTimeoutMinutes",
    "checkIngestion",
    "onFailure",
];

/// What one execution is asked to do, with its defaults filled in.
///
/// Made by [`Request::parse`] only. Its JSON form parses to the same request again, so that it can
/// travel through the state machine and be read by every step with the same code. The same limits
/// stand in `statemachine/request.schema.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The EKS cluster to scrape. Required.
    pub cluster_arn: ClusterArn,
    /// The AMP workspace that receives the samples. Required; in the cluster's Region and
    /// partition (AMP user guide, cross-account collectors).
    pub workspace_arn: WorkspaceArn,
    /// The subnets the scraper is put into: 1 to 5, each once (AMP API, EksConfiguration). Absent:
    /// chosen from the cluster's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_ids: Option<Vec<String>>,
    /// The scraper's security groups: 1 to 5, each once (AMP API, EksConfiguration). Absent: the
    /// cluster's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group_ids: Option<Vec<String>>,
    /// The scraper's name for people: 1 to 100 letters, digits, `-`, `.` and `_`, a letter or a
    /// digit first (AMP API, ScraperAlias).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The scrape configuration: YAML, at most 64 KiB, decoded if it came as base64. Absent: AMP's
    /// default. It keeps AMP's rules and can be completed ([`scrape_configuration::complete`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_configuration: Option<String>,
    /// Labels for every sample, beside and before those of [`scrape_configuration::labels`]: at
    /// most 32, named as in Prometheus' data model, values at most 1,024 bytes without control
    /// characters (the limits are ours, well within AMP's).
    pub external_labels: BTreeMap<String, String>,
    /// Tags for what is made: at most 40, so that ours fit in the 50 of AMP and IAM. Keys of 1 to
    /// 128 characters, values of at most 256: letters, digits, spaces and `_.:/=+-@` (IAM user
    /// guide, tag rules, the narrower of the two).
    pub tags: BTreeMap<String, String>,
    /// When the trust policies are first given the scraper's ARN.
    pub patch_trust: PatchTrust,
    /// Who lets the scraper into the cluster.
    pub cluster_access: ClusterAccess,
    /// Minutes to wait for the scraper to become ACTIVE: 1 to 240, 60 unless said otherwise.
    /// About 20 are usual.
    pub activation_timeout_minutes: u32,
    /// Whether samples are looked for in the workspace, and whether the execution fails without any.
    pub check_ingestion: CheckIngestion,
    /// What becomes of what a failing execution made.
    pub on_failure: OnFailure,
}

/// When the trust policies are first given the scraper's ARN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PatchTrust {
    /// Once the scraper is ACTIVE.
    #[default]
    Final,
    /// As soon as the scraper is made, and once more when it is ACTIVE.
    Early,
}

/// Who lets the scraper into the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterAccess {
    /// AMP, by an access entry: the cluster's authentication mode must know them.
    #[default]
    Automatic,
    /// A person, by the `aws-auth` ConfigMap.
    Manual,
}

/// Whether samples are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckIngestion {
    /// They are, and what is found is told.
    #[default]
    Report,
    /// They are, and without any the execution fails.
    Require,
    /// They are not.
    Skip,
}

impl CheckIngestion {
    /// By the words of requests.
    pub(crate) const ALL: [(&str, Self); 3] = [
        ("REPORT", Self::Report),
        ("REQUIRE", Self::Require),
        ("SKIP", Self::Skip),
    ];
}

/// What becomes of what a failing execution made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnFailure {
    /// It is removed again, and nothing else.
    #[default]
    Rollback,
    /// It is left for inspection.
    DoNothing,
}

impl Request {
    /// Reads a request, or says of the first field that is wrong what would be right.
    ///
    /// An optional field that is `null` counts as absent. Parsing a parsed request's JSON form
    /// gives the same request.
    ///
    /// # Errors
    /// `InvalidRequest`, its message beginning with the field's path, as `subnetIds[2]: …`.
    pub fn parse(value: &Value) -> Result<Self, Error> {
        let fields = Fields::of(value, &FIELDS, LEAST)?;
        let cluster_arn: ClusterArn =
            fields.arn("clusterArn", "arn:<partition>:eks:<region>:<account>:cluster/<name>")?;
        let workspace_arn: WorkspaceArn = fields.arn(
            "workspaceArn",
            "arn:<partition>:aps:<region>:<account>:workspace/ws-<id>",
        )?;
        same_place(&cluster_arn, &workspace_arn)?;
        let external_labels = external_labels("externalLabels", fields.texts("externalLabels")?)?;
        let scrape_configuration = match fields.text("scrapeConfiguration")? {
            Some(text) => {
                let yaml = scrape_configuration::decode(text, "scrapeConfiguration")?;
                // Whether it can be completed is known here, before anything is made.
                let labels = scrape_configuration::labels(&cluster_arn, &external_labels);
                scrape_configuration::complete(&yaml, &labels)?;
                Some(yaml)
            }
            None => None,
        };
        Ok(Self {
            cluster_arn,
            workspace_arn,
            subnet_ids: fields.ids("subnetIds", "subnet-")?,
            security_group_ids: fields.ids("securityGroupIds", "sg-")?,
            alias: fields.text("alias")?.map(alias).transpose()?,
            scrape_configuration,
            external_labels,
            tags: tags(fields.texts("tags")?)?,
            patch_trust: fields.choice(
                "patchTrust",
                [("FINAL", PatchTrust::Final), ("EARLY", PatchTrust::Early)],
            )?,
            cluster_access: fields.choice(
                "clusterAccess",
                [
                    ("AUTOMATIC", ClusterAccess::Automatic),
                    ("MANUAL", ClusterAccess::Manual),
                ],
            )?,
            activation_timeout_minutes: fields.whole("activationTimeoutMinutes", 1, 240)?.unwrap_or(60),
            check_ingestion: fields.choice("checkIngestion", CheckIngestion::ALL)?,
            on_failure: fields.choice(
                "onFailure",
                [("ROLLBACK", OnFailure::Rollback), ("DO_NOTHING", OnFailure::DoNothing)],
            )?,
        })
    }
}

/// Cluster, scraper and workspace are in one Region and one partition.
pub(crate) fn same_place(cluster: &ClusterArn, workspace: &WorkspaceArn) -> Result<(), Error> {
    let differ = |what: &str, its: &str, clusters: &str| {
        Error::invalid(
            "workspaceArn",
            format!(
                "the workspace is in the {what} {its}, the cluster in the {what} {clusters}; \
                 AMP scrapes only into a workspace of the cluster's own {what}"
            ),
        )
    };
    if cluster.partition() != workspace.partition() {
        let (its, clusters) = (workspace.partition().as_str(), cluster.partition().as_str());
        return Err(differ("partition", its, clusters));
    }
    if cluster.region() != workspace.region() {
        return Err(differ("Region", workspace.region(), cluster.region()));
    }
    Ok(())
}

fn alias(text: &str) -> Result<String, Error> {
    let valid = text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    valid.then(|| text.to_owned()).ok_or_else(|| {
        let right = "expected 1 to 100 letters, digits, \"-\", \".\" and \"_\", a letter or a digit first";
        Error::invalid("alias", format!("{} is no alias; {right}", shown(text)))
    })
}

/// Labels that may stand beside every sample, or the refusal of the first that may not.
pub(crate) fn external_labels(
    field: &str,
    labels: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    if labels.len() > 32 {
        return Err(Error::invalid(
            field,
            format!("{} labels; at most 32 are possible", labels.len()),
        ));
    }
    for (name, value) in &labels {
        let path = member(field, name);
        if !scrape_configuration::is_label_name(name) || name.starts_with("__") || name.len() > 128 {
            let right = "expected at most 128 letters, digits and \"_\", no digit first, not \"__\" at its beginning";
            return Err(Error::invalid(&path, format!("no label name; {right}")));
        }
        if value.len() > 1024 {
            let why = format!("its value has {} bytes; at most 1,024 are possible", value.len());
            return Err(Error::invalid(&path, why));
        }
        no_control(&path, value)?;
    }
    Ok(labels)
}

fn tags(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    const FIELD: &str = "tags";
    const RIGHT: &str = "expected letters, digits, spaces and \"_.:/=+-@\"";
    if tags.len() > 40 {
        return Err(Error::invalid(
            FIELD,
            format!("{} tags; at most 40 are possible", tags.len()),
        ));
    }
    let taggable = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
    let mut seen = HashSet::new();
    for (key, value) in &tags {
        let path = member(FIELD, key);
        let refuse = |why: String| Err(Error::invalid(&path, why));
        let lower = key.to_lowercase();
        let (key_length, value_length) = (key.chars().count(), value.chars().count());
        if !(1..=128).contains(&key_length) {
            return refuse(format!("the key has {key_length} characters; 1 to 128 are possible"));
        }
        if value_length > 256 {
            return refuse(format!(
                "the value has {value_length} characters; at most 256 are possible"
            ));
        }
        if !taggable(key) {
            return refuse(format!("the key has a character that AWS refuses in a tag; {RIGHT}"));
        }
        if !taggable(value) {
            return refuse(format!("the value has a character that AWS refuses in a tag; {RIGHT}"));
        }
        // IAM user guide, tag rules: reserved in keys and in values, in any case.
        if lower.starts_with("aws:") || value.to_lowercase().starts_with("aws:") {
            return refuse("\"aws:\" at the beginning is AWS's own; choose another".to_owned());
        }
        if lower.starts_with("ampxa:") {
            return refuse("\"ampxa:\" at the beginning is this project's own; choose another".to_owned());
        }
        // IAM user guide, tag rules: keys that differ only in case are one key.
        if !seen.insert(lower) {
            return refuse("another tag's key differs from this one only in case, which IAM refuses".to_owned());
        }
    }
    Ok(tags)
}

fn no_control(path: &str, text: &str) -> Result<(), Error> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(c) => Err(Error::invalid(
            path,
            format!("control character U+{:04X}; leave it out", c as u32),
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

    fn refused(request: &Value) -> String {
        let error = Request::parse(request).unwrap_err();
        assert_eq!(error.name(), "InvalidRequest");
        error.to_string()
    }

    #[test]
    fn two_arns_are_enough_and_the_defaults_can_be_seen() {
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
                "onFailure": "ROLLBACK",
            })
        );
    }

    #[test]
    fn a_request_may_stay_in_one_account_and_in_any_partition() {
        for (partition, region) in [
            ("aws", "eu-central-1"),
            ("aws-cn", "cn-north-1"),
            ("aws-us-gov", "us-gov-west-1"),
        ] {
            let request = json!({
                "clusterArn": format!("arn:{partition}:eks:{region}:222222222222:cluster/a"),
                "workspaceArn": format!("arn:{partition}:aps:{region}:222222222222:workspace/ws-1"),
            });
            Request::parse(&request).unwrap();
        }
    }

    #[test]
    fn a_request_travels_as_json_and_parses_to_itself() {
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
    fn a_refusal_begins_with_the_field_and_says_what_would_be_right() {
        let subnet = "subnet-0123456789abcdef0";
        let many: BTreeMap<String, String> = (0..41).map(|i| (format!("k{i}"), String::new())).collect();
        for (request, begins, says) in [
            (json!("{}"), "request: ", "not a string; give the JSON itself"),
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
                    json!("arn:aws-cn:aps:cn-north-1:333333333333:workspace/ws-1"),
                ),
                "workspaceArn: ",
                "in the partition aws-cn, the cluster in the partition aws;",
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
                with("checkIngestion", json!("skip")),
                "checkIngestion: \"skip\"",
                "expected \"REPORT\" or \"REQUIRE\" or \"SKIP\"",
            ),
            (
                with("onFailure", json!("undo")),
                "onFailure: \"undo\"",
                "expected \"ROLLBACK\" or \"DO_NOTHING\"",
            ),
            (with("subnetIds", json!([])), "subnetIds: 0 given", "1 to 5"),
            (
                with("subnetIds", json!(vec![subnet; 6])),
                "subnetIds: 6 given",
                "1 to 5",
            ),
            (
                with("subnetIds", json!([subnet, subnet])),
                "subnetIds[1]: ",
                "is subnetIds[0] already",
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
            (with("alias", json!("")), "alias: ", "1 to 100"),
            (with("alias", json!("-a")), "alias: ", "first"),
            (with("alias", json!("é")), "alias: ", "letters"),
            (
                with("scrapeConfiguration", json!("%%%")),
                "scrapeConfiguration: ",
                "no base64 either",
            ),
            (
                with("scrapeConfiguration", json!({})),
                "scrapeConfiguration: ",
                "expected a string, not an object",
            ),
            (
                with("externalLabels", json!({ "0a": "b" })),
                "externalLabels.0a: ",
                "no digit first",
            ),
            (
                with("externalLabels", json!({ "__a": "b" })),
                "externalLabels.__a: ",
                "not \"__\"",
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
            (with("tags", json!({ "Aws:a": "b" })), "tags.Aws:a: ", "AWS's own"),
            (with("tags", json!({ "a": "AWS:b" })), "tags.a: ", "AWS's own"),
            (
                with("tags", json!({ "ampxa:cluster": "b" })),
                "tags.ampxa:cluster: ",
                "this project's own",
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
            let message = refused(&request);
            assert!(
                message.starts_with(begins),
                "{message:?} does not begin with {begins:?}"
            );
            assert!(message.contains(says), "{message:?} does not say {says:?}");
        }
    }

    #[test]
    fn a_refusal_stays_short_whatever_was_given() {
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
            assert!(refused(&request).len() < 600);
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
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
        fn parsing_never_panics_and_what_it_accepts_parses_again(
            anything in any_json(),
            fields in prop::collection::btree_map(prop::sample::select(FIELDS.as_slice()), any_json(), 0..4),
        ) {
            let _ = Request::parse(&anything);
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
