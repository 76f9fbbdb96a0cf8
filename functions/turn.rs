//! One execution works on one cluster at a time.
//!
//! A table in the hub has one row a cluster: the execution whose turn it is. A turn is not given
//! back: it ends with its execution, which Step Functions is asked about. So nothing is left to
//! clean up when an execution dies, however it dies. One that was stopped from outside may have a
//! function under way: it counts as ended at the second look, a minute after the first.
//!
//! What the execution before removed a moment ago, IAM may still show, and what it made not yet
//! (IAM user guide, "Troubleshooting IAM"): who follows is told how long to wait for that.

use crate::{arn::ClusterArn, aws::unless, error::Error};
use aws_sdk_dynamodb::{
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use aws_sdk_sfn::types::ExecutionStatus;
use serde::Serialize;
use serde_json::Value;
use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};

/// So long, in seconds, reads of IAM are not trusted after somebody else's writes.
const SETTLING: u64 = 60;
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
    /// The execution that the last look found stopped, a minute ago or longer.
    pub stopped: Option<String>,
}

impl TryFrom<Value> for Asked {
    type Error = Error;

    /// Reads `{"request": {"clusterArn": …}, "execution": "…", "stopped": …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        let text = |value: &Value, field: &str| {
            let text = value.as_str().ok_or_else(|| Error::invalid(field, "expected a text"));
            text.map(str::to_owned)
        };
        let cluster = text(&input["request"]["clusterArn"], "clusterArn")?;
        Ok(Self {
            cluster: cluster.parse().map_err(|why| Error::invalid("clusterArn", why))?,
            execution: text(&input["execution"], "execution")?,
            stopped: input["stopped"].as_str().map(str::to_owned),
        })
    }
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// Whether it is the turn of the execution that asked.
    pub turn: Turn,
    /// The execution whose turn it is, where it is another one.
    pub holder: Option<String>,
    /// The same, where it was stopped and its last function may still run: to be handed to the next look.
    pub stopped: Option<String>,
    /// How long to wait, in seconds, until what the execution before did can be seen.
    pub settle_seconds: u64,
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
    let ours = |settle_seconds| Taken {
        turn: Turn::Ours,
        holder: None,
        stopped: None,
        settle_seconds,
    };
    let free = put(aws, table, asked, now)
        .condition_expression("attribute_not_exists(clusterArn) OR executionArn = :holder")
        .expression_attribute_values(":holder", text(&asked.execution));
    let Some(holder) = put_unless_held(free).await? else {
        return Ok(ours(0));
    };
    let life = life(&aws.sfn, &holder).await?;
    let waited = asked.stopped.as_ref() == Some(&holder);
    if matches!(life, Life::Over(_)) || (life == Life::Stopped && waited) {
        let next = put(aws, table, asked, now)
            .condition_expression("executionArn = :holder")
            .expression_attribute_values(":holder", text(&holder));
        if put_unless_held(next).await?.is_none() {
            return Ok(ours(match life {
                // Who repeats what went well removes nothing, and finds what is there.
                Life::Over(Ended { succeeded: true, .. }) if machine(&holder) == machine(&asked.execution) => 0,
                Life::Over(Ended { at, .. }) => (at + SETTLING).saturating_sub(seconds(now)),
                Life::On | Life::Stopped => 0,
            }));
        }
    }
    Ok(Taken {
        turn: Turn::Theirs,
        stopped: (life == Life::Stopped).then(|| holder.clone()),
        holder: Some(holder),
        settle_seconds: 0,
    })
}

fn put(aws: &Clients, table: &str, asked: &Asked, now: SystemTime) -> PutItemFluentBuilder {
    aws.dynamodb
        .put_item()
        .table_name(table)
        .item("clusterArn", text(&asked.cluster.to_string()))
        .item("executionArn", text(&asked.execution))
        .item("expires", AttributeValue::N((seconds(now) + FORGOTTEN).to_string()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// The machine that an execution is of, as its ARN names it.
fn machine(execution: &str) -> Option<&str> {
    execution.rsplit(':').nth(1)
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Writes the row; where its condition does not hold, answers the execution that stands there.
async fn put_unless_held(call: PutItemFluentBuilder) -> Result<Option<String>, Error> {
    let error = match call.send().await {
        Ok(_) => return Ok(None),
        Err(error) => error,
    };
    let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
        return Err(error.into());
    };
    let row = failed.item().and_then(|row| row.get("executionArn"));
    let holder = row.and_then(|holder| holder.as_s().ok()).cloned();
    holder.map(Some).ok_or_else(|| {
        Error::Transient("dynamodb:PutItem did not say whose turn it is: the row was just forgotten.".to_owned())
    })
}

/// Whether anything of an execution may still run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It runs.
    On,
    /// It was stopped, or is not known: its last function may still run, for less than a minute.
    Stopped,
    /// It has ended by itself, after its last function.
    Over(Ended),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended {
    succeeded: bool,
    /// When, in seconds since the epoch.
    at: u64,
}

/// Step Functions' reads are eventually consistent (API reference, DescribeExecution): an execution
/// that has just begun may not be shown yet, one that has ended may still be shown running.
async fn life(sfn: &aws_sdk_sfn::Client, execution: &str) -> Result<Life, Error> {
    let answer = sfn.describe_execution().execution_arn(execution).send().await;
    let Some(it) = unless(answer, |e| e.is_execution_does_not_exist())? else {
        return Ok(Life::Stopped);
    };
    Ok(match it.status {
        ExecutionStatus::Succeeded | ExecutionStatus::Failed => Life::Over(Ended {
            succeeded: it.status == ExecutionStatus::Succeeded,
            at: it.stop_date.map_or(0, |date| date.secs().unsigned_abs()),
        }),
        ExecutionStatus::Aborted | ExecutionStatus::TimedOut => Life::Stopped,
        _ => Life::On,
    })
}
