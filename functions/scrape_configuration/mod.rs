//! The scrape configuration: its validation by AMP's rules, and the external labels that distinguish clusters.
//!
//! `yaml` reads and writes YAML without a change of meaning. `rules` contains AMP's rules, and checks those of
//! Prometheus: its keys (`keys`, `schema`), its relabelling (`actions`, `go_regex`), its HTTP client (`client`) and its
//! discovery (`kubernetes`). `identity` protects the label that identifies a cluster, and `token` the token of the
//! service account. `secrets` finds values that look like credentials. `problems` collects what is wrong.

mod actions;
mod address;
mod client;
mod duration;
mod field;
mod go_regex;
mod identity;
mod keys;
mod kubernetes;
mod problems;
mod relabelling;
mod rules;
mod schema;
mod secrets;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod verdicts;
mod yaml;

pub(crate) use identity::not_the_cluster;

use crate::{arn::ClusterArn, error::Error, input::shown};
use std::collections::BTreeMap;
use yaml::{Entries, Node, Scalar};

/// The field of the request. Its path begins each error message.
const FIELD: &str = "scrapeConfiguration";

/// The label that identifies a cluster in a workspace. Its value is always the ARN of the cluster. The name is that of
/// AWS's sample (AMP user guide, "Sample scraper configuration").
pub const IDENTITY_LABEL: &str = "clusterArn";

/// The maximum size in a request, in bytes of YAML.
pub const MAX_BYTES: usize = 64 * 1024;

/// The maximum size that is read or written, in bytes: the YAML of a request after its anchors are expanded.
const MAX_EXPANDED_BYTES: usize = 256 * 1024;

/// The YAML in a text: the text itself, or decoded from base64 (standard alphabet, line breaks allowed).
///
/// The two forms cannot be confused: a configuration contains a `:`, and base64 does not. So decoding is idempotent.
/// The YAML is validated by [`complete`].
///
/// # Errors
/// `InvalidRequest`, beginning with `field`, if the text is neither YAML nor base64, or has more than 64 KiB of YAML.
pub fn decode(text: &str, field: &str) -> Result<String, Error> {
    let too_long = |length: usize| {
        let why = format!("{length} bytes of YAML; at most {MAX_BYTES} (64 KiB) are allowed");
        Err(Error::invalid(field, why))
    };
    if text.contains(':') {
        return if text.len() > MAX_BYTES {
            too_long(text.len())
        } else {
            Ok(text.to_owned())
        };
    }
    let neither = |why: &str| {
        Error::invalid(
            field,
            format!("expected a Prometheus configuration as YAML, or base64 of it: {why}"),
        )
    };
    if text.len() > 2 * MAX_BYTES {
        return Err(neither(
            "it contains no \":\", so it is not a YAML mapping, and it is too long for the base64 of 64 KiB",
        ));
    }
    let encoded: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if encoded.is_empty() {
        return Err(neither("it is empty"));
    }
    let bytes = aws_smithy_types::base64::decode(&encoded)
        .map_err(|_| neither("it contains no \":\", so it is not a YAML mapping, and it is not valid base64"))?;
    let yaml = String::from_utf8(bytes).map_err(|_| neither("the base64 does not contain UTF-8 text"))?;
    match yaml.contains(':') {
        false => Err(neither(
            "the base64 does not contain a YAML mapping; was it encoded twice?",
        )),
        true if yaml.len() > MAX_BYTES => too_long(yaml.len()),
        true => Ok(yaml),
    }
}

