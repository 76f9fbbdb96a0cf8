//! Queries of an AMP workspace. Its query API is that of Prometheus, for which no generated client exists (AMP user
//! guide, "Query your Prometheus metrics using the API").

use super::{
    request_log::RequestLog,
    sigv4::{self, Call, CallError, Message},
};
use aws_config::SdkConfig;
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use aws_smithy_types::error::ErrorMetadata;
use serde::Deserialize;
use serde_json::Value;

/// An instant query or a range query. Its output is the samples of the first series: time, in seconds since the epoch,
/// and value. It is empty if no series matches.
#[derive(Debug)]
pub struct QueryMetrics;

/// The response of a query (Prometheus, "HTTP API").
#[derive(Deserialize)]
struct Response {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

/// The time, in seconds since the epoch, and the value as text.
type Sample = (f64, String);

/// A series: one sample of an instant query, or the samples of a range query.
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
    type Output = Vec<(f64, f64)>;

    fn parse(response: &HttpResponse) -> Result<Self::Output, BoxError> {
        let response: Response = serde_json::from_slice(response.body().bytes().unwrap_or_default())?;
        let Some(series) = response.data.result.into_iter().next() else {
            return Ok(Vec::new());
        };
        let samples = series.value.into_iter().chain(series.values);
        samples.map(|(time, value)| Ok((time, value.parse()?))).collect()
    }

    fn error_metadata(response: &HttpResponse) -> ErrorMetadata {
        let body: Value = serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
        // An error of AWS has its type in a header, an error of Prometheus in the body.
        let code = response
            .headers()
            .get("x-amzn-errortype")
            .or(body["errorType"].as_str());
        let mut messages = ["message", "Message", "error"].iter().map(|name| &body[name]);
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
    log: RequestLog,
}

impl Client {
    /// A client with this configuration's credentials, Region and connection.
    pub(super) fn new(config: &SdkConfig, log: &RequestLog) -> Self {
        Self {
            config: config.clone(),
            log: log.clone(),
        }
    }

    /// The value of a PromQL expression now. `None` if no series matches.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn query(&self, workspace_id: &str, promql: &str) -> Result<Option<f64>, CallError<QueryMetrics>> {
        let samples = self.send(workspace_id, "query", &[("query", promql)]).await?;
        Ok(samples.first().map(|(_, value)| *value))
    }

    /// The values of a PromQL expression between two times, as time and value. Times are in seconds since the epoch,
    /// `step` is in seconds. Empty if no series matches.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn query_range(
        &self,
        workspace_id: &str,
        promql: &str,
        (start, end): (f64, f64),
        step: f64,
    ) -> Result<Vec<(f64, f64)>, CallError<QueryMetrics>> {
        let (start, end, step) = (start.to_string(), end.to_string(), step.to_string());
        let form = [("query", promql), ("start", &start), ("end", &end), ("step", &step)];
        self.send(workspace_id, "query_range", &form).await
    }

    async fn send(
        &self,
        workspace_id: &str,
        operation: &str,
        form: &[(&str, &str)],
    ) -> Result<Vec<(f64, f64)>, CallError<QueryMetrics>> {
        let path = format!("/workspaces/{workspace_id}/api/v1/{operation}");
        let form = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let message = Message::form(&path, &form.collect());
        sigv4::send::<QueryMetrics>(&self.config, &self.log, message).await
    }
}
