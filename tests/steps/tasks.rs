//! What a step makes of its input.

use crate::script::{CLUSTER, EXECUTION, WORKSPACE};
use ampxa::{
    check_request::{self, Input},
    error::Error,
    roles::EnsureInput,
    scraper::CreateInput,
    task::Task,
};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

#[test]
fn input_that_is_no_task_is_an_invalid_request_and_never_a_panic() {
    let good = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE });
    // As deep as JSON is read.
    let deep = |open: &str, close: &str| -> Value {
        serde_json::from_str(&format!("{}1{}", open.repeat(120), close.repeat(120))).unwrap()
    };
    for input in [
        deep("[", "]"),
        deep("{\"request\":", "}"),
        json!({ "request": deep("[", "]"), "execution": EXECUTION }),
        json!({ "request": { "tags": deep("{\"a\":", "}") }, "execution": EXECUTION }),
        json!({ "request": good, "execution": EXECUTION, "scraperArn": deep("[", "]") }),
        json!(null),
        json!([]),
        json!("x"),
        json!(1),
        json!({}),
        json!({ "request": good }),
        json!({ "request": good, "execution": 1 }),
        json!({ "request": [good], "execution": EXECUTION }),
        json!({ "request": good, "execution": EXECUTION, "scraperArn": "x" }),
        json!({ "request": good, "execution": EXECUTION, "scraperArn": { "a": [] } }),
    ] {
        let why = Task::<EnsureInput>::try_from(input.clone()).unwrap_err();
        assert_eq!(why.name(), "InvalidRequest", "{input}");
        let raw = Input::try_from(input).and_then(|raw| check_request::check(&raw));
        assert!(raw.is_ok() || raw.is_err_and(|why| why.name() == "InvalidRequest"));
    }
    let why = Task::<CreateInput>::try_from(json!({ "request": good, "execution": EXECUTION, "manualAccess": true }))
        .unwrap_err();
    assert!(why.to_string().contains("network"), "{why}");
}

#[test]
fn the_state_machine_sees_an_errors_name() {
    for (error, name) in [
        (Error::InvalidRequest("why".to_owned()), "InvalidRequest"),
        (Error::NotReady("why".to_owned()), "NotReady"),
        (Error::Transient("why".to_owned()), "Transient"),
        (Error::NotVisibleYet("why".to_owned()), "NotVisibleYet"),
        (Error::Conflict("why".to_owned()), "Conflict"),
        (Error::AccessDenied("why".to_owned()), "AccessDenied"),
    ] {
        assert_eq!(error.name(), name);
        let diagnostic = Diagnostic::from(error);
        assert_eq!(
            (diagnostic.error_type.as_str(), diagnostic.error_message.as_str()),
            (name, "why")
        );
    }
}

#[test]
fn a_completed_request_travels_to_every_step_unchanged() {
    let input = json!({ "request": {
        "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "tags": { "team": "{% $x %} ${y}".replace(['{', '}', '%', '$'], "") },
        "externalLabels": { "note": "{% $states.input %} \" ' ${jndi}" },
    } });
    let complete = check_request::check(&Input::try_from(input).unwrap()).unwrap();
    let travelled = serde_json::to_value(&complete).unwrap();
    assert!(
        travelled["sourceRoleArn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:iam::222222222222:role/ampxa-source-demo-")
    );
    let again = json!({ "request": travelled["request"], "execution": EXECUTION });
    let task = Task::<EnsureInput>::try_from(again).unwrap();
    assert_eq!(task.request, complete.request);
    assert_eq!(Value::from(task.pair.target_role_arn()), travelled["targetRoleArn"]);
}
