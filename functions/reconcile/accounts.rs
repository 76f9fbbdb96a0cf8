//! What the target roles show: which accounts have pairs, and which roles belong to no pair. An account with pairs that
//! cannot be reached is an alarm, and so is a role that belongs to no pair.

use crate::{
    arn::{AccountId, WorkspaceArn},
    aws::Account,
    error::Error,
    names,
    roles::{self, document},
};
use aws_sdk_iam::types::Role;
use serde_json::Value;
use std::collections::BTreeSet;

/// What the target roles show.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TargetRoles {
    /// The accounts that they name.
    named: BTreeSet<String>,
    /// The ARNs of roles that have the name of a target role, but belong to no pair.
    pub ownerless: Vec<String>,
    /// Whether a target account could not be read. Then every account may have pairs.
    incomplete: bool,
}

impl TargetRoles {
    /// Whether an account has pairs, or may have some.
    pub fn may_have_pairs(&self, account: &AccountId) -> bool {
        self.incomplete || self.named.contains(&**account)
    }
}

/// Reads the target roles in the accounts of these workspaces, with one list of roles for each account. Read-only.
/// `target` returns access to the account of a workspace.
///
/// A target account that does not admit the hub is not an error, because a reconciliation repairs the pairs of the
/// others.
///
/// # Errors
/// Those of the calls, except `AccessDenied`.
pub async fn target_roles(
    workspaces: &[&WorkspaceArn],
    target: impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
) -> Result<TargetRoles, Error> {
    let mut found = TargetRoles::default();
    let mut read = BTreeSet::new();
    for workspace in workspaces {
        if !read.insert(workspace.account().to_string()) {
            continue;
        }
        let roles = match target(workspace).await {
            Ok(account) => list(&account.iam()).await,
            Err(error) => Err(error),
        };
        match roles {
            Ok(roles) => found.add(&roles),
            Err(Error::AccessDenied(_)) => found.incomplete = true,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The roles of an account that have the name of a target role.
async fn list(iam: &aws_sdk_iam::Client) -> Result<Vec<Role>, Error> {
    let mut found = Vec::new();
    let mut pages = iam.list_roles().max_items(1000).into_paginator().items().send();
    while let Some(role) = pages.next().await {
        let role = role?;
        if roles::is_named(&role, names::TARGET_ROLE_PREFIX) {
            found.push(role);
        }
    }
    Ok(found)
}

impl TargetRoles {
    fn add(&mut self, roles: &[Role]) {
        for role in roles {
            let trust = document(role.assume_role_policy_document().unwrap_or_default());
            self.named.extend(account_of_scrapers(&trust));
            if !is_of_pair(role, &trust) {
                self.ownerless.push(role.arn().to_owned());
            }
        }
    }
}

/// The account of the scrapers that a target role admits, from the external id in its trust policy. A list has no tags
/// (IAM API reference, ListRoles), and this saves a call for each role.
fn account_of_scrapers(trust: &Value) -> Option<String> {
    let external_id = trust.pointer("/Statement/0/Condition/StringEquals/sts:ExternalId")?;
    let account: AccountId = external_id.as_str()?.split(':').nth(4)?.parse().ok()?;
    Some(account.to_string())
}

/// Whether a role trusts only the source role of its pair, whose name ends like its own, in the account of the pair's
/// scraper. IAM shows the unique id of a source role that was deleted: no principal can assume the role then.
fn is_of_pair(role: &Role, trust: &Value) -> bool {
    let statements = trust["Statement"].as_array().map_or(&[][..], Vec::as_slice);
    let ([statement], Some(account)) = (statements, account_of_scrapers(trust)) else {
        return false;
    };
    let Some(principals) = statement["Principal"].as_object().filter(|all| all.len() == 1) else {
        return false;
    };
    let principal = principals.get("AWS").and_then(Value::as_str).unwrap_or_default();
    let suffix = role.role_name().trim_start_matches(names::TARGET_ROLE_PREFIX);
    let source_role = names::installation().role(&format!("{}{suffix}", names::SOURCE_ROLE_PREFIX));
    principal.ends_with(&format!(":iam::{account}:{source_role}")) || principal.starts_with("AROA")
}
