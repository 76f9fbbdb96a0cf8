//! A sample of the fault matrix: each kind of fault, in each scenario, in most steps.

use local::{
    faults::{self, Options},
    terminal::Report,
};
use serde_json::Value;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_a_pair_is_onboarded_or_all_is_as_before() {
    let options = Options {
        sample: Some(24),
        clouds: 1,
        ..Options::default()
    };
    let matrix = faults::run(&options, &Report::quiet()).await.unwrap();
    let names: Vec<&str> = matrix.outcomes().map(|outcome| outcome.name.as_str()).collect();
    assert_eq!(names.len(), 24);
    for part in [
        "onboard/",
        "undo/",
        "offboard/",
        "again/",
        "/throttled/",
        "/500/",
        "/cut-before/",
        "/cut-after/",
        "/denied/",
        "/slow/",
        "/killed/",
        "/once",
        "/always",
        "/unseen-roles",
    ] {
        assert!(names.iter().any(|name| name.contains(part)), "no {part} in {names:#?}");
    }
    let failed = matrix.failed();
    assert!(failed.is_empty(), "{failed:#?}");
    let sum = |name| matrix.sums().into_iter().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!((sum("orphans"), sum("momentsOfAnOpenGate")), (0, 0));
}

#[test]
fn one_case_is_tried_alone_and_told_as_json() {
    let case = "onboard/ensure-target-role/iam:CreateRole#1/denied/once";
    let run = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["faults", "--json", "--only", case])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&document["cases"], &document["failed"]), (&1.into(), &0.into()));
    let tried = &document["matrix"][0];
    assert_eq!(tried["case"], case);
    assert_eq!(tried["found"], "Refused");
    assert_eq!(tried["timesTheFaultHappened"], 1);
}

#[test]
fn a_case_that_is_not_known_is_an_error() {
    let run = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["faults", "--only", "no such case"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(said.contains("No case has \"no such case\" in its name."), "{said}");
}
