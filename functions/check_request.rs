//! The completed request: what every later step is given, and the names a person will look for.

use crate::{error::Error, pair::Pair, request::Request};
use serde::Serialize;
use serde_json::Value;

/// A raw request, as a person or an event gave it.
#[derive(Debug)]
pub struct Input(Value);

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Takes `{"request": …}`; whatever stands there is judged by [`check`].
    fn try_from(mut input: Value) -> Result<Self, Error> {
        Ok(Self(input.get_mut("request").map(Value::take).unwrap_or_default()))
    }
}

/// A request with its defaults, and the names that follow from it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The request, defaults filled in.
    pub request: Request,
    /// The ARN of the role in the source account, whether it exists or not.
    pub source_role_arn: String,
    /// The ARN of the role in the target account, whether it exists or not.
    pub target_role_arn: String,
}

/// Parses, completes and refuses; touches nothing.
///
/// # Errors
/// `InvalidRequest`, naming the field and what would be right.
pub fn check(raw: &Input) -> Result<Output, Error> {
    let request = Request::parse(&raw.0)?;
    let pair = Pair {
        cluster: request.cluster_arn.clone(),
        workspace: request.workspace_arn.clone(),
    };
    Ok(Output {
        source_role_arn: pair.source_role_arn(),
        target_role_arn: pair.target_role_arn(),
        request,
    })
}