/// The external labels of every sample of a cluster: `cluster`, `accountId`, `region`, those of the request, which
/// override them, and [`IDENTITY_LABEL`], which nothing overrides.
pub fn labels(cluster: &ClusterArn, requested: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from(
        [
            ("cluster", cluster.id().to_owned()),
            ("accountId", cluster.account().to_string()),
            ("region", cluster.region().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    labels.extend(requested.clone());
    labels.insert(IDENTITY_LABEL.to_owned(), cluster.to_string());
    labels
}

/// The longest scrape interval of a configuration that conforms to AMP's rules, in seconds. Prometheus' default if it
/// is not valid YAML.
pub fn longest_interval(yaml: &str) -> u64 {
    rules::longest_interval(&read(yaml).unwrap_or(Node::Mapping(Vec::new())))
}

/// The value of the external label [`IDENTITY_LABEL`] in a configuration. `None` if it is absent or empty, or if the text is
/// not valid YAML.
pub(crate) fn identity(yaml: &str) -> Option<String> {
    let tree = read(yaml).ok()?;
    let label = member(member(member(&tree, "global")?, "external_labels")?, IDENTITY_LABEL)?;
    match label {
        Node::Scalar(scalar) if !scalar.text.is_empty() => Some(scalar.text.clone()),
        _ => None,
    }
}

/// Checks that the external labels of a configuration that is kept do not name another cluster.
///
/// # Errors
/// `InvalidRequest` for the field `labels`.
pub(crate) fn check_identity(yaml: &str, cluster: &ClusterArn) -> Result<(), Error> {
    match identity(yaml) {
        Some(other) if other != cluster.to_string() => Err(Error::invalid(
            "labels",
            format!(
                "the configuration of the scraper has the external label {IDENTITY_LABEL} = {}, which is another cluster; \
                 remove the field, so that ampxa corrects the label",
                shown(&other)
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether the external labels of a configuration name a cluster.
pub(crate) fn identifies(yaml: &str, cluster: &ClusterArn) -> bool {
    identity(yaml).as_deref() == Some(&*cluster.to_string())
}

fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Node::Mapping(entries) = node else { return None };
    entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value)
}

/// Why a person should look at a configuration again: the fields that look like credentials, and the keys that AMP may
/// not know. Empty if it is not valid YAML.
pub fn warnings(yaml: &str) -> Vec<String> {
    let tree = read(yaml).unwrap_or(Node::Mapping(Vec::new()));
    let mut warnings = secrets::warnings(&tree);
    warnings.extend(newer_keys(&tree));
    warnings
}

/// One warning that names all keys that only newer versions of Prometheus know.
fn newer_keys(tree: &Node) -> Option<String> {
    const MAX_SHOWN: usize = 6;
    let mut keys: Vec<String> = Vec::new();
    for (key, version) in rules::newer_keys(tree) {
        let key = format!("{key} ({version})");
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let more = keys.len().saturating_sub(MAX_SHOWN);
    keys.truncate(MAX_SHOWN);
    if more > 0 {
        keys.push(format!("{more} more"));
    }
    (!keys.is_empty()).then(|| {
        format!(
            "{FIELD} has keys of newer versions of Prometheus: {}. AWS does not document which version AMP runs. If AMP \
             rejects the configuration, remove these keys.",
            keys.join(", ")
        )
    })
}

/// Validates a configuration, and adds those of [`labels`] to `global.external_labels` that it does not set. The value
/// of [`IDENTITY_LABEL`] is always that of `labels`.
///
/// Comments, key order and style may change, the meaning does not. A plain scalar that parsers may read as another type
/// than a string keeps its text; every other scalar is written as a string. Anchors, aliases and merge keys are
/// expanded. The result has been read again and compared. Idempotent.
///
/// # Errors
/// `InvalidRequest` if the configuration is not valid. The message has a line for each problem, at most 20 and in the
/// order of the configuration. A line begins with `scrapeConfiguration` and the path, or the line of the YAML.
pub fn complete(yaml: &str, labels: &BTreeMap<String, String>) -> Result<String, Error> {
    let tree = read(yaml)?;
    rules::check(&tree, labels.get(IDENTITY_LABEL).map_or("", String::as_str))?;
    finish(tree, labels, &BTreeMap::new())
}

/// Adds labels to AMP's default configuration, like [`complete`], but without the rules.
///
/// # Errors
/// `InvalidRequest` if the configuration is not YAML that can be rewritten.
pub fn complete_default(yaml: &str, labels: &BTreeMap<String, String>) -> Result<String, Error> {
    finish(read(yaml)?, labels, &BTreeMap::new())
}

/// Adds labels to the configuration of an existing scraper, like [`complete_default`]. The values of `requested` labels
/// replace those of the configuration.
///
/// # Errors
/// `InvalidRequest` if the configuration is not YAML that can be rewritten.
pub fn complete_existing(
    yaml: &str,
    labels: &BTreeMap<String, String>,
    requested: &BTreeMap<String, String>,
) -> Result<String, Error> {
    finish(read(yaml)?, labels, requested)
}

/// Whether two configurations have the same meaning, apart from style, comments and key order.
///
/// A configuration that is not valid YAML is only equal to itself.
pub fn same_meaning(a: &str, b: &str) -> bool {
    match (read(a), read(b)) {
        _ if a == b => true,
        (Ok(a), Ok(b)) => a.sorted() == b.sorted(),
        _ => false,
    }
}

fn read(yaml: &str) -> Result<Node, Error> {
    if yaml.len() > MAX_EXPANDED_BYTES {
        let why = format!("{} bytes of YAML; at most {MAX_EXPANDED_BYTES} are allowed", yaml.len());
        return Err(Error::invalid(FIELD, why));
    }
    yaml::read(yaml).map_err(|why| Error::invalid(FIELD, why))
}

fn finish(
    mut tree: Node,
    labels: &BTreeMap<String, String>,
    replacing: &BTreeMap<String, String>,
) -> Result<String, Error> {
    add_labels(&mut tree, labels, replacing);
    let text = yaml::write(&tree);
    if text.len() > MAX_EXPANDED_BYTES {
        let why = format!(
            "{} bytes after its anchors are expanded; at most {MAX_EXPANDED_BYTES} are allowed",
            text.len()
        );
        return Err(Error::invalid(FIELD, why));
    }
    if yaml::read(&text).as_ref() != Ok(&tree) {
        let why = "it cannot be rewritten without a change of meaning; write unusual scalars in quotes";
        return Err(Error::invalid(FIELD, why));
    }
    Ok(text)
}

/// Whether a text is a label name (Prometheus, "Data model": `[a-zA-Z_][a-zA-Z0-9_]*`).
pub fn is_label_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Adds labels that are not set to a tree, and sets those that are `replacing` and [`IDENTITY_LABEL`].
fn add_labels(tree: &mut Node, labels: &BTreeMap<String, String>, replacing: &BTreeMap<String, String>) {
    let Node::Mapping(root) = tree else { return };
    change_mapping(root, "global", 0, |global| {
        let end = global.len();
        change_mapping(global, "external_labels", end, |external_labels| {
            for (name, value) in labels {
                let node = Node::Scalar(Scalar::string(value));
                match external_labels.iter_mut().find(|(key, _)| key.text == *name) {
                    None => external_labels.push((Scalar::string(name), node)),
                    Some((_, current)) if name == IDENTITY_LABEL || replacing.contains_key(name) => *current = node,
                    Some(_) => {}
                }
            }
        });
    });
}

/// Changes the mapping under a key. If it does not exist, an empty one is inserted at `position`.
fn change_mapping(entries: &mut Entries, name: &str, position: usize, change: impl FnOnce(&mut Entries)) {
    let found = entries.iter().position(|(key, _)| key.text == name);
    let (key, node) = match found {
        Some(index) => entries.remove(index),
        None => (Scalar::string(name), Node::Mapping(Vec::new())),
    };
    let mut inner = match node {
        Node::Mapping(inner) => inner,
        _ => Vec::new(),
    };
    change(&mut inner);
    entries.insert(found.unwrap_or(position), (key, Node::Mapping(inner)));
}
