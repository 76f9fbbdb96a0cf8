//! What a person, an event or an account vending asks for: one cluster, one workspace, and whatever
//! they want to choose themselves.

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    error::Error,
    scrape_configuration,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Subnets and security groups that CreateScraper takes of each (AMP API reference).
const MOST_OF_EACH: usize = 5;
/// The longest alias (AMP API reference, ScraperAlias).
const LONGEST_ALIAS: usize = 100;
/// Tags a request may give: AWS takes 50 a resource, and some are ours.
const MOST_TAGS: usize = 40;
/// Labels a request may give.
const MOST_LABELS: usize = 32;
/// The longest value of a label, in bytes.
const LONGEST_LABEL: usize = 1024;
/// Minutes within which the wait for the scraper may end. About 20 are usual.
const ACTIVATION_TIMEOUT: std::ops::RangeInclusive<u32> = 1..=240;

/// A request: parsed, valid in itself, with its defaults.
///
/// The state machine carries it from step to step as JSON, and each step parses it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The cluster to scrape. Its account is the source account.
    pub cluster_arn: ClusterArn,
    /// The workspace to write to. Its account is the target account, which may be the source account.
    pub workspace_arn: WorkspaceArn,
    /// One subnet a zone, in two to five zones of the cluster's VPC; picked from the cluster's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_ids: Option<Vec<String>>,
    /// Up to five security groups of the cluster's VPC; the cluster's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group_ids: Option<Vec<String>>,
    /// The scraper's alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The scrape configuration in YAML; AMP's default one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_configuration: Option<String>,
    /// Labels for every sample, beside `clusterArn`, `cluster`, `accountId` and `region`.
    #[serde(default, deserialize_with = "or_default")]
    pub external_labels: BTreeMap<String, String>,
    /// Tags for the scraper and both roles.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: BTreeMap<String, String>,
    /// When the trust policies are opened to the scraper.
    #[serde(default, deserialize_with = "or_default")]
    pub patch_trust: PatchTrust,
    /// Who lets the scraper into the cluster.
    #[serde(default, deserialize_with = "or_default")]
    pub cluster_access: ClusterAccess,
    /// Minutes after which a scraper that is not ACTIVE is given up: 1 to 240.
    #[serde(default = "sixty", deserialize_with = "or_sixty")]
    pub activation_timeout_minutes: u32,
}

/// When the trust policies are opened to the scraper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PatchTrust {
    /// When the scraper is ACTIVE.
    #[default]
    Final,
    /// As soon as the scraper's ARN is known, and again when it is ACTIVE.
    Early,
}

/// Who lets the scraper into the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterAccess {
    /// AMP does, by an access entry: the cluster's authentication mode must allow it.
    #[default]
    Automatic,
    /// A person does, where the mode is CONFIG_MAP.
    Manual,
}

/// `null` is as good as absent.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn or_sixty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_else(sixty))
}

fn sixty() -> u32 {
    60
}

impl Request {
    /// Reads a request, and refuses one that cannot be right.
    ///
    /// # Errors
    /// `InvalidRequest`; its message begins with the field's path and says what would be right.
    pub fn parse(value: &Value) -> Result<Self, Error> {
        let Value::Object(fields) = value else {
            let least = r#"expected a JSON object, at least {"clusterArn": "…", "workspaceArn": "…"}"#;
            return Err(Error::invalid("request", least));
        };
        for field in ["clusterArn", "workspaceArn"] {
            if fields.get(field).is_none_or(Value::is_null) {
                return Err(Error::invalid(field, "is missing; expected an ARN"));
            }
        }
        let mut request: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = match error.path().to_string() {
                root if root == "." => "request".to_owned(),
                path => path,
            };
            Error::invalid(&path, error.inner())
        })?;
        request.scrape_configuration = match request.scrape_configuration {
            Some(text) => Some(scrape_configuration::decode(&text)?),
            None => None,
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Error> {
        let (cluster, workspace) = (&self.cluster_arn, &self.workspace_arn);
        if cluster.partition() != workspace.partition() || cluster.region() != workspace.region() {
            return Err(Error::invalid(
                "workspaceArn",
                format!(
                    "the workspace is in {} and the cluster in {}; a scraper connects them within one Region only",
                    workspace.region(),
                    cluster.region()
                ),
            ));
        }
        check_ids("subnetIds", "subnet-", self.subnet_ids.as_deref())?;
        check_ids("securityGroupIds", "sg-", self.security_group_ids.as_deref())?;
        if let Some(alias) = &self.alias {
            check_alias(alias)?;
        }
        if let Some(yaml) = &self.scrape_configuration {
            scrape_configuration::check(yaml)?;
        }
        check_labels(&self.external_labels)?;
        check_tags(&self.tags)?;
        if !ACTIVATION_TIMEOUT.contains(&self.activation_timeout_minutes) {
            let (least, most) = (ACTIVATION_TIMEOUT.start(), ACTIVATION_TIMEOUT.end());
            let why = format!("{} is not from {least} to {most}", self.activation_timeout_minutes);
            return Err(Error::invalid("activationTimeoutMinutes", why));
        }
        Ok(())
    }
}

