//! A scrape configuration, as any text.

use ampxa::{
    Error,
    scrape_configuration::{complete, complete_default, decode, labels, same_meaning},
};
use serde::de::IgnoredAny;
use serde_yaml_ng::{Mapping, Value};
use std::collections::{BTreeMap, HashSet};

const FIELD: &str = "scrapeConfiguration";

/// What is completed means the same but for the labels, to another reader of YAML too, and is
/// completed once and for all.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let yaml = match decode(text, FIELD) {
        Ok(yaml) => yaml,
        Err(error) => return refusal(&error),
    };
    assert_eq!(decode(&yaml, FIELD).as_ref(), Ok(&yaml));
    let labels = given();
    let default = complete_default(&yaml, &labels);
    match &default {
        Ok(completed) => {
            means_the_same(&yaml, completed, &labels);
            assert_eq!(complete_default(completed, &labels).as_ref(), Ok(completed));
        }
        Err(error) => refusal(error),
    }
    match complete(&yaml, &labels) {
        // AMP's rules refuse, and change nothing.
        Ok(completed) => {
            assert_eq!(complete(&completed, &labels).as_ref(), Ok(&completed));
            assert_eq!(default, Ok(completed));
        }
        Err(error) => refusal(&error),
    }
}

fn given() -> BTreeMap<String, String> {
    let cluster = "arn:aws:eks:us-west-2:222222222222:cluster/demo".parse().unwrap();
    labels(
        &cluster,
        &BTreeMap::from([("team".to_owned(), "it's \"ours\": \\ # é".to_owned())]),
    )
}

fn refusal(error: &Error) {
    let message = error.to_string();
    assert_eq!(error.name(), "InvalidRequest");
    assert!(message.starts_with(FIELD), "{message}");
    crate::short(&message);
}

fn means_the_same(yaml: &str, completed: &str, labels: &BTreeMap<String, String>) {
    assert!(same_meaning(completed, completed), "{completed}");
    assert_eq!(
        same_meaning(yaml, completed),
        same_meaning(completed, yaml),
        "{completed}"
    );
    // It is YAML to the other reader, whatever that can make of its numbers.
    serde_yaml_ng::from_str::<IgnoredAny>(completed).unwrap_or_else(|why| panic!("{why}: {completed}"));
    if let Some(expected) = with_labels(yaml, labels) {
        let read: Value = serde_yaml_ng::from_str(completed).unwrap_or_else(|why| panic!("{why}: {completed}"));
        assert_eq!(read, expected, "{completed}");
    }
}

/// The configuration as another library reads it, with the labels put in there; nothing where it
/// cannot read it.
///
/// That library mistakes one anchor for another where a name is given twice, and takes `<<` in quotes
/// for a merge key.
fn with_labels(yaml: &str, labels: &BTreeMap<String, String>) -> Option<Value> {
    let mut names = HashSet::new();
    let ends = |c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c);
    if yaml
        .split('&')
        .skip(1)
        .any(|rest| !names.insert(rest.split(ends).next()))
    {
        return None;
    }
    if ["\"<<", "'<<"].iter().any(|quoted| yaml.contains(quoted)) {
        return None;
    }
    let mut tree: Value = serde_yaml_ng::from_str(yaml).ok()?;
    tree.apply_merge().ok()?;
    let global = under(tree.as_mapping_mut()?, "global")?;
    let external = under(global, "external_labels")?;
    for (name, value) in labels {
        external
            .entry(Value::from(name.as_str()))
            .or_insert(Value::from(value.as_str()));
    }
    Some(tree)
}

/// The mapping under a key, an empty one if there is nothing.
fn under<'a>(mapping: &'a mut Mapping, name: &str) -> Option<&'a mut Mapping> {
    let entry = mapping.entry(Value::from(name)).or_insert(Value::Null);
    if entry.is_null() {
        *entry = Value::Mapping(Mapping::new());
    }
    entry.as_mapping_mut()
}
