//! Reads the roles of a pair from IAM.

use crate::account::Account;
use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// A role as a JSON document: trust policy, policies, permissions boundary and tags.
///
/// # Errors
/// If the role or one of its policies cannot be read.
pub async fn role(account: &Account, arn: &str) -> Result<Value> {
    let iam = account.iam();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let role = iam
        .get_role()
        .role_name(name)
        .send()
        .await?
        .role
        .context("the response of IAM has no role")?;
    let mut policies = Vec::new();
    for policy in iam.list_role_policies().role_name(name).send().await?.policy_names {
        let response = iam
            .get_role_policy()
            .role_name(name)
            .policy_name(&policy)
            .send()
            .await?;
        policies.push(json!({ "name": policy, "document": decoded(&response.policy_document)? }));
    }
    for policy in iam
        .list_attached_role_policies()
        .role_name(name)
        .send()
        .await?
        .attached_policies()
    {
        let arn = policy.policy_arn().unwrap_or_default();
        policies.push(json!({ "name": policy.policy_name(), "arn": arn, "document": managed(account, arn).await? }));
    }
    let boundary = role
        .permissions_boundary()
        .and_then(|boundary| boundary.permissions_boundary_arn());
    let boundary = match boundary {
        Some(arn) => json!({ "arn": arn, "document": managed(account, arn).await? }),
        None => Value::Null,
    };
    Ok(json!({
        "accountId": account.id,
        "arn": role.arn,
        "trustPolicy": decoded(role.assume_role_policy_document().unwrap_or_default())?,
        "policies": policies,
        "permissionsBoundary": boundary,
        "tags": role.tags().iter().map(|tag| (tag.key().to_owned(), tag.value())).collect::<std::collections::BTreeMap<_, _>>(),
    }))
}

/// The trust policy of a role; `None` if the role does not exist.
///
/// # Errors
/// If the role cannot be read.
pub async fn trust(account: &Account, arn: &str) -> Result<Option<Value>> {
    let name = arn.rsplit('/').next().unwrap_or_default();
    let response = match account.iam().get_role().role_name(name).send().await {
        Ok(response) => response,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_no_such_entity_exception()) =>
        {
            return Ok(None);
        }
        Err(error) => bail!("{}", ampxa::Error::from(error)),
    };
    let role = response.role.context("the response of IAM has no role")?;
    let document = role
        .assume_role_policy_document()
        .context("the role has no trust policy")?;
    decoded(document).map(Some)
}

async fn managed(account: &Account, arn: &str) -> Result<Value> {
    let iam = account.iam();
    let policy = iam
        .get_policy()
        .policy_arn(arn)
        .send()
        .await?
        .policy
        .context("the response of IAM has no policy")?;
    let version = policy
        .default_version_id()
        .context("the policy has no default version")?;
    let response = iam
        .get_policy_version()
        .policy_arn(arn)
        .version_id(version)
        .send()
        .await?;
    decoded(
        response
            .policy_version
            .as_ref()
            .and_then(|v| v.document())
            .context("the policy has no document")?,
    )
}

fn decoded(text: &str) -> Result<Value> {
    Ok(serde_json::from_str(&percent_decode_str(text).decode_utf8()?)?)
}
