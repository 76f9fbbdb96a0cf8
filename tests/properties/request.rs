//! A hostile text in any field of a request is rejected, or remains a plain text in the field.

use crate::{CLUSTER, EXECUTION, WORKSPACE, assert_rejected, hostile_texts, with};
use ampxa::{
    pair::Pair,
    policy::{self, Gate},
    request::Request,
    roles::EnsureInput,
    scrape_configuration::{IDENTITY_LABEL, complete, complete_default, labels},
    tags,
    task::Task,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeMap;

/// The minimal request with the text in each possible field, and the name of the field that an error must start with.
fn requests_with(text: &str) -> Vec<(&'static str, Value)> {
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
                format!("scrape_configs: [{{job_name: a}}]\nglobal: {{external_labels: {{clusterArn: {quoted}}}}}"),
            ),
        ),
        (
            "scrapeConfiguration",
            with(
                "scrapeConfiguration",
                format!(
                    "scrape_configs: [{{job_name: a, relabel_configs: [{{action: labelmap, regex: {quoted}, \
                     replacement: {quoted}}}, {{target_label: {quoted}}}]}}]"
                ),
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
        ("externalLabels", with("externalLabels", member(IDENTITY_LABEL, text))),
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

/// Asserts that a request is rejected with the field's name, or that everything built from it is harmless.
fn assert_rejected_or_harmless(field: &str, given: &Value) {
    match Request::parse(given) {
        Err(error) => assert_rejected(&error, field),
        Ok(request) => assert_harmless(given, request),
    }
}

/// Asserts that tags, labels, policy documents and the request's JSON contain its values as plain texts.
fn assert_harmless(given: &Value, request: Request) {
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
    let mut external_labels = texts("externalLabels");
    external_labels.remove(IDENTITY_LABEL);
    assert_eq!(request.external_labels, external_labels);

    let task = Task::<EnsureInput>::try_from(json!({ "request": json, "execution": EXECUTION })).unwrap();
    let tags = tags::of_pair(&task);
    assert!(request.tags.iter().all(|(key, value)| tags.get(key) == Some(value)));
    assert_eq!(tags.get(tags::CLUSTER_TAG), Some(&task.pair.cluster.to_string()));
    assert_eq!(tags.get(tags::WORKSPACE_TAG), Some(&task.pair.workspace.to_string()));
    assert_labels(&request);
    assert_policies(&task.pair);
}

/// Asserts that another YAML parser reads the labels unchanged from the completed configuration. A label that the
/// configuration sets itself keeps its value.
fn assert_labels(request: &Request) {
    let labels = labels(&request.cluster_arn, &request.external_labels);
    let (original, completed) = match &request.scrape_configuration {
        Some(original) => (original.as_str(), complete(original, &labels)),
        None => ("a: b", complete_default("a: b", &labels)),
    };
    let parse = |yaml: &str| -> Yaml { serde_yaml_ng::from_str(yaml).unwrap_or_default() };
    let (original, completed) = (parse(original), parse(&completed.unwrap()));
    for (name, value) in labels {
        let label = |yaml: &Yaml| yaml.get("global")?.get("external_labels")?.get(name.as_str()).cloned();
        let own = label(&original).filter(|_| name != IDENTITY_LABEL);
        let expected = own.unwrap_or(Yaml::from(value));
        assert_eq!(label(&completed), Some(expected), "{name}");
    }
}

/// Asserts that each policy document has exactly the expected statement, with names and ARNs of this pair only.
fn assert_policies(pair: &Pair) {
    let scraper = format!("arn:aws:aps:us-west-2:{}:scraper/s-1", pair.cluster.account());
    let scraper = scraper.parse().unwrap();
    for gate in [Gate::Placeholder, Gate::Scraper(&scraper)] {
        let scraper = match gate {
            Gate::Placeholder => pair.placeholder(),
            Gate::Scraper(scraper) => scraper.to_string(),
        };
        let expected = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "scraper.aps.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnEquals": { "aws:SourceArn": scraper },
                "StringEquals": { "aws:SourceAccount": pair.cluster.account() },
            },
        }]});
        assert_reads_as(&policy::source_trust(pair, gate), &expected);
        let expected = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": pair.source_role_arn() },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:ExternalId": scraper } },
        }]});
        assert_reads_as(&policy::target_trust(pair, gate), &expected);
    }
    let expected = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": pair.target_role_arn() },
    ]});
    assert_reads_as(&policy::source_permissions(pair), &expected);
    let expected = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "aps:RemoteWrite", "NotResource": pair.workspace.to_string() },
    ]});
    assert_reads_as(&policy::target_permissions(pair), &expected);

    // The characters that IAM allows in role names, which are part of the ARNs above.
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

/// Asserts that a document has the expected value after a round trip through JSON text.
fn assert_reads_as(document: &Value, expected: &Value) {
    let read: Value = serde_json::from_str(&document.to_string()).unwrap();
    assert_eq!(&read, expected);
}

#[test]
fn a_hostile_text_in_any_field_is_rejected_or_remains_a_text() {
    for text in hostile_texts() {
        for (field, request) in requests_with(&text) {
            assert_rejected_or_harmless(field, &request);
        }
    }
}

#[test]
fn an_unknown_field_is_rejected() {
    for text in hostile_texts() {
        let error = match Request::parse(&with(&text, "x")) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the unknown field {text:?} is accepted"),
        };
        crate::assert_one_short_line(&error);
        assert!(
            error.contains("unknown field; ") || error.starts_with("clusterArn: "),
            "{error}"
        );
    }
}

#[test]
fn a_value_of_another_type_is_rejected_and_the_error_names_the_field() {
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
            assert_rejected_or_harmless(field, &with(field, value.clone()));
            let error = Request::parse(&with(field, value)).unwrap_err();
            assert_rejected(&error, field);
        }
    }
}

proptest! {
    #[test]
    fn any_text_in_any_field_is_rejected_or_remains_a_text(text in any::<String>()) {
        for (field, request) in requests_with(&text) {
            assert_rejected_or_harmless(field, &request);
        }
    }

    #[test]
    fn the_policies_of_a_valid_request_have_exactly_the_expected_statements(
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
        assert_harmless(&request, Request::parse(&request).unwrap());
    }
}
