//! The task: the input of a step.

use crate::{arn::ExecutionArn, error::Error, input, pair::Pair, request::Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The input of a step: the pair, the completed request, the execution, and values from earlier steps.
#[derive(Debug)]
pub struct Task<I> {
    /// The cluster and the workspace.
    pub pair: Pair,
    /// The request, completed by `check-request`.
    pub request: Request,
    /// The ARN of the execution that runs the step.
    pub execution: ExecutionArn,
    /// Values from the output of earlier steps.
    pub input: I,
}

impl<I> Task<I> {
    /// The same task with other values from earlier steps.
    pub fn with_input<J>(&self, input: J) -> Task<J> {
        Task {
            pair: self.pair.clone(),
            request: self.request.clone(),
            execution: self.execution.clone(),
            input,
        }
    }
}

impl<I: DeserializeOwned> TryFrom<Value> for Task<I> {
    type Error = Error;

    /// Reads `{"request": …, "execution": "…", …}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        let request = Request::parse(&input["request"])?;
        let execution = input["execution"]
            .as_str()
            .ok_or_else(|| Error::invalid("execution", "expected the ARN of the execution, a string"))?
            .parse()
            .map_err(|error| Error::invalid("execution", error))?;
        let input = input::of_machine(&input)?;
        Ok(Self {
            pair: Pair {
                cluster: request.cluster_arn.clone(),
                workspace: request.workspace_arn.clone(),
            },
            request,
            execution,
            input,
        })
    }
}
