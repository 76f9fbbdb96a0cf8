//! The plan of an offboarding: what an execution would delete.

use super::{Action, Change, Output, fingerprint};
use crate::{
    arn::{ClusterArn, ExecutionArn, WorkspaceArn},
    aws::{Account, Unreachable},
    error::Error,
    input, lock,
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

    /// Reads `{"clusterArn": "…", "workspaceArns": […], "leaveUnreachable": …, "execution": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

impl Input {
    /// The lock of the cluster.
    pub fn lock(&self) -> lock::Input {
        lock::Input {
            cluster: self.cluster_arn.clone(),
            execution: self.execution.clone(),
            stopped: None,
        }
    }
}

/// An account, or why STS denies access to it; or another error of the call to STS.
type Access = Result<Result<Account, Unreachable>, Error>;

/// The same access. The function ends at once if a call to STS got no response, because further calls take as long.
///
/// # Errors
/// `Transient` and `NotVisibleYet`.
fn not_transient(access: Access) -> Result<Access, Error> {
    match access {
        Err(error @ (Error::Transient(_) | Error::NotVisibleYet(_))) => Err(error),
        access => Ok(access),
    }
}

/// Plans an offboarding. Read-only. `source` returns access to the account of the cluster, and `target` to that of a
/// workspace.
///
/// # Errors
/// `Transient` and `NotVisibleYet`. All other errors are prerequisites that are not met.
pub async fn removal(
    source: impl AsyncFn() -> Access,
    target: impl AsyncFn(&WorkspaceArn) -> Access,
    input: &Input,
) -> Result<Output, Error> {
    let mut problems = Problems::default();
    let (mut changes, mut warnings) = (Vec::new(), Vec::new());
    let mut would_fail_as = None;
    let source = not_transient(source().await)?;
    for workspace in &input.workspace_arns {
        let pair = Pair {
            cluster: input.cluster_arn.clone(),
            workspace: workspace.clone(),
        };
        let target = not_transient(target(workspace).await)?;
        let (mut failure, mut is_incomplete) = (None, false);
        for (resource, access) in [
            (Resource::Scraper, &source),
            (Resource::Role(Side::Target), &target),
            (Resource::Role(Side::Source), &source),
        ] {
            let removable = match access {
                Ok(Ok(account)) => resource.removable(account, &pair).await,
                Ok(Err(unreachable)) => Err(unreachable.clone().into()),
                Err(error) => Err(error.clone()),
            };
            let name = removable.as_ref().err().map(Error::name);
            match problems.note(removable)? {
                // The removal of a pair stops at its first failure. The other pairs continue.
                Some(removable) if failure.is_none() => {
                    changes.extend(removable.arns.into_iter().map(|arn| resource.deletion(&pair, arn)));
                    warnings.extend(removable.warning);
                }
                Some(_) => {}
                None if input.leave_unreachable && matches!(access, Ok(Err(_))) => is_incomplete = true,
                None => failure = failure.or(name),
            }
        }
        // An execution ends with the error of the first pair that fails.
        let incomplete = is_incomplete.then_some("OffboardingIncomplete");
        would_fail_as = would_fail_as.or(failure).or(incomplete);
    }
    let workspaces = input.workspace_arns.iter().map(ToString::to_string);
    let arns: Vec<String> = [input.cluster_arn.to_string()].into_iter().chain(workspaces).collect();
    let mut prerequisites: Vec<String> = Vec::new();
    for problem in problems.all().iter().map(Error::to_string) {
        // An account has several resources.
        if !prerequisites.contains(&problem) {
            prerequisites.push(problem);
        }
    }
    Ok(Output {
        preparations: Vec::new(),
        plan: fingerprint(&arns, &changes, would_fail_as),
        changes,
        prerequisites,
        would_fail_as,
        in_progress: None,
        warnings,
    })
}

/// A kind of resource of a pair.
#[derive(Clone, Copy)]
enum Resource {
    Scraper,
    Role(Side),
}

/// The resources of one kind that an offboarding would delete.
#[derive(Default)]
struct Removable {
    arns: Vec<String>,
    /// Why a resource stays.
    warning: Option<String>,
}

impl Resource {
    async fn removable(self, account: &Account, pair: &Pair) -> Result<Removable, Error> {
        let side = match self {
            Self::Scraper => {
                let arns = scraper::to_remove(&account.amp(), pair).await?;
                return Ok(Removable { arns, warning: None });
            }
            Self::Role(side) => side,
        };
        let arn = side.role_arn(pair);
        Ok(match roles::is_of_pair(&account.iam(), side, pair).await? {
            Some(true) => Removable {
                arns: vec![arn],
                warning: None,
            },
            Some(false) => Removable {
                arns: Vec::new(),
                warning: Some(format!(
                    "{arn} does not carry the tags of this pair. An offboarding does not delete it."
                )),
            },
            None => Removable::default(),
        })
    }

    fn deletion(self, pair: &Pair, arn: String) -> Change {
        let (resource, account) = match self {
            Self::Scraper => ("scraper", pair.cluster.account()),
            Self::Role(Side::Source) => ("source role", pair.cluster.account()),
            Self::Role(Side::Target) => ("target role", pair.workspace.account()),
        };
        Change {
            action: Action::Delete,
            resource,
            account_id: account.to_string(),
            arn: Some(arn),
            differences: Vec::new(),
        }
    }
}
