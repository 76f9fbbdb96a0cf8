//! The step `Check request`: parses a request and adds the defaults.

use crate::{
    VERSION,
    aws::s3::Bucket,
    configurations::{self, Named, OBJECT_FIELD},
    error::Error,
    pair::Pair,
    request::Request,
    scrape_configuration,
};
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
    /// The version of ampxa.
    pub version: &'static str,
}

/// Parses a request, adds the defaults, and reads the scrape configuration if the request names an object. The output
/// names its version, so that all steps of the execution read the same version. Read-only.
///
/// # Errors
/// `InvalidRequest` if a field or the object is not valid; and those of the call.
pub async fn check_with_object(bucket: &Bucket, input: &Input) -> Result<Output, Error> {
    let mut checked = check(input)?;
    let Some(Named::Object(key, version)) = checked.request.configuration() else {
        return Ok(checked);
    };
    let (yaml, version) = configurations::read(bucket, key, version).await?;
    let labels = scrape_configuration::labels(&checked.request.cluster_arn, &checked.request.external_labels);
    if let Err(Error::InvalidRequest(why)) = scrape_configuration::complete(&yaml, &labels) {
        let object = format!("the object {key}, read as {why}");
        return Err(Error::invalid(OBJECT_FIELD, object));
    }
    checked.warnings = scrape_configuration::warnings(&yaml);
    checked.request.scrape_configuration_version = Some(version);
    Ok(checked)
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
        version: VERSION,
        request,
    })
}
