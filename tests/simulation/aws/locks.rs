//! DynamoDB's table of turns, and Step Functions' word on executions.

use super::{Answered, Call, Refusal};
use crate::{machine::End, world::World};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

/// A row by its key.
#[derive(Debug, Default)]
pub struct Turns(BTreeMap<String, Map<String, Value>>);

impl Turns {
    /// The execution whose turn it is at a cluster.
    pub fn holder(&self, cluster: &str) -> Option<&str> {
        self.0.get(cluster)?["executionArn"]["S"].as_str()
    }

    pub fn put_item(&mut self, call: &Call, _now: Duration) -> Answered {
        assert_eq!((call.action.as_str(), call.account.as_str()), ("PutItem", "hub"));
        let body = &call.body;
        let Value::Object(item) = &body["Item"] else {
            panic!("no item: {body}");
        };
        let key = item["clusterArn"]["S"].as_str().expect("a key").to_owned();
        let there = self.0.get(&key);
        let condition = body["ConditionExpression"].as_str().expect("a condition");
        if !condition
            .split(" OR ")
            .any(|part| holds(part, there, &body["ExpressionAttributeValues"]))
        {
            assert_eq!(body["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
            let row = json!(there);
            return Err(Refusal(
                400,
                "ConditionalCheckFailedException",
                format!("The conditional request failed\n{row}"),
            ));
        }
        self.0.insert(key, item.clone());
        Ok("{}".to_owned())
    }
}

fn holds(part: &str, there: Option<&Map<String, Value>>, values: &Value) -> bool {
    if let Some(field) = part.strip_prefix("attribute_not_exists(") {
        let field = field.strip_suffix(')').expect("a bracket");
        return there.is_none_or(|row| !row.contains_key(field));
    }
    let (field, value) = part.split_once(" = ").unwrap_or_else(|| panic!("the condition {part}"));
    assert!(!values[value].is_null(), "{value} has no value");
    there.is_some_and(|row| row.get(field) == Some(&values[value]))
}

/// Eventually consistent: one that has just begun may not be shown, one that has ended may be shown
/// running.
pub fn describe_execution(call: &Call, world: &World, random: &mut fastrand::Rng, now: Duration) -> Answered {
    assert_eq!(call.action, "DescribeExecution");
    let arn = call.body["executionArn"].as_str().expect("an ARN");
    let behind = Duration::from_millis(random.u64(..=world.setup.states_lag_ms));
    let seen = now.saturating_sub(behind);
    let execution = world.execution(arn).filter(|execution| execution.began <= seen);
    let Some(execution) = execution else {
        let why = format!("Execution Does Not Exist: '{arn}'");
        return Err(Refusal(400, "ExecutionDoesNotExist", why));
    };
    let ended = execution.ended.lock().unwrap().clone().filter(|(at, _)| *at <= seen);
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
        "startDate": world.epoch(execution.began),
        "stopDate": ended.map(|(at, _)| world.epoch(at)),
    })
    .to_string())
}
