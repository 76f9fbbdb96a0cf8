//! Calls to AWS for which this program has no generated client: CloudFormation, SNS, CloudTrail, EventBridge, S3.

mod service;
mod signing;
pub mod xml;

pub use service::{CLOUDFORMATION, CLOUDTRAIL, EC2, EVENTS, SNS, Service};

use crate::account::Account;
use anyhow::Result;
use aws_smithy_runtime::client::{
    orchestrator::operation::Operation,
    retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
        result::SdkError,
    },
};
use aws_smithy_types::{body::SdkBody, error::display::DisplayErrorContext, retry::RetryConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use service::S3;
use std::fmt;

/// The characters of an object's key that a URI encodes.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why a call failed.
#[derive(Debug, Clone)]
pub struct CallError {
    /// The call, such as `cloudformation:DescribeStacks`.
    pub call: String,
    /// The error code, or the HTTP status if the response has no code; empty without a response.
    pub code: String,
    /// The message.
    pub message: String,
}

impl CallError {
    /// Whether the caller has no permission for the call.
    pub fn is_denied(&self) -> bool {
        ["AccessDenied", "UnauthorizedOperation", "AuthorizationError", "403"]
            .iter()
            .any(|code| self.code.starts_with(code))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.as_str() {
            "" => write!(f, "{} failed: {}", self.call, self.message),
            code => write!(f, "{} failed with {code}: {}", self.call, self.message),
        }
    }
}

impl std::error::Error for CallError {}

/// A request before it is signed.
struct Request<'a> {
    method: &'static str,
    bucket: Option<&'a str>,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Account {
    /// Makes a call of a query API; returns the XML of the response.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn query_call(
        &self,
        service: Service,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<u8>, CallError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", service.api)
            .extend_pairs(parameters)
            .finish();
        let form = "application/x-www-form-urlencoded".to_owned();
        let request = Request {
            method: "POST",
            bucket: None,
            path: "/".to_owned(),
            headers: vec![("content-type", form)],
            body: body.into_bytes(),
        };
        self.call(service, action, request).await
    }

    /// Makes a call of a JSON API.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn json_call(&self, service: Service, action: &str, input: &Value) -> Result<Value, CallError> {
        let request = Request {
            method: "POST",
            bucket: None,
            path: "/".to_owned(),
            headers: vec![
                ("content-type", "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target", format!("{}.{action}", service.api)),
            ],
            body: input.to_string().into_bytes(),
        };
        let response = self.call(service, action, request).await?;
        serde_json::from_slice(&response).map_err(|error| CallError {
            call: format!("{}:{action}", service.name),
            code: String::new(),
            message: format!("the response is not JSON: {error}"),
        })
    }

    /// Reads an object of any size.
    ///
    /// # Errors
    /// If it does not exist, or if it cannot be read.
    pub async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, CallError> {
        let request = Request {
            method: "GET",
            bucket: Some(bucket),
            path: format!("/{}", utf8_percent_encode(key, KEY)),
            headers: Vec::new(),
            body: Vec::new(),
        };
        self.call(S3, "GetObject", request).await
    }

    async fn call(&self, service: Service, action: &str, request: Request<'_>) -> Result<Vec<u8>, CallError> {
        let call = format!("{}:{action}", service.name);
        let failed = |error: BoxError| CallError {
            call: call.clone(),
            code: String::new(),
            message: error.to_string(),
        };
        let (endpoint, path) = self.address(service, request.bucket, &request.path);
        let headers = self
            .signed_headers(service, &format!("{endpoint}{path}"), &request)
            .await;
        let headers = headers.map_err(|error| failed(error.into()))?;
        let Request { method, body, .. } = request;
        let mut operation = Operation::builder()
            .service_name(service.name)
            .operation_name(action.to_owned())
            .behavior_version(aws_config::BehaviorVersion::latest())
            .endpoint_url(&endpoint)
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .retry_classifier(TransientErrorClassifier::<CallError>::new())
            .retry_classifier(HttpStatusCodeClassifier::default());
        if let Some(client) = self.config().http_client() {
            operation = operation.http_client(client);
        }
        if let Some(sleep) = self.config().sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        let name = call.clone();
        let sent = operation
            .serializer(move |(): ()| {
                let mut http = HttpRequest::new(SdkBody::from(body.clone()));
                http.set_method(method)?;
                http.set_uri(path.clone())?;
                for (name, value) in &headers {
                    http.headers_mut().try_insert(name.clone(), value.clone())?;
                }
                Ok(http)
            })
            .deserializer(move |response: &HttpResponse| {
                let body = response.body().bytes().unwrap_or_default();
                match response.status().is_success() {
                    true => Ok(body.to_vec()),
                    false => Err(OrchestratorError::operation(error_of(
                        &name,
                        response.status().as_u16(),
                        body,
                    ))),
                }
            })
            .build()
            .invoke(())
            .await;
        sent.map_err(|error| match error {
            SdkError::ServiceError(error) => error.into_err(),
            error => failed(DisplayErrorContext(error).to_string().into()),
        })
    }
}

/// The error of a response, in JSON or XML.
fn error_of(call: &str, status: u16, body: &[u8]) -> CallError {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = text(&json["__type"]).or_else(|| xml::text(body, "Code"));
    let message = text(&json["message"])
        .or_else(|| text(&json["Message"]))
        .or_else(|| xml::text(body, "Message"));
    let code = code.unwrap_or_else(|| status.to_string());
    CallError {
        call: call.to_owned(),
        // The type of a JSON error can have a namespace.
        code: code.rsplit('#').next().unwrap_or_default().to_owned(),
        message: message.unwrap_or_else(|| "the response has no message".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_from_json_and_xml() {
        let json = br#"{"__type":"com.amazon#AccessDeniedException","Message":"no"}"#;
        let error = error_of("cloudtrail:DescribeTrails", 400, json);
        assert!(error.is_denied());
        let expected = "cloudtrail:DescribeTrails failed with AccessDeniedException: no";
        assert_eq!(error.to_string(), expected);
        let xml = b"<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>no stack</Message></Error></ErrorResponse>";
        let error = error_of("cloudformation:DescribeStacks", 400, xml);
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("ValidationError", "no stack")
        );
        let error = error_of("s3:GetObject", 403, b"<html>");
        assert!(error.is_denied());
        assert_eq!(
            error.to_string(),
            "s3:GetObject failed with 403: the response has no message"
        );
    }
}
