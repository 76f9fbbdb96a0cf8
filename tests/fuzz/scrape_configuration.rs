//! Fuzz target: any text as a scrape configuration.

use ampxa::{
    Error,
    scrape_configuration::{IDENTITY_LABEL, complete, complete_default, decode, labels, same_meaning, warnings},
};
use serde::de::IgnoredAny;
use serde_yaml_ng::{Mapping, Value};
use std::collections::{BTreeMap, HashSet};

const FIELD: &str = "scrapeConfiguration";

/// A completed configuration has the same meaning as the original, except for the labels; another YAML parser must
/// agree. Completing it again changes nothing.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let yaml = match decode(text, FIELD) {
        Ok(yaml) => yaml,
        Err(error) => return assert_rejected(&error),
    };
    assert_eq!(decode(&yaml, FIELD).as_ref(), Ok(&yaml));
    for warning in warnings(&yaml) {
        assert!(warning.starts_with(FIELD), "{warning}");
        crate::assert_one_short_line(&warning);
    }
    let labels = test_labels();
    let default = complete_default(&yaml, &labels);
    match &default {
        Ok(completed) => {
            assert_same_meaning(&yaml, completed, &labels);
            assert_eq!(complete_default(completed, &labels).as_ref(), Ok(completed));
        }
        Err(error) => assert_rejected(error),
    }
    match complete(&yaml, &labels) {
        // AMP's rules may reject a configuration, but never change it.
        Ok(completed) => {
            assert_eq!(complete(&completed, &labels).as_ref(), Ok(&completed));
            assert_eq!(default, Ok(completed));
        }
        Err(error) => assert_rejected(&error),
    }
}

fn test_labels() -> BTreeMap<String, String> {
    let cluster = "arn:aws:eks:us-west-2:222222222222:cluster/demo".parse().unwrap();
    labels(
        &cluster,
        &BTreeMap::from([("team".to_owned(), "it's \"ours\": \\ # é".to_owned())]),
    )
}

fn assert_rejected(error: &Error) {
    let message = error.to_string();
    assert_eq!(error.name(), "InvalidRequest");
    assert!(message.split('\n').all(|line| line.starts_with(FIELD)), "{message}");
    crate::assert_short_lines(&message);
}

fn assert_same_meaning(yaml: &str, completed: &str, labels: &BTreeMap<String, String>) {
    assert!(same_meaning(completed, completed), "{completed}");
    assert_eq!(
        same_meaning(yaml, completed),
        same_meaning(completed, yaml),
        "{completed}"
    );
    // The other parser must accept it as YAML, even if it cannot represent its numbers.
    serde_yaml_ng::from_str::<IgnoredAny>(completed).unwrap_or_else(|error| panic!("{error}: {completed}"));
    if let Some(expected) = with_labels(yaml, labels) {
        let actual: Value = serde_yaml_ng::from_str(completed).unwrap_or_else(|error| panic!("{error}: {completed}"));
        assert_eq!(actual, expected, "{completed}");
    }
}

/// The configuration as another library parses it, with the labels added; `None` if it cannot parse it.
///
/// It is also `None` where that library is wrong: it confuses two anchors with the same name, and treats `<<` in quotes
/// as a merge key.
fn with_labels(yaml: &str, labels: &BTreeMap<String, String>) -> Option<Value> {
    let mut names = HashSet::new();
    let ends = |c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c);
    if yaml
        .split('&')
        .skip(1)
        .any(|text| !names.insert(text.split(ends).next()))
    {
        return None;
    }
    if ["\"<<", "'<<"].iter().any(|quoted| yaml.contains(quoted)) {
        return None;
    }
    let mut tree: Value = serde_yaml_ng::from_str(yaml).ok()?;
    tree.apply_merge().ok()?;
    let global = mapping_at(tree.as_mapping_mut()?, "global")?;
    let external = mapping_at(global, "external_labels")?;
    for (name, value) in labels {
        let (key, value) = (Value::from(name.as_str()), Value::from(value.as_str()));
        if name == IDENTITY_LABEL {
            external.insert(key, value);
        } else {
            external.entry(key).or_insert(value);
        }
    }
    Some(tree)
}

/// The mapping at a key; adds an empty one if the key is missing or null.
fn mapping_at<'a>(mapping: &'a mut Mapping, name: &str) -> Option<&'a mut Mapping> {
    let entry = mapping.entry(Value::from(name)).or_insert(Value::Null);
    if entry.is_null() {
        *entry = Value::Mapping(Mapping::new());
    }
    entry.as_mapping_mut()
}
