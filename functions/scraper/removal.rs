//! Deletes scrapers of a pair.

use super::{
    inventory::{has_tags_of, is_dead, status, tag},
    list, of_pair, with_the_condition,
};
use crate::{
    aws::{Account, Unreachable, none_if},
    collector_logs,
    error::Error,
    pair::Pair,
    tags::{CREATED_BY_TAG, LOGS_TAG},
    task::Task,
};
use aws_sdk_amp::{
    Client,
    types::{ScraperStatusCode, ScraperSummary},
};
use serde::{Deserialize, Serialize};

/// The input of `remove-scraper`, beside the request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveInput {
    /// The ARN of an execution. If given, only scrapers that this execution created are deleted.
    pub created_by: Option<String>,
    /// If given, only these scrapers are deleted.
    pub scraper_arns: Option<Vec<String>>,
    /// Whether an account that cannot be reached is an output instead of an error.
    #[serde(default)]
    pub leave_unreachable: bool,
}

/// The progress of the removal.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveOutput {
    /// Whether none of the scrapers exists any more.
    pub deleted: bool,
    /// The ARNs of the scrapers that still exist.
    pub scraper_arns: Vec<String>,
    /// Another scraper of the cluster and workspace that has a role of the pair, or may get one: the roles must stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles_in_use_by: Option<String>,
    /// Why the account cannot be reached. Its scrapers are then not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

/// As [`remove`], in an account that may be unreachable.
///
/// # Errors
/// Those of [`remove`]; and `AccessDenied` if the account is unreachable, unless the input accepts that.
pub async fn remove_in(account: Result<Account, Unreachable>, task: &Task<RemoveInput>) -> Result<RemoveOutput, Error> {
    match account {
        Ok(account) => remove(&account.amp(), task).await,
        Err(Unreachable(why)) if task.input.leave_unreachable => Ok(RemoveOutput {
            deleted: false,
            scraper_arns: Vec::new(),
            roles_in_use_by: None,
            unreachable: Some(why),
        }),
        Err(unreachable) => Err(unreachable.into()),
    }
}

/// The ARNs of the scrapers that [`remove`] would delete: those with the tags of the pair that AMP does not already
/// delete. Read-only.
///
/// # Errors
/// Those of the calls.
pub(crate) async fn to_remove(amp: &Client, pair: &Pair) -> Result<Vec<String>, Error> {
    let existing = list(of_pair(amp, pair)).await?.into_iter();
    let to_remove = existing.filter(|s| has_tags_of(s, pair) && status(s) != ScraperStatusCode::Deleting);
    Ok(to_remove.map(|scraper| scraper.arn).collect())
}

/// Starts the deletion of scrapers of the pair, and returns those that still exist. Only scrapers with the tags of the
/// pair are deleted.
///
/// The state machine polls: a deletion takes minutes, and AMP does not delete a scraper that is CREATING or UPDATING.
/// Idempotent: a scraper that does not exist, or is being deleted, is not an error.
///
/// # Errors
/// Those of the calls.
pub async fn remove(amp: &Client, task: &Task<RemoveInput>) -> Result<RemoveOutput, Error> {
    let RemoveInput {
        created_by,
        scraper_arns,
        ..
    } = &task.input;
    let all = list(of_pair(amp, &task.pair)).await?;
    let roles = [Some(task.pair.source_role_arn()), Some(task.pair.target_role_arn())];
    let has_role_of_pair = |scraper: &ScraperSummary| {
        let current = scraper.role_configuration();
        let current = current.map(|current| [current.source_role_arn.clone(), current.target_role_arn.clone()]);
        current.is_some_and(|current| current.iter().any(|role| roles.contains(role)))
    };
    let (existing, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|scraper| {
        has_tags_of(scraper, &task.pair)
            && created_by
                .as_ref()
                .is_none_or(|execution| tag(scraper, CREATED_BY_TAG) == Some(execution))
            && scraper_arns
                .as_ref()
                .is_none_or(|arns| arns.iter().any(|arn| arn == scraper.arn()))
    });
    // AMP does not document which roles it shows during an update.
    let is_updating = |scraper: &ScraperSummary| status(scraper) == ScraperStatusCode::Updating;
    let uses_roles =
        |scraper: &&ScraperSummary| !is_dead(scraper) && (has_role_of_pair(scraper) || is_updating(scraper));
    let in_use_by = others.iter().find(uses_roles);
    use ScraperStatusCode::{Creating, Deleting, Updating};
    for scraper in &existing {
        if matches!(status(scraper), Creating | Updating | Deleting) {
            continue;
        }
        if tag(scraper, LOGS_TAG).is_some() {
            collector_logs::stop(amp, scraper.scraper_id()).await?;
        }
        // It may have changed or have been deleted since it was listed. The next poll shows its state.
        let answer = amp.delete_scraper().scraper_id(scraper.scraper_id()).send().await;
        none_if(answer, |e| {
            e.is_conflict_exception() || e.is_resource_not_found_exception()
        })
        .map_err(with_the_condition)?;
    }
    Ok(RemoveOutput {
        deleted: existing.is_empty(),
        scraper_arns: existing.iter().map(|scraper| scraper.arn().to_owned()).collect(),
        roles_in_use_by: in_use_by.map(|scraper| scraper.arn().to_owned()),
        unreachable: None,
    })
}
