//! One execution at a time for a cluster.

use crate::script::{CLUSTER, EXECUTION, Script, Turn as Call, call};
use ampxa::{
    error::Error,
    turn::{self, Asked, Clients, Taken, Turn},
};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

const OTHER: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-offboard:two";
/// When the tests take place, in seconds.
const NOW: u64 = 1_000_000;

/// DynamoDB and Step Functions both post to `/`.
const POST: &str = "POST /";

async fn take(turns: impl IntoIterator<Item = Call>) -> Result<Taken, Error> {
    let script = Script::new(turns);
    let account = script.account();
    let clients = Clients {
        dynamodb: account.dynamodb(),
        sfn: account.sfn(),
    };
    let asked = Asked::try_from(json!({ "request": { "clusterArn": CLUSTER }, "execution": EXECUTION })).unwrap();
    let taken = turn::take(&clients, "turns", &asked, UNIX_EPOCH + Duration::from_secs(NOW)).await;
    script.is_over();
    taken
}

/// The one write, and under which condition.
fn put(condition: &str, holder: &str, status: u16, answer: Value) -> Call {
    call(POST, status, answer.to_string()).saying_only(json!({
        "TableName": "turns",
        "Item": {
            "clusterArn": { "S": CLUSTER },
            "executionArn": { "S": EXECUTION },
            "since": { "N": NOW.to_string() },
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

fn held(since: u64) -> Value {
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": {
            "clusterArn": { "S": CLUSTER },
            "executionArn": { "S": OTHER },
            "since": { "N": since.to_string() },
            "expires": { "N": "0" },
        },
    })
}

fn other(status: &str, stopped: Option<u64>) -> Call {
    let answer = json!({
        "executionArn": OTHER,
        "stateMachineArn": "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-offboard",
        "name": "two",
        "status": status,
        "startDate": 0,
        "stopDate": stopped,
    });
    call(POST, 200, answer.to_string()).saying(OTHER)
}

fn ours() -> Taken {
    Taken {
        turn: Turn::Ours,
        holder: None,
    }
}

fn theirs() -> Taken {
    Taken {
        turn: Turn::Theirs,
        holder: Some(OTHER.to_owned()),
    }
}

#[tokio::test]
async fn a_turn_that_nobody_has_is_taken_with_one_call() {
    assert_eq!(take([free(200, json!({}))]).await, Ok(ours()));
}

#[tokio::test]
async fn a_turn_of_an_execution_that_runs_is_waited_for() {
    for status in ["RUNNING", "PENDING_REDRIVE", "SOMETHING_NEW"] {
        let turns = [free(400, held(0)), other(status, None)];
        assert_eq!(take(turns).await, Ok(theirs()), "{status}");
    }
}

#[tokio::test]
async fn a_turn_ends_with_its_execution() {
    for status in ["SUCCEEDED", "FAILED"] {
        let turns = [
            free(400, held(0)),
            other(status, Some(NOW)),
            put("executionArn = :holder", OTHER, 200, json!({})),
        ];
        assert_eq!(take(turns).await, Ok(ours()), "{status}");
    }
}

#[tokio::test]
async fn the_last_function_of_a_stopped_execution_is_waited_for() {
    for status in ["ABORTED", "TIMED_OUT"] {
        for just_now in [NOW - 90, NOW, NOW + 5] {
            let turns = [free(400, held(0)), other(status, Some(just_now))];
            assert_eq!(take(turns).await, Ok(theirs()), "{status} {just_now}");
        }
        let turns = [
            free(400, held(0)),
            other(status, Some(NOW - 91)),
            put("executionArn = :holder", OTHER, 200, json!({})),
        ];
        assert_eq!(take(turns).await, Ok(ours()), "{status}");
    }
}

#[tokio::test]
async fn an_execution_that_step_functions_does_not_show_has_perhaps_just_begun() {
    let unknown = || {
        let answer = json!({ "__type": "com.amazonaws.swf.service.v2.model#ExecutionDoesNotExist", "message": "no" });
        call(POST, 400, answer.to_string())
    };
    assert_eq!(take([free(400, held(NOW - 300)), unknown()]).await, Ok(theirs()));
    let turns = [
        free(400, held(NOW - 301)),
        unknown(),
        put("executionArn = :holder", OTHER, 200, json!({})),
    ];
    assert_eq!(take(turns).await, Ok(ours()));
}

#[tokio::test]
async fn of_two_that_follow_a_dead_execution_one_is_too_late() {
    let turns = [
        free(400, held(0)),
        other("FAILED", Some(NOW)),
        put("executionArn = :holder", OTHER, 400, held(NOW)),
    ];
    assert_eq!(take(turns).await, Ok(theirs()));
}

#[tokio::test]
async fn what_aws_refuses_is_told() {
    let refused = |code: &str| call(POST, 400, json!({ "__type": code, "message": "because" }).to_string());
    for (code, name) in [
        ("AccessDeniedException", "Refused"),
        ("ThrottlingException", "Transient"),
        ("ProvisionedThroughputExceededException", "Transient"),
    ] {
        let why = take([refused(code)]).await.unwrap_err();
        assert_eq!(why.name(), name);
        assert!(why.to_string().starts_with("dynamodb:PutItem answered "), "{why}");
        let why = take([free(400, held(0)), refused(code)]).await.unwrap_err();
        assert_eq!(why.name(), name);
        assert!(why.to_string().starts_with("sfn:DescribeExecution answered "), "{why}");
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
        let why = Asked::try_from(input).unwrap_err();
        assert_eq!(why.name(), "InvalidRequest");
        assert!(why.to_string().starts_with(field), "{why}");
    }
}
