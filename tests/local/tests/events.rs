//! Every case that starts the product by itself.

use local::{
    events::{self, Options},
    terminal::Report,
};
use serde_json::Value;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_starts_what_it_must_and_people_hear_of_what_goes_wrong() {
    let options = Options {
        timed: false,
        ..Options::default()
    };
    let table = events::run(&options, &Report::quiet()).await.unwrap();
    assert!(table.outcomes().len() >= 24);
    let failed = table.failed();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn one_case_is_played_alone_and_told_as_json() {
    let case = "aft/the-pipeline-goes-on-whatever-fails";
    let run = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["events", "--json", "--only", case])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&document["cases"], &document["failed"]), (&1.into(), &0.into()));
    let played = &document["outcomes"][0];
    assert_eq!((&played["case"], &played["good"]), (&case.into(), &true.into()));
}

#[test]
fn a_case_that_is_not_known_is_an_error() {
    let run = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["events", "--only", "no such case"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(said.contains("No case has \"no such case\" in its name."), "{said}");
}
