//! A hostile text in any place of a request is refused, or stays where it was put.

use crate::{CLUSTER, WORKSPACE, hostile_texts, refusal, with};
use ampxa::{
    pair::Pair,
    policy::{self, Gate},
    request::Request,
    roles::EnsureInput,
    scrape_configuration::{complete, complete_default, labels},
    tags,
    task::Task,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeMap;

/// The places of a request where a text may stand: what a message about it begins with, and the
/// request with the text there.
fn places(text: &str) -> Vec<(&'static str, Value)> {
    let member = |key: &str, value: &str| json!({ key: value });
    let quoted = json!(text).to_string();
    vec![
        ("request", json!(text)),
        ("clusterArn", with("clusterArn", text)),
        ("clusterArn", with("clusterArn", format!("{CLUSTER}{text}"))),
        (
            "clusterArn",
            with(
                "clusterArn",
                format!("arn:aws:eks:us-west-2:222222222222:cluster/{text}"),
            ),
        ),
        (
            "clusterArn",
            with("clusterArn", format!("arn:aws:eks:{text}:222222222222:cluster/demo")),
        ),
        ("workspaceArn", with("workspaceArn", text)),
        ("workspaceArn", with("workspaceArn", format!("{WORKSPACE}{text}"))),
        ("subnetIds", with("subnetIds", text)),
        ("subnetIds", with("subnetIds", json!([text]))),
        ("subnetIds", with("subnetIds", json!([format!("subnet-{text}")]))),
        ("securityGroupIds", with("securityGroupIds", json!([text]))),
        (
            "securityGroupIds",
            with("securityGroupIds", json!([format!("sg-{text}")])),
        ),
        ("alias", with("alias", text)),
        ("alias", with("alias", format!("a{text}"))),
        ("scrapeConfiguration", with("scrapeConfiguration", text)),
        (
            "scrapeConfiguration",
            with(
                "scrapeConfiguration",
                format!("scrape_configs: [{{job_name: {quoted}}}]"),
            ),
        ),
        (
            "scrapeConfiguration",
            with(
                "scrapeConfiguration",
                format!("scrape_configs: [{{job_name: a, {quoted}: {quoted}}}]"),
            ),
        ),
        (
            "scrapeConfiguration",
            with("scrapeConfiguration", format!("scrape_configs: [{{job_name: {text}}}]")),
        ),
        (
            "scrapeConfiguration",
            with(
                "scrapeConfiguration",
                format!("scrape_configs: [{{job_name: a}}]\nglobal: {{external_labels: {{a: {quoted}}}}}"),
            ),
        ),
        (
            "scrapeConfiguration",
            with(
                "scrapeConfiguration",
                format!("scrape_configs: [{{job_name: a, scrape_interval: {quoted}}}]"),
            ),
        ),
        ("externalLabels", with("externalLabels", text)),
        ("externalLabels", with("externalLabels", member(text, "a"))),
        ("externalLabels", with("externalLabels", member("a", text))),
        ("externalLabels", with("externalLabels", member("cluster", text))),
        ("tags", with("tags", text)),
        ("tags", with("tags", member(text, "a"))),
        ("tags", with("tags", member("a", text))),
        ("tags", with("tags", json!({ text: text }))),
        ("patchTrust", with("patchTrust", text)),
        ("clusterAccess", with("clusterAccess", text)),
        ("activationTimeoutMinutes", with("activationTimeoutMinutes", text)),
        ("onFailure", with("onFailure", text)),
    ]
}

/// Refused under the field's name, or harmless in everything that is built from it.
fn holds(field: &str, given: &Value) {
    match Request::parse(given) {
        Err(error) => refusal(&error, field),
        Ok(request) => harmless(given, request),
    }
}

fn harmless(given: &Value, request: Request) {
    let json = serde_json::to_value(&request).unwrap();
    let text = json.to_string();
    assert_eq!(
        Request::parse(&serde_json::from_str(&text).unwrap()).as_ref(),
        Ok(&request)
    );

    let texts = |field: &str| -> BTreeMap<String, String> {
        serde_json::from_value(given[field].clone())
            .ok()
            .flatten()
            .unwrap_or_default()
    };
    assert_eq!(request.tags, texts("tags"));
    assert_eq!(request.external_labels, texts("externalLabels"));

    let task = Task::<EnsureInput>::try_from(json!({ "request": json, "execution": "e" })).unwrap();
    let worn = tags::of_pair(&task);
    assert!(request.tags.iter().all(|(key, value)| worn.get(key) == Some(value)));
    assert_eq!(worn.get(tags::CLUSTER_TAG), Some(&task.pair.cluster.to_string()));
    assert_eq!(worn.get(tags::WORKSPACE_TAG), Some(&task.pair.workspace.to_string()));
    labels_arrive(&request);
    policies_are_ours(&task.pair);
}

/// Another reader of YAML sees the very labels, whatever they are, but for those that the
/// configuration sets itself.
fn labels_arrive(request: &Request) {
    let labels = labels(&request.cluster_arn, &request.external_labels);
    let (own, completed) = match &request.scrape_configuration {
        Some(own) => (own.as_str(), complete(own, &labels)),
        None => ("a: b", complete_default("a: b", &labels)),
    };
    let read = |yaml: &str| -> Yaml { serde_yaml_ng::from_str(yaml).unwrap_or_default() };
    let (own, completed) = (read(own), read(&completed.unwrap()));
    for (name, value) in labels {
        let label = |yaml: &Yaml| yaml.get("global")?.get("external_labels")?.get(name.as_str()).cloned();
        let expected = label(&own).unwrap_or(Yaml::from(value));
        assert_eq!(label(&completed), Some(expected), "{name}");
    }
}

/// Each document has the one statement it should have, and in it no text but names of this pair.
fn policies_are_ours(pair: &Pair) {
    let scraper = format!("arn:aws:aps:us-west-2:{}:scraper/s-1", pair.cluster.account());
    let scraper = scraper.parse().unwrap();
    for gate in [Gate::Placeholder, Gate::Scraper(&scraper)] {
        let gates = match gate {
            Gate::Placeholder => pair.placeholder(),
            Gate::Scraper(scraper) => scraper.to_string(),
        };
        let expected = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "scraper.aps.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnEquals": { "aws:SourceArn": gates },
                "StringEquals": { "aws:SourceAccount": pair.cluster.account() },
            },
        }]});
        reads_as(&policy::source_trust(pair, gate), &expected);
        let expected = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": pair.source_role_arn() },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:ExternalId": gates } },
        }]});
        reads_as(&policy::target_trust(pair, gate), &expected);
    }
    let expected = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": pair.target_role_arn() },
    ]});
    reads_as(&policy::source_permissions(pair), &expected);
    let expected = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "aps:RemoteWrite", "NotResource": pair.workspace.to_string() },
    ]});
    reads_as(&policy::target_permissions(pair), &expected);

    // IAM's alphabet for the names of roles, of which the ARNs above are made.
    for name in [pair.source_role_name(), pair.target_role_name()] {
        let valid = |c: char| c.is_ascii_alphanumeric() || "+=,.@-_".contains(c);
        assert!((1..=64).contains(&name.len()) && name.chars().all(valid), "{name}");
    }
    for arn in [
        pair.source_role_arn(),
        pair.target_role_arn(),
        pair.workspace.to_string(),
    ] {
        let harmless = |c: char| c.is_ascii_alphanumeric() || ":/-_.".contains(c);
        assert!(arn.chars().all(harmless), "{arn}");
    }
    assert_eq!(pair.placeholder().matches(['*', '?', '$', '"', '\\']).count(), 1);
}

