//! Compares the verdicts on the configurations in `tests/scrape_configurations` with the expected ones.

use super::{tests::labels_to_add, *};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    configuration: String,
    /// Why the verdict differs from that of promtool.
    reason: Option<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scrape_configurations")
}

fn entries() -> Vec<Entry> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    let read = |file: &PathBuf| fs::read_to_string(file).unwrap();
    let texts: Vec<String> = files.iter().map(read).collect();
    let documents = texts
        .iter()
        .flat_map(|text| serde_yaml_ng::Deserializer::from_str(text));
    documents
        .map(|document| Entry::deserialize(document).unwrap())
        .collect()
}

fn json_file(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// The problems and the warnings.
fn verdict(configuration: &str) -> Value {
    let problems: Vec<String> = match complete(configuration, &labels_to_add()) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    };
    json!({ "problems": problems, "warnings": warnings(configuration) })
}

#[test]
fn the_verdicts_are_the_expected_ones() {
    let actual: serde_json::Map<String, Value> = entries()
        .into_iter()
        .map(|entry| (entry.name, verdict(&entry.configuration)))
        .collect();
    assert!(actual.len() > 150, "{}", actual.len());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&actual).unwrap();
        fs::write(folder().join("ampxa.json"), text + "\n").unwrap();
    }
    let expected = json_file("ampxa.json");
    assert_eq!(actual.len(), expected.as_object().unwrap().len());
    for (name, verdict) in actual {
        assert_eq!(verdict, expected[&name], "{name}");
    }
}

#[test]
fn each_difference_from_promtool_has_a_reason() {
    let promtool = json_file("promtool.json");
    let mut wrong = Vec::new();
    for entry in entries() {
        let ampxa_accepts = verdict(&entry.configuration)["problems"] == json!([]);
        let promtool_accepts = promtool["verdicts"][&entry.name] == "accepted";
        let differs = ampxa_accepts != promtool_accepts;
        let known = ["AMP: ", "ampxa: ", "promtool: "];
        let has_reason = match &entry.reason {
            None => false,
            Some(reason) => known.iter().any(|begin| reason.starts_with(begin)),
        };
        if differs != has_reason || has_reason != entry.reason.is_some() {
            wrong.push((entry.name, ampxa_accepts, entry.reason));
        }
    }
    assert!(
        wrong.is_empty(),
        "name, whether ampxa accepts it, and reason: {wrong:#?}"
    );
}
