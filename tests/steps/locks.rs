//! `Acquire lock`: only one execution at a time works on a cluster.

use crate::script::{CLUSTER, EXECUTION, Exchange, Script, call};
use ampxa::{
    error::Error,
    lock::{self, Clients, Input, LockState, Output},
};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

const OTHER: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-offboard:two";
/// The current time of the tests, in seconds since the epoch.
const NOW: u64 = 1_000_000;

/// Calls of DynamoDB and of Step Functions are both `POST /`.
const POST: &str = "POST /";

async fn acquire(exchanges: impl IntoIterator<Item = Exchange>) -> Result<Output, Error> {
    acquire_after(None, exchanges).await
}

/// Acquires the lock; the previous poll found that the execution `stopped` was stopped.
async fn acquire_after(stopped: Option<&str>, exchanges: impl IntoIterator<Item = Exchange>) -> Result<Output, Error> {
    let script = Script::new(exchanges);
    let account = script.account();
    let clients = Clients {
        dynamodb: account.dynamodb(),
        sfn: account.sfn(),
    };
    let input = json!({ "request": { "clusterArn": CLUSTER }, "execution": EXECUTION, "stopped": stopped });
    let input = Input::try_from(input).unwrap();
    let output = lock::acquire(&clients, "locks", &input, UNIX_EPOCH + Duration::from_secs(NOW)).await;
    script.assert_finished();
    output
}

/// The write of the lock under a condition.
fn put(condition: &str, holder: &str, status: u16, response: Value) -> Exchange {
    call(POST, status, response.to_string()).with_body(json!({
        "TableName": "locks",
        "Item": {
            "clusterArn": { "S": CLUSTER },
            "executionArn": { "S": EXECUTION },
            "expires": { "N": (NOW + 7 * 24 * 3600).to_string() },
        },
        "ConditionExpression": condition,
        "ExpressionAttributeValues": { ":holder": { "S": holder } },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }))
}

/// The first write: it succeeds if no other execution holds the lock.
fn put_if_free(status: u16, response: Value) -> Exchange {
    let condition = "attribute_not_exists(clusterArn) OR executionArn = :holder";
    put(condition, EXECUTION, status, response)
}

/// The response to [`put_if_free`] if [`OTHER`] holds the lock.
fn held() -> Value {
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": {
            "clusterArn": { "S": CLUSTER },
            "executionArn": { "S": OTHER },
            "expires": { "N": "0" },
        },
    })
}

fn describe_other(status: &str) -> Exchange {
    let response = json!({
        "executionArn": OTHER,
        "stateMachineArn": "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-offboard",
        "name": "two",
        "status": status,
        "startDate": 0,
        "stopDate": NOW - 15,
    });
    call(POST, 200, response.to_string()).with_text(OTHER)
}

fn acquired() -> Output {
    acquired_after(0)
}

fn acquired_after(propagation_seconds: u64) -> Output {
    Output {
        state: LockState::Acquired,
        holder: None,
        stopped: None,
        propagation_seconds,
    }
}

fn held_by_other(stopped: bool) -> Output {
    Output {
        state: LockState::Held,
        holder: Some(OTHER.to_owned()),
        stopped: stopped.then(|| OTHER.to_owned()),
        propagation_seconds: 0,
    }
}

#[tokio::test]
async fn a_free_lock_is_acquired_with_one_call() {
    assert_eq!(acquire([put_if_free(200, json!({}))]).await, Ok(acquired()));
}

#[tokio::test]
async fn a_lock_of_a_running_execution_is_held() {
    for status in ["RUNNING", "PENDING_REDRIVE", "SOMETHING_NEW"] {
        for stopped in [None, Some(OTHER)] {
            let exchanges = [put_if_free(400, held()), describe_other(status)];
            assert_eq!(
                acquire_after(stopped, exchanges).await,
                Ok(held_by_other(false)),
                "{status}"
            );
        }
    }
}

/// The second write: it succeeds if the lock still belongs to the ended execution [`OTHER`].
fn put_if_unchanged(status: u16, response: Value) -> Exchange {
    put("executionArn = :holder", OTHER, status, response)
}

