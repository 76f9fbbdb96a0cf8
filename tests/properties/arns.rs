//! ARNs with a wildcard or a policy variable are rejected. In a policy document they would match other resources (IAM
//! user guide, "Policy elements: variables and tags").

use crate::{CLUSTER, EXECUTION, WORKSPACE, assert_rejected};
use ampxa::{
    arn::{ClusterArn, ScraperArn, WorkspaceArn},
    offboarding,
    request::Request,
    roles::EnsureInput,
    task::Task,
};
use serde_json::json;
use std::str::FromStr;

const SCRAPER: &str = "arn:aws:aps:us-west-2:222222222222:scraper/s-1";

/// Wildcards, policy variables, and texts that resemble them.
const WILDCARDS: [&str; 12] = [
    "*",
    "?",
    "**",
    "${aws:username}",
    "${aws:PrincipalAccount}",
    "${aws:PrincipalTag/team, '*'}",
    "${*}",
    "${?}",
    "${$}",
    "$",
    "\\*",
    "%2A",
];

/// The ARN with a wildcard instead of each part, before it and after it; and each wildcard alone.
fn with_wildcards(arn: &str) -> Vec<String> {
    let parts: Vec<&str> = arn.split([':', '/']).collect();
    let mut all = Vec::new();
    for wildcard in WILDCARDS {
        all.push(wildcard.to_owned());
        let mut begin = 0;
        for part in &parts {
            let end = begin + part.len();
            let (before, after) = (&arn[..begin], &arn[end..]);
            for replacement in [
                wildcard.to_owned(),
                format!("{wildcard}{part}"),
                format!("{part}{wildcard}"),
            ] {
                all.push(format!("{before}{replacement}{after}"));
            }
            begin = end + 1;
        }
    }
    all
}

fn assert_rejects_wildcards<T: FromStr<Err = String>>(arn: &str) {
    assert!(arn.parse::<T>().is_ok());
    for text in with_wildcards(arn) {
        match text.parse::<T>() {
            Ok(_) => panic!("{text} is accepted"),
            Err(message) => crate::assert_one_short_line(&message),
        }
    }
}

#[test]
fn an_arn_with_a_wildcard_or_a_policy_variable_is_rejected() {
    assert_rejects_wildcards::<ClusterArn>(CLUSTER);
    assert_rejects_wildcards::<WorkspaceArn>(WORKSPACE);
    assert_rejects_wildcards::<ScraperArn>(SCRAPER);
}

#[test]
fn a_request_with_a_wildcard_in_an_arn_is_rejected_and_the_error_names_the_field() {
    for text in with_wildcards(CLUSTER) {
        let request = json!({ "clusterArn": text, "workspaceArn": WORKSPACE });
        assert_rejected(&Request::parse(&request).unwrap_err(), "clusterArn: ");
        let offboarding = offboarding::Request::try_from(json!({ "request": request }));
        assert_rejected(&offboarding.unwrap_err(), "clusterArn: ");
    }
    for text in with_wildcards(WORKSPACE) {
        let request = json!({ "clusterArn": CLUSTER, "workspaceArn": text });
        assert_rejected(&Request::parse(&request).unwrap_err(), "workspaceArn: ");
        let offboarding = offboarding::Request::try_from(json!({ "request": request }));
        assert_rejected(&offboarding.unwrap_err(), "workspaceArn: ");
    }
}

#[test]
fn a_step_rejects_an_input_with_a_wildcard_in_the_scraper_arn() {
    let task = |scraper: &str| {
        Task::<EnsureInput>::try_from(json!({
            "request": { "clusterArn": CLUSTER, "workspaceArn": WORKSPACE },
            "execution": EXECUTION,
            "scraperArn": scraper,
        }))
    };
    assert!(task(SCRAPER).is_ok());
    for text in with_wildcards(SCRAPER).iter().chain(&crate::hostile_texts()) {
        assert_rejected(&task(text).unwrap_err(), "scraperArn: ");
    }
}
