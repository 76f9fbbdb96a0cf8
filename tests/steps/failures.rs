//! What an AWS error means, whoever says it.

use crate::{
    replies::iam_error,
    script::{Script, Turn, call, lost},
};
use ampxa::error::Error;

async fn failed(turn: Turn) -> Error {
    let script = Script::new([turn]);
    let answer = script.account().iam().delete_role().role_name("r").send().await;
    script.is_over();
    answer.unwrap_err().into()
}

#[tokio::test]
async fn an_error_is_told_by_what_should_happen_next() {
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
        let why = failed(call("DeleteRole", status, iam_error(code, "because"))).await;
        assert_eq!(why.name(), name, "{status} {code}");
        let sentence = format!("iam:DeleteRole answered {code}: because (HTTP {status}, request id request-1).");
        assert_eq!(why.to_string(), sentence);
    }
}

#[tokio::test]
async fn a_lost_call_is_transient_and_named() {
    let why = failed(lost("DeleteRole")).await;
    assert_eq!(why.name(), "Transient");
    assert!(why.to_string().starts_with("iam:DeleteRole got no answer: "), "{why}");
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_judged_by_its_status() {
    assert_eq!(failed(call("DeleteRole", 502, "<html>")).await.name(), "Transient");
}

#[tokio::test]
async fn a_call_is_named_as_iam_names_its_right() {
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
    for (error, right) in errors
        .iter()
        .zip(["eks:DescribeCluster", "aps:ListScrapers", "aps:DescribeWorkspace"])
    {
        assert_eq!(error.name(), "AccessDenied");
        let sentence = format!("{right} answered AccessDeniedException: no (HTTP 403, request id request-1).");
        assert_eq!(error.to_string(), sentence);
    }
    script.is_over();
}
