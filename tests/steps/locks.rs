//! One execution at a time for a cluster.

use crate::script::{CLUSTER, EXECUTION, Script, Turn as Call, call};
use ampxa::{
    error::Error,
    lock::{self, Clients, Input, LockState, Output},
};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

const OTHER: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-offboard:two";
/// When the tests take place, in seconds.
const NOW: u64 = 1_000_000;

/// DynamoDB and Step Functions both post to `/`.
const POST: &str = "POST /";

async fn take(turns: impl IntoIterator<Item = Call>) -> Result<Output, Error> {
    take_after(None, turns).await
}

/// The same, where the last look found this execution stopped.
async fn take_after(stopped: Option<&str>, turns: impl IntoIterator<Item = Call>) -> Result<Output, Error> {
    let script = Script::new(turns);
    let account = script.account();
    let clients = Clients {
        dynamodb: account.dynamodb(),
        sfn: account.sfn(),
    };
    let input = json!({ "request": { "clusterArn": CLUSTER }, "execution": EXECUTION, "stopped": stopped });
    let asked = Input::try_from(input).unwrap();
    let taken = lock::acquire(&clients, "locks", &asked, UNIX_EPOCH + Duration::from_secs(NOW)).await;
    script.is_over();
    taken
}

/// The one write, and under which condition.
fn put(condition: &str, holder: &str, status: u16, answer: Value) -> Call {
    call(POST, status, answer.to_string()).saying_only(json!({
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

fn free(status: u16, answer: Value) -> Call {
    let condition = "attribute_not_exists(clusterArn) OR executionArn = :holder";
    put(condition, EXECUTION, status, answer)
}

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

fn other(status: &str) -> Call {
    let answer = json!({
        "executionArn": OTHER,
        "stateMachineArn": "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-offboard",
        "name": "two",
        "status": status,
        "startDate": 0,
        "stopDate": NOW - 15,
    });
    call(POST, 200, answer.to_string()).saying(OTHER)
}

fn ours() -> Output {
    ours_after(0)
}

fn ours_after(propagation_seconds: u64) -> Output {
    Output {
        state: LockState::Acquired,
        holder: None,
        stopped: None,
        propagation_seconds,
    }
}

fn theirs(stopped: bool) -> Output {
    Output {
        state: LockState::Held,
        holder: Some(OTHER.to_owned()),
        stopped: stopped.then(|| OTHER.to_owned()),
        propagation_seconds: 0,
    }
}

#[tokio::test]
async fn a_turn_that_nobody_has_is_taken_with_one_call() {
    assert_eq!(take([free(200, json!({}))]).await, Ok(ours()));
}

#[tokio::test]
async fn a_turn_of_an_execution_that_runs_is_waited_for() {
    for status in ["RUNNING", "PENDING_REDRIVE", "SOMETHING_NEW"] {
        for stopped in [None, Some(OTHER)] {
            let turns = [free(400, held()), other(status)];
            assert_eq!(take_after(stopped, turns).await, Ok(theirs(false)), "{status}");
        }
    }
}

fn follow(status: u16, answer: Value) -> Call {
    put("executionArn = :holder", OTHER, status, answer)
}

#[tokio::test]
async fn a_turn_ends_with_its_execution_whose_writes_are_given_a_minute_to_be_seen() {
    for status in ["SUCCEEDED", "FAILED"] {
        let turns = [free(400, held()), other(status), follow(200, json!({}))];
        assert_eq!(take(turns).await, Ok(ours_after(45)), "{status}");
    }
}

#[tokio::test]
async fn who_repeats_what_went_well_or_comes_later_does_not_wait() {
    let same = EXECUTION.replace(":one", ":earlier");
    assert_ne!(same, EXECUTION);
    for (holder, status, ago, wait) in [
        (same.as_str(), "SUCCEEDED", 15, 0),
        (same.as_str(), "FAILED", 15, 45),
        (OTHER, "SUCCEEDED", 60, 0),
        (OTHER, "FAILED", 3600, 0),
    ] {
        let mut row = held();
        row["Item"]["executionArn"]["S"] = json!(holder);
        let ended = json!({
            "executionArn": holder,
            "stateMachineArn": "arn:aws:states:us-west-2:111111111111:stateMachine:a",
            "status": status,
            "startDate": 0,
            "stopDate": NOW - ago,
        });
        let turns = [
            free(400, row),
            call(POST, 200, ended.to_string()).saying(holder),
            put("executionArn = :holder", holder, 200, json!({})),
        ];
        assert_eq!(take(turns).await, Ok(ours_after(wait)), "{holder} {status} {ago}");
    }
}

/// Step Functions does not show an execution that has just begun, or that it has forgotten.
fn not_shown() -> Call {
    let answer = json!({ "__type": "com.amazonaws.swf.service.v2.model#ExecutionDoesNotExist", "message": "no" });
    call(POST, 400, answer.to_string())
}

#[tokio::test]
async fn a_stopped_execution_may_have_a_function_under_way_and_is_looked_at_twice() {
    for look in [|| other("ABORTED"), || other("TIMED_OUT"), not_shown] {
        for earlier in [None, Some("another")] {
            let turns = [free(400, held()), look()];
            assert_eq!(take_after(earlier, turns).await, Ok(theirs(true)));
        }
        let turns = [free(400, held()), look(), follow(200, json!({}))];
        assert_eq!(take_after(Some(OTHER), turns).await, Ok(ours()));
    }
}

#[tokio::test]
async fn of_two_that_follow_a_dead_execution_one_is_too_late() {
    let turns = [free(400, held()), other("FAILED"), follow(400, held())];
    assert_eq!(take(turns).await, Ok(theirs(false)));
}

#[tokio::test]
async fn a_row_that_is_forgotten_meanwhile_is_asked_for_again() {
    let without = json!({ "__type": "ConditionalCheckFailedException", "message": "no" });
    assert_eq!(take([free(400, without)]).await.unwrap_err().name(), "Transient");
}

#[tokio::test]
async fn what_aws_refuses_is_told() {
    let refused = |code: &str| call(POST, 400, json!({ "__type": code, "message": "because" }).to_string());
    for (code, name) in [
        ("AccessDeniedException", "AccessDenied"),
        ("ThrottlingException", "Transient"),
        ("ProvisionedThroughputExceededException", "Transient"),
    ] {
        let why = take([refused(code)]).await.unwrap_err();
        assert_eq!(why.name(), name);
        assert!(why.to_string().starts_with("dynamodb:PutItem answered "), "{why}");
        let why = take([free(400, held()), refused(code)]).await.unwrap_err();
        assert_eq!(why.name(), name);
        assert!(
            why.to_string().starts_with("states:DescribeExecution answered "),
            "{why}"
        );
    }
}

#[test]
fn a_turn_is_asked_for_a_cluster_by_an_execution() {
    for (input, field) in [
        (json!({}), "clusterArn: "),
        (
            json!({ "request": { "clusterArn": "x" }, "execution": EXECUTION }),
            "clusterArn: ",
        ),
        (json!({ "request": { "clusterArn": CLUSTER } }), "execution: "),
    ] {
        let why = Input::try_from(input).unwrap_err();
        assert_eq!(why.name(), "InvalidRequest");
        assert!(why.to_string().starts_with(field), "{why}");
    }
}
