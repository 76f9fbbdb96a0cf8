//! What AMP's collector itself says: its access to the cluster, and its logs.

use super::{IngestionResult, Input, Output};
use crate::{
    Error,
    aws::{Account, none_if},
    collector_logs::{self, Change},
    permission::Permission,
    request::CollectorLogs,
    task::Task,
};
use aws_smithy_types::{DateTime, date_time::Format};
use std::time::{Duration, SystemTime};

/// The access policy that AMP gives to its scrapers (AMP user guide, "Set up managed collectors for Amazon EKS").
const ACCESS_POLICY: &str = "AmazonPrometheusScraperPolicy";
/// The time after which logs that were switched on because of missing samples are switched off, if samples arrive.
const DAY: Duration = Duration::from_secs(86_400);

/// The change that a request needs after a check of samples. `since`: the value of the tag [`LOGS_TAG`](crate::tags::LOGS_TAG), if the scraper
/// has it.
pub(super) fn needed(
    mode: CollectorLogs,
    since: Option<&str>,
    result: IngestionResult,
    now: SystemTime,
) -> Option<Change> {
    let is_receiving = result == IngestionResult::Receiving;
    let has_failed = matches!(result, IngestionResult::None | IngestionResult::TargetsDown);
    match (mode, since) {
        (CollectorLogs::Never, Some(_)) => Some(Change::Disable),
        (CollectorLogs::Always, None) => Some(Change::Enable),
        (CollectorLogs::OnFailure, None) if has_failed => Some(Change::Enable),
        (CollectorLogs::OnFailure, Some(since)) if is_receiving && is_a_day_ago(since, now) => Some(Change::Disable),
        _ => None,
    }
}

/// Whether a time is at least a day ago. A text that is no time counts as long ago.
fn is_a_day_ago(since: &str, now: SystemTime) -> bool {
    let since = DateTime::from_str(since, Format::DateTime).ok();
    let since = since.and_then(|since| SystemTime::try_from(since).ok());
    since.is_none_or(|since| now.duration_since(since).is_ok_and(|age| age >= DAY))
}

/// What the access entry and the logs of the scraper show.
#[derive(Debug, Default)]
pub struct Found {
    /// The possible causes, the most likely first.
    pub causes: Vec<String>,
    /// What the logs need.
    pub advice: Option<String>,
}

/// Reads the access entry and the logs of the scraper. Read-only.
///
/// Removes the change of the logs from the output if the account does not permit it.
pub(super) async fn read(source: &Account, task: &Task<Input>, output: &mut Output, now: SystemTime) -> Found {
    let mut found = Found::default();
    if output.result == IngestionResult::None && !task.input.manual_access {
        found
            .causes
            .extend(access_entry(source, task).await.unwrap_or_else(|error| {
                Some(format!(
                    "The access entry of the scraper must exist, but could not be read: {error}"
                ))
            }));
    }
    let is_receiving = output.result == IngestionResult::Receiving;
    let has_logs = task.input.collector_logs_since.is_some();
    if output.collector_logs.is_none() && (is_receiving || !has_logs) {
        return found;
    }
    match Permission::CollectorLogs.is_given(&source.iam()).await {
        Ok(true) => {}
        Ok(false) => {
            let change = output.collector_logs.take();
            if !is_receiving || change == Some(Change::Enable) {
                found.advice = Some(not_permitted(task));
            }
            return found;
        }
        Err(error) => {
            output.collector_logs = None;
            found.advice = Some(collector_logs::unreadable(&error));
            return found;
        }
    }
    if !is_receiving && has_logs {
        let (id, is_manual) = (task.input.scraper_arn.id(), task.input.manual_access);
        match collector_logs::read(source, task, id, is_manual, now).await {
            Ok(logs) => {
                found.causes.extend(logs.hints);
                if logs.is_off && output.collector_logs.is_none() {
                    output.collector_logs = Some(Change::Enable);
                }
            }
            Err(error) => found.causes.push(collector_logs::unreadable(&error)),
        }
    }
    found
}

fn not_permitted(task: &Task<Input>) -> String {
    format!(
        "AMP's collector can write logs that name the failure. To let ampxa switch them on, deploy \
         infra/source-account.yaml in the account {} with CollectorLogs=yes, then onboard the pair again.",
        task.pair.cluster.account()
    )
}

/// The hint about an access entry that is missing, or has another policy.
///
/// # Errors
/// Those of the calls to AMP and EKS.
pub async fn access_entry(source: &Account, task: &Task<Input>) -> Result<Option<String>, Error> {
    let cluster = &task.pair.cluster;
    let described = source.amp().describe_scraper().scraper_id(task.input.scraper_arn.id());
    let Some(scraper) = described.send().await?.scraper else {
        return Ok(None);
    };
    let (eks, role) = (source.eks(), scraper.role_arn);
    let entry = eks
        .describe_access_entry()
        .cluster_name(cluster.id())
        .principal_arn(&role);
    let entry = none_if(entry.send().await, |e| e.is_resource_not_found_exception())?;
    let missing = match entry {
        None => format!("has no access entry of the role {role} of the scraper"),
        Some(_) => {
            let policies = eks.list_associated_access_policies().cluster_name(cluster.id());
            let policies = policies.principal_arn(&role).send().await?;
            let mut arns = policies
                .associated_access_policies()
                .iter()
                .filter_map(|policy| policy.policy_arn());
            if arns.any(|arn| arn.ends_with(ACCESS_POLICY)) {
                return Ok(None);
            }
            format!("has an access entry of the role {role} of the scraper, but without {ACCESS_POLICY}")
        }
    };
    Ok(Some(format!(
        "The cluster {cluster} {missing}, so the scraper discovers nothing, unless the ConfigMap aws-auth maps it. Only AMP \
         can create the entry, together with the scraper: offboard the pair, then onboard it again."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use CollectorLogs::{Always, Never, OnFailure};
    use IngestionResult::{None as Nothing, Receiving, Skipped, TargetsDown};

    #[test]
    fn logs_are_switched_on_if_samples_are_missing_and_off_after_a_day_with_samples() {
        let now = SystemTime::UNIX_EPOCH + 3 * DAY;
        let (long_ago, recent) = (Some("1970-01-01T00:00:00Z"), Some("1970-01-03T12:00:00Z"));
        for (mode, since, result, expected) in [
            (OnFailure, None, Receiving, None),
            (OnFailure, None, Nothing, Some(Change::Enable)),
            (OnFailure, None, TargetsDown, Some(Change::Enable)),
            (OnFailure, long_ago, Nothing, None),
            (OnFailure, None, Skipped, None),
            (Always, None, Skipped, Some(Change::Enable)),
            (Never, recent, Skipped, Some(Change::Disable)),
            (OnFailure, recent, Receiving, None),
            (OnFailure, long_ago, Receiving, Some(Change::Disable)),
            (OnFailure, Some("no time"), Receiving, Some(Change::Disable)),
            (Always, None, Receiving, Some(Change::Enable)),
            (Always, long_ago, Receiving, None),
            (Never, None, Nothing, None),
            (Never, recent, Nothing, Some(Change::Disable)),
        ] {
            assert_eq!(
                needed(mode, since, result, now),
                expected,
                "{mode:?} {since:?} {result:?}"
            );
        }
    }
}
