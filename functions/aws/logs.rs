//! The one call to CloudWatch Logs that the hints need. Its client has more than a hundred operations; this module sends
//! the call with [`sigv4`] (CloudWatch Logs API reference, FilterLogEvents, version 2014-03-28).

use super::{
    request_log::RequestLog,
    sigv4::{self, Call, CallError, Message},
};
use aws_config::SdkConfig;
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use aws_smithy_types::error::ErrorMetadata;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::SystemTime;

/// The most pages that are read.
const MAX_PAGES: usize = 10;

/// The call FilterLogEvents.
#[derive(Debug)]
pub struct FilterLogEvents;

/// A page of events, the oldest first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    events: Vec<Event>,
    next_token: Option<String>,
}

/// An event of a log.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// In milliseconds since the epoch.
    pub timestamp: i64,
    /// The line.
    pub message: String,
}

impl Call for FilterLogEvents {
    const SERVICE: &'static str = "logs";
    const HOST: &'static str = "logs";
    const VERSION: &'static str = "2014-03-28";
    const ACTION: &'static str = "FilterLogEvents";
    type Output = Page;

    fn parse(response: &HttpResponse) -> Result<Page, BoxError> {
        Ok(serde_json::from_slice(response.body().bytes().unwrap_or_default())?)
    }

    fn error_metadata(response: &HttpResponse) -> ErrorMetadata {
        let body: Value = serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
        let code = body["__type"].as_str().unwrap_or("no code");
        let message = body["message"].as_str().or(body["Message"].as_str());
        ErrorMetadata::builder()
            .code(code.rsplit('#').next().unwrap_or(code))
            .message(message.unwrap_or("no message"))
            .build()
    }
}

/// A client of CloudWatch Logs in one account and Region.
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

    /// The events of a log group that match a filter pattern, from a time on, the oldest first, and whether these are all:
    /// at most ten pages are read.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn events(
        &self,
        group: &str,
        pattern: &str,
        since: SystemTime,
    ) -> Result<(Vec<Event>, bool), CallError<FilterLogEvents>> {
        let since = since
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let mut body = json!({ "logGroupName": group, "filterPattern": pattern, "startTime": since as u64 });
            if let Some(token) = &token {
                body["nextToken"] = json!(token);
            }
            let message = Message {
                host_prefix: String::new(),
                method: "POST",
                path: "/".to_owned(),
                headers: vec![
                    ("content-type", "application/x-amz-json-1.1".to_owned()),
                    ("x-amz-target", "Logs_20140328.FilterLogEvents".to_owned()),
                ],
                body: body.to_string().into_bytes(),
            };
            let page = sigv4::send::<FilterLogEvents>(&self.config, &self.log, message).await?;
            events.extend(page.events);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok((events, token.is_none()))
    }
}
