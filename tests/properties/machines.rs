//! The expressions of the state machines read values only from variables, and a text that looks like JSON or JSONata
//! remains a text in them.

use ampxa::Error;
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use std::{fs, path::Path};
use support::jsonata;

/// Every string of every state machine, with its path.
fn texts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine");
    let mut texts = Vec::new();
    let mut machines = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().ends_with(".asl.yaml") {
            let machine: Value = serde_yaml_ng::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            collect(
                &mut texts,
                path.file_name().unwrap().to_string_lossy().into_owned(),
                &machine,
            );
            machines += 1;
        }
    }
    assert_eq!(machines, 3);
    texts
}

fn collect(texts: &mut Vec<(String, String)>, path: String, value: &Value) {
    match value {
        Value::String(text) => texts.push((path, text.clone())),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| collect(texts, format!("{path}/{index}"), item)),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, field)| collect(texts, format!("{path}/{key}"), field)),
        _ => {}
    }
}

/// The expressions of all state machines with their paths, without `{%` and `%}`.
fn expressions() -> Vec<(String, String)> {
    let inner = |text: &str| Some(text.strip_prefix("{%")?.strip_suffix("%}")?.trim().to_owned());
    let all = texts().into_iter();
    all.filter_map(|(path, text)| Some((path, inner(&text)?))).collect()
}

fn evaluate(expression: &str, variables: &Value) -> Result<Value, String> {
    jsonata::evaluate(expression, variables.as_object().unwrap())
}

/// The variables of an expression that creates a cause, with an error in each variable that may hold one.
fn variables_with_failure(error: &str, cause: Option<&str>) -> Value {
    let mut failure = json!({ "Error": error });
    if let Some(cause) = cause {
        failure["Cause"] = cause.into();
    }
    json!({
        "states": {
            "errorOutput": failure,
            "input": { "failure": failure, "clusterArn": "c" },
        },
        "failure": failure,
        "rollback": "Nothing was created.",
        "rollbackFailure": {},
        "result": "Nothing was removed.",
    })
}

/// The expressions that create the cause of an error.
fn cause_expressions() -> Vec<(String, String)> {
    let all: Vec<_> = expressions()
        .into_iter()
        .filter(|(_, expression)| expression.contains("'AWS gave no cause.'"))
        .collect();
    assert_eq!(all.len(), 6, "{all:?}");
    all
}

/// The cause in the result of such an expression.
fn cause_of(result: &Value) -> &str {
    let text = result.get("cause").unwrap_or(result);
    text.as_str().unwrap_or_else(|| panic!("not a string: {result}"))
}

/// Hostile texts as causes of errors.
fn hostile_causes() -> impl Iterator<Item = String> {
    // Step Functions limits a cause to 32,768 characters.
    let hostile = crate::hostile_texts().into_iter().filter(|text| text.len() <= 32_768);
    let more = [
        "{\"errorMessage\":\"inner\",\"errorType\":\"AccessDenied\"}",
        "{% $parse('{}') %}",
        "' & $states.input & '",
        "{\"errorMessage\":{\"a\":1}}",
        "{ no JSON at all",
    ];
    hostile.chain(more.map(str::to_owned))
}

#[test]
fn no_expression_is_built_from_a_text() {
    for (path, text) in texts() {
        assert!(!text.contains("$eval"), "{path}: {text}");
        if text.contains("{%") || text.contains("%}") {
            // The whole string is one expression, without a placeholder that the deployment substitutes.
            assert!(text.starts_with("{% ") && text.ends_with(" %}"), "{path}: {text}");
            assert_eq!(
                (text.matches("{%").count(), text.matches("%}").count()),
                (1, 1),
                "{path}"
            );
            assert!(!text.contains("${"), "{path}: {text}");
        } else if let Some(integration) = text.strip_prefix("arn:${Partition}:states:::") {
            assert!(
                path.ends_with("/Resource") && !integration.contains("${"),
                "{path}: {text}"
            );
        } else if text.contains("${") {
            let name = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
            let is_placeholder = name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric()));
            let is_resource = ["/FunctionName", "/StateMachineArn", "/Bucket"]
                .iter()
                .any(|end| path.ends_with(end));
            assert!(is_placeholder && is_resource, "{path}: {text}");
        }
    }
    let all = expressions();
    assert!(all.len() > 60, "{}", all.len());
    for (_, expression) in all {
        jsonata::parse(&expression);
    }
}

