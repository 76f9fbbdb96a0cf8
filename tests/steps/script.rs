//! Scripted HTTP responses of AWS.

use ampxa::{Aws, aws::Account, task::Task};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{body::SdkBody, retry::RetryConfig, timeout::TimeoutConfig};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

pub const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/demo";
pub const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";
pub const SCRAPER: &str = "arn:aws:aps:us-west-2:222222222222:scraper/s-1";
pub const EXECUTION: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:one";

/// An expected call and its response.
#[derive(Debug, Clone)]
pub struct Exchange {
    call: String,
    /// Texts that the request must contain.
    texts: Vec<String>,
    /// The account in which the call must be made, if the test checks it.
    account: Option<&'static str>,
    /// The complete body of the request, if the test checks it.
    body: Option<Value>,
    /// Status and body; `None`: the connection is lost.
    response: Option<(u16, String)>,
}

/// A call and its response. The call is an action, such as `GetRole`, or a method and path, such as `POST /scrapers`.
pub fn call(call: &str, status: u16, body: impl Into<String>) -> Exchange {
    Exchange {
        response: Some((status, body.into())),
        ..lost(call)
    }
}

/// A call whose connection is lost.
pub fn lost(call: &str) -> Exchange {
    Exchange {
        call: call.to_owned(),
        texts: Vec::new(),
        account: None,
        body: None,
        response: None,
    }
}

impl Exchange {
    /// The request, percent-decoded, must contain this text.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.texts.push(text.into());
        self
    }

    /// The call must be made in this account, `source`, `target` or `hub`.
    pub fn in_account(mut self, account: &'static str) -> Self {
        self.account = Some(account);
        self
    }

    /// The name of the call.
    pub fn name(&self) -> String {
        self.call.clone()
    }

    /// The body of the request must be this JSON.
    pub fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// The expected calls that have not been made yet, in order, and the body of the last request.
#[derive(Debug, Clone)]
pub struct Script(Arc<Mutex<VecDeque<Exchange>>>, Arc<Mutex<String>>);

impl Script {
    pub fn new(exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        Self(Arc::new(Mutex::new(exchanges.into_iter().collect())), Arc::default())
    }

    /// An account whose clients call the script, without retries.
    pub fn account(&self) -> Account {
        self.account_in("us-west-2", "default", RetryConfig::disabled())
    }

    /// An account with a name, for [`Exchange::in_account`]: its calls are signed with the name as access key id.
    pub fn account_of(&self, name: &str) -> Account {
        self.account_in("us-west-2", name, RetryConfig::disabled())
    }

    pub fn account_in(&self, region: &str, name: &str, retries: RetryConfig) -> Account {
        Account::new(self.config(region, name, retries))
    }

    /// The AWS access of a function in the hub, in a Region.
    pub fn aws(&self, region: &str) -> Aws {
        Aws::new(self.config(region, "hub", RetryConfig::disabled()), "step")
    }

    fn config(&self, region: &str, name: &str, retries: RetryConfig) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                name, "secret", None, None, "test",
            )))
            .http_client(self.clone())
            .retry_config(retries)
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .timeout_config(TimeoutConfig::disabled())
            .build()
    }

    /// The body of the last request.
    pub fn last_body(&self) -> String {
        self.1.lock().unwrap().clone()
    }

    /// Checks that all expected calls were made.
    pub fn assert_finished(&self) {
        let missing = self.0.lock().unwrap();
        assert!(missing.is_empty(), "missing calls: {missing:#?}");
    }
}

impl HttpClient for Script {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
        *self.1.lock().unwrap() = body.to_string();
        let uri = request.uri();
        let path = uri
            .splitn(4, '/')
            .nth(3)
            .map_or("/".to_owned(), |path| format!("/{path}"));
        let actual = match body.strip_prefix("Action=") {
            Some(rest) => rest.split('&').next().unwrap_or_default().to_owned(),
            None => format!("{} {}", request.method(), path.split('?').next().unwrap_or_default()),
        };
        let decoded = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        // A form writes a space as `+`; JSON does not.
        let text = match body.starts_with('{') {
            true => format!("{} {body}", decoded(uri)),
            false => format!("{} {}", decoded(uri), decoded(&body)),
        };
        let exchange = self.0.lock().unwrap().pop_front();
        let exchange = exchange.unwrap_or_else(|| panic!("unexpected call: {actual}: {text}"));
        assert_eq!(actual, exchange.call, "unexpected call: {text}");
        for expected in &exchange.texts {
            assert!(text.contains(expected), "{actual} does not contain {expected}: {text}");
        }
        if let Some(account) = exchange.account {
            let signature = request.headers().get("authorization").unwrap_or("no signature");
            let key = format!("Credential={account}/");
            assert!(
                signature.contains(&key),
                "{actual} is not made in {account}: {signature}"
            );
        }
        if let Some(expected) = &exchange.body {
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(&body, expected, "{actual}");
        }
        HttpConnectorFuture::ready(match exchange.response {
            None => Err(ConnectorError::io("the connection was lost".into())),
            Some((status, body)) => {
                let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
                response.headers_mut().insert("x-amzn-requestid", "request-1");
                if uri.contains(".s3.") {
                    response.headers_mut().insert("x-amz-version-id", "version-1");
                }
                Ok(response)
            }
        })
    }
}

/// The task of a step for the pair of these tests, with more fields of the request and of the input.
pub fn task<K: DeserializeOwned>(request: Value, input_fields: Value) -> Task<K> {
    let mut input = json!({
        "request": { "clusterArn": CLUSTER, "workspaceArn": WORKSPACE },
        "execution": EXECUTION,
    });
    merge(&mut input["request"], request);
    merge(&mut input, input_fields);
    input.try_into().expect("a valid task")
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}
