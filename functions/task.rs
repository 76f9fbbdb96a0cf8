//! What a step is given, and how it runs in Lambda.

use crate::{aws, error::Error, pair::Pair, request::Request};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A step's input: the pair, the completed request, the execution, and what earlier steps learned.
#[derive(Debug)]
pub struct Task<K> {
    /// The cluster and the workspace.
    pub pair: Pair,
    /// The request, completed by `check-request`.
    pub request: Request,
    /// The ARN of the execution that runs the step.
    pub execution: String,
    /// What earlier steps learned.
    pub known: K,
}

impl<K> Task<K> {
    /// The same task for a part of the step that asks for something else.
    pub fn knowing<L>(&self, known: L) -> Task<L> {
        Task {
            pair: self.pair.clone(),
            request: self.request.clone(),
            execution: self.execution.clone(),
            known,
        }
    }
}

impl<K: DeserializeOwned> TryFrom<Value> for Task<K> {
    type Error = Error;

    /// Reads `{"request": …, "execution": "…", …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        let request = Request::parse(&input["request"])?;
        let execution = input["execution"]
            .as_str()
            .ok_or_else(|| Error::invalid("execution", "expected the execution's ARN, a string"))?
            .to_owned();
        let known = serde_path_to_error::deserialize(&input)
            .map_err(|error| Error::invalid(&error.path().to_string(), error.inner()))?;
        Ok(Self {
            pair: Pair {
                cluster: request.cluster_arn.clone(),
                workspace: request.workspace_arn.clone(),
            },
            request,
            execution,
            known,
        })
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
        let execution = payload["execution"].clone();
        let pair = json!([payload["request"]["clusterArn"], payload["request"]["workspaceArn"]]);
        aws::calls::take();
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
                "execution": execution,
                "clusterArn": pair[0],
                "workspaceArn": pair[1],
                "requestId": context.request_id,
                "outcome": outcome_name,
                "message": message,
                "calls": aws::calls::take(),
            })
        );
        outcome.map_err(Diagnostic::from)
    }))
    .await
}
