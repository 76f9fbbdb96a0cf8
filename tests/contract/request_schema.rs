//! Schemas and parsers accept the same requests.

use ampxa::{
    offboarding, reconcile,
    request::Request,
    routing::{Routes, Settings},
};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn folder() -> PathBuf {
    crate::root().join("statemachine")
}

fn schema() -> Value {
    json_file(folder().join("request.schema.json"))
}

fn json_file(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn with(name: &str, value: Value) -> Value {
    let mut request = json!({
        "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/payments",
        "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b",
    });
    request[name] = value;
    request
}

fn cluster(arn: &str) -> Value {
    let mut request = with("clusterArn", json!(arn));
    let region = arn.split(':').nth(3).unwrap_or_default();
    let partition = arn.split(':').nth(1).unwrap_or_default();
    request["workspaceArn"] = json!(format!("arn:{partition}:aps:{region}:333333333333:workspace/ws-0a1b"));
    request
}

#[test]
fn schema_and_parser_accept_the_same_requests() {
    let subnet = |i: usize| format!("subnet-0123456789abcde{i:02}");
    let subnets = |count: usize| json!((0..count).map(subnet).collect::<Vec<_>>());
    let numbered = |count: usize| -> Value {
        (0..count)
            .map(|i| (format!("k{i}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let with_object = |field: &str, value: &str| {
        let mut request = with("scrapeConfigurationObject", json!("configurations/a.yaml"));
        request[field] = json!(value);
        request
    };
    let valid = [
        with_object("alias", "a"),
        with_object("scrapeConfigurationVersion", "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY"),
        with("scrapeConfiguration", json!("DEFAULT")),
        cluster("arn:aws-us-gov:eks:us-gov-east-1:222222222222:cluster/A_b-3"),
        cluster("arn:aws:eks:ap-southeast-5:222222222222:cluster/0"),
        cluster(&format!(
            "arn:aws:eks:us-west-2:222222222222:cluster/{}",
            "x".repeat(100)
        )),
        with(
            "workspaceArn",
            json!("arn:aws:aps:us-west-2:222222222222:workspace/ws-1"),
        ),
        with("subnetIds", subnets(5)),
        with("subnetIds", json!(["subnet-01234567"])),
        with("subnetIds", Value::Null),
        with("securityGroupIds", json!(["sg-0123456789abcdef0"])),
        with("alias", json!("0.a-B_c")),
        with("alias", json!("a".repeat(100))),
        with("scrapeConfiguration", json!("scrape_configs: [{job_name: a}]")),
        with("externalLabels", json!({ "_team": "Zahlungen £ 😀", "cluster": "" })),
        with("externalLabels", numbered(32)),
        with("externalLabels", json!({ "clusterArn": null, "team": "a" })),
        with("externalLabels", json!({ "clusterArn": "" })),
        with(
            "externalLabels",
            json!({ "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/payments" }),
        ),
        with("tags", json!({ "cost center": "a_.:/=+-@ 9é", "team": "" })),
        with("tags", json!({ "x".repeat(128): "é".repeat(256) })),
        with("tags", json!({ "my:aws:x": "maws:" })),
        with("tags", numbered(40)),
        with("patchTrust", json!("EARLY")),
        with("patchTrust", Value::Null),
        with("clusterAccess", json!("MANUAL")),
        with("activationTimeoutMinutes", json!(1)),
        with("activationTimeoutMinutes", json!(240.0)),
        with("onFailure", json!("DO_NOTHING")),
        with("checkIngestion", json!("SKIP")),
        with("checkIngestion", json!("REQUIRE")),
        with("checkIngestion", Value::Null),
    ];
    let invalid = [
        json!(null),
        json!("{}"),
        json!([]),
        json!({}),
        json!({ "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/payments" }),
        with("clusterArn", Value::Null),
        with("onFailure", json!("rollback")),
        with("checkIngestion", json!("skip")),
        with("clusterarn", json!("a")),
        cluster("arn:aws:eks:cn-north-1:222222222222:cluster/a"),
        cluster("arn:aws-cn:eks:us-west-2:222222222222:cluster/a"),
        cluster("arn:aws-cn:eks:cn-northwest-1:222222222222:cluster/a"),
        cluster("arn:aws-iso:eks:us-iso-east-1:222222222222:cluster/a"),
        cluster("arn:aws:eks:us-iso-east-1:222222222222:cluster/a"),
        cluster("arn:aws-eusc:eks:eusc-de-east-1:222222222222:cluster/a"),
        cluster("arn:aws:eks:eusc-de-east-1:222222222222:cluster/a"),
        cluster("arn:aws:eks:us-west-2:22222222222:cluster/a"),
        cluster("arn:aws:eks:us-west-2:222222222222:cluster/-a"),
        cluster("arn:aws:eks:us-west-2:222222222222:cluster/a\n"),
        cluster("arn:aws:eks:uswest2:222222222222:cluster/a"),
        cluster("arn:aws:eks:us-west-123:222222222222:cluster/a"),
        cluster(&format!("arn:aws:eks:us-{}-2:222222222222:cluster/a", "west".repeat(8))),
        cluster(&format!(
            "arn:aws:eks:us-west-2:222222222222:cluster/{}",
            "x".repeat(101)
        )),
        with(
            "workspaceArn",
            json!("arn:aws:aps:us-west-2:333333333333:workspace/ws-"),
        ),
        with("workspaceArn", json!("arn:aws:aps:us-west-2:333333333333:scraper/s-1")),
        with("subnetIds", json!([])),
        with("subnetIds", subnets(6)),
        with("subnetIds", json!([subnet(1), subnet(1)])),
        with("subnetIds", json!(["subnet-0123456"])),
        with("subnetIds", json!(["subnet-0123456789ABCDEF0"])),
        with("subnetIds", json!([null])),
        with("securityGroupIds", json!("sg-0123456789abcdef0")),
        with("securityGroupIds", json!(["subnet-0123456789abcdef0"])),
        with("alias", json!("")),
        with("alias", json!("-a")),
        with("alias", json!("a".repeat(101))),
        with("scrapeConfiguration", json!("")),
        with("scrapeConfiguration", json!({})),
        with("scrapeConfiguration", json!("A".repeat(131_073))),
        with("externalLabels", json!({ "0a": "b" })),
        with("externalLabels", json!({ "__a": "b" })),
        with("externalLabels", json!({ "a": "b\u{85}" })),
        with("externalLabels", json!({ "a": "x".repeat(1025) })),
        with("externalLabels", json!({ "x".repeat(129): "a" })),
        with("externalLabels", json!({ "a": null })),
        with("externalLabels", json!({ "clusterArn": "shared" })),
        with("externalLabels", json!({ "clusterArn": 1 })),
        with("externalLabels", numbered(33)),
        with("scrapeConfigurationObject", json!("replaced/a")),
        with("scrapeConfigurationObject", json!("configurations/")),
        with("scrapeConfigurationObject", json!("configurations/../replaced/a")),
        with(
            "scrapeConfigurationObject",
            json!(format!("configurations/{}", "x".repeat(242))),
        ),
        with("scrapeConfigurationVersion", json!("v1")),
        with_object("scrapeConfiguration", "DEFAULT"),
        with_object("scrapeConfigurationVersion", "v 1"),
        with("tags", json!({ "": "a" })),
        with("tags", json!({ "aWs:a": "b" })),
        with("tags", json!({ "a": "aws:b" })),
        with("tags", json!({ "AMPXA:a": "b" })),
        with("tags", json!({ "a": "b*" })),
        with("tags", json!({ "a\n": "b" })),
        with("tags", json!({ "x".repeat(129): "a" })),
        with("tags", json!({ "a": "é".repeat(257) })),
        with("tags", numbered(41)),
        with("patchTrust", json!("early")),
        with("clusterAccess", json!(1)),
        with("activationTimeoutMinutes", json!(0)),
        with("activationTimeoutMinutes", json!(241)),
        with("activationTimeoutMinutes", json!(1.5)),
        with("activationTimeoutMinutes", json!("60")),
    ];
    let validator = validator();
    for request in &valid {
        assert!(validator.is_valid(request), "the schema rejects {request}");
        assert_eq!(Request::parse(request).err(), None, "{request}");
    }
    for request in &invalid {
        assert!(!validator.is_valid(request), "the schema accepts {request}");
        assert!(Request::parse(request).is_err(), "the parser accepts {request}");
    }
}

/// Rules of the parser that a schema cannot express: a comparison of fields, keys that differ only in case, a limit
/// in bytes, the content of the scrape configuration.
#[test]
fn the_parser_checks_rules_that_a_schema_cannot_express() {
    let validator = validator();
    for request in [
        with(
            "workspaceArn",
            json!("arn:aws:aps:eu-west-1:333333333333:workspace/ws-1"),
        ),
        with(
            "workspaceArn",
            json!("arn:aws-us-gov:aps:us-gov-west-1:333333333333:workspace/ws-1"),
        ),
        with("tags", json!({ "team": "a", "Team": "b" })),
        with("externalLabels", json!({ "a": "é".repeat(513) })),
        with(
            "externalLabels",
            json!({ "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/other" }),
        ),
        with("scrapeConfiguration", json!("no base64")),
        with("scrapeConfiguration", json!(format!("a: {}", "x".repeat(65_536)))),
    ] {
        assert!(validator.is_valid(&request), "{request}");
        assert!(Request::parse(&request).is_err(), "{request}");
    }
}

/// All fields of a schema at any depth, with their paths.
fn fields(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(field, &path, found);
        found.push((path, field.clone()));
    }
    if schema["items"]["properties"].is_object() {
        fields(&schema["items"], &format!("{path}[]"), found);
    }
}

#[test]
fn every_field_of_every_schema_has_a_description_and_valid_examples() {
    for name in ["request", "offboarding", "reconcile", "routes"] {
        let schema = json_file(folder().join(format!("{name}.schema.json")));
        let mut found = vec![];
        fields(&schema, name, &mut found);
        assert!(!found.is_empty());
        for (path, field) in found {
            assert!(field["title"].is_string(), "{path} has no title");
            let description = field["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{path}: {description}");
            let validator = jsonschema::draft202012::new(&field).unwrap();
            let examples = field["examples"].as_array().map_or(&[][..], Vec::as_slice);
            assert!(!examples.is_empty(), "{path} has no examples");
            for example in examples {
                assert!(validator.is_valid(example), "{path}: {example}");
            }
        }
    }
}

#[test]
fn every_folder_of_examples_is_used_by_a_test() {
    let entries = fs::read_dir(folder().join("examples")).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut folders: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    folders.sort();
    assert_eq!(folders, ["offboarding", "reconcile", "routes"]);
}

#[test]
fn every_field_has_a_title_a_description_and_a_valid_example() {
    let schema = schema();
    let validator = validator();
    assert!(schema["title"].is_string() && schema["description"].is_string());
    for (name, field) in schema["properties"].as_object().unwrap() {
        assert!(field["title"].is_string(), "{name}");
        assert!(
            field["description"].as_str().is_some_and(|text| text.ends_with('.')),
            "{name}"
        );
        for example in field["examples"]
            .as_array()
            .unwrap_or_else(|| panic!("{name} has no examples"))
        {
            let mut request = with(name, example.clone());
            if name == "scrapeConfigurationVersion" {
                request["scrapeConfigurationObject"] = json!("configurations/pods.yaml");
            }
            assert!(validator.is_valid(&request), "{name}: {example}");
            assert_eq!(Request::parse(&request).err(), None);
        }
    }
}

#[test]
fn every_example_is_accepted_by_schema_and_parser() {
    let mut seen = 0;
    for file in fs::read_dir(folder().join("examples")).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let request: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(validator().is_valid(&request), "{}", path.display());
        let parsed = Request::parse(&request).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Some(yaml) = &parsed.scrape_configuration {
            let labels = ampxa::scrape_configuration::labels(&parsed.cluster_arn, &parsed.external_labels);
            ampxa::scrape_configuration::complete(yaml, &labels).unwrap();
        }
        let completed = serde_json::to_value(&parsed).unwrap();
        assert!(validator().is_valid(&completed), "{completed}");
        seen += 1;
    }
    assert!(seen >= 5);
}

#[test]
fn schema_and_parser_of_offboarding_accept_the_same_requests() {
    let schema = json_file(folder().join("offboarding.schema.json"));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let parse = |request: &Value| offboarding::Request::try_from(json!({ "request": request }));
    let cluster = with("workspaceArn", Value::Null);
    let mut valid = vec![
        cluster.clone(),
        json!({ "clusterArn": cluster["clusterArn"] }),
        with(
            "workspaceArn",
            json!("arn:aws:aps:us-west-2:222222222222:workspace/ws-1"),
        ),
        with("origin", json!("EVENT")),
        with("origin", json!("REQUEST")),
        with("origin", Value::Null),
        with("mode", json!("PLAN")),
        with("mode", Value::Null),
        with("expectedPlan", json!("0123456789abcdef0123456789abcdef")),
        with("expectedPlan", Value::Null),
    ];
    for file in fs::read_dir(folder().join("examples/offboarding")).unwrap() {
        valid.push(json_file(file.unwrap().path()));
    }
    assert_eq!(valid.len(), 13);
    for request in valid {
        assert!(validator.is_valid(&request), "{request}");
        let parsed = parse(&request).unwrap_or_else(|error| panic!("{request}: {error}"));
        let again = serde_json::to_value(&parsed).unwrap();
        assert!(validator.is_valid(&again), "{again}");
        assert_eq!(parse(&again), Ok(parsed));
    }
    for (request, field) in [
        (json!(null), "request: "),
        (json!({}), "clusterArn: missing"),
        (
            with("alias", json!("a")),
            "alias: unknown field; the fields are clusterArn, workspaceArn",
        ),
        (with("clusterArn", json!("a")), "clusterArn: "),
        (with("workspaceArn", json!(1)), "workspaceArn: expected a string"),
        (with("origin", json!("PERSON")), "origin: \"PERSON\" is not valid"),
        (with("origin", json!(true)), "origin: expected \"REQUEST\""),
        (with("mode", json!("DELETE")), "mode: \"DELETE\" is not valid"),
        (with("expectedPlan", json!("0A")), "expectedPlan: \"0A\" is not valid"),
        (
            with("workspaceArn", json!("arn:aws:aps:us-west-2:333333333333:workspace/*")),
            "workspaceArn: ",
        ),
    ] {
        assert!(!validator.is_valid(&request), "{request}");
        let error = parse(&request).unwrap_err().to_string();
        assert!(error.starts_with(field), "{error:?} does not begin with {field:?}");
    }
    // A rule that a schema cannot express: both ARNs must have the same Region.
    let other_region = with(
        "workspaceArn",
        json!("arn:aws:aps:eu-west-1:333333333333:workspace/ws-1"),
    );
    assert!(validator.is_valid(&other_region));
    assert!(
        parse(&other_region)
            .unwrap_err()
            .to_string()
            .starts_with("workspaceArn: ")
    );
}

/// A schema, and the examples of a folder.
fn schema_and_examples(schema: &str, examples: &str) -> (Validator, Vec<Value>) {
    let validator = jsonschema::draft202012::new(&json_file(folder().join(schema))).unwrap();
    let files = fs::read_dir(folder().join("examples").join(examples)).unwrap();
    (validator, files.map(|file| json_file(file.unwrap().path())).collect())
}

#[test]
fn schema_and_parser_accept_the_same_routing_tables() {
    let (validator, examples) = schema_and_examples("routes.schema.json", "routes");
    assert_eq!(examples.len(), 3);
    let settings = Settings {
        hub: "ampxa".to_owned(),
        parameter: "/ampxa/routes".to_owned(),
        default_workspace: String::new(),
        default_workspace_any_account: false,
        organizations: true,
    };
    let parse = |table: &Value| Routes::parse(Some(&table.to_string()), &settings);
    let workspace = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";
    let rule = |rule: Value| json!({ "rules": [rule] });
    // A rule for clusters of every account, with these fields.
    let for_all = |fields: Value| {
        let mut all = json!({ "workspaceArn": workspace, "anyAccount": true });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        rule(all)
    };
    let matching = |matches: Value| for_all(json!({ "match": matches }));
    let naming = |matches: Value| rule(json!({ "match": matches, "workspaceArn": workspace }));
    let choice = |choice: Value| json!({ "workspaces": [choice] });
    let account = json!({ "accounts": ["222222222222"] });
    let unit = json!({ "organizationalUnits": ["ou-a1b2-c3d4e5f6"] });
    let valid = [
        json!({}),
        json!({ "rules": null, "workspaces": null }),
        json!({ "rules": [] }),
        choice(json!({ "workspaceArn": workspace, "match": account })),
        choice(json!({ "workspaceArn": workspace, "match": account, "anyAccount": false })),
        choice(json!({ "workspaceArn": workspace, "match": unit, "anyAccount": null })),
        choice(json!({ "workspaceArn": workspace, "anyAccount": true })),
        choice(json!({ "workspaceArn": workspace, "anyAccount": true, "match": null })),
        choice(json!({ "workspaceArn": workspace, "anyAccount": true, "match": { "accounts": null } })),
        json!({ "workspaces": [
            { "workspaceArn": workspace, "match": account }, { "workspaceArn": workspace, "match": unit },
        ] }),
        rule(json!({ "ignore": "x", "patchTrust": null, "workspaceArn": null })),
        rule(json!({ "ignore": "x", "anyAccount": null, "match": null })),
        rule(json!({ "ignore": "x", "anyAccount": false, "match": { "tags": { "a": "b" } } })),
        naming(account.clone()),
        naming(json!({ "organizationalUnits": ["ou-a1b2-c3d4e5f6"], "accounts": null, "tags": { "a": "b" } })),
        naming(json!({ "accounts": ["222222222222"], "organizationalUnits": ["ou-a1b2-c3d4e5f6"] })),
        rule(json!({ "workspaceArn": workspace, "match": unit, "anyAccount": false })),
        for_all(json!({ "ignore": null, "patchTrust": "FINAL" })),
        for_all(json!({ "checkIngestion": "SKIP" })),
        for_all(json!({ "externalLabels": {} })),
        for_all(json!({ "externalLabels": { "clusterArn": null, "team": "a" } })),
        for_all(json!({ "externalLabels": { "clusterArn": "" } })),
        matching(json!({ "accounts": null, "organizationalUnits": null })),
        matching(json!(null)),
        matching(json!({})),
        matching(json!({ "regions": ["us-gov-west-1", "ap-southeast-5"] })),
        matching(json!({ "clusterNames": ["*", "a?_-B9"] })),
        matching(json!({ "tags": { "any key": "any value *" } })),
    ];
    for table in valid.iter().chain(&examples) {
        assert!(validator.is_valid(table), "the schema rejects {table}");
        assert_eq!(parse(table).err(), None, "{table}");
    }
    for table in [
        json!(null),
        json!([]),
        json!({ "rule": [] }),
        json!({ "rules": {} }),
        json!({ "workspaces": [] }),
        json!({ "workspaces": ["ws-1"] }),
        json!({ "workspaces": [workspace] }),
        json!({ "workspaces": [
            { "workspaceArn": workspace, "match": account }, { "workspaceArn": workspace, "match": account },
        ] }),
        choice(json!(null)),
        choice(json!({})),
        choice(account.clone()),
        choice(json!({ "workspaceArn": "ws-1", "match": account })),
        choice(json!({ "workspaceArn": null, "match": account })),
        choice(json!({ "workspaceArn": workspace })),
        choice(json!({ "workspaceArn": workspace, "anyAccount": false })),
        choice(json!({ "workspaceArn": workspace, "anyAccount": "yes" })),
        choice(json!({ "workspaceArn": workspace, "anyAccount": true, "match": account })),
        choice(json!({ "workspaceArn": workspace, "anyAccount": true, "match": unit })),
        choice(json!({ "workspaceArn": workspace, "match": {} })),
        choice(json!({ "workspaceArn": workspace, "match": { "regions": ["us-west-2"] } })),
        choice(json!({ "workspaceArn": workspace, "match": account, "patchTrust": "EARLY" })),
        rule(json!({ "workspaceArn": workspace })),
        rule(json!({ "workspaceArn": workspace, "anyAccount": false })),
        rule(json!({ "workspaceArn": workspace, "anyAccount": null, "match": null })),
        rule(json!({ "workspaceArn": workspace, "anyAccount": 1 })),
        rule(json!({ "ignore": "x", "anyAccount": true })),
        naming(json!({})),
        naming(json!({ "accounts": null, "organizationalUnits": null })),
        naming(json!({ "regions": ["us-west-2"], "clusterNames": ["a"], "tags": { "a": "b" } })),
        matching(account.clone()),
        matching(unit.clone()),
        rule(json!(null)),
        rule(json!({})),
        rule(json!({ "match": {} })),
        for_all(json!({ "workspaceArn": "ws-1" })),
        rule(json!({ "ignore": "" })),
        rule(json!({ "ignore": "  " })),
        rule(json!({ "ignore": "x".repeat(501) })),
        rule(json!({ "ignore": 1 })),
        rule(json!({ "ignore": "x", "workspaceArn": workspace })),
        rule(json!({ "ignore": "x", "patchTrust": "FINAL" })),
        rule(json!({ "ignore": "x", "checkIngestion": "SKIP" })),
        for_all(json!({ "checkIngestion": "NO" })),
        rule(json!({ "ignore": "x", "externalLabels": {} })),
        rule(json!({ "ignore": "x", "scrapeConfigurationParameter": "/ampxa/x" })),
        for_all(json!({ "patchTrust": "early" })),
        for_all(json!({ "tags": {} })),
        for_all(json!({ "externalLabels": { "__a": "b" } })),
        for_all(json!({ "externalLabels": { "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/a" } })),
        for_all(json!({ "scrapeConfigurationParameter": "x" })),
        for_all(json!({ "scrapeConfigurationParameter": "/ampxa/a b" })),
        matching(json!([])),
        matching(json!({ "account": ["222222222222"] })),
        naming(json!({ "accounts": [] })),
        naming(json!({ "accounts": ["222222222222", "222222222222"] })),
        naming(json!({ "accounts": ["2222"] })),
        naming(json!({ "organizationalUnits": ["r-a1b2"] })),
        naming(json!({ "organizationalUnits": ["ou-a1b2-c3d4e5f6-a"] })),
        matching(json!({ "regions": ["oregon"] })),
        matching(json!({ "regions": ["cn-north-1"] })),
        matching(json!({ "regions": ["us-west-2 "] })),
        matching(json!({ "clusterNames": [""] })),
        matching(json!({ "clusterNames": ["a.b"] })),
        matching(json!({ "clusterNames": "a" })),
        matching(json!({ "tags": {} })),
        matching(json!({ "tags": { "a": 1 } })),
    ] {
        assert!(!validator.is_valid(&table), "the schema accepts {table}");
        assert!(parse(&table).is_err(), "the parser accepts {table}");
    }
    // A rule that a schema cannot express: the parameter must be in the folder of the table.
    let other_folder = for_all(json!({ "scrapeConfigurationParameter": "/other/x" }));
    assert!(validator.is_valid(&other_folder) && parse(&other_folder).is_err());
}

#[test]
fn schema_and_parser_of_reconciliation_accept_the_same_requests() {
    let (validator, examples) = schema_and_examples("reconcile.schema.json", "reconcile");
    assert_eq!(examples.len(), 7);
    let parse = reconcile::Request::parse;
    let valid = [
        json!({ "removeUnrouted": true, "workspace": null }),
        json!({ "removeUnrouted": false, "workspace": "ws-1" }),
        json!({ "accounts": null, "organization": true }),
        json!({ "accounts": ["222222222222"], "organization": false }),
        json!({ "provisionerTimeoutMinutes": 240.0 }),
        json!({ "provisionerTimeoutMinutes": 0 }),
        json!({ "mode": "PLAN", "expectedPlan": null }),
        json!({ "action": "DISCONNECT", "workspace": null, "removeUnrouted": false }),
        json!({ "mode": null, "expectedPlan": "0a".repeat(16) }),
    ];
    for request in valid.iter().chain(&examples) {
        assert!(validator.is_valid(request), "the schema rejects {request}");
        assert_eq!(parse(request).err(), None, "{request}");
    }
    for request in [
        json!({ "removeUnrouted": "yes" }),
        json!({ "mode": "plan" }),
        json!({ "action": "disconnect" }),
        json!({ "action": "DISCONNECT", "workspace": "ws-1" }),
        json!({ "action": "DISCONNECT", "removeUnrouted": true }),
        json!({ "expectedPlan": "0A".repeat(16) }),
        json!({ "expectedPlan": "0a" }),
        json!({ "removeUnrouted": true, "workspace": "ws-1" }),
        json!(null),
        json!("{}"),
        json!({ "account": "222222222222" }),
        json!({ "accounts": [] }),
        json!({ "accounts": "222222222222" }),
        json!({ "accounts": ["222222222222", "222222222222"] }),
        json!({ "accounts": ["22222222222２"] }),
        json!({ "regions": ["US-WEST-2"] }),
        json!({ "regions": ["cn-north-1"] }),
        json!({ "regions": ["eusc-de-east-1"] }),
        json!({ "organization": "yes" }),
        json!({ "accounts": ["222222222222"], "organization": true }),
        json!({ "provisionerTimeoutMinutes": 241 }),
        json!({ "provisionerTimeoutMinutes": -1 }),
        json!({ "provisionerTimeoutMinutes": 1.5 }),
        json!({ "workspace": "" }),
        json!({ "workspace": "x".repeat(257) }),
    ] {
        assert!(!validator.is_valid(&request), "the schema accepts {request}");
        assert!(parse(&request).is_err(), "the parser accepts {request}");
    }
}
