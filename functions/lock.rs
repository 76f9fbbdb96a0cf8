//! The lock of a cluster: one execution at a time works on it.
//!
//! A table in the hub has one item for each cluster: the ARN of the execution that holds the lock. The lock is never
//! released. It is free when its execution has ended, and Step Functions knows the status of the execution. So nothing
//! has to be cleaned up after an execution, however it ended. If an execution was stopped, its last function may still
//! run: such an execution counts as ended at the second poll, a minute after the first.
//!
//! IAM is eventually consistent (IAM user guide, "Troubleshooting IAM"): it may still show what the last holder
//! deleted, and not yet show what it created. So the output has the seconds that the next holder must wait.

use crate::{
    arn::{ClusterArn, ExecutionArn},
    aws::{Account, none_if},
    error::Error,
    task::Task,
};
use aws_sdk_dynamodb::{
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use aws_sdk_sfn::types::ExecutionStatus;
use serde::Serialize;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds after the last write of another execution until reads of IAM are reliable.
const PROPAGATION_SECONDS: u64 = 60;
/// Time to live of an item, in seconds: longer than any execution runs.
const TIME_TO_LIVE_SECONDS: u64 = 7 * 24 * 3600;

/// The clients of this step.
#[derive(Debug)]
pub struct Clients {
    /// DynamoDB of the hub.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Step Functions of the hub.
    pub sfn: aws_sdk_sfn::Client,
}

impl Clients {
    /// Clients with the role of the function.
    pub fn new(hub: &Account) -> Self {
        Self {
            dynamodb: hub.dynamodb(),
            sfn: hub.sfn(),
        }
    }
}

/// Which execution wants the lock of which cluster.
#[derive(Debug)]
pub struct Input {
    /// The cluster.
    pub cluster: ClusterArn,
    /// The ARN of the execution that wants the lock.
    pub execution: ExecutionArn,
    /// The holder, if it was stopped at the last poll, at least a minute ago.
    pub stopped: Option<String>,
}

impl Input {
    /// The cluster and the execution of a task.
    pub fn of<I>(task: &Task<I>) -> Self {
        Self {
            cluster: task.pair.cluster.clone(),
            execution: task.execution.clone(),
            stopped: None,
        }
    }
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Reads `{"request": {"clusterArn": …}, "execution": "…", "stopped": …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        let text = |value: &Value, field: &str| {
            let text = value.as_str().ok_or_else(|| Error::invalid(field, "expected a string"));
            text.map(str::to_owned)
        };
        let cluster = text(&input["request"]["clusterArn"], "clusterArn")?;
        Ok(Self {
            cluster: cluster.parse().map_err(|error| Error::invalid("clusterArn", error))?,
            execution: text(&input["execution"], "execution")?
                .parse()
                .map_err(|error| Error::invalid("execution", error))?,
            stopped: input["stopped"].as_str().map(str::to_owned),
        })
    }
}

/// The result of an attempt.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Whether the execution now holds the lock.
    pub state: LockState,
    /// The execution that holds the lock, if it is another one.
    pub holder: Option<String>,
    /// The holder, if it was stopped and its last function may still run: the input of the next poll.
    pub stopped: Option<String>,
    /// Seconds to wait until reads show the writes of the last holder.
    pub propagation_seconds: u64,
}

/// Whether an execution holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LockState {
    /// It holds the lock until it ends.
    Acquired,
    /// Another execution holds the lock: poll again.
    Held,
}

/// Acquires the lock of a cluster, if it is free or its holder has ended.
///
/// Idempotent: the holder acquires the lock again.
///
/// # Errors
/// Those of the calls to DynamoDB and Step Functions.
pub async fn acquire(aws: &Clients, table: &str, input: &Input, now: SystemTime) -> Result<Output, Error> {
    let acquired = |propagation_seconds| Output {
        state: LockState::Acquired,
        holder: None,
        stopped: None,
        propagation_seconds,
    };
    let free = put(aws, table, input, now)
        .condition_expression("attribute_not_exists(clusterArn) OR executionArn = :holder")
        .expression_attribute_values(":holder", text(&input.execution));
    let Some(holder) = put_unless_held(free).await? else {
        return Ok(acquired(0));
    };
    let status = status(&aws.sfn, &holder).await?;
    let polled_before = input.stopped.as_ref() == Some(&holder);
    if matches!(status, Status::Ended(_)) || (status == Status::Stopped && polled_before) {
        let next = put(aws, table, input, now)
            .condition_expression("executionArn = :holder")
            .expression_attribute_values(":holder", text(&holder));
        if put_unless_held(next).await?.is_none() {
            return Ok(acquired(match status {
                // After a success of the same state machine nothing was deleted, and this execution reads what exists.
                Status::Ended(Ended { succeeded: true, .. })
                    if ExecutionArn::state_machine(&holder) == ExecutionArn::state_machine(&input.execution) =>
                {
                    0
                }
                Status::Ended(Ended { at, .. }) => (at + PROPAGATION_SECONDS).saturating_sub(seconds(now)),
                Status::Running | Status::Stopped => 0,
            }));
        }
    }
    let stopped = match status {
        Status::Stopped => Some(holder.clone()),
        Status::Running | Status::Ended(_) => None,
    };
    Ok(Output {
        state: LockState::Held,
        stopped,
        holder: Some(holder),
        propagation_seconds: 0,
    })
}

/// The running execution that holds the lock of a cluster, if it is another one. Read-only.
///
/// # Errors
/// Those of the calls to DynamoDB and Step Functions.
pub async fn running_holder(aws: &Clients, table: &str, input: &Input) -> Result<Option<String>, Error> {
    let item = aws
        .dynamodb
        .get_item()
        .table_name(table)
        .key("clusterArn", text(&input.cluster.to_string()))
        .consistent_read(true)
        .send()
        .await?
        .item;
    let holder = item.as_ref().and_then(|item| item.get("executionArn")?.as_s().ok());
    Ok(match holder {
        Some(holder) if **holder != *input.execution && status(&aws.sfn, holder).await? == Status::Running => {
            Some(holder.clone())
        }
        _ => None,
    })
}

fn put(aws: &Clients, table: &str, input: &Input, now: SystemTime) -> PutItemFluentBuilder {
    aws.dynamodb
        .put_item()
        .table_name(table)
        .item("clusterArn", text(&input.cluster.to_string()))
        .item("executionArn", text(&input.execution))
        .item(
            "expires",
            AttributeValue::N((seconds(now) + TIME_TO_LIVE_SECONDS).to_string()),
        )
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Writes the item. Returns the holder if the condition of the write is not met.
async fn put_unless_held(call: PutItemFluentBuilder) -> Result<Option<String>, Error> {
    let error = match call.send().await {
        Ok(_) => return Ok(None),
        Err(error) => error,
    };
    let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
        return Err(error.into());
    };
    let item = failed.item().and_then(|item| item.get("executionArn"));
    let holder = item.and_then(|holder| holder.as_s().ok()).cloned();
    if holder.is_none() {
        let reason = "dynamodb:PutItem did not return the holder of the lock: the item has just expired.";
        return Err(Error::Transient(reason.to_owned()));
    }
    Ok(holder)
}

/// Whether an execution may still write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// It runs.
    Running,
    /// It was stopped, or does not exist: its last function may run for less than a minute.
    Stopped,
    /// It has ended after its last function.
    Ended(Ended),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended {
    succeeded: bool,
    /// Seconds since the epoch.
    at: u64,
}

/// The status of an execution. Step Functions' reads are eventually consistent (API reference, DescribeExecution): an
/// execution that has just started may not exist yet, and one that has ended may still be RUNNING.
async fn status(sfn: &aws_sdk_sfn::Client, execution: &str) -> Result<Status, Error> {
    let result = sfn.describe_execution().execution_arn(execution).send().await;
    let Some(described) = none_if(result, |e| e.is_execution_does_not_exist())? else {
        return Ok(Status::Stopped);
    };
    Ok(match described.status {
        ExecutionStatus::Succeeded | ExecutionStatus::Failed => Status::Ended(Ended {
            succeeded: described.status == ExecutionStatus::Succeeded,
            at: described.stop_date.map_or(0, |date| date.secs().unsigned_abs()),
        }),
        ExecutionStatus::Aborted | ExecutionStatus::TimedOut => Status::Stopped,
        _ => Status::Running,
    })
}
