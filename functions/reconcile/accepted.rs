//! The pairs of a location whose workspace does not accept the account. A reconciliation reports them, and never removes
//! them: the owner of the workspace may have changed its tags by mistake.

use super::finding;
use crate::{
    arn::{AccountId, WorkspaceArn},
    aws::Account,
    cluster, consent,
    error::Error,
    scraper::OwnedScraper,
};
use std::collections::BTreeMap;

/// The maximum length of a reason, in characters. It limits the size of the inventory.
const MAX_REASON: usize = 200;
/// The maximum number of workspaces that are read, so that the step ends in time.
const MAX_WORKSPACES: usize = 50;

/// What is known about the consent of a workspace.
#[derive(Clone)]
enum Consent {
    Given,
    NotGiven(String),
    Unknown(String),
}

/// The pairs whose workspace does not accept the account, or could not be read. Read-only.
/// `target` returns access to the account of a workspace. Each workspace is read once. A workspace that cannot be read is
/// no error: a report must not keep the clusters of a location from being reconciled.
pub(super) async fn refusals(
    hub: &Account,
    settings: consent::Settings,
    account: &AccountId,
    scrapers: &[OwnedScraper],
    target: impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
) -> Vec<finding::Pair> {
    let mut read: BTreeMap<String, Consent> = BTreeMap::new();
    let mut found = Vec::new();
    for OwnedScraper { pair, .. } in scrapers {
        let workspace = pair.workspace.to_string();
        let of_cluster = (pair.cluster.partition(), pair.cluster.region());
        let consent = match read.get(&workspace) {
            Some(consent) => consent.clone(),
            None if of_cluster != (pair.workspace.partition(), pair.workspace.region()) => {
                Consent::Unknown("the tag of the scraper names a workspace in another Region".to_owned())
            }
            None if read.len() >= MAX_WORKSPACES => {
                Consent::Unknown(format!("only {MAX_WORKSPACES} workspaces of a location are read"))
            }
            None => match refusals_of(hub, settings, account, &pair.workspace, &target).await {
                Ok(reasons) if reasons.is_empty() => Consent::Given,
                Ok(reasons) => Consent::NotGiven(reasons.join("; ")),
                Err(why) => Consent::Unknown(why.to_string()),
            },
        };
        read.insert(workspace.clone(), consent.clone());
        let (known, reason) = match consent {
            Consent::Given => continue,
            Consent::NotGiven(reason) => (true, reason),
            Consent::Unknown(reason) => (false, reason),
        };
        found.push(finding::Pair {
            cluster_arn: pair.cluster.clone(),
            workspace_arn: pair.workspace.clone(),
            known,
            reason: reason.chars().take(MAX_REASON).collect(),
        });
    }
    found
}

/// Why a workspace does not accept an account. Empty if it does.
///
/// # Errors
/// Those of the calls.
async fn refusals_of(
    hub: &Account,
    settings: consent::Settings,
    account: &AccountId,
    workspace: &WorkspaceArn,
    target: &impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
) -> Result<Vec<String>, Error> {
    let target = target(workspace).await?;
    let Some(found) = cluster::find_workspace(&target.amp(), workspace).await? else {
        return Ok(vec!["the workspace does not exist".to_owned()]);
    };
    let clients = consent::Clients {
        organizations: hub.organizations(),
        target_iam: target.iam(),
    };
    consent::refusals(&clients, settings, account, &found.tags.unwrap_or_default()).await
}
