//! Whether a workspace receives samples of a cluster, and the possible causes if not.
//!
//! ACTIVE does not prove that samples are received: a scraper that may not write loses its samples silently.

mod collector;
mod workspace;

pub use collector::{Found, access_entry};

use crate::{
    Error,
    arn::{ClusterArn, ScraperArn},
    aws::{Account, aps},
    collector_logs::Change,
    pair::Pair,
    request::CollectorLogs,
    roles::{self, Role},
    scrape_configuration::IDENTITY_LABEL,
    task::Task,
};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// Values from earlier steps.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The pair's scraper.
    pub scraper_arn: ScraperArn,
    /// The longest scrape interval of its configuration, in seconds.
    pub longest_interval: u64,
    /// Whether the external labels of its configuration name the cluster.
    pub identified: bool,
    /// Whether a person must map the scraper in the ConfigMap `aws-auth`.
    pub manual_access: bool,
    /// The time when ampxa switched the scraper's logs on, if it did.
    pub collector_logs_since: Option<String>,
}

/// The result of the check.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Whether samples are received.
    pub result: IngestionResult,
    /// The number of targets of the cluster that the scraper has discovered.
    pub targets: u64,
    /// The number of targets that are up.
    pub up: u64,
    /// Possible causes if no target is up, the most likely first: see [`hints`]. If samples are received, only AMP's
    /// limit of targets, if the cluster has so many.
    pub hints: Vec<String>,
    /// How the logs of AMP's collector must be changed now.
    pub collector_logs: Option<Change>,
}

/// Whether samples are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IngestionResult {
    /// At least one target is up.
    Receiving,
    /// The scraper has discovered targets, but none is up.
    TargetsDown,
    /// No sample is received.
    None,
    /// No sample names the cluster, because the scraper's configuration does not.
    Skipped,
}

/// Checks the samples of the pair, and reads both accounts for the possible causes if there are none. `source` and `target`
/// are called only then. Read-only.
///
/// # Errors
/// Those of the calls to the workspace. What cannot be read elsewhere is a hint.
pub async fn examine(
    workspace: &aps::Client,
    source: impl AsyncFnOnce() -> Result<Account, Error>,
    target: impl AsyncFnOnce() -> Result<Account, Error>,
    task: &Task<Input>,
    now: SystemTime,
) -> Result<Output, Error> {
    let mut output = check(workspace, task, now).await?;
    let is_complete = matches!(output.result, IngestionResult::Receiving | IngestionResult::Skipped);
    if is_complete && output.collector_logs.is_none() {
        return Ok(output);
    }
    let source = source().await;
    let collector = match &source {
        Ok(source) => collector::read(source, task, &mut output, now).await,
        Err(_) => {
            output.collector_logs = None;
            Found::default()
        }
    };
    output.hints = match output.result {
        IngestionResult::None => hints(source, target().await, task, collector).await,
        _ => [collector.causes, output.hints, collector.advice.into_iter().collect()].concat(),
    };
    Ok(output)
}

/// Queries the workspace for the targets of the cluster. Read-only.
///
/// # Errors
/// Those of the calls to the workspace.
pub async fn check(workspace: &aps::Client, task: &Task<Input>, now: SystemTime) -> Result<Output, Error> {
    let (targets, up) = count(workspace, &task.pair, task.input.longest_interval).await?;
    let (result, mut hints) = match (targets, up) {
        (0, _) if !task.input.identified => (IngestionResult::Skipped, vec![not_identified(&task.pair.cluster)]),
        (0, _) => (IngestionResult::None, Vec::new()),
        (_, 0) => (IngestionResult::TargetsDown, hints_for_targets_down(targets)),
        _ => (IngestionResult::Receiving, Vec::new()),
    };
    if targets >= MAX_TARGETS {
        hints.push(format!(
            "The scraper has {targets} targets. AMP allows at most {MAX_TARGETS} targets per scraper, so others may be \
             missing. Drop targets that you do not need in relabel_configs."
        ));
    }
    let input = &task.input;
    let mode = task.request.collector_logs;
    let mut change = collector::needed(mode, input.collector_logs_since.as_deref(), result, now);
    if mode == CollectorLogs::OnFailure
        && change == Some(Change::Disable)
        && !arrived_a_day_ago(workspace, task).await?
    {
        change = None;
    }
    Ok(Output {
        result,
        targets,
        up,
        hints,
        collector_logs: change,
    })
}

