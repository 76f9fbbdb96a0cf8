//! The last lines of a scraper's logs, as hints.

use super::{LOG_GROUP, configuration};
use crate::{aws::Account, error::Error, task::Task};
use aws_smithy_types::{DateTime, date_time::Format};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// How far back the logs are read.
const RANGE: Duration = Duration::from_secs(900);

/// The most characters of a line that are quoted.
const MAX_QUOTED: usize = 500;

/// A line of the log. `COLLECTOR` has its text in `message.message`, the other components in `message.log`.
#[derive(Deserialize)]
struct Line {
    component: String,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    log: Option<String>,
    message: Option<String>,
    target: Option<String>,
    error: Option<String>,
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
    Throttled,
    Export,
}

impl Line {
    fn text(&self) -> String {
        let message = &self.message;
        let text = message.log.as_deref().or(message.message.as_deref());
        let error = message.error.as_deref();
        // Most errors begin with the target.
        let target = message.target.as_deref();
        let target = target.filter(|target| !error.is_some_and(|error| error.contains(target)));
        let parts: Vec<&str> = [text, target, error].into_iter().flatten().collect();
        let all = parts.join(": ");
        all.chars().filter(|c| !c.is_control()).take(MAX_QUOTED).collect()
    }

    /// Not documented, so the texts are those of the examples in AMP's guide, and of Go's network library.
    fn kind(&self) -> Kind {
        let text = self.text().to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match self.component.as_str() {
            "SERVICE_DISCOVERY" if has(&["permission", "forbidden"]) => Kind::Denied,
            "SERVICE_DISCOVERY" if has(&["source exists"]) => Kind::NoCluster,
            "SERVICE_DISCOVERY" => Kind::Discovery,
            "COLLECTOR" if has(&["deadline exceeded", "timeout", "timed out"]) => Kind::TimedOut,
            "COLLECTOR" if has(&["refused"]) => Kind::NotListening,
            "COLLECTOR" => Kind::Scrape,
            _ if has(&["throttl", "limit", "429"]) => Kind::Throttled,
            _ => Kind::Export,
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
            Self::Export => format!(
                "The scraper may not write to the workspace {workspace}. Onboard the pair again, which patches both trust \
                 policies; the resource policy of the workspace must not deny it."
            ),
        }
    }
}

/// The last lines of the scraper's logs with what to do about them, one hint for each kind of failure. A hint about the
/// logging itself, if there are no lines.
pub(crate) async fn last<I>(
    source: &Account,
    task: &Task<I>,
    scraper_id: &str,
    is_manual: bool,
    now: SystemTime,
) -> Result<Vec<String>, Error> {
    // The id in quotes: a term of a filter pattern (CloudWatch Logs user guide, "Filter pattern syntax").
    let (logs, pattern) = (source.logs(), format!("\"{scraper_id}\""));
    let events = logs.events(LOG_GROUP, &pattern, now - RANGE).await?;
    let mut kinds: BTreeMap<Kind, (usize, String)> = BTreeMap::new();
    for event in events {
        let Ok(line) = serde_json::from_str::<Line>(&event.message) else {
            continue;
        };
        let at = DateTime::from_millis(event.timestamp)
            .fmt(Format::DateTime)
            .unwrap_or_default();
        let (count, last) = kinds.entry(line.kind()).or_default();
        *count += 1;
        *last = format!("{} at {at}: {}", line.component, line.text());
    }
    if kinds.is_empty() {
        return Ok(vec![without_lines(source, scraper_id).await?]);
    }
    let hints = kinds.into_iter().map(|(kind, (count, line))| {
        let more = match count {
            1 => String::new(),
            _ => format!(" ({count} such lines in 15 minutes)"),
        };
        let line = line.trim_end_matches('.');
        format!("The collector logs {line}{more}. {}", kind.advice(task, is_manual))
    });
    Ok(hints.collect())
}

/// What is known if the log has no line: the logging is not ready, or the collector reports no failure.
async fn without_lines(source: &Account, scraper_id: &str) -> Result<String, Error> {
    let configuration = configuration(&source.amp(), scraper_id).await?;
    let status = configuration.and_then(|configuration| configuration.status);
    let Some(status) = status else {
        return Ok("The collector's logs have been switched off. Onboard the pair again to switch them on.".to_owned());
    };
    let reason = status
        .status_reason()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    Ok(match status.status_code().as_str() {
        "ACTIVE" => format!(
            "The collector has reported no failure in the log group {LOG_GROUP} in the last 15 minutes. A scrape \
             configuration whose jobs find no target reports none."
        ),
        code => {
            format!("The logging of the collector is {code}{reason}. Its lines appear in the log group {LOG_GROUP}.")
        }
    })
}

/// The hint about logs that could not be read.
pub(crate) fn unreadable(error: &Error) -> String {
    format!("The collector's logs could not be read: {error}")
}
