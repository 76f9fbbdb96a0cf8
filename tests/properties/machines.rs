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
        if path.to_string_lossy().ends_with(".asl.json") {
            let machine: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
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

/// What stands where an error is caught, as Lambda and Step Functions give it.
fn caught(error: &str, cause: Option<&str>) -> Value {
    let mut output = json!({ "Error": error });
    if let Some(cause) = cause {
        output["Cause"] = cause.into();
    }
    let arn = |kind: &str| format!("arn:aws:iam::222222222222:role/{kind}");
    json!({
        "states": { "errorOutput": output, "input": { "request": {} } },
        "request": { "clusterArn": crate::CLUSTER },
        "sourceRoleArn": arn("source"),
        "targetRoleArn": arn("target"),
    })
}

/// The sentence in what an expression of a Catch answers, which may be a list of this one.
fn sentence(answer: &Value) -> &str {
    let text = answer.get("because").unwrap_or(answer);
    let text = match text.as_array().map(Vec::as_slice) {
        Some([only]) => only,
        _ => text,
    };
    text.as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

fn causes() -> impl Iterator<Item = String> {
    // More than Step Functions gives of a cause comes never: 32,768 characters.
    let hostile = crate::hostile_texts().into_iter().filter(|text| text.len() <= 32_768);
    let own = [
        "{\"errorMessage\":\"inner\",\"errorType\":\"Refused\"}",
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
fn what_a_function_says_of_its_failure_arrives_as_it_was_said() {
    let mut seen = 0;
    for (path, expression) in expressions() {
        if !expression.contains("errorOutput.Cause") {
            continue;
        }
        for said in causes() {
            let diagnostic = Diagnostic::from(Error::Refused(said.clone()));
            let cause = json!({ "errorType": diagnostic.error_type, "errorMessage": diagnostic.error_message });
            let answer = evaluate(&expression, &caught("Refused", Some(&cause.to_string())))
                .unwrap_or_else(|why| panic!("{path}: {why} for {said:?}"));
            let sentence = sentence(&answer);
            assert!(sentence.contains(&said), "{path}: {said:?} came as {sentence:?}");
            assert!(
                !sentence.contains("errorType\":\"Refused\",") || said.contains("errorType"),
                "{path}"
            );
        }
        seen += 1;
    }
    assert!(seen >= 15, "{seen}");
}

#[test]
fn what_aws_says_of_a_failure_arrives_as_it_was_said_even_if_it_looks_like_json() {
    for (path, expression) in expressions() {
        if !expression.contains("errorOutput.Cause") {
            continue;
        }
        for error in [
            "States.Timeout",
            "Runtime.ExitError",
            "Lambda.Unknown",
            "Sandbox.Timedout",
            "",
            "{% 1 %}",
        ] {
            for said in causes() {
                let answer = evaluate(&expression, &caught(error, Some(&said)))
                    .unwrap_or_else(|why| panic!("{path}: {why} for {said:?}"));
                let sentence = sentence(&answer);
                assert!(sentence.contains(&format!("{error}: {said}")), "{path}: {sentence:?}");
            }
            let answer = evaluate(&expression, &caught(error, None)).unwrap();
            assert!(
                sentence(&answer).contains(&format!("{error}: AWS gave no reason.")),
                "{path}"
            );
        }
    }
}

#[test]
fn the_last_sentence_is_made_of_texts() {
    let ends: Vec<_> = expressions()
        .into_iter()
        .filter(|(path, _)| path.ends_with(" failed/Cause"))
        .collect();
    assert_eq!(ends.len(), 3);
    for (path, expression) in ends {
        for said in causes() {
            let variables = json!({ "because": said, "aftermath": said, "failedWith": said });
            let answer = evaluate(&expression, &variables).unwrap();
            assert!(
                answer.as_str().is_some_and(|cause| cause.starts_with(&said)),
                "{path}: {answer}"
            );
        }
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
