//! How steps parse their input.

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
fn invalid_input_is_an_invalid_request_and_never_a_panic() {
    let valid = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE });
    // The depth limit of the JSON parser is 128.
    let deep = |open: &str, close: &str| -> Value {
        serde_json::from_str(&format!("{}1{}", open.repeat(120), close.repeat(120))).unwrap()
    };
    for input in [
        deep("[", "]"),
        deep("{\"request\":", "}"),
        json!({ "request": deep("[", "]"), "execution": EXECUTION }),
        json!({ "request": { "tags": deep("{\"a\":", "}") }, "execution": EXECUTION }),
        json!({ "request": valid, "execution": EXECUTION, "scraperArn": deep("[", "]") }),
        json!(null),
        json!([]),
        json!("x"),
        json!(1),
        json!({}),
        json!({ "request": valid }),
        json!({ "request": valid, "execution": 1 }),
        json!({ "request": [valid], "execution": EXECUTION }),
        json!({ "request": valid, "execution": EXECUTION, "scraperArn": "x" }),
        json!({ "request": valid, "execution": EXECUTION, "scraperArn": { "a": [] } }),
    ] {
        let error = Task::<EnsureInput>::try_from(input.clone()).unwrap_err();
        assert_eq!(error.name(), "InvalidRequest", "{input}");
        let checked = Input::try_from(input).and_then(|input| check_request::check(&input));
        assert!(checked.is_ok() || checked.is_err_and(|error| error.name() == "InvalidRequest"));
    }
    let error =
        Task::<CreateInput>::try_from(json!({ "request": valid, "execution": EXECUTION, "manualAccess": true }))
            .unwrap_err();
    assert!(error.to_string().contains("network"), "{error}");
}

#[test]
fn an_error_becomes_a_diagnostic_with_its_name_and_message() {
    for (error, name) in [
        (Error::InvalidRequest("message".to_owned()), "InvalidRequest"),
        (Error::NotReady("message".to_owned()), "NotReady"),
        (Error::Transient("message".to_owned()), "Transient"),
        (Error::NotVisibleYet("message".to_owned()), "NotVisibleYet"),
        (Error::Conflict("message".to_owned()), "Conflict"),
        (Error::AccessDenied("message".to_owned()), "AccessDenied"),
    ] {
        assert_eq!(error.name(), name);
        let diagnostic = Diagnostic::from(error);
        assert_eq!(
            (diagnostic.error_type.as_str(), diagnostic.error_message.as_str()),
            (name, "message")
        );
    }
}

#[test]
fn a_credential_in_the_scrape_configuration_is_a_warning_of_the_checked_request() {
    let check = |yaml: &str| {
        let request = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "scrapeConfiguration": yaml });
        check_request::check(&Input::try_from(json!({ "request": request })).unwrap()).unwrap()
    };
    let with_key = "scrape_configs: [{job_name: a, params: {api_key: [x1y2]}}]";
    let [warning] = &check(with_key).warnings[..] else {
        panic!("expected one warning");
    };
    assert!(warning.starts_with("scrapeConfiguration.scrape_configs[0].params.api_key looks like a credential."));
    assert!(!warning.contains("x1y2"), "{warning}");
    assert_eq!(check("scrape_configs: [{job_name: a}]").warnings, [""; 0]);
}

#[test]
fn a_completed_request_is_parsed_unchanged_by_the_next_steps() {
    let input = json!({ "request": {
        "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "tags": { "team": "{% $x %} ${y}".replace(['{', '}', '%', '$'], "") },
        "externalLabels": { "note": "{% $states.input %} \" ' ${jndi}" },
    } });
    let complete = check_request::check(&Input::try_from(input).unwrap()).unwrap();
    let output = serde_json::to_value(&complete).unwrap();
    assert!(
        output["sourceRoleArn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:iam::222222222222:role/ampxa-source-demo-")
    );
    let next_input = json!({ "request": output["request"], "execution": EXECUTION });
    let task = Task::<EnsureInput>::try_from(next_input).unwrap();
    assert_eq!(task.request, complete.request);
    assert_eq!(Value::from(task.pair.target_role_arn()), output["targetRoleArn"]);
}
