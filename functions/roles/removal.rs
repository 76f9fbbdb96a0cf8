//! Taking a pair's roles away.

use super::tag;
use crate::{
    arn::ClusterArn,
    aws::unless,
    error::Error,
    names,
    pair::Pair,
    tags::{CLUSTER_TAG, CREATED_BY_TAG, WORKSPACE_TAG},
    task::Task,
};
use aws_sdk_iam::{Client, types};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::{Deserialize, Serialize};

/// Which role is to go. Only one that carries the pair's tags ever does.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveInput {
    /// Only if this execution made it.
    pub created_by: Option<String>,
}

/// What became of a role.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveOutput {
    /// Its ARN.
    pub role_arn: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a role that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It was there, and is gone.
    Removed,
    /// There was none.
    NotFound,
    /// It does not carry the pair's tags, so it is somebody else's.
    NotOwned,
    /// It is the pair's, and another execution made it.
    CreatedByOther,
}

/// Removes a role with all its policies.
///
/// Safe to repeat: what is gone already is gone. The managed policy goes before the inline one that
/// narrows it, so that the role is at no moment wider than it was.
///
/// # Errors
/// As AWS answers.
pub async fn remove(iam: &Client, arn: String, name: &str, task: &Task<RemoveInput>) -> Result<RemoveOutput, Error> {
    let outcome = match iam.get_role().role_name(name).send().await {
        Ok(answer) => match answer.role {
            Some(role) => match reason_to_leave(&role, task) {
                Some(outcome) => outcome,
                None => remove_all(iam, name).await?,
            },
            None => Outcome::NotFound,
        },
        Err(error) if is_gone(&error) => Outcome::NotFound,
        Err(error) => return Err(error.into()),
    };
    Ok(RemoveOutput { role_arn: arn, outcome })
}

fn reason_to_leave(role: &types::Role, task: &Task<RemoveInput>) -> Option<Outcome> {
    let (cluster, workspace) = (task.pair.cluster.to_string(), task.pair.workspace.to_string());
    if tag(role, CLUSTER_TAG) != Some(&cluster) || tag(role, WORKSPACE_TAG) != Some(&workspace) {
        return Some(Outcome::NotOwned);
    }
    let created_by = task.input.created_by.as_deref();
    (created_by.is_some() && tag(role, CREATED_BY_TAG) != created_by).then_some(Outcome::CreatedByOther)
}

/// Removes a role that is ours, or finds it gone.
///
/// The accounts let us remove tagged roles only, and what is gone has no tags: IAM denies to remove
/// it. A try whose answer was lost, and which is made again, meets just that.
async fn remove_all(iam: &Client, name: &str) -> Result<Outcome, Error> {
    let refused = match remove_policies_and_role(iam, name).await {
        Err(Error::AccessDenied(why)) => Error::AccessDenied(why),
        ended => return ended,
    };
    match unless(iam.get_role().role_name(name).send().await, is_gone) {
        Ok(None) => Ok(Outcome::Removed),
        _ => Err(refused),
    }
}

async fn remove_policies_and_role(iam: &Client, name: &str) -> Result<Outcome, Error> {
    let attached = unless(iam.list_attached_role_policies().role_name(name).send().await, is_gone)?;
    let attached = attached.and_then(|answer| answer.attached_policies).unwrap_or_default();
    for arn in attached.iter().filter_map(types::AttachedPolicy::policy_arn) {
        let call = iam.detach_role_policy().role_name(name).policy_arn(arn);
        unless(call.send().await, is_gone)?;
    }
    let inline = unless(iam.list_role_policies().role_name(name).send().await, is_gone)?;
    for policy in inline.map(|answer| answer.policy_names).unwrap_or_default() {
        let call = iam.delete_role_policy().role_name(name).policy_name(policy);
        unless(call.send().await, is_gone)?;
    }
    unless(iam.delete_role().role_name(name).send().await, is_gone)?;
    Ok(Outcome::Removed)
}

fn is_gone<E: ProvideErrorMetadata>(error: &E) -> bool {
    error.code() == Some("NoSuchEntity")
}

/// The pairs whose source roles are in an account, as far as they carry our tags; of one cluster, if one is named.
///
/// # Errors
/// As AWS answers.
pub async fn pairs_of(iam: &Client, cluster: Option<&ClusterArn>) -> Result<Vec<Pair>, Error> {
    let begins = match cluster {
        Some(cluster) => names::roles_of_cluster(names::SOURCE_ROLE_PREFIX, cluster),
        None => names::SOURCE_ROLE_PREFIX.to_owned(),
    };
    let mut pairs = Vec::new();
    let mut roles = iam.list_roles().into_paginator().items().send();
    while let Some(role) = roles.next().await {
        let name = role?.role_name;
        if !name.starts_with(&begins) {
            continue;
        }
        // A list shows no tags (IAM API reference, ListRoles).
        let role = match iam.get_role().role_name(&name).send().await {
            Ok(answer) => answer.role,
            Err(error) if is_gone(&error) => None,
            Err(error) => return Err(error.into()),
        };
        let pair = role.as_ref().and_then(pair_of);
        pairs.extend(pair.filter(|pair| cluster.is_none_or(|cluster| *cluster == pair.cluster)));
    }
    Ok(pairs)
}

fn pair_of(role: &types::Role) -> Option<Pair> {
    let pair = Pair {
        cluster: tag(role, CLUSTER_TAG)?.parse().ok()?,
        workspace: tag(role, WORKSPACE_TAG)?.parse().ok()?,
    };
    (role.role_name() == pair.source_role_name()).then_some(pair)
}
