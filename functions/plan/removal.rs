//! The plan of an offboarding: what an execution would delete.

use super::{Action, Change, Output, fingerprint};
use crate::{
    arn::{ClusterArn, ExecutionArn, WorkspaceArn},
    aws::Account,
    error::Error,
    input,
    pair::Pair,
    problems::Problems,
    roles::{self, Side},
    scraper,
};
use serde::Deserialize;
use serde_json::Value;

/// The pairs of an offboarding.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// The workspaces of the pairs that `find-pairs` returned.
    pub workspace_arns: Vec<WorkspaceArn>,
    /// Whether an offboarding removes what it can reach if an account cannot be reached.
    pub leave_unreachable: bool,
    /// The ARN of the execution.
    pub execution: ExecutionArn,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Parses `{"clusterArn": "…", "workspaceArns": […], "leaveUnreachable": …, "execution": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// Plans an offboarding. Read-only. `source` is access to the account of the cluster, and `target` returns access to that
/// of a workspace.
///
/// # Errors
/// `Transient` and `NotVisibleYet`. All other errors are prerequisites that are not met.
pub async fn removal(
    source: Result<Account, Error>,
    target: impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
    input: &Input,
) -> Result<Output, Error> {
    let mut problems = Problems::default();
    let mut changes = Vec::new();
    let mut warnings = Vec::new();
    let source = problems.note(source)?;
    for workspace in &input.workspace_arns {
        let pair = Pair {
            cluster: input.cluster_arn.clone(),
            workspace: workspace.clone(),
        };
        if let Some(source) = &source
            && let Some(arns) = problems.note(scraper::to_remove(&source.amp(), &pair).await)?
        {
            changes.extend(arns.into_iter().map(|arn| deletion("scraper", pair.cluster.account(), arn)));
        }
        let target = problems.note(target(workspace).await)?;
        // The order is that of an execution.
        for (resource, side, account) in [
            ("target role", Side::Target, &target),
            ("source role", Side::Source, &source),
        ] {
            let Some(account) = account else { continue };
            let arn = side.role_arn(&pair);
            match problems.note(roles::is_of_pair(&account.iam(), side, &pair).await)? {
                Some(Some(true)) => changes.push(deletion(resource, arn.split(':').nth(4).unwrap_or_default(), arn.clone())),
                Some(Some(false)) => warnings.push(format!("The role {arn} does not carry the tags of this pair. It stays.")),
                Some(None) | None => {}
            }
        }
    }
    let first = problems.all().first().map(Error::name);
    let would_fail_as = match first {
        Some("AccessDenied") if input.leave_unreachable => Some("OffboardingIncomplete"),
        other => other,
    };
    let subject = [vec![input.cluster_arn.to_string()], input.workspace_arns.iter().map(ToString::to_string).collect()];
    Ok(Output {
        plan: fingerprint(&subject.concat(), &changes, would_fail_as),
        changes,
        prerequisites: problems.all().iter().map(Error::to_string).collect(),
        would_fail_as,
        in_progress: None,
        warnings,
    })
}

fn deletion(resource: &'static str, account: &str, arn: String) -> Change {
    Change {
        action: Action::Delete,
        resource,
        account_id: account.to_owned(),
        arn: Some(arn),
        differences: Vec::new(),
    }
}