/// Ids of EC2's: a prefix and 8 or 17 hex digits, none twice.
fn check_ids(field: &str, prefix: &str, ids: Option<&[String]>) -> Result<(), Error> {
    let Some(ids) = ids else { return Ok(()) };
    if !(1..=MOST_OF_EACH).contains(&ids.len()) {
        return Err(Error::invalid(
            field,
            format!("{} ids are given; expected 1 to {MOST_OF_EACH}", ids.len()),
        ));
    }
    let mut seen = BTreeSet::new();
    for (i, id) in ids.iter().enumerate() {
        let hex =
            |rest: &str| matches!(rest.len(), 8 | 17) && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !id.strip_prefix(prefix).is_some_and(hex) {
            let why = format!("{:?} is no id; expected {prefix} and 8 or 17 hex digits", shown(id));
            return Err(Error::invalid(&format!("{field}[{i}]"), why));
        }
        if !seen.insert(id) {
            return Err(Error::invalid(&format!("{field}[{i}]"), format!("{id} is given twice")));
        }
    }
    Ok(())
}

fn check_alias(alias: &str) -> Result<(), Error> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let right = alias.starts_with(|c: char| c.is_ascii_alphanumeric()) && alias.chars().all(good);
    if right && alias.len() <= LONGEST_ALIAS {
        return Ok(());
    }
    let why = format!(
        "{:?} is no alias; expected at most {LONGEST_ALIAS} letters, digits, '-', '.' and '_', a letter or digit first",
        shown(alias)
    );
    Err(Error::invalid("alias", why))
}

/// Label names are Prometheus'; those that begin with `__` are its own.
fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Error> {
    if labels.len() > MOST_LABELS {
        return Err(Error::invalid(
            "externalLabels",
            format!("{} are given; at most {MOST_LABELS} are taken", labels.len()),
        ));
    }
    for (name, value) in labels {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.starts_with("__");
        if !begins || !name.chars().all(word) || name.len() > LONGEST_LABEL {
            let why = format!(
                "{:?} is no label name; expected letters, digits and '_', no digit and no '__' first",
                shown(name)
            );
            return Err(Error::invalid("externalLabels", why));
        }
        if value.len() > LONGEST_LABEL || value.chars().any(char::is_control) {
            let why = format!("expected at most {LONGEST_LABEL} bytes without control characters");
            return Err(Error::invalid(&format!("externalLabels.{name}"), why));
        }
    }
    Ok(())
}

/// Tags that both IAM and AMP take (IAM user guide, "Rules for tagging"; AMP API reference).
fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    if tags.len() > MOST_TAGS {
        return Err(Error::invalid(
            "tags",
            format!("{} are given; at most {MOST_TAGS} are taken", tags.len()),
        ));
    }
    for (key, value) in tags {
        if !(1..=128).contains(&key.chars().count()) || !key.chars().all(allowed) {
            let why = format!(
                "{:?} is no tag key; expected 1 to 128 letters, digits, spaces and _.:/=+-@",
                shown(key)
            );
            return Err(Error::invalid("tags", why));
        }
        let lower = key.to_lowercase();
        if let Some(prefix) = ["aws:", "ampxa:"].into_iter().find(|prefix| lower.starts_with(prefix)) {
            return Err(Error::invalid(
                &format!("tags.{key}"),
                format!("keys that begin with {prefix} are reserved"),
            ));
        }
        if value.chars().count() > 256 || !value.chars().all(allowed) {
            let why = "expected at most 256 letters, digits, spaces and _.:/=+-@";
            return Err(Error::invalid(&format!("tags.{key}"), why));
        }
    }
    Ok(())
}