#[test]
fn the_message_of_a_function_error_is_in_the_cause_unchanged() {
    for (path, expression) in cause_expressions() {
        for message in hostile_causes() {
            let diagnostic = Diagnostic::from(Error::AccessDenied(message.clone()));
            let json = json!({ "errorType": diagnostic.error_type, "errorMessage": diagnostic.error_message });
            let variables = variables_with_failure("AccessDenied", Some(&json.to_string()));
            let result =
                evaluate(&expression, &variables).unwrap_or_else(|error| panic!("{path}: {error} for {message:?}"));
            let cause = cause_of(&result);
            assert!(cause.contains(&message), "{path}: {message:?} became {cause:?}");
            assert!(
                !cause.contains("errorType\":\"AccessDenied\",") || message.contains("errorType"),
                "{path}"
            );
        }
    }
}

#[test]
fn the_cause_of_an_aws_error_is_in_the_cause_unchanged_even_if_it_looks_like_json() {
    for (path, expression) in cause_expressions() {
        // The names of AWS's errors contain a dot; the names of ampxa's errors do not.
        for error in [
            "States.Timeout",
            "Runtime.ExitError",
            "Lambda.Unknown",
            "Sandbox.Timedout",
        ] {
            for text in hostile_causes() {
                let result = evaluate(&expression, &variables_with_failure(error, Some(&text)))
                    .unwrap_or_else(|error| panic!("{path}: {error} for {text:?}"));
                let cause = cause_of(&result);
                assert!(cause.contains(&format!("{error}: {text}")), "{path}: {cause:?}");
            }
            let result = evaluate(&expression, &variables_with_failure(error, None)).unwrap();
            assert!(
                cause_of(&result).contains(&format!("{error}: AWS gave no cause.")),
                "{path}"
            );
        }
        for text in hostile_causes().filter(|text| !text.starts_with("{\"error")) {
            let result = evaluate(&expression, &variables_with_failure("ClusterBusy", Some(&text))).unwrap();
            assert!(cause_of(&result).contains(&text), "{path}: {text:?}");
        }
    }
}

#[test]
fn the_cause_of_a_failed_rollback_follows_the_cause_of_the_failure() {
    let (path, expression) = cause_expressions()
        .into_iter()
        .find(|(path, _)| path.ends_with("Onboarding failed/Cause"))
        .unwrap();
    for text in hostile_causes() {
        let mut variables = variables_with_failure("ScraperFailed", Some("The scraper is CREATION_FAILED."));
        variables["rollbackFailure"] = json!({ "Error": "States.Timeout", "Cause": text });
        variables["remaining"] = json!(["arn:a", "arn:b"]);
        let result = evaluate(&expression, &variables).unwrap();
        let expected = format!(
            "The scraper is CREATION_FAILED. The rollback did not finish: States.Timeout: {text} What is left, if this \
             execution created it: arn:a, arn:b."
        );
        assert!(result.as_str().unwrap().starts_with(&expected), "{path}: {result}");
    }
}

#[test]
fn the_status_reason_of_a_scraper_is_in_the_cause_unchanged() {
    let (path, expression) = expressions()
        .into_iter()
        .find(|(_, expression)| expression.contains("$scraper.statusReason"))
        .unwrap();
    for reason in hostile_causes() {
        let scraper = json!({ "scraperArn": "s", "status": "CREATION_FAILED", "statusReason": reason });
        let result = evaluate(&expression, &json!({ "scraper": scraper })).unwrap();
        assert!(
            result.as_str().unwrap().contains(&format!(": {reason}. ")),
            "{path}: {result}"
        );
    }
}

