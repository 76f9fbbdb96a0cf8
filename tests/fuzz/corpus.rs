//! Each input of the corpus through its target: an input that once reached new code, or broke a promise, is tested from
//! then on. A line of `corpus/<target>.jsonl` is an input: its name, and its bytes as the characters U+0000 to U+00FF.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, panic, path::Path};

use serde_json::Value;

fn replay(target: &str, holds: fn(&[u8])) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{target}.jsonl"));
    let (mut seen, mut broken) = (0, Vec::new());
    for line in fs::read_to_string(&file).unwrap().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let bytes: Vec<u8> = entry["bytes"]
            .as_str()
            .unwrap()
            .chars()
            .map(|byte| u8::try_from(byte).unwrap())
            .collect();
        if panic::catch_unwind(|| holds(&bytes)).is_err() {
            broken.push(entry["name"].clone());
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen} inputs in {}", file.display());
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn requests_are_parsed_or_refused() {
    replay("request", fuzz::request::holds);
}

#[test]
fn arns_are_parsed_or_refused() {
    replay("arn", fuzz::arn::holds);
}

#[test]
fn scrape_configurations_keep_their_meaning() {
    replay("scrape_configuration", fuzz::scrape_configuration::holds);
}

#[test]
fn policies_mean_what_they_say() {
    replay("policy", fuzz::policy::holds);
}
