//! The pairs of a location whose workspace does not accept the account. A reconciliation reports them, and never removes
//! them: the owner of the workspace may have changed its tags by mistake.

use super::summary::{Listed, NOT_ACCEPTED, Outcome};
use crate::{
    arn::{AccountId, WorkspaceArn},
    aws::Account,
    cluster, consent,
    error::Error,
    scraper::OwnedScraper,
};
use std::collections::BTreeMap;

/// The maximum length of a reason, in characters. It limits the size of the summary.
const MAX_REASON: usize = 200;

/// The outcomes of pairs whose workspace does not accept the account, or cannot be read. Read-only.
/// `target` returns access to the account of a workspace. Each workspace is read once.
///
/// # Errors
/// Those of the calls, except `AccessDenied` for the account of a workspace.
pub(super) async fn refusals(
    hub: &Account,
    settings: consent::Settings,
    account: &AccountId,
    scrapers: &[OwnedScraper],
    target: impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
) -> Result<Vec<Outcome>, Error> {
    let mut reasons: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for OwnedScraper { pair, .. } in scrapers {
        let workspace = pair.workspace.to_string();
        let reason = match reasons.get(&workspace) {
            Some(reason) => reason.clone(),
            None => refusal(hub, settings, account, &pair.workspace, &target).await?,
        };
        reasons.insert(workspace.clone(), reason.clone());
        let Some(reason) = reason else { continue };
        outcomes.push(Outcome {
            outcome: NOT_ACCEPTED.to_owned(),
            unrouted: Vec::new(),
            listed: Listed {
                cluster_arn: Some(pair.cluster.to_string()),
                workspace_arn: Some(workspace),
                reason: Some(reason),
                ..Listed::default()
            },
        });
    }
    Ok(outcomes)
}

/// Why a workspace does not accept an account; `None` if it does.
async fn refusal(
    hub: &Account,
    settings: consent::Settings,
    account: &AccountId,
    workspace: &WorkspaceArn,
    target: &impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
) -> Result<Option<String>, Error> {
    let read = async {
        let target = target(workspace).await?;
        let Some(found) = cluster::find_workspace(&target.amp(), workspace).await? else {
            return Ok(Some("the workspace does not exist".to_owned()));
        };
        let clients = consent::Clients {
            organizations: hub.organizations(),
            target_iam: target.iam(),
        };
        let reasons = consent::refusals(&clients, settings, account, &found.tags.unwrap_or_default()).await?;
        Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
    };
    let reason = match read.await {
        Err(Error::AccessDenied(why)) => Some(format!("not known: {why}")),
        result => result?,
    };
    Ok(reason.map(|reason| reason.chars().take(MAX_REASON).collect()))
}
