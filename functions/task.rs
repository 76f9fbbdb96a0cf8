//! What a step is given.

use crate::{error::Error, pair::Pair, request::Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A step's input: the pair, the completed request, the execution, and what earlier steps learned.
#[derive(Debug)]
pub struct Task<I> {
    /// The cluster and the workspace.
    pub pair: Pair,
    /// The request, completed by `check-request`.
    pub request: Request,
    /// The ARN of the execution that runs the step.
    pub execution: String,
    /// What earlier steps learned.
    pub input: I,
}

impl<I> Task<I> {
    /// The same task for a part of the step that asks for something else.
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
            .ok_or_else(|| Error::invalid("execution", "expected the execution's ARN, a string"))?
            .to_owned();
        let input = serde_path_to_error::deserialize(&input)
            .map_err(|error| Error::invalid(&error.path().to_string(), error.inner()))?;
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
