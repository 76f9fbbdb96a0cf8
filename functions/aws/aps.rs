//! The one question that is put to a workspace itself: its query API is Prometheus', and no generated client
//! speaks it (AMP user guide, "Query your Prometheus metrics using the API").

use super::plain::{Call, CallError, send};
use aws_config::SdkConfig;
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use aws_smithy_types::error::ErrorMetadata;
use serde::Deserialize;
use serde_json::Value;

/// Reads the number that an expression gives now; nothing where no series matches.
#[derive(Debug)]
pub struct QueryMetrics;

/// Prometheus' answer to an instant query (Prometheus, "HTTP API").
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    /// When, and the number as text.
    value: (Value, String),
}

impl Call for QueryMetrics {
    const SERVICE: &'static str = "aps";
    const HOST: &'static str = "aps-workspaces";
    const VERSION: &'static str = "2020-08-01";
    const ACTION: &'static str = "QueryMetrics";
    type Answer = Option<f64>;

    fn read(body: &[u8]) -> Result<Option<f64>, BoxError> {
        let answer: Answer = serde_json::from_slice(body)?;
        let first = answer.data.result.into_iter().next();
        Ok(first.map(|sample| sample.value.1.parse()).transpose()?)
    }

    fn refusal(response: &HttpResponse) -> ErrorMetadata {
        let said: Value = serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
        // AWS's own refusals name their type in a header, Prometheus' in the body.
        let code = response
            .headers()
            .get("x-amzn-errortype")
            .or(said["errorType"].as_str());
        let message = said["message"].as_str().or(said["error"].as_str());
        let mut metadata = ErrorMetadata::builder();
        if let Some(code) = code {
            metadata = metadata.code(code.split(':').next().unwrap_or(code));
        }
        metadata.message(message.unwrap_or("no message")).build()
    }
}

/// A client of a workspace's query API in one account and Region.
#[derive(Debug, Clone)]
pub struct Client {
    config: SdkConfig,
}

impl Client {
    /// A client with this configuration's credentials, Region and connection.
    pub fn new(config: &SdkConfig) -> Self {
        Self { config: config.clone() }
    }

    /// The number that an expression of PromQL gives now; nothing where no series matches.
    ///
    /// # Errors
    /// What the workspace refuses, and what is lost on the way.
    pub async fn number(&self, workspace_id: &str, promql: &str) -> Result<Option<f64>, CallError<QueryMetrics>> {
        let path = format!("/workspaces/{workspace_id}/api/v1/query");
        send::<QueryMetrics>(&self.config, path, vec![("query".to_owned(), promql.to_owned())]).await
    }
}