/// Why samples cannot be checked.
fn not_identified(cluster: &ClusterArn) -> String {
    format!(
        "The samples were not checked: the configuration of the scraper has no external label {IDENTITY_LABEL}, so its \
         samples cannot be distinguished from those of other clusters than {cluster}. Without \"labels\": \"KEEP\", an onboarding \
         adds the label."
    )
}

/// Whether the workspace received samples of targets that were up a day ago.
async fn arrived_a_day_ago(workspace: &aps::Client, task: &Task<Input>) -> Result<bool, Error> {
    let pair = &task.pair;
    let range = (2 * task.input.longest_interval).clamp(1800, MAX_RANGE_SECONDS);
    let promql = format!(
        "sum(max_over_time(up{{{IDENTITY_LABEL}=\"{}\"}}[{range}s] offset 1d))",
        pair.cluster
    );
    Ok(workspace.query(pair.workspace.id(), &promql).await?.unwrap_or(0.0) > 0.0)
}

/// The number of targets of the cluster in the workspace, and the number of those that are up. `longest_interval` is
/// the longest scrape interval of the scraper's configuration, in seconds.
///
/// # Errors
/// Those of the calls to the workspace.
pub async fn count(workspace: &aps::Client, pair: &Pair, longest_interval: u64) -> Result<(u64, u64), Error> {
    let (id, series) = (pair.workspace.id(), series(&pair.cluster, longest_interval));
    let number = async |promql: String| Ok::<_, Error>(workspace.query(id, &promql).await?.unwrap_or(0.0));
    let targets = number(format!("count({series})")).await? as u64;
    if targets == 0 {
        return Ok((0, 0));
    }
    let up = number(format!("sum({series})")).await? as u64;
    Ok((targets, up))
}

/// The PromQL expression for the series `up` of the cluster's targets.
///
/// An instant query covers the last five minutes (Prometheus, "Querying basics", staleness). It can miss targets with a
/// longer scrape interval, so the expression then covers a longer range.
pub fn series(cluster: &ClusterArn, longest_interval: u64) -> String {
    let series = format!("up{{{IDENTITY_LABEL}=\"{cluster}\"}}");
    match longest_interval {
        0..=MAX_INSTANT_INTERVAL_SECONDS => series,
        seconds => format!("last_over_time({series}[{}s])", (2 * seconds).min(MAX_RANGE_SECONDS)),
    }
}

/// The longest scrape interval for an instant query, in seconds: the five minutes that it covers contain two scrapes.
const MAX_INSTANT_INTERVAL_SECONDS: u64 = 150;
/// The longest range that is queried, in seconds.
const MAX_RANGE_SECONDS: u64 = 86_400;
/// The most targets of a scraper (AMP user guide, "Troubleshooting scraper configuration").
const MAX_TARGETS: u64 = 30_000;

