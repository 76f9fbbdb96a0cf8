//! The calls to AWS of an invocation, for its line in the log. AWS Support needs their request ids.

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef, dyn_dispatch_hint},
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::request_id::RequestId;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};

/// The maximum number of calls in a line. Later calls are left out.
const MAX_CALLS: usize = 50;

/// A call that received a response.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredCall {
    /// The service, as IAM's actions name it.
    pub service: String,
    /// The operation.
    pub call: String,
    /// The account of the assumed provisioner. `None` for the role of the function.
    pub account: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// AWS's request id.
    pub request_id: Option<String>,
}

/// Global, because Lambda runs one invocation at a time in a process.
static CALLS: Mutex<Vec<AnsweredCall>> = Mutex::new(Vec::new());

/// Takes the calls since the last `take`.
pub fn take() -> Vec<AnsweredCall> {
    std::mem::take(&mut *CALLS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The prefix of a service's actions in IAM, by its name in the SDK.
pub(super) fn iam_prefix(service: &str) -> String {
    match service.to_ascii_lowercase().as_str() {
        "amp" => "aps".to_owned(),
        "sfn" => "states".to_owned(),
        other => other.to_owned(),
    }
}

/// Records every response to a client, also those of attempts that are retried.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestLog {
    /// The account of the assumed provisioner. `None` for the role of the function.
    pub(super) account: Option<String>,
}

#[dyn_dispatch_hint]
impl Intercept for RequestLog {
    fn name(&self) -> &'static str {
        "RequestLog"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, call) = match config.load::<Metadata>() {
            Some(metadata) => (iam_prefix(metadata.service()), metadata.name().to_owned()),
            None => Default::default(),
        };
        let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() < MAX_CALLS {
            let response = context.response();
            calls.push(AnsweredCall {
                service,
                call,
                account: self.account.clone(),
                status: response.status().as_u16(),
                request_id: response.request_id().map(str::to_owned),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Aws, timeouts};
    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
    };
    use aws_smithy_types::{body::SdkBody, retry::RetryConfig};

    /// Denies every request.
    #[derive(Debug, Clone)]
    struct DenyAll;

    impl HttpClient for DenyAll {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    impl HttpConnector for DenyAll {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let mut response = HttpResponse::new(403.try_into().unwrap(), SdkBody::from("the secret response"));
            response.headers_mut().insert("x-amzn-requestid", "id-1");
            HttpConnectorFuture::ready(Ok(response))
        }
    }

    #[tokio::test]
    async fn every_response_is_recorded_with_its_operation_and_without_secrets() {
        let config = timeouts()
            .into_builder()
            .region(aws_config::Region::new("us-west-2"))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                Credentials::new("AKIASECRET", "secret", None, None, "test"),
            ))
            .http_client(SharedHttpClient::new(DenyAll))
            .build();
        let hub = Aws::new(config, "step").hub();
        take();
        for _ in 0..MAX_CALLS {
            hub.amp()
                .describe_scraper()
                .scraper_id("s-secret")
                .send()
                .await
                .unwrap_err();
        }
        hub.iam().get_role().role_name("secret").send().await.unwrap_err();
        let calls = take();
        assert_eq!(calls.len(), MAX_CALLS, "later calls are left out");
        assert_eq!(
            serde_json::to_string(&calls[0]).unwrap(),
            r#"{"service":"aps","call":"DescribeScraper","account":null,"status":403,"requestId":"id-1"}"#
        );
        hub.sfn()
            .describe_execution()
            .execution_arn("arn")
            .send()
            .await
            .unwrap_err();
        hub.ec2().subnets(&["subnet-1".to_owned()]).await.unwrap_err();
        let names: Vec<_> = take()
            .into_iter()
            .map(|call| format!("{}:{}", call.service, call.call))
            .collect();
        assert_eq!(names, ["states:DescribeExecution", "ec2:DescribeSubnets"]);
    }
}
