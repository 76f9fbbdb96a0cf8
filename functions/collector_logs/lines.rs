//! The last lines of a scraper's logs, as hints.

use super::{LOG_GROUP, StatusCode, configuration};
use crate::{aws::Account, error::Error, task::Task};
use aws_smithy_types::{DateTime, date_time::Format};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// How far back the logs are read: first a short time, so that the last lines are found among many, then a longer one.
const RANGES: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(900)];

/// The most characters of a line that are quoted.
const MAX_QUOTED: usize = 500;

/// A line of the log. AWS documents examples, but no schema: another form is quoted as it is.
#[derive(Debug)]
struct Line {
    component: String,
    text: String,
}

/// What a line is about, in the order of the hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Denied,
    NoCluster,
    Discovery,
    TimedOut,
    NotListening,
    Scrape,
    NotAllowed,
    Throttled,
    Other,
}

impl Line {
    /// `COLLECTOR` has its text in `message.message`, the other components in `message.log`.
    fn parse(event: &str) -> Self {
        let line: Value = serde_json::from_str(event).unwrap_or_default();
        let message = &line["message"];
        let part = |field: &str| match &message[field] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let error = part("error");
        // Most errors begin with the target.
        let target = part("target").filter(|target| !error.as_ref().is_some_and(|error| error.contains(target)));
        let parts: Vec<String> = [part("log").or(part("message")), target, error]
            .into_iter()
            .flatten()
            .collect();
        let text = match (parts.is_empty(), message) {
            (false, _) => parts.join(": "),
            (true, Value::String(text)) => text.clone(),
            (true, _) => event.to_owned(),
        };
        Self {
            component: line["component"]
                .as_str()
                .unwrap_or("of an unknown component")
                .to_owned(),
            text: quotable(&text),
        }
    }

    /// Not documented, so the texts are those of the examples in AMP's guide, and of Go's network library.
    fn kind(&self) -> Kind {
        let text = self.text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match self.component.as_str() {
            "SERVICE_DISCOVERY" if has(&["permission", "forbidden"]) => Kind::Denied,
            "SERVICE_DISCOVERY" if has(&["source exists"]) => Kind::NoCluster,
            "SERVICE_DISCOVERY" => Kind::Discovery,
            "COLLECTOR" if has(&["deadline exceeded", "timeout", "timed out"]) => Kind::TimedOut,
            "COLLECTOR" if has(&["refused"]) => Kind::NotListening,
            "COLLECTOR" => Kind::Scrape,
            "EXPORTER" if has(&["throttl", "limit", "429"]) => Kind::Throttled,
            "EXPORTER" if has(&["permission", "denied", "forbidden", "403"]) => Kind::NotAllowed,
            _ => Kind::Other,
        }
    }
}

impl Kind {
    /// What to do about it. `is_manual`: a person maps the scraper in the ConfigMap `aws-auth`.
    fn advice<I>(self, task: &Task<I>, is_manual: bool) -> String {
        let (cluster, workspace) = (&task.pair.cluster, &task.pair.workspace);
        match self {
            Self::Denied if is_manual => format!(
                "Apply the mapping, the ClusterRole and the ClusterRoleBinding in the field warnings of the output to the \
                 cluster {cluster}."
            ),
            Self::Denied => format!(
                "The access entry of the scraper in the cluster {cluster} must exist, with AmazonPrometheusScraperPolicy. \
                 Only AMP can create it, together with the scraper: offboard the pair, then onboard it again."
            ),
            Self::NoCluster => format!("The cluster {cluster} must exist, and its API must be reachable in its VPC."),
            Self::Discovery => format!(
                "The scraper must reach the API of the cluster {cluster}: its security groups must allow outbound \
                 traffic, and those of the cluster inbound traffic from the scraper on port 443."
            ),
            Self::TimedOut => {
                "The security groups and network policies of the target must allow inbound traffic from the \
                               scraper's security groups on this port."
                    .to_owned()
            }
            Self::NotListening => {
                "No process listens on this port: start the target, or correct the port in the scrape \
                                   configuration."
                    .to_owned()
            }
            Self::Scrape => "The target must answer with the HTTP status 200 and with metrics: correct the target, or \
                             port, path and scheme in the scrape configuration."
                .to_owned(),
            Self::Throttled => format!(
                "The workspace {workspace} rejects samples because of a limit. Raise the limit, or drop series."
            ),
            Self::NotAllowed => format!(
                "The scraper may not write to the workspace {workspace}. Onboard the pair again, which patches both trust \
                 policies; the resource policy of the workspace must not deny it."
            ),
            Self::Other => "See \"Monitor collectors with vended logs\" in AMP's user guide.".to_owned(),
        }
    }
}

