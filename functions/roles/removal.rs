//! Deletes the roles of a pair, and finds pairs by their source roles.

use super::{Side, repair_boundary, tag};
use crate::{
    arn::ClusterArn,
    aws::{Account, Unreachable, none_if},
    error::Error,
    names,
    pair::Pair,
    tags::{CLUSTER_TAG, CREATED_BY_TAG, WORKSPACE_TAG},
    task::Task,
};
use aws_sdk_iam::{Client, types};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::{Deserialize, Serialize};

/// The input of `remove-source-role` and `remove-target-role`, beside the request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveInput {
    /// The ARN of an execution. If given, only a role that this execution created is deleted.
    pub created_by: Option<String>,
    /// Whether an account that cannot be reached is an output instead of an error.
    #[serde(default)]
    pub leave_unreachable: bool,
}

/// The result of a removal.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveOutput {
    /// The ARN of the role.
    pub role_arn: String,
    /// What was done.
    pub outcome: Outcome,
    /// Why the account cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

/// What was done with the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It was deleted.
    Removed,
    /// It does not exist.
    NotFound,
    /// It does not have the tags of the pair. It was not changed.
    NotOwned,
    /// Another execution created it. It was not changed.
    CreatedByOther,
    /// Its account cannot be reached. Whether it exists is not known.
    Unreachable,
}

/// As [`remove`], in an account that may be unreachable.
///
/// # Errors
/// Those of [`remove`]; and `AccessDenied` if the account is unreachable, unless the input accepts that.
pub async fn remove_in(
    account: Result<Account, Unreachable>,
    side: Side,
    task: &Task<RemoveInput>,
) -> Result<RemoveOutput, Error> {
    match account {
        Ok(account) => remove(&account.iam(), side, task).await,
        Err(Unreachable(why)) if task.input.leave_unreachable => Ok(RemoveOutput {
            role_arn: side.role_arn(&task.pair),
            outcome: Outcome::Unreachable,
            unreachable: Some(why),
        }),
        Err(unreachable) => Err(unreachable.into()),
    }
}

/// Deletes a role of the pair with all its policies. Only a role with the tags of the pair is deleted.
///
/// Idempotent: a role that does not exist is not an error. Managed policies are detached before the inline policy that
/// restricts them is deleted, so that the role never has more permissions than before. A permissions boundary that
/// differs is repaired first: without it, the policy of the provisioner denies the deletion.
///
/// # Errors
/// Those of the calls.
pub async fn remove(iam: &Client, side: Side, task: &Task<RemoveInput>) -> Result<RemoveOutput, Error> {
    let name = &side.role_name(&task.pair);
    let outcome = match iam.get_role().role_name(name).send().await {
        Ok(answer) => match answer.role {
            Some(role) => match reason_to_keep(&role, task) {
                Some(outcome) => outcome,
                None => remove_all(iam, name, &role, &side.boundary(&task.pair)).await?,
            },
            None => Outcome::NotFound,
        },
        Err(error) if is_not_found(&error) => Outcome::NotFound,
        Err(error) => return Err(error.into()),
    };
    Ok(RemoveOutput {
        role_arn: side.role_arn(&task.pair),
        outcome,
        unreachable: None,
    })
}

/// Whether a role has the tags of the pair, so that [`remove`] would delete it. `None` if it does not exist. Read-only.
///
/// # Errors
/// Those of the call.
pub(crate) async fn is_of_pair(iam: &Client, side: Side, pair: &Pair) -> Result<Option<bool>, Error> {
    let answer = iam.get_role().role_name(side.role_name(pair)).send().await;
    let role = none_if(answer, is_not_found)?.and_then(|answer| answer.role);
    Ok(role.map(|role| has_tags_of(&role, pair)))
}

fn has_tags_of(role: &types::Role, pair: &Pair) -> bool {
    let (cluster, workspace) = (pair.cluster.to_string(), pair.workspace.to_string());
    tag(role, CLUSTER_TAG) == Some(&cluster) && tag(role, WORKSPACE_TAG) == Some(&workspace)
}

fn reason_to_keep(role: &types::Role, task: &Task<RemoveInput>) -> Option<Outcome> {
    if !has_tags_of(role, &task.pair) {
        return Some(Outcome::NotOwned);
    }
    match &task.input.created_by {
        Some(execution) if tag(role, CREATED_BY_TAG) != Some(execution) => Some(Outcome::CreatedByOther),
        _ => None,
    }
}

