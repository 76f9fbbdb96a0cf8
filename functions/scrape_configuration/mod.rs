//! The scrape configuration: AMP's rules for it, and the labels that tell clusters apart.
//!
//! `yaml` reads and writes YAML without changing what it means, `rules` holds what AMP allows.

mod rules;
#[cfg(test)]
mod tests;
mod yaml;

use crate::{arn::ClusterArn, error::Error};
use std::collections::BTreeMap;
use yaml::{Entries, Node, Scalar};

/// The field whose path every message begins with.
const FIELD: &str = "scrapeConfiguration";

/// The most a request may carry, in bytes of YAML.
const LONGEST: usize = 64 * 1024;

/// The most that is read or written, in bytes: a request's YAML with its anchors written out.
const LONGEST_EXPANDED: usize = 256 * 1024;

/// The request's text as YAML: given as it is, or decoded from base64 (standard alphabet, line
/// breaks allowed).
///
/// The two cannot be mistaken for one another: a configuration has a `:` and base64 has none. So
/// decoding what was decoded changes nothing. What the YAML says is judged by [`complete`].
///
/// # Errors
/// `InvalidRequest`, beginning with `field`, for what is neither, and for more than 64 KiB.
pub fn decode(text: &str, field: &str) -> Result<String, Error> {
    let too_long = |length: usize| {
        let why = format!("{length} bytes of YAML; at most {LONGEST} (64 KiB) are possible");
        Err(Error::invalid(field, why))
    };
    if text.contains(':') {
        return if text.len() > LONGEST {
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
    if text.len() > 2 * LONGEST {
        return Err(neither(
            "it has no \":\", so it is no YAML mapping, and is too long to be base64 of 64 KiB",
        ));
    }
    let encoded: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if encoded.is_empty() {
        return Err(neither("it is empty"));
    }
    let bytes = aws_smithy_types::base64::decode(&encoded)
        .map_err(|_| neither("it has no \":\", so it is no YAML mapping, and is no base64 either"))?;
    let yaml = String::from_utf8(bytes).map_err(|_| neither("the base64 holds something else than UTF-8 text"))?;
    match yaml.contains(':') {
        false => Err(neither("the base64 holds no YAML mapping; was it encoded twice?")),
        true if yaml.len() > LONGEST => too_long(yaml.len()),
        true => Ok(yaml),
    }
}

/// The labels every sample of the cluster gets: `clusterArn`, `cluster`, `accountId`, `region`, and
/// the request's own, which win.
///
/// Without them many clusters in one workspace cannot be told apart; `clusterArn` is the name in
/// AWS's own sample (AMP user guide, "Sample scraper configuration").
pub fn labels(cluster: &ClusterArn, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from(
        [
            ("clusterArn", cluster.to_string()),
            ("cluster", cluster.id().to_owned()),
            ("accountId", cluster.account().to_owned()),
            ("region", cluster.region().to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    labels.extend(own.clone());
    labels
}

/// The value of an external label, if a configuration sets it.
pub fn external_label(yaml: &str, name: &str) -> Option<String> {
    let under = |node: &Node, key: &str| match node {
        Node::Mapping(entries) => entries
            .iter()
            .find(|(known, _)| known.text == key)
            .map(|(_, node)| node.clone()),
        _ => None,
    };
    match under(&under(&under(&read(yaml).ok()?, "global")?, "external_labels")?, name)? {
        Node::Scalar(scalar) => Some(scalar.text),
        _ => None,
    }
}

/// The longest scrape interval of a configuration that keeps AMP's rules, in seconds; of what cannot be read,
/// Prometheus' default.
pub fn longest_interval(yaml: &str) -> u64 {
    rules::longest_interval(&read(yaml).unwrap_or(Node::Mapping(Vec::new())))
}

/// The configuration with `global.external_labels` holding each of `labels` that it does not set
/// already, once it has been found to keep AMP's rules.
///
/// Comments, order and style may be lost, meaning may not: a scalar whose type is the reader's to
/// guess is written as it stood, everything else as the string it is; anchors, aliases and merge
/// keys are written out. What is returned has been read again and compared. Completing what was
/// completed with the same labels changes nothing.
///
/// # Errors
/// `InvalidRequest`, beginning with `scrapeConfiguration` and the path or the line of what is wrong.
pub fn complete(yaml: &str, labels: &BTreeMap<String, String>) -> Result<String, Error> {
    let tree = read(yaml)?;
    rules::check(&tree)?;
    finish(tree, labels)
}

/// The same for AMP's own default configuration, which AMP need not be told the rules of.
///
/// # Errors
/// `InvalidRequest` for what is no YAML that can be written again.
pub fn complete_default(yaml: &str, labels: &BTreeMap<String, String>) -> Result<String, Error> {
    finish(read(yaml)?, labels)
}

/// Whether two configurations mean the same, whatever their style, comments and order of keys.
///
/// What cannot be read means nothing, and is the same as nothing.
pub fn same_meaning(a: &str, b: &str) -> bool {
    match (read(a), read(b)) {
        (Ok(a), Ok(b)) => a.sorted() == b.sorted(),
        _ => false,
    }
}

fn read(yaml: &str) -> Result<Node, Error> {
    if yaml.len() > LONGEST_EXPANDED {
        return Err(Error::invalid(FIELD, format!("{} bytes are too many", yaml.len())));
    }
    yaml::read(yaml).map_err(|why| Error::invalid(FIELD, why))
}

fn finish(mut tree: Node, labels: &BTreeMap<String, String>) -> Result<String, Error> {
    add(&mut tree, labels);
    let text = yaml::write(&tree);
    if text.len() > LONGEST_EXPANDED {
        let why = format!(
            "with its anchors written out it has {} bytes; at most {LONGEST_EXPANDED} are possible",
            text.len()
        );
        return Err(Error::invalid(FIELD, why));
    }
    if yaml::read(&text).as_ref() != Ok(&tree) {
        let why = "it cannot be written again without changing what it means; write unusual scalars in quotes";
        return Err(Error::invalid(FIELD, why));
    }
    Ok(text)
}

/// Whether a text is a label's name (Prometheus, "Data model": `[a-zA-Z_][a-zA-Z0-9_]*`).
pub fn is_label_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Adds the labels that are not there to a tree that keeps the rules.
fn add(tree: &mut Node, labels: &BTreeMap<String, String>) {
    let Node::Mapping(root) = tree else { return };
    change(root, "global", 0, |global| {
        let end = global.len();
        change(global, "external_labels", end, |external| {
            for (name, value) in labels {
                if external.iter().all(|(key, _)| key.text != *name) {
                    external.push((Scalar::string(name), Node::Scalar(Scalar::string(value))));
                }
            }
        });
    });
}

/// Changes the mapping under a key, an empty one if there is none; a new key goes to `position`.
fn change(entries: &mut Entries, name: &str, position: usize, change: impl FnOnce(&mut Entries)) {
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
