//! Runs a step in Lambda: reads its input, returns its result, and writes a line to the log.

use crate::{VERSION, aws, error::Error, input};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use std::collections::BTreeMap;

/// The execution, cluster and workspace of an invocation, for its line in the log. They are in the task of a step, in
/// the item of a reconciliation, or in the event of an execution's end.
struct Subject {
    execution: Value,
    cluster: Value,
    workspace: Value,
}

impl Subject {
    /// The subject of a payload, also if another part of the payload cannot be parsed.
    fn of_text(payload: &str) -> Self {
        Self::of(&readable_part(payload, 2))
    }

    fn of(payload: &Value) -> Self {
        let first = |pointers: [&str; 2]| {
            let mut values = pointers.iter().filter_map(|pointer| payload.pointer(pointer));
            values.find(|value| value.is_string()).cloned().unwrap_or_default()
        };
        Self {
            execution: first(["/execution", "/detail/executionArn"]),
            cluster: first(["/request/clusterArn", "/clusterArn"]),
            workspace: first(["/request/workspaceArn", "/workspaceArn"]),
        }
    }
}

/// A JSON value without the members that serde_json cannot parse, such as a number out of range. `depth` is the number of
/// levels whose members are read separately.
fn readable_part(text: &str, depth: u8) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    if depth == 0 {
        return Value::Null;
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let readable = members.into_iter();
    readable
        .map(|(key, value)| (key, readable_part(value.get(), depth - 1)))
        .collect()
}

/// Runs a step for each invocation, until Lambda ends the process.
///
/// Each invocation writes one line of JSON to the log: the outcome, the message of the error or of the output, and the
/// calls to AWS with their request ids. Input that the step cannot read is an `InvalidRequest`, also if it is JSON that
/// serde_json does not parse: nesting of more than 127 levels, a lone surrogate, or a number out of range.
///
/// # Errors
/// Those of `lambda_runtime`, if the Runtime API of Lambda fails.
pub async fn run<I, O>(
    step: &'static str,
    work: impl AsyncFn(I) -> Result<O, Error>,
) -> Result<(), lambda_runtime::Error>
where
    I: TryFrom<Value, Error = Error>,
    O: Serialize,
{
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let LambdaEvent { payload, context } = event;
        let subject = Subject::of_text(payload.get());
        aws::request_log::take();
        let input = input::json_text(payload.get()).map_err(Error::from);
        let outcome = match input.and_then(I::try_from) {
            // The box keeps the type of the nested futures within the compiler's recursion limit.
            Ok(input) => Box::pin(work(input)).await,
            Err(error) => Err(error),
        };
        let (outcome_name, message) = match &outcome {
            Ok(output) => ("Done", json!(output)["message"].as_str().unwrap_or_default().to_owned()),
            Err(error) => (error.name(), error.to_string()),
        };
        println!(
            "{}",
            json!({
                "step": step,
                "version": VERSION,
                "execution": subject.execution,
                "clusterArn": subject.cluster,
                "workspaceArn": subject.workspace,
                "requestId": context.request_id,
                "outcome": outcome_name,
                "message": message,
                "calls": aws::request_log::take(),
            })
        );
        outcome.map_err(Diagnostic::from)
    }))
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_line_names_execution_cluster_and_workspace_of_any_input() {
        let logged = |payload: Value| {
            let subject = Subject::of(&payload);
            json!([subject.execution, subject.cluster, subject.workspace])
        };
        let request = json!({ "clusterArn": "c", "workspaceArn": "w" });
        assert_eq!(
            logged(json!({ "execution": "e", "request": request })),
            json!(["e", "c", "w"])
        );
        assert_eq!(
            logged(json!({ "execution": "e", "clusterArn": "c" })),
            json!(["e", "c", null])
        );
        assert_eq!(
            logged(json!({ "detail": { "executionArn": "e" } })),
            json!(["e", null, null])
        );
        assert_eq!(
            logged(json!({ "execution": 1, "clusterArn": {} })),
            json!([null, null, null])
        );
        assert_eq!(logged(json!(null)), json!([null, null, null]));
    }

    #[test]
    fn the_log_line_names_execution_and_cluster_of_input_that_is_not_valid() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for invalid in ["1e999", r#""\ud800""#, &deep] {
            let payload = format!(
                r#"{{"execution": "e", "request": {{"clusterArn": "c", "alias": {invalid}, "workspaceArn": {invalid}}}}}"#
            );
            let subject = Subject::of_text(&payload);
            assert_eq!(
                json!([subject.execution, subject.cluster, subject.workspace]),
                json!(["e", "c", null])
            );
        }
    }
}
