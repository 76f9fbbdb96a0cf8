//! How steps parse their input.

use crate::script::{CLUSTER, EXECUTION, Exchange, Script, WORKSPACE, call};
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

/// The request that names an object of the bucket, checked with these responses of S3.
async fn check_object(more: Value, exchanges: Vec<Exchange>) -> Result<check_request::Output, Error> {
    let script = Script::new(exchanges);
    let mut request = json!({
        "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "scrapeConfigurationObject": "configurations/pods.yaml",
    });
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let input = Input::try_from(json!({ "request": request })).unwrap();
    let checked = check_request::check_with_object(&script.account_of("hub").bucket("bucket"), &input).await;
    script.assert_finished();
    checked
}

fn object(status: u16, body: &str) -> Exchange {
    call("GET /configurations/pods.yaml", status, body).with_text("https://bucket.s3.us-west-2.amazonaws.com/")
}

#[tokio::test]
async fn the_checked_request_names_the_version_of_the_object_that_was_read() {
    let yaml = "scrape_configs: [{job_name: a, params: {api_key: [x1y2]}}]";
    let checked = check_object(json!({}), vec![object(206, yaml)]).await.unwrap();
    assert_eq!(
        checked.request.scrape_configuration_version.as_deref(),
        Some("version-1")
    );
    assert_eq!(checked.request.scrape_configuration, None, "the text is not passed on");
    assert!(
        checked.warnings[0].contains("looks like a credential"),
        "{:?}",
        checked.warnings
    );
    let named = json!({ "scrapeConfigurationVersion": "version-0" });
    let exchange = object(206, yaml).with_text("?versionId=version-0");
    check_object(named, vec![exchange]).await.unwrap();
}

#[tokio::test]
async fn an_object_that_is_no_valid_configuration_is_an_invalid_request() {
    let error = |code: &str| format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    let large = format!("a: {}", "x".repeat(64 * 1024));
    for (exchange, expected) in [
        (
            object(404, &error("NoSuchKey")),
            "does not exist, is empty, or cannot be read",
        ),
        (object(403, &error("AccessDenied")), "does not exist"),
        (object(416, &error("InvalidRange")), "is empty"),
        (object(206, &large), "is larger than 64 KiB"),
        (
            object(206, "scrape_configs: []"),
            "scrape_configs: expected at least one scrape job",
        ),
    ] {
        let why = check_object(json!({}), vec![exchange]).await.unwrap_err();
        assert_eq!(why.name(), "InvalidRequest", "{why}");
        assert!(why.to_string().contains(expected), "{why}");
    }
    for (status, code, name) in [(503, "SlowDown", "Transient"), (500, "InternalError", "Transient")] {
        let why = check_object(json!({}), vec![object(status, &error(code))])
            .await
            .unwrap_err();
        assert_eq!(why.name(), name, "{why}");
    }
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
