//! The mapping of AWS errors to error names, for all services.

use crate::{
    replies::iam_error,
    script::{Exchange, Script, call, lost},
};
use ampxa::error::Error;

async fn failed(exchange: Exchange) -> Error {
    let script = Script::new([exchange]);
    let result = script.account().iam().delete_role().role_name("r").send().await;
    script.assert_finished();
    result.unwrap_err().into()
}

#[tokio::test]
async fn the_error_name_follows_from_status_and_code() {
    for (status, code, name) in [
        (400, "Throttling", "Transient"),
        (400, "ThrottlingException", "Transient"),
        (400, "RequestLimitExceeded", "Transient"),
        (429, "Whatever", "Transient"),
        (400, "RequestTimeout", "Transient"),
        (500, "ServiceFailure", "Transient"),
        (503, "ServiceUnavailable", "Transient"),
        (409, "ConcurrentModification", "Transient"),
        (409, "EntityTemporarilyUnmodifiable", "Transient"),
        (409, "DeleteConflict", "Transient"),
        (404, "NoSuchEntity", "NotVisibleYet"),
        (409, "EntityAlreadyExists", "Conflict"),
        (403, "AccessDenied", "AccessDenied"),
        (409, "LimitExceeded", "QuotaExceeded"),
        (400, "InvalidInput", "InvalidRequest"),
        (400, "SomethingNew", "InvalidRequest"),
    ] {
        let error = failed(call("DeleteRole", status, iam_error(code, "because"))).await;
        assert_eq!(error.name(), name, "{status} {code}");
        let message = format!("iam:DeleteRole failed with {code}: because (HTTP {status}, request id request-1).");
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn a_lost_connection_is_transient_and_names_the_call() {
    let error = failed(lost("DeleteRole")).await;
    assert_eq!(error.name(), "Transient");
    assert!(
        error.to_string().starts_with("iam:DeleteRole received no response: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_response_without_an_error_code_is_judged_by_its_status() {
    assert_eq!(failed(call("DeleteRole", 502, "<html>")).await.name(), "Transient");
}

#[tokio::test]
async fn a_call_is_named_by_its_iam_action() {
    let denied = r#"{ "__type": "AccessDeniedException", "message": "no" }"#;
    let script = Script::new([
        call("GET /clusters/demo", 403, denied),
        call("GET /scrapers", 403, denied),
        call("GET /workspaces/ws-1", 403, denied),
    ]);
    let account = script.account();
    let (eks, amp) = (account.eks(), account.amp());
    let errors: [Error; 3] = [
        eks.describe_cluster().name("demo").send().await.unwrap_err().into(),
        amp.list_scrapers().send().await.unwrap_err().into(),
        amp.describe_workspace()
            .workspace_id("ws-1")
            .send()
            .await
            .unwrap_err()
            .into(),
    ];
    for (error, action) in errors
        .iter()
        .zip(["eks:DescribeCluster", "aps:ListScrapers", "aps:DescribeWorkspace"])
    {
        assert_eq!(error.name(), "AccessDenied");
        let message = format!("{action} failed with AccessDeniedException: no (HTTP 403, request id request-1).");
        assert_eq!(error.to_string(), message);
    }
    script.assert_finished();
}

#[tokio::test]
async fn the_fields_of_a_validation_exception_are_named_once() {
    for (message, expected) in [
        (
            "Invalid request",
            "Invalid request (HTTP 400, request id request-1). Invalid fields: alias: too long; tags.",
        ),
        (
            "alias: too long, tags",
            "alias: too long, tags (HTTP 400, request id request-1).",
        ),
    ] {
        let fields = serde_json::json!([{ "name": "alias", "message": "too long" }, { "name": "tags" }]);
        let body = serde_json::json!({ "__type": "ValidationException", "message": message, "fieldList": fields });
        let script = Script::new([call("GET /scrapers", 400, body.to_string())]);
        let error: Error = script.account().amp().list_scrapers().send().await.unwrap_err().into();
        let expected = format!("aps:ListScrapers failed with ValidationException: {expected}");
        assert_eq!(error, Error::InvalidRequest(expected));
    }
}
