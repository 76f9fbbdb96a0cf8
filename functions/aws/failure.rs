//! How an AWS call's failure becomes one of our six names, in one place.

use crate::error::Error;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};
use std::error::Error as StdError;

/// Names for what AWS answers; the SDK has already retried what can be retried in seconds.
impl<E> From<SdkError<E, HttpResponse>> for Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let call = call_name(std::any::type_name::<E>());
        let SdkError::ServiceError(failure) = &error else {
            // The call was lost on the way: whether it took effect is unknown, and every step
            // may run again.
            return Self::Transient(format!("{call} got no answer: {}.", DisplayErrorContext(&error)));
        };
        let status = failure.raw().status().as_u16();
        let request_id = failure
            .raw()
            .headers()
            .iter()
            .find_map(|(name, value)| matches!(name, "x-amzn-requestid" | "x-amz-request-id").then_some(value));
        let code = failure.err().code().unwrap_or("unknown error");
        let said = failure.err().message().unwrap_or("no message");
        let request_id = request_id.unwrap_or("unknown");
        let sentence = format!("{call} answered {code}: {said} (HTTP {status}, request id {request_id}).");
        classify(code, status, said)(sentence)
    }
}

/// What a call answered, or nothing where it failed as it may.
///
/// # Errors
/// Any other failure, under its name.
pub(crate) fn unless<T, E>(
    answer: Result<T, SdkError<E, HttpResponse>>,
    may: impl FnOnce(&E) -> bool,
) -> Result<Option<T>, Error>
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.as_service_error().is_some_and(may) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn classify(code: &str, status: u16, said: &str) -> fn(String) -> Error {
    match code {
        // IAM's two ways to say that it does not see a role made seconds ago (IAM user guide,
        // "Troubleshoot IAM: changes that I make are not always immediately visible").
        "MalformedPolicyDocument" if said.contains("Invalid principal") => Error::NotVisibleYet,
        "NoSuchEntity" => Error::NotVisibleYet,
        "ConcurrentModification" | "EntityTemporarilyUnmodifiable" | "DeleteConflict" => Error::Transient,
        _ if THROTTLING_ERRORS.contains(&code) || TRANSIENT_ERRORS.contains(&code) => Error::Transient,
        _ if status == 429 || status >= 500 => Error::Transient,
        "ConflictException" | "EntityAlreadyExists" => Error::Conflict,
        "ResourceNotFoundException" => Error::NotReady,
        _ if is_quota(code) => Error::QuotaExceeded,
        _ if status == 401 || status == 403 || is_denial(code) => Error::AccessDenied,
        // AWS rejected what the call says. A code that did not exist when this was written belongs here too: it is
        // not retried.
        _ => Error::InvalidRequest,
    }
}

/// `LimitExceeded` (IAM), `ServiceQuotaExceededException` (AMP), `ExecutionLimitExceeded` (Step Functions) and their like.
fn is_quota(code: &str) -> bool {
    code.contains("LimitExceeded") || code.contains("QuotaExceeded")
}

/// Denials that do not come with status 403: EC2 answers `UnauthorizedOperation` and JSON protocols
/// `AccessDeniedException` with status 400.
fn is_denial(code: &str) -> bool {
    code.contains("AccessDenied") || code.contains("Unauthorized") || code.contains("NotAuthorized")
}

/// `iam:CreateRole`, from `aws_sdk_iam::operation::create_role::CreateRoleError`; `ec2:DescribeSubnets`, from
/// `ampxa::aws::sigv4::Failure<ampxa::aws::ec2::DescribeSubnets>`.
///
/// The name is for people to read: nothing is decided by it.
fn call_name(error_type: &str) -> String {
    let mut parts = error_type.trim_end_matches('>').rsplit("::");
    let (operation, module) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let of_sdk = error_type
        .split("::")
        .next()
        .and_then(|name| name.strip_prefix("aws_sdk_"));
    let service = match of_sdk.unwrap_or(module) {
        "amp" => "aps",
        "sfn" => "states",
        other => other,
    };
    format!("{service}:{}", operation.strip_suffix("Error").unwrap_or(operation))
}
