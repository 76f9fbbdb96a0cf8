//! An AWS that says what the script says, and nothing else.

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

/// One call that is expected, and its answer.
#[derive(Debug, Clone)]
pub struct Turn {
    call: String,
    says: Vec<String>,
    /// The account that must be asked, where it matters.
    of: Option<&'static str>,
    /// The request's whole body, where it matters.
    body: Option<Value>,
    /// `None`: the connection is lost.
    answer: Option<(u16, String)>,
}

/// A call: `GetRole`, or `POST /scrapers`.
pub fn call(call: &str, status: u16, answer: impl Into<String>) -> Turn {
    Turn {
        answer: Some((status, answer.into())),
        ..lost(call)
    }
}

/// A call whose connection is lost.
pub fn lost(call: &str) -> Turn {
    Turn {
        call: call.to_owned(),
        says: Vec::new(),
        of: None,
        body: None,
        answer: None,
    }
}

impl Turn {
    /// The request must say this, percent-decoded.
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.says.push(text.into());
        self
    }

    /// The call must be made in this account, `source` or `target`.
    pub fn of(mut self, account: &'static str) -> Self {
        self.of = Some(account);
        self
    }

    /// The request must say this JSON, and nothing else.
    pub fn saying_only(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// A scripted AWS; when it is dropped, everything must have been said.
#[derive(Debug, Clone)]
pub struct Script(Arc<Mutex<VecDeque<Turn>>>);

impl Script {
    pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        Self(Arc::new(Mutex::new(turns.into_iter().collect())))
    }

    /// An account behind which the script answers; retries are off.
    pub fn account(&self) -> Account {
        self.account_in("us-west-2", "somebody", RetryConfig::disabled())
    }

    /// The same, told apart from another one: calls are signed with this name as the key's id.
    pub fn account_of(&self, name: &str) -> Account {
        self.account_in("us-west-2", name, RetryConfig::disabled())
    }

    pub fn account_in(&self, region: &str, name: &str, retries: RetryConfig) -> Account {
        Account::new(self.config(region, name, retries))
    }

    /// The hub's way to AWS, in a Region.
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

    /// Everything was said.
    pub fn is_over(&self) {
        let left = self.0.lock().unwrap();
        assert!(left.is_empty(), "calls that were expected and not made: {left:#?}");
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
        let uri = request.uri();
        let path = uri
            .splitn(4, '/')
            .nth(3)
            .map_or("/".to_owned(), |path| format!("/{path}"));
        let made = match body.strip_prefix("Action=") {
            Some(rest) => rest.split('&').next().unwrap_or_default().to_owned(),
            None => format!("{} {}", request.method(), path.split('?').next().unwrap_or_default()),
        };
        let decoded = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        // A form writes a space as `+`; JSON does not.
        let said = match body.starts_with('{') {
            true => format!("{} {body}", decoded(uri)),
            false => format!("{} {}", decoded(uri), decoded(&body)),
        };
        let turn = self.0.lock().unwrap().pop_front();
        let turn = turn.unwrap_or_else(|| panic!("an unplanned call: {made}: {said}"));
        assert_eq!(made, turn.call, "the call that was expected now; it says {said}");
        for text in &turn.says {
            assert!(said.contains(text), "{made} does not say {text}: {said}");
        }
        if let Some(account) = turn.of {
            let signature = request.headers().get("authorization").unwrap_or("no signature");
            let key = format!("Credential={account}/");
            assert!(signature.contains(&key), "{made} is not of {account}: {signature}");
        }
        if let Some(only) = &turn.body {
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(&body, only, "{made}");
        }
        HttpConnectorFuture::ready(match turn.answer {
            None => Err(ConnectorError::io("the connection was lost".into())),
            Some((status, answer)) => {
                let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(answer));
                response.headers_mut().insert("x-amzn-requestid", "request-1");
                Ok(response)
            }
        })
    }
}

/// A step's input for the demonstration pair.
pub fn task<K: DeserializeOwned>(request: Value, known: Value) -> Task<K> {
    let mut input = json!({
        "request": { "clusterArn": CLUSTER, "workspaceArn": WORKSPACE },
        "execution": EXECUTION,
    });
    merge(&mut input["request"], request);
    merge(&mut input, known);
    input.try_into().expect("a good task")
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}
