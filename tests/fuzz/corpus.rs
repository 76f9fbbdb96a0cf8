//! Replays the corpus: runs each input with its fuzz target. The corpus has the inputs that reached new code, or that
//! once failed. A line of `corpus/<target>.jsonl` is one input: its name, and its bytes as the characters U+0000 to
//! U+00FF.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, panic, path::Path};

use serde_json::Value;

fn replay(target: &str, check: fn(&[u8])) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{target}.jsonl"));
    let (mut count, mut failed) = (0, Vec::new());
    for line in fs::read_to_string(&file).unwrap().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let bytes: Vec<u8> = entry["bytes"]
            .as_str()
            .unwrap()
            .chars()
            .map(|byte| u8::try_from(byte).unwrap())
            .collect();
        if panic::catch_unwind(|| check(&bytes)).is_err() {
            failed.push(entry["name"].clone());
        }
        count += 1;
    }
    assert!(count > 20, "{count} inputs in {}", file.display());
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn requests_are_accepted_or_rejected() {
    replay("request", fuzz::request::check);
}

#[test]
fn arns_are_accepted_or_rejected() {
    replay("arn", fuzz::arn::check);
}

#[test]
fn completed_scrape_configurations_keep_their_meaning() {
    replay("scrape_configuration", fuzz::scrape_configuration::check);
}

#[test]
fn policies_with_the_same_meaning_have_the_same_content() {
    replay("policy", fuzz::policy::check);
}
