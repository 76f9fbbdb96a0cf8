//! DynamoDB's table of locks, and the status of executions in Step Functions.

use super::{Call, CallResult, ServiceError};
use crate::{machine::End, world::World};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

/// The items of the table, by the cluster's ARN.
#[derive(Debug, Default)]
pub struct Locks(BTreeMap<String, Map<String, Value>>);

impl Locks {
    /// The ARN of the execution that holds the lock of a cluster.
    pub fn holder(&self, cluster: &str) -> Option<&str> {
        self.0.get(cluster)?["executionArn"]["S"].as_str()
    }

    /// `GetItem`, consistent.
    pub fn get_item(&self, call: &Call) -> CallResult {
        assert_eq!((call.action.as_str(), call.account.as_str()), ("GetItem", "hub"));
        assert_eq!(call.body["ConsistentRead"], true);
        let key = call.body["Key"]["clusterArn"]["S"].as_str().expect("a key");
        Ok(self
            .0
            .get(key)
            .map_or(json!({}), |item| json!({ "Item": item }))
            .to_string())
    }

    /// `PutItem`, with a condition.
    pub fn put_item(&mut self, call: &Call, _now: Duration) -> CallResult {
        assert_eq!((call.action.as_str(), call.account.as_str()), ("PutItem", "hub"));
        let body = &call.body;
        let Value::Object(item) = &body["Item"] else {
            panic!("no item: {body}");
        };
        let key = item["clusterArn"]["S"].as_str().expect("a key").to_owned();
        let existing = self.0.get(&key);
        let condition = body["ConditionExpression"].as_str().expect("a condition");
        if !condition
            .split(" OR ")
            .any(|part| is_true(part, existing, &body["ExpressionAttributeValues"]))
        {
            assert_eq!(body["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
            let old_item = json!(existing);
            return Err(ServiceError(
                400,
                "ConditionalCheckFailedException",
                format!("The conditional request failed\n{old_item}"),
            ));
        }
        self.0.insert(key, item.clone());
        Ok("{}".to_owned())
    }
}

/// Evaluates one part of a condition against the existing item.
fn is_true(part: &str, existing: Option<&Map<String, Value>>, values: &Value) -> bool {
    if let Some(field) = part.strip_prefix("attribute_not_exists(") {
        let field = field.strip_suffix(')').expect("a closing parenthesis");
        return existing.is_none_or(|item| !item.contains_key(field));
    }
    let (field, value) = part
        .split_once(" = ")
        .unwrap_or_else(|| panic!("unknown condition {part}"));
    assert!(!values[value].is_null(), "{value} has no value");
    existing.is_some_and(|item| item.get(field) == Some(&values[value]))
}

/// `DescribeExecution` of Step Functions. It is eventually consistent: an execution that just started may not exist
/// yet, and an execution that just ended may still be RUNNING.
pub fn describe_execution(call: &Call, world: &World, random: &mut fastrand::Rng, now: Duration) -> CallResult {
    assert_eq!(call.action, "DescribeExecution");
    let arn = call.body["executionArn"].as_str().expect("an ARN");
    let lag = Duration::from_millis(random.u64(..=world.setup.states_lag_ms));
    let as_of = now.saturating_sub(lag);
    let execution = world.execution(arn).filter(|execution| execution.started <= as_of);
    let Some(execution) = execution else {
        let message = format!("Execution Does Not Exist: '{arn}'");
        return Err(ServiceError(400, "ExecutionDoesNotExist", message));
    };
    let ended = execution.ended.lock().unwrap().clone().filter(|(at, _)| *at <= as_of);
    let status = match &ended {
        Some((_, End::Succeeded(_))) => "SUCCEEDED",
        Some((_, End::Failed(_))) => "FAILED",
        Some((_, End::TimedOut)) => "TIMED_OUT",
        Some((_, End::Aborted)) => "ABORTED",
        None => "RUNNING",
    };
    let machine = arn.replace(":execution:", ":stateMachine:");
    let machine = machine.rsplit_once(':').expect("a name").0;
    Ok(json!({
        "executionArn": arn,
        "stateMachineArn": machine,
        "status": status,
        "startDate": world.epoch(execution.started),
        "stopDate": ended.map(|(at, _)| world.epoch(at)),
    })
    .to_string())
}
