//! The machines take values from variables only, and a text that looks like JSON or JSONata passes
//! through their expressions as a text.

use ampxa::Error;
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use std::{fs, path::Path};
use support::jsonata;

/// Every text of every machine, with the keys that lead to it.
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

/// The expressions of all machines, without their brackets.
fn expressions() -> Vec<(String, String)> {
    let inner = |text: &str| Some(text.strip_prefix("{%")?.strip_suffix("%}")?.trim().to_owned());
    let all = texts().into_iter();
    all.filter_map(|(path, text)| Some((path, inner(&text)?))).collect()
}

fn evaluate(expression: &str, variables: &Value) -> Result<Value, String> {
    jsonata::evaluate(expression, variables.as_object().unwrap())
}

/// What an expression sees that words this error, wherever its machine keeps it.
fn caught(error: &str, cause: Option<&str>) -> Value {
    let mut failure = json!({ "Error": error });
    if let Some(cause) = cause {
        failure["Cause"] = cause.into();
    }
    json!({
        "states": { "errorOutput": failure, "input": { "failure": failure, "clusterArn": "c", "orphan": { "clusterArn": "c" } } },
        "failure": failure,
        "rollback": "Nothing was created.",
        "rollbackFailure": {},
        "result": "Nothing was removed.",
    })
}

/// The expressions that word an error.
fn wordings() -> Vec<(String, String)> {
    let all: Vec<_> = expressions()
        .into_iter()
        .filter(|(_, expression)| expression.contains("'AWS gave no cause.'"))
        .collect();
    assert_eq!(all.len(), 8, "{all:?}");
    all
}

/// The sentence that a wording answers.
fn sentence(answer: &Value) -> &str {
    let text = answer.get("cause").unwrap_or(answer);
    text.as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

/// Whether a wording says a text; in a reconciliation it says the first 200 characters.
fn says(sentence: &str, text: &str) -> bool {
    sentence.contains(text) || (sentence.chars().count() == 200 && text.starts_with(sentence))
}

fn causes() -> impl Iterator<Item = String> {
    // More than Step Functions gives of a cause comes never: 32,768 characters.
    let hostile = crate::hostile_texts().into_iter().filter(|text| text.len() <= 32_768);
    let own = [
        "{\"errorMessage\":\"inner\",\"errorType\":\"AccessDenied\"}",
        "{% $parse('{}') %}",
        "' & $states.input & '",
        "{\"errorMessage\":{\"a\":1}}",
        "{ no JSON at all",
    ];
    hostile.chain(own.map(str::to_owned))
}

#[test]
fn no_expression_is_built_from_text() {
    for (path, text) in texts() {
        assert!(!text.contains("$eval"), "{path}: {text}");
        if text.contains("{%") || text.contains("%}") {
            // One expression is the whole text, and none has a placeholder that deploying fills.
            assert!(text.starts_with("{% ") && text.ends_with(" %}"), "{path}: {text}");
            assert_eq!(
                (text.matches("{%").count(), text.matches("%}").count()),
                (1, 1),
                "{path}"
            );
            assert!(!text.contains("${"), "{path}: {text}");
        } else if text.contains("${") {
            let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            let is_name = name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric()));
            let is_callee = path.ends_with("/FunctionName") || path.ends_with("/StateMachineArn");
            assert!(is_name && is_callee, "{path}: {text}");
        }
    }
    let all = expressions();
    assert!(all.len() > 60, "{}", all.len());
    for (_, expression) in all {
        jsonata::parsed(&expression);
    }
}

#[test]
fn the_message_of_a_function_is_worded_unchanged() {
    for (path, expression) in wordings() {
        for said in causes() {
            let diagnostic = Diagnostic::from(Error::AccessDenied(said.clone()));
            let cause = json!({ "errorType": diagnostic.error_type, "errorMessage": diagnostic.error_message });
            let answer = evaluate(&expression, &caught("AccessDenied", Some(&cause.to_string())))
                .unwrap_or_else(|why| panic!("{path}: {why} for {said:?}"));
            let sentence = sentence(&answer);
            assert!(says(sentence, &said), "{path}: {said:?} became {sentence:?}");
            assert!(
                !sentence.contains("errorType\":\"AccessDenied\",") || said.contains("errorType"),
                "{path}"
            );
        }
    }
}

