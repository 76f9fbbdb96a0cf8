//! The patch: writes the scraper's ARN into the trust policies of both roles.

use crate::{
    error::Error,
    roles::{self, EnsureInput, Role},
    task::Task,
};
use aws_sdk_iam::Client;
use serde::Serialize;

/// The trust policies that the patch wrote. One that already matched is only read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether that of the source role was written.
    pub source: bool,
    /// Whether that of the target role was written.
    pub target: bool,
}

/// Writes the scraper's ARN into both trust policies, reads them back and compares.
///
/// Idempotent. The target role is last, because it protects the workspace.
///
/// # Errors
/// Those of [`roles::patch_trust`]; `InvalidRequest` if `scraperArn` is missing or is not in the cluster's account and
/// Region.
pub async fn patch(source_iam: &Client, target_iam: &Client, task: &Task<EnsureInput>) -> Result<Output, Error> {
    Ok(Output {
        source: patch_role(source_iam, task, roles::source(task)).await?,
        target: patch_role(target_iam, task, roles::target(task)).await?,
    })
}

async fn patch_role(iam: &Client, task: &Task<EnsureInput>, role: Role) -> Result<bool, Error> {
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
