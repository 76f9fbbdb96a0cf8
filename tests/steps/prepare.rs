//! `Prepare cluster`: one change at a time, and only the one that is missing.

use crate::{
    replies::{cluster, rest_error},
    script::{Exchange, Script, call, task},
};
use ampxa::{
    error::Error,
    prepare::{self, Output},
};
use serde_json::{Value, json};

/// The result, and the body of the last request.
async fn prepare(exchanges: impl IntoIterator<Item = Exchange>, update_id: Value) -> (Result<Output, Error>, String) {
    let script = Script::new(exchanges);
    let input = json!({ "preparations": ["PRIVATE_ENDPOINT", "ACCESS_ENTRIES"], "updateId": update_id });
    let result = prepare::prepare(&script.account_of("source").eks(), &task(json!({}), input)).await;
    script.assert_finished();
    (result, script.last_body())
}

fn described(status: &str, private: bool, mode: &str) -> Exchange {
    call("GET /clusters/demo", 200, cluster(status, private, mode))
}

fn update(status: &str, kind: &str) -> String {
    let errors = match status {
        "Failed" => json!([{ "errorCode": "AccessDenied", "errorMessage": "No right to the subnet." }]),
        _ => json!([]),
    };
    json!({ "update": { "id": "u-1", "status": status, "type": kind, "errors": errors } }).to_string()
}

fn last(status: &str, kind: &str) -> Exchange {
    call("GET /clusters/demo/updates/u-1", 200, update(status, kind))
}

fn started() -> Exchange {
    call(
        "POST /clusters/demo/update-config",
        200,
        update("InProgress", "EndpointAccessUpdate"),
    )
}

fn output(update_id: Option<&str>) -> Result<Output, Error> {
    Ok(Output {
        update_id: update_id.map(str::to_owned),
    })
}

#[tokio::test]
async fn one_request_makes_the_first_missing_change_and_nothing_else() {
    for (private, mode, expected) in [
        (
            false,
            "CONFIG_MAP",
            json!({ "resourcesVpcConfig": { "endpointPrivateAccess": true } }),
        ),
        (
            true,
            "CONFIG_MAP",
            json!({ "accessConfig": { "authenticationMode": "API_AND_CONFIG_MAP" } }),
        ),
    ] {
        let exchanges = || [described("ACTIVE", private, mode), started()];
        let (result, body) = prepare(exchanges(), Value::Null).await;
        assert_eq!(result, output(Some("u-1")));
        // A repeated call is the same, with the same token, so that EKS starts no second update.
        assert_eq!(prepare(exchanges(), Value::Null).await.1, body);
        let mut body: Value = serde_json::from_str(&body).unwrap();
        assert!(body.as_object_mut().unwrap().remove("clientRequestToken").is_some());
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn an_update_in_progress_is_waited_for() {
    let waiting = [
        vec![last("InProgress", "EndpointAccessUpdate")],
        // EKS does not show the change yet.
        vec![
            last("Successful", "EndpointAccessUpdate"),
            described("ACTIVE", false, "CONFIG_MAP"),
        ],
        vec![
            last("Successful", "EndpointAccessUpdate"),
            described("UPDATING", true, "CONFIG_MAP"),
        ],
        vec![
            last("Successful", "EndpointAccessUpdate"),
            described("ACTIVE", true, "API"),
        ],
    ];
    for exchanges in waiting {
        let (result, _) = prepare(exchanges, json!("u-1")).await;
        assert_eq!(result, output(Some("u-1")));
    }
    // The update of someone else.
    let in_use = || {
        call(
            "POST /clusters/demo/update-config",
            409,
            rest_error("ResourceInUseException", "Cluster already has an update in progress"),
        )
    };
    let (result, _) = prepare([described("ACTIVE", false, "CONFIG_MAP"), in_use()], Value::Null).await;
    assert_eq!(result, output(None));
    let last = last("Successful", "EndpointAccessUpdate");
    let (result, _) = prepare([last, described("ACTIVE", true, "CONFIG_MAP"), in_use()], json!("u-1")).await;
    assert_eq!(result, output(Some("u-1")));
}

#[tokio::test]
async fn an_update_whose_response_was_lost_is_found_by_its_token() {
    let (result, _) = prepare([described("UPDATING", false, "CONFIG_MAP"), started()], Value::Null).await;
    assert_eq!(result, output(Some("u-1")));
}

#[tokio::test]
async fn a_change_that_someone_else_made_meanwhile_is_no_error() {
    let exchanges = |is_made: bool| {
        let refused = rest_error(
            "InvalidParameterException",
            "Cluster is already at the desired configuration with endpointPrivateAccess: true",
        );
        [
            described("ACTIVE", false, "CONFIG_MAP"),
            call("POST /clusters/demo/update-config", 400, refused),
            described("ACTIVE", is_made, "CONFIG_MAP"),
        ]
    };
    assert_eq!(prepare(exchanges(true), Value::Null).await.0, output(None));
    let error = prepare(exchanges(false), Value::Null).await.0.unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
}

#[tokio::test]
async fn an_update_that_failed_is_an_error_with_the_reason_of_eks() {
    for status in ["Failed", "Cancelled"] {
        let (result, _) = prepare([last(status, "EndpointAccessUpdate")], json!("u-1")).await;
        let error = result.unwrap_err();
        assert_eq!(error.name(), "NotReady");
        let message = error.to_string();
        assert!(message.contains(&format!("its update u-1 is {status}.")), "{message}");
        assert_eq!(message.contains("No right to the subnet."), status == "Failed");
    }
}