#[test]
fn the_cause_of_an_error_of_aws_is_worded_unchanged_even_if_it_looks_like_json() {
    for (path, expression) in wordings() {
        // Every error of AWS's has a dot in its name, and none of ours has one.
        for error in [
            "States.Timeout",
            "Runtime.ExitError",
            "Lambda.Unknown",
            "Sandbox.Timedout",
        ] {
            for said in causes() {
                let answer = evaluate(&expression, &caught(error, Some(&said)))
                    .unwrap_or_else(|why| panic!("{path}: {why} for {said:?}"));
                let sentence = sentence(&answer);
                assert!(says(sentence, &format!("{error}: {said}")), "{path}: {sentence:?}");
            }
            let answer = evaluate(&expression, &caught(error, None)).unwrap();
            assert!(
                sentence(&answer).contains(&format!("{error}: AWS gave no cause.")),
                "{path}"
            );
        }
        for said in causes().filter(|said| !said.starts_with("{\"error")) {
            let answer = evaluate(&expression, &caught("ClusterBusy", Some(&said))).unwrap();
            assert!(says(sentence(&answer), &said), "{path}: {said:?}");
        }
    }
}

#[test]
fn a_failure_of_the_rollback_is_worded_after_the_failure_that_led_to_it() {
    let (path, expression) = wordings()
        .into_iter()
        .find(|(path, _)| path.ends_with("Onboarding failed/Cause"))
        .unwrap();
    for said in causes() {
        let mut variables = caught("ScraperFailed", Some("The scraper is CREATION_FAILED."));
        variables["rollbackFailure"] = json!({ "Error": "States.Timeout", "Cause": said });
        variables["remaining"] = json!(["arn:a", "arn:b"]);
        let answer = evaluate(&expression, &variables).unwrap();
        let right = format!(
            "The scraper is CREATION_FAILED. The rollback did not finish: States.Timeout: {said} What is left, if this \
             execution created it: arn:a, arn:b."
        );
        assert!(answer.as_str().unwrap().starts_with(&right), "{path}: {answer}");
    }
}

#[test]
fn what_amp_says_of_a_scraper_is_a_text() {
    let (path, expression) = expressions()
        .into_iter()
        .find(|(_, expression)| expression.contains("$scraper.statusReason"))
        .unwrap();
    for said in causes() {
        let scraper = json!({ "scraperArn": "s", "status": "CREATION_FAILED", "statusReason": said });
        let answer = evaluate(&expression, &json!({ "scraper": scraper })).unwrap();
        assert!(
            answer.as_str().unwrap().contains(&format!(": {said}. ")),
            "{path}: {answer}"
        );
    }
}