/// The variables of the state machines, with `$states.result` and `$states.input` of each kind of state.
fn samples() -> Vec<Value> {
    let mut input = json!({
        "provisionerTimeoutMinutes": 60, "workspace": "ws-1", "reconciliation": "arn:r", "seconds": 300, "index": 4,
        "startedAt": "2026-01-01T00:00:00Z",
        "inventory": { "reachable": true, "reason": "why", "findings": [{ "kind": "LOCATION" }] },
        "finding": {
            "kind": "CLUSTER", "account": "222222222222", "region": "us-west-2", "first": true, "clusterArn": "c",
            "organizationalUnits": ["ou"], "action": "ONBOARD", "name": "n", "request": { "clusterArn": "c" },
            "plan": { "plan": "0a" }, "removal": { "plan": "0b" }, "scraperArns": ["s"], "missing": true, "orphanSince": null,
        },
        "clusterArn": "c", "failure": { "Error": "States.Timeout" },
        "decision": { "action": "WAIT", "name": "n", "request": { "clusterArn": "c" } },
        "removeUnrouted": true, "plans": true, "disconnects": true, "isExpected": true, "report": "s3://bucket/key",
        "pair": { "clusterArn": "c", "workspaceArn": "w", "name": "n" },
        "counts": { "UNCHANGED": 1 }, "lost": 1,
        "pairs": [], "removed": [], "request": {}, "removal": { "deleted": false, "scraperArns": ["s"], "unreachable": "why" },
        "leaveUnreachable": true, "left": ["s"], "reasons": ["why"],
    });
    let plan =
        json!({ "changes": [], "prerequisites": ["p"], "wouldFailAs": "NotReady", "inProgress": null, "plan": "0a" });
    input.as_object_mut().unwrap().extend(plan.as_object().unwrap().clone());
    let role = json!({ "created": true, "repaired": ["tags"] });
    let mut variables = json!({
        "request": {
            "clusterArn": "c", "workspaceArn": "w", "patchTrust": "EARLY", "checkIngestion": "REQUIRE",
            "onFailure": "DO_NOTHING", "activationTimeoutMinutes": 60,
        },
        "sourceRoleArn": "arn:source", "targetRoleArn": "arn:target", "sourceRole": role, "targetRole": role,
        "lock": { "state": "HELD", "holder": "arn:e", "stopped": null, "propagationSeconds": 0 },
        "check": {
            "readiness": "WAITING", "preparations": ["ACCESS_ENTRIES"], "scrapers": 1, "quota": 10, "manualAccess": false, "scraperArn": "s",
            "staleScrapers": [{ "scraperArn": "s", "reason": "is CREATION_FAILED" }],
            "network": { "subnetIds": ["subnet-1"], "securityGroupIds": [] },
        },
        "staleScraper": { "deleted": false, "scraperArns": ["s"] },
        "removal": { "deleted": false, "scraperArns": ["s"] },
        "scraper": { "scraperArn": "s", "status": "CREATING", "statusReason": null },
        "scraperCreated": true, "upToDate": true, "scraperRepaired": [], "patched": { "source": true, "target": false },
        "ingestion": { "result": "NONE", "targets": 0, "up": 0, "hints": ["a", "b"], "collectorLogs": "ENABLE" }, "warnings": ["w"], "polls": 3,
        "secondsForLock": 7200, "secondsForCluster": 3600, "secondsForStaleScraper": 0, "secondsForScraper": 0,
        "secondsForRoles": 0,
        "secondsForSamples": 600, "secondsForRemoval": 0, "removed": ["r"], "remaining": ["r"],
        "rollback": "Nothing was created.", "rollbackFailure": {}, "result": "Nothing was removed.",
        "skipReason": null, "outcomes": [], "failure": { "Error": "States.Timeout", "Cause": "why" },
        "pairs": [
            { "clusterArn": "c", "workspaceArn": "w", "removed": [], "skipped": [], "error": "E", "cause": "why" },
        ],
    });
    variables["replacedConfiguration"] = Value::Null;
    variables["clusterUpdateId"] = Value::Null;
    variables["plannedPreparations"] = json!(["PRIVATE_ENDPOINT"]);
    variables["collectorLogsSince"] = Value::Null;
    for name in ["collectorLogsUpdated", "collectorLogsEnabled", "changed"] {
        variables[name] = json!(true);
    }
    variables["collectorLogsFailure"] = json!("why");
    variables["prepared"] = json!(["PRIVATE_ENDPOINT"]);
    variables["longestInterval"] = json!(60);
    variables["identified"] = json!(true);
    variables["patchedEarly"] = json!(false);
    variables["hasNewRoles"] = json!(true);
    variables["version"] = json!("1.0.0");
    variables["restored"] = json!({ "restored": false });
    variables["scraper"]["hasOtherRoles"] = json!(true);
    variables["removal"]["rolesInUseBy"] = json!("s");
    variables["check"]["adoption"] =
        json!({ "scraperArn": "s", "sourceRoleArn": "a", "targetRoleArn": "b", "alias": null });
    variables["scope"] = json!({
        "locations": "reports/1/locations.jsonl", "folder": "reports/1/", "isWhole": true, "mode": "APPLY",
        "provisionerTimeoutMinutes": 60, "workspace": "ws-1", "removeUnrouted": true, "plans": true, "disconnects": false, "expectedPlan": "0a",
        "version": "1.0.0",
    });
    for map in ["found", "planned", "applied"] {
        variables[map] = json!(format!("reports/1/{map}/2/manifest.json"));
    }
    variables["leaveUnreachable"] = json!(true);
    let context = json!({
        "Execution": { "Id": "arn:e", "Name": "e", "Input": {}, "StartTime": "2026-01-01T00:00:00Z" },
        "State": { "EnteredTime": "2026-01-01T00:00:00Z" },
        "Map": { "Item": { "Index": 4, "Value": { "clusterArn": "c" } } },
    });
    let of = |result: Value| {
        let error = json!({ "Error": "States.Timeout", "Cause": "why" });
        let mut all = variables.clone();
        all["states"] = json!({ "input": input, "context": context, "result": result, "errorOutput": error });
        all
    };
    vec![
        of(json!({ "Payload": {}, "Output": { "outcome": "ONBOARDED" }, "ExecutionArn": "arn:e" })),
        of(json!({ "Payload": {
            "plan": "0a", "collectorLogsSince": null, "updateId": null, "preparations": ["PRIVATE_ENDPOINT"],
            "request": {}, "sourceRoleArn": "arn:source", "targetRoleArn": "arn:target", "created": true,
            "warnings": [], "repaired": [], "upToDate": true, "longestInterval": 60, "identified": true, "version": "1.0.0", "replacedConfiguration": "s3://b/k", "source": true, "target": true, "scraperArns": ["s"],
            "roleArn": "arn:source", "outcome": "REMOVED", "skipReason": "the event is late",
        } })),
        of(
            json!({ "MapRunArn": "arn:m", "ResultWriterDetails": { "Bucket": "b", "Key": "reports/1/found/2/manifest.json" } }),
        ),
        of(json!([{ "request": { "clusterArn": "c", "workspaceArn": "w" }, "removed": [], "skipped": [] }])),
    ]
}

#[test]
fn every_expression_has_a_value() {
    for (path, expression) in expressions() {
        let values: Vec<_> = samples().iter().map(|sample| evaluate(&expression, sample)).collect();
        assert!(values.iter().any(Result::is_ok), "{path}: {values:?}");
    }
}
