//! The command `ampxa` as an operator runs it: help, routing tables, the hub, `doctor`.

use crate::{
    command::ampxa,
    deployment::{HUB, SOURCE, deployment},
};
use serde_json::{Value, json};
use std::{fs, process::Output};

const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/payments-prod";
const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";

fn run(arguments: &[&str]) -> Output {
    ampxa(arguments).output().unwrap()
}

/// Runs `ampxa` with the local cloud that all tests share.
fn run_on_cloud(arguments: &[&str]) -> Output {
    let cloud = ["--local-cloud", deployment().cloud.url.as_str(), "--minute", "0.05"];
    run(&[arguments, &cloud].concat())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn problem(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Writes a routing table; returns its path.
fn table(name: &str, table: &Value) -> String {
    let file = format!("{}/{name}.json", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&file, table.to_string()).unwrap();
    file
}

#[test]
fn each_help_text_has_an_example_and_the_exit_codes_are_documented() {
    let help = run(&["--help"]);
    assert!(printed(&help).contains("  3    an execution would fail, or the plan has changed"));
    for command in [
        &["plan"][..],
        &["onboard"],
        &["offboard"],
        &["reconcile"],
        &["follow"],
        &["report"],
        &["status"],
        &["doctor"],
        &["routes", "check"],
        &["routes", "explain"],
    ] {
        let help = run(&[command, &["--help"]].concat());
        let example = format!("\n  ampxa {}", command.join(" "));
        assert_eq!(code(&help), 0);
        assert!(printed(&help).contains(&example), "no {example} in {}", printed(&help));
    }
}

#[test]
fn a_routing_table_is_checked_offline() {
    let rule = json!({ "match": { "accounts": ["222222222222"] }, "workspaceArn": WORKSPACE });
    let file = table("valid-routes", &json!({ "rules": [rule, rule] }));
    let valid = run(&["routes", "check", &file]);
    assert_eq!(code(&valid), 0, "{valid:?}");
    let lines = printed(&valid);
    assert!(
        lines.starts_with("warning: rules[1]: no cluster reaches this rule"),
        "{lines}"
    );
    assert!(
        lines.ends_with(&format!("{file} is valid: 2 rules, 1 warnings.\n")),
        "{lines}"
    );
    let valid = document(&run(&["routes", "check", &file, "--json"]));
    assert_eq!(
        (&valid["valid"], valid["warnings"].as_array().unwrap().len()),
        (&json!(true), 1)
    );

    let file = table("invalid-routes", &json!({ "rules": [{ "workspaceArn": "ws-1" }] }));
    let invalid = run(&["routes", "check", &file]);
    assert_eq!(code(&invalid), 1);
    let expected = format!("{file}: routes: rules[0].workspaceArn: \"ws-1\" is not a workspace ARN");
    assert!(problem(&invalid).starts_with(&expected), "{invalid:?}");
    let invalid = run(&["routes", "check", &file, "--json"]);
    assert_eq!((code(&invalid), &document(&invalid)["valid"]), (1, &json!(false)));
}

#[test]
fn the_route_of_a_cluster_is_explained_offline() {
    let rules = json!([
        { "match": { "accounts": ["444444444444"] }, "ignore": "sandbox" },
        { "match": { "accounts": ["222222222222"], "tags": { "team": "pay*" } }, "workspaceArn": WORKSPACE },
    ]);
    let file = table("routes-to-explain", &json!({ "rules": rules }));
    let explain = [
        "routes",
        "explain",
        CLUSTER,
        "--file",
        &file,
        "--tags",
        "team=payments",
        "env=prod",
    ];
    let explained = run(&explain);
    assert_eq!(code(&explained), 0, "{explained:?}");
    let text = printed(&explained);
    assert!(text.contains(&format!(
        "is onboarded to {WORKSPACE}: rules[1] is the first rule that matches."
    )));
    assert!(text.contains("does not match: the account 222222222222 is not in accounts (444444444444)"));
    let explained = document(&run(&[&explain[..], &["--json"]].concat()));
    assert_eq!(
        (&explained["outcome"], &explained["workspaceArn"]),
        (&json!("ONBOARD"), &json!(WORKSPACE))
    );
}

#[test]
fn the_route_of_a_cluster_is_explained_with_the_table_of_the_hub() {
    let explained = run_on_cloud(&["routes", "explain", CLUSTER, "--json"]);
    assert_eq!(code(&explained), 0, "{explained:?}");
    let explained = document(&explained);
    assert_eq!(explained["clusterArn"], CLUSTER);
    assert!(explained["rules"].is_array(), "{explained}");
}

#[test]
fn a_missing_hub_is_reported_with_what_to_do() {
    let missing = run_on_cloud(&["report", "--hub", "other"]);
    assert_eq!(code(&missing), 1);
    let expected = format!("the account {HUB} has no CloudFormation stack other in us-west-2: use credentials of");
    assert!(problem(&missing).contains(&expected), "{missing:?}");
}

#[test]
fn a_hub_without_a_report_says_how_to_make_one() {
    let missing = run_on_cloud(&["report"]);
    assert_eq!(code(&missing), 1, "{missing:?}");
    assert!(
        problem(&missing).contains("start a reconciliation with `ampxa reconcile`"),
        "{missing:?}"
    );
    assert_eq!(printed(&missing), "");
}

#[test]
fn a_change_needs_a_terminal_or_yes() {
    let answer = run_on_cloud(&["onboard", CLUSTER, WORKSPACE]);
    assert_eq!(code(&answer), 2, "{answer:?}");
    assert!(problem(&answer).contains("add --yes"), "{answer:?}");
    let answer = run(&["onboard", "cluster/a", WORKSPACE]);
    assert_eq!(code(&answer), 2, "{answer:?}");
}

#[test]
fn doctor_prints_one_line_for_each_finding() {
    let answer = run_on_cloud(&["doctor", "--accounts", "222222222222,555555555555"]);
    let lines = printed(&answer);
    for expected in [
        "ok    stack ampxa: CREATE_COMPLETE in us-west-2 of 111111111111",
        "fail  account 555555555555: it has no role ampxa-reader-source. Deploy infra/source-account.yaml there.",
        "ok    account 222222222222: the role ampxa-reader-source exists",
        "ok    account 222222222222: the role ampxa-provisioner-source exists",
    ] {
        assert!(
            lines.lines().any(|line| line == expected),
            "no line {expected:?} in\n{lines}"
        );
    }
    for check in ["alerts", "trail", "event rules", "ampxa-onboard"] {
        let found = lines.lines().any(|line| line[6..].starts_with(&format!("{check}: ")));
        assert!(found, "no finding of {check} in\n{lines}");
    }
    assert_eq!(code(&answer), 1, "{lines}");

    let findings = run_on_cloud(&["doctor", "--accounts", SOURCE, "--json"]);
    for finding in document(&findings)["findings"].as_array().unwrap() {
        let level = finding["level"].as_str().unwrap();
        assert_eq!(
            finding["fix"].is_string(),
            ["warn", "fail"].contains(&level),
            "{finding}"
        );
    }
}
