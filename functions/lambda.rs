//! How a step runs in Lambda: its input read, its outcome answered and logged.

use crate::{aws, error::Error};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::{Value, json};

/// What an invocation is about, for its line in the log: of a step as its task says, of a step of a reconciliation as its item
/// says, of an execution that has ended as the event says.
struct About {
    execution: Value,
    cluster: Value,
    workspace: Value,
}

impl About {
    fn of(payload: &Value) -> Self {
        let first = |pointers: [&str; 2]| {
            let mut found = pointers.iter().filter_map(|pointer| payload.pointer(pointer));
            found.find(|value| value.is_string()).cloned().unwrap_or_default()
        };
        Self {
            execution: first(["/execution", "/detail/executionArn"]),
            cluster: first(["/request/clusterArn", "/clusterArn"]),
            workspace: first(["/request/workspaceArn", "/workspaceArn"]),
        }
    }
}

/// Serves a step until Lambda ends it.
///
/// Input that is not what the step expects is `InvalidRequest`; every outcome is one line of JSON
/// in the log, with the `message` of an output that has one, and the request ids of all calls of AWS.
///
/// # Errors
/// Lambda's own, when its Runtime API is lost.
pub async fn run<I, O>(
    step: &'static str,
    work: impl AsyncFn(I) -> Result<O, Error>,
) -> Result<(), lambda_runtime::Error>
where
    I: TryFrom<Value, Error = Error>,
    O: Serialize,
{
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let LambdaEvent { payload, context } = event;
        let about = About::of(&payload);
        aws::request_log::take();
        let outcome = match I::try_from(payload) {
            // Boxed: the compiler follows nested futures only so deep.
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
                "execution": about.execution,
                "clusterArn": about.cluster,
                "workspaceArn": about.workspace,
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
    fn a_line_tells_what_it_is_about_whatever_invoked_the_step() {
        let told = |payload: Value| {
            let about = About::of(&payload);
            json!([about.execution, about.cluster, about.workspace])
        };
        let request = json!({ "clusterArn": "c", "workspaceArn": "w" });
        assert_eq!(
            told(json!({ "execution": "e", "request": request })),
            json!(["e", "c", "w"])
        );
        assert_eq!(
            told(json!({ "execution": "e", "clusterArn": "c" })),
            json!(["e", "c", null])
        );
        assert_eq!(
            told(json!({ "detail": { "executionArn": "e" } })),
            json!(["e", null, null])
        );
        assert_eq!(
            told(json!({ "execution": 1, "clusterArn": {} })),
            json!([null, null, null])
        );
        assert_eq!(told(json!(null)), json!([null, null, null]));
    }
}
