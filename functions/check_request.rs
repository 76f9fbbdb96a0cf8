//! The step `Check request`: parses a request and adds the defaults.

use crate::{error::Error, pair::Pair, request::Request, scrape_configuration};
use serde::Serialize;
use serde_json::Value;

/// A request before it is parsed.
#[derive(Debug)]
pub struct Input(Value);

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Reads `{"request": …}`, without an error: [`check`] parses the request.
    fn try_from(mut input: Value) -> Result<Self, Error> {
        Ok(Self(input.get_mut("request").map(Value::take).unwrap_or_default()))
    }
}

/// A request with its defaults, and the ARNs that follow from it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The request with its defaults.
    pub request: Request,
    /// The ARN of the role in the source account, whether it exists or not.
    pub source_role_arn: String,
    /// The ARN of the role in the target account, whether it exists or not.
    pub target_role_arn: String,
    /// What a person should look at again.
    pub warnings: Vec<String>,
}

/// Parses a request and adds the defaults. Makes no call to AWS.
///
/// # Errors
/// `InvalidRequest` if a field is not valid.
pub fn check(input: &Input) -> Result<Output, Error> {
    let request = Request::parse(&input.0)?;
    let pair = Pair {
        cluster: request.cluster_arn.clone(),
        workspace: request.workspace_arn.clone(),
    };
    Ok(Output {
        source_role_arn: pair.source_role_arn(),
        target_role_arn: pair.target_role_arn(),
        warnings: request
            .scrape_configuration
            .as_deref()
            .map_or(Vec::new(), scrape_configuration::warnings),
        request,
    })
}
