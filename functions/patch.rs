//! The patch: the scraper's ARN into both trust policies, the gate last.

use crate::{
    error::Error,
    roles::{self, EnsureInput, Role},
    task::Task,
};
use aws_sdk_iam::Client;
use serde::Serialize;

/// Which trust policies the patch wrote; one that was right was only read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the source role's was written.
    pub source: bool,
    /// Whether the target role's was written.
    pub target: bool,
}

/// Opens both roles to the scraper, reads both back and compares.
///
/// Safe to repeat. The target role comes last: it is the one that lets samples in.
///
/// # Errors
/// As [`roles::patch_trust`]; `InvalidRequest` without the ARN of a scraper of this pair.
pub async fn patch(source_iam: &Client, target_iam: &Client, task: &Task<EnsureInput>) -> Result<Output, Error> {
    Ok(Output {
        source: open(source_iam, task, roles::source(task)).await?,
        target: open(target_iam, task, roles::target(task)).await?,
    })
}

async fn open(iam: &Client, task: &Task<EnsureInput>, role: Role) -> Result<bool, Error> {
    let scraper = task
        .input
        .scraper_arn
        .as_ref()
        .filter(|scraper| task.pair.may_own(scraper));
    let (Some(trust), Some(_)) = (&role.scraper_trust, scraper) else {
        return Err(Error::invalid(
            "scraperArn",
            "expected the ARN of a scraper in the cluster's account and Region",
        ));
    };
    roles::patch_trust(iam, &role, trust).await
}