/// What the states see, with `$states.result` as each kind of state gives it.
fn samples() -> Vec<Value> {
    let input = json!({
        "batches": [{ "accounts": ["222222222222"] }], "accounts": ["222222222222", "444444444444"], "regions": ["us-west-2"],
        "provisionerTimeoutMinutes": 60, "workspace": "ws-1", "maxListed": 50, "reconciliation": "arn:r", "seconds": 300,
        "location": { "account": "222222222222", "region": "us-west-2" },
        "inventory": { "reachable": true, "reason": "why", "clusters": ["c"], "organizationalUnits": [], "orphans": [] },
        "clusterArn": "c", "organizationalUnits": ["ou"], "failure": { "Error": "States.Timeout" },
        "decision": { "action": "WAIT", "name": "n", "request": { "clusterArn": "c" }, "reason": "why" },
        "orphan": { "clusterArn": "c", "scraperArns": ["s"], "missing": true, "orphanSince": null },
        "outcomes": [{ "clusterArn": "c", "outcome": "UNCHANGED" }], "results": [],
        "counts": { "UNCHANGED": 1 }, "failed": [], "skipped": [], "moreFailed": 0, "lost": 1,
        "pairs": [], "removed": [], "request": {}, "removal": { "deleted": false, "scraperArns": ["s"] },
    });
    let role = json!({ "created": true, "repaired": ["tags"] });
    let variables = json!({
        "request": {
            "clusterArn": "c", "workspaceArn": "w", "patchTrust": "EARLY", "checkIngestion": "REQUIRE",
            "onFailure": "DO_NOTHING", "activationTimeoutMinutes": 60,
        },
        "sourceRoleArn": "arn:source", "targetRoleArn": "arn:target", "sourceRole": role, "targetRole": role,
        "lock": { "state": "HELD", "holder": "arn:e", "stopped": null, "propagationSeconds": 0 },
        "check": {
            "readiness": "WAITING", "scrapers": 1, "quota": 10, "manualAccess": false, "scraperArn": "s",
            "staleScrapers": [{ "scraperArn": "s", "reason": "is CREATION_FAILED" }],
            "network": { "subnetIds": ["subnet-1"], "securityGroupIds": [] },
        },
        "staleScraper": { "deleted": false, "scraperArns": ["s"] }, "removal": { "deleted": false, "scraperArns": ["s"] },
        "scraper": { "scraperArn": "s", "status": "CREATING", "statusReason": null },
        "scraperCreated": true, "upToDate": true, "scraperRepaired": [], "patched": { "source": true, "target": false },
        "ingestion": { "result": "NONE", "targets": 0, "up": 0, "hints": ["a", "b"] }, "warnings": ["w"], "polls": 3,
        "secondsForLock": 7200, "secondsForCluster": 3600, "secondsForStaleScraper": 0, "secondsForScraper": 0,
        "secondsForSamples": 600, "secondsForRemoval": 0, "removed": ["r"], "remaining": ["r"],
        "rollback": "Nothing was created.", "rollbackFailure": {}, "result": "Nothing was removed.",
        "failure": { "Error": "States.Timeout", "Cause": "why" },
        "pairs": [{ "clusterArn": "c", "workspaceArn": "w", "removed": [], "skipped": [], "error": "E", "cause": "why" }],
    });
    let summary = json!({ "counts": {}, "failed": [], "skipped": [], "moreFailed": 0, "lost": 0 });
    let context = json!({
        "Execution": { "Id": "arn:e", "Input": {} },
        "Map": { "Item": { "Value": { "accounts": ["222222222222"] } } },
    });
    let of = |result: Value, batches: Value| {
        let mut input = input.clone();
        input["batches"] = batches;
        let error = json!({ "Error": "States.Timeout", "Cause": "why" });
        let mut all = variables.clone();
        all["states"] = json!({ "input": input, "context": context, "result": result, "errorOutput": error });
        all
    };
    vec![
        of(
            json!({ "Payload": summary, "Output": { "outcome": "ONBOARDED" } }),
            input["batches"].clone(),
        ),
        of(
            json!({ "Payload": {
            "request": {}, "sourceRoleArn": "arn:source", "targetRoleArn": "arn:target", "created": true, "warnings": [],
            "repaired": [], "upToDate": true, "source": true, "target": true, "scraperArns": ["s"], "roleArn": "arn:source",
            "outcome": "REMOVED",
        } }),
            json!([]),
        ),
        of(json!([summary]), json!(1)),
        of(
            json!([{ "request": { "clusterArn": "c", "workspaceArn": "w" }, "removed": [], "skipped": [] }]),
            json!([]),
        ),
    ]
}

#[test]
fn every_expression_has_a_value() {
    for (path, expression) in expressions() {
        let values: Vec<_> = samples().iter().map(|sample| evaluate(&expression, sample)).collect();
        assert!(values.iter().any(Result::is_ok), "{path}: {values:?}");
    }
}
