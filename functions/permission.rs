//! What the stack of a source account allows beyond the connection of clusters.

use crate::{aws::none_if, error::Error, names::SOURCE_PROVISIONER, policy, roles};
use serde_json::Value;

/// A permission that a parameter of `infra/source-account.yaml` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// `MayPrepareClusters=yes`.
    PrepareClusters,
    /// `CollectorLogs=yes`.
    CollectorLogs,
}

impl Permission {
    /// The inline policy of the provisioner. It exists if the account gives the permission.
    fn policy(self) -> &'static str {
        match self {
            Self::PrepareClusters => "prepare-clusters",
            Self::CollectorLogs => "collector-logs",
        }
    }

    /// Whether the account gives the permission. `source_iam` is IAM of the source account, with its reader.
    ///
    /// # Errors
    /// Those of the call to IAM.
    pub async fn is_given(self, source_iam: &aws_sdk_iam::Client) -> Result<bool, Error> {
        Ok(inline_policy(source_iam, self.policy()).await?.is_some())
    }
}

/// The ARNs of the roles of the parameter `AdoptableRoleArns`, with `*` for an account. Empty if it has none.
///
/// # Errors
/// Those of the call to IAM.
pub(crate) async fn adoptable_roles(source_iam: &aws_sdk_iam::Client) -> Result<Vec<String>, Error> {
    let policy = inline_policy(source_iam, "adopt-scrapers").await?.unwrap_or_default();
    let roles = policy::texts(&policy["Statement"][0]["Resource"]);
    Ok(roles.map(str::to_owned).collect())
}

/// An inline policy of the provisioner.
async fn inline_policy(source_iam: &aws_sdk_iam::Client, name: &str) -> Result<Option<Value>, Error> {
    let request = source_iam.get_role_policy().role_name(SOURCE_PROVISIONER);
    let result = request.policy_name(name).send().await;
    let found = none_if(result, |e| e.is_no_such_entity_exception())?;
    Ok(found.map(|found| roles::document(found.policy_document())))
}
