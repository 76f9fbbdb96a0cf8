//! Fuzz target: any JSON as a request for onboarding or offboarding.

use ampxa::{
    Error,
    check_request::{self, Input},
    offboarding,
    request::Request,
};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// An accepted request is equal after a round trip. The error for a rejected request is one short line that starts with
/// the field.
pub fn check(bytes: &[u8]) {
    let Ok(given) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let input = || Input::try_from(json!({ "request": given.clone() })).expect("any JSON is an input of the step");
    match (Request::parse(&given), check_request::check(&input())) {
        (Ok(request), Ok(complete)) => {
            assert_eq!(complete.request, request);
            let text = serde_json::to_string(&request).unwrap();
            let again = serde_json::from_str(&text).unwrap();
            assert_eq!(Request::parse(&again), Ok(request));
        }
        (Err(parse_error), Err(check_error)) => {
            assert_eq!(parse_error, check_error);
            assert_rejected(&parse_error, &ONBOARDING_FIELDS);
        }
        different => panic!("parsing and checking differ: {different:?}"),
    }
    match offboard(&given) {
        Ok(request) => assert_eq!(offboard(&serde_json::to_value(&request).unwrap()), Ok(request)),
        Err(error) => assert_rejected(&error, &OFFBOARDING_FIELDS),
    }
}

fn offboard(given: &Value) -> Result<offboarding::Request, Error> {
    offboarding::Request::try_from(json!({ "request": given }))
}

static ONBOARDING_FIELDS: LazyLock<Vec<String>> =
    LazyLock::new(|| fields(include_str!("../../statemachine/request.schema.json")));
static OFFBOARDING_FIELDS: LazyLock<Vec<String>> =
    LazyLock::new(|| fields(include_str!("../../statemachine/offboarding.schema.json")));

fn fields(schema: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

/// Asserts that an error is an `InvalidRequest` whose message is one short line and starts with a known field.
fn assert_rejected(error: &Error, fields: &[String]) {
    let message = error.to_string();
    assert_eq!(error.name(), "InvalidRequest");
    crate::assert_short_lines(&message);
    let names_a_field = |field: &String| {
        let rest = message.strip_prefix(field.as_str());
        rest.is_some_and(|rest| rest.starts_with([':', '.', '[']))
    };
    let names_the_problem =
        message.starts_with("request: ") || message.contains(": unknown field; ") || fields.iter().any(names_a_field);
    assert!(names_the_problem, "{message}");
}