/// The possible causes if no samples are received, the most likely first: the trust policies and the workspace's resource
/// policy, which this function reads, then the causes that AWS lists, in its order (AMP user guide, "Troubleshooting scraper configuration").
///
/// `collector`: what the scraper's access entry and logs show. What cannot be read is a hint, not an error: the result
/// stays that no samples are received.
pub async fn hints(
    source: Result<Account, Error>,
    target: Result<Account, Error>,
    task: &Task<Input>,
    collector: Found,
) -> Vec<String> {
    // If the target account cannot be reached, the hint about its role says so.
    let workspace = match &target {
        Ok(target) => workspace::hints(&target.amp(), task).await,
        Err(_) => workspace::Found::default(),
    };
    let scraper = &task.input.scraper_arn;
    let ensure_task = task.with_input(roles::EnsureInput {
        scraper_arn: Some(scraper.clone()),
    });
    let mut hints = Vec::new();
    for (account, role, arn) in [
        (source, roles::source(&ensure_task), task.pair.source_role_arn()),
        (target, roles::target(&ensure_task), task.pair.target_role_arn()),
    ] {
        match trusts_scraper(account, &role).await {
            Ok(true) => {}
            Ok(false) => hints.push(format!(
                "The trust policy of the role {arn} does not name the scraper {scraper}, so AMP cannot write the \
                 samples. Onboard the pair again, which patches the policy, and find out who changed it."
            )),
            Err(error) => hints.push(format!(
                "The trust policy of the role {arn} must name the scraper {scraper}, but could not be read: {error}"
            )),
        }
    }
    hints.extend(workspace.denials);
    hints.extend(collector.causes);
    let cluster = &task.pair.cluster;
    hints.push(if task.input.manual_access {
        format!(
            "The ConfigMap aws-auth of the cluster {cluster} must map the scraper. Apply the mapping, the \
             ClusterRole and the ClusterRoleBinding in the field warnings of the output."
        )
    } else {
        format!(
            "The authentication mode of the cluster {cluster} must be API or API_AND_CONFIG_MAP, and the access entry \
             that AMP created for its scraper must exist."
        )
    });
    hints.extend([
        "The cluster's VPC must have DNS support and DNS host names enabled.".to_owned(),
        "The scraper's security groups must allow outbound traffic, and the cluster's security groups must allow \
         inbound traffic from the scraper on port 443."
            .to_owned(),
        "The scrape configuration must have a job that discovers targets of this cluster.".to_owned(),
    ]);
    hints.extend(workspace.others);
    hints.extend(collector.advice);
    let interval = task.input.longest_interval;
    if interval > MAX_INSTANT_INTERVAL_SECONDS {
        hints.push(format!(
            "The longest scrape interval is {interval} s, so the first sample can take that long. Onboard the pair \
             again later."
        ));
    }
    hints
}

/// Whether the trust policy of a role names the scraper. A role without our tags does not.
async fn trusts_scraper(account: Result<Account, Error>, role: &Role) -> Result<bool, Error> {
    match roles::trusts_scraper(&account?.iam(), role).await {
        Err(Error::Conflict(_)) => Ok(false),
        result => result,
    }
}

/// The possible causes if targets are discovered and none is up. The limits are those of the AMP user guide,
/// "Troubleshooting scraper configuration".
fn hints_for_targets_down(targets: u64) -> Vec<String> {
    vec![
        format!(
            "The scraper has discovered {targets} targets, but none is up. Security groups and network policies must \
             allow the scraper to reach their ports."
        ),
        "The scrape configuration must have the ports, paths and schemes of the targets.".to_owned(),
        "The targets must answer with the HTTP status 200.".to_owned(),
        "The body of each answer must have at most 50 MB.".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_scrape_interval_is_queried_over_a_longer_range() {
        let cluster = "arn:aws:eks:us-west-2:222222222222:cluster/payments".parse().unwrap();
        let instant = r#"up{clusterArn="arn:aws:eks:us-west-2:222222222222:cluster/payments"}"#;
        for (interval, expected) in [
            (30, instant.to_owned()),
            (150, instant.to_owned()),
            (240, format!("last_over_time({instant}[480s])")),
            (600, format!("last_over_time({instant}[1200s])")),
            (31_536_000, format!("last_over_time({instant}[86400s])")),
        ] {
            assert_eq!(series(&cluster, interval), expected);
        }
    }
}
