//! What is asked of a workspace itself: its query API is Prometheus', and no generated client speaks it (AMP user
//! guide, "Query your Prometheus metrics using the API").

use super::sigv4::{Call, CallError, send};
use aws_config::SdkConfig;
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use aws_smithy_types::error::ErrorMetadata;
use serde::Deserialize;
use serde_json::Value;

/// Asks what an expression gives, now or over a time: the first series' times, in seconds since the epoch, and
/// numbers; none where no series matches.
#[derive(Debug)]
pub struct QueryMetrics;

/// Prometheus' answer to a query (Prometheus, "HTTP API").
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

/// When, and the number as text.
type Sample = (f64, String);

/// A series has one sample in the answer to a question about now, and many in one about a time.
#[derive(Deserialize)]
struct Series {
    value: Option<Sample>,
    #[serde(default)]
    values: Vec<Sample>,
}

impl Call for QueryMetrics {
    const SERVICE: &'static str = "aps";
    const HOST: &'static str = "aps-workspaces";
    const VERSION: &'static str = "2020-08-01";
    const ACTION: &'static str = "QueryMetrics";
    type Answer = Vec<(f64, f64)>;

    fn read(body: &[u8]) -> Result<Self::Answer, BoxError> {
        let answer: Answer = serde_json::from_slice(body)?;
        let first = answer.data.result.into_iter().next();
        let samples = first
            .into_iter()
            .flat_map(|series| series.value.into_iter().chain(series.values));
        samples.map(|(at, number)| Ok((at, number.parse()?))).collect()
    }

    fn refusal(response: &HttpResponse) -> ErrorMetadata {
        let said: Value = serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
        // AWS's own refusals name their type in a header, Prometheus' in the body.
        let code = response
            .headers()
            .get("x-amzn-errortype")
            .or(said["errorType"].as_str());
        let mut messages = ["message", "Message", "error"].iter().map(|name| &said[name]);
        let message = messages.find_map(Value::as_str);
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
        let answer = self.ask(workspace_id, "query", &[("query", promql)]).await?;
        Ok(answer.first().map(|(_, number)| *number))
    }

    /// The numbers that an expression of PromQL gives between two times, in seconds since the epoch, every so many
    /// seconds: when, and which. None where no series matches.
    ///
    /// # Errors
    /// What the workspace refuses, and what is lost on the way.
    pub async fn numbers(
        &self,
        workspace_id: &str,
        promql: &str,
        (from, to): (f64, f64),
        every: f64,
    ) -> Result<Vec<(f64, f64)>, CallError<QueryMetrics>> {
        let (start, end, step) = (from.to_string(), to.to_string(), every.to_string());
        let form = [("query", promql), ("start", &start), ("end", &end), ("step", &step)];
        self.ask(workspace_id, "query_range", &form).await
    }

    async fn ask(
        &self,
        workspace_id: &str,
        operation: &str,
        form: &[(&str, &str)],
    ) -> Result<Vec<(f64, f64)>, CallError<QueryMetrics>> {
        let path = format!("/workspaces/{workspace_id}/api/v1/{operation}");
        let form = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        send::<QueryMetrics>(&self.config, path, form.collect()).await
    }
}