/// A text without query strings of URLs, which may contain credentials, and without control and format characters, which can
/// change how a terminal shows it. Workloads of the cluster choose parts of it.
fn quotable(text: &str) -> String {
    let is_format =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let (mut quoted, mut in_query) = (String::new(), false);
    for c in text.chars().filter(|c| !c.is_control() && !is_format(*c)) {
        if in_query && !(c.is_whitespace() || "\"'".contains(c)) {
            continue;
        }
        in_query = c == '?';
        quoted.push(c);
    }
    quoted.chars().take(MAX_QUOTED).collect()
}

/// What the logs say.
#[derive(Debug)]
pub(crate) struct Found {
    /// The last line of each kind of failure with what to do about it; or why there are no lines.
    pub hints: Vec<String>,
    /// Whether the scraper writes no logs, although its tag says so.
    pub is_off: bool,
}

/// Reads the last lines of the scraper's logs.
///
/// # Errors
/// Those of the calls.
pub(crate) async fn read<I>(
    source: &Account,
    task: &Task<I>,
    scraper_id: &str,
    is_manual: bool,
    now: SystemTime,
) -> Result<Found, Error> {
    // The id in quotes: a term of a filter pattern (CloudWatch Logs user guide, "Filter pattern syntax").
    let (logs, pattern) = (source.logs(), format!("\"{scraper_id}\""));
    let mut is_complete = true;
    for range in RANGES {
        let (events, all) = logs.events(LOG_GROUP, &pattern, now - range).await?;
        is_complete &= all;
        let mut kinds: BTreeMap<Kind, (usize, String)> = BTreeMap::new();
        for event in events {
            let at = DateTime::from_millis(event.timestamp)
                .fmt(Format::DateTime)
                .unwrap_or_default();
            let line = Line::parse(&event.message);
            let (count, last) = kinds.entry(line.kind()).or_default();
            *count += 1;
            *last = format!("{} at {at}: {}", line.component, line.text);
        }
        if kinds.is_empty() {
            continue;
        }
        let minutes = range.as_secs() / 60;
        let hints = kinds.into_iter().map(|(kind, (count, line))| {
            let more = match count {
                1 => String::new(),
                _ => format!(" ({count} such lines in {minutes} minutes)"),
            };
            let line = line.trim_end_matches('.');
            format!("The collector logs {line}{more}. {}", kind.advice(task, is_manual))
        });
        return Ok(Found {
            hints: hints.collect(),
            is_off: false,
        });
    }
    without_lines(source, scraper_id, is_complete).await
}

/// What is known if no line was found: the logs are off or not ready, or the collector reports no failure.
async fn without_lines(source: &Account, scraper_id: &str, is_complete: bool) -> Result<Found, Error> {
    let configuration = configuration(&source.amp(), scraper_id).await?;
    let Some(status) = configuration.and_then(|configuration| configuration.status) else {
        return Ok(Found {
            hints: Vec::new(),
            is_off: true,
        });
    };
    let reason = status
        .status_reason()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let hint = match status.status_code() {
        StatusCode::Active if is_complete => format!(
            "The collector has reported no failure in the log group {LOG_GROUP} in the last 15 minutes. A scrape \
             configuration whose jobs find no target reports none."
        ),
        StatusCode::Active => format!(
            "The log group {LOG_GROUP} has too many lines to find those of this scraper. Search them for {scraper_id}."
        ),
        code => format!("The logging of the collector is {code}{reason}. Its lines go to the log group {LOG_GROUP}."),
    };
    Ok(Found {
        hints: vec![hint],
        is_off: matches!(
            status.status_code(),
            StatusCode::CreationFailed | StatusCode::UpdateFailed
        ),
    })
}

/// The hint about logs that could not be read.
pub(crate) fn unreadable(error: &Error) -> String {
    format!("The collector's logs could not be read: {error}")
}
