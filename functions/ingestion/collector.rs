//! What AMP's collector itself says: its access to the cluster, and its logs.

use super::{IngestionResult, Input, Output};
use crate::{
    Error,
    aws::{Account, none_if},
    collector_logs::{self, Change},
    permission::Permission,
    task::Task,
};
use std::time::SystemTime;

/// The access policy that AMP gives to its scrapers (AMP user guide, "Set up managed collectors for Amazon EKS").
const ACCESS_POLICY: &str = "AmazonPrometheusScraperPolicy";

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