#[tokio::test]
async fn a_lock_of_an_ended_execution_is_acquired_with_a_wait_for_iam_propagation() {
    for status in ["SUCCEEDED", "FAILED"] {
        let exchanges = [
            put_if_free(400, held()),
            describe_other(status),
            put_if_unchanged(200, json!({})),
        ];
        assert_eq!(acquire(exchanges).await, Ok(acquired_after(45)), "{status}");
    }
}

#[tokio::test]
async fn no_wait_after_a_success_of_the_same_machine_or_after_a_minute() {
    let same = EXECUTION.replace(":one", ":earlier");
    assert_ne!(same, EXECUTION);
    for (holder, status, ago, wait) in [
        (same.as_str(), "SUCCEEDED", 15, 0),
        (same.as_str(), "FAILED", 15, 45),
        (OTHER, "SUCCEEDED", 60, 0),
        (OTHER, "FAILED", 3600, 0),
    ] {
        let mut response = held();
        response["Item"]["executionArn"]["S"] = json!(holder);
        let ended = json!({
            "executionArn": holder,
            "stateMachineArn": "arn:aws:states:us-west-2:111111111111:stateMachine:a",
            "status": status,
            "startDate": 0,
            "stopDate": NOW - ago,
        });
        let exchanges = [
            put_if_free(400, response),
            call(POST, 200, ended.to_string()).with_text(holder),
            put("executionArn = :holder", holder, 200, json!({})),
        ];
        assert_eq!(
            acquire(exchanges).await,
            Ok(acquired_after(wait)),
            "{holder} {status} {ago}"
        );
    }
}

/// Step Functions does not find an execution that has just started, or whose history was deleted.
fn not_found() -> Exchange {
    let response = json!({ "__type": "com.amazonaws.swf.service.v2.model#ExecutionDoesNotExist", "message": "no" });
    call(POST, 400, response.to_string())
}

#[tokio::test]
async fn a_lock_of_a_stopped_execution_is_acquired_at_the_second_poll() {
    for describe in [|| describe_other("ABORTED"), || describe_other("TIMED_OUT"), not_found] {
        for earlier in [None, Some("another")] {
            let exchanges = [put_if_free(400, held()), describe()];
            assert_eq!(acquire_after(earlier, exchanges).await, Ok(held_by_other(true)));
        }
        let exchanges = [put_if_free(400, held()), describe(), put_if_unchanged(200, json!({}))];
        assert_eq!(acquire_after(Some(OTHER), exchanges).await, Ok(acquired()));
    }
}

#[tokio::test]
async fn the_lock_is_held_if_another_execution_acquired_it_first() {
    let exchanges = [
        put_if_free(400, held()),
        describe_other("FAILED"),
        put_if_unchanged(400, held()),
    ];
    assert_eq!(acquire(exchanges).await, Ok(held_by_other(false)));
}

#[tokio::test]
async fn a_failed_condition_without_an_item_is_transient() {
    let without = json!({ "__type": "ConditionalCheckFailedException", "message": "no" });
    assert_eq!(
        acquire([put_if_free(400, without)]).await.unwrap_err().name(),
        "Transient"
    );
}

#[tokio::test]
async fn an_error_of_aws_is_returned() {
    let failed = |code: &str| call(POST, 400, json!({ "__type": code, "message": "because" }).to_string());
    for (code, name) in [
        ("AccessDeniedException", "AccessDenied"),
        ("ThrottlingException", "Transient"),
        ("ProvisionedThroughputExceededException", "Transient"),
    ] {
        let error = acquire([failed(code)]).await.unwrap_err();
        assert_eq!(error.name(), name);
        assert!(
            error.to_string().starts_with("dynamodb:PutItem failed with "),
            "{error}"
        );
        let error = acquire([put_if_free(400, held()), failed(code)]).await.unwrap_err();
        assert_eq!(error.name(), name);
        assert!(
            error.to_string().starts_with("states:DescribeExecution failed with "),
            "{error}"
        );
    }
}

#[test]
fn cluster_and_execution_are_required() {
    for (input, field) in [
        (json!({}), "clusterArn: "),
        (
            json!({ "request": { "clusterArn": "x" }, "execution": EXECUTION }),
            "clusterArn: ",
        ),
        (json!({ "request": { "clusterArn": CLUSTER } }), "execution: "),
    ] {
        let error = Input::try_from(input).unwrap_err();
        assert_eq!(error.name(), "InvalidRequest");
        assert!(error.to_string().starts_with(field), "{error}");
    }
}