/// The beginning of a text, short enough for a message.
fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn least() -> Value {
        json!({
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo",
            "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-1",
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut request = least();
        request[field] = value;
        request
    }

    #[test]
    fn the_least_request_gets_its_defaults_and_reads_back() {
        let request = Request::parse(&least()).unwrap();
        assert_eq!(request.patch_trust, PatchTrust::Final);
        assert_eq!(request.activation_timeout_minutes, 60);
        let travelled = serde_json::to_value(&request).unwrap();
        assert_eq!(travelled["clusterAccess"], "AUTOMATIC");
        assert_eq!(Request::parse(&travelled), Ok(request));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let mut request = least();
        for field in [
            "subnetIds",
            "securityGroupIds",
            "alias",
            "scrapeConfiguration",
            "externalLabels",
            "tags",
            "patchTrust",
        ] {
            request[field] = Value::Null;
        }
        request["activationTimeoutMinutes"] = Value::Null;
        assert_eq!(Request::parse(&request), Request::parse(&least()));
    }

    #[test]
    fn all_partitions_and_one_account_are_accepted() {
        for (partition, region) in [
            ("aws", "eu-central-1"),
            ("aws-cn", "cn-north-1"),
            ("aws-us-gov", "us-gov-west-1"),
        ] {
            let request = json!({
                "clusterArn": format!("arn:{partition}:eks:{region}:222222222222:cluster/demo"),
                "workspaceArn": format!("arn:{partition}:aps:{region}:222222222222:workspace/ws-1"),
            });
            assert!(Request::parse(&request).is_ok(), "{request}");
        }
    }

    #[test]
    fn a_refusal_begins_with_its_field() {
        let subnet = |i: usize| format!("subnet-0123456789abcde0{i}");
        let many_tags: BTreeMap<String, String> = (0..41).map(|i| (format!("k{i}"), String::new())).collect();
        for (request, begins) in [
            (json!(null), "request: expected a JSON object"),
            (json!("{}"), "request: expected a JSON object"),
            (json!([least()]), "request: expected a JSON object"),
            (json!({}), "clusterArn: is missing"),
            (json!({ "clusterArn": null }), "clusterArn: is missing"),
            (json!({ "clusterArn": "x" }), "workspaceArn: is missing"),
            (with("clusterArn", json!("x")), "clusterArn: "),
            (with("clusterArn", json!(5)), "clusterArn: "),
            (
                with(
                    "workspaceArn",
                    json!("arn:aws:aps:eu-west-1:333333333333:workspace/ws-1"),
                ),
                "workspaceArn: the workspace is in eu-west-1",
            ),
            (
                with(
                    "workspaceArn",
                    json!("arn:aws-cn:aps:cn-north-1:333333333333:workspace/ws-1"),
                ),
                "workspaceArn: the workspace is in cn-north-1",
            ),
            (with("aliass", json!("x")), "aliass: unknown field"),
            (with("onFailure", json!("UNDO")), "onFailure: unknown field"),
            (with("subnetIds", json!([])), "subnetIds: 0 ids"),
            (
                with("subnetIds", json!((0..6).map(subnet).collect::<Vec<_>>())),
                "subnetIds: 6 ids",
            ),
            (with("subnetIds", json!([subnet(1), "subnet-XYZ"])), "subnetIds[1]: "),
            (with("subnetIds", json!([subnet(1), subnet(1)])), "subnetIds[1]: "),
            (with("subnetIds", json!([1])), "subnetIds[0]: "),
            (with("securityGroupIds", json!("sg-1")), "securityGroupIds: "),
            (with("alias", json!("")), "alias: "),
            (with("alias", json!("a b")), "alias: "),
            (with("alias", json!("a".repeat(101))), "alias: "),
            (with("externalLabels", json!({ "__a": "b" })), "externalLabels: "),
            (with("externalLabels", json!({ "a-b": "c" })), "externalLabels: "),
            (with("externalLabels", json!({ "a": "b\nc" })), "externalLabels.a: "),
            (with("externalLabels", json!({ "a": 1 })), "externalLabels.a: "),
            (with("tags", json!({ "AWS:a": "b" })), "tags.AWS:a: "),
            (with("tags", json!({ "ampxa:cluster": "b" })), "tags.ampxa:cluster: "),
            (with("tags", json!({ "": "b" })), "tags: "),
            (with("tags", json!({ "a": "b\"c" })), "tags.a: "),
            (with("tags", json!(many_tags)), "tags: 41"),
            (with("patchTrust", json!("early")), "patchTrust: unknown variant"),
            (with("clusterAccess", json!(true)), "clusterAccess: "),
            (
                with("activationTimeoutMinutes", json!(0)),
                "activationTimeoutMinutes: 0 is not from 1 to 240",
            ),
            (
                with("activationTimeoutMinutes", json!(241)),
                "activationTimeoutMinutes: ",
            ),
            (
                with("activationTimeoutMinutes", json!(1.5)),
                "activationTimeoutMinutes: ",
            ),
            (
                with("activationTimeoutMinutes", json!("60")),
                "activationTimeoutMinutes: ",
            ),
            (
                with("scrapeConfiguration", json!("a: [")),
                "scrapeConfiguration: this is no YAML",
            ),
            (
                with("scrapeConfiguration", json!("rule_files: []")),
                "scrapeConfiguration.rule_files: ",
            ),
            (with("scrapeConfiguration", json!({})), "scrapeConfiguration: "),
        ] {
            let why = Request::parse(&request).unwrap_err();
            assert!(why.to_string().starts_with(begins), "{request}: {why}");
            assert_eq!(why.name(), "InvalidRequest");
        }
    }
}
