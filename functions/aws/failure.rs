//! Maps the errors of AWS calls to [`Error`].

use super::request_log::iam_prefix;
use crate::error::Error;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};
use aws_types::request_id::RequestId;
use serde_json::Value;
use std::error::Error as StdError;

/// The SDK has already made its retries.
impl<E> From<SdkError<E, HttpResponse>> for Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let call = call_name(std::any::type_name::<E>());
        let SdkError::ServiceError(failure) = &error else {
            // Whether the call took effect is unknown. A retry is safe, because every step is idempotent.
            return Self::Transient(format!("{call} received no response: {}.", DisplayErrorContext(&error)));
        };
        let status = failure.raw().status().as_u16();
        let code = failure.err().code().unwrap_or("unknown error");
        let message = failure.err().message().unwrap_or("no message");
        let request_id = error.request_id().unwrap_or("unknown");
        let fields = invalid_fields(failure.raw(), message);
        let description =
            format!("{call} failed with {code}: {message} (HTTP {status}, request id {request_id}).{fields}");
        classify(code, status, message)(description)
    }
}

/// The invalid fields that a response names beside its message, as a sentence; empty if it names none. `fieldList` is
/// AMP's (API reference, ValidationException).
fn invalid_fields(response: &HttpResponse, message: &str) -> String {
    let body: Value = serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
    let fields = body["fieldList"].as_array().into_iter().flatten().filter_map(|field| {
        let (name, reason) = (field["name"].as_str()?, field["message"].as_str().unwrap_or_default());
        let is_in_message = message.contains(name) && message.contains(reason);
        match (is_in_message, reason) {
            (true, _) => None,
            (false, "") => Some(name.to_owned()),
            (false, reason) => Some(format!("{name}: {reason}")),
        }
    });
    let fields: Vec<String> = fields.collect();
    if fields.is_empty() {
        return String::new();
    }
    format!(" Invalid fields: {}.", fields.join("; "))
}

/// The output of a call, or `None` if the call failed with an error that is expected.
///
/// # Errors
/// Any other error of the call.
pub(crate) fn none_if<T, E>(
    result: Result<T, SdkError<E, HttpResponse>>,
    is_expected: impl FnOnce(&E) -> bool,
) -> Result<Option<T>, Error>
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    match result {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.as_service_error().is_some_and(is_expected) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The variant of [`Error`] for an error code, an HTTP status and a message.
fn classify(code: &str, status: u16, message: &str) -> fn(String) -> Error {
    match code {
        // IAM's two errors for a role that was created seconds ago and is not visible yet (IAM user guide,
        // "Troubleshoot IAM: changes that I make are not always immediately visible").
        "MalformedPolicyDocument" if message.contains("Invalid principal") => Error::NotVisibleYet,
        "NoSuchEntity" => Error::NotVisibleYet,
        "ConcurrentModification" | "EntityTemporarilyUnmodifiable" | "DeleteConflict" => Error::Transient,
        _ if THROTTLING_ERRORS.contains(&code) || TRANSIENT_ERRORS.contains(&code) => Error::Transient,
        _ if status == 429 || status >= 500 => Error::Transient,
        "ConflictException" | "EntityAlreadyExists" => Error::Conflict,
        "ResourceNotFoundException" => Error::NotReady,
        _ if is_quota(code) => Error::QuotaExceeded,
        _ if status == 401 || status == 403 || is_denial(code) => Error::AccessDenied,
        // AWS rejected the call. An unknown code is treated in the same way: it is not retried.
        _ => Error::InvalidRequest,
    }
}

/// Codes such as `LimitExceeded` (IAM), `ServiceQuotaExceededException` (AMP) and `ExecutionLimitExceeded` (Step
/// Functions).
fn is_quota(code: &str) -> bool {
    code.contains("LimitExceeded") || code.contains("QuotaExceeded")
}

/// Denials without status 403: `UnauthorizedOperation` (EC2) and `AccessDeniedException` (JSON protocols) have status
/// 400.
fn is_denial(code: &str) -> bool {
    code.contains("AccessDenied") || code.contains("Unauthorized") || code.contains("NotAuthorized")
}

/// The name of a call, from the type of its error, for messages.
///
/// `iam:CreateRole`, from `aws_sdk_iam::operation::create_role::CreateRoleError`; `ec2:DescribeSubnets`, from
/// `ampxa::aws::sigv4::Failure<ampxa::aws::ec2::DescribeSubnets>`.
fn call_name(error_type: &str) -> String {
    let mut parts = error_type.trim_end_matches('>').rsplit("::");
    let (operation, module) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let of_sdk = error_type
        .split("::")
        .next()
        .and_then(|name| name.strip_prefix("aws_sdk_"));
    let service = iam_prefix(of_sdk.unwrap_or(module));
    format!("{service}:{}", operation.strip_suffix("Error").unwrap_or(operation))
}
