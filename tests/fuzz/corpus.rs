//! Every file of the corpus through its target: what the fuzzer once found holds from now on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, panic, path::Path};

fn replay(target: &str, holds: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let (mut seen, mut broken) = (0, Vec::new());
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if panic::catch_unwind(|| holds(&bytes)).is_err() {
            broken.push(path);
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen} files in {}", folder.display());
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
