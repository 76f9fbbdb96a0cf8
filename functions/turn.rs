//! One execution works on one cluster at a time.
//!
//! A table in the hub has one row a cluster: the execution whose turn it is. A turn is not given
//! back: it ends with its execution, which Step Functions is asked about. So nothing is left to
//! clean up when an execution dies, however it dies.

use crate::{arn::ClusterArn, error::Error};
use aws_sdk_dynamodb::{
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use aws_sdk_sfn::types::ExecutionStatus;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    env,
    time::{SystemTime, UNIX_EPOCH},
};

/// How long a function may still run after its execution was stopped, in seconds: longer than any
/// function's timeout.
const LAST_STEP: u64 = 90;
/// How long Step Functions may not show an execution that has begun, in seconds: its reads are
/// eventually consistent (API reference, DescribeExecution).
const NOT_SHOWN: u64 = 300;
/// When a row may be forgotten, in seconds: no execution lasts that long.
const FORGOTTEN: u64 = 7 * 24 * 3600;

/// The clients that taking a turn needs.
#[derive(Debug)]
pub struct Clients {
    /// DynamoDB of the hub.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Step Functions of the hub.
    pub sfn: aws_sdk_sfn::Client,
}

/// Who asks for a turn at which cluster.
#[derive(Debug)]
pub struct Asked {
    /// The cluster.
    pub cluster: ClusterArn,
    /// The ARN of the execution that asks.
    pub execution: String,
}

impl TryFrom<Value> for Asked {
    type Error = Error;

    /// Reads `{"request": {"clusterArn": …}, "execution": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        let text = |value: &Value, field: &str| {
            let text = value.as_str().ok_or_else(|| Error::invalid(field, "expected a text"));
            text.map(str::to_owned)
        };
        let cluster = text(&input["request"]["clusterArn"], "clusterArn")?;
        Ok(Self {
            cluster: cluster.parse().map_err(|why| Error::invalid("clusterArn", why))?,
            execution: text(&input["execution"], "execution")?,
        })
    }
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Whether it is the turn of the execution that asked.
    pub turn: Turn,
    /// The execution whose turn it is, where it is another one.
    pub holder: Option<String>,
}

/// Whether it is the turn of the execution that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Turn {
    /// It is, until the execution ends.
    Ours,
    /// It is not: ask again.
    Theirs,
}

/// The table of turns: `AMPXA_TURNS`.
pub fn table_from_environment() -> String {
    env::var("AMPXA_TURNS").unwrap_or_default()
}

/// Takes the turn at a cluster, if nobody has it, or who had it has ended.
///
/// Safe to repeat: whoever has the turn is told so again.
///
/// # Errors
/// As AWS answers.
pub async fn take(aws: &Clients, table: &str, asked: &Asked, now: SystemTime) -> Result<Taken, Error> {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let ours = Taken {
        turn: Turn::Ours,
        holder: None,
    };
    let free =
        put(aws, table, asked, now).condition_expression("attribute_not_exists(clusterArn) OR executionArn = :holder");
    let Some(row) = put_unless_held(free.expression_attribute_values(":holder", text(&asked.execution))).await? else {
        return Ok(ours);
    };
    let held = |name: &str| row.get(name);
    let holder = held("executionArn")
        .and_then(|v| v.as_s().ok())
        .cloned()
        .unwrap_or_default();
    let since = held("since").and_then(|v| v.as_n().ok()?.parse().ok()).unwrap_or(0);
    if has_ended(&aws.sfn, &holder, since, now).await? {
        let next = put(aws, table, asked, now).condition_expression("executionArn = :holder");
        if put_unless_held(next.expression_attribute_values(":holder", text(&holder)))
            .await?
            .is_none()
        {
            return Ok(ours);
        }
    }
    Ok(Taken {
        turn: Turn::Theirs,
        holder: Some(holder),
    })
}

fn put(aws: &Clients, table: &str, asked: &Asked, now: u64) -> PutItemFluentBuilder {
    aws.dynamodb
        .put_item()
        .table_name(table)
        .item("clusterArn", text(&asked.cluster.to_string()))
        .item("executionArn", text(&asked.execution))
        .item("since", AttributeValue::N(now.to_string()))
        .item("expires", AttributeValue::N((now + FORGOTTEN).to_string()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Writes the row; where its condition does not hold, answers the row that stands there.
async fn put_unless_held(call: PutItemFluentBuilder) -> Result<Option<HashMap<String, AttributeValue>>, Error> {
    match call.send().await {
        Ok(_) => Ok(None),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Some(failed.item().cloned().unwrap_or_default()))
            }
            _ => Err(error.into()),
        },
    }
}

/// Whether an execution has ended, and nothing of it runs any more.
async fn has_ended(sfn: &aws_sdk_sfn::Client, execution: &str, since: u64, now: u64) -> Result<bool, Error> {
    let answer = match sfn.describe_execution().execution_arn(execution).send().await {
        Ok(answer) => answer,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_execution_does_not_exist()) =>
        {
            return Ok(now > since + NOT_SHOWN);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match answer.status {
        // Its last step had ended before it did.
        ExecutionStatus::Succeeded | ExecutionStatus::Failed => true,
        ExecutionStatus::Aborted | ExecutionStatus::TimedOut => answer
            .stop_date
            .is_some_and(|stopped| now > u64::try_from(stopped.secs()).unwrap_or(0) + LAST_STEP),
        _ => false,
    })
}
