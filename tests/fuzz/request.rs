//! A request, of onboarding and of offboarding, as any JSON.

use ampxa::{
    Error,
    check_request::{self, Input},
    offboarding,
    request::Request,
};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// What is accepted survives a round trip; what is refused is refused in one short line that begins
/// with the field.
pub fn holds(bytes: &[u8]) {
    let Ok(given) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let raw = || Input::try_from(json!({ "request": given.clone() })).expect("any JSON is a raw request");
    match (Request::parse(&given), check_request::check(&raw())) {
        (Ok(request), Ok(complete)) => {
            assert_eq!(complete.request, request);
            let text = serde_json::to_string(&request).unwrap();
            let again = serde_json::from_str(&text).unwrap();
            assert_eq!(Request::parse(&again), Ok(request));
        }
        (Err(parsing), Err(checking)) => {
            assert_eq!(parsing, checking);
            refusal(&parsing, &ONBOARDING);
        }
        differ => panic!("{differ:?}"),
    }
    match offboard(&given) {
        Ok(request) => assert_eq!(offboard(&serde_json::to_value(&request).unwrap()), Ok(request)),
        Err(error) => refusal(&error, &OFFBOARDING),
    }
}

fn offboard(given: &Value) -> Result<offboarding::Request, Error> {
    offboarding::Request::try_from(json!({ "request": given }))
}

static ONBOARDING: LazyLock<Vec<String>> =
    LazyLock::new(|| fields(include_str!("../../statemachine/request.schema.json")));
static OFFBOARDING: LazyLock<Vec<String>> =
    LazyLock::new(|| fields(include_str!("../../statemachine/offboarding.schema.json")));

fn fields(schema: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

/// A person reads it in a log or in a console: one line, not long, the field first.
fn refusal(error: &Error, fields: &[String]) {
    let message = error.to_string();
    assert_eq!(error.name(), "InvalidRequest");
    crate::short(&message);
    let names_a_field = |field: &String| {
        let rest = message.strip_prefix(field.as_str());
        rest.is_some_and(|rest| rest.starts_with([':', '.', '[']))
    };
    let known =
        message.starts_with("request: ") || message.contains(": unknown field; ") || fields.iter().any(names_a_field);
    assert!(known, "{message}");
}
