//! A wildcard or a policy variable in an ARN is refused before it can reach a policy document, where
//! it would mean more than itself (IAM user guide, "Policy elements: variables and tags").

use crate::{CLUSTER, WORKSPACE, refusal};
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

const WILD: [&str; 12] = [
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

/// The ARN with a wild text in place of each part, before it, after it, and behind the last letter.
fn wild(arn: &str) -> Vec<String> {
    let parts: Vec<&str> = arn.split([':', '/']).collect();
    let mut all = Vec::new();
    for wild in WILD {
        all.push(wild.to_owned());
        let mut begin = 0;
        for part in &parts {
            let end = begin + part.len();
            let (before, after) = (&arn[..begin], &arn[end..]);
            for instead in [wild.to_owned(), format!("{wild}{part}"), format!("{part}{wild}")] {
                all.push(format!("{before}{instead}{after}"));
            }
            begin = end + 1;
        }
    }
    all
}

fn none_is<T: FromStr<Err = String>>(arn: &str) {
    assert!(arn.parse::<T>().is_ok());
    for text in wild(arn) {
        match text.parse::<T>() {
            Ok(_) => panic!("{text} is accepted"),
            Err(why) => crate::one_short_line(&why),
        }
    }
}

#[test]
fn no_arn_has_a_wildcard_or_a_policy_variable_anywhere() {
    none_is::<ClusterArn>(CLUSTER);
    none_is::<WorkspaceArn>(WORKSPACE);
    none_is::<ScraperArn>(SCRAPER);
}

#[test]
fn a_request_with_a_wild_arn_is_refused_by_its_field() {
    for text in wild(CLUSTER) {
        let request = json!({ "clusterArn": text, "workspaceArn": WORKSPACE });
        refusal(&Request::parse(&request).unwrap_err(), "clusterArn: ");
        let asked = offboarding::Request::try_from(json!({ "request": request }));
        refusal(&asked.unwrap_err(), "clusterArn: ");
    }
    for text in wild(WORKSPACE) {
        let request = json!({ "clusterArn": CLUSTER, "workspaceArn": text });
        refusal(&Request::parse(&request).unwrap_err(), "workspaceArn: ");
        let asked = offboarding::Request::try_from(json!({ "request": request }));
        refusal(&asked.unwrap_err(), "workspaceArn: ");
    }
}

#[test]
fn a_step_that_is_told_of_a_wild_scraper_refuses_it() {
    let told = |scraper: &str| {
        Task::<EnsureInput>::try_from(json!({
            "request": { "clusterArn": CLUSTER, "workspaceArn": WORKSPACE },
            "execution": "e",
            "scraperArn": scraper,
        }))
    };
    assert!(told(SCRAPER).is_ok());
    for text in wild(SCRAPER).iter().chain(&crate::hostile_texts()) {
        refusal(&told(text).unwrap_err(), "scraperArn: ");
    }
}