fn reads_as(document: &Value, expected: &Value) {
    let read: Value = serde_json::from_str(&document.to_string()).unwrap();
    assert_eq!(&read, expected);
}

#[test]
fn a_hostile_text_anywhere_is_refused_by_its_field_or_stays_a_text() {
    for text in hostile_texts() {
        for (field, request) in places(&text) {
            holds(field, &request);
        }
    }
}

#[test]
fn an_unknown_field_is_shown_and_not_obeyed() {
    for text in hostile_texts() {
        let error = match Request::parse(&with(&text, "x")) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{text:?} is no field"),
        };
        crate::one_short_line(&error);
        assert!(
            error.contains("unknown field; ") || error.starts_with("clusterArn: "),
            "{error}"
        );
    }
}

#[test]
fn any_value_where_another_is_expected_is_refused_by_its_field() {
    let deep = (0..100).fold(json!("x"), |inner, _| json!([inner]));
    for field in [
        "clusterArn",
        "workspaceArn",
        "subnetIds",
        "securityGroupIds",
        "alias",
        "scrapeConfiguration",
        "externalLabels",
        "tags",
        "patchTrust",
        "clusterAccess",
        "activationTimeoutMinutes",
        "onFailure",
    ] {
        for value in [
            json!(false),
            json!(1e308),
            json!(-1),
            json!(u64::MAX),
            json!(f64::MIN_POSITIVE),
            json!([[]]),
            json!([null]),
            json!([{}, {}]),
            json!({ "a": {} }),
            json!({ "a": null }),
            deep.clone(),
            json!({ "a": deep }),
        ] {
            holds(field, &with(field, value.clone()));
            let error = Request::parse(&with(field, value)).unwrap_err();
            refusal(&error, field);
        }
    }
}

proptest! {
    #[test]
    fn any_text_anywhere_is_refused_by_its_field_or_stays_a_text(text in any::<String>()) {
        for (field, request) in places(&text) {
            holds(field, &request);
        }
    }

    #[test]
    fn names_that_are_accepted_make_the_documents_they_should(
        cluster in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}",
        workspace in "ws-[a-zA-Z0-9._-]{1,61}",
        label in "[ -~\u{a1}-\u{d7ff}\u{10000}-\u{10ffff}]{0,40}",
        tag in "[\\p{L}\\p{N} _.:/=+@-]{0,40}",
    ) {
        let request = json!({
            "clusterArn": format!("arn:aws:eks:us-west-2:222222222222:cluster/{cluster}"),
            "workspaceArn": format!("arn:aws:aps:us-west-2:333333333333:workspace/{workspace}"),
            "externalLabels": { "a": label },
            "tags": { "a": format!("x{tag}") },
        });
        harmless(&request, Request::parse(&request).unwrap());
    }
}
