//! Taking scrapers of a pair away.

use super::{
    inventory::{is_ours, status, tag},
    list, of_pair,
};
use crate::{aws::unless, error::Error, tags::CREATED_BY_TAG, task::Task};
use aws_sdk_amp::Client;
use serde::{Deserialize, Serialize};

/// Which of a pair's scrapers are to go. Only such as carry the pair's tags ever do.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveInput {
    /// Only what this execution made.
    pub created_by: Option<String>,
    /// Only these.
    pub scraper_arns: Option<Vec<String>>,
}

/// How far the removal is.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveOutput {
    /// Whether none of them is left.
    pub deleted: bool,
    /// Those that are still there.
    pub scraper_arns: Vec<String>,
}

/// Asks AMP to delete what is to go, and says what is still there. The state machine does the
/// waiting: deleting takes minutes, and a scraper that is being made or changed refuses it.
///
/// Safe to repeat: what is gone, or going, is left alone.
///
/// # Errors
/// As AWS answers.
pub async fn remove(amp: &Client, task: &Task<RemoveInput>) -> Result<RemoveOutput, Error> {
    let RemoveInput {
        created_by,
        scraper_arns,
    } = &task.input;
    let mut there = list(of_pair(amp, &task.pair)).await?;
    there.retain(|scraper| {
        is_ours(scraper, &task.pair)
            && created_by
                .as_ref()
                .is_none_or(|by| tag(scraper, CREATED_BY_TAG) == Some(by))
            && scraper_arns
                .as_ref()
                .is_none_or(|arns| arns.iter().any(|arn| arn == scraper.arn()))
    });
    for scraper in &there {
        if matches!(status(scraper).as_str(), "CREATING" | "UPDATING" | "DELETING") {
            continue;
        }
        // It may change, or be gone, since the list was made: the next look says which.
        let answer = amp.delete_scraper().scraper_id(scraper.scraper_id()).send().await;
        unless(answer, |e| {
            e.is_conflict_exception() || e.is_resource_not_found_exception()
        })?;
    }
    Ok(RemoveOutput {
        deleted: there.is_empty(),
        scraper_arns: there.iter().map(|scraper| scraper.arn().to_owned()).collect(),
    })
}