/// Deletes a role with the tags of the pair.
///
/// The policies of the provisioners allow the deletion of roles with our tag and our permissions boundary only. A
/// deleted role has neither, so IAM denies a second deletion, such as the retry of a call whose response was lost. After
/// a denial, the role is therefore read.
async fn remove_all(iam: &Client, name: &str, role: &types::Role, boundary: &str) -> Result<Outcome, Error> {
    let removed = match repair_boundary(iam, name, role, boundary).await {
        Ok(_) => remove_policies_and_role(iam, name).await,
        Err(error) => Err(error),
    };
    let denied = match removed {
        Err(Error::AccessDenied(why)) => Error::AccessDenied(why),
        result => return result,
    };
    match none_if(iam.get_role().role_name(name).send().await, is_not_found) {
        Ok(None) => Ok(Outcome::Removed),
        _ => Err(denied),
    }
}

async fn remove_policies_and_role(iam: &Client, name: &str) -> Result<Outcome, Error> {
    let attached = none_if(
        iam.list_attached_role_policies().role_name(name).send().await,
        is_not_found,
    )?;
    let attached = attached.and_then(|answer| answer.attached_policies).unwrap_or_default();
    for arn in attached.iter().filter_map(types::AttachedPolicy::policy_arn) {
        let call = iam.detach_role_policy().role_name(name).policy_arn(arn);
        none_if(call.send().await, is_not_found)?;
    }
    let inline = none_if(iam.list_role_policies().role_name(name).send().await, is_not_found)?;
    for policy in inline.map(|answer| answer.policy_names).unwrap_or_default() {
        let call = iam.delete_role_policy().role_name(name).policy_name(policy);
        none_if(call.send().await, is_not_found)?;
    }
    none_if(iam.delete_role().role_name(name).send().await, is_not_found)?;
    Ok(Outcome::Removed)
}

fn is_not_found<E: ProvideErrorMetadata>(error: &E) -> bool {
    error.code() == Some("NoSuchEntity")
}

/// The pairs whose source roles exist in an account, as the tags of the roles name them: those of one cluster, or all.
///
/// # Errors
/// Those of the calls.
pub async fn pairs_of(iam: &Client, cluster: Option<&ClusterArn>) -> Result<Vec<Pair>, Error> {
    let prefix = match cluster {
        Some(cluster) => names::role_name_prefix(names::SOURCE_ROLE_PREFIX, cluster),
        None => names::SOURCE_ROLE_PREFIX.to_owned(),
    };
    let roles = source_roles(iam, &prefix).await?;
    let pairs = roles.iter().filter_map(pair_of);
    Ok(pairs
        .filter(|pair| cluster.is_none_or(|cluster| *cluster == pair.cluster))
        .collect())
}

/// The ARNs of the roles of an account that have the name of a source role, but belong to no pair: their tags are
/// missing, or do not fit the name.
///
/// # Errors
/// Those of the calls.
pub async fn ownerless(iam: &Client) -> Result<Vec<String>, Error> {
    let roles = source_roles(iam, names::SOURCE_ROLE_PREFIX).await?;
    let ownerless = roles.into_iter().filter(|role| pair_of(role).is_none());
    Ok(ownerless.map(|role| role.arn).collect())
}

/// Whether the name of a role begins with a prefix. A role with another path is not ours, and the policy of the reader
/// does not allow to read it.
pub fn is_named(role: &types::Role, prefix: &str) -> bool {
    role.path() == names::installation().role_path && role.role_name().starts_with(prefix)
}

/// The roles whose name begins with a prefix, with their tags.
async fn source_roles(iam: &Client, prefix: &str) -> Result<Vec<types::Role>, Error> {
    let mut found = Vec::new();
    let mut roles = iam.list_roles().into_paginator().items().send();
    while let Some(role) = roles.next().await {
        let role = role?;
        if !is_named(&role, prefix) {
            continue;
        }
        // A list has no tags (IAM API reference, ListRoles).
        match iam.get_role().role_name(&role.role_name).send().await {
            Ok(answer) => found.extend(answer.role),
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn pair_of(role: &types::Role) -> Option<Pair> {
    let pair = Pair {
        cluster: tag(role, CLUSTER_TAG)?.parse().ok()?,
        workspace: tag(role, WORKSPACE_TAG)?.parse().ok()?,
    };
    if role.role_name() != pair.source_role_name() {
        return None;
    }
    Some(pair)
}
