//! The schema and the parser say the same of every request, but for what no schema can say.

use ampxa::request::Request;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string("statemachine/request.schema.json").unwrap()).unwrap()
}

fn least() -> Value {
    json!({
        "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo",
        "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-1",
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut request = least();
    request[field] = value;
    request
}

fn labels(count: usize) -> Value {
    (0..count)
        .map(|i| (format!("l{i}"), json!("v")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Requests on which both must agree; which way, the parser's own tests say.
fn requests() -> Vec<Value> {
    let subnet = |i: usize| format!("subnet-0123456789abcde0{i}");
    let subnets = |count: usize| json!((0..count).map(subnet).collect::<Vec<_>>());
    let mut all = vec![
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        least(),
        json!({ "clusterArn": least()["clusterArn"] }),
    ];
    let cluster = |arn: &str| with("clusterArn", json!(arn));
    let long = format!("arn:aws:eks:us-west-2:222222222222:cluster/{}", "x".repeat(101));
    all.extend([
        cluster("x"),
        cluster("arn:aws:eks:us-west-2:22222222222:cluster/demo"),
        cluster("arn:aws:eks:us-west-2:222222222222:cluster/de mo"),
        cluster("arn:aws:eks:us-west-2:222222222222:cluster/-demo"),
        cluster("arn:aws:eks:us-west-2:222222222222:nodegroup/demo"),
        cluster("arn:aws-iso:eks:us-west-2:222222222222:cluster/demo"),
        cluster("arn:aws-cn:eks:us-west-2:222222222222:cluster/demo"),
        cluster("arn:aws:eks:cn-north-1:222222222222:cluster/demo"),
        cluster(&long),
        with("clusterArn", json!(5)),
        with("clusterArn", json!(null)),
        with(
            "workspaceArn",
            json!("arn:aws:aps:us-west-2:333333333333:workspace/ws-"),
        ),
        with("workspaceArn", json!("arn:aws:aps:us-west-2:333333333333:scraper/s-1")),
        with("unknown", json!(1)),
        with("onFailure", json!("UNDO")),
        with("alias", json!("a.b-c_d")),
        with("alias", json!("")),
        with("alias", json!("-a")),
        with("alias", json!("a".repeat(100))),
        with("alias", json!("a".repeat(101))),
        with("alias", json!(null)),
        with("alias", json!("é")),
        with("externalLabels", labels(32)),
        with("externalLabels", labels(33)),
        with("externalLabels", json!({ "__a": "b" })),
        with("externalLabels", json!({ "0a": "b" })),
        with("externalLabels", json!({ "a": "b\u{7f}" })),
        with("externalLabels", json!({ "a": "ü ${jndi} {% $x %}" })),
        with("externalLabels", json!({ "a": null })),
        with("tags", json!({ "Ümläut 1": "x/y=z" })),
        with("tags", json!({ "AwS:x": "y" })),
        with("tags", json!({ "ampxa:x": "y" })),
        with("tags", json!({ "a\"": "y" })),
        with("tags", json!({ "a": "<y>" })),
        with("tags", json!({ "": "y" })),
        with("tags", json!({ "a".repeat(129): "y" })),
        with("tags", json!({ "a": "y".repeat(257) })),
        with("tags", labels(41)),
        with("patchTrust", json!("EARLY")),
        with("patchTrust", json!("early")),
        with("patchTrust", json!(null)),
        with("clusterAccess", json!("MANUAL")),
        with("clusterAccess", json!(true)),
        with("activationTimeoutMinutes", json!(1)),
        with("activationTimeoutMinutes", json!(240)),
        with("activationTimeoutMinutes", json!(241)),
        with("activationTimeoutMinutes", json!(0)),
        with("activationTimeoutMinutes", json!(-1)),
        with("activationTimeoutMinutes", json!("60")),
        with("activationTimeoutMinutes", json!(1.5)),
    ]);
    all.extend([0, 1, 2, 5, 6].map(|count| with("subnetIds", subnets(count))));
    all.extend([
        with("subnetIds", json!([subnet(1), subnet(1)])),
        with("subnetIds", json!(["subnet-01234567"])),
        with("subnetIds", json!(["subnet-012345678"])),
        with("subnetIds", json!(["subnet-0123456G"])),
        with("securityGroupIds", json!(["sg-01234567"])),
        with("securityGroupIds", json!(["subnet-01234567"])),
        with("securityGroupIds", json!("sg-01234567")),
    ]);
    all
}

#[test]
fn schema_and_parser_agree() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let mut good = 0;
    for request in requests() {
        let parsed = Request::parse(&request);
        assert_eq!(schema.is_valid(&request), parsed.is_ok(), "{request}: {parsed:?}");
        good += usize::from(parsed.is_ok());
    }
    assert!(good > 10, "only {good} of them are good requests");
}

#[test]
fn what_no_schema_can_say_the_parser_refuses() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for request in [
        // Two fields together.
        with(
            "workspaceArn",
            json!("arn:aws:aps:eu-west-1:333333333333:workspace/ws-1"),
        ),
        // A language within a string.
        with("scrapeConfiguration", json!("scrape_configs: [")),
        with(
            "scrapeConfiguration",
            json!("scrape_configs: [{job_name: a, scrape_interval: 1s}]"),
        ),
    ] {
        assert!(
            schema.is_valid(&request) && Request::parse(&request).is_err(),
            "{request}"
        );
    }
}

#[test]
fn every_field_of_the_parser_is_described_with_an_example() {
    let schema = schema();
    let described: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let everything = fs::read_to_string("statemachine/examples/everything.json").unwrap();
    let mut everything: Value = serde_json::from_str(&everything).unwrap();
    everything["scrapeConfiguration"] = json!("scrape_configs: [{job_name: a}]");
    let request = serde_json::to_value(Request::parse(&everything).unwrap()).unwrap();
    assert_eq!(described, request.as_object().unwrap().keys().collect());
    for (name, field) in schema["properties"].as_object().unwrap() {
        assert!(field["title"].is_string() && field["description"].is_string(), "{name}");
        for example in field["examples"].as_array().unwrap() {
            let request = with(name, example.clone());
            let regions = Request::parse(&request);
            assert!(regions.is_ok(), "{name}: {regions:?}");
        }
    }
}

#[test]
fn every_example_is_a_good_request() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for file in fs::read_dir("statemachine/examples").unwrap() {
        let path = file.unwrap().path();
        let request: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(schema.is_valid(&request), "{}", path.display());
        assert!(Request::parse(&request).is_ok(), "{}", path.display());
    }
}
